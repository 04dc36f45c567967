//! `--nagios`: a report as a plugin's answer, by the Monitoring Plugins Development Guidelines. It is one line, whatever the server says:
//! what it is, `|`, and the figures.

use std::{fmt::Write, process::ExitCode};

use strum::Display;

use super::{
    expiry::{days_left, expires_within, expiry},
    words::{Words, place},
};
use crate::{
    config::{Limit, Thresholds},
    escape::is_harmful,
    phase::Phase,
    report::{Report, TlsReport},
    x509::problem::CertificateErrorKind,
};

/// Octets of text at the most: NRPE's old protocol takes 1024 in all.
const TEXT: usize = 400;

/// How content a plugin is. The worst comes last.
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

/// What a plugin makes of a report: a check that failed is critical, and a threshold for what was not measured is of no use.
pub(super) fn judge(report: &Report, thresholds: &Thresholds) -> (Status, String) {
    let (status, text) = match &report.failure {
        Some(failure) => {
            let said: Vec<_> = Words::from(failure).lines().collect();
            let place = place(failure.phase, failure.kind.name());
            (Status::Critical, format!("{place}: {}", said.join(" ")))
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
    // A bar would begin the figures.
    for character in text.chars().map(|character| if is_harmful(character) { ' ' } else { character }) {
        line.push(if character == '|' { '/' } else { character });
        if line.len() > TEXT {
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

/// Everything that a threshold finds fault with.
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

/// What is to say of the certificate's end. One that is over is critical whatever the thresholds.
fn expiry_fault(report: &Report, thresholds: &Thresholds) -> Option<(Status, String)> {
    let (critical, warning) = (thresholds.cert_critical, thresholds.cert_warning);
    let Some(seconds) = report.metrics.cert_end_in else {
        critical.or(warning)?;
        let why =
            if report.tls.as_ref().is_some_and(has_none) { "showed no certificate" } else { "was not asked for TLS" };
        return Some((Status::Unknown, format!("the server {why}")));
    };
    let is_under = |days: &u32| expires_within(seconds, *days);
    let (word, when) = expiry(seconds);
    match (critical.filter(is_under), warning.filter(is_under)) {
        _ if seconds < 0 => Some((Status::Critical, format!("the certificate {word} {when}"))),
        (Some(days), _) => Some((Status::Critical, format!("the certificate {word} {when}, under {days}"))),
        (None, Some(days)) => Some((Status::Warning, format!("the certificate {word} {when}, under {days}"))),
        (None, None) => None,
    }
}

fn has_none(tls: &TlsReport) -> bool {
    tls.chain.is_empty()
}

/// What else is wrong with the certificate, or with one that vouches for it. Mail is delivered to such a server, too: this is a
/// warning, unless something has expired.
fn validity_fault(report: &Report) -> Option<(Status, String)> {
    let (tls, error) = (report.tls.as_ref()?, report.metrics.cert_error.as_ref()?);
    let is_over = report.metrics.cert_end_in.is_some_and(|seconds| seconds < 0);
    if is_over && tls.errors == [CertificateErrorKind::Expired] {
        return None;
    }
    let status = if tls.errors.contains(&CertificateErrorKind::Expired) { Status::Critical } else { Status::Warning };
    Some((status, format!("the certificate is not valid ({error})")))
}

/// The figures: `label=value[UOM];[warn];[crit];[min];[max]`.
fn performance(report: &Report, thresholds: &Thresholds) -> Vec<String> {
    let number = |limit: Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let times = measured(report).into_iter().map(|(measure, ms)| {
        let (warning, critical) = (limit_of(&thresholds.warning, measure), limit_of(&thresholds.critical, measure));
        format!("{}={ms:.3}ms;{};{};0", label(measure), number(warning), number(critical))
    });
    // `30:` is the range from 30 on: less than that is a reason to warn.
    let range = |days: Option<u32>| days.map(|days| format!("{days}:")).unwrap_or_default();
    let days = report.metrics.cert_end_in.map(|seconds| {
        let (warning, critical) = (range(thresholds.cert_warning), range(thresholds.cert_critical));
        format!("certificate_days={};{warning};{critical}", days_left(seconds))
    });
    times.chain(days).collect()
}

/// The time of the whole check, as `None`, and of each phase that has one.
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
