//! The client's IP address: tables, and headers of hostile clients.

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn trusting(nets: &[&str]) -> TrustedProxies {
    nets.iter().map(|net| net.parse::<IpNet>().expect("a network")).collect()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse::<HeaderValue>().expect("a value")))
        .collect()
}

/// The client of a request from 10.0.0.1, where 10.0.0.0/8 and 2001:db8:1::/48 are trusted.
fn client(lines: &[(&'static str, &str)]) -> String {
    trusting(&["10.0.0.0/8", "2001:db8:1::/48"]).client_ip(ip("10.0.0.1"), &headers(lines)).to_string()
}

#[test]
fn only_trusted_proxies_may_name_the_client() {
    let told = headers(&[("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7")]);
    for (nets, peer) in [
        (&[][..], "10.0.0.1"),
        (&["10.0.0.0/8"], "192.0.2.1"),
        (&["10.0.0.0/8"], "2001:db8::1"),
        (&["::/0"], "192.0.2.1"),
        (&["0.0.0.0/0"], "2001:db8::1"),
    ] {
        assert_eq!(trusting(nets).client_ip(ip(peer), &told), ip(peer), "{nets:?}");
    }
    for (nets, peer) in [
        (&["10.0.0.0/8"][..], "10.9.9.9"),
        (&["10.0.0.0/8"], "::ffff:10.9.9.9"),
        (&["::ffff:10.0.0.0/104"], "10.9.9.9"),
        (&["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1"),
    ] {
        assert_eq!(trusting(nets).client_ip(ip(peer), &told), ip("203.0.113.7"), "{nets:?} {peer}");
    }
}

#[test]
fn x_forwarded_for_is_read_from_the_right() {
    for (value, expected) in [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7,10.2.0.1 , 10.3.0.1", "203.0.113.7"),
        ("10.4.0.1, 10.3.0.1", "10.4.0.1"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("203.0.113.7, 2001:db8:1::9", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, ::ffff:10.0.0.9", "203.0.113.7"),
        // The address of the hop that wrote the garbage is known, the client is not.
        ("203.0.113.7, unknown, 10.3.0.1", "10.3.0.1"),
        ("203.0.113.7, garbage", "10.0.0.1"),
        ("203.0.113.7,", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("203.0.113.7 198.51.100.1", "10.0.0.1"),
        ("\"203.0.113.7\"", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1"),
        ("0x7f.1", "10.0.0.1"),
    ] {
        assert_eq!(client(&[("x-forwarded-for", value)]), expected, "{value}");
    }
    // Several lines are one list, the later line further right.
    assert_eq!(
        client(&[("x-forwarded-for", "203.0.113.7, 203.0.113.8"), ("x-forwarded-for", "10.3.0.1")]),
        "203.0.113.8"
    );
}

#[test]
fn forwarded_is_read_from_the_right() {
    for (value, expected) in [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=\"203.0.113.7:4711\";proto=https;by=10.0.0.1", "203.0.113.7"),
        ("proto=https; for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=198.51.100.1, for=203.0.113.7, for=10.3.0.1", "203.0.113.7"),
        ("for=203.0.113.7, for=unknown, for=10.3.0.1", "10.3.0.1"),
        ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
        ("for=203.0.113.7, proto=http", "10.0.0.1"),
        ("for=203.0.113.7;for=198.51.100.1", "10.0.0.1"),
        ("for=\"203.0.113.7", "10.0.0.1"),
        ("203.0.113.7", "10.0.0.1"),
        // An open quote of the client does not swallow what the proxy appended.
        ("for=\"198.51.100.1, for=203.0.113.7", "203.0.113.7"),
        // Nor is a part of a quoted host name an element.
        ("for=203.0.113.7;host=\"x, for=198.51.100.1\"", "10.0.0.1"),
        ("for=203.0.113.7;host=\"x, for=198.51.100.1;y=\\\"\"", "10.0.0.1"),
    ] {
        assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
    }
}

#[test]
fn two_headers_that_differ_are_both_ignored() {
    let both = |one: &str, other: &str| client(&[("x-forwarded-for", one), ("forwarded", other)]);
    assert_eq!(both("203.0.113.7", "for=203.0.113.7"), "203.0.113.7");
    assert_eq!(both("198.51.100.1, 203.0.113.7", "for=203.0.113.7"), "203.0.113.7");
    assert_eq!(both("203.0.113.7", "for=198.51.100.1"), "10.0.0.1");
    assert_eq!(both("203.0.113.7", "garbage"), "10.0.0.1");
}

/// Header values of a hostile client: any bytes, and often something close to an address.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just("for=".to_owned()),
        Just("for=\"[2001:db8::1]:1\"".to_owned()),
        Just("198.51.100.66".to_owned()),
        Just("10.0.0.66".to_owned()),
        "[,;=\" \\\\\\[\\]:.a-f0-9]{0,8}",
    ];
    prop_oneof![
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
        prop::collection::vec(prop_oneof![Just(b'\t'), 32..=126u8, 128..=255u8], 0..200),
    ]
}

proptest! {
    #[test]
    fn the_address_that_the_proxy_appends_wins(sent in hostile(), on_one_line in any::<bool>()) {
        for (name, added) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7;proto=https")] {
            let mut headers = HeaderMap::new();
            if on_one_line {
                let line = [&sent[..], b", ", added.as_bytes()].concat();
                headers.append(name, HeaderValue::from_bytes(&line).expect("a value"));
            } else {
                headers.append(name, HeaderValue::from_bytes(&sent).expect("a value"));
                headers.append(name, HeaderValue::from_static(added));
            }
            let found = trusting(&["10.0.0.0/8"]).client_ip(ip("10.0.0.1"), &headers);
            prop_assert_eq!(found, ip("203.0.113.7"));
        }
    }

    #[test]
    fn the_other_header_yields_no_other_address(sent in hostile()) {
        for (own, added, other) in
            [("x-forwarded-for", "203.0.113.7", "forwarded"), ("forwarded", "for=203.0.113.7", "x-forwarded-for")]
        {
            let mut headers = HeaderMap::new();
            headers.append(own, HeaderValue::from_static(added));
            headers.append(other, HeaderValue::from_bytes(&sent).expect("a value"));
            let found = trusting(&["10.0.0.0/8"]).client_ip(ip("10.0.0.1"), &headers);
            prop_assert!(found == ip("203.0.113.7") || found == ip("10.0.0.1"), "{}", found);
        }
    }

    #[test]
    fn headers_of_untrusted_peers_are_ignored(sent in hostile()) {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_bytes(&sent).expect("a value"));
        headers.append("forwarded", HeaderValue::from_bytes(&sent).expect("a value"));
        prop_assert_eq!(trusting(&["10.0.0.0/8"]).client_ip(ip("192.0.2.1"), &headers), ip("192.0.2.1"));
    }
}

#[test]
fn a_huge_header_is_ignored() {
    for filler in [",", "garbage,", "\"", ";", "for=", "\\"] {
        let value = filler.repeat((64 << 10) / filler.len());
        assert_eq!(client(&[("x-forwarded-for", &value)]), "10.0.0.1", "{filler}");
        assert_eq!(client(&[("forwarded", &value)]), "10.0.0.1", "{filler}");
    }
    // A header full of trusted proxies: the leftmost one is taken for the client.
    let value = format!("10.9.9.9{}", ",10.0.0.9".repeat(7000));
    assert_eq!(client(&[("x-forwarded-for", &value)]), "10.9.9.9");
}
