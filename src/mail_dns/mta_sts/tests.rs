use proptest::prelude::*;

use super::*;
use crate::mail_dns::{LookupFailure, Outcome, State, txt::testing::*};

fn policy(text: &str) -> Policy {
    let parsed = PolicyText::parse(text.as_bytes());
    parsed.policy().unwrap_or_else(|| panic!("{text}: {:?}", parsed.faults))
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn each_answer_has_its_state() {
    let good = "v=STSv1; id=20260101;";
    let version = |text: &str| vec![RecordFault::Version(text.to_owned())];
    let cases = [
        (answer(&[good]), State::Ok, vec![]),
        (answer(&[good, "v=spf1 -all"]), State::Ok, vec![]),
        (answer(&[good, "V=STSv1; id=1"]), State::Ok, vec![]),
        (answer(&[good, good]), State::Invalid, vec![RecordFault::Multiple(2)]),
        (answer(&["v=spf1 -all"]), State::Absent, vec![]),
        (answer(&["V=STSv1; id=1"]), State::Invalid, version("V=STSv1; id=1")),
        (answer(&["v=STSv2; id=1"]), State::Invalid, version("v=STSv2; id=1")),
        (answer(&[" v=STSv1; id=1"]), State::Invalid, version(" v=STSv1; id=1")),
        (empty(Outcome::NoName), State::Absent, vec![]),
        (empty(Outcome::NoData), State::Absent, vec![]),
        (empty(Outcome::Failed(LookupFailure::ServFail)), State::Inconclusive, vec![]),
    ];
    for (answer, state, faults) in cases {
        let found = Announcement::read(&answer);
        assert_eq!((found.state, found.faults), (state, faults), "{answer:?}");
    }
}

#[test]
fn the_id_has_one_to_32_letters_and_digits() {
    let longest = "a".repeat(32);
    for id in ["1", "20260101T000000Z", &longest] {
        let found = Announcement::read(&answer(&[&format!("v=STSv1; id={id}")]));
        assert_eq!(found.id.as_deref(), Some(id));
    }
    for id in ["", "a-b", "2026-01-01", "a b", "é", &format!("{longest}a")] {
        let found = Announcement::read(&answer(&[&format!("v=STSv1; id={id}; x=y")]));
        assert_eq!(found.faults, [RecordFault::Id(id.to_owned())]);
        assert_eq!((found.state, found.id), (State::Invalid, None));
    }
}

#[test]
fn tags_other_than_the_id_are_ignored_if_well_formed() {
    let id = |text: &str| Announcement::read(&answer(&[text])).id;
    assert_eq!(id("v=STSv1 ; x=y ;id=1 ; z.z=!").as_deref(), Some("1"));
    assert_eq!(id("v=STSv1; id=1; id=2").as_deref(), Some("1"));
    assert_eq!(id("v=STSv1; id=1; x"), None);
    assert_eq!(id("v=STSv1; id =1"), None);
    let none = Announcement::read(&answer(&["v=STSv1; x=y"]));
    assert_eq!(none.faults, [RecordFault::NoId]);
}

#[test]
fn a_policy_is_read_with_either_line_end() {
    let text = "version: STSv1\nmode: enforce\nmx: mx.Example.com\nmx:  *.example.net \nmax_age: 604800\n";
    let expected =
        Policy { mode: Mode::Enforce, mx: vec![pattern("mx.example.com"), pattern("*.example.net")], max_age: 604_800 };
    for text in [text.to_owned(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
        assert_eq!(policy(&text), expected);
        assert_eq!(PolicyText::parse(text.as_bytes()).notes, []);
    }
}

#[test]
fn order_extensions_duplicates_and_empty_lines_do_not_matter() {
    let text =
        "max_age: 0\n\nx-y.z: é :\nmode: testing\nmx: a.example\nmode: none\nmax_age: x\nversion: STSv1\nversion: 2\n";
    let parsed = PolicyText::parse(text.as_bytes());
    assert_eq!(parsed.policy(), Some(Policy { mode: Mode::Testing, mx: vec![pattern("a.example")], max_age: 0 }));
    let again = |line, key: &str| Note::Duplicate { line, key: key.into() };
    let notes = [
        Note::EmptyLine(2),
        Note::UnknownKey { line: 3, key: "x-y.z".into() },
        again(6, "mode"),
        again(7, "max_age"),
        again(9, "version"),
    ];
    assert_eq!(parsed.notes, notes);
}

#[test]
fn each_fault_of_a_policy_is_named_with_its_line() {
    let full = "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 86400";
    let value = String::from;
    let mx = |value: &str, fault| Fault::Mx { line: 3, value: value.to_owned(), fault };
    let cases = [
        ("version: STSv1\n", "", Fault::NoVersion),
        ("mode: enforce\n", "", Fault::NoMode),
        ("mx: a.example\n", "", Fault::NoMx),
        ("\nmax_age: 86400", "", Fault::NoMaxAge),
        ("STSv1", "STSv2", Fault::Version { line: 1, value: value("STSv2") }),
        ("enforce", "Enforce", Fault::Mode { line: 2, value: value("Enforce") }),
        ("enforce", "report", Fault::Mode { line: 2, value: value("report") }),
        ("86400", "", Fault::MaxAge { line: 4, value: value("") }),
        ("86400", "-1", Fault::MaxAge { line: 4, value: value("-1") }),
        ("86400", "1d", Fault::MaxAge { line: 4, value: value("1d") }),
        ("86400", "00000086400", Fault::MaxAge { line: 4, value: value("00000086400") }),
        ("86400", "31557601", Fault::MaxAgeTooLarge { line: 4, value: 31_557_601 }),
        ("86400", "9999999999", Fault::MaxAgeTooLarge { line: 4, value: 9_999_999_999 }),
        ("mx: a.example", "mx a.example", Fault::Syntax { line: 3, text: value("mx a.example") }),
        ("mode: enforce", "mode : enforce", Fault::Syntax { line: 2, text: value("mode : enforce") }),
        ("a.example", "*.", mx("*.", PatternFault::Empty)),
        ("a.example", "192.0.2.1", mx("192.0.2.1", PatternFault::Address)),
    ];
    for (from, to, fault) in cases {
        let text = full.replace(from, to);
        let parsed = PolicyText::parse(text.as_bytes());
        assert_eq!(parsed.policy(), None, "{text}");
        assert!(parsed.faults.contains(&fault), "{text}: {:?}", parsed.faults);
        // A line that is no `key: value` leaves its key missing, too.
        let is_syntax = matches!(fault, Fault::Syntax { .. });
        assert_eq!(parsed.faults.len(), if is_syntax { 2 } else { 1 }, "{text}: {:?}", parsed.faults);
    }
}

#[test]
fn limits_of_a_policy_end_where_they_say() {
    let text = |max_age: u32| format!("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: {max_age}\n");
    assert_eq!(policy(&text(MAX_AGE)).max_age, MAX_AGE);
    let size = MAX_POLICY_SIZE - text(1).len() - "x: ".len();
    let filled = format!("{}x: {}", text(1), "y".repeat(size));
    assert_eq!(filled.len(), MAX_POLICY_SIZE);
    assert_eq!(policy(&filled).max_age, 1);
    let faults = PolicyText::parse(format!("{filled}y").as_bytes()).faults;
    assert_eq!(faults, [Fault::TooLarge(MAX_POLICY_SIZE + 1)]);
    let marked = PolicyText::parse(format!("\u{feff}{}", text(1)).as_bytes());
    assert_eq!(marked.faults, [Fault::ByteOrderMark]);
}

#[test]
fn mode_none_needs_no_patterns() {
    assert_eq!(policy("version: STSv1\nmode: none\nmax_age: 86400\n").mx, []);
}

#[test]
fn a_policy_that_protects_little_is_told_so() {
    let weaknesses = |mode, max_age| Policy { mode, mx: vec![], max_age }.weaknesses();
    assert_eq!(weaknesses(Mode::Enforce, SHORT_MAX_AGE), []);
    assert_eq!(weaknesses(Mode::Enforce, 86_399), [Weakness::ShortMaxAge(86_399)]);
    assert_eq!(weaknesses(Mode::Testing, SHORT_MAX_AGE), [Weakness::Testing]);
    assert_eq!(weaknesses(Mode::None, 0), [Weakness::None]);
}

#[test]
fn a_wildcard_stands_for_exactly_one_label() {
    let cases = [
        ("mx.example.com", "mx.example.com", true),
        ("mx.example.com", "MX.example.COM.", true),
        ("mx.example.com", "mx1.example.com", false),
        ("mx.example.com", "a.mx.example.com", false),
        ("*.example.com", "mail.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "foo.bar.example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "mailexample.com", false),
        ("*.example.com", "mail.example.com.evil.example", false),
    ];
    for (text, host, expected) in cases {
        assert_eq!(pattern(text).matches(host), expected, "{text} {host}");
    }
}

#[test]
fn what_is_no_pattern_is_told_why() {
    let long = format!("{}.example", "a".repeat(64));
    let cases = [
        ("", PatternFault::Empty),
        ("*.", PatternFault::Empty),
        ("192.0.2.1", PatternFault::Address),
        ("[2001:db8::1]", PatternFault::Address),
        ("https://mx.example", PatternFault::Url),
        ("postmaster@example.com", PatternFault::MailAddress),
        ("*", PatternFault::Wildcard),
        ("mx*.example.com", PatternFault::Wildcard),
        ("*.*.example.com", PatternFault::Wildcard),
        ("mx.*.example.com", PatternFault::Wildcard),
        (".example.com", PatternFault::LeadingDot),
        ("mx.example.com.", PatternFault::TrailingDot),
        ("müller.example", PatternFault::NotAscii),
        ("mx_1.example.com", PatternFault::Syntax),
        ("-mx.example.com", PatternFault::Syntax),
        ("mx..example.com", PatternFault::Syntax),
        ("mx.example.com, b.example", PatternFault::Syntax),
        (&long, PatternFault::Syntax),
    ];
    for (text, fault) in cases {
        assert_eq!(text.parse::<Pattern>(), Err(fault), "{text}");
    }
    for text in ["localhost", "a-b.example", "*.com", "xn--mller-kva.example", &long[1..]] {
        assert_eq!(pattern(text).to_string(), text);
    }
}

#[test]
fn hosts_and_patterns_without_a_counterpart_are_found() {
    let policy =
        policy("version: STSv1\nmode: enforce\nmx: a.example\nmx: *.b.example\nmx: c.example\nmax_age: 86400\n");
    assert_eq!(policy.matched_by("x.b.example"), Some(1));
    assert_eq!(policy.matched_by("b.example"), None);
    assert_eq!(policy.unused(&["a.example", "x.b.example"]), [&pattern("c.example")]);
    assert_eq!(policy.unused(&["a.example", "x.b.example", "c.example"]), Vec::<&Pattern>::new());
}

#[test]
fn the_media_type_is_text_plain_whatever_its_parameters() {
    for value in ["text/plain", "Text/Plain; charset=utf-8", "text/plain ;x=y"] {
        assert_eq!(check_content_type(Some(value)), Ok(()), "{value}");
    }
    for value in ["text/html", "text/plainer", "", "application/octet-stream"] {
        assert_eq!(check_content_type(Some(value)), Err(ContentTypeFault::Other(value.into())));
    }
    assert_eq!(check_content_type(None), Err(ContentTypeFault::Missing));
}

#[test]
fn the_policy_to_serve_can_be_made_of_the_hosts() {
    let mx = ["MX1.example.com.", "mx2.example.com", "mx_3.example.com"].iter().filter_map(|host| Pattern::exact(host));
    let policy = Policy { mode: Mode::Testing, mx: mx.collect(), max_age: SHORT_MAX_AGE };
    let expected =
        "version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 86400\r\n";
    assert_eq!(policy.to_string(), expected);
    assert_eq!(policy_url("example.com"), "https://mta-sts.example.com/.well-known/mta-sts.txt");
    assert_eq!(policy_host("example.com"), "mta-sts.example.com");
    assert_eq!(question("example.com").name, "_mta-sts.example.com");
}

#[test]
fn faults_and_notes_are_bounded() {
    let parsed = PolicyText::parse("mx: *\nx: y\n".repeat(5000).as_bytes());
    assert!(parsed.faults.len() <= 40 && parsed.notes.len() <= 32);
    assert!(parsed.faults.contains(&Fault::NoMode));
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = PolicyText::parse(&octets);
        let _ = parse_record(&octets);
    }

    #[test]
    fn no_lines_make_it_panic(text in "((version|mode|mx|max_age|x): ?[*.a-z0-9]{0,12}\r?\n?){0,8}") {
        let parsed = PolicyText::parse(text.as_bytes());
        prop_assert_eq!(parsed.policy().is_some(), parsed.faults.is_empty());
    }

    #[test]
    fn a_printed_policy_reads_back(
        mode in prop_oneof![Just(Mode::Enforce), Just(Mode::Testing), Just(Mode::None)],
        mx in proptest::collection::vec("(\\*\\.)?[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{1,5}){1,3}", 1..5),
        max_age in 0..=MAX_AGE,
    ) {
        let expected = Policy { mode, mx: mx.iter().map(|text| pattern(text)).collect(), max_age };
        prop_assert_eq!(policy(&expected.to_string()), expected);
    }

    #[test]
    fn a_printed_record_reads_back(id in "[a-zA-Z0-9]{1,32}") {
        prop_assert_eq!(Announcement::read(&answer(&[&record_text(&id)])).id, Some(id));
    }
}

fn parse_record(octets: &[u8]) -> Announcement {
    let text = format!("v=STSv1;{}", String::from_utf8_lossy(octets));
    Announcement::read(&answer(&[&text, &String::from_utf8_lossy(octets)]))
}
