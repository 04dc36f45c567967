//! Whole domains: one that is right, one that takes no mail, one that does not exist, one of which nothing is known.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    check::{CheckSettings, DomainCheck},
    domain::known::Published,
    findings::tests::{Case, leaf},
    mail_dns::{
        Answer, LookupFailure, Outcome, Proof, Question, RecordData, RecordKind,
        dmarc::DmarcWalk,
        mta_sts::{Announcement, PolicyText, question as sts_question},
        mx::{HostAddresses, MailHosts},
        spf::SpfWalk,
        test_zone::Zone,
        tls_rpt::{TlsRpt, question as tls_rpt_question},
        tlsa::DaneReason,
    },
    phase::Phase,
    report::{
        Report, Severity,
        domain::{AddressReport, TlsaReport},
    },
};

/// What a domain publishes that does everything right.
const GOOD_ZONE: &str = "example.com TXT v=spf1 ip4:192.0.2.1 -all
_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:dmarc@example.com
_mta-sts.example.com TXT v=STSv1; id=20260101
_smtp._tls.example.com TXT v=TLSRPTv1; rua=mailto:tls@example.com";
const GOOD_POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";

fn published(zone: &str, policy: Option<&str>) -> Published {
    let mut zone = Zone::new(zone);
    let (mut spf, mut dmarc) = (SpfWalk::new("example.com"), DmarcWalk::new("example.com"));
    let announcement = Announcement::read(&zone.answer(&sts_question("example.com")));
    let tls_rpt = TlsRpt::read(&zone.answer(&tls_rpt_question("example.com")));
    let fetched = policy.map(|text| Ok(PolicyText::parse(text.as_bytes())));
    Published {
        spf: zone.run(|answers| spf.step(answers)),
        dmarc: zone.run(|answers| dmarc.step(answers)),
        dkim: Vec::new(),
        tls_rpt,
        mta_sts: StsFound { announcement, fetched, content_type: Some("text/plain".to_owned()) },
        senders: Vec::new(),
    }
}

fn answer(proof: Proof, outcome: Outcome) -> Answer {
    Answer { proof, aliases: Vec::new(), outcome }
}

/// The answer with the MX record `10 mx.example.com.`, of a signed zone.
fn one_host() -> Answer {
    let record = RecordData::Mx { preference: 10, exchange: "mx.example.com".to_owned() };
    answer(Proof::Secure, Outcome::Records(vec![record]))
}

fn survey(mx: &Answer, published: Published, parameters: &Value) -> Survey {
    let fields = parameters.as_object().expect("an object").clone().into_iter().collect();
    let check = DomainCheck::parse(fields, &CheckSettings::new(Duration::from_secs(60))).expect("a check");
    let mx = MailHosts::read("example.com", mx, check.mx_limit);
    Survey { check: Arc::new(check), resolver: ResolverState::Ok, mx, surveyed: Vec::new(), published }
}

/// A host that showed a certificate which its TLSA record matches.
fn with_host(mut survey: Survey, report: Report) -> (Survey, HostReport) {
    let address = RecordData::Address([192, 0, 2, 1].into());
    let addresses = HostAddresses::read(&[answer(Proof::Secure, Outcome::Records(vec![address]))]);
    let record = format!("3 1 1 {}", "ab".repeat(32)).parse().expect("a record");
    let tlsa = TlsaOutcome::Records { base: "mx.example.com".to_owned(), records: vec![record] };
    let host = survey.mx.hosts[0].clone();
    let seen = AddressReport {
        address: [192, 0, 2, 1].into(),
        report: Some(Box::new(report)),
        refusal: None,
        views: Views::all(Verdict::Ok),
    };
    let shown = HostReport {
        name: host.name.clone(),
        preference: host.preference,
        proof: addresses.proof,
        reason: None,
        tlsa: TlsaReport::not_tested("not asked"),
        addresses: vec![seen],
        views: Views::all(Verdict::Ok),
    };
    survey.surveyed.push(Surveyed { host, reason: None, addresses, tlsa, left_out: 0, sessions: Vec::new() });
    (survey, shown)
}

fn judged(survey: &Survey, hosts: &[HostReport], verdict: Views) -> Vec<Finding> {
    let reason = DaneReason::EndEntity;
    let dane: Vec<_> = hosts.iter().map(|_| vec![DaneView { verdict: Verdict::Ok, reason, is_weak: false }]).collect();
    of(survey, &Judged { hosts, dane: &dane, differences: &[], verdict, new_id: "20261129" })
}

fn ids(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{} {}", finding.id, finding.severity.name())).collect()
}

/// A session with TLS, in which nothing is wrong.
fn good_report() -> Report {
    let ehlo = "250-mx.example.com\r\n250 STARTTLS";
    Case::new().start_tls().accepted(Phase::Ehlo, ehlo).secured(&[], leaf()).report()
}

#[test]
fn a_domain_that_does_everything_right_has_no_finding() {
    let expect = json!({"mx": ["mx.example.com"], "dmarc_policy": "reject", "mta_sts_mode": "enforce", "dane": true});
    let parameters = json!({"domain": "example.com", "expect": expect});
    let right = survey(&one_host(), published(GOOD_ZONE, Some(GOOD_POLICY)), &parameters);
    let (survey, host) = with_host(right, good_report());
    assert_eq!(judged(&survey, &[host], Views::all(Verdict::Ok)), []);
}

#[test]
fn the_severest_findings_come_first_and_each_once() {
    let zone = GOOD_ZONE.replace("p=reject", "p=none").replace("-all", "+all");
    let parameters = json!({"domain": "example.com", "expect": {"dane": false}});
    let wrong = survey(&one_host(), published(&zone, Some(GOOD_POLICY)), &parameters);
    let clear = Case::new().accepted(Phase::Ehlo, "250 mx.example.com").report();
    let (mut survey, host) = with_host(wrong, clear);
    survey.mx.left_out = 1;
    survey.surveyed.push(survey.surveyed[0].clone());
    let expected = [
        "expect.differs error",
        "starttls.not_offered error",
        "spf.permissive warning",
        "dmarc.policy_none notice",
        "limits.truncated notice",
    ];
    assert_eq!(ids(&judged(&survey, &[host.clone(), host], Views::all(Verdict::Ok))), expected);
}

#[test]
fn a_domain_that_takes_no_mail_needs_neither_policy_nor_reports_of_tls() {
    let null = answer(Proof::Secure, Outcome::Records(vec![RecordData::Mx { preference: 0, exchange: String::new() }]));
    let zone = "example.com TXT v=spf1 -all\n_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:a@example.com";
    let survey = survey(&null, published(zone, None), &json!({"domain": "example.com"}));
    assert_eq!(ids(&judged(&survey, &[], Views::all(Verdict::NotApplicable))), ["mx.null info"]);
}

#[test]
fn of_a_domain_that_does_not_exist_nothing_else_is_said() {
    let none = answer(Proof::Secure, Outcome::NoName);
    let survey = survey(&none, published("", None), &json!({"domain": "example.com"}));
    assert_eq!(ids(&judged(&survey, &[], Views::all(Verdict::NotApplicable))), ["mx.none error"]);
}

/// What could not be looked up is neither absent nor wrong.
#[test]
fn where_nothing_is_known_all_findings_are_inconclusive() {
    let zone = "example.com SERVFAIL\n_dmarc.example.com SERVFAIL\n_dmarc.com SERVFAIL\n_mta-sts.example.com SERVFAIL
_smtp._tls.example.com SERVFAIL";
    let expect = json!({"mx": ["mx.example.com"], "dmarc_policy": "reject", "mta_sts_mode": "enforce", "dane": true});
    let parameters = json!({"domain": "example.com", "dkim_selectors": ["s1"], "expect": expect});
    let failed = answer(Proof::Indeterminate, Outcome::Failed(LookupFailure::ServFail));
    let mut survey = survey(&failed, published(zone, None), &parameters);
    survey.resolver = ResolverState::StripsDnssec;
    survey.published.dkim.push(("s1".to_owned(), crate::mail_dns::dkim::Selector::read(&failed)));
    let findings = judged(&survey, &[], Views::INCONCLUSIVE);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Inconclusive), "{:?}", ids(&findings));
    let count = |id: &str| findings.iter().filter(|finding| finding.id == id).count();
    assert_eq!((count("expect.differs"), count("dnssec.resolver_unfit")), (4, 1));
    let asked = |name: &str, kind: RecordKind| {
        let question = Question::new(name, kind);
        let subject = format!("{}. {}", question.name, question.kind);
        assert!(findings.iter().any(|finding| finding.subject == subject), "{subject}");
    };
    asked("example.com", RecordKind::Mx);
    for name in ["example.com", "_dmarc.example.com", "_mta-sts.example.com", "_smtp._tls.example.com"] {
        asked(name, RecordKind::Txt);
    }
    asked("s1._domainkey.example.com", RecordKind::Txt);
}
