//! Servers that reply before the end of the message, or stop reading it.

use serde_json::{Value, json};

use super::{identity, run_check};
use crate::support::{
    app::{TestApp, failure, phase_names},
    smtpd::{Action, End, Gate, Script, Session, SmtpServer, Step},
};

/// The early reply.
const EARLY: &str = "250 2.0.0 Ok: queued as EARLY1\r\n";
/// More octets than the server's receive buffer takes, and fewer than ours takes at once.
const LONG_SIZE: usize = 100_000;
/// More octets than our send buffer takes at once.
const HUGE_SIZE: usize = 8 * 1024 * 1024;

/// A message of lines, of about this many octets.
fn payload(octets: usize) -> String {
    ("x".repeat(70) + "\r\n").repeat(octets / 72)
}

/// A server that reads the beginning of a message that is larger than its buffers, and then does this.
fn after_the_beginning(implicit_tls: bool, act: Action) -> Script {
    let beginning = Action::reply("354 go on\r\n").then(Action::wait_for_client());
    let script = Script::compliant().with_receive_buffer(4096).on(Step::Data, beginning.then(act));
    if implicit_tls { script.with_implicit_tls(identity()) } else { script }
}

/// A service that takes a request with a payload of [`HUGE_SIZE`] bytes.
async fn app_for_huge_payloads() -> TestApp {
    TestApp::builder().max_body(2 * HUGE_SIZE).start().await
}

/// Runs a check of a server that sends this early, and reads the rest only after the check.
async fn told_early(app: &TestApp, implicit_tls: bool, octets: usize, reply: &str) -> (Value, Session) {
    let gate = Gate::default();
    let act = Action::reply(reply).then(Action::silence().after_gate(&gate));
    let server = SmtpServer::serve(after_the_beginning(implicit_tls, act));
    let check =
        json!({"port": server.port(), "payload": payload(octets), "implicit_tls": implicit_tls, "timeout_ms": 30_000});
    let report = app.check(check).await;
    gate.open();
    let duration = report["metrics"]["duration"].as_f64().expect("always there");
    assert!(duration < 20_000.0, "the check waits for nothing: {duration}");
    (report, server.next_session().await)
}

fn assert_not_taken(report: &Value) {
    assert_eq!(failure(report), ("body", "protocol", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "the server spoke before all was sent: 250 Ok: queued as EARLY1");
    assert_eq!((&report["outcome"], &report["queue_id"]), (&json!("failed"), &Value::Null));
    let body = report["phases"].as_array().and_then(|phases| phases.last()).expect("phases");
    assert_eq!((&body["name"], &body["ok"], &body["time_ms"]), (&json!("body"), &json!(false), &Value::Null));
    assert_eq!(report["metrics"].get("body_time"), None);
}

#[tokio::test]
async fn an_acceptance_during_the_message_is_not_delivery() {
    let app = app_for_huge_payloads().await;
    for implicit_tls in [false, true] {
        for octets in [LONG_SIZE, HUGE_SIZE] {
            let (report, session) = told_early(&app, implicit_tls, octets, EARLY).await;
            assert_not_taken(&report);
            assert!(!session.received.ends_with(b"QUIT\r\n"), "the dialogue is not in step");
        }
    }
}

#[tokio::test]
async fn an_acceptance_during_the_message_is_not_delivery_even_if_the_rest_is_read() {
    let app = app_for_huge_payloads().await;
    for implicit_tls in [false, true] {
        let script = after_the_beginning(implicit_tls, Action::reply(EARLY)).on(Step::Body, "554 5.7.1 no\r\n");
        let (report, session) =
            run_check(&app, script, json!({"payload": payload(HUGE_SIZE), "implicit_tls": implicit_tls})).await;
        assert_not_taken(&report);
        assert!(session.message.is_none() && session.end != End::Quit, "{:?}", session.end);
    }
}

#[tokio::test]
async fn a_rejection_during_the_message_is_reported() {
    let app = app_for_huge_payloads().await;
    for implicit_tls in [false, true] {
        for octets in [LONG_SIZE, HUGE_SIZE] {
            let (report, session) = told_early(&app, implicit_tls, octets, "552 5.3.4 Too big\r\n").await;
            assert_eq!(failure(&report), ("body", "rejected", false), "{report:#}");
            assert_eq!((&report["failure"]["code"], &report["failure"]["message"]), (&json!(552), &json!("Too big")));
            assert!(report["metrics"]["body_time"].is_number(), "{report:#}");
            assert!(!session.received.ends_with(b"QUIT\r\n"), "the dialogue is not in step");
        }
    }
}

#[tokio::test]
async fn a_long_message_that_is_read_to_its_end_is_delivered() {
    let app = app_for_huge_payloads().await;
    for implicit_tls in [false, true] {
        let script = after_the_beginning(implicit_tls, Action::default());
        let check = json!({"payload": payload(HUGE_SIZE), "implicit_tls": implicit_tls, "timeout_ms": 30_000});
        let (report, session) = run_check(&app, script, check).await;
        assert_eq!(report["outcome"], "delivered", "{:#}", report["failure"]);
        assert_eq!(session.end, End::Quit);
    }
}

#[tokio::test]
async fn a_close_during_the_message_fails_as_closed() {
    let app = TestApp::start().await;
    for end in [Action::close(), Action::reset()] {
        let (report, _) = run_check(&app, after_the_beginning(false, end), json!({"payload": payload(720_000)})).await;
        assert_eq!(failure(&report), ("body", "closed", true), "{report:#}");
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body"]);
        assert_eq!(report["metrics"].get("body_time"), None);
    }
}
