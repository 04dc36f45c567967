//! Rejections: in every phase, with the text of the server, and with QUIT.

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Leaf},
    smtpd::{Action, End, Script, SmtpServer, Step},
};

/// The phases of the check below, in order, and the step at which the server replies in each.
const PHASES: [(&str, Option<Step>); 11] = [
    ("connect", None),
    ("banner", Some(Step::Greeting)),
    ("ehlo", Some(Step::Ehlo)),
    ("starttls", Some(Step::StartTls)),
    ("tls", None),
    ("ehlo_tls", Some(Step::EhloTls)),
    ("sasl_auth", Some(Step::Auth)),
    ("mailfrom", Some(Step::MailFrom)),
    ("rcptto", Some(Step::RcptTo)),
    ("data", Some(Step::Data)),
    ("body", Some(Step::Body)),
];

/// A check with every phase.
fn every_phase(server: &SmtpServer) -> Value {
    json!({"port": server.port(), "starttls": true,
        "sasl_authentication": "plain", "sasl_user": "user", "sasl_password": "correct horse"})
}

struct Rejection {
    reply: &'static str,
    code: u16,
    enhanced_code: Option<&'static str>,
    message: &'static str,
}

/// Rejects in each phase in turn, and checks the report and what the server recorded.
async fn rejected_at_every_phase(rejection: Rejection) {
    let (app, identity) = (TestApp::start().await, Ca::new("Test CA").issue(Leaf::for_name("mx.test")));
    for (index, (phase, step)) in PHASES.into_iter().enumerate() {
        let Some(step) = step else { continue };
        let compliant = Script::compliant().with_starttls(&identity).with_credentials("user", "correct horse");
        let server = SmtpServer::serve(compliant.on(step, rejection.reply));
        let report = app.check(every_phase(&server)).await;

        assert_eq!((&report["success"], &report["outcome"]), (&json!(false), &json!("failed")), "{report:#}");
        assert_eq!(
            report["failure"],
            json!({"phase": phase, "kind": "rejected", "temporary": rejection.code / 100 == 4, "code": rejection.code,
                "enhanced_code": rejection.enhanced_code, "message": rejection.message,
                "explanation": report["failure"]["explanation"]})
        );
        // After 3yz the server waits for more of the same command, and would take QUIT for that.
        let in_sync = rejection.code / 100 != 3;
        let mut expected: Vec<_> = PHASES[..=index].iter().map(|(name, _)| *name).collect();
        expected.extend(in_sync.then_some("quit"));
        assert_eq!(phase_names(&report), expected);
        let entry = &report["phases"][index];
        let words = |value: &Value| json!([value["ok"], value["code"], value["enhanced_code"], value["message"]]);
        assert_eq!(words(entry), json!([false, rejection.code, rejection.enhanced_code, rejection.message]));
        let metrics = report["metrics"].as_object().expect("an object");
        assert_eq!(metrics[&format!("{phase}_time")], entry["time_ms"]);
        assert!(entry["time_ms"].is_number(), "{entry}");
        let last = [&metrics["last_cmd"], &metrics["last_code"], &metrics["last_message"]];
        assert_eq!(json!(last), json!([phase, rejection.code, rejection.message]));
        for (later, _) in &PHASES[index + 1..] {
            assert!(!metrics.contains_key(&format!("{later}_time")), "{later} after {phase}: {report:#}");
        }
        assert_eq!(report["queue_id"], json!(null));

        let session = server.next_session().await;
        assert_eq!(session.end, if in_sync { End::Quit } else { End::Eof }, "{phase}: {session:?}");
        assert_eq!(session.has_command("QUIT"), in_sync, "{session:?}");
        assert_eq!(session.message.is_some(), phase == "body");
        assert!(session.violations.is_empty(), "{session:?}");
        assert_eq!(server.connections(), 1, "nobody tries again");
    }
}

#[tokio::test]
async fn a_temporary_rejection_is_temporary() {
    let message = "Come\nback\nlater";
    let reply = "451-4.7.1 Come\r\n451-4.7.1 back\r\n451 4.7.1 later\r\n";
    rejected_at_every_phase(Rejection { reply, code: 451, enhanced_code: Some("4.7.1"), message }).await;
}

#[tokio::test]
async fn a_permanent_rejection_is_not_temporary() {
    let message = "Never\n  ever";
    rejected_at_every_phase(Rejection {
        reply: "554-Never\r\n554   ever\r\n",
        code: 554,
        enhanced_code: None,
        message,
    })
    .await;
}

#[tokio::test]
async fn an_unexpected_2yz_reply_is_a_rejection() {
    let (reply, message) = ("252 2.5.0 Cannot VRFY\r\n", "Cannot VRFY");
    rejected_at_every_phase(Rejection { reply, code: 252, enhanced_code: Some("2.5.0"), message }).await;
}

#[tokio::test]
async fn an_unexpected_3yz_reply_is_a_rejection() {
    rejected_at_every_phase(Rejection {
        reply: "399 And now?\r\n",
        code: 399,
        enhanced_code: None,
        message: "And now?",
    })
    .await;
}

#[tokio::test]
async fn the_expected_reply_of_one_phase_is_not_that_of_another() {
    let app = TestApp::start().await;
    for (step, phase, reply) in [
        (Step::Greeting, "banner", "250 hello\r\n"),
        (Step::Ehlo, "ehlo", "220 hello\r\n"),
        (Step::Ehlo, "ehlo", "251 hello\r\n"),
        (Step::MailFrom, "mailfrom", "251 hello\r\n"),
        (Step::RcptTo, "rcptto", "252 hello\r\n"),
        (Step::Data, "data", "250 hello\r\n"),
        (Step::Body, "body", "251 hello\r\n"),
        (Step::Body, "body", "354 hello\r\n"),
    ] {
        let server = SmtpServer::serve(Script::compliant().on(step, reply));
        let report = app.check(json!({"port": server.port()})).await;
        assert_eq!(failure(&report), (phase, "rejected", false), "{reply}: {report:#}");
        assert_eq!(report["failure"]["message"], "hello");
    }
}

#[tokio::test]
async fn a_recipient_may_be_forwarded() {
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "251 2.1.5 User not local; will forward\r\n"));
    let report = TestApp::start().await.check(json!({"port": server.port()})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
}

#[tokio::test]
async fn a_failing_quit_never_fails_a_check() {
    let app = TestApp::start().await;
    // How it fails, and whether there is a reply, which has a time.
    let failing = || {
        [
            (Action::reply("500 5.5.1 Never heard of it\r\n"), Some(500)),
            (Action::reply("421 4.3.0 Busy\r\n"), Some(421)),
            (Action::reply("250 2.0.0 Fine\r\n"), Some(250)),
            (Action::close(), None),
            (Action::reset(), None),
            (Action::garbage(), None),
            (Action::silence(), None),
        ]
    };
    for (script, success) in [(Script::compliant(), true), (Script::compliant().on(Step::RcptTo, "550 no\r\n"), false)]
    {
        for (act, code) in failing() {
            let shown = format!("{act:?}");
            let server = SmtpServer::serve(script.clone().on(Step::Quit, act));
            let report = app.check(json!({"port": server.port()})).await;
            assert_eq!(report["success"], success, "{shown}: {report:#}");
            assert_eq!(failure(&report), if success { ("", "", false) } else { ("rcptto", "rejected", false) });
            let quit = report["phases"].as_array().and_then(|phases| phases.last()).expect("phases");
            assert_eq!((&quit["name"], &quit["ok"]), (&json!("quit"), &json!(false)), "{shown}: {report:#}");
            assert_eq!(quit["code"], json!(code));
            assert_eq!(quit["time_ms"].is_number(), code.is_some(), "{shown}: {quit}");
            assert_eq!(report["metrics"].get("quit_time").is_some(), code.is_some(), "{shown}: {report:#}");
            assert_eq!(report["metrics"]["last_cmd"], if success { "body" } else { "rcptto" });
            assert!(server.next_session().await.has_command("QUIT"), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_unanswered_quit_is_awaited_for_at_most_one_second() {
    let server = SmtpServer::serve(Script::compliant().on(Step::Quit, Action::silence()));
    let report = TestApp::start().await.check(json!({"port": server.port(), "timeout_ms": 30000})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let duration = report["metrics"]["duration"].as_f64().expect("a number");
    assert!((1000.0..5000.0).contains(&duration), "{duration}");
}
