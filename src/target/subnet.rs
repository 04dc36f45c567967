//! What the address of a host is counted by.

use std::net::IpAddr;

use ipnet::IpNet;

/// Bits of the IPv6 network that one link has, and so the least that anybody gets (RFC 4291, section 2.5.4; RFC 6177).
const IPV6_PREFIX: u8 = 64;

/// The network that whoever has this address can take others from at will: of IPv4 the address alone, of IPv6 its first 64 bits.
///
/// A limit on each address would be none for one machine with 2⁶⁴ of them.
pub fn subnet_of(address: IpAddr) -> IpNet {
    match IpNet::from(address.to_canonical()) {
        IpNet::V6(net) => IpNet::new_assert(net.addr().into(), IPV6_PREFIX).trunc(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ipv6_a_network_is_one_and_of_ipv4_an_address() {
        for (address, subnet) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(subnet_of(address).to_string(), subnet, "{address}");
        }
    }
}
