//! [`Case`]: a check for the tests of rules and explanations, with its findings and its explanation; and tests of the
//! catalogue.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::*;
use crate::{
    phase::Phase,
    report::{
        AuthEnded, Cause, Fact, Facts, Failure, FailureKind, Finding, Journal, Report, ReportedClientCertificate,
        Unreached, Via,
        fold::fold_with,
        journal::{Ending, Event, Heading, TlsSession},
    },
    smtp::{Mechanism, Payload, Protocol, ReplyParser, Script, StartTls, sasl::SaslFacts},
    x509::{
        CertificateFacts,
        problem::{CertificateErrorKind, CertificateProblem},
    },
};

pub(crate) const STARTED: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// A check under construction.
pub(crate) struct Case {
    journal: Journal,
    script: Script,
    started: Instant,
    scram_iterations: Option<u32>,
}

impl Case {
    /// A delivery to `probe@example.test` at port 25 of `mx.test`.
    pub(crate) fn new() -> Self {
        Self::at_port(25)
    }

    pub(crate) fn at_port(port: u16) -> Self {
        let started = Instant::now();
        let (id, host) = (Uuid::nil(), "mx.test".to_owned());
        let heading = Heading {
            id,
            started_at: STARTED,
            started,
            host,
            port,
            via: Via::Request,
            transcript: false,
            is_clock_set: true,
            mechanism: None,
        };
        let script = Script {
            resets: false,
            ehlo: "noit.local".parse().expect("a name"),
            implicit_tls: false,
            protocol: Protocol::Smtp,
            start_tls: StartTls::Off,
            credentials: None,
            from: None,
            to: Some("probe@example.test".parse().expect("a mailbox")),
            payload: Payload::parse("Subject: Testing").expect("a payload"),
            stop_after: None,
            expect: None,
        };
        Self { journal: Journal::new(heading), script, started, scram_iterations: None }
    }

    pub(crate) fn start_tls(mut self) -> Self {
        self.script.start_tls = StartTls::Required;
        self
    }

    pub(crate) fn implicit_tls(mut self) -> Self {
        self.script.implicit_tls = true;
        self
    }

    pub(crate) fn from(mut self, from: &str) -> Self {
        self.script.from = (!from.is_empty()).then(|| from.parse().expect("a mailbox"));
        self
    }

    pub(crate) fn to(mut self, to: &str) -> Self {
        self.script.to = Some(to.parse().expect("a mailbox"));
        self
    }

    pub(crate) fn iterations(self, scram_iterations: Option<u32>) -> Self {
        Self { scram_iterations, ..self }
    }

    fn note(mut self, event: Event) -> Self {
        self.journal.note(self.started, event);
        self
    }

    pub(crate) fn unreached(self, unreached: Unreached) -> Self {
        self.note(Event::Noted(Fact::Unreached(unreached)))
    }

    pub(crate) fn auth_ended(self, ended: AuthEnded) -> Self {
        self.note(Event::Noted(Fact::AuthEnded(ended)))
    }

    fn answered(self, phase: Phase, text: &str, ending: Ending) -> Self {
        let wire = format!("{text}\r\n");
        let reply = ReplyParser::default().parse(&mut wire.as_bytes()).expect("a reply").expect("whole");
        self.note(Event::Began(phase)).note(Event::Received(reply)).note(Event::Ended(phase, ending))
    }

    pub(crate) fn accepted(self, phase: Phase, text: &str) -> Self {
        self.answered(phase, text, Ending::Accepted)
    }

    pub(crate) fn rejected(self, phase: Phase, text: &str) -> Self {
        self.answered(phase, text, Ending::Rejected)
    }

    pub(crate) fn expected(self, phase: Phase, text: &str) -> Self {
        self.answered(phase, text, Ending::AsExpected { is_ok: false })
    }

    pub(crate) fn unexpected(self, phase: Phase, text: &str) -> Self {
        self.answered(phase, text, Ending::Unexpected { is_ok: false })
    }

    pub(crate) fn authenticating(self, mechanism: Mechanism, is_server_proven: bool) -> Self {
        let facts = SaslFacts { mechanism, initial_response: true, iterations: None, is_server_proven };
        self.note(Event::Authenticating(facts))
    }

    pub(crate) fn lmtp(mut self) -> Self {
        self.script.protocol = Protocol::Lmtp;
        self
    }

    pub(crate) fn failed(self, phase: Phase, kind: FailureKind, cause: Option<Cause>) -> Self {
        self.note(Event::Failed(Failure::new(phase, kind, "why").with_cause(cause)))
    }

    pub(crate) fn secured(self, errors: &[CertificateErrorKind], leaf: CertificateFacts) -> Self {
        let problems = errors.iter().map(|kind| CertificateProblem::new(*kind, "that is so"));
        self.note(Event::Secured(Box::new(TlsSession {
            version: Some("TLSv1.3"),
            cipher: Some("TLS_AES_256_GCM_SHA384".to_owned()),
            server_name: "mx.test".to_owned(),
            verified: errors.is_empty(),
            client_certificate: ReportedClientCertificate::default(),
            problems: problems.collect(),
            chain: vec![leaf],
        })))
    }

    pub(crate) fn report(self) -> Report {
        let Self { journal, script, started, scram_iterations } = self;
        fold_with(journal, started + Duration::from_millis(1), |report| {
            report.facts = Facts { scram_iterations, ..std::mem::take(&mut report.facts) };
            super::complete(report, &script);
        })
    }
}

/// A certificate for `mx.test` that is valid for another two months.
pub(crate) fn leaf() -> CertificateFacts {
    CertificateFacts {
        subject: "CN=mx.test".to_owned(),
        issuer: "CN=CA".to_owned(),
        names: vec!["mx.test".to_owned()],
        not_before: Some(datetime!(2026-01-01 0:00 UTC)),
        not_before_as_written: "260101000000Z".to_owned(),
        not_after: Some(datetime!(2027-01-22 0:00 UTC)),
        not_after_as_written: "270122000000Z".to_owned(),
        serial: "0a".to_owned(),
        fingerprint_sha256: "ff".to_owned(),
        key: "ECDSA P-256".to_owned(),
        signature_algorithm: "ECDSA with SHA-256".to_owned(),
        on_path: true,
    }
}

/// The findings of a report: id and severity of each.
pub(crate) fn ids(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{} {}", finding.id, finding.severity.name())).collect()
}

/// The only finding of a report.
pub(crate) fn only(report: &Report) -> &Finding {
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    &report.findings[0]
}

#[test]
fn every_id_is_there_once_and_has_its_texts() {
    let ids: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), CATALOGUE.len());
    for entry in &CATALOGUE {
        let (topic, name) = entry.id.split_once('.').expect("topic and name");
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        assert!(is_word(topic) && is_word(name), "{}", entry.id);
        assert!(entry.meaning.ends_with('.') && entry.remedy.ends_with('.') && !entry.title.ends_with('.'));
        assert!(entry.reference.is_none_or(|reference| reference.starts_with("RFC ")), "{}", entry.id);
    }
}

#[test]
fn evidence_is_bounded() {
    let finding = finding(&catalogue::cert::WEAK, String::new(), Phase::Tls, "");
    let evidence = finding.with_evidence(vec!["ü".repeat(1000); 10]).evidence;
    assert_eq!((evidence.len(), evidence[0].len()), (MAX_EVIDENCE, MAX_EVIDENCE_SIZE));
}
