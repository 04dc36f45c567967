use crate::mail_dns::{
    Answer, LookupFailure, Outcome, Proof, RecordData, State,
    lookups::{Answers, Step},
    mx::HostAddresses,
    tlsa::{self, TlsaOutcome, TlsaRecord, advice, base_names, reference_names, testing::*},
};

fn addresses(proof: Proof, aliases: &[&str]) -> HostAddresses {
    let address = RecordData::Address("192.0.2.1".parse().expect("an address"));
    let aliases = aliases.iter().map(|name| (*name).to_owned()).collect();
    HostAddresses::read(&[Answer { proof, aliases, outcome: Outcome::Records(vec![address]) }])
}

fn tlsa() -> TlsaRecord {
    TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: vec![7; 32] }
}

fn found(proof: Proof) -> Answer {
    let TlsaRecord { usage, selector, matching_type, data } = tlsa();
    with(proof, Outcome::Records(vec![RecordData::Tlsa { usage, selector, matching_type, data }]))
}

fn with(proof: Proof, outcome: Outcome) -> Answer {
    Answer { proof, aliases: Vec::new(), outcome }
}

/// Names that are asked, and the end of the search.
fn search(bases: &[&str], replies: &[Answer]) -> (Vec<String>, TlsaOutcome) {
    let bases: Vec<_> = bases.iter().map(|name| (*name).to_owned()).collect();
    let (mut answers, mut asked) = (Answers::default(), Vec::new());
    let mut replies = replies.iter().cloned();
    loop {
        match tlsa::search(&bases, 25, &answers) {
            Step::Ask(questions) => {
                for question in questions {
                    asked.push(question.name.clone());
                    answers.insert(question, replies.next().expect("an answer for each question"));
                }
            }
            Step::Done(outcome) => return (asked, outcome),
        }
    }
}

#[test]
fn an_alias_is_asked_at_its_end_first_and_only_where_all_of_it_is_secure() {
    let names = |addresses| base_names("mx.example.com", &addresses);
    assert_eq!(names(addresses(Proof::Secure, &[])), ["mx.example.com"]);
    let expanded = addresses(Proof::Secure, &["a.example.net", "b.example.net"]);
    assert_eq!(names(expanded.clone()), ["b.example.net", "mx.example.com"]);
    let differing = HostAddresses { aliases_differ: true, ..expanded };
    assert_eq!(names(differing), ["mx.example.com"]);
    for proof in [Proof::Insecure, Proof::Bogus, Proof::Indeterminate] {
        assert_eq!(names(addresses(proof, &["a.example.net"])), Vec::<String>::new());
    }
}

#[test]
fn the_first_secure_set_of_records_ends_the_search() {
    let records = |base: &str| TlsaOutcome::Records { base: base.into(), records: vec![tlsa()] };
    let (asked, outcome) = search(&["b.net", "a.com"], &[found(Proof::Secure)]);
    assert_eq!((asked.len(), outcome), (1, records("b.net")));
    for outcome in [Outcome::NoName, Outcome::NoData] {
        let (asked, outcome) = search(&["b.net", "a.com"], &[with(Proof::Secure, outcome), found(Proof::Secure)]);
        assert_eq!(asked, ["_25._tcp.b.net", "_25._tcp.a.com"]);
        assert_eq!(outcome, records("a.com"));
    }
    let (_, outcome) = search(&["b.net", "a.com"], &[found(Proof::Insecure), found(Proof::Secure)]);
    assert_eq!(outcome, records("a.com"));
    // Records that are not usable are a set, too.
    let unusable = with(
        Proof::Secure,
        Outcome::Records(vec![RecordData::Tlsa { usage: 0, selector: 0, matching_type: 0, data: vec![] }]),
    );
    assert!(matches!(search(&["b.net", "a.com"], &[unusable]).1, TlsaOutcome::Records { base, .. } if base == "b.net"));
}

#[test]
fn a_failure_ends_the_search_and_absence_does_not() {
    let absent = with(Proof::Secure, Outcome::NoData);
    let failed = with(Proof::Indeterminate, Outcome::Failed(LookupFailure::ServFail));
    let failure = |base: &str| TlsaOutcome::Failed { base: base.into(), failure: LookupFailure::ServFail };
    assert_eq!(search(&["b.net", "a.com"], std::slice::from_ref(&failed)).1, failure("b.net"));
    assert_eq!(search(&["b.net", "a.com"], &[absent.clone(), failed]).1, failure("a.com"));
    assert_eq!(search(&["a.com"], std::slice::from_ref(&absent)).1, TlsaOutcome::Absent);
    assert_eq!(search(&["b.net", "a.com"], &[absent.clone(), absent.clone()]).1, TlsaOutcome::Absent);
    let bogus = with(Proof::Indeterminate, Outcome::Failed(LookupFailure::Bogus));
    assert_eq!(search(&["a.com"], &[bogus]).1, TlsaOutcome::Bogus { base: "a.com".into() });
    assert_eq!(search(&["a.com"], &[found(Proof::Bogus)]).1, TlsaOutcome::Bogus { base: "a.com".into() });
    assert_eq!(search(&[], &[]), (vec![], TlsaOutcome::NotAsked));
}

#[test]
fn records_without_dnssec_are_shown_but_are_no_records() {
    let insecure = |base: &str, records| TlsaOutcome::Insecure { base: base.into(), records };
    assert_eq!(search(&["a.com"], &[found(Proof::Insecure)]).1, insecure("a.com", vec![tlsa()]));
    let nothing = with(Proof::Insecure, Outcome::NoName);
    assert_eq!(search(&["a.com"], std::slice::from_ref(&nothing)).1, insecure("a.com", vec![]));
    let (_, outcome) = search(&["b.net", "a.com"], &[found(Proof::Insecure), with(Proof::Secure, Outcome::NoData)]);
    assert_eq!(outcome, insecure("b.net", vec![tlsa()]));
    let unknown = search(&["a.com"], &[found(Proof::Indeterminate)]).1;
    assert!(matches!(unknown, TlsaOutcome::Indeterminate { .. }));
}

#[test]
fn each_outcome_has_its_state() {
    let base = || "a.com".to_owned();
    let unusable = || TlsaRecord { usage: 1, ..tlsa() };
    let cases = [
        (TlsaOutcome::Records { base: base(), records: vec![unusable(), tlsa()] }, State::Ok, None),
        (TlsaOutcome::Records { base: base(), records: vec![unusable()] }, State::Invalid, None),
        (TlsaOutcome::Insecure { base: base(), records: vec![tlsa()] }, State::Ok, None),
        (TlsaOutcome::Insecure { base: base(), records: vec![] }, State::Absent, None),
        (TlsaOutcome::Indeterminate { base: base(), records: vec![tlsa()] }, State::Ok, None),
        (TlsaOutcome::Absent, State::Absent, None),
        (TlsaOutcome::Bogus { base: base() }, State::Inconclusive, Some(LookupFailure::Bogus)),
        (
            TlsaOutcome::Failed { base: base(), failure: LookupFailure::TimedOut },
            State::Inconclusive,
            Some(LookupFailure::TimedOut),
        ),
        (TlsaOutcome::NotAsked, State::NotTested, None),
    ];
    for (outcome, state, failure) in cases {
        assert_eq!((outcome.state(), outcome.failure()), (state, failure), "{outcome:?}");
        let has_base = !matches!(outcome, TlsaOutcome::Absent | TlsaOutcome::NotAsked);
        assert_eq!(outcome.base(), has_base.then_some("a.com"));
    }
}

#[test]
fn names_of_the_domain_count_only_where_its_mx_records_are_secure() {
    let names = |alias, proof| reference_names("mx.example.net", "example.com", alias, proof);
    assert_eq!(names(None, Proof::Secure), ["mx.example.net", "example.com"]);
    assert_eq!(names(Some("example.org"), Proof::Secure), ["mx.example.net", "example.com", "example.org"]);
    for proof in [Proof::Insecure, Proof::Indeterminate, Proof::Bogus] {
        assert_eq!(names(Some("example.org"), proof), ["mx.example.net"]);
    }
    // An implicit MX.
    assert_eq!(reference_names("example.com", "example.com", None, Proof::Secure), ["example.com"]);
}

#[test]
fn the_line_to_publish_has_the_name_that_is_asked() {
    let pki = Pki::new();
    let record = advice::record_for(pki.server()).expect("a record");
    let line = advice::zone_line("mx.example.com", 25, &record);
    assert_eq!(line, format!("_25._tcp.mx.example.com. IN TLSA {record}"));
    assert!(line.contains(" IN TLSA 3 1 1 "));
}
