//! The size of a report: what is left out of a larger one, and what never is.

use super::*;

#[test]
fn a_report_is_never_larger_than_its_limit() {
    let offered: String = (0..2000).map(|number| format!("250-{number}\u{7f}\u{7f}\u{9b}\r\n")).collect();
    let Event::Secured(mut tls) = session(Vec::new()) else { panic!("a session") };
    tls.chain[0].names = vec!["\\".repeat(1000); 100];
    tls.chain[0].subject = "x".repeat(50_000);
    tls.chain = vec![tls.chain[0].clone(); 50];
    tls.problems = vec![CertificateProblem::new(CertificateErrorKind::BadSignature, "x".repeat(1000)); 100];
    let attempt = Attempt { host: "h".repeat(255), address: None, error: "e".repeat(500) };
    let mut log = Log::new().at(1, Event::Secured(tls));
    for _ in 0..64 {
        log = log.at(0, Event::Attempted(attempt.clone()));
    }
    for phase in [Phase::Banner, Phase::Ehlo, Phase::EhloTls] {
        log = log.answered(phase, 2, 3, &format!("{offered}250 \u{1}"), Ending::Accepted);
    }
    let report = log.fold(1000);
    let size = escape_json(serde_json::to_string(&report).expect("JSON")).len();
    assert!(size <= MAX_REPORT_SIZE, "{size}");
    assert_eq!(report.outcome, Outcome::Completed);
    let warnings = report.warnings.join("\n");
    for said in [
        "the replies are longer",
        "octets are left out",
        "the certificates are longer",
        "a report has 64 KiB at most",
        "lines of the transcript",
    ] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
}

#[test]
fn a_report_that_is_too_large_keeps_the_expiry_of_the_path() {
    let Event::Secured(mut tls) = session(Vec::new()) else { panic!("a session") };
    (tls.chain[0].names, tls.chain[0].issuer) = (vec!["\\".repeat(1000); 100], "\\".repeat(1000));
    tls.chain[0].not_after = Some(datetime!(2030-01-01 0:00 UTC));
    // The whole path, at the end of a long chain.
    tls.verified = true;
    tls.chain = vec![tls.chain[0].clone(); 60];
    for (number, facts) in tls.chain.iter_mut().enumerate() {
        (facts.fingerprint_sha256, facts.on_path) = (number.to_string(), number == 0 || number > 53);
    }
    tls.chain[59].not_after = Some(datetime!(2026-12-01 0:00 UTC));
    tls.chain[30].not_after = Some(datetime!(2020-01-01 0:00 UTC));
    let report = Log::new().at(1, Event::Secured(tls)).fold(1000);
    let size = escape_json(serde_json::to_string(&report).expect("JSON")).len();
    assert!(size <= MAX_REPORT_SIZE, "{size}");
    let tls = report.tls.expect("a session");
    assert_eq!(tls.first_to_expire().and_then(|first| first.not_after), Some(datetime!(2026-12-01 0:00 UTC)));
    assert_eq!(tls.earliest_expiry(), Some(datetime!(2020-01-01 0:00 UTC)));
}
