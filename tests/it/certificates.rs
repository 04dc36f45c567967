//! Certificates: every error is reported, `record` continues the check, and credentials never go to an untrusted
//! server.

use rcgen::{KeyUsagePurpose, date_time_ymd};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Identity, KeyType, Leaf},
    smtpd::{End, Script, Session, SmtpServer},
};

/// An identity, its errors, and words that have to be in `cert_error`.
struct Case {
    what: &'static str,
    identity: Identity,
    errors: &'static [&'static str],
    words: &'static [&'static str],
    /// The server proves possession of the key.
    key_proven: bool,
}

fn mx() -> Leaf {
    Leaf::for_name("mx.test")
}

/// All errors that a certificate can have, for a check of `mx.test` that trusts `ca`.
fn cases(ca: &Ca) -> Vec<Case> {
    let mut cases = with_valid_signature(ca);
    cases.extend(with_invalid_signature(ca));
    cases
}

fn with_valid_signature(ca: &Ca) -> Vec<Case> {
    let (below, other_ca) = (ca.intermediate("Intermediate"), Ca::new("Stranger"));
    let case = |what, identity, errors, words| Case { what, identity, errors, words, key_proven: true };
    vec![
        case("good", ca.issue(mx()), &[], &[]),
        case("good, by an intermediate", below.issue(mx()), &[], &[]),
        case("expired", ca.issue(mx().expired()), &["expired"], &["expired: ", "2021-01-01"]),
        case("not yet valid", ca.issue(mx().not_yet_valid()), &["not_yet_valid"], &["not yet valid: ", "2044-01-01"]),
        case(
            "for another name",
            ca.issue(Leaf::for_name("other.test")),
            &["wrong_name"],
            &["wrong name: ", "other.test", "mx.test"],
        ),
        case("without names", ca.issue(mx().without_alternative_names()), &["wrong_name"], &["wrong name: "]),
        case("of another authority", other_ca.issue(mx()), &["unknown_issuer"], &["unknown issuer: ", "CN=Stranger"]),
        case(
            "without its intermediate",
            below.issue(mx()).without_intermediates(),
            &["unknown_issuer"],
            &["unknown issuer: ", "CN=Intermediate"],
        ),
        case("self-signed", mx().self_signed(), &["self_signed"], &["self-signed: "]),
        case("altered", ca.issue(mx()).with_corrupted_signature(), &["bad_signature"], &["bad signature: "]),
        case("for a client", ca.issue(mx().client_only()), &["wrong_key_usage"], &["wrong key usage: "]),
        case("an authority's", ca.issue(mx().marked_as_ca()), &[], &[]),
        case(
            "for signing lists only",
            ca.issue(mx().key_usages(&[KeyUsagePurpose::CrlSign])),
            &["wrong_key_usage"],
            &["wrong key usage: "],
        ),
        case(
            "unfit in two ways",
            ca.issue(mx().client_only().key_usages(&[KeyUsagePurpose::CrlSign])),
            &["wrong_key_usage"],
            &["extended key usage", "neither sign nor exchange keys"],
        ),
        case(
            "X.509 version 1",
            ca.issue_x509_v1("mx.test"),
            &["wrong_name", "unsupported"],
            &["wrong name: ", "unsupported certificate: the certificate is of X.509 version 1"],
        ),
    ]
}

/// The server's signature cannot be verified, or is wrong.
fn with_invalid_signature(ca: &Ca) -> Vec<Case> {
    let case = |what, identity, errors, words| Case { what, identity, errors, words, key_proven: false };
    let everything = Leaf::for_name("other.test").expired().client_only();
    vec![
        case(
            "RSA of 1024 bits",
            ca.issue(mx().key_type(KeyType::Rsa1024)),
            &["weak_key", "unproven_key"],
            &["weak key: ", "could not be checked: ", "with a key of RSA 1024 is not supported here"],
        ),
        case(
            "with the key of another",
            ca.issue(mx()).with_foreign_key(),
            &["unproven_key"],
            &["unproven key: ", "ECDSA P-256"],
        ),
        case(
            "RSA of 1024 bits, with the key of another",
            ca.issue(mx().key_type(KeyType::Rsa1024)).with_foreign_key(),
            &["weak_key", "unproven_key"],
            &["weak key: ", "unproven key: ", "is not for the certificate's key (RSA 1024)"],
        ),
        case(
            "all at once",
            Ca::new("Stranger").issue(everything).with_foreign_key(),
            &["expired", "wrong_name", "unknown_issuer", "wrong_key_usage", "unproven_key"],
            &["expired: ", "wrong name: ", "unknown issuer: ", "wrong key usage: ", "unproven key: "],
        ),
    ]
}

/// Checks a server with this identity, and returns the report and what the server recorded.
async fn check(app: &TestApp, script: Script, more: Value) -> (Value, Session) {
    let server = SmtpServer::serve(script.with_credentials("user", "correct horse"));
    let mut parameters = json!({"port": server.port(), "starttls": true, "tls_server_name": "mx.test"});
    let (Some(all), Some(more)) = (parameters.as_object_mut(), more.as_object()) else { panic!("objects") };
    all.extend(more.clone());
    if all.contains_key("implicit_tls") {
        all.remove("starttls");
    }
    (app.check(parameters).await, server.next_session().await)
}

fn credentials() -> Value {
    json!({"sasl_authentication": "plain", "sasl_user": "user", "sasl_password": "correct horse"})
}

fn errors(report: &Value) -> Vec<&str> {
    report["tls"]["errors"].as_array().expect("errors").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn every_certificate_error_is_reported_and_the_check_continues() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    for Case { what, identity, errors: expected, words, .. } in cases(&ca) {
        for config in [identity.server_config_tls13(), identity.server_config_tls12()] {
            let (report, session) = check(&app, Script::compliant().with_starttls(config), json!({})).await;
            assert_eq!(report["outcome"], "delivered", "{what}: {report:#}");
            assert_eq!(errors(&report), expected, "{what}: {report:#}");
            assert_eq!(report["tls"]["verified"], expected.is_empty(), "{what}");
            let cert_error = &report["metrics"]["cert_error"];
            assert_eq!(cert_error.is_null(), expected.is_empty(), "{what}: {cert_error}");
            for word in words {
                assert!(cert_error.as_str().is_some_and(|text| text.contains(word)), "{what}, {word}: {cert_error}");
            }
            assert_eq!(report["tls"]["chain"].as_array().map(Vec::len), Some(identity.chain.len()), "{what}");
            assert!(report["metrics"]["cert_end"].is_i64() && report["metrics"]["cert_subject"].is_string(), "{what}");
            assert!(session.message.is_some() && session.end == End::Quit, "{what}: {session:?}");
        }
    }
}

#[tokio::test]
async fn tls_verify_require_sends_nothing_to_a_server_with_a_bad_certificate() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    for Case { what, identity, errors: expected, words, .. } in cases(&ca) {
        let mut parameters = credentials();
        parameters["tls_verify"] = json!("require");
        let (report, session) = check(&app, Script::compliant().with_starttls(&identity), parameters).await;
        assert_eq!(errors(&report), expected, "{what}: {report:#}");
        if expected.is_empty() {
            assert_eq!(report["outcome"], "delivered", "{what}: {report:#}");
            assert!(session.has_command("AUTH"), "{what}");
            continue;
        }
        assert_eq!(failure(&report), ("tls", "certificate", false), "{what}: {report:#}");
        let message = report["failure"]["message"].as_str().expect("words");
        assert!(words.iter().all(|word| message.contains(word)), "{what}: {message}");
        assert_eq!(report["metrics"]["cert_error"], message);
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "starttls", "tls", "quit"], "{what}");
        assert_eq!(report["phases"][4]["ok"], false);
        assert!(report["metrics"]["cert_end"].is_i64() && report["metrics"]["tls_time"].is_number(), "{report:#}");
        assert_eq!(session.commands(), ["EHLO noit.local", "STARTTLS", "QUIT"], "{what}");
        assert_eq!(session.end, End::Quit, "{what}");
    }
}

#[tokio::test]
async fn a_bad_certificate_of_implicit_tls_fails_before_the_greeting() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    let script = |leaf| Script::compliant().with_implicit_tls(ca.issue(leaf));
    let parameters = json!({"implicit_tls": true, "tls_verify": "require"});
    let (report, session) = check(&app, script(mx().expired()), parameters.clone()).await;
    assert_eq!(failure(&report), ("tls", "certificate", false), "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "tls", "banner"], "{report:#}");
    assert!(session.lines.is_empty(), "{session:?}");
    let (report, _) = check(&app, script(mx()), parameters).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
}

#[tokio::test]
async fn credentials_go_only_to_a_server_that_proves_its_key() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    for Case { what, identity, key_proven, .. } in cases(&ca) {
        for config in [identity.server_config_tls13(), identity.server_config_tls12()] {
            let (report, session) = check(&app, Script::compliant().with_starttls(config), credentials()).await;
            assert_eq!(session.has_command("AUTH"), key_proven, "{what}: {session:?}");
            assert_eq!(session.end, End::Quit, "{what}");
            if key_proven {
                assert_eq!(report["outcome"], "delivered", "{what}: {report:#}");
            } else {
                assert_eq!(failure(&report), ("tls", "certificate", false), "{what}: {report:#}");
                assert!(errors(&report).contains(&"unproven_key"), "{what}: {report:#}");
                let message = report["failure"]["message"].as_str().expect("words");
                let why = message.strip_prefix("no credential is sent to the server: ").expect("what is not done");
                let cert_error = report["metrics"]["cert_error"].as_str().expect("words");
                assert!(cert_error.ends_with(&format!("unproven key: {why}")), "{what}: {message}");
            }
        }
    }
    // A check that ends before AUTH would send no credentials anyway.
    let script = Script::compliant().with_starttls(ca.issue(mx()).with_foreign_key());
    let mut parameters = credentials();
    parameters["stop_after"] = json!("starttls");
    let (report, _) = check(&app, script, parameters).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
}

fn epoch(report: &Value, name: &str) -> i64 {
    report["metrics"][name].as_i64().unwrap_or_else(|| panic!("{name}: {report:#}"))
}

#[tokio::test]
async fn certificate_metrics_are_exact() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    for (from, to) in [
        (date_time_ymd(2021, 2, 3), date_time_ymd(2040, 4, 5)),
        (date_time_ymd(2011, 2, 3), date_time_ymd(2012, 4, 5)),
        (date_time_ymd(2040, 2, 3), date_time_ymd(2041, 4, 5)),
    ] {
        let leaf =
            mx().and_name("mail.test").and_name("192.0.2.7").and_name("2001:db8::7").not_before(from).not_after(to);
        let script = Script::compliant().with_starttls(ca.issue(leaf));
        let (report, _) = check(&app, script, json!({"stop_after": "starttls"})).await;
        assert_eq!(epoch(&report, "cert_start"), from.unix_timestamp());
        assert_eq!(epoch(&report, "cert_end"), to.unix_timestamp());
        let started_at = report["started_at"].as_str().expect("a time");
        let started_at = OffsetDateTime::parse(started_at, &Rfc3339).expect("RFC 3339");
        assert_eq!(epoch(&report, "cert_end_in"), to.unix_timestamp() - started_at.unix_timestamp());
        assert_eq!(epoch(&report, "cert_end_in") < 0, to < started_at);
        assert_eq!(report["metrics"]["cert_issuer"], "CN=Test CA");
        assert_eq!(report["metrics"]["cert_subject"], "CN=mx.test");
        let names = "mx.test, mail.test, 192.0.2.7, 2001:db8::7";
        assert_eq!(report["metrics"]["cert_subject_alternative_names"], names);
    }
}

#[tokio::test]
async fn certificate_metrics_exist_only_with_tls() {
    let (app, ca) = (TestApp::start().await, Ca::new("Test CA"));
    let (report, _) = check(&app, Script::compliant(), json!({"starttls": false})).await;
    let metrics = report["metrics"].as_object().expect("metrics");
    let certificate: Vec<_> = metrics.keys().filter(|name| name.starts_with("cert_")).collect();
    assert_eq!(certificate, ["cert_error"], "{report:#}");
    assert_eq!((&metrics["cert_error"], &report["tls"]), (&json!(null), &json!(null)));

    let (report, _) = check(&app, Script::compliant().with_starttls(ca.issue_x509_v1("mx.test")), json!({})).await;
    assert_eq!(report["metrics"]["cert_subject_alternative_names"], "", "{report:#}");
}

#[tokio::test]
async fn the_report_has_every_certificate_of_the_chain() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    let identity = ca.intermediate("Intermediate").issue(mx().key_type(KeyType::Rsa2048).and_name("mail.test"));
    let (report, _) = check(&app, Script::compliant().with_starttls(&identity), json!({})).await;
    let chain = report["tls"]["chain"].as_array().expect("a chain");
    let facts = |at: usize| json!([chain[at]["subject"], chain[at]["issuer"], chain[at]["names"], chain[at]["key"]]);
    assert_eq!(facts(0), json!(["CN=mx.test", "CN=Intermediate", ["mx.test", "mail.test"], "RSA 2048"]));
    assert_eq!(facts(1), json!(["CN=Intermediate", "CN=Test CA", [], "ECDSA P-256"]));
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0]["not_before"], "2020-01-01T00:00:00Z");
    assert_eq!(chain[0]["not_after"], "2045-01-01T00:00:00Z");
    for (entry, der) in chain.iter().zip(&identity.chain) {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(entry["fingerprint_sha256"], hex);
        let serial = entry["serial"].as_str().expect("a serial number");
        assert!(serial.len() >= 2 && serial.bytes().all(|digit| digit.is_ascii_hexdigit()), "{serial}");
    }
}

#[tokio::test]
async fn a_certificate_for_the_ip_address_is_trusted() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    let server = SmtpServer::serve(Script::compliant().with_starttls(ca.issue(Leaf::for_name("127.0.0.1"))));
    let report = app.check(json!({"port": server.port(), "starttls": true, "tls_verify": "require"})).await;
    assert_eq!((&report["outcome"], &report["tls"]["verified"]), (&json!("delivered"), &json!(true)), "{report:#}");
}
