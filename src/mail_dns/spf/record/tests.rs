use proptest::prelude::*;

use super::{MAX_FAULTS, MAX_TERMS, Mechanism, Qualifier, Record, TermKind, is_record};

fn record(terms: &str) -> Record {
    Record::parse(format!("v=spf1 {terms}").as_bytes())
}

#[test]
fn a_record_begins_with_its_version() {
    for text in ["v=spf1", "v=spf1 -all", "V=SPF1 -all"] {
        assert!(is_record(text.as_bytes()), "{text}");
    }
    for text in ["", "v=spf", "v=spf10 -all", " v=spf1 -all", "\"v=spf1 -all\"", "v=spf1\t-all", "spf2.0/pra -all"] {
        assert!(!is_record(text.as_bytes()), "{text}");
    }
}

#[test]
fn each_term_of_the_grammar_is_read() {
    let terms = [
        "all",
        "-ALL",
        "~all",
        "?all",
        "+all",
        "include:_spf.example.com",
        "a",
        "a:example.com",
        "a/24",
        "a//64",
        "a:foo.example.com/24//64",
        "a:foo/bar.example.com",
        "a:example.com.",
        "a:a-b.c-d",
        "mx",
        "mx:example.com/0",
        "mx//0",
        "ptr",
        "ptr:example.com",
        "ip4:192.0.2.1",
        "ip4:192.0.2.0/24",
        "ip6:2001:db8::/32",
        "ip6:::1",
        "ip6:::ffff:192.0.2.1/128",
        "exists:%{ir}.%{v}._spf.%{d2}",
        "exists:%{l1r-+,/_=}.example.com",
        "exists:%{d}",
        "exists:%{D}",
        "exists:a%%.example.com",
        "redirect=_spf.example.com",
        "exp=explain.%{d}",
        "moo=",
        "moo=%{s}",
        "include=example.com",
        "a:%{h}/24",
        "a:foo:bar.example.com",
    ];
    for term in terms {
        let record = record(term);
        assert_eq!(record.faults, [], "{term}");
        assert_eq!(record.terms.len(), 1, "{term}");
    }
}

#[test]
fn each_fault_has_its_position() {
    let cases = [
        ("foo", "unknown mechanism in \"foo\" at octet 7"),
        ("ipv4:192.0.2.1", "unknown mechanism in \"ipv4:192.0.2.1\" at octet 7"),
        ("redirect:example.com", "unknown mechanism in \"redirect:example.com\" at octet 7"),
        ("192.0.2.1", "unknown mechanism in \"192.0.2.1\" at octet 7"),
        ("-", "unknown mechanism in \"-\" at octet 7"),
        ("--all", "unknown mechanism in \"--all\" at octet 7"),
        ("-redirect=example.com", "a qualifier before a modifier in \"-redirect=example.com\" at octet 7"),
        ("include", "no domain in \"include\" at octet 14"),
        ("include:", "no domain in \"include:\" at octet 15"),
        ("redirect=", "no domain in \"redirect=\" at octet 16"),
        ("exists", "no domain in \"exists\" at octet 13"),
        ("ptr:", "no domain in \"ptr:\" at octet 11"),
        ("ptr/24", "no domain in \"ptr/24\" at octet 10"),
        ("all:example.com", "a mechanism that takes no value has one in \"all:example.com\" at octet 10"),
        ("a:museum", "a name that ends neither in a top-level label nor in a macro in \"a:museum\" at octet 9"),
        ("a:192.0.2.1", "a name that ends neither in a top-level label nor in a macro in \"a:192.0.2.1\" at octet 9"),
        ("ip4:192.0.2.256", "no IPv4 address in \"ip4:192.0.2.256\" at octet 11"),
        ("ip4:192.0.2.01", "no IPv4 address in \"ip4:192.0.2.01\" at octet 11"),
        ("ip4", "no IPv4 address in \"ip4\" at octet 10"),
        ("ip6:192.0.2.1", "no IPv6 address in \"ip6:192.0.2.1\" at octet 11"),
        ("a:%{x}", "macro letter \"x\" is not known in \"a:%{x}\" at octet 9"),
        ("a:%{c}", "macro letter \"c\" is for explanations only in \"a:%{c}\" at octet 9"),
        ("moo=%{c}", "macro letter \"c\" is for explanations only in \"moo=%{c}\" at octet 11"),
        ("a:%{d0}", "a macro that keeps no part of its value in \"a:%{d0}\" at octet 9"),
        ("a:%{d", "a macro without \"}\" in \"a:%{d\" at octet 9"),
        ("a:%d.example", "\"%\" that begins no macro in \"a:%d.example\" at octet 9"),
        ("a\t", "octet 0x09 in \"a\t\" at octet 8"),
    ];
    for (term, expected) in cases {
        let faults: Vec<_> = record(term).faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, [expected], "{term}");
    }
}

#[test]
fn a_prefix_has_its_limits() {
    for term in ["a/0", "a/32", "a//0", "a//128", "ip4:192.0.2.1/0", "ip6:::/0", "ip6:::/128", "a/32//128"] {
        assert_eq!(record(term).faults, [], "{term}");
    }
    for term in
        ["a/33", "a//129", "a/00", "a/024", "a/", "a//", "a/a", "ip4:192.0.2.1/33", "ip4:192.0.2.1/", "ip6:::/129"]
    {
        assert_eq!(record(term).faults.len(), 1, "{term}");
    }
}

#[test]
fn a_modifier_must_not_be_there_twice() {
    assert_eq!(record("redirect=a.example exp=b.example x=1 x=2").faults, []);
    assert_eq!(record("redirect=a.example redirect=a.example").faults.len(), 1);
    assert_eq!(record("exp=a.example exp=a.example").faults.len(), 1);
}

#[test]
fn terms_after_all_are_dead() {
    let record = record("a -all mx redirect=example.com");
    assert_eq!(record.all(), Some((1, Qualifier::Fail)));
    assert_eq!(record.live_directives().count(), 2);
    assert_eq!(record.dead_directives().map(|term| term.text.as_str()).collect::<Vec<_>>(), ["mx"]);
}

#[test]
fn a_domain_that_sends_no_mail_denies_all() {
    assert!(record("-all").is_deny_all() && record(" -ALL ").is_deny_all());
    for terms in ["", "~all", "all", "a -all", "-all a", "-all foo"] {
        assert!(!record(terms).is_deny_all(), "{terms}");
    }
}

#[test]
fn a_pass_is_the_default() {
    let record = record("ip4:192.0.2.1");
    let expected = Mechanism::Ip4 { network: [192, 0, 2, 1].into(), prefix: 32 };
    assert_eq!(record.terms[0].kind, TermKind::Directive(Qualifier::Pass, expected));
}

#[test]
fn a_long_record_is_cut() {
    let long = record(&"a ".repeat(30_000));
    assert_eq!((long.terms.len(), long.is_cut), (MAX_TERMS, true));
    let broken = record(&"? ".repeat(30_000));
    assert_eq!(broken.faults.len(), MAX_FAULTS);
    assert!(!record(&"a ".repeat(MAX_TERMS)).is_cut);
}

fn kinds(record: &Record) -> Vec<TermKind> {
    record.terms.iter().map(|term| term.kind.clone()).collect()
}

proptest! {
    #[test]
    fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..100)) {
        let record = Record::parse(&[b"v=spf1 ", octets.as_slice()].concat());
        prop_assert!(record.faults.iter().all(|fault| fault.position <= octets.len() + 7));
    }

    #[test]
    fn what_is_printed_is_read_again(
        terms in "([-+~?]?(all|a|mx|ptr|ip4|include|exists|redirect|exp)[:=/]?[a-z0-9./%{}-]{0,8} {1,2}){0,6}",
    ) {
        let first = record(&terms);
        let again = Record::parse(first.to_string().as_bytes());
        prop_assert_eq!(kinds(&again), kinds(&first));
        prop_assert_eq!(again.faults, []);
    }
}
