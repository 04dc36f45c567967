//! Logins, and checks that failed in one.

use super::*;

#[test]
fn tools_get_the_mechanisms_that_they_know() {
    let login = |mechanism: &str, more: Value| {
        let mut parameters = json!({"to": "a@example.test", "target": "mx.test", "sasl_authentication": mechanism,
            "sasl_user": "u", "sasl_password": "the-token"});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        lines(parameters)
    };
    let initial = json!({"sasl_initial_response": true});
    for (mechanism, more, swaks, curl) in [
        ("plain", initial.clone(), Some("--auth PLAIN"), Some("--login-options AUTH=PLAIN --sasl-ir --user u:")),
        ("login", initial.clone(), Some("--auth LOGIN"), Some("--login-options AUTH=LOGIN --user u:")),
        (
            "cram-md5",
            json!({}),
            Some("--auth CRAM-MD5"),
            Some("--login-options AUTH=CRAM-MD5 --user u:\"$SASL_PASSWORD\""),
        ),
        ("scram-sha-256", json!({}), None, None),
        ("auto", json!({}), None, None),
        // curl takes OAUTHBEARER, which is offered as well.
        ("xoauth2", initial, None, None),
        ("oauthbearer", json!({}), None, Some("AUTH=OAUTHBEARER --user u: --oauth2-bearer \"$SASL_PASSWORD\"")),
        ("oauthbearer", json!({"sasl_auth_id": "b"}), None, Some("AUTH=OAUTHBEARER --user b: --oauth2-bearer")),
        ("oauthbearer", json!({"sasl_auth_id": "a,b"}), None, None),
        ("plain", json!({"sasl_auth_id": "a,b"}), None, Some("--sasl-authzid a,b --user u:")),
    ] {
        let made = login(mechanism, more.clone());
        let own = made.smtp_check.expect("a line");
        assert!(own.contains(&format!("--sasl-authentication {mechanism}")), "{own}");
        assert_eq!(own.contains("--sasl-initial-response"), more.get("sasl_initial_response").is_some(), "{own}");
        for (line, part) in [(made.swaks, swaks), (made.curl, curl)] {
            assert_eq!(line.is_some(), part.is_some(), "{mechanism} {more}: {line:?}");
            let line = line.unwrap_or_default();
            assert!(line.contains(part.unwrap_or_default()) && !line.contains("the-token"), "{part:?} in {line}");
        }
    }
}

#[test]
fn curl_takes_xoauth2_where_it_has_no_choice() {
    let check = check(json!({"to": "a@example.test", "target": "mx.test", "sasl_authentication": "xoauth2",
        "sasl_user": "u", "sasl_password": "the-token", "sasl_initial_response": true}));
    let curl = command_lines(&check, &report_of(&check, "mx.test", "XOAUTH2")).curl.expect("a line");
    assert!(curl.contains("AUTH=XOAUTH2 --sasl-ir --user u: --oauth2-bearer \"$SASL_PASSWORD\""), "{curl}");
}

#[test]
fn a_time_out_and_a_failed_auth_may_come_to_another_end() {
    let lines_after = |failure: Failure, more: Value| {
        let mut parameters = json!({"to": "a@example.test", "target": "mx.test", "implicit_tls": true,
            "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "pass word"});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let check = check(parameters);
        let mut report = report(&check, "mx.test");
        report.failure = Some(failure);
        let lines = command_lines(&check, &report);
        [lines.swaks.is_some(), lines.openssl.is_some()]
    };
    let timeout = |phase| Failure::new(phase, FailureKind::Timeout, "");
    assert_eq!(lines_after(timeout(Phase::Connect), json!({})), [true, true]);
    for phase in [Phase::Banner, Phase::Ehlo, Phase::SaslAuth] {
        assert_eq!(lines_after(timeout(phase), json!({})), [false, false], "{phase}");
    }
    let refused = || Failure { code: Some(535), ..Failure::new(Phase::SaslAuth, FailureKind::Rejected, "") };
    assert_eq!(lines_after(refused(), json!({})), [false, true]);
    assert_eq!(lines_after(refused(), json!({"sasl_initial_response": true})), [true, true]);
}
