//! The rules about addresses and ports, and together with those about names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

fn check(policy: &TargetPolicy, text: &str) -> Result<IpAddr, Forbidden> {
    policy.admit_literal().address(SocketAddr::new(ip(text), 25)).map(|admitted| admitted.socket_addr().ip())
}

#[test]
fn the_default_denies_link_local_and_what_is_not_one_host() {
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
        "64:ff9b:1:ffff::a9fe:a9fe",
        // With prefixes of 48, 56 and 64 bits, and with octets after the address.
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:12a9:fe:a9fe::",
        "64:ff9b:1:1234:a9:fea9:fe00:0",
        "64:ff9b:1:1234:a9:fea9:feff:ffff",
    ] {
        let result = check(&TargetPolicy::default(), denied);
        assert!(result.is_err(), "{denied}: {result:?}");
    }
}

#[test]
fn the_default_denies_cloud_metadata_beyond_link_local() {
    let allowing = TargetPolicy::new([], nets(&TargetPolicy::CLOUD_METADATA), []);
    for net in nets(&TargetPolicy::CLOUD_METADATA) {
        let address = net.addr().to_string();
        assert_eq!(check(&TargetPolicy::default(), &address), Err(Forbidden::Address { net }), "{address}");
        assert_eq!(check(&allowing, &address), Ok(net.addr()), "an explicit allow");
        if let IpAddr::V4(v4) = net.addr() {
            for form in [format!("::ffff:{v4}"), format!("64:ff9b::{v4}"), format!("64:ff9b:1:7::{v4}")] {
                assert!(check(&TargetPolicy::default(), &form).is_err(), "{form}");
            }
        }
    }
    for neighbour in ["100.100.100.199", "168.63.129.17", "192.0.0.191", "fd00:ec2::253", "fd20:ce::253"] {
        assert_eq!(check(&TargetPolicy::default(), neighbour), Ok(ip(neighbour)));
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
        "64:ff9b:1::192.0.2.1",
        "64:ff9b:1:c000:2:100::",
        "64:ff9c::169.254.169.254",
        "2002:c000:201::1",
        "2003:a9fe:a9fe::1",
        "1::a9fe:a9fe",
    ] {
        assert_eq!(check(&TargetPolicy::default(), admitted), Ok(ip(admitted)), "{admitted}");
    }
}

#[test]
fn a_mapped_address_is_admitted_as_the_ipv4_address() {
    let policy = TargetPolicy::default();
    assert_eq!(check(&policy, "::ffff:192.0.2.1"), Ok(ip("192.0.2.1")));
    let scoped = "[2001:db8::1%7]:25".parse().expect("a socket address");
    assert_eq!(
        policy.admit_literal().address(scoped).map(Admitted::socket_addr),
        Ok("[2001:db8::1]:25".parse().expect("a socket address"))
    );
}

#[test]
fn rules_count_in_either_form() {
    for deny in ["10.0.0.0/8", "10.1.2.3/8", "::ffff:10.0.0.0/104"] {
        let policy = TargetPolicy::new(nets(&[deny]), [], []);
        for denied in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert_eq!(
                check(&policy, denied),
                Err(Forbidden::Address { net: "10.0.0.0/8".parse().expect("a network") }),
                "{deny} {denied}"
            );
        }
        for denied in ["::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::"] {
            assert_eq!(
                check(&policy, denied),
                Err(Forbidden::Embedded { net: "10.0.0.0/8".parse().expect("a network") }),
                "{deny} {denied}"
            );
        }
        assert_eq!(check(&policy, "11.0.0.1"), Ok(ip("11.0.0.1")), "{deny}");
    }
}

#[test]
fn networks_around_the_mapped_range_are_ipv6() {
    let policy = TargetPolicy::new(nets(&["::/0"]), [], []);
    assert!(check(&policy, "2001:db8::1").is_err());
    assert_eq!(check(&policy, "::ffff:192.0.2.1"), Ok(ip("192.0.2.1")));
    let policy = TargetPolicy::new(nets(&["::ffff:0:0/96"]), [], []);
    assert!(check(&policy, "192.0.2.1").is_err());
    assert_eq!(check(&policy, "2001:db8::1"), Ok(ip("2001:db8::1")));
}

#[test]
fn allow_wins_over_deny() {
    let policy = TargetPolicy::new(
        nets(&["0.0.0.0/0", "::/0"]),
        nets(&["192.0.2.0/24", "::ffff:169.254.1.0/120", "2001:db8::/32"]),
        [],
    );
    for admitted in ["192.0.2.1", "::ffff:192.0.2.1", "169.254.1.9", "2001:db8::1"] {
        assert!(check(&policy, admitted).is_ok(), "{admitted}");
    }
    for denied in ["192.0.3.1", "169.254.2.1", "2001:db9::1", "64:ff9b::192.0.2.1"] {
        assert!(check(&policy, denied).is_err(), "{denied}");
    }
    let policy = TargetPolicy::new(nets(&["10.0.0.0/8"]), nets(&["10.9.0.0/16", "64:ff9b::10.8.0.0/112"]), []);
    for admitted in ["64:ff9b::10.9.0.1", "64:ff9b::10.8.0.1"] {
        assert!(check(&policy, admitted).is_ok(), "{admitted}");
    }
    assert!(check(&policy, "64:ff9b::10.7.0.1").is_err());
}

#[test]
fn with_an_allow_list_of_names_an_address_has_to_be_allowed() {
    let hosts = HostRules::new([], ["good.test".parse().expect("a rule")]);
    let policy = TargetPolicy::new([], nets(&["192.0.2.0/24", "169.254.1.0/24"]), []).with_hosts(hosts);
    let target = |text: &str| policy.admit_target(&text.parse().expect("a target"), 25);
    for (text, expected) in [
        ("good.test", Ok(())),
        ("bad.test", Err(Forbidden::Unlisted)),
        ("192.0.2.1", Ok(())),
        ("169.254.1.1", Ok(())),
        ("192.0.3.1", Err(Forbidden::Nameless)),
        ("169.254.2.1", Err(Forbidden::Address { net: "169.254.0.0/16".parse().expect("a network") })),
    ] {
        assert_eq!(target(text), expected, "{text}");
    }
    let named = policy.admit_host(&"good.test".parse().expect("a name")).expect("an allowed name");
    assert!(named.address(SocketAddr::new(ip("192.0.3.1"), 25)).is_ok(), "the addresses of an allowed name");
    assert!(named.address(SocketAddr::new(ip("169.254.2.1"), 25)).is_err(), "but no denied address");
}

#[test]
fn another_port_is_forbidden_even_where_the_address_is_allowed() {
    let policy = TargetPolicy::new([], nets(&["192.0.2.0/24"]), [25, 587]);
    for (port, expected) in [(25, Ok(())), (587, Ok(())), (26, Err(Forbidden::Port { port: 26 }))] {
        let address = SocketAddr::new(ip("192.0.2.1"), port);
        assert_eq!(policy.admit_literal().address(address).map(|_| ()), expected);
    }
}

#[test]
fn the_error_contains_the_network_and_not_the_address() {
    let result = check(&TargetPolicy::default(), "169.254.169.254");
    assert_eq!(
        result.map_err(|forbidden| forbidden.to_string()),
        Err("the target is in 169.254.0.0/16, a network that this service may not connect to".to_owned())
    );
}

proptest! {
    #[test]
    fn no_form_of_a_denied_ipv4_address_is_admitted(bits: u32, prefix in 1u8..=32, low: u64) {
        let v4 = Ipv4Addr::from(bits);
        let net = IpNet::new(v4.into(), prefix).expect("a prefix up to 32");
        let policy = TargetPolicy::new([net], [], []);
        let [a, b] = [(bits >> 16) as u16, bits as u16];
        let [.., w, x, y, z] = Ipv6Addr::from_bits(low.into()).segments();
        for form in [
            v4.into(),
            v4.to_ipv6_mapped().into(),
            IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, a, b]),
            IpAddr::from([0, 0, 0, 0, 0xffff, 0, a, b]),
            IpAddr::from([0x2002, a, b, 0, w, x, y, z]),
            IpAddr::from([0x2001, 0, w, x, y, z, !a, !b]),
        ] {
            prop_assert!(policy.admit_literal().address(SocketAddr::new(form, 25)).is_err(), "{}", form);
        }
    }

    #[test]
    fn no_local_nat64_prefix_bypasses_the_policy(bits in 0x0100_0000u32.., prefix in 1u8..=32, around: u128) {
        let net = IpNet::new(Ipv4Addr::from(bits).into(), prefix).expect("a prefix up to 32");
        let policy = TargetPolicy::new([net], [], []);
        let [o0, o1, o2, o3] = bits.to_be_bytes();
        let octets = |places: [usize; 4]| {
            let mut octets = around.to_be_bytes();
            octets[..6].copy_from_slice(&[0, 0x64, 0xff, 0x9b, 0, 1]);
            for (place, octet) in places.into_iter().zip([o0, o1, o2, o3]) {
                octets[place] = octet;
            }
            octets
        };
        for places in [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]] {
            let form = IpAddr::from(octets(places));
            prop_assert!(policy.admit_literal().address(SocketAddr::new(form, 25)).is_err(), "{}", form);
        }
    }

    #[test]
    fn the_admitted_address_is_the_given_one(bits: u128, port: u16) {
        let address = SocketAddr::new(Ipv6Addr::from_bits(bits).into(), port);
        if let Ok(admitted) = TargetPolicy::default().admit_literal().address(address) {
            prop_assert_eq!(admitted.socket_addr().ip(), address.ip().to_canonical());
            prop_assert_eq!(admitted.socket_addr().port(), port);
        }
    }
}
