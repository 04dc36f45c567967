//! The size of a report: what servers and records say must not decide how much a caller has to read.

use std::borrow::Cow;

use crate::{
    findings::{Entry, catalogue},
    report::{
        Finding, Report, Reproduction,
        domain::{DomainReport, MAX_DOMAIN_REPORT_SIZE, RecordReport},
        fold::json_size,
    },
};

/// Bytes of the finding that something is left out.
const FINDING_SIZE: usize = 1024;
/// Bytes of a text of a record, once the report is too large with all of it.
const MAX_TEXT_SIZE: usize = 256;

/// Leaves something out. Returns how many things.
type Step = fn(&mut DomainReport) -> usize;

/// Leaves out of the report what is more than [`MAX_DOMAIN_REPORT_SIZE`], with a finding that says what it was: first
/// the transcripts, then the command lines and the evidence of the sessions, then the ends of long records, and then
/// reports of sessions, the last ones first.
pub(super) fn limit(report: &mut DomainReport) {
    let max_size = MAX_DOMAIN_REPORT_SIZE - FINDING_SIZE;
    let steps: [(Step, &str); 3] = [
        (forget_transcripts, "transcripts"),
        (forget_session_texts, "command lines and texts of evidence of sessions"),
        (shorten_records, "ends of records"),
    ];
    let mut left_out = Vec::new();
    let mut size = json_size(report);
    for (forget, what) in steps {
        if size <= max_size {
            break;
        }
        left_out.push((forget(report), what));
        size = json_size(report);
    }
    if size > max_size {
        left_out.push((forget_reports(report, size - max_size), "reports of sessions"));
    }
    let parts: Vec<_> =
        left_out.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if !parts.is_empty() {
        let finding = truncated(&report.domain, parts);
        report.findings.push(finding);
        report.findings.sort_by_key(|finding| (finding.severity, finding.id));
        report.counts = DomainReport::count(&report.findings);
    }
}

fn truncated(domain: &str, parts: Vec<String>) -> Finding {
    let size = MAX_DOMAIN_REPORT_SIZE / 1024 / 1024;
    let Entry { id, severity, scope, reference, .. } = catalogue::domain::TRUNCATED;
    Finding {
        id,
        severity,
        scope,
        subject: domain.to_owned(),
        phase: None,
        message: format!("a report has {size} MiB at most, so parts of it are left out"),
        evidence: parts,
        remedy: Cow::Borrowed("Ask for fewer hosts, for fewer addresses of each, or for no transcript."),
        reference,
    }
}

fn sessions(report: &mut DomainReport) -> impl Iterator<Item = &mut Report> {
    let addresses = report.hosts.iter_mut().flat_map(|host| &mut host.addresses);
    addresses.filter_map(|address| address.report.as_deref_mut())
}

fn forget_transcripts(report: &mut DomainReport) -> usize {
    sessions(report).filter_map(|session| session.transcript.take()).count()
}

fn forget_session_texts(report: &mut DomainReport) -> usize {
    let of_session = |session: &mut Report| {
        let Reproduction { smtp_check, swaks, openssl, curl } = std::mem::take(&mut session.reproduce);
        let lines = [smtp_check, swaks, openssl, curl].into_iter().flatten().count();
        let evidence = session.findings.iter_mut().map(|finding| std::mem::take(&mut finding.evidence).len());
        lines + evidence.sum::<usize>()
    };
    sessions(report).map(of_session).sum()
}

/// Cuts the records that are long. Returns how many were.
fn shorten_records(report: &mut DomainReport) -> usize {
    let dns = &mut report.dns;
    let fixed = [&mut dns.mx, &mut dns.spf.record, &mut dns.dmarc.record, &mut dns.mta_sts.record, &mut dns.tls_rpt];
    let records = fixed.into_iter().chain(dns.dkim.iter_mut().map(|key| &mut key.record));
    let records = records.flat_map(|RecordReport { records, .. }| records);
    let tlsa = report.hosts.iter_mut().flat_map(|host| &mut host.tlsa.records);
    let long = records.chain(tlsa).filter(|text| text.len() > MAX_TEXT_SIZE);
    long.map(|text| text.replace_range(text.floor_char_boundary(MAX_TEXT_SIZE).., "…")).count()
}

/// Leaves out reports of sessions until so many bytes are gone. Returns how many are.
fn forget_reports(report: &mut DomainReport, mut bytes: usize) -> usize {
    let mut count = 0;
    for address in report.hosts.iter_mut().rev().flat_map(|host| host.addresses.iter_mut().rev()) {
        if bytes == 0 {
            break;
        }
        if let Some(session) = address.report.take() {
            address.refusal = Some("left out: the report of the domain would be too large".to_owned());
            // The reason takes some bytes itself.
            bytes = bytes.saturating_sub(json_size(&session).saturating_sub(128));
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use uuid::Uuid;

    use super::*;
    use crate::{
        clock,
        mail_dns::{Proof, Verdict, mx::MxStatus},
        report::{
            Journal, Speaker, TranscriptLine, Via,
            domain::{AddressReport, DmarcReport, DnsReport, HostReport, MtaStsReport, SpfReport, TlsaReport, Views},
            fold::fold_with,
            journal::Heading,
        },
    };

    /// A session whose transcript and command line have so many bytes.
    fn session(transcript: usize, command_line: usize) -> Report {
        let started = Instant::now();
        let heading = Heading {
            id: Uuid::nil(),
            started_at: clock::now(),
            is_clock_set: true,
            started,
            host: "mx.test".to_owned(),
            port: 25,
            via: Via::Mx,
            mechanism: None,
            transcript: true,
        };
        let line = |text: String| TranscriptLine { at_ms: 0.0, from: Speaker::Server, text };
        Report {
            transcript: Some(vec![line("x".repeat(transcript))]),
            reproduce: Reproduction { curl: Some("\u{7f}".repeat(command_line / 6)), ..Reproduction::default() },
            ..fold_with(Journal::new(heading), started, |_| {})
        }
    }

    /// The report of a domain with so many sessions like this one, and an SPF record of so many bytes.
    fn domain(sessions: usize, session: &Report, spf: usize) -> DomainReport {
        let views = Views::all(Verdict::Ok);
        let address = AddressReport {
            address: "192.0.2.1".parse().expect("an address"),
            report: Some(Box::new(session.clone())),
            refusal: None,
            views,
        };
        let host = HostReport {
            name: "mx.test".to_owned(),
            preference: 0,
            proof: Proof::Insecure,
            reason: None,
            tlsa: TlsaReport::not_tested("no"),
            addresses: vec![address; sessions],
            views,
        };
        let record = RecordReport::not_tested("no");
        let spf_record = RecordReport { records: vec!["é".repeat(spf / 2)], ..record.clone() };
        DomainReport {
            id: Uuid::nil(),
            started_at: clock::now(),
            domain: "a.test".to_owned(),
            duration_ms: 1.0,
            verdict: views,
            mx_status: MxStatus::HasMx,
            dns: DnsReport {
                mx: record.clone(),
                spf: SpfReport { record: spf_record, lookups: 0, void_lookups: 0, tree: Vec::new() },
                dmarc: DmarcReport { record: record.clone(), found_at: None, policy: None },
                dkim: Vec::new(),
                mta_sts: MtaStsReport { record: record.clone(), policy: None, policy_url: None },
                tls_rpt: record,
            },
            hosts: vec![host],
            senders: Vec::new(),
            differences: Vec::new(),
            findings: Vec::new(),
            counts: DomainReport::count(&[]),
        }
    }

    fn limited(mut report: DomainReport) -> DomainReport {
        limit(&mut report);
        let size = json_size(&report);
        assert!(size <= MAX_DOMAIN_REPORT_SIZE, "{size}");
        report
    }

    fn left_out(report: &DomainReport) -> Vec<String> {
        report.findings.iter().flat_map(|finding| finding.evidence.clone()).collect()
    }

    #[test]
    fn a_small_report_is_left_as_it_is() {
        let report = limited(domain(8, &session(40_000, 8_000), 40_000));
        assert!(report.findings.is_empty() && report.counts["notice"] == 0);
        let session = report.hosts[0].addresses[7].report.as_deref().expect("a report");
        assert!(session.transcript.is_some() && session.reproduce.curl.is_some());
        assert_eq!(report.dns.spf.record.records[0].len(), 40_000);
    }

    #[test]
    fn transcripts_are_left_out_first() {
        let report = limited(domain(160, &session(20_000, 2_000), 40_000));
        assert_eq!(left_out(&report), ["160 transcripts"]);
        assert_eq!((report.findings[0].id, report.counts["notice"]), ("limits.truncated", 1));
        let session = report.hosts[0].addresses[0].report.as_deref().expect("a report");
        assert!(session.transcript.is_none() && session.reproduce.curl.is_some());
    }

    #[test]
    fn then_texts_and_then_whole_sessions() {
        let report = limited(domain(160, &session(40_000, 20_000), 40_000));
        assert_eq!(left_out(&report), ["160 transcripts", "160 command lines and texts of evidence of sessions"]);
        assert_eq!(report.dns.spf.record.records[0].len(), 40_000);

        let report = limited(domain(1, &session(0, 0), 3 * MAX_DOMAIN_REPORT_SIZE / 2));
        assert_eq!(left_out(&report)[1..], ["1 command lines and texts of evidence of sessions", "1 ends of records"]);
        assert!(report.dns.spf.record.records[0].ends_with("é…"));

        let mut large = session(0, 0);
        large.warnings = vec!["\u{1}".repeat(10_000)];
        let report = limited(domain(40, &large, 0));
        let addresses = &report.hosts[0].addresses;
        assert!(addresses[0].report.is_some() && addresses[39].report.is_none() && addresses[39].refusal.is_some());
        let without = addresses.iter().filter(|address| address.report.is_none()).count();
        assert_eq!(left_out(&report).last(), Some(&format!("{without} reports of sessions")));
        assert!((1..10).contains(&without), "{without}");
    }
}
