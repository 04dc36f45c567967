//! The evaluation for one sender.

use std::net::IpAddr;

use super::super::{HostCheck, Identity, SpfReason, SpfResult};
use crate::mail_dns::test_zone::Zone;

const ZONE: &str = "example.com A 192.0.2.1
    example.com AAAA 2001:db8::1
    example.com MX 10 mx.example.com
    mx.example.com A 192.0.2.2
    pass.example TXT v=spf1 ip4:192.0.2.0/24 -all
    broken.example TXT v=spf1 foo
    failing.example SERVFAIL
    2.2.0.192.in-addr.arpa PTR mx.example.com
    3.2.0.192.in-addr.arpa PTR mx.example.com
    192.0.2.1.example A 127.0.0.2
    postmaster.lp.example A 127.0.0.2";

fn check(terms: &str, ip: &str) -> (SpfResult, SpfReason) {
    let mut zone = Zone::new(&format!("{ZONE}\nexample.com TXT v=spf1 {terms}"));
    check_in(&mut zone, ip)
}

fn check_in(zone: &mut Zone, ip: &str) -> (SpfResult, SpfReason) {
    let ip: IpAddr = ip.parse().expect("an address");
    let (local, domain) = ("postmaster".to_owned(), "Example.COM.".to_owned());
    let mut check = HostCheck::new(Identity { ip, local, domain, helo: "mx.example.com".to_owned() });
    let verdict = zone.run(|answers| check.step(answers));
    (verdict.result, verdict.reason)
}

#[test]
fn each_mechanism_matches_or_not() {
    use SpfResult::{Fail, Neutral, Pass, PermError, SoftFail, TempError};
    let cases = [
        ("-all", "192.0.2.1", Fail),
        ("~all", "192.0.2.1", SoftFail),
        ("?all", "192.0.2.1", Neutral),
        ("", "192.0.2.1", Neutral),
        ("a -all", "192.0.2.1", Pass),
        ("a -all", "192.0.2.2", Fail),
        ("a/30 -all", "192.0.2.2", Pass),
        ("a -all", "2001:db8::1", Pass),
        ("a//64 -all", "2001:db8::2", Pass),
        ("a -all", "::ffff:192.0.2.1", Pass),
        ("mx -all", "192.0.2.2", Pass),
        ("mx -all", "192.0.2.1", Fail),
        ("ptr -all", "192.0.2.2", Pass),
        // The name does not lead back to the address.
        ("ptr -all", "192.0.2.3", Fail),
        ("ip4:192.0.2.1 -all", "192.0.2.1", Pass),
        ("ip6:2001:db8::/32 -all", "2001:db8:1::", Pass),
        ("ip6:2001:db8::/32 -all", "192.0.2.1", Fail),
        ("exists:%{i}.example -all", "192.0.2.1", Pass),
        ("exists:%{i}.example -all", "192.0.2.2", Fail),
        ("exists:%{l}.lp.example -all", "192.0.2.9", Pass),
        ("a:%{p} -all", "192.0.2.2", Pass),
        ("a:%{h} -all", "192.0.2.2", Pass),
        ("include:pass.example -all", "192.0.2.9", Pass),
        ("include:pass.example -all", "198.51.100.1", Fail),
        ("redirect=pass.example", "192.0.2.9", Pass),
        ("redirect=pass.example", "198.51.100.1", Fail),
        ("include:gone.example -all", "192.0.2.1", PermError),
        ("include:mx.example.com -all", "192.0.2.1", PermError),
        ("redirect=gone.example", "192.0.2.1", PermError),
        ("include:broken.example -all", "192.0.2.1", PermError),
        ("include:failing.example -all", "192.0.2.1", TempError),
        ("a:failing.example -all", "192.0.2.1", TempError),
        ("foo -all", "192.0.2.1", PermError),
        // What comes before the first match is all that is asked for.
        ("a include:gone.example -all", "192.0.2.1", Pass),
    ];
    for (terms, ip, expected) in cases {
        let (result, reason) = check(terms, ip);
        assert_eq!(result, expected, "{terms} for {ip}: {reason}");
    }
}

#[test]
fn a_domain_without_a_record_has_no_result() {
    let (result, reason) = check_in(&mut Zone::new("example.com TXT hello"), "192.0.2.1");
    assert_eq!((result, reason.to_string()), (SpfResult::None, "no SPF record at example.com".to_owned()));
    assert_eq!(check_in(&mut Zone::new("example.com SERVFAIL"), "192.0.2.1").0, SpfResult::TempError);
    let two = "example.com TXT v=spf1 +all\nexample.com TXT v=spf1 +all";
    assert_eq!(check_in(&mut Zone::new(two), "192.0.2.1").0, SpfResult::PermError);
}

#[test]
fn the_term_that_decides_is_named() {
    let (_, reason) = check("mx include:pass.example -all", "192.0.2.9");
    assert_eq!(reason.to_string(), "\"include:pass.example\" of the record at example.com matches");
    let (_, reason) = check("redirect=pass.example", "192.0.2.9");
    assert_eq!(reason.to_string(), "\"ip4:192.0.2.0/24\" of the record at pass.example matches");
}

#[test]
fn ten_lookups_are_made_and_no_more() {
    assert_eq!(check(&format!("{} -all", "a ".repeat(10)), "192.0.2.9").0, SpfResult::Fail);
    let (result, reason) = check(&format!("{} -all", "a ".repeat(11)), "192.0.2.9");
    assert_eq!((result, reason), (SpfResult::PermError, SpfReason::TooManyLookups));
    let (result, _) = check(&format!("include:pass.example {} redirect=pass.example", "a ".repeat(9)), "198.51.100.1");
    assert_eq!(result, SpfResult::PermError);
    let (result, _) = check("include:example.com -all", "192.0.2.9");
    assert_eq!(result, SpfResult::PermError);
}

#[test]
fn two_terms_may_find_nothing() {
    assert_eq!(check("a:x.example a:y.example -all", "192.0.2.9").0, SpfResult::Fail);
    let (result, reason) = check("a:x.example a:y.example a:z.example -all", "192.0.2.9");
    assert_eq!((result, reason), (SpfResult::PermError, SpfReason::TooManyVoids));
    // For a sender with IPv4, a name without AAAA records is no void lookup.
    assert_eq!(check("a:x.example a:y.example a:mx.example.com -all", "192.0.2.9").0, SpfResult::Fail);
    assert_eq!(check("a:x.example a:y.example a:mx.example.com -all", "2001:db8::9").0, SpfResult::PermError);
}

#[test]
fn an_mx_term_with_eleven_hosts_is_an_error() {
    let hosts = |count: usize| -> String {
        (0..count)
            .map(|host| format!("\nexample.com MX 10 h{host}.example\nh{host}.example A 192.0.2.{host}"))
            .collect()
    };
    let zone = |count| Zone::new(&format!("example.com TXT v=spf1 mx -all{}", hosts(count)));
    assert_eq!(check_in(&mut zone(10), "192.0.2.9").0, SpfResult::Pass);
    assert_eq!(check_in(&mut zone(11), "192.0.2.9").0, SpfResult::PermError);
}
