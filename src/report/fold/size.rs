//! The size of a report: what a server says must not decide how much a caller has to read, nor how much the service
//! holds until it is read.

use std::io::{self, Write};

use crate::{
    escape::escaped_json_size,
    report::{MAX_REPORT_SIZE, Report, Reproduction},
    smtp::Capabilities,
};

/// Bytes of a transcript as JSON.
pub(super) const MAX_TRANSCRIPT_SIZE: usize = 40 * 1024;
/// Bytes of a transcript's line as JSON, without its text.
const LINE_SIZE: usize = 60;
/// Bytes of a text of the metrics or the failure, once the report is too large with all of it.
const MAX_METRIC_SIZE: usize = 1024;
/// Bytes of the warning that something is left out.
const WARNING_SIZE: usize = 512;

/// Bytes of a transcript's line with this text, as JSON.
pub(super) fn of_transcript_line(text: &str) -> usize {
    LINE_SIZE + json_size(&text)
}

/// Leaves out of the report what is more than [`MAX_REPORT_SIZE`], with a warning that says what it was: first lines of
/// the transcript, then the command lines and the evidence of findings, then certificates, capabilities and attempts,
/// of each the second half, and then the ends of texts of metrics and of the failure. `lines` of the transcript are
/// left out already.
pub(super) fn limit(report: &mut Report, mut lines: usize) {
    let max_size = MAX_REPORT_SIZE - WARNING_SIZE;
    let mut size = json_size(report);
    while size > max_size
        && let Some(line) = report.transcript.as_mut().and_then(Vec::pop)
    {
        size -= json_size(&line).min(size);
        lines += 1;
    }
    let mut entries = 0;
    for halve in
        [forget_command_lines, forget_evidence, halve_certificates, halve_capabilities, halve_attempts, shorten_metrics]
    {
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
        (entries, "command lines, evidence, certificates, capabilities, attempts or ends of texts"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !parts.is_empty() {
        let (parts, size) = (parts.join(", "), MAX_REPORT_SIZE / 1024);
        report.warnings.push(format!("a report has {size} KiB at most, so these are left out: {parts}"));
    }
}

fn forget_command_lines(report: &mut Report) -> usize {
    let Reproduction { smtp_check, swaks, openssl, curl } = std::mem::take(&mut report.reproduce);
    [smtp_check, swaks, openssl, curl].into_iter().flatten().count()
}

fn forget_evidence(report: &mut Report) -> usize {
    report.findings.iter_mut().map(|finding| std::mem::take(&mut finding.evidence).len()).sum()
}

/// Leaves the server's own certificate.
fn halve_certificates(report: &mut Report) -> usize {
    report.tls.as_mut().map_or(0, |tls| {
        let length = tls.chain.len();
        tls.chain.truncate((length / 2).max(1));
        length - tls.chain.len()
    })
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

fn json_size(value: &impl serde::Serialize) -> usize {
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
