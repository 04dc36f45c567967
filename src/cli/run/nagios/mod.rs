//! `--nagios`: a report as the output of a plugin, by the Monitoring Plugins Development Guidelines. It is always one
//! line: text, `|`, and the performance data.

use std::{fmt::Write, process::ExitCode};

use strum::Display;

use super::{
    expiry::{days_left, expires_within, expiry},
    reply_text::{ReplyText, place},
};
use crate::{
    config::{Limit, Thresholds},
    escape::is_harmful,
    phase::Phase,
    report::{Failure, FailureKind, Report, TlsReport},
    x509::problem::CertificateErrorKind,
};

/// The most octets of text: NRPE's old protocol takes 1024 in all.
const MAX_TEXT_SIZE: usize = 400;

/// Status of a plugin, in ascending order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "UPPERCASE")]
pub(super) enum Status {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Critical => 2,
            Status::Unknown => 3,
        })
    }
}

/// What is said where this program cannot tell.
const OWN_LIMIT: &str = "a limit of smtp-check, not a fault of the server";

/// Status and line for a report. A failed check is critical; a threshold for a phase that was not measured gives
/// UNKNOWN, and so does a limit of this program.
pub(super) fn judge(report: &Report, thresholds: &Thresholds) -> (Status, String) {
    let (status, text) = match &report.failure {
        Some(failure) => {
            let lines: Vec<_> = ReplyText::from(failure).lines().collect();
            let (place, text) = (place(failure.phase, failure.kind.name()), lines.join(" "));
            if is_own_limit(report, failure) {
                (Status::Unknown, format!("{place}, {OWN_LIMIT}: {text}"))
            } else {
                (Status::Critical, format!("{place}: {text}"))
            }
        }
        None => {
            let mut faults = faults(report, thresholds);
            faults.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
            let ms = report.metrics.duration;
            let fine = (Status::Ok, format!("{} in {ms:.3} ms", report.outcome.name()));
            let status = faults.first().unwrap_or(&fine).0;
            let texts = faults.iter().chain([&fine]).map(|(_, text)| text.as_str());
            (status, texts.collect::<Vec<_>>().join(", "))
        }
    };
    (status, line(status, &text, &performance(report, thresholds)))
}

/// The line of a plugin.
pub(super) fn line(status: Status, text: &str, performance: &[String]) -> String {
    let mut line = format!("SMTP {status} - ");
    // A `|` in the text would begin the performance data.
    for character in text.chars().map(|character| if is_harmful(character) { ' ' } else { character }) {
        line.push(if character == '|' { '/' } else { character });
        if line.len() > MAX_TEXT_SIZE {
            line.push_str("...");
            break;
        }
    }
    if !performance.is_empty() {
        let _ = write!(line, "|{}", performance.join(" "));
    }
    line.push('\n');
    line
}

/// All that exceeds a threshold, or could not be measured.
fn faults(report: &Report, thresholds: &Thresholds) -> Vec<(Status, String)> {
    let mut faults = Vec::new();
    for (measure, ms) in measured(report) {
        let (status, limit) = match (limit_of(&thresholds.critical, measure), limit_of(&thresholds.warning, measure)) {
            (Some(limit), _) if ms > limit => (Status::Critical, limit),
            (_, Some(limit)) if ms > limit => (Status::Warning, limit),
            _ => continue,
        };
        faults.push((status, format!("{} took {ms:.3} ms, over {limit}", label(measure))));
    }
    let measured: Vec<_> = measured(report).into_iter().map(|(measure, _)| measure).collect();
    for limit in thresholds.critical.iter().chain(&thresholds.warning) {
        let fault = (Status::Unknown, format!("there was no {} to measure", label(limit.of)));
        if !measured.contains(&limit.of) && !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults.extend(expiry_fault(report, thresholds));
    faults.extend(validity_fault(report));
    faults
}

/// Whether the failure tells nothing about the server.
fn is_own_limit(report: &Report, failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::Certificate => report.tls.as_ref().is_some_and(TlsReport::is_not_judged),
        // At MAIL FROM it is the server that does not offer SMTPUTF8.
        FailureKind::Unsupported => failure.phase != Phase::MailFrom,
        _ => false,
    }
}

/// Seconds until the first certificate of the path that was verified expires, and whose it is: a server whose issuer
/// expires is lost as well. Where no path was verified, it is the server's own.
fn expiry_of(report: &Report) -> Option<(i64, String)> {
    let first = report.tls.as_ref().and_then(|tls| Some((tls, tls.first_to_expire()?)));
    if let Some((tls, first)) = first
        && let Some(end) = first.not_after
    {
        let is_own = tls.chain.first() == Some(first);
        let whose = if is_own { "certificate".to_owned() } else { format!("issuer's certificate ({})", first.subject) };
        return Some((end.unix_timestamp() - report.started_at.unix_timestamp(), whose));
    }
    Some((report.metrics.cert_end_in?, "certificate".to_owned()))
}

/// What is wrong with the expiry of the certificate. An expired one is critical, with or without thresholds.
fn expiry_fault(report: &Report, thresholds: &Thresholds) -> Option<(Status, String)> {
    let (critical, warning) = (thresholds.cert_critical, thresholds.cert_warning);
    let Some((seconds, whose)) = expiry_of(report) else {
        critical.or(warning)?;
        let why = match &report.tls {
            Some(tls) if tls.chain.is_empty() => "the server showed no certificate",
            Some(_) if report.metrics.cert_end.is_some() => {
                "whether the certificate is still valid cannot be told: the clock of this system is set wrong"
            }
            Some(_) => "the end of the certificate's validity cannot be read",
            None => "the server was not asked for TLS",
        };
        return Some((Status::Unknown, why.to_owned()));
    };
    let is_under = |days: &u32| expires_within(seconds, *days);
    let (word, when) = expiry(seconds);
    match (critical.filter(is_under), warning.filter(is_under)) {
        _ if seconds < 0 => Some((Status::Critical, format!("the {whose} {word} {when}"))),
        (Some(days), _) => Some((Status::Critical, format!("the {whose} {word} {when}, under {days}"))),
        (None, Some(days)) => Some((Status::Warning, format!("the {whose} {word} {when}, under {days}"))),
        (None, None) => None,
    }
}

/// What else is wrong with the certificate or its issuers. Mail is delivered to such a server, too: it is a warning,
/// unless a certificate has expired. What this program does not support is unknown.
fn validity_fault(report: &Report) -> Option<(Status, String)> {
    let (tls, error) = (report.tls.as_ref()?, report.metrics.cert_error.as_ref()?);
    if tls.is_not_judged() {
        return Some((Status::Unknown, format!("the certificate cannot be verified, {OWN_LIMIT} ({error})")));
    }
    let has_expired = report.metrics.cert_end_in.is_some_and(|seconds| seconds < 0);
    if has_expired && tls.errors == [CertificateErrorKind::Expired] {
        return None;
    }
    let status = if tls.errors.contains(&CertificateErrorKind::Expired) { Status::Critical } else { Status::Warning };
    Some((status, format!("the certificate is not valid ({error})")))
}

/// The performance data: `label=value[UOM];[warn];[crit];[min];[max]`.
fn performance(report: &Report, thresholds: &Thresholds) -> Vec<String> {
    let number = |limit: Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let times = measured(report).into_iter().map(|(measure, ms)| {
        let (warning, critical) = (limit_of(&thresholds.warning, measure), limit_of(&thresholds.critical, measure));
        format!("{}={ms:.3}ms;{};{};0", label(measure), number(warning), number(critical))
    });
    // `30:` is the range from 30 up; less is a reason to warn.
    let range = |days: Option<u32>| days.map(|days| format!("{days}:")).unwrap_or_default();
    let days = expiry_of(report).map(|(seconds, _)| {
        let (warning, critical) = (range(thresholds.cert_warning), range(thresholds.cert_critical));
        format!("certificate_days={};{warning};{critical}", days_left(seconds))
    });
    times.chain(days).collect()
}

/// The time of the whole check (`None`), and of each phase that was measured.
fn measured(report: &Report) -> Vec<(Option<Phase>, f64)> {
    let phases = report.phases.iter().filter_map(|phase| Some((Some(phase.name), phase.time_ms?)));
    [(None, report.metrics.duration)].into_iter().chain(phases).collect()
}

fn label(measure: Option<Phase>) -> &'static str {
    measure.map_or("duration", Phase::name)
}

fn limit_of(limits: &[Limit], measure: Option<Phase>) -> Option<f64> {
    limits.iter().find(|limit| limit.of == measure).map(|limit| limit.ms)
}

#[cfg(test)]
mod tests;
