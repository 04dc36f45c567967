//! Messages that a check builds and signs, and what the report says of them.

use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    smtpd::{Script, Session, SmtpServer},
};

/// What the receiver makes of the octets of DATA (RFC 5321, section 4.5.2).
fn received(session: &Session) -> String {
    let wire = String::from_utf8(session.message.clone().expect("a message")).expect("UTF-8");
    wire.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect()
}

/// The header fields, unfolded, and the body.
fn parts(message: &str) -> (Vec<(String, String)>, &str) {
    let (headers, body) = message.split_once("\r\n\r\n").expect("a header section");
    let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = unfolded.split("\r\n").map(|line| line.split_once(": ").expect("a field"));
    (fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), body)
}

fn with(mut parameters: Value, more: &Value) -> Value {
    parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    parameters
}

#[tokio::test]
async fn a_message_is_built_and_reported() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    let parameters = json!({
        "port": server.port(), "from": "bounces@sender.test", "to": "to@mx.test",
        "message": {"subject": "Hello", "text": ".dot\n..two\nend", "headers": {"X-Purpose": "monitoring"}},
    });
    let report = app.check(parameters).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["warnings"], json!([]));
    let session = server.next_session().await;
    let message = received(&session);
    let (fields, body) = parts(&message);
    let id = report["id"].as_str().expect("an id");
    let message_id = format!("<{id}@sender.test>");
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    assert_eq!(field("From"), Some("<bounces@sender.test>"));
    assert_eq!(field("To"), Some("<to@mx.test>"));
    assert_eq!((field("Subject"), field("X-Purpose")), (Some("Hello"), Some("monitoring")));
    assert_eq!((field("Message-ID"), field("X-Smtp-Check-Id")), (Some(&*message_id), Some(id)));
    assert_eq!(field("MIME-Version"), Some("1.0"));
    assert_eq!(body, ".dot\r\n..two\r\nend\r\n");
    assert_eq!(report["message"], json!({"message_id": message_id, "octets": message.len(), "dkim": null}));
}

#[tokio::test]
async fn a_payload_has_no_message_in_the_report() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    for more in [json!({"payload": "From: a@b.test\n\nx"}), json!({}), json!({"stop_after": "rcptto"})] {
        let report = app.check(with(json!({"port": server.port()}), &more)).await;
        assert_eq!(report["message"], json!(null), "{report:#}");
    }
}
