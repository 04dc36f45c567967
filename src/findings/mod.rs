//! What an operator should know about a mail server: [`Finding`]s, and the explanation of a failure.
//!
//! - [`catalogue`]: every kind of finding as data. [`page`]: the pages that are made of it.
//! - [`smtp`], [`starttls`], [`tls`], [`cert`], [`sasl`]: the rules, pure functions from a report to findings.
//! - [`explanation`]: what a failure most likely means. [`reply_text`]: what the texts of replies tell about it.
//!
//! A rule reads facts: kinds, codes and causes, and of texts only those of the server. What a check could not tell is
//! `inconclusive`, with the reason; no limit of this client is a finding about the server.

pub mod catalogue;
mod cert;
mod explanation;
pub mod page;
mod reply_text;
mod sasl;
mod smtp;
mod starttls;
#[cfg(test)]
mod tests;
mod tls;

use std::borrow::Cow;

pub use catalogue::{CATALOGUE, Entry};

use crate::{
    phase::Phase,
    report::{Failure, Finding, Report, Severity},
    smtp::Script,
};

/// Most octets of one text of evidence.
const MAX_EVIDENCE_SIZE: usize = 256;
/// Most texts of evidence of one finding.
const MAX_EVIDENCE: usize = 4;

/// Adds to a finished report its findings, and the explanation of its failure. `script` is what the check was to do.
pub fn complete(report: &mut Report, script: &Script) {
    let explanation = report.failure.as_ref().and_then(|failure| explanation::of(failure, report, script));
    let mut findings = Vec::new();
    let seen = Seen { report, script };
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
}

impl<'a> Seen<'a> {
    /// The failure, if it is a reply with a code from 400 to 599.
    fn rejection(self) -> Option<(&'a Failure, u16)> {
        let failure = self.report.failure.as_ref()?;
        failure.code.filter(|code| *code >= 400).map(|code| (failure, code))
    }

    /// A finding about the address of the connection.
    fn found(self, entry: &Entry, phase: Phase, message: impl Into<String>) -> Finding {
        let target = &self.report.target;
        let subject = match target.address {
            Some(address) => subject(&target.host, &address.to_string()),
            None => target.host.clone(),
        };
        finding(entry, subject, phase, message)
    }

    /// The reply that failed the check, as evidence.
    fn reply(self) -> Option<String> {
        let (failure, code) = self.rejection()?;
        let enhanced = failure.enhanced_code.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
        Some(format!("{code} {enhanced}{}", failure.message))
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
