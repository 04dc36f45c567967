//! [`AddressRules`]: the networks that are denied and allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::Forbidden;

/// Networks that are denied, and networks that are allowed although denied.
///
/// An IPv4-mapped address (`::ffff:a.b.c.d`) counts as the IPv4 address in it, and so does a network of them in the
/// rules: `::ffff:169.254.0.0/112` is `169.254.0.0/16`, and `::ffff:0:0/96` is all of IPv4.
///
/// An IPv6 address with an embedded IPv4 address, to which its packets go, is denied if that address is. To allow the
/// IPv4 address allows both.
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
    pub(super) fn check(&self, ip: IpAddr) -> Result<(), Forbidden> {
        if self.is_allowed(ip) {
            return Ok(());
        }
        if let Some(net) = containing(&self.deny, ip) {
            return Err(Forbidden::Address { net });
        }
        let mut embedded = embedded_ipv4(ip).map(IpAddr::from).filter(|ipv4| !self.is_allowed(*ipv4));
        match embedded.find_map(|ipv4| containing(&self.deny, ipv4)) {
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

/// A network of IPv4-mapped addresses as the network of the IPv4 addresses.
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

/// The IPv4 addresses to which packets to this address may go, as far as the address itself tells: IPv4-compatible (RFC
/// 4291, section 2.5.5.1), IPv4-translated (RFC 2765, section 2.1), NAT64 with the well-known prefix (RFC 6052) and
/// with the local one (RFC 8215), 6to4 (RFC 3056), and Teredo, which has its client's address inverted (RFC 4380).
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

/// The IPv4 address after a NAT64 prefix of 48, 56, 64 or 96 bits (RFC 6052, section 2.2), all of which fit into the
/// local one. It leaves out the ninth octet, and the octets after it do not count.
///
/// The prefix of a network is not known here, so each length is tried. With a wrong one many addresses look like one of
/// `0.0.0.0/8`, to which no packet goes.
fn local_nat64([a, b, c, d, e]: [u16; 5]) -> impl Iterator<Item = Ipv4Addr> {
    let after_48 = ipv4(a, b << 8 | c >> 8);
    let after_56 = ipv4(a << 8 | b & 0xff, c);
    let after_64 = ipv4(b << 8 | c >> 8, c << 8 | d >> 8);
    let after_96 = ipv4(d, e);
    [after_48, after_56, after_64, after_96].into_iter().filter(|address| address.octets()[0] != 0)
}

fn ipv4(hi: u16, lo: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo))
}
