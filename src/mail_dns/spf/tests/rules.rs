//! Each rule about SPF: where it is true, and where it just is not.

use super::{faults, survey, with_lookups};
use crate::mail_dns::State;

fn state(zone: &str) -> State {
    survey(zone).state()
}

/// Faults of a record of `example.com`, which needs no other name.
fn of_record(record: &str) -> Vec<String> {
    faults(&format!("example.com TXT {record}"))
}

#[test]
fn ten_lookups_are_allowed_and_eleven_are_not() {
    assert_eq!(faults(&with_lookups(8)), [""; 0]);
    assert_eq!(faults(&with_lookups(9)), ["9 lookups of the 10 allowed"]);
    assert_eq!(faults(&with_lookups(10)), ["10 lookups of the 10 allowed"]);
    assert_eq!(state(&with_lookups(10)), State::Ok);
    assert_eq!(faults(&with_lookups(11))[0], "11 lookups, more than the 10 allowed");
    assert_eq!(state(&with_lookups(11)), State::Invalid);
}

#[test]
fn nested_lookups_count_for_the_limit() {
    let nested = |inner: usize| {
        let inner = with_lookups(inner).replacen("example.com", "inner.example", 1);
        format!("example.com TXT v=spf1 include:inner.example -all\n{inner}")
    };
    assert_eq!(faults(&nested(9)), ["10 lookups of the 10 allowed"]);
    assert_eq!(faults(&nested(10))[0], "11 lookups, more than the 10 allowed");
}

#[test]
fn a_chain_of_redirects_counts_for_the_limit() {
    let chain = |count: usize| {
        let links: String =
            (1..count).map(|link| format!("r{link}.example TXT v=spf1 redirect=r{}.example\n", link + 1)).collect();
        format!("example.com TXT v=spf1 redirect=r1.example\n{links}r{count}.example TXT v=spf1 -all")
    };
    assert_eq!(faults(&chain(10)), ["10 lookups of the 10 allowed"]);
    assert_eq!(faults(&chain(11)), ["11 lookups, more than the 10 allowed"]);
}

#[test]
fn two_void_terms_are_allowed_and_three_are_not() {
    let two = "example.com TXT v=spf1 a:x.example a:y.example -all";
    assert_eq!(faults(two), [""; 0]);
    let three = "example.com TXT v=spf1 a:x.example a:y.example exists:z.example -all";
    let text = |family| format!("3 terms find nothing for a sender with {family}, more than the 2 allowed");
    assert_eq!(faults(three), [text("an IPv4 address"), text("an IPv6 address")]);
    assert_eq!(state(three), State::Ok);
    let ipv6 = format!("{three}\nz.example A 127.0.0.2\nx.example A 192.0.2.1\nw.example A 192.0.2.1")
        .replace("exists:z.example", "a:z.example");
    assert_eq!(faults(&ipv6), [text("an IPv6 address")]);
}

#[test]
fn an_mx_term_has_at_most_ten_hosts() {
    let zone = |count: usize| {
        let hosts: String = (0..count)
            .map(|host| {
                format!("example.com MX 10 mx{host}.example\nmx{host}.example A 192.0.2.1\nmx{host}.example AAAA ::1\n")
            })
            .collect();
        format!("example.com TXT v=spf1 mx -all\n{hosts}")
    };
    assert_eq!(faults(&zone(10)), [""; 0]);
    assert_eq!(faults(&zone(11)), ["mx at example.com has 11 hosts, more than the 10 allowed"]);
    assert_eq!(state(&zone(11)), State::Invalid);
}

#[test]
fn more_than_one_record_is_an_error() {
    let zone = "example.com TXT v=spf1 -all\nexample.com TXT other\nexample.com TXT v=spf1 a -all";
    assert_eq!((faults(zone), state(zone)), (vec!["2 SPF records at example.com".to_owned()], State::Invalid));
    let included = "example.com TXT v=spf1 include:a.example -all\na.example TXT v=spf1\na.example TXT v=spf1";
    assert_eq!((faults(included), state(included)), (vec!["2 SPF records at a.example".to_owned()], State::Invalid));
}

#[test]
fn what_should_have_been_a_record_is_named() {
    let cases = [
        (" v=spf1 -all", "something before \"v=spf1\" at example.com", State::Invalid),
        ("\"v=spf1 -all\"", "something before \"v=spf1\" at example.com", State::Invalid),
        ("v=spf1;-all", "no space after \"v=spf1\" at example.com", State::Invalid),
        ("v=spf1\t-all", "no space after \"v=spf1\" at example.com", State::Invalid),
        ("v=spf2 -all", "a version that is not \"v=spf1\" at example.com", State::Invalid),
        ("spf1 -all", "a version that is not \"v=spf1\" at example.com", State::Invalid),
        ("spf2.0/pra -all", "a record of Sender ID, which is not SPF at example.com", State::Absent),
    ];
    for (record, expected, state) in cases {
        let spf = survey(&format!("example.com TXT {record}"));
        let faults: Vec<_> = spf.faults().iter().map(ToString::to_string).collect();
        assert_eq!((faults, spf.state()), (vec![expected.to_owned()], state), "{record}");
    }
    // Beside a record it is a note.
    assert_eq!(faults("example.com TXT v=spf1 -all\nexample.com TXT spf2.0/pra -all"), [""; 0]);
}

#[test]
fn a_syntax_fault_is_an_error_wherever_it_is() {
    assert_eq!(
        of_record("v=spf1 ipv4:192.0.2.1 -all"),
        ["unknown mechanism in \"ipv4:192.0.2.1\" at octet 7 of the record at example.com"]
    );
    // What cannot be read may have been the `all`.
    assert_eq!(of_record("v=spf1 a1ll"), ["unknown mechanism in \"a1ll\" at octet 7 of the record at example.com"]);
    let included = "example.com TXT v=spf1 include:a.example -all\na.example TXT v=spf1 foo -all";
    assert_eq!(faults(included), ["unknown mechanism in \"foo\" at octet 7 of the record at a.example"]);
    assert_eq!(state(included), State::Invalid);
}

#[test]
fn an_include_without_a_record_is_broken() {
    let cases = [
        ("", "the name does not exist"),
        ("a.example A 192.0.2.1", "the name has no SPF record"),
        ("a.example TXT hello", "the name has no SPF record"),
        ("a.example TXT v=spf1 redirect=example.com", ""),
    ];
    for (zone, broken) in cases {
        for term in ["include:a.example", "redirect=a.example"] {
            let zone = format!("example.com TXT v=spf1 {term}\n{zone}");
            let faults = faults(&zone);
            let expected = match broken {
                "" => "redirect=example.com at a.example: it leads back to a record that it is part of".to_owned(),
                broken => format!("{term} at example.com: {broken}"),
            };
            assert!(faults.contains(&expected), "{zone}: {faults:?}");
            assert_eq!(state(&zone), State::Invalid, "{zone}");
        }
    }
    // A mechanism that is not an include finds nothing, and that is all.
    assert_eq!(of_record("v=spf1 a:a.example -all"), [""; 0]);
}

#[test]
fn a_permissive_record_is_named() {
    let cases: &[(&str, &[&str])] = &[
        ("v=spf1 +all", &["the record at example.com passes every sender"]),
        ("v=spf1 all", &["the record at example.com passes every sender"]),
        ("v=spf1 ?all", &["the record at example.com ends in \"?all\""]),
        ("v=spf1 ~all", &["the record at example.com ends in \"~all\""]),
        ("v=spf1 -all", &[]),
        ("v=spf1", &["the record at example.com has neither \"all\" nor \"redirect\""]),
        ("v=spf1 ip4:192.0.2.1", &["the record at example.com has neither \"all\" nor \"redirect\""]),
        ("v=spf1 ip4:10.0.0.0/8 -all", &["ip4:10.0.0.0/8 at example.com passes a network with a prefix of /8"]),
        ("v=spf1 ip4:10.0.0.0/9 -all", &[]),
        ("v=spf1 -ip4:10.0.0.0/8 ip4:192.0.2.1 -all", &[]),
        ("v=spf1 ip6:2000::/3 -all", &["ip6:2000::/3 at example.com passes a network with a prefix of /3"]),
    ];
    for (record, expected) in cases {
        assert_eq!(of_record(record), *expected, "{record}");
    }
}

#[test]
fn a_permissive_record_is_found_through_others() {
    let zone = |terms: &str, inner: &str| {
        format!(
            "example.com TXT v=spf1 {terms}\na.example TXT v=spf1 include:b.example -all\nb.example TXT v=spf1 {inner}"
        )
    };
    let passes = ["the record at b.example passes every sender"];
    assert_eq!(faults(&zone("include:a.example -all", "+all")), passes);
    assert_eq!(faults(&zone("-include:a.example -all", "+all")), [""; 0]);
    assert_eq!(faults(&zone("include:a.example -all", "?all")), [""; 0]);
    assert_eq!(faults(&zone("redirect=b.example", "+all")), passes);
    assert_eq!(faults(&zone("redirect=b.example", "~all")), ["the record at example.com ends in \"~all\""]);
    assert_eq!(
        faults(&zone("redirect=b.example", "ip4:192.0.2.1")),
        ["the record at b.example has neither \"all\" nor \"redirect\""]
    );
    assert_eq!(faults(&zone("redirect=b.example", "-all")), [""; 0]);
}

#[test]
fn terms_without_effect_are_named() {
    let cases: &[(&str, &[&str])] = &[
        ("v=spf1 a -all mx ip4:192.0.2.1", &["terms after \"all\" at example.com are ignored: mx ip4:192.0.2.1"]),
        ("v=spf1 a -all exp=why.example", &[]),
        ("v=spf1 a redirect=a.example -all", &["redirect=a.example beside \"all\" at example.com is ignored"]),
        ("v=spf1 ptr -all", &["ptr at example.com should not be used"]),
        ("v=spf1 -all ptr", &["terms after \"all\" at example.com are ignored: ptr"]),
    ];
    for (record, expected) in cases {
        assert_eq!(of_record(record), *expected, "{record}");
    }
}

#[test]
fn a_record_that_may_not_fit_into_a_datagram_is_named() {
    let zone = |octets: usize| format!("example.com TXT v=spf1 -all\nexample.com TXT {}", "x".repeat(octets - 22));
    assert_eq!(faults(&zone(450)), [""; 0]);
    assert_eq!(faults(&zone(451)), ["451 octets of name and TXT records at example.com, more than 450"]);
}
