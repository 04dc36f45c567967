//! The tree: what is counted, and what leads where.

use super::{
    super::{Broken, Published, Target, TermNode},
    survey, with_lookups,
};
use crate::mail_dns::{LookupFailure, State};

fn terms(terms: &[TermNode]) -> Vec<(&str, usize)> {
    terms.iter().map(|term| (term.text.as_str(), term.lookups)).collect()
}

#[test]
fn lookups_are_counted_over_the_whole_tree() {
    let spf = survey(
        "example.com TXT v=spf1 ip4:192.0.2.1 mx include:one.example include:two.example -all exp=why.example.com
         example.com MX 10 mx.example.com
         mx.example.com A 192.0.2.2
         mx.example.com AAAA 2001:db8::2
         one.example TXT v=spf1 a:mx.example.com include:three.example ~all
         two.example TXT v=spf1 redirect=three.example
         three.example TXT v=spf1 ip4:192.0.2.3 -all",
    );
    assert_eq!(terms(&spf.root.terms), [("mx", 1), ("include:one.example", 3), ("include:two.example", 2)]);
    assert_eq!(terms(spf.root.terms[1].children()), [("a:mx.example.com", 1), ("include:three.example", 1)]);
    assert!(spf.root.terms[2].children()[0].is_redirect);
    assert_eq!((spf.lookups, spf.root.depth(), spf.state()), (6, 3, State::Ok));
    let (ipv4, ipv6) = spf.voids();
    assert_eq!((ipv4.terms, ipv6.terms, spf.cut, spf.failed.as_slice()), (0, 0, None, &[] as &[_]));
}

#[test]
fn terms_that_are_never_evaluated_are_not_counted() {
    let spf = survey("example.com TXT v=spf1 -all a mx include:one.example redirect=two.example");
    assert_eq!((spf.lookups, spf.state()), (0, State::Ok));
}

#[test]
fn an_include_counts_each_time() {
    let spf = survey(
        "example.com TXT v=spf1 include:one.example include:one.example -all
         one.example TXT v=spf1 include:two.example -all
         two.example TXT v=spf1 -all",
    );
    assert_eq!(spf.lookups, 4);
}

#[test]
fn a_loop_ends_where_it_closes() {
    let spf = survey(
        "example.com TXT v=spf1 include:one.example -all
         one.example TXT v=spf1 redirect=EXAMPLE.com",
    );
    let redirect = &spf.root.terms[0].children()[0];
    assert_eq!(redirect.target, Target::Loop("example.com".to_owned()));
    assert_eq!((redirect.broken(), spf.lookups), (Some(Broken::Loop), 2));
    let spf = survey("example.com TXT v=spf1 include:example.com -all");
    assert_eq!((spf.root.terms[0].broken(), spf.state()), (Some(Broken::Loop), State::Invalid));
}

#[test]
fn macros_that_only_need_the_domain_are_followed() {
    let spf = survey(
        "example.com TXT v=spf1 include:%{d2}.spf.example include:_%{o} exists:%{i}.%{d} include:%{l}.example -all
         example.com.spf.example TXT v=spf1 a:%{d1r}.example -all
         example.example A 192.0.2.1
         example.example AAAA ::1
         _example.com TXT v=spf1 -all",
    );
    assert_eq!(spf.root.terms[0].children()[0].target, Target::Addresses("example.example".to_owned()));
    let targets: Vec<_> = spf.root.terms[1..].iter().map(|term| &term.target).collect();
    assert!(matches!(targets[..], [Target::Record(_), Target::Macro, Target::Macro]), "{targets:?}");
    assert_eq!((spf.lookups, spf.state()), (5, State::Ok));
}

#[test]
fn voids_are_counted_for_each_address_family() {
    let spf = survey(
        "example.com TXT v=spf1 a a:gone.example mx exists:gone.example mx:empty.example ptr -all
         example.com A 192.0.2.1
         example.com MX 10 one.example
         example.com MX 20 two.example
         one.example A 192.0.2.2
         two.example AAAA 2001:db8::2
         empty.example A 192.0.2.3",
    );
    let (ipv4, ipv6) = spf.voids();
    // For IPv4: a:gone, mx (two.example), exists, mx:empty. For IPv6, `a`, too.
    assert_eq!((ipv4.terms, ipv4.queries, ipv6.terms, ipv6.queries), (4, 4, 5, 5));
}

#[test]
fn an_mx_term_with_two_hosts_without_addresses_is_one_void_term() {
    let spf = survey(
        "example.com TXT v=spf1 mx -all
         example.com MX 10 one.example
         example.com MX 20 two.example",
    );
    let (ipv4, ipv6) = spf.voids();
    assert_eq!((ipv4.terms, ipv4.queries, ipv6.terms, ipv6.queries), (1, 2, 1, 2));
}

#[test]
fn a_name_with_another_text_is_no_void_lookup() {
    let voids = |zone: &str| survey(&format!("example.com TXT v=spf1 include:a.example -all\n{zone}")).voids().0.terms;
    assert_eq!(voids(""), 1);
    assert_eq!(voids("a.example A 192.0.2.1"), 1);
    assert_eq!(voids("a.example TXT hello"), 0);
}

#[test]
fn a_null_mx_is_no_host() {
    let spf = survey("example.com TXT v=spf1 mx -all\nexample.com MX 0 .");
    assert_eq!(spf.root.terms[0].target, Target::Mx { name: "example.com".to_owned(), hosts: 0 });
}

#[test]
fn a_lookup_that_fails_is_neither_absent_nor_broken() {
    let spf = survey("example.com SERVFAIL");
    assert_eq!((spf.state(), spf.reason()), (State::Inconclusive, Some(LookupFailure::ServFail)));
    let spf = survey("example.com TXT v=spf1 -all\nexample.com BOGUS");
    assert_eq!((spf.state(), spf.reason()), (State::Inconclusive, Some(LookupFailure::BogusOrLame)));
    let spf = survey(
        "example.com TXT v=spf1 include:one.example a:two.example -all
         one.example SERVFAIL
         two.example SERVFAIL",
    );
    assert_eq!((spf.state(), spf.faults(), spf.voids().0.terms), (State::Ok, Vec::new(), 0));
    let failed: Vec<_> = spf.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["one.example", "two.example", "two.example"]);
}

#[test]
fn absent_is_without_a_record() {
    for zone in ["", "example.com A 192.0.2.1", "example.com TXT spf is great"] {
        let spf = survey(zone);
        assert_eq!((spf.state(), spf.faults()), (State::Absent, Vec::new()), "{zone}");
    }
    assert_eq!(survey("").root.publication.published, Published::NoName);
}

#[test]
fn octets_are_those_of_the_name_and_of_all_texts() {
    let spf = survey("example.com TXT v=spf1 -all\nexample.com TXT 0123456789");
    assert_eq!(spf.root.publication.octets, 11 + 11 + 10);
}

#[test]
fn a_clean_record_has_no_fault() {
    for count in [0, 1, 8] {
        let spf = survey(&with_lookups(count));
        assert_eq!((spf.state(), spf.faults(), spf.lookups), (State::Ok, Vec::new(), count));
    }
}
