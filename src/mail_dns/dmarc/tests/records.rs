//! Records: what is read, and what is wrong in them.

use proptest::prelude::*;

use super::{
    super::{Effect, Policy, Psd, Record, record::is_record},
    faults, walk,
};
use crate::mail_dns::State;

fn record(text: &str) -> Record {
    assert!(is_record(text.as_bytes()), "{text}");
    Record::parse(text.as_bytes())
}

/// The faults of a record in words.
fn of_record(text: &str) -> Vec<String> {
    record(text).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_record_begins_with_its_version() {
    for text in ["v=DMARC1", "v=DMARC1;p=none", "v = DMARC1 ; p=none", "v=DMARC1; p=none;"] {
        assert!(is_record(text.as_bytes()), "{text}");
    }
    for text in
        ["", "v=dmarc1; p=none", "V=DMARC1; p=none", " v=DMARC1", "p=none; v=DMARC1", "v=DMARC12", "v=DMARC1 p=none"]
    {
        assert!(!is_record(text.as_bytes()), "{text}");
    }
}

#[test]
fn each_tag_is_read() {
    let text = "v=DMARC1; p=Reject; sp=quarantine; np=none; t=y; psd=n; adkim=s; aspf=s; fo=1:d:s; \
                rua=mailto:a@example.com , https://report.example/x; ruf=mailto:b@example.net";
    let record = record(text);
    assert_eq!(record.faults, []);
    assert_eq!(record.policy, Some(Policy::Reject));
    assert_eq!((record.subdomain_policy, record.nonexistent_policy), (Some(Policy::Quarantine), Some(Policy::None)));
    assert!(record.is_testing && record.is_dkim_strict && record.is_spf_strict);
    assert_eq!((record.psd, record.failure_options.as_slice()), (Psd::No, ['1', 'd', 's'].as_slice()));
    let hosts: Vec<_> = record.rua.iter().chain(&record.ruf).map(|uri| uri.host.as_deref()).collect();
    assert_eq!(hosts, [Some("example.com"), Some("report.example"), Some("example.net")]);
    assert_eq!(record.effect(), Effect::Policies);
}

#[test]
fn defaults_are_those_of_the_standard() {
    let record = record("v=DMARC1; p=none");
    assert!(!record.is_testing && !record.is_dkim_strict && !record.is_spf_strict);
    assert_eq!((record.psd, record.subdomain_policy), (Psd::Unknown, None));
}

#[test]
fn each_fault_has_its_position() {
    let cases: &[(&str, &[&str])] = &[
        ("v=DMARC1; p=none; rua=mailto:a@example.com", &[]),
        ("v=DMARC1; p=nonee", &["p has the value \"nonee\" at octet 12"]),
        ("v=DMARC1; p=none; sp=block", &["sp has the value \"block\" at octet 21"]),
        ("v=DMARC1; p=none; adkim=x", &["adkim has the value \"x\" at octet 24"]),
        ("v=DMARC1; p=none; t=yes", &["t has the value \"yes\" at octet 20"]),
        ("v=DMARC1; p=none; fo=0:1", &["fo has the value \"0:1\" at octet 21"]),
        ("v=DMARC1; p=none; fo=d:d", &["fo has the value \"d:d\" at octet 21"]),
        ("v=DMARC1; p=none; fo=0:d:s", &[]),
        ("v=DMARC1; rua=mailto:a@example.com", &["no policy (p)"]),
        ("v=DMARC1; p=none; p=reject", &["tag \"p\" more than once at octet 18"]),
        ("v=DMARC1; p=none; rua=a@example.com", &["an address for reports without \"mailto:\" in rua at octet 22"]),
        ("v=DMARC1; p=none; rua=mailto:example.com", &["an address for reports without a mailbox in rua at octet 22"]),
        (
            "v=DMARC1; p=none; rua=mailto:a@b@example.com",
            &["an address for reports without a mailbox in rua at octet 22"],
        ),
        (
            "v=DMARC1; p=none; rua=mailto:a@x..example",
            &["an address for reports with a malformed host in rua at octet 22"],
        ),
        (
            "v=DMARC1; p=none; ruf=mailto:a@x.example,,",
            &["an empty address for reports in ruf at octet 41", "an empty address for reports in ruf at octet 42"],
        ),
        (
            "v=DMARC1; p=none; rua=mailto:a@x.example, b@x.example",
            &["an address for reports without \"mailto:\" in rua at octet 42"],
        ),
        (
            "v=DMARC1; p=none; rua=mailto:a@x.example!10x",
            &["an address for reports with a malformed size in rua at octet 22"],
        ),
        ("v=DMARC1; p=none; rua=mailto:a@x.example!10m", &[]),
        ("v=DMARC1; p=none; rua=mailto:<a@x.example>", &["an address for reports with octet 0x3c in rua at octet 22"]),
    ];
    for (text, expected) in cases {
        assert_eq!(of_record(text), *expected, "{text}");
    }
}

#[test]
fn a_record_without_a_policy_needs_an_address_for_reports() {
    let cases = [
        ("v=DMARC1; p=none", Effect::Policies),
        ("v=DMARC1; rua=mailto:a@example.com", Effect::ReportsOnly),
        ("v=DMARC1; p=block; rua=mailto:a@example.com", Effect::ReportsOnly),
        ("v=DMARC1; p=reject; sp=block; rua=mailto:a@example.com", Effect::ReportsOnly),
        ("v=DMARC1", Effect::Nothing),
        ("v=DMARC1; p=reject; np=block", Effect::Nothing),
        ("v=DMARC1; rua=a@example.com", Effect::Nothing),
        ("v=DMARC1; ruf=mailto:a@example.com", Effect::Nothing),
    ];
    for (text, expected) in cases {
        assert_eq!(record(text).effect(), expected, "{text}");
    }
}

#[test]
fn retired_and_unknown_tags_are_named() {
    let with = record("v=DMARC1; p=none; pct=50; rf=afrf; ri=3600; rua=mailto:a@example.com!10m; x=y");
    let retired: Vec<_> = with.retired.iter().map(ToString::to_string).collect();
    assert_eq!(retired, ["pct=50", "rf=afrf", "ri=3600", "!10m in rua"]);
    assert_eq!((with.unknown, with.faults), (vec!["x".to_owned()], Vec::new()));
    let without = record("v=DMARC1; p=none; rua=mailto:a@example.com");
    assert_eq!((without.retired, without.unknown), (Vec::new(), Vec::new()));
}

#[test]
fn what_should_have_been_a_record_is_named() {
    let cases = [
        (" v=DMARC1; p=none", "something before \"v=DMARC1\" at _dmarc.example.com"),
        ("\"v=DMARC1; p=none\"", "something before \"v=DMARC1\" at _dmarc.example.com"),
        ("p=none; v=DMARC1", "\"v=DMARC1\" is not the first tag at _dmarc.example.com"),
        ("v=dmarc1; p=none", "a version that is not \"v=DMARC1\" at _dmarc.example.com"),
        ("v=DMARC2; p=none", "a version that is not \"v=DMARC1\" at _dmarc.example.com"),
        ("DMARC1; p=none", "a version that is not \"v=DMARC1\" at _dmarc.example.com"),
        ("v=DMARC1 p=none", "no semicolon after \"v=DMARC1\" at _dmarc.example.com"),
        ("v=DMARC1, p=none", "no semicolon after \"v=DMARC1\" at _dmarc.example.com"),
        ("p=none", "no \"v=DMARC1\" at _dmarc.example.com"),
    ];
    for (text, expected) in cases {
        let zone = format!("_dmarc.example.com TXT {text}");
        assert_eq!(faults(&zone), [expected], "{text}");
        assert_eq!(walk("example.com", &zone).state(), State::Invalid, "{text}");
    }
    for text in ["v=spf1 -all", "hello", "v=DMARC1; p=none"] {
        assert_eq!(faults(&format!("_dmarc.example.com TXT {text}")), [""; 0], "{text}");
    }
}

#[test]
fn a_fault_makes_the_state_invalid_where_the_policy_is_lost() {
    let cases = [
        ("v=DMARC1; p=reject", State::Ok),
        ("v=DMARC1; p=reject; adkim=x", State::Ok),
        ("v=DMARC1; rua=mailto:a@example.com", State::Ok),
        ("v=DMARC1", State::Invalid),
        ("v=DMARC1; p=rejct; rua=mailto:a@example.com", State::Invalid),
        ("v=DMARC1; p=none; p=reject", State::Invalid),
        ("v=DMARC1; p=none; x=1; x=2", State::Ok),
    ];
    for (text, expected) in cases {
        assert_eq!(walk("example.com", &format!("_dmarc.example.com TXT {text}")).state(), expected, "{text}");
    }
}

#[test]
fn a_long_record_is_bounded() {
    let text = format!("v=DMARC1; p=none; rua={}", "x,".repeat(30_000));
    let long = record(&text);
    assert!(long.faults.len() <= 64 && long.rua.is_empty());
    let text =
        format!("v=DMARC1; {}", (0..9000).map(|tag| format!("{}=1;", "a".repeat(tag % 500 + 1))).collect::<String>());
    assert!(record(&text).unknown.len() <= 16);
}

proptest! {
    #[test]
    fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let record = Record::parse(&[b"v=DMARC1;", octets.as_slice()].concat());
        prop_assert!(record.faults.len() <= 64);
        is_record(&octets);
    }

    #[test]
    fn what_is_printed_is_read_again(
        tags in "(; ?(p=(none|reject)|sp=quarantine|np=none|t=y|psd=[ynu]|adkim=s|aspf=s|fo=1:d|\
                 rua=mailto:a@b.example(!1k)?(, ?https://c.example/)?|ruf=mailto:x@y.example|x=y)){0,8}",
    ) {
        let first = record(&format!("v=DMARC1{tags}"));
        let again = record(&first.to_string());
        prop_assert_eq!(again.to_string(), first.to_string());
        prop_assert_eq!((again.policy, again.psd, again.is_testing), (first.policy, first.psd, first.is_testing));
    }
}
