//! Logins, and the check of the certificate before them.

use super::*;

const WRONG_PASSWORD: &str = "wrong horse, battery";

#[tokio::test]
async fn every_mechanism_delivers_with_starttls_and_implicit_tls() {
    let certificate = Certificate::valid();
    let (app, postfix) =
        tokio::join!(TestApp::builder().trust(&certificate.ca).start(), Postfix::start(Some(&certificate.files)));
    for (nth, (mechanism, implicit_tls)) in
        [("plain", false), ("login", false), ("plain", true), ("login", true)].into_iter().enumerate()
    {
        let port = if implicit_tls { postfix.smtps() } else { postfix.submission() };
        let way = json!({"starttls": !implicit_tls, "implicit_tls": implicit_tls, "tls_verify": "require"});
        let report = app.check(with(login(port, mechanism), way)).await;

        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let into_tls: &[&str] = if implicit_tls {
            &["connect", "tls", "banner", "ehlo"]
        } else {
            &["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls"]
        };
        let rest = ["sasl_auth", "mailfrom", "rcptto", "data", "body", "quit"];
        assert_eq!(phase_names(&report), [into_tls, &rest].concat());
        assert!(not_ok(&report).is_empty());
        assert_eq!(report["warnings"], json!([]));
        assert_eq!(
            json!([report["tls"]["verified"], report["tls"]["errors"], report["metrics"]["cert_error"]]),
            json!([true, [], null])
        );
        assert_eq!(report["tls"]["version"], "TLSv1.3");
        assert_eq!(report["tls"]["server_name"], HOST);
        let (before, after) = (&report["capabilities"]["before_tls"], &report["capabilities"]["after_tls"]);
        assert_eq!(after["AUTH"], "PLAIN LOGIN", "{report:#}");
        assert!(after.get("STARTTLS").is_none());
        if implicit_tls {
            assert!(before.is_null());
            assert!(report["metrics"]["tls_time"].as_f64() <= report["metrics"]["banner_time"].as_f64());
        } else {
            assert!(before["STARTTLS"] == "" && before.get("AUTH").is_none(), "{before}");
        }

        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.wait_for_log(&format!("{queue_id}: client=")).await;
        let method = mechanism.to_uppercase();
        assert!(line.ends_with(&format!("sasl_method={method}, sasl_username={USER}")), "{line}");
        let delivered = postfix.delivered(queue_id).await;
        assert_eq!(delivered.message, b"Subject: Testing\n");
        let masked: &[&str] = if mechanism == "plain" { &["AUTH PLAIN", "***"] } else { &["AUTH LOGIN", "***", "***"] };
        assert!(
            client_lines(&report).windows(masked.len()).any(|lines| lines == masked),
            "{:?}",
            client_lines(&report)
        );
        assert_no_secret(&report, PASSWORD);
        let (ehlos, starttls) = if implicit_tls { (1, "") } else { (2, "starttls=1 ") };
        let total = if implicit_tls { 6 } else { 8 };
        assert_eq!(
            last_commands(&postfix, nth + 1).await,
            format!("{ehlos} {starttls}auth=1 mail=1 rcpt=1 data=1 quit=1 commands={total}")
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_and_not_in_the_report() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(Some(&certificate.files)));
    for (nth, mechanism) in ["plain", "login"].into_iter().enumerate() {
        let wrong = json!({"sasl_password": WRONG_PASSWORD});
        let report = app.check(with(login(postfix.submission(), mechanism), wrong)).await;
        assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, "5.7.8"]), "{report:#}");
        assert_eq!(not_ok(&report), ["sasl_auth"]);
        assert_eq!(phase_names(&report)[6..], ["sasl_auth", "quit"]);
        assert!(report["metrics"]["sasl_auth_time"].is_f64() && report["metrics"]["quit_time"].is_f64());
        assert_no_secret(&report, WRONG_PASSWORD);
        let refused = format!("SASL {} authentication failed", mechanism.to_uppercase());
        assert!(postfix.wait_for_log(&refused).await.contains("warning: unknown[127.0.0.1]"));
        assert_eq!(last_commands(&postfix, nth + 1).await, "2 starttls=1 auth=0/1 quit=1 commands=4/5");
    }
}

#[tokio::test]
async fn authorization_identity_is_sent_only_with_plain() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(Some(&certificate.files)));
    // Dovecot lets no user act for another.
    for (mechanism, identity, outcome) in [
        ("plain", USER, json!([null, null, null, null, null])),
        ("plain", "someone", json!(["sasl_auth", "rejected", false, 535, "5.7.8"])),
        ("login", "someone", json!([null, null, null, null, null])),
    ] {
        let identity = json!({"sasl_auth_id": identity, "stop_after": "sasl_auth"});
        let report = app.check(with(login(postfix.submission(), mechanism), identity.clone())).await;
        assert_eq!(rejection(&report), outcome, "{identity}: {report:#}");
        assert_no_secret(&report, PASSWORD);
    }
}

#[tokio::test]
async fn tls_verify_decides_whether_credentials_go_to_a_bad_certificate() {
    let expired = Certificate::of(Leaf::for_name(HOST).expired());
    let good = Certificate::valid();
    let other_ca = Ca::new("an authority of no account");
    let (with_good, with_expired) =
        tokio::join!(Postfix::start(Some(&good.files)), Postfix::start(Some(&expired.files)));
    for (postfix, trusted, name, errors) in [
        (&with_good, &other_ca, HOST, json!(["unknown_issuer"])),
        (&with_good, &good.ca, "other.example.test", json!(["wrong_name"])),
        (&with_expired, &expired.ca, HOST, json!(["expired"])),
        (&with_expired, &other_ca, "other.example.test", json!(["expired", "wrong_name", "unknown_issuer"])),
    ] {
        let app = TestApp::builder().trust(trusted).start().await;
        let has_expired = errors[0] == "expired";
        for (port, starttls) in [(postfix.submission(), true), (postfix.smtps(), false)] {
            let way = json!({"starttls": starttls, "implicit_tls": !starttls, "tls_server_name": name});
            let parameters = with(login(port, "plain"), way);

            let report = app.check(parameters.clone()).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            assert!(not_ok(&report).is_empty());
            assert_eq!(json!([report["tls"]["verified"], report["tls"]["errors"]]), json!([false, errors]));
            assert_certificate(&report, has_expired);

            let report = app.check(with(parameters, json!({"tls_verify": "require"}))).await;
            assert_eq!(failure(&report), ("tls", "certificate", false), "{report:#}");
            assert_eq!(report["failure"]["message"], report["metrics"]["cert_error"]);
            assert_eq!(report["tls"]["errors"], errors);
            assert_certificate(&report, has_expired);
            let (went, went_wrong): (&[&str], &[&str]) = if starttls {
                (&["connect", "banner", "ehlo", "starttls", "tls", "quit"], &["tls"])
            } else {
                // The greeting, the next phase, was not waited for.
                (&["connect", "tls", "banner"], &["tls", "banner"])
            };
            assert_eq!((&phase_names(&report)[..], &not_ok(&report)[..]), (went, went_wrong), "{report:#}");
            assert!(!client_lines(&report).contains(&"AUTH PLAIN"), "{report:#}");
            assert_no_secret(&report, PASSWORD);
        }
    }
    // Five ports were greeted, four checks of each server delivered, each of the four others sent no more than this.
    for postfix in [&with_good, &with_expired] {
        let lines = postfix.wait_for_log_lines("disconnect from unknown[127.0.0.1] ", 8 + 5).await;
        let logins = lines.iter().filter(|line| line.contains(" auth=")).count();
        let compliant = lines.iter().filter(|line| line.ends_with(" ehlo=1 starttls=1 quit=1 commands=3")).count();
        assert_eq!((logins, compliant), (4, 2), "{lines:#?}");
    }
}

/// The facts of a certificate are in the metrics, whatever errors it has.
fn assert_certificate(report: &Value, has_expired: bool) {
    let metrics = &report["metrics"];
    assert_eq!(metrics["cert_subject"], format!("CN={HOST}"), "{report:#}");
    assert_eq!(metrics["cert_issuer"], "CN=smtp-check test CA");
    assert_eq!(metrics["cert_subject_alternative_names"], HOST);
    assert_eq!(metrics["cert_start"], 1_577_836_800); // 2020-01-01
    assert_eq!(metrics["cert_end"], if has_expired { 1_609_459_200 } else { 2_366_841_600_i64 }); // 2021-01-01, 2045-01-01
    assert_eq!(metrics["cert_end_in"].as_i64().expect("a number") < 0, has_expired);
    let words = metrics["cert_error"].as_str().expect("an error");
    let kinds = report["tls"]["errors"].as_array().expect("errors");
    assert_eq!(words.split("; ").count(), kinds.len(), "{words}");
    for kind in kinds {
        assert!(words.contains(&kind.as_str().expect("a kind").replace('_', " ")), "{kind}: {words}");
    }
}
