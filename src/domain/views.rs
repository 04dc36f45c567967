//! What each kind of sender makes of an address (RFC 7435, RFC 8461, RFC 7672).

use crate::{
    findings::catalogue,
    mail_dns::Verdict,
    phase::Phase,
    report::{Failure, FailureKind, Outcome, Report, Severity},
};

/// What a sender needs to know of the check, beside what was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The caller named the recipient: its rejection is a failure, and not just a missing postmaster.
    pub(super) has_recipient: bool,
}

/// Whether mail of a sender that looks at no certificate arrives.
pub(super) fn opportunistic(report: Option<&Report>, asked: Asked) -> Verdict {
    let Some(report) = report else { return Verdict::Inconclusive };
    match &report.failure {
        None if report.outcome == Outcome::Failed => Verdict::Inconclusive,
        None => Verdict::Ok,
        Some(failure) => of_failure(report, failure, asked),
    }
}

fn of_failure(report: &Report, failure: &Failure, asked: Asked) -> Verdict {
    let severity_of = |id: &str| report.findings.iter().find(|finding| finding.id == id).map(|it| it.severity);
    // A server that refuses this client in particular says nothing about others.
    if severity_of(catalogue::smtp::GREETING_REFUSED.id).is_some() {
        return Verdict::Inconclusive;
    }
    match failure.kind {
        FailureKind::Rejected if failure.temporary => Verdict::Inconclusive,
        FailureKind::Rejected => match failure.phase {
            Phase::Banner => Verdict::Inconclusive,
            // The server takes mail for other recipients.
            Phase::RcptTo if !asked.has_recipient => Verdict::Ok,
            Phase::MailFrom => by_severity(severity_of(catalogue::smtp::NULL_SENDER_REFUSED.id)),
            _ => Verdict::Fail,
        },
        FailureKind::Refused | FailureKind::Timeout | FailureKind::Closed if failure.phase == Phase::Connect => {
            by_severity(severity_of(catalogue::smtp::UNREACHABLE.id))
        }
        FailureKind::Tls | FailureKind::Closed if is_of_tls(failure.phase) => {
            by_severity(severity_of(catalogue::tls::FAILED.id).or(severity_of(catalogue::tls::OLD_PROTOCOL.id)))
        }
        FailureKind::Protocol => Verdict::Fail,
        // A sender has more time than this check, and tries again; and a limit of this client is not one of others.
        FailureKind::Unreachable
        | FailureKind::Timeout
        | FailureKind::Closed
        | FailureKind::Unsupported
        | FailureKind::Unexpected
        | FailureKind::Dns
        | FailureKind::Refused
        | FailureKind::Tls
        | FailureKind::Certificate => Verdict::Inconclusive,
    }
}

fn is_of_tls(phase: Phase) -> bool {
    matches!(phase, Phase::StartTls | Phase::Tls | Phase::EhloTls)
}

/// A failure is one for all senders where the finding about it is an error.
fn by_severity(severity: Option<Severity>) -> Verdict {
    match severity {
        Some(Severity::Error | Severity::Warning) => Verdict::Fail,
        _ => Verdict::Inconclusive,
    }
}

/// The MTA-STS policy, as far as it concerns one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StsPolicy {
    /// There is none, or none that is in force.
    None,
    /// Whether there is one could not be told.
    Unknown,
    /// It allows the host.
    Listed,
    /// It does not.
    Unlisted,
}

/// Whether mail of a sender that keeps to the MTA-STS policy arrives.
pub(super) fn mta_sts(report: Option<&Report>, policy: StsPolicy, asked: Asked) -> Verdict {
    match policy {
        StsPolicy::None => return Verdict::NotApplicable,
        StsPolicy::Unknown => return Verdict::Inconclusive,
        StsPolicy::Unlisted => return Verdict::Fail,
        StsPolicy::Listed => {}
    }
    let Some(report) = report else { return Verdict::Inconclusive };
    let without = opportunistic(Some(report), asked);
    match &report.tls {
        Some(tls) if tls.verified => without,
        Some(tls) if tls.is_not_judged() => Verdict::Inconclusive,
        Some(tls) if !tls.errors.is_empty() => Verdict::Fail,
        Some(_) => without,
        None if has_no_start_tls(report) => Verdict::Fail,
        None if without == Verdict::Ok => Verdict::Inconclusive,
        None => without,
    }
}

/// Whether the reply to EHLO, read whole, does not offer STARTTLS.
pub(super) fn has_no_start_tls(report: &Report) -> bool {
    let is_whole = !report.facts.has_cut_ehlo;
    report.capabilities.before_tls.as_ref().is_some_and(|offered| is_whole && !offered.offers("STARTTLS"))
}
