//! Which addresses a check may connect to. Only the [`AddressPolicy`] makes an [`Admitted`], and only an [`Admitted`] is dialled:
//! that a forbidden address is never connected to, whatever name it came under, is then a matter of types.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::{IpNet, Ipv4Net};

/// The operator's rules about addresses and ports.
///
/// An address is judged as what it reaches. An IPv4-mapped one (`::ffff:a.b.c.d`) is the IPv4 address in it, and so is a network
/// in the rules that is written that way: `::ffff:169.254.0.0/112` is `169.254.0.0/16`, and `::ffff:0:0/96` all of IPv4.
///
/// An IPv6 address that hands its packets on to an IPv4 address inside it is denied, too, where that one is. These are the
/// deprecated IPv4-compatible addresses `::a.b.c.d` (RFC 4291, section 2.5.5.1), NAT64 under its well-known prefix
/// `64:ff9b::/96` (RFC 6052) and 6to4, `2002::/16` (RFC 3056). Allowing the IPv4 address lifts this second ban.
#[derive(Clone, Debug)]
pub struct AddressPolicy {
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
    /// Empty: any.
    ports: BTreeSet<u16>,
}

impl AddressPolicy {
    /// What is denied whatever the operator says, unless explicitly allowed: addresses that are no one host, and link-local ones,
    /// where clouds keep the credentials of their machines.
    pub const BUILT_IN_DENY: [&str; 7] =
        ["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/128", "fe80::/10", "ff00::/8"];

    /// A policy of the built-in list and of networks denied beside it, of networks allowed although denied, and of the ports that
    /// may be connected to (none: any).
    pub fn new(
        deny: impl IntoIterator<Item = IpNet>,
        allow: impl IntoIterator<Item = IpNet>,
        ports: impl IntoIterator<Item = u16>,
    ) -> Self {
        let built_in = Self::BUILT_IN_DENY.iter().map(|net| net.parse().expect("the list above is of networks"));
        Self {
            deny: built_in.chain(deny).map(canonical_net).collect(),
            allow: allow.into_iter().map(canonical_net).collect(),
            ports: ports.into_iter().collect(),
        }
    }

    /// Whether any address may be connected to at this port: what can be said before an address is known.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admit_port(&self, port: u16) -> Result<(), Forbidden> {
        if self.ports.is_empty() || self.ports.contains(&port) { Ok(()) } else { Err(Forbidden::Port { port }) }
    }

    /// The permission to connect to this address, in its canonical form: an IPv4-mapped address is admitted as the IPv4 address.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admit(&self, address: SocketAddr) -> Result<Admitted, Forbidden> {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        self.admit_port(port)?;
        let admitted = Ok(Admitted(SocketAddr::new(ip, port)));
        if contains(&self.allow, ip).is_some() {
            return admitted;
        }
        if let Some(net) = contains(&self.deny, ip) {
            return Err(Forbidden::Address { net });
        }
        let Some(inside) = embedded_ipv4(ip).map(IpAddr::from) else {
            return admitted;
        };
        match contains(&self.deny, inside) {
            Some(net) if contains(&self.allow, inside).is_none() => Err(Forbidden::Embedded { net }),
            _ => admitted,
        }
    }
}

impl Default for AddressPolicy {
    /// The built-in list, and any port.
    fn default() -> Self {
        Self::new([], [], [])
    }
}

/// An address that may be connected to: the very one, in canonical form, that the policy has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admitted(SocketAddr);

impl Admitted {
    /// The address to dial.
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }
}

/// The rule that forbids an address. It tells the range and not the address: a caller who named a host needs not learn what it
/// resolves to inside this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The address is in a denied network.
    #[error("the target is in {net}, a network that this service may not connect to")]
    Address {
        /// The network that is denied.
        net: IpNet,
    },
    /// The address is an IPv6 one that leads to an IPv4 address in a denied network.
    #[error("the target leads to {net}, a network that this service may not connect to")]
    Embedded {
        /// The network that is denied.
        net: IpNet,
    },
    /// Only other ports are allowed.
    #[error("this service may not connect to port {port}")]
    Port {
        /// The port that is not allowed.
        port: u16,
    },
}

fn contains(nets: &[IpNet], ip: IpAddr) -> Option<IpNet> {
    nets.iter().find(|net| net.contains(&ip)).copied()
}

/// A network of IPv4-mapped addresses as the network of the addresses that they reach.
pub fn canonical_net(net: IpNet) -> IpNet {
    let IpAddr::V4(v4) = net.network().to_canonical() else {
        return net.trunc();
    };
    let prefix = match net {
        IpNet::V4(_) => Some(net.prefix_len()),
        IpNet::V6(_) => net.prefix_len().checked_sub(96),
    };
    prefix.and_then(|prefix| Ipv4Net::new(v4, prefix).ok()).map_or(net.trunc(), IpNet::from)
}

/// The IPv4 address that packets to this address are passed on to, as far as the address itself tells.
fn embedded_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    let last = |hi: u16, lo: u16| Some(Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo)));
    match ip.segments() {
        _ if ip == Ipv6Addr::UNSPECIFIED || ip == Ipv6Addr::LOCALHOST => None,
        [0, 0, 0, 0, 0, 0, hi, lo] | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => last(hi, lo),
        [0x2002, hi, lo, ..] => last(hi, lo),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an IP address")
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    fn judge(policy: &AddressPolicy, text: &str) -> Result<IpAddr, Forbidden> {
        policy.admit(SocketAddr::new(ip(text), 25)).map(|admitted| admitted.socket_addr().ip())
    }

    #[test]
    fn the_default_denies_what_is_no_host_and_link_local() {
        for denied in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:0.0.0.0",
            "::ffff:169.254.169.254",
            "::ffff:224.0.0.1",
            "::ffff:255.255.255.255",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let verdict = judge(&AddressPolicy::default(), denied);
            assert!(verdict.is_err(), "{denied}: {verdict:?}");
        }
    }

    #[test]
    fn the_default_admits_public_private_and_loopback_addresses() {
        for admitted in [
            "1.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.16.0.1",
            "192.168.0.1",
            "203.0.113.7",
            "223.255.255.255",
            "255.255.255.254",
            "::1",
            "2001:db8::1",
            "fc00::1",
            "fec0::1",
            "64:ff9b::192.0.2.1",
            "64:ff9c::169.254.169.254",
            "2002:c000:201::1",
            "2003:a9fe:a9fe::1",
            "1::a9fe:a9fe",
        ] {
            assert_eq!(judge(&AddressPolicy::default(), admitted), Ok(ip(admitted)), "{admitted}");
        }
    }

    #[test]
    fn a_mapped_address_is_admitted_as_what_it_reaches() {
        let policy = AddressPolicy::default();
        assert_eq!(judge(&policy, "::ffff:192.0.2.1"), Ok(ip("192.0.2.1")));
        let scoped = "[2001:db8::1%7]:25".parse().expect("a socket address");
        assert_eq!(
            policy.admit(scoped).map(Admitted::socket_addr),
            Ok("[2001:db8::1]:25".parse().expect("a socket address"))
        );
    }

    #[test]
    fn rules_count_in_either_spelling() {
        for deny in ["10.0.0.0/8", "10.1.2.3/8", "::ffff:10.0.0.0/104"] {
            let policy = AddressPolicy::new(nets(&[deny]), [], []);
            for denied in ["10.1.2.3", "::ffff:10.1.2.3"] {
                assert_eq!(
                    judge(&policy, denied),
                    Err(Forbidden::Address { net: "10.0.0.0/8".parse().expect("a network") }),
                    "{deny} {denied}"
                );
            }
            for denied in ["::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::"] {
                assert_eq!(
                    judge(&policy, denied),
                    Err(Forbidden::Embedded { net: "10.0.0.0/8".parse().expect("a network") }),
                    "{deny} {denied}"
                );
            }
            assert_eq!(judge(&policy, "11.0.0.1"), Ok(ip("11.0.0.1")), "{deny}");
        }
    }

    #[test]
    fn networks_around_the_mapped_range_are_about_ipv6() {
        let policy = AddressPolicy::new(nets(&["::/0"]), [], []);
        assert!(judge(&policy, "2001:db8::1").is_err());
        assert_eq!(judge(&policy, "::ffff:192.0.2.1"), Ok(ip("192.0.2.1")));
        let policy = AddressPolicy::new(nets(&["::ffff:0:0/96"]), [], []);
        assert!(judge(&policy, "192.0.2.1").is_err());
        assert_eq!(judge(&policy, "2001:db8::1"), Ok(ip("2001:db8::1")));
    }

    #[test]
    fn allow_wins_over_deny() {
        let policy = AddressPolicy::new(
            nets(&["0.0.0.0/0", "::/0"]),
            nets(&["192.0.2.0/24", "::ffff:169.254.1.0/120", "2001:db8::/32"]),
            [],
        );
        for admitted in ["192.0.2.1", "::ffff:192.0.2.1", "169.254.1.9", "2001:db8::1"] {
            assert!(judge(&policy, admitted).is_ok(), "{admitted}");
        }
        for denied in ["192.0.3.1", "169.254.2.1", "2001:db9::1", "64:ff9b::192.0.2.1"] {
            assert!(judge(&policy, denied).is_err(), "{denied}");
        }
        let policy = AddressPolicy::new(nets(&["10.0.0.0/8"]), nets(&["10.9.0.0/16", "64:ff9b::10.8.0.0/112"]), []);
        for admitted in ["64:ff9b::10.9.0.1", "64:ff9b::10.8.0.1"] {
            assert!(judge(&policy, admitted).is_ok(), "{admitted}");
        }
        assert!(judge(&policy, "64:ff9b::10.7.0.1").is_err());
    }

    #[test]
    fn another_port_is_forbidden_even_where_the_address_is_allowed() {
        let policy = AddressPolicy::new([], nets(&["192.0.2.0/24"]), [25, 587]);
        for (port, verdict) in [(25, Ok(())), (587, Ok(())), (26, Err(Forbidden::Port { port: 26 }))] {
            let address = SocketAddr::new(ip("192.0.2.1"), port);
            assert_eq!(policy.admit(address).map(|_| ()), verdict);
        }
    }

    #[test]
    fn the_refusal_names_the_rule_and_not_the_address() {
        let verdict = judge(&AddressPolicy::default(), "169.254.169.254");
        assert_eq!(
            verdict.map_err(|forbidden| forbidden.to_string()),
            Err("the target is in 169.254.0.0/16, a network that this service may not connect to".to_owned())
        );
    }

    proptest! {
        #[test]
        fn no_disguise_of_a_denied_ipv4_address_is_admitted(bits: u32, prefix in 1u8..=32, low: u64) {
            let v4 = Ipv4Addr::from(bits);
            let net = IpNet::new(v4.into(), prefix).expect("a prefix up to 32");
            let policy = AddressPolicy::new([net], [], []);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let [.., w, x, y, z] = Ipv6Addr::from_bits(low.into()).segments();
            for disguise in [
                v4.into(),
                v4.to_ipv6_mapped().into(),
                IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, a, b]),
                IpAddr::from([0x2002, a, b, 0, w, x, y, z]),
            ] {
                prop_assert!(policy.admit(SocketAddr::new(disguise, 25)).is_err(), "{}", disguise);
            }
        }

        #[test]
        fn what_is_admitted_is_what_was_asked_for(bits: u128, port: u16) {
            let address = SocketAddr::new(Ipv6Addr::from_bits(bits).into(), port);
            if let Ok(admitted) = AddressPolicy::default().admit(address) {
                prop_assert_eq!(admitted.socket_addr().ip(), address.ip().to_canonical());
                prop_assert_eq!(admitted.socket_addr().port(), port);
            }
        }
    }
}
