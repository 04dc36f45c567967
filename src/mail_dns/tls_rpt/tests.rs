use proptest::prelude::*;

use super::*;
use crate::mail_dns::{Outcome, txt::testing::*};

fn read(text: &str) -> TlsRpt {
    TlsRpt::read(&answer(&[text]))
}

#[test]
fn each_answer_has_its_state() {
    let good = "v=TLSRPTv1; rua=mailto:tls@example.com";
    let version = |text: &str| vec![Fault::Version(text.to_owned())];
    let cases = [
        (answer(&[good]), State::Ok, vec![]),
        (answer(&[good, "v=spf1 -all"]), State::Ok, vec![]),
        (answer(&[good, good]), State::Invalid, vec![Fault::Multiple(2)]),
        (answer(&["v=spf1 -all"]), State::Absent, vec![]),
        (answer(&["v=TLSRPTv2; rua=x"]), State::Invalid, version("v=TLSRPTv2; rua=x")),
        (answer(&["v=tlsrptv1; rua=x"]), State::Invalid, version("v=tlsrptv1; rua=x")),
        (empty(Outcome::NoName), State::Absent, vec![]),
        (empty(Outcome::NoData), State::Absent, vec![]),
        (empty(Outcome::Failed(LookupFailure::TimedOut)), State::Inconclusive, vec![]),
    ];
    for (answer, state, faults) in cases {
        let found = TlsRpt::read(&answer);
        assert_eq!((found.state, found.faults), (state, faults), "{answer:?}");
    }
}

#[test]
fn endpoints_are_mailto_and_https() {
    let record =
        read("v=TLSRPTv1;rua=mailto:a@example.com , HTTPS://r.example/v1?x=y ; rua=mailto:b%21@example.net?subject=x");
    let endpoints = [
        Endpoint::Mailto("a@example.com".into()),
        Endpoint::Https("//r.example/v1?x=y".into()),
        Endpoint::Mailto("b%21@example.net?subject=x".into()),
    ];
    assert_eq!((record.state, &record.endpoints[..]), (State::Ok, &endpoints[..]));
}

#[test]
fn what_is_no_endpoint_is_told_why() {
    let cases = [
        ("http://r.example/", EndpointFault::Scheme),
        ("tls@example.com", EndpointFault::Scheme),
        ("mailto:", EndpointFault::NoAddress),
        ("mailto:tls", EndpointFault::NoAddress),
        ("mailto:@example.com", EndpointFault::NoAddress),
        ("mailto:tls@", EndpointFault::NoAddress),
        ("mailto:tls@example.com!10m", EndpointFault::ExclamationMark),
        ("mailto:<tls@example.com>", EndpointFault::Syntax),
        ("https:r.example", EndpointFault::NoHost),
        ("https:///v1", EndpointFault::NoHost),
        ("mailto:a@example.com,", EndpointFault::Empty),
    ];
    for (text, fault) in cases {
        let record = read(&format!("v=TLSRPTv1; rua={text}"));
        assert_eq!(record.state, State::Invalid, "{text}");
        let found: Vec<_> = record
            .faults
            .iter()
            .map(|fault| match fault {
                Fault::Endpoint { fault, .. } => Some(*fault),
                _ => None,
            })
            .collect();
        assert_eq!(found, [Some(fault)], "{text}");
    }
}

#[test]
fn other_faults_of_a_record_are_named() {
    assert_eq!(read("v=TLSRPTv1; x=y").faults, [Fault::NoRua]);
    assert_eq!(read("v=TLSRPTv1;").faults, [Fault::NoRua]);
    let rua = "rua=mailto:a@example.com";
    assert_eq!(read(&format!("v=TLSRPTv1; x-y=1; {rua};")).faults, []);
    for record in [
        format!("v=TLSRPTv1; {rua}; x"),
        "v=TLSRPTv1; rua =mailto:a@example.com".to_string(),
        "v=TLSRPTv1; rua=".to_owned(),
    ] {
        let faults = read(&record).faults;
        assert!(matches!(faults[..], [Fault::Tags(_)]), "{record}: {faults:?}");
    }
}

#[test]
fn endpoints_are_bounded() {
    let record = read(&format!("v=TLSRPTv1; rua=x{}", ",x".repeat(20_000)));
    assert_eq!((record.endpoints.len(), record.faults.len()), (0, MAX_ENDPOINTS));
}

#[test]
fn the_question_is_that_of_the_rfc() {
    assert_eq!(question("example.com").name, "_smtp._tls.example.com");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}") {
        let _ = read(&text);
        let _ = read(&format!("v=TLSRPTv1;{text}"));
        let _ = read(&format!("v=TLSRPTv1; rua={text}"));
        let _ = text.parse::<Endpoint>();
    }

    #[test]
    fn a_printed_record_reads_back(
        texts in proptest::collection::vec(
            prop_oneof!["mailto:[a-z%0-9]{1,5}@[a-z]{1,8}", "https://[a-z]{1,8}(/[a-z?=]{0,5})?"],
            1..5,
        ),
    ) {
        let endpoints: Vec<Endpoint> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        prop_assert_eq!(endpoints.len(), texts.len());
        let record = read(&record_text(&endpoints));
        prop_assert_eq!(record.faults, []);
        prop_assert_eq!(record.endpoints, endpoints);
    }
}
