//! The tree walk: where the record is found, and which policy applies.

use proptest::prelude::*;

use super::{
    super::{Dmarc, OrganizationalRule, Policy, PolicyTag, Relation, walk::targets},
    faults, walk, walk_in,
};
use crate::mail_dns::{LookupFailure, RecordKind, State, test_zone::Zone};

fn place(dmarc: &Dmarc) -> Option<(String, Relation)> {
    Some((dmarc.found_at()?, dmarc.found.as_ref()?.relation))
}

fn organizational(dmarc: &Dmarc) -> (&str, OrganizationalRule) {
    dmarc.organizational.as_ref().map(|it| (it.domain.as_str(), it.rule)).expect("an organizational domain")
}

#[test]
fn a_walk_has_at_most_eight_names() {
    assert_eq!(targets("example.com"), ["example.com", "com"]);
    assert_eq!(targets("com"), ["com"]);
    let seven = [
        "a.b.c.d.e.example.com",
        "b.c.d.e.example.com",
        "c.d.e.example.com",
        "d.e.example.com",
        "e.example.com",
        "example.com",
        "com",
    ];
    assert_eq!(targets(seven[0]), seven);
    // RFC 9989, section 4.10.
    assert_eq!(
        targets("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
        [
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            "g.h.i.j.mail.example.com",
            "h.i.j.mail.example.com",
            "i.j.mail.example.com",
            "j.mail.example.com",
            "mail.example.com",
            "example.com",
            "com",
        ]
    );
    let eight = targets("z.a.b.c.d.e.example.com");
    assert_eq!((eight.len(), eight[1]), (8, seven[0]));
    let mut zone = Zone::new("_dmarc.b.c.d.e.f.g.h.example TXT v=DMARC1; p=reject");
    let dmarc = walk_in("x.y.a.b.c.d.e.f.g.h.example", &mut zone);
    // The record is at a name that the walk leaves out.
    assert_eq!((place(&dmarc), dmarc.state(), dmarc.visits.len()), (None, State::Absent, 8));
    assert_eq!(zone.asked.iter().filter(|question| question.name.starts_with("_dmarc")).count(), 8);
}

#[test]
fn the_own_record_applies() {
    let dmarc = walk("example.com", "_dmarc.example.com TXT v=DMARC1; p=reject; sp=none");
    assert_eq!(place(&dmarc), Some(("_dmarc.example.com".to_owned(), Relation::Author)));
    assert_eq!((dmarc.policy(), dmarc.state()), (Some(Policy::Reject), State::Ok));
    assert_eq!(organizational(&dmarc), ("example.com", OrganizationalRule::FewestLabels));
    assert!(!dmarc.suffix_list.is_different);
}

#[test]
fn the_walk_does_not_stop_at_the_first_record() {
    let dmarc = walk(
        "a.mail.example.com",
        "a.mail.example.com A 192.0.2.1
         _dmarc.mail.example.com TXT v=DMARC1; p=none
         _dmarc.example.com TXT v=DMARC1; p=reject; sp=quarantine",
    );
    assert_eq!(place(&dmarc), Some(("_dmarc.example.com".to_owned(), Relation::Organizational)));
    assert_eq!((dmarc.policy(), dmarc.found.map(|found| found.tag)), (Some(Policy::Quarantine), Some(PolicyTag::Sp)));
}

#[test]
fn psd_no_stops_the_walk() {
    let zone = "_dmarc.mail.example.com TXT v=DMARC1; p=none; psd=n
                _dmarc.example.com TXT v=DMARC1; p=reject";
    let dmarc = walk("a.mail.example.com", zone);
    assert_eq!(organizational(&dmarc), ("mail.example.com", OrganizationalRule::PsdNo));
    assert_eq!((place(&dmarc).map(|it| it.0), dmarc.visits.len()), (Some("_dmarc.mail.example.com".to_owned()), 2));
    let dmarc = walk("a.mail.example.com", &zone.replace("psd=n", "psd=u"));
    assert_eq!(organizational(&dmarc), ("example.com", OrganizationalRule::FewestLabels));
}

/// RFC 9989, appendix B.4.3.
#[test]
fn psd_yes_makes_the_domain_below_the_organizational_one() {
    let zone = "_dmarc.bank.example TXT v=DMARC1; p=reject; sp=quarantine; psd=y
                _dmarc.giant.bank.example TXT v=DMARC1; p=none
                _dmarc.example TXT v=DMARC1; p=none";
    let dmarc = walk("mail.giant.bank.example", zone);
    assert_eq!(organizational(&dmarc), ("giant.bank.example", OrganizationalRule::BelowPsd));
    assert_eq!(place(&dmarc), Some(("_dmarc.giant.bank.example".to_owned(), Relation::Organizational)));
    let dmarc = walk("mail.mega.bank.example", &format!("{zone}\nmail.mega.bank.example A 192.0.2.1"));
    assert_eq!(organizational(&dmarc), ("mega.bank.example", OrganizationalRule::BelowPsd));
    assert_eq!(place(&dmarc), Some(("_dmarc.bank.example".to_owned(), Relation::PublicSuffix)));
    assert_eq!((dmarc.policy(), dmarc.visits.len()), (Some(Policy::Quarantine), 3));
    // Where the walk begins at it, it is a domain as any other.
    let dmarc = walk("bank.example", zone);
    assert_eq!(organizational(&dmarc), ("bank.example", OrganizationalRule::FewestLabels));
    assert_eq!((dmarc.policy(), dmarc.visits.len()), (Some(Policy::Reject), 1));
}

#[test]
fn np_applies_to_a_domain_that_does_not_exist() {
    let zone = "_dmarc.example.com TXT v=DMARC1; p=none; sp=quarantine; np=reject";
    let policy = |zone: &str| {
        let dmarc = walk("a.example.com", zone);
        dmarc.found.map(|found| (found.policy, found.tag, found.does_exist))
    };
    assert_eq!(policy(zone), Some((Some(Policy::Reject), PolicyTag::Np, Some(false))));
    let exists = format!("{zone}\na.example.com A 192.0.2.1");
    assert_eq!(policy(&exists), Some((Some(Policy::Quarantine), PolicyTag::Sp, Some(true))));
    assert_eq!(
        policy(&format!("{zone}\na.example.com SERVFAIL")),
        Some((Some(Policy::Quarantine), PolicyTag::Sp, None))
    );
    assert_eq!(policy(&zone.replace("; np=reject", "")).map(|it| it.1), Some(PolicyTag::Sp));
    assert_eq!(policy(&zone.replace("; sp=quarantine; np=reject", "")).map(|it| it.1), Some(PolicyTag::P));
}

#[test]
fn a_test_mode_takes_the_policy_one_level_down() {
    let cases = [("none", Policy::None), ("quarantine", Policy::None), ("reject", Policy::Quarantine)];
    for (published, applied) in cases {
        let dmarc = walk("example.com", &format!("_dmarc.example.com TXT v=DMARC1; p={published}; t=y"));
        assert_eq!(dmarc.applied_policy(), Some(applied));
        let dmarc = walk("example.com", &format!("_dmarc.example.com TXT v=DMARC1; p={published}; t=n"));
        assert_eq!(dmarc.applied_policy(), dmarc.policy());
    }
}

#[test]
fn a_record_without_a_policy_is_none_or_nothing() {
    let dmarc = walk("example.com", "_dmarc.example.com TXT v=DMARC1; rua=mailto:a@example.com");
    assert_eq!((dmarc.policy(), dmarc.found.map(|found| found.tag)), (Some(Policy::None), Some(PolicyTag::Assumed)));
    let dmarc = walk("example.com", "_dmarc.example.com TXT v=DMARC1");
    assert_eq!((dmarc.policy(), dmarc.state()), (None, State::Invalid));
}

#[test]
fn two_records_at_one_name_are_discarded_and_the_walk_goes_on() {
    let zone = "_dmarc.mail.example.com TXT v=DMARC1; p=none
                _dmarc.mail.example.com TXT v=DMARC1; p=reject
                _dmarc.example.com TXT v=DMARC1; p=quarantine";
    let dmarc = walk("mail.example.com", zone);
    assert_eq!(place(&dmarc).map(|it| it.0), Some("_dmarc.example.com".to_owned()));
    assert_eq!((dmarc.policy(), dmarc.state()), (Some(Policy::Quarantine), State::Invalid));
    assert_eq!(dmarc.faults()[0].to_string(), "2 DMARC records at _dmarc.mail.example.com");
    assert_eq!((dmarc.visits[0].texts.len(), dmarc.records()), (2, ["v=DMARC1; p=quarantine".to_owned()].as_slice()));
    let zone = zone.replace("_dmarc.example.com TXT v=DMARC1; p=quarantine", "");
    assert_eq!(walk("mail.example.com", &zone).records().len(), 2);
    assert_eq!(faults("_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.example.com TXT hello"), [""; 0]);
}

#[test]
fn faults_further_up_are_not_the_domains() {
    for above in ["_dmarc.com TXT v=dmarc1", "_dmarc.com TXT v=DMARC1; p=none\n_dmarc.com TXT v=DMARC1; p=none"] {
        let dmarc = walk("example.com", &format!("_dmarc.example.com TXT v=DMARC1; p=none\n{above}"));
        assert_eq!((dmarc.faults(), dmarc.state()), (Vec::new(), State::Ok), "{above}");
    }
}

#[test]
fn absent_is_without_a_record() {
    let dmarc = walk("example.com", "");
    assert_eq!((dmarc.state(), dmarc.reason(), dmarc.found_at()), (State::Absent, None, None));
    assert_eq!(organizational(&dmarc), ("example.com", OrganizationalRule::Start));
}

#[test]
fn a_lookup_that_fails_is_not_an_absence() {
    let dmarc = walk("example.com", "_dmarc.example.com SERVFAIL");
    assert_eq!((dmarc.state(), dmarc.reason()), (State::Inconclusive, Some(LookupFailure::ServFail)));
    let dmarc = walk("example.com", "_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.example.com BOGUS");
    assert_eq!((dmarc.state(), dmarc.reason()), (State::Inconclusive, Some(LookupFailure::BogusOrLame)));
    // Any record above may be the one that applies.
    let zone = "_dmarc.example.com SERVFAIL\n_dmarc.mail.example.com TXT v=DMARC1; p=reject";
    assert_eq!(walk("a.mail.example.com", zone).state(), State::Inconclusive);
    let dmarc = walk("mail.example.com", zone);
    assert_eq!((dmarc.state(), dmarc.policy(), dmarc.organizational), (State::Ok, Some(Policy::Reject), None));
    // What lies beyond the end of the walk does not matter.
    let zone = zone.replace("p=reject", "p=reject; psd=n");
    assert_eq!(walk("a.mail.example.com", &zone).state(), State::Ok);
}

#[test]
fn the_public_suffix_list_may_find_another_record() {
    // github.io is on the list.
    let zone = "_dmarc.github.io TXT v=DMARC1; p=reject";
    let dmarc = walk("user.github.io", zone);
    assert_eq!(dmarc.suffix_list.organizational.as_deref(), Some("user.github.io"));
    assert_eq!((dmarc.suffix_list.found_at.as_deref(), dmarc.suffix_list.is_different), (None, true));
    let dmarc = walk(
        "a.mail.example.com",
        "_dmarc.mail.example.com TXT v=DMARC1; p=none; psd=n\n_dmarc.example.com TXT v=DMARC1; p=none",
    );
    assert_eq!((dmarc.suffix_list.found_at.as_deref(), dmarc.suffix_list.is_different), (Some("example.com"), true));
    for domain in ["example.com", "mail.example.com", "example.co.uk", "mail.example.co.uk"] {
        let zone = "_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.example.co.uk TXT v=DMARC1; p=none";
        assert!(!walk(domain, zone).suffix_list.is_different, "{domain}");
    }
    assert!(!walk("example.com", "").suffix_list.is_different);
    // A lookup that fails is no difference.
    let zone = "_dmarc.mail.example.com TXT v=DMARC1; p=none; psd=n\n_dmarc.example.com SERVFAIL";
    assert!(!walk("a.mail.example.com", zone).suffix_list.is_different);
}

#[test]
fn all_names_are_asked_for_at_once() {
    use super::super::DmarcWalk;
    use crate::mail_dns::lookups::{Answers, Step};
    let Step::Ask(questions) = DmarcWalk::new("a.example.com").step(&Answers::default()) else {
        panic!("no questions")
    };
    let names: Vec<_> = questions.iter().map(|question| question.name.as_str()).collect();
    assert_eq!(names, ["_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com", "a.example.com"]);
    assert!(questions.iter().all(|question| question.kind == RecordKind::Txt));
}

fn record() -> impl Strategy<Value = String> {
    "(v=DMARC1(; ?(p=(none|reject|x)|psd=[yn]|rua=mailto:a@(b|a.b)|np=none)){0,3}|v=dmarc1|x)"
}

proptest! {
    // Texts by a pattern take long to make.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_domain_comes_to_an_end(
        domain in "([a-c]{1,2}\\.){0,12}[a-c]{1,2}",
        records in prop::collection::vec(record(), 13),
    ) {
        let mut name = domain.as_str();
        let mut lines = Vec::new();
        for record in &records {
            lines.push(format!("_dmarc.{name} TXT {record}"));
            let Some((_, parent)) = name.split_once('.') else { break };
            name = parent;
        }
        let mut zone = Zone::new(&lines.join("\n"));
        let dmarc = walk_in(&domain, &mut zone);
        prop_assert!(dmarc.visits.len() <= 8);
        prop_assert!(zone.asked.len() <= 8 + 2 + 8);
        prop_assert!(dmarc.state() != State::Inconclusive);
        prop_assert!(dmarc.faults().iter().all(|fault| !fault.to_string().is_empty()));
    }

    #[test]
    fn any_text_is_no_panic(domain in "\\PC{0,40}") {
        walk(&domain.replace(['\n', '\\'], ""), "");
    }
}
