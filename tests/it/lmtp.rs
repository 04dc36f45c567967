//! LMTP (RFC 2033), with a scripted server.

use serde_json::json;

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Leaf},
    smtpd::{End, Script, SmtpServer, Step},
};

#[tokio::test]
async fn a_message_is_delivered_by_lmtp() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for starttls in [false, true] {
        let script = Script::compliant().with_starttls(&identity);
        let server = SmtpServer::serve(script.on(Step::Body, "250 2.1.5 <probe@example.test> saved\r\n"));
        let report = app.check(json!({"port": server.port(), "protocol": "lmtp", "starttls": starttls})).await;
        assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
        assert_eq!(phase_names(&report)[2], "ehlo");
        let session = server.next_session().await;
        let hellos: Vec<_> = session.commands().into_iter().filter(|line| line.contains("HLO ")).collect();
        assert_eq!(hellos, vec!["LHLO noit.local"; 1 + usize::from(starttls)]);
        assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
    }
}

/// There is one reply for each accepted recipient (RFC 2033, section 4.2), and a check has one.
#[tokio::test]
async fn the_reply_for_the_recipient_decides() {
    let app = TestApp::start().await;
    for (step, reply, phase, code) in [
        (Step::Ehlo, "502 5.5.2 SMTP only\r\n", "ehlo", 502),
        (Step::RcptTo, "550 5.1.1 <probe@example.test> no such user\r\n", "rcptto", 550),
        (Step::Body, "452 4.2.2 <probe@example.test> is full\r\n", "body", 452),
    ] {
        let server = SmtpServer::serve(Script::compliant().on(step, reply));
        let report = app.check(json!({"port": server.port(), "protocol": "lmtp"})).await;
        assert_eq!(failure(&report), (phase, "rejected", code == 452), "{report:#}");
        assert_eq!(report["failure"]["code"], code);
        assert_eq!(server.next_session().await.end, End::Quit);
    }
}

#[tokio::test]
async fn lmtp_needs_a_target() {
    let app = TestApp::start().await;
    for parameters in [
        json!({"to": "a@b.test", "protocol": "lmtp"}),
        json!({"to": "a@[127.0.0.1]", "protocol": "lmtp"}),
        json!({"protocol": "lmtp", "stop_after": "ehlo"}),
    ] {
        let answer = app.post(&parameters).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/target".to_owned()]), "{parameters}");
    }
    let answer = app.post(&json!({"to": "a@b.test", "target": "127.0.0.1", "protocol": "esmtp"})).await;
    assert_eq!(answer.pointers(), ["/protocol"]);
}
