//! Trees that are made to cost much.

use proptest::prelude::*;

use super::{
    super::{Cut, Fault, HostCheck, Identity, MAX_QUESTIONS, MAX_SURVEYED_LOOKUPS, SpfResult, SpfWalk},
    survey_of,
};
use crate::mail_dns::{
    LookupFailure, State,
    lookups::{Answers, Step},
    test_zone::Zone,
};

/// Records that each include ten others, over five levels.
fn bomb() -> Zone {
    let mut lines = vec!["example.com TXT v=spf1".to_owned()];
    let mut names = vec!["example.com".to_owned()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for name in &names {
            let children: Vec<String> = (0..10).map(|child| format!("i{child}.{name}")).collect();
            let terms: String = children.iter().map(|child| format!(" include:{child}")).collect();
            lines.push(format!("{name} TXT v=spf1{terms} -all"));
            next.extend(children);
        }
        names = next;
    }
    Zone::new(&lines[1..].join("\n"))
}

#[test]
fn a_bomb_is_cut() {
    let mut zone = bomb();
    let spf = survey_of(&mut zone);
    assert_eq!((spf.lookups, spf.cut, spf.state()), (MAX_SURVEYED_LOOKUPS, Some(Cut::Lookups), State::Invalid));
    assert!(zone.asked.len() <= MAX_SURVEYED_LOOKUPS + 1, "{} questions", zone.asked.len());
    let fault = spf.faults()[0].to_string();
    assert_eq!(fault, "at least 40 lookups, more than the 10 allowed");
}

#[test]
fn a_bomb_that_is_answered_in_rounds_asks_a_bounded_number_of_questions() {
    let (mut zone, mut walk, mut answers) = (bomb(), SpfWalk::new("example.com"), Answers::default());
    let spf = loop {
        match walk.step(&answers) {
            Step::Done(spf) => break spf,
            Step::Ask(questions) => {
                for question in questions {
                    let answer = zone.answer(&question);
                    answers.insert(question, answer);
                }
            }
        }
    };
    assert_eq!(spf.cut, Some(Cut::Lookups));
    assert!(zone.asked.len() <= MAX_QUESTIONS, "{} questions", zone.asked.len());
}

#[test]
fn forty_mx_terms_ask_a_bounded_number_of_questions() {
    let terms: String = (0..40).map(|term| format!(" mx:m{term}.example")).collect();
    let hosts: String = (0..400).map(|host| format!("m{}.example MX 10 h{host}.example\n", host / 10)).collect();
    let mut zone = Zone::new(&format!("example.com TXT v=spf1{terms} -all\n{hosts}"));
    let spf = survey_of(&mut zone);
    assert_eq!((spf.cut, zone.asked.len()), (Some(Cut::Questions), MAX_QUESTIONS));
}

#[test]
fn hosts_of_an_mx_term_with_too_many_are_not_asked_for() {
    let hosts: String = (0..1000).map(|host| format!("example.com MX 10 h{host}.example\n")).collect();
    let mut zone = Zone::new(&format!("example.com TXT v=spf1 mx -all\n{hosts}"));
    assert_eq!((survey_of(&mut zone).state(), zone.asked.len()), (State::Invalid, 2));
}

#[test]
fn a_deep_chain_is_cut() {
    let chain: String =
        (0..1000).map(|link| format!("i{link}.example TXT v=spf1 include:i{}.example\n", link + 1)).collect();
    let mut zone = Zone::new(&format!("example.com TXT v=spf1 include:i0.example -all\n{chain}"));
    let spf = survey_of(&mut zone);
    assert_eq!((spf.lookups, spf.root.depth()), (MAX_SURVEYED_LOOKUPS, MAX_SURVEYED_LOOKUPS + 1));
    assert_eq!(zone.asked.len(), MAX_SURVEYED_LOOKUPS + 1);
}

#[test]
fn a_record_of_64_kib_is_read_in_part() {
    let mut zone = Zone::new(&format!("example.com TXT v=spf1 {}-all", "ip4:192.0.2.1 ".repeat(4600)));
    let spf = survey_of(&mut zone);
    assert_eq!(
        (spf.state(), spf.reason(), spf.cut),
        (State::Inconclusive, Some(LookupFailure::Limit), Some(Cut::Terms))
    );
}

#[test]
fn thousands_of_records_are_counted() {
    let mut zone = Zone::new(&"example.com TXT v=spf1 -all\n".repeat(5000));
    let spf = survey_of(&mut zone);
    assert!(spf.faults().contains(&Fault::Multiple { domain: "example.com".to_owned(), count: 5000 }));
    assert!(spf.root.publication.texts.len() < 20);
}

#[test]
fn a_name_full_of_macros_stays_short() {
    let mut zone = Zone::new(&format!("example.com TXT v=spf1 include:{} -all", "%{d}.".repeat(12_000) + "%{d}"));
    survey_of(&mut zone);
    assert!(zone.asked.iter().all(|question| question.name.len() <= 253));
    assert_eq!(zone.asked.len(), 2);
}

fn terms() -> impl Strategy<Value = String> {
    "( [-+~?]?(all|a|mx|ptr|exists|include|redirect|exp)[:=]?([a-e]|%\\{[sldoiphv]\\})?\\.?(example|%\\{d\\})?\
     (/[0-9]{1,2})?){0,6}"
}

proptest! {
    // Texts by a pattern take long to make.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_comes_to_an_end(records in prop::collection::vec(terms(), 6), ip in any::<std::net::IpAddr>()) {
        let names = ["example.com", "a.example", "b.example", "c.example", "d.example", "e.example"];
        let lines = names.iter().zip(&records).map(|(name, terms)| format!("{name} TXT v=spf1{terms}"));
        let lines: Vec<_> = lines.collect();
        let mut zone = Zone::new(&lines.join("\n"));
        let spf = survey_of(&mut zone);
        prop_assert!(spf.lookups <= MAX_SURVEYED_LOOKUPS && zone.asked.len() <= MAX_QUESTIONS);
        let faults: Vec<String> = spf.faults().iter().map(ToString::to_string).collect();
        prop_assert!(faults.iter().all(|fault| !fault.is_empty()));

        let (local, domain) = ("postmaster".to_owned(), "example.com".to_owned());
        let mut check = HostCheck::new(Identity { ip, local, domain, helo: "e.example".to_owned() });
        let verdict = Zone::new(&lines.join("\n")).run(|answers| check.step(answers));
        prop_assert!(verdict.result != SpfResult::TempError);
    }
}
