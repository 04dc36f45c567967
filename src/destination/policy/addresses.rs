//! The rules about addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::Forbidden;

/// Networks that are denied, and networks that are allowed although denied.
///
/// An address is judged as what it reaches. An IPv4-mapped one (`::ffff:a.b.c.d`) is the IPv4 address in it, and so is a network
/// in the rules that is written that way: `::ffff:169.254.0.0/112` is `169.254.0.0/16`, and `::ffff:0:0/96` all of IPv4.
///
/// An IPv6 address that hands its packets on to an IPv4 address inside it is denied, too, where that one is. Allowing the IPv4
/// address lifts this second ban.
#[derive(Clone, Debug)]
pub(super) struct AddressRules {
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
}

impl AddressRules {
    pub(super) fn new(deny: impl IntoIterator<Item = IpNet>, allow: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            deny: deny.into_iter().map(canonical_net).collect(),
            allow: allow.into_iter().map(canonical_net).collect(),
        }
    }

    /// Whether this address, in canonical form, may be connected to.
    pub(super) fn judge(&self, ip: IpAddr) -> Result<(), Forbidden> {
        if self.is_allowed(ip) {
            return Ok(());
        }
        if let Some(net) = containing(&self.deny, ip) {
            return Err(Forbidden::Address { net });
        }
        let mut inside = embedded_ipv4(ip).map(IpAddr::from).filter(|inside| !self.is_allowed(*inside));
        match inside.find_map(|inside| containing(&self.deny, inside)) {
            Some(net) => Err(Forbidden::Embedded { net }),
            None => Ok(()),
        }
    }

    /// Whether the operator allows this address explicitly.
    pub(super) fn is_allowed(&self, ip: IpAddr) -> bool {
        containing(&self.allow, ip).is_some()
    }
}

fn containing(nets: &[IpNet], ip: IpAddr) -> Option<IpNet> {
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

/// The IPv4 addresses that packets to this address may be passed on to, as far as the address itself tells: IPv4-compatible (RFC 4291,
/// section 2.5.5.1), IPv4-translated (RFC 2765, section 2.1), NAT64 under the well-known prefix (RFC 6052) and under the local one
/// (RFC 8215), 6to4 (RFC 3056), and Teredo, which writes its client's address inverted (RFC 4380).
fn embedded_ipv4(ip: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let segments = match ip {
        IpAddr::V6(ip) if ip != Ipv6Addr::UNSPECIFIED && ip != Ipv6Addr::LOCALHOST => Some(ip.segments()),
        _ => None,
    };
    let one = segments.and_then(|segments| match segments {
        [0, 0, 0, 0, 0, 0, hi, lo] | [0, 0, 0, 0, 0xffff, 0, hi, lo] => Some(ipv4(hi, lo)),
        [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => Some(ipv4(hi, lo)),
        [0x2002, hi, lo, ..] => Some(ipv4(hi, lo)),
        [0x2001, 0, _, _, _, _, hi, lo] => Some(ipv4(!hi, !lo)),
        _ => None,
    });
    let several = segments.and_then(|segments| match segments {
        [0x64, 0xff9b, 1, rest @ ..] => Some(local_nat64(rest)),
        _ => None,
    });
    one.into_iter().chain(several.into_iter().flatten())
}

/// The IPv4 address behind a NAT64 prefix of 48, 56, 64 or 96 bits (RFC 6052, section 2.2), all of which the local one has room for: it
/// goes around the ninth octet, and what is behind it does not count.
///
/// Which prefix a network has is not known here, so each is tried. By a wrong one many an address reads as one of `0.0.0.0/8`, to which
/// nothing is ever passed on.
fn local_nat64([a, b, c, d, e]: [u16; 5]) -> impl Iterator<Item = Ipv4Addr> {
    let behind_48 = ipv4(a, b << 8 | c >> 8);
    let behind_56 = ipv4(a << 8 | b & 0xff, c);
    let behind_64 = ipv4(b << 8 | c >> 8, c << 8 | d >> 8);
    let behind_96 = ipv4(d, e);
    [behind_48, behind_56, behind_64, behind_96].into_iter().filter(|address| address.octets()[0] != 0)
}

fn ipv4(hi: u16, lo: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo))
}
