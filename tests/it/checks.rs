//! The main job: a check that delivers, and what its report says.

use serde_json::json;

use super::support::{
    app::{App, phases},
    smtpd::{End, Script, Smtpd},
};

#[tokio::test]
async fn a_message_is_delivered() {
    let app = App::start().await;
    let server = Smtpd::serve(Script::polite());
    let report = app.check(json!({"port": server.port(), "payload": "Subject: hello\n\nworld\n"})).await;

    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    assert_eq!(report["failure"], json!(null));
    assert_eq!(phases(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"]);
    assert_eq!(
        report["target"],
        json!({"host": "127.0.0.1", "address": "127.0.0.1", "port": server.port(), "via": "request"})
    );
    assert_eq!(report["queue_id"], "4F2A81234");
    let session = server.next_session().await;
    assert_eq!(session.message.as_deref(), Some(&b"Subject: hello\r\n\r\nworld\r\n\r\n"[..]));
    assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
}
