//! Expectations: a check that succeeds by a rejection, and one that fails by the wrong reply and sends no mail.

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, phase_names},
    pki::{Ca, Leaf},
    smtpd::{End, Script, SmtpServer, Step},
};

/// Whether the reply of each phase was expected, as far as something was.
fn expected(report: &Value) -> Vec<(&str, bool)> {
    let phases = report["phases"].as_array().expect("phases").iter();
    phases.filter_map(|phase| Some((phase["name"].as_str()?, phase["expected"].as_bool()?))).collect()
}

fn end(report: &Value) -> (&Value, &Value, &Value) {
    (&report["outcome"], &report["failure"]["phase"], &report["failure"]["kind"])
}

#[tokio::test]
async fn an_expected_rejection_is_a_success() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "554 5.7.1 Relay access denied\r\n"));
    let expect = json!({"rcptto": {"code": "5xx", "enhanced_code": "5.7.*", "message": "RELAY"}});
    let report = app.check(json!({"port": server.port(), "expect": expect})).await;
    assert_eq!(end(&report), (&json!("completed"), &json!(null), &json!(null)), "{report:#}");
    assert_eq!((&report["success"], expected(&report)), (&json!(true), vec![("rcptto", true)]));
    assert_eq!(phase_names(&report).last(), Some(&"quit"));
    let rcptto = report["phases"].as_array().expect("phases").iter().find(|phase| phase["name"] == "rcptto");
    assert_eq!(rcptto.expect("the phase")["ok"], json!(false));
    let session = server.next_session().await;
    assert!(session.end == End::Quit && session.message.is_none() && !session.has_command("DATA"), "{session:?}");
}

#[tokio::test]
async fn another_reply_than_the_expected_one_sends_no_mail() {
    let app = TestApp::start().await;
    for (phase, code, commands) in [
        ("ehlo", "5xx", &["EHLO noit.local", "QUIT"][..]),
        ("mailfrom", "5xx", &["EHLO noit.local", "MAIL FROM:<>", "RSET", "QUIT"]),
        ("rcptto", "5xx", &["EHLO noit.local", "MAIL FROM:<>", "RCPT TO:<to@mx.test>", "RSET", "QUIT"]),
        // The server waits for the message: no command, and no final dot.
        ("data", "5xx", &["EHLO noit.local", "MAIL FROM:<>", "RCPT TO:<to@mx.test>", "DATA"]),
    ] {
        let server = SmtpServer::serve(Script::compliant());
        let check = json!({"port": server.port(), "to": "to@mx.test", "expect": {phase: {"code": code}}});
        let report = app.check(check).await;
        assert_eq!(end(&report), (&json!("failed"), &json!(phase), &json!("unexpected")), "{report:#}");
        assert_eq!(report["failure"]["temporary"], json!(false));
        assert_eq!(expected(&report), [(phase, false)]);
        let session = server.next_session().await;
        assert_eq!(session.commands(), commands);
        assert!(session.message.is_none() && session.violations.is_empty(), "{session:?}");
    }
}

#[tokio::test]
async fn a_temporary_reply_that_was_not_expected_is_temporary() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "450 4.7.1 greylisted\r\n"));
    let report = app.check(json!({"port": server.port(), "expect": {"rcptto": {"code": "5xx"}}})).await;
    assert_eq!(end(&report), (&json!("failed"), &json!("rcptto"), &json!("unexpected")), "{report:#}");
    let failure = &report["failure"];
    assert_eq!((&failure["temporary"], &failure["code"]), (&json!(true), &json!(450)), "{failure:#}");
    assert_eq!((&failure["enhanced_code"], &failure["message"]), (&json!("4.7.1"), &json!("greylisted")));
}

/// The mail is gone with its 250, whatever was expected.
#[tokio::test]
async fn an_unexpected_250_for_the_message_keeps_its_queue_id() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::Body, "250 2.0.0 Ok: queued as 4XyZ12abcd\r\n"));
    let report = app.check(json!({"port": server.port(), "expect": {"body": {"code": "5xx"}}})).await;
    assert_eq!(end(&report), (&json!("failed"), &json!("body"), &json!("unexpected")), "{report:#}");
    assert_eq!(report["queue_id"], json!("4XyZ12abcd"));
    assert!(server.next_session().await.has_command("QUIT"));
}

#[tokio::test]
async fn an_unexpected_220_to_starttls_closes_the_connection_at_once() {
    let (app, identity) = (TestApp::start().await, Ca::new("Test CA").issue(Leaf::for_name("mx.test")));
    let server = SmtpServer::serve(Script::compliant().with_starttls(&identity));
    let expect = json!({"starttls": {"code": "454"}});
    let report = app.check(json!({"port": server.port(), "starttls": true, "expect": expect})).await;
    assert_eq!(end(&report), (&json!("failed"), &json!("starttls"), &json!("unexpected")), "{report:#}");
    assert!(!phase_names(&report).contains(&"quit"));
    assert_ne!(server.next_session().await.end, End::Quit);

    let report =
        app.check(json!({"port": server.port(), "starttls": true, "expect": {"starttls": {"code": "220"}}})).await;
    assert_eq!((&report["outcome"], expected(&report)), (&json!("delivered"), vec![("starttls", true)]), "{report:#}");
}

/// RSET and QUIT have one second together, and neither fails the check.
#[tokio::test]
async fn a_server_that_does_not_answer_rset_costs_a_second() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::Other, super::support::smtpd::Action::silence()));
    let report = app.check(json!({"port": server.port(), "expect": {"rcptto": {"code": "5xx"}}})).await;
    assert_eq!(end(&report), (&json!("failed"), &json!("rcptto"), &json!("unexpected")), "{report:#}");
    let duration = report["metrics"]["duration"].as_f64().expect("a number");
    assert!((1000.0..5000.0).contains(&duration), "{duration}");
}

/// It ends the session before the command is sent (RFC 5321, section 3.8), and is the reply of its phase all the same.
#[tokio::test]
async fn a_421_that_comes_before_the_command_is_expected_or_not() {
    let app = TestApp::start().await;
    for (code, outcome, is_expected) in [("421", "completed", true), ("250", "failed", false)] {
        let early = "250 mx.test\r\n421 4.3.2 shutting down\r\n";
        let server = SmtpServer::serve(Script::compliant().on(Step::Ehlo, early));
        let report = app.check(json!({"port": server.port(), "expect": {"mailfrom": {"code": code}}})).await;
        assert_eq!((&report["outcome"], expected(&report)), (&json!(outcome), vec![("mailfrom", is_expected)]));
        let phase = report["phases"].as_array().expect("phases").iter().find(|phase| phase["name"] == "mailfrom");
        let phase = phase.expect("the phase");
        assert_eq!((&phase["code"], &phase["time_ms"], &phase["ok"]), (&json!(421), &json!(null), &json!(false)));
    }
}

/// What a report leaves out of a long reply is a limit of this client, which decides nothing.
#[tokio::test]
async fn the_whole_of_a_long_reply_is_compared() {
    let app = TestApp::start().await;
    let lines: String = (0..60).map(|number| format!("250-X-EXT{number} {}\r\n", "y".repeat(300))).collect();
    for (message, outcome) in [("x-ext45", "delivered"), ("X-EXT60", "failed")] {
        let server = SmtpServer::serve(Script::compliant().on(Step::Ehlo, format!("{lines}250 END\r\n")));
        let report = app.check(json!({"port": server.port(), "expect": {"ehlo": {"message": message}}})).await;
        assert_eq!(report["outcome"], outcome, "{report:#}");
    }
}

#[tokio::test]
async fn a_235_that_comes_too_early_is_not_expected() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().with_capabilities(&["AUTH PLAIN"]).on(Step::Auth, "235 ok\r\n"));
    let report = app
        .check(json!({"port": server.port(), "sasl_authentication": "plain", "sasl_user": "u",
            "sasl_password": "p", "expect": {"sasl_auth": {"code": "235"}}}))
        .await;
    assert_eq!(end(&report), (&json!("failed"), &json!("sasl_auth"), &json!("unexpected")), "{report:#}");
    assert_eq!(expected(&report), [("sasl_auth", false)]);
}
