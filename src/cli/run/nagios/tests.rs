//! Reports, and their status and line as a plugin.

use super::*;
use crate::{
    cli::run::samples::{Sample, report, undated_certificate},
    report::TlsReport,
};

const DAY: i64 = 86_400;

fn limits(texts: &[&str]) -> Vec<Limit> {
    texts.iter().map(|text| text.parse().expect("a limit")).collect()
}

fn times(warning: &[&str], critical: &[&str]) -> Thresholds {
    Thresholds { warning: limits(warning), critical: limits(critical), ..Thresholds::default() }
}

fn days(cert_warning: Option<u32>, cert_critical: Option<u32>) -> Thresholds {
    Thresholds { cert_warning, cert_critical, ..Thresholds::default() }
}

#[test]
fn every_status_has_its_exit_code() {
    for (status, code) in [(Status::Ok, 0), (Status::Warning, 1), (Status::Critical, 2), (Status::Unknown, 3)] {
        assert_eq!(ExitCode::from(status), ExitCode::from(code));
    }
}

#[test]
fn times_are_judged_by_their_thresholds() {
    let report = report(Sample::Delivered { banner_ms: 10 });
    for (thresholds, line) in [
        (times(&[], &[]), "SMTP OK - delivered in 10.000 ms|duration=10.000ms;;;0 banner=10.000ms;;;0\n"),
        (
            times(&["banner=10"], &["banner=11.5", "duration=60"]),
            "SMTP OK - delivered in 10.000 ms|duration=10.000ms;;60;0 banner=10.000ms;10;11.5;0\n",
        ),
        (
            times(&["banner=9.999"], &["banner=99"]),
            "SMTP WARNING - banner took 10.000 ms, over 9.999, delivered in 10.000 ms|\
             duration=10.000ms;;;0 banner=10.000ms;9.999;99;0\n",
        ),
        (
            times(&["duration=1", "banner=2"], &["duration=3", "banner=30"]),
            "SMTP CRITICAL - duration took 10.000 ms, over 3, banner took 10.000 ms, over 2, delivered in 10.000 ms|\
             duration=10.000ms;1;3;0 banner=10.000ms;2;30;0\n",
        ),
        (
            times(&["tls=1"], &["tls=2"]),
            "SMTP UNKNOWN - there was no tls to measure, delivered in 10.000 ms|\
             duration=10.000ms;;;0 banner=10.000ms;;;0\n",
        ),
    ] {
        assert_eq!(judge(&report, &thresholds).1, line);
    }
}

#[test]
fn certificates_are_judged_by_their_days() {
    for (left, thresholds, status, said) in [
        (Some(30 * DAY), days(Some(30), Some(7)), Status::Ok, "delivered in"),
        (Some(30 * DAY - 1), days(Some(30), Some(7)), Status::Warning, "expires in 29 days, under 30"),
        (Some(6 * DAY), days(Some(30), Some(7)), Status::Critical, "expires in 6 days, under 7"),
        (Some(-3 * DAY), days(None, Some(7)), Status::Critical, "expired 3 days ago, "),
        (Some(-3 * DAY), days(Some(14), None), Status::Critical, "expired 3 days ago, "),
        (Some(-1), days(None, None), Status::Critical, "expired less than a day ago, "),
        (Some(-DAY), days(None, None), Status::Critical, "expired 1 day ago, "),
        (Some(1), days(None, None), Status::Ok, "delivered in"),
        (None, days(Some(30), None), Status::Unknown, "was not asked for TLS"),
    ] {
        let mut report = report(Sample::Delivered { banner_ms: 10 });
        report.metrics.cert_end_in = left;
        let (found, line) = judge(&report, &thresholds);
        assert_eq!(found, status, "{line}");
        assert!(line.contains(said), "{line}");
    }
    let mut report = report(Sample::Delivered { banner_ms: 10 });
    report.metrics.cert_end_in = Some(-DAY);
    let line = judge(&report, &days(Some(30), Some(7))).1;
    assert!(line.ends_with(" certificate_days=-1;30:;7:\n"), "{line}");
}

#[test]
fn an_invalid_certificate_is_never_ok() {
    use CertificateErrorKind::{Expired, UnknownIssuer, WrongName};
    for (left, errors, status, said) in [
        (
            DAY,
            vec![UnknownIssuer],
            Status::Warning,
            "SMTP WARNING - the certificate is not valid (what it is), delivered",
        ),
        (
            DAY,
            vec![WrongName, UnknownIssuer],
            Status::Warning,
            "SMTP WARNING - the certificate is not valid (what it is), ",
        ),
        // An issuer has expired.
        (DAY, vec![Expired], Status::Critical, "SMTP CRITICAL - the certificate is not valid (what it is), delivered"),
        (-DAY, vec![Expired], Status::Critical, "SMTP CRITICAL - the certificate expired 1 day ago, delivered"),
        (
            -DAY,
            vec![Expired, WrongName],
            Status::Critical,
            "expired 1 day ago, the certificate is not valid (what it is)",
        ),
    ] {
        let mut report = report(Sample::Delivered { banner_ms: 10 });
        report.metrics.cert_end_in = Some(left);
        report.metrics.cert_error = Some("what it is".to_owned());
        report.tls = Some(TlsReport {
            version: None,
            cipher: None,
            server_name: "mx.example.com".to_owned(),
            verified: false,
            client_certificate: Default::default(),
            errors,
            chain: Vec::new(),
        });
        let (found, line) = judge(&report, &Thresholds::default());
        assert_eq!(found, status, "{line}");
        assert!(line.contains(said), "{said} in {line}");
    }
}

#[test]
fn a_date_that_cannot_be_read_is_never_ok() {
    let mut report = report(Sample::Delivered { banner_ms: 10 });
    report.metrics.cert_error = Some("malformed certificate: its notAfter is no date".to_owned());
    report.tls = Some(TlsReport {
        version: None,
        cipher: None,
        server_name: "mx.example.com".to_owned(),
        verified: false,
        client_certificate: Default::default(),
        errors: vec![CertificateErrorKind::Malformed],
        chain: vec![undated_certificate()],
    });
    let (status, line) = judge(&report, &Thresholds::default());
    assert_eq!(status, Status::Warning, "{line}");
    assert!(line.contains("its notAfter is no date"), "{line}");
    let (status, line) = judge(&report, &days(Some(30), Some(7)));
    assert_ne!(status, Status::Ok, "{line}");
    assert!(line.contains("the end of the certificate's validity cannot be read"), "{line}");
}

#[test]
fn a_failure_is_critical() {
    let report = report(Sample::Rejected { message: "no such user" });
    let (status, line) = judge(&report, &days(Some(30), None));
    assert_eq!(status, Status::Critical);
    assert_eq!(line, "SMTP CRITICAL - rejected at rcptto: 550 no such user|duration=5.000ms;;;0 rcptto=5.000ms;;;0\n");
}

#[test]
fn a_server_adds_neither_lines_nor_performance_data() {
    let long = "x".repeat(5000);
    for message in ["a|b=1\r\nsecond|c=2", "\u{1b}[2J\u{7}|", "it's \u{202e}turned", &long] {
        let line = judge(&report(Sample::Rejected { message }), &Thresholds::default()).1;
        assert_eq!((line.matches('\n').count(), line.matches('|').count()), (1, 1), "{line}");
        assert!(line.ends_with('\n') && line.len() < 600 && !line.trim_end().chars().any(is_harmful), "{line}");
    }
}
