//! Reports as samples, read by a parser that is independent of the library that writes them.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

use proptest::prelude::*;
use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::{
    phase::Clock,
    report::{Attempt, Failure, FailureKind, Metrics, Outcome, ReportedCapabilities, ReportedTarget, Via},
    x509::{CertificateFacts, problem::CertificateErrorKind},
};

const TIMEOUT: Duration = Duration::from_millis(9500);

fn report() -> Report {
    Report {
        id: Uuid::nil(),
        started_at: datetime!(2026-11-22 12:00 UTC),
        success: true,
        outcome: Outcome::Completed,
        target: ReportedTarget {
            host: "mx.test".to_owned(),
            address: "192.0.2.1".parse().ok(),
            port: 25,
            via: Via::Request,
            attempts: Vec::new(),
        },
        failure: None,
        metrics: Metrics { duration: 21.625, ..Metrics::default() },
        phases: Vec::new(),
        capabilities: ReportedCapabilities::default(),
        tls: None,
        sasl: None,
        message: None,
        queue_id: None,
        warnings: Vec::new(),
        findings: Vec::new(),
        reproduce: Default::default(),
        transcript: None,
        facts: Default::default(),
    }
}

fn phase(name: Phase, time_ms: Option<f64>, code: Option<u16>, enhanced_code: Option<&str>) -> PhaseReport {
    let enhanced_code = enhanced_code.map(str::to_owned);
    let clock = if name == Phase::Dns { Clock::Process } else { Clock::Kernel };
    PhaseReport { name, started_ms: 0.0, time_ms, clock, ok: true, expected: None, code, enhanced_code, message: None }
}

fn certificate(subject: &str, not_after: time::OffsetDateTime) -> CertificateFacts {
    CertificateFacts {
        subject: subject.to_owned(),
        issuer: "CN=Root".to_owned(),
        names: vec!["mx.test".to_owned(), "192.0.2.1".to_owned()],
        not_before: Some(datetime!(2026-01-01 0:00 UTC)),
        not_before_as_written: "260101000000Z".to_owned(),
        not_after: Some(not_after),
        not_after_as_written: String::new(),
        serial: "0a1b".to_owned(),
        fingerprint_sha256: "ab".repeat(32),
        key: "ECDSA P-256".to_owned(),
        signature_algorithm: "ECDSA with SHA-256".to_owned(),
        on_path: true,
    }
}

fn tls(subject: &str) -> TlsReport {
    TlsReport {
        version: Some("TLSv1.3".to_owned()),
        cipher: Some("TLS_AES_256_GCM_SHA384".to_owned()),
        server_name: "mx.test".to_owned(),
        verified: true,
        client_certificate: Default::default(),
        errors: Vec::new(),
        chain: vec![
            certificate(subject, datetime!(2027-01-02 0:00 UTC)),
            certificate("CN=Between", datetime!(2027-01-01 0:00 UTC)),
        ],
    }
}

/// The samples of the text: name and labels in the usual notation, label values without escapes.
fn samples(report: &Report) -> BTreeMap<String, f64> {
    let text = exposition(report, TIMEOUT);
    let body = text.strip_suffix("# EOF\n").expect("an end");
    let (mut samples, mut described) = (BTreeMap::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            described = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# ") {
            assert_eq!(rest, format!("TYPE {described} gauge"));
        } else {
            let (sample, value) = sample(line);
            assert!(sample == described || sample.starts_with(&format!("{described}{{")), "{line}");
            assert!(samples.insert(sample, value).is_none(), "twice: {line}");
        }
    }
    samples
}

/// A sample without timestamp, by the grammar of the text format.
fn sample(line: &str) -> (String, f64) {
    let mut rest = line.chars().peekable();
    let mut sample = word(&mut rest);
    if rest.next_if_eq(&'{').is_some() {
        let mut labels = Vec::new();
        while rest.next_if_eq(&'}').is_none() {
            let name = word(&mut rest);
            assert_eq!((rest.next(), rest.next()), (Some('='), Some('"')), "{line}");
            labels.push(format!("{name}={}", quoted(&mut rest)));
            rest.next_if_eq(&',');
        }
        sample += &format!("{{{}}}", labels.join(","));
    }
    let value: String = rest.collect();
    (sample, value.strip_prefix(' ').and_then(|value| value.parse().ok()).expect("a number"))
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| rest.next_if(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_')).collect()
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    loop {
        match rest.next().expect("a closing quote") {
            '"' => return text,
            '\\' => text.push(match rest.next() {
                Some('n') => '\n',
                Some(character @ ('\\' | '"')) => character,
                other => panic!("\\ before {other:?}"),
            }),
            character => text.push(character),
        }
    }
}

#[track_caller]
fn assert_samples(report: &Report, expected: &[(&str, f64)]) {
    let expected: BTreeMap<String, f64> = expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(samples(report), expected);
}

#[test]
fn a_report_without_anything_has_the_basic_metrics() {
    let always = [
        ("probe_success", 1.0),
        ("probe_duration_seconds", 0.021625),
        ("probe_timeout_seconds", 9.5),
        ("probe_dns_lookup_time_seconds", 0.0),
        ("probe_ip_protocol", 4.0),
    ];
    assert_samples(&report(), &always);
}

#[test]
fn phases_have_times_and_codes_if_the_report_has_them() {
    let mut report = report();
    report.success = false;
    report.target.address = "2001:db8::1".parse().ok();
    report.failure = Some(Failure::new(Phase::RcptTo, FailureKind::Timeout, "time ran out"));
    report.phases = vec![
        phase(Phase::Dns, Some(1.5), None, None),
        phase(Phase::Banner, Some(12.345), Some(220), None),
        phase(Phase::MailFrom, Some(3.0), Some(250), Some("2.1.0")),
        phase(Phase::RcptTo, None, None, None),
    ];
    assert_samples(
        &report,
        &[
            ("probe_success", 0.0),
            ("probe_duration_seconds", 0.021625),
            ("probe_timeout_seconds", 9.5),
            ("probe_dns_lookup_time_seconds", 0.0015),
            ("probe_ip_protocol", 6.0),
            ("probe_smtp_failure_info{phase=rcptto,kind=timeout}", 1.0),
            ("probe_smtp_duration_seconds{phase=dns}", 0.0015),
            ("probe_smtp_duration_seconds{phase=banner}", 0.012345),
            ("probe_smtp_duration_seconds{phase=mailfrom}", 0.003),
            ("probe_smtp_clock_info{phase=dns,clock=process}", 1.0),
            ("probe_smtp_clock_info{phase=banner,clock=kernel}", 1.0),
            ("probe_smtp_clock_info{phase=mailfrom,clock=kernel}", 1.0),
            ("probe_smtp_status_code{phase=banner}", 220.0),
            ("probe_smtp_status_code{phase=mailfrom}", 250.0),
            ("probe_smtp_enhanced_status_code_info{phase=mailfrom,enhanced_code=2.1.0}", 1.0),
        ],
    );
}

#[test]
fn a_lookup_that_never_ended_has_no_time() {
    let mut report = report();
    report.target.address = None;
    report.phases = vec![phase(Phase::Dns, None, None, None)];
    let samples = samples(&report);
    assert!(!samples.contains_key("probe_dns_lookup_time_seconds"));
    assert_eq!(samples["probe_ip_protocol"], 0.0);
}

#[test]
fn without_a_connection_the_ip_version_is_that_of_the_last_address_tried() {
    let attempt = |address: Option<&str>| Attempt {
        host: "mx.test".to_owned(),
        address: address.and_then(|address| address.parse().ok()),
        error: "connection refused".to_owned(),
    };
    let mut report = report();
    report.target.address = None;
    for (attempts, version) in [
        (vec![attempt(Some("2001:db8::1")), attempt(Some("192.0.2.1"))], 4.0),
        (vec![attempt(Some("2001:db8::1")), attempt(None)], 6.0),
        (vec![attempt(None)], 0.0),
    ] {
        report.target.attempts = attempts;
        assert_eq!(samples(&report)["probe_ip_protocol"], version);
    }
    report.target.attempts = vec![attempt(Some("2001:db8::1"))];
    report.target.address = "192.0.2.1".parse().ok();
    assert_eq!(samples(&report)["probe_ip_protocol"], 4.0, "the one that was reached counts");
}

#[test]
fn certificate_metrics_have_the_names_of_blackbox_exporter() {
    let mut report = report();
    report.tls = Some(tls("CN=mx.test"));
    let all = samples(&report);
    let expiry = 1_798_761_600.0;
    let info = format!(
        "probe_ssl_last_chain_info{{fingerprint_sha256={},subject=CN=mx.test,issuer=CN=Root,subjectalternative=mx.test,192.0.2.1,\
         serialnumber=0a1b}}",
        "ab".repeat(32)
    );
    for (sample, value) in [
        ("probe_tls_version_info{version=TLS 1.3}", 1.0),
        ("probe_tls_cipher_info{cipher=TLS_AES_256_GCM_SHA384}", 1.0),
        ("probe_ssl_earliest_cert_expiry", expiry),
        ("probe_ssl_last_chain_expiry_timestamp_seconds", expiry),
        (&info, 1.0),
        ("probe_smtp_certificate_verified", 1.0),
    ] {
        assert_eq!(all.get(sample), Some(&value), "{sample} in {all:#?}");
    }

    let mut bad = tls("CN=mx.test");
    (bad.verified, bad.errors) = (false, vec![CertificateErrorKind::Expired, CertificateErrorKind::WrongName]);
    report.tls = Some(bad);
    let all = samples(&report);
    assert!(!all.contains_key("probe_ssl_last_chain_expiry_timestamp_seconds"), "no chain was verified");
    assert_eq!(all["probe_ssl_earliest_cert_expiry"], expiry);
    assert_eq!(all["probe_smtp_certificate_verified"], 0.0);
    for error in ["expired", "wrong_name"] {
        assert_eq!(all[&format!("probe_smtp_certificate_error_info{{error={error}}}")], 1.0);
    }
}

#[test]
fn a_handshake_that_failed_has_no_version_and_no_chain() {
    let mut report = report();
    report.tls = Some(TlsReport { version: None, cipher: None, verified: false, chain: Vec::new(), ..tls("") });
    let names: Vec<String> = samples(&report).into_keys().filter(|name| !name.starts_with("probe_smtp_")).collect();
    assert!(names.iter().all(|name| !name.contains("tls") && !name.contains("ssl")), "{names:?}");
}

#[test]
fn no_phase_is_written_twice() {
    let mut report = report();
    report.phases = vec![phase(Phase::Connect, Some(1.0), None, None), phase(Phase::Connect, Some(2.0), None, None)];
    assert_eq!(samples(&report)["probe_smtp_duration_seconds{phase=connect}"], 0.002);
}

#[test]
fn a_long_name_is_cut() {
    let mut report = report();
    report.tls = Some(tls(&"é".repeat(70_000)));
    assert!(exposition(&report, TIMEOUT).len() < 8192);
    let cut = format!("subject={}…,issuer=", "é".repeat(MAX_LABEL_SIZE));
    assert!(samples(&report).keys().any(|sample| sample.contains(&cut)));
}

proptest! {
    #[test]
    fn any_subject_stays_in_its_label(subject in r#"[\PC\n\r\t"\\{},= #]{0,40}"#) {
        let mut report = report();
        report.tls = Some(tls(&subject));
        // `lines` treats a CR before an LF as part of the line end; Prometheus does not.
        prop_assume!(!subject.contains('\r'));
        let label = format!("subject={subject},issuer=");
        prop_assert!(samples(&report).keys().any(|sample| sample.contains(&label)));
    }
}

#[test]
fn certificates_beside_the_verified_path_do_not_expire_it() {
    let mut report = report();
    let mut tls = tls("CN=mx.test");
    let stray = certificate("CN=Old", datetime!(2020-01-01 0:00 UTC));
    tls.chain.push(CertificateFacts { on_path: false, ..stray });
    report.tls = Some(tls);
    let all = samples(&report);
    let unix = |moment: time::OffsetDateTime| moment.unix_timestamp() as f64;
    assert_eq!(all["probe_ssl_earliest_cert_expiry"], unix(datetime!(2020-01-01 0:00 UTC)));
    let of_path = unix(datetime!(2027-01-01 0:00 UTC));
    assert_eq!(all["probe_ssl_last_chain_expiry_timestamp_seconds"], of_path);

    for (error, is_of_path) in [
        (CertificateErrorKind::WrongName, false),
        (CertificateErrorKind::UnprovenKey, false),
        (CertificateErrorKind::UnknownIssuer, true),
        (CertificateErrorKind::Malformed, true),
    ] {
        let tls = report.tls.as_mut().expect("a session");
        (tls.verified, tls.errors) = (false, vec![error]);
        let all = samples(&report);
        let of_good_path = all.get("probe_ssl_last_chain_expiry_timestamp_seconds");
        assert_eq!(of_good_path, (!is_of_path).then_some(&of_path), "{error:?}");
        assert_eq!(all["probe_smtp_certificate_expiry_timestamp_seconds"], of_path, "{error:?}");
    }
}

#[test]
fn a_date_that_cannot_be_read_has_no_metric() {
    let mut report = report();
    let mut tls = tls("CN=mx.test");
    tls.verified = false;
    tls.chain[0].not_after = None;
    report.tls = Some(tls.clone());
    // That of the issuer.
    assert_eq!(
        samples(&report)["probe_ssl_earliest_cert_expiry"],
        datetime!(2027-01-01 0:00 UTC).unix_timestamp() as f64
    );
    tls.chain.truncate(1);
    report.tls = Some(tls);
    let all = samples(&report);
    assert!(!all.keys().any(|sample| sample.contains("expiry")), "{all:#?}");
    assert_eq!(all["probe_smtp_certificate_verified"], 0.0);
}
