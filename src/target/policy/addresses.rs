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
        let Some(inside) = embedded_ipv4(ip).map(IpAddr::from) else {
            return Ok(());
        };
        match containing(&self.deny, inside) {
            Some(net) if !self.is_allowed(inside) => Err(Forbidden::Embedded { net }),
            _ => Ok(()),
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

/// The IPv4 address that packets to this address are passed on to, as far as the address itself tells: IPv4-compatible (RFC 4291,
/// section 2.5.5.1), IPv4-translated (RFC 2765, section 2.1), NAT64 under the well-known prefix (RFC 6052) and, in the form of
/// that one, the local prefix (RFC 8215), 6to4 (RFC 3056), and Teredo, which writes its client's address inverted (RFC 4380).
fn embedded_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    let last = |hi: u16, lo: u16| Some(Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo)));
    match ip.segments() {
        _ if ip == Ipv6Addr::UNSPECIFIED || ip == Ipv6Addr::LOCALHOST => None,
        [0, 0, 0, 0, 0, 0, hi, lo] | [0, 0, 0, 0, 0xffff, 0, hi, lo] => last(hi, lo),
        [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] | [0x64, 0xff9b, 1, 0, 0, 0, hi, lo] => last(hi, lo),
        [0x2002, hi, lo, ..] => last(hi, lo),
        [0x2001, 0, _, _, _, _, hi, lo] => last(!hi, !lo),
        _ => None,
    }
}
