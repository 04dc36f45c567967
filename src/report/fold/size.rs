//! The size of a report: what a server says must not decide how much a caller has to read, nor how much the service
//! holds until it is read.

use std::io::{self, Write};

use crate::{
    escape::escaped_json_size,
    report::{Finding, MAX_REPORT_SIZE, Metrics, Report, Reproduction},
    smtp::Capabilities,
    x509::CertificateFacts,
};

/// Bytes of a transcript as JSON.
pub(super) const MAX_TRANSCRIPT_SIZE: usize = 40 * 1024;
/// Bytes of a transcript's line as JSON, without its text.
const LINE_SIZE: usize = 60;
/// Bytes of a text of the metrics or the failure, once the report is too large with all of it.
const MAX_METRIC_SIZE: usize = 1024;
/// Bytes of the warning that something is left out.
const WARNING_SIZE: usize = 512;
/// Bytes of a report as JSON at most, without its lists and texts.
const FRAME_SIZE: usize = 4096;
/// Bytes of an element of a list as JSON at most, without its texts.
const ELEMENT_SIZE: usize = 512;
/// Bytes that a byte of a text takes as JSON at most: `\u0000`.
const ESCAPED_BYTE_SIZE: usize = 6;

/// Bytes of a transcript's line with this text, as JSON.
pub(super) fn of_transcript_line(text: &str) -> usize {
    LINE_SIZE + json_size(&text)
}

/// Leaves out of the report what is more than [`MAX_REPORT_SIZE`], with a warning that says what it was: first lines of
/// the transcript, then the command lines and the evidence of findings, then certificates that the metrics do not go
/// by, names of certificates, capabilities and attempts (of each the second half), and then the ends of texts of
/// metrics and of the failure. `lines` of the transcript are left out already.
pub(super) fn limit(report: &mut Report, mut lines: usize) {
    let max_size = MAX_REPORT_SIZE - WARNING_SIZE;
    // Nearly every report is much smaller, and to write it only for its size would double the cost.
    let mut size = if lines == 0 && upper_bound(report) <= max_size { 0 } else { json_size(report) };
    while size > max_size
        && let Some(line) = report.transcript.as_mut().and_then(Vec::pop)
    {
        size -= json_size(&line).min(size);
        lines += 1;
    }
    let mut entries = 0;
    let steps: [fn(&mut Report) -> usize; 7] = [
        forget_command_lines,
        forget_evidence,
        halve_certificates,
        halve_names,
        halve_capabilities,
        halve_attempts,
        shorten_metrics,
    ];
    for halve in steps {
        while size > max_size {
            let left_out = halve(report);
            if left_out == 0 {
                break;
            }
            entries += left_out;
            size = json_size(report);
        }
    }
    let parts = [
        (lines, "lines of the transcript"),
        (entries, "command lines, evidence, certificates and their names, capabilities, attempts or ends of texts"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !parts.is_empty() {
        let (parts, size) = (parts.join(", "), MAX_REPORT_SIZE / 1024);
        report.warnings.push(format!("a report has {size} KiB at most, so these are left out: {parts}"));
    }
}

/// Bytes that a report as JSON has at most, without writing it.
pub(super) fn upper_bound(report: &Report) -> usize {
    let Report { target, failure, metrics, phases, capabilities, tls, queue_id, warnings, .. } = report;
    let Report { transcript, findings, reproduce, .. } = report;
    let mut elements = 0;
    let mut texts = 0;
    let mut add = |text: &Option<String>| texts += text.as_ref().map_or(0, String::len);
    let Metrics { last_message, cert_error, cert_issuer, cert_subject, cert_subject_alternative_names, .. } = metrics;
    [last_message, cert_error, cert_issuer, cert_subject, cert_subject_alternative_names, queue_id]
        .into_iter()
        .for_each(&mut add);
    if let Some(message) = &report.message {
        add(&message.message_id);
    }
    for phase in phases {
        add(&phase.message);
    }
    let Reproduction { smtp_check, swaks, openssl, curl } = reproduce;
    [smtp_check, swaks, openssl, curl].into_iter().for_each(&mut add);
    if let Some(failure) = failure {
        add(&failure.explanation);
    }
    let dkim = report.message.as_ref().and_then(|message| message.dkim.as_ref());
    texts += dkim.map_or(0, |dkim| dkim.domain.len() + dkim.selector.len());
    texts += target.host.len() + failure.as_ref().map_or(0, |failure| failure.message.len());
    texts += target.attempts.iter().map(|attempt| attempt.host.len() + attempt.error.len()).sum::<usize>();
    texts += warnings.iter().map(String::len).sum::<usize>();
    for capabilities in [&capabilities.before_tls, &capabilities.after_tls].into_iter().flatten() {
        elements += capabilities.len();
        texts += capabilities.text_size();
    }
    if let Some(tls) = tls {
        elements += tls.chain.len() + tls.errors.len();
        texts += tls.server_name.len() + tls.chain.iter().map(CertificateFacts::size).sum::<usize>();
    }
    for line in transcript.iter().flatten() {
        elements += 1;
        texts += line.text.len();
    }
    for finding in findings {
        let Finding { subject, message, evidence, remedy, .. } = finding;
        elements += 2 + evidence.len();
        texts += subject.len() + message.len() + remedy.len() + evidence.iter().map(String::len).sum::<usize>();
    }
    elements += target.attempts.len() + phases.len() + warnings.len();
    FRAME_SIZE + ELEMENT_SIZE * elements + ESCAPED_BYTE_SIZE * texts
}

fn forget_command_lines(report: &mut Report) -> usize {
    let Reproduction { smtp_check, swaks, openssl, curl } = std::mem::take(&mut report.reproduce);
    [smtp_check, swaks, openssl, curl].into_iter().flatten().count()
}

fn forget_evidence(report: &mut Report) -> usize {
    report.findings.iter_mut().map(|finding| std::mem::take(&mut finding.evidence).len()).sum()
}

fn halve_certificates(report: &mut Report) -> usize {
    report.tls.as_mut().map_or(0, |tls| {
        let half = tls.chain.len() / 2;
        CertificateFacts::leave_out(&mut tls.chain, half)
    })
}

fn halve_names(report: &mut Report) -> usize {
    let certificates = report.tls.iter_mut().flat_map(|tls| &mut tls.chain);
    certificates.map(CertificateFacts::halve_names).sum()
}

fn halve_capabilities(report: &mut Report) -> usize {
    let capabilities = &mut report.capabilities;
    [&mut capabilities.after_tls, &mut capabilities.before_tls].into_iter().flatten().map(Capabilities::halve).sum()
}

fn halve_attempts(report: &mut Report) -> usize {
    let attempts = &mut report.target.attempts;
    let length = attempts.len();
    attempts.truncate(length / 2);
    length - attempts.len()
}

/// Cuts the texts that can be long. Returns how many were.
fn shorten_metrics(report: &mut Report) -> usize {
    let metrics = &mut report.metrics;
    let texts = [&mut metrics.last_message, &mut metrics.cert_error, &mut metrics.cert_subject_alternative_names];
    let failure = report.failure.as_mut().map(|failure| &mut failure.message);
    let texts = texts.into_iter().flatten().chain(failure);
    let long = texts.filter(|text| text.len() > MAX_METRIC_SIZE);
    long.map(|text| text.truncate(text.floor_char_boundary(MAX_METRIC_SIZE))).count()
}

/// Bytes of a value as JSON, as a caller receives it.
pub(crate) fn json_size(value: &impl serde::Serialize) -> usize {
    let mut size = Counter(0);
    // A report can always be written: its maps have strings as keys.
    serde_json::to_writer(&mut size, value).ok();
    size.0
}

/// Counts what is written, as a caller receives it: harmful characters as `\u` escapes.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += escaped_json_size(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
