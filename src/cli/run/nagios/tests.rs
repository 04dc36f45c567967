//! Reports, and their status and line as a plugin.

use super::*;
use crate::{
    cli::run::samples::{Sample, report, undated_certificate},
    report::{FailureKind, ReportedClientCertificate},
    x509::CertificateFacts,
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

fn tls(errors: Vec<CertificateErrorKind>, chain: Vec<CertificateFacts>) -> TlsReport {
    TlsReport {
        version: None,
        cipher: None,
        server_name: "mx.example.com".to_owned(),
        verified: errors.is_empty(),
        client_certificate: ReportedClientCertificate::default(),
        errors,
        chain,
    }
}

/// A report of TLS with these errors: the certificate ends after so many days, and its issuers after so many. The
/// second issuer is not on the path.
fn with_certificates(errors: Vec<CertificateErrorKind>, days: [i64; 3]) -> Report {
    let mut report = report(Sample::Delivered { banner_ms: 10 });
    let end = |days: i64| Some(report.started_at + time::Duration::days(days));
    let chain = [("CN=mx", true), ("CN=CA 1", true), ("CN=CA 2", false)].into_iter().zip(days);
    let chain = chain.map(|((subject, on_path), days)| {
        let subject = subject.to_owned();
        CertificateFacts { subject, on_path, not_after: end(days), ..undated_certificate() }
    });
    report.tls = Some(tls(errors.clone(), chain.collect()));
    (report.metrics.cert_end, report.metrics.cert_end_in) = (Some(days[0] * DAY), Some(days[0] * DAY));
    report.metrics.cert_error = (!errors.is_empty()).then(|| "what it is".to_owned());
    report
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
    for (left, thresholds, status, expected) in [
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
        assert!(line.contains(expected), "{line}");
    }
    let mut report = report(Sample::Delivered { banner_ms: 10 });
    report.metrics.cert_end_in = Some(-DAY);
    let line = judge(&report, &days(Some(30), Some(7))).1;
    assert!(line.ends_with(" certificate_days=-1;30:;7:\n"), "{line}");
}

#[test]
fn an_invalid_certificate_is_never_ok() {
    use CertificateErrorKind::{Expired, UnknownIssuer, WrongName};
    for (left, errors, status, expected) in [
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
        report.tls = Some(tls(errors, Vec::new()));
        let (found, line) = judge(&report, &Thresholds::default());
        assert_eq!(found, status, "{line}");
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[test]
fn a_date_that_cannot_be_read_is_never_ok() {
    let mut report = report(Sample::Delivered { banner_ms: 10 });
    report.metrics.cert_error = Some("malformed certificate: its notAfter is no date".to_owned());
    report.tls = Some(tls(vec![CertificateErrorKind::Malformed], vec![undated_certificate()]));
    let (status, line) = judge(&report, &Thresholds::default());
    assert_eq!(status, Status::Warning, "{line}");
    assert!(line.contains("its notAfter is no date"), "{line}");
    let (status, line) = judge(&report, &days(Some(30), Some(7)));
    assert_ne!(status, Status::Ok, "{line}");
    assert!(line.contains("the end of the certificate's validity cannot be read"), "{line}");
}

/// An issuer that expires takes the server with it; one that the path does not need takes nothing.
#[test]
fn days_are_those_of_the_path_that_was_verified() {
    use CertificateErrorKind::UnknownIssuer;
    for (errors, ends, status, text, days) in [
        (vec![], [40, 50, 1], Status::Ok, "SMTP OK - delivered", 40),
        (vec![], [40, 20, 1], Status::Warning, "the issuer's certificate (CN=CA 1) expires in 20 days, under 30", 20),
        (vec![], [40, 5, 50], Status::Critical, "the issuer's certificate (CN=CA 1) expires in 5 days, under 7", 5),
        (vec![], [6, 9, 50], Status::Critical, "the certificate expires in 6 days, under 7", 6),
        // No path: the server's own.
        (vec![UnknownIssuer], [40, 5, 1], Status::Warning, "the certificate is not valid (what it is), delivered", 40),
        (vec![UnknownIssuer], [20, 5, 1], Status::Warning, "the certificate expires in 20 days, under 30", 20),
    ] {
        let (found, line) = judge(&with_certificates(errors, ends), &self::days(Some(30), Some(7)));
        assert_eq!(found, status, "{line}");
        assert!(line.contains(text), "{text} in {line}");
        assert!(line.ends_with(&format!(" certificate_days={days};30:;7:\n")), "{line}");
    }
}

#[test]
fn a_limit_of_this_program_is_unknown() {
    use CertificateErrorKind::{UnprovenKey, Unsupported, WrongName};
    let limit = "a limit of smtp-check, not a fault of the server";
    for (errors, status) in
        [(vec![Unsupported], Status::Unknown), (vec![WrongName, Unsupported], Status::Warning), (vec![], Status::Ok)]
    {
        let (found, line) = judge(&with_certificates(errors, [40, 50, 60]), &Thresholds::default());
        assert_eq!((found, line.contains(limit)), (status, status == Status::Unknown), "{line}");
        assert!(status != Status::Unknown || !line.contains("not valid"), "{line}");
    }
    for (phase, kind, errors, status) in [
        (Phase::Tls, FailureKind::Certificate, vec![Unsupported], Status::Unknown),
        (Phase::Tls, FailureKind::Certificate, vec![Unsupported, UnprovenKey], Status::Critical),
        (Phase::Tls, FailureKind::Certificate, vec![WrongName], Status::Critical),
        (Phase::Tls, FailureKind::Tls, vec![Unsupported], Status::Critical),
        (Phase::Proxy, FailureKind::Unsupported, vec![], Status::Unknown),
        (Phase::Tls, FailureKind::Unsupported, vec![], Status::Unknown),
        // The server does not offer SMTPUTF8.
        (Phase::MailFrom, FailureKind::Unsupported, vec![], Status::Critical),
    ] {
        let mut report = with_certificates(errors, [40, 50, 60]);
        report.failure = Some(Failure::new(phase, kind, "what happened"));
        let (found, line) = judge(&report, &Thresholds::default());
        assert_eq!((found, line.contains(limit)), (status, status == Status::Unknown), "{phase} {kind:?}: {line}");
        assert!(line.contains("what happened"), "{line}");
    }
}

#[test]
fn nothing_is_compared_with_a_clock_that_is_set_wrong() {
    let mut report = with_certificates(vec![CertificateErrorKind::Unsupported], [40, 50, 60]);
    report.metrics.cert_end_in = None;
    for thresholds in [Thresholds::default(), days(Some(30), Some(7))] {
        let (status, line) = judge(&report, &thresholds);
        assert_eq!(status, Status::Unknown, "{line}");
        assert!(!line.contains("expire") && !line.contains("cannot be read"), "{line}");
        let is_told = line.contains("the clock of this system is set wrong");
        assert_eq!(is_told, thresholds.cert_warning.is_some(), "{line}");
        assert!(!line.contains("certificate_days"), "{line}");
    }
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
