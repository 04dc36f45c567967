//! What an operator should know about a mail server: [`Finding`]s, and the explanation of a failure.
//!
//! - [`catalogue`]: every kind of finding as data. [`page`]: the pages that are made of it.
//! - [`smtp`], [`starttls`], [`tls`], [`cert`], [`sasl`]: the rules, pure functions from a report to findings.
//! - [`domain`]: the rules about a domain.
//! - [`explanation`]: what a failure most likely means.
//! - [`refusal`]: what a reply refuses, and why, for both. [`sentence`], [`party`], [`reply_text`]: what its words
//!   tell.
//!
//! A rule reads facts: kinds, codes and causes, and of texts only those of the server. What a check could not tell is
//! `inconclusive`, with the reason; no limit of this client is a finding about the server.

pub mod catalogue;
mod cert;
pub(crate) mod domain;
mod explanation;
pub mod page;
mod party;
mod refusal;
mod reply_text;
mod sasl;
mod sentence;
mod smtp;
mod starttls;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod words;

use std::borrow::Cow;

pub use catalogue::{CATALOGUE, Entry};

use self::refusal::Refusal;
use crate::{
    destination::address_text,
    phase::Phase,
    report::{Finding, Report, Severity},
    smtp::Script,
};

/// Most octets of one text of evidence.
const MAX_EVIDENCE_SIZE: usize = 256;
/// Most texts of evidence of one finding.
const MAX_EVIDENCE: usize = 4;

/// Adds to a finished report its findings, and the explanation of its failure. `script` is what the check was to do.
pub fn complete(report: &mut Report, script: &Script) {
    let mut findings = Vec::new();
    let failure = report.failure.as_ref();
    let of_failure = failure.and_then(|failure| Refusal::of_failure(failure, report, script));
    let explanation = failure.and_then(|failure| explanation::of(failure, of_failure.as_ref(), report, script));
    let expected = of_failure.is_none().then(|| Refusal::expected(report, script)).flatten();
    let seen = Seen { report, script, refusal: of_failure.as_ref().or(expected.as_ref()) };
    for rules in [smtp::rules, starttls::rules, tls::rules, cert::rules, sasl::rules] {
        rules(seen, &mut findings);
    }
    findings.sort_by_key(|finding| (finding.severity, finding.id));
    report.findings = findings;
    if let Some(failure) = &mut report.failure {
        failure.explanation = explanation;
    }
}

/// What rules read.
#[derive(Clone, Copy)]
struct Seen<'a> {
    report: &'a Report,
    script: &'a Script,
    /// The reply that failed the check, or the rejection that the check expected: either tells the same of the server.
    refusal: Option<&'a Refusal<'a>>,
}

impl<'a> Seen<'a> {
    fn refusal(self) -> Option<&'a Refusal<'a>> {
        self.refusal
    }

    /// A finding about the address of the connection.
    fn found(self, entry: &Entry, phase: Phase, message: impl Into<String>) -> Finding {
        let target = &self.report.target;
        let subject = match target.address {
            Some(address) => subject(&target.host, &address_text(address)),
            None => target.host.clone(),
        };
        finding(entry, subject, phase, message)
    }

    /// Whether the greeting names LMTP.
    fn greets_by_lmtp(self) -> bool {
        refusal::greets_by_lmtp(self.report)
    }

    /// The reply that refused something, as evidence.
    fn reply(self) -> Option<String> {
        self.refusal().map(Refusal::evidence)
    }
}

fn subject(host: &str, address: &str) -> String {
    if host == address { host.to_owned() } else { format!("{host} [{address}]") }
}

fn finding(entry: &Entry, subject: String, phase: Phase, message: impl Into<String>) -> Finding {
    Finding {
        id: entry.id,
        severity: entry.severity,
        scope: entry.scope,
        subject,
        phase: Some(phase),
        message: message.into(),
        evidence: Vec::new(),
        remedy: Cow::Borrowed(entry.remedy),
        reference: entry.reference,
    }
}

impl Finding {
    /// The same finding with this evidence, which is cut to its maximum size.
    #[must_use]
    fn with_evidence(self, evidence: impl IntoIterator<Item = String>) -> Self {
        let cut = |mut text: String| {
            text.truncate(text.floor_char_boundary(MAX_EVIDENCE_SIZE));
            text
        };
        Self { evidence: evidence.into_iter().take(MAX_EVIDENCE).map(cut).collect(), ..self }
    }

    /// The same finding with this severity, if `applies`.
    #[must_use]
    fn with_severity(self, severity: Severity, applies: bool) -> Self {
        if applies { Self { severity, ..self } } else { self }
    }
}
