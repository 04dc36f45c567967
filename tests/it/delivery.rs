//! A check that delivers a message, and its report.

use std::{net::Ipv6Addr, time::Duration};

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Leaf},
    smtpd::{Action, End, Script, Session, SmtpServer, Step},
};

/// Runs a check of this server, and returns the report and what the server recorded.
async fn check(script: Script, mut parameters: Value) -> (Value, Session) {
    let server = SmtpServer::serve(script);
    parameters["port"] = json!(server.port());
    (TestApp::start().await.check(parameters).await, server.next_session().await)
}

#[tokio::test]
async fn a_message_is_delivered() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = app.check(json!({"port": server.port(), "payload": "Subject: hello\n\nworld\n"})).await;

    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    assert_eq!(report["failure"], json!(null));
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"]);
    assert_eq!(
        report["target"],
        json!({"host": "127.0.0.1", "address": "127.0.0.1", "port": server.port(), "via": "request"})
    );
    assert_eq!(report["queue_id"], "4F2A81234");
    let session = server.next_session().await;
    assert_eq!(session.message.as_deref(), Some(&b"Subject: hello\r\n\r\nworld\r\n\r\n"[..]));
    assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
}

#[tokio::test]
async fn the_payload_is_sent_unchanged() {
    for (payload, message) in [
        (None, "Subject: Testing\r\n"),
        (Some(""), "\r\n"),
        (Some("one line"), "one line\r\n"),
        (Some("a\nb\r\nc\n\nd\r\n\r\n"), "a\r\nb\r\nc\r\n\r\nd\r\n\r\n\r\n"),
        (Some("..\n.x\nx."), "..\r\n.x\r\nx.\r\n"),
        (Some("tab\tand  spaces \n"), "tab\tand  spaces \r\n\r\n"),
        (Some("MAIL FROM:<x>\nQUIT"), "MAIL FROM:<x>\r\nQUIT\r\n"),
    ] {
        let parameters = payload.map_or(json!({}), |payload| json!({"payload": payload}));
        let (report, session) = check(Script::compliant(), parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let sent = session.message.as_deref().map(String::from_utf8_lossy);
        assert_eq!(sent.as_deref(), Some(message), "{payload:?}");
        assert_eq!(session.commands().last(), Some(&"QUIT"));
        assert!(session.violations.is_empty(), "{session:?}");
    }
}

#[tokio::test]
async fn a_leading_dot_in_the_payload_gives_a_warning() {
    for (payload, line) in [("a\nb\n..\n", Some("line 3")), (".x", Some("line 1")), ("a.\nb", None)] {
        let (report, _) = check(Script::compliant(), json!({"payload": payload})).await;
        let warnings = report["warnings"].as_array().expect("warnings");
        assert_eq!(warnings.len(), usize::from(line.is_some()), "{report:#}");
        if let Some(line) = line {
            assert!(warnings[0].as_str().is_some_and(|text| text.contains(line)), "{report:#}");
        }
    }
    // No warning about what was not sent.
    let (report, _) = check(Script::compliant(), json!({"payload": "..", "stop_after": "rcptto"})).await;
    assert_eq!(report["warnings"], json!(["`payload` has no effect: with `stop_after` no message is sent"]));
}

#[tokio::test]
async fn the_envelope_is_the_one_of_the_parameters() {
    for (parameters, commands) in [
        (json!({}), ["EHLO noit.local", "MAIL FROM:<>", "RCPT TO:<probe@example.test>"]),
        (
            json!({"ehlo": "mail.example.test", "from": "sender@example.test", "to": "postmaster"}),
            ["EHLO mail.example.test", "MAIL FROM:<sender@example.test>", "RCPT TO:<postmaster>"],
        ),
        (
            json!({"ehlo": "[192.0.2.1]", "from": "", "to": "\"a b\"@example.test"}),
            ["EHLO [192.0.2.1]", "MAIL FROM:<>", "RCPT TO:<\"a b\"@example.test>"],
        ),
    ] {
        let (report, session) = check(Script::compliant(), parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(session.commands(), [&commands[..], &["DATA", "QUIT"]].concat());
    }
}

#[tokio::test]
async fn body_8bitmime_is_announced_where_it_is_offered() {
    let offers = |keywords: &[&str]| Script::compliant().with_capabilities(keywords);
    for (script, parameters, mail_from, warnings) in [
        (offers(&["8BITMIME"]), json!({"payload": "grüße"}), "MAIL FROM:<> BODY=8BITMIME", 0),
        (offers(&["8bitmime"]), json!({"payload": "grüße"}), "MAIL FROM:<> BODY=8BITMIME", 0),
        (offers(&["SIZE 1"]), json!({"payload": "grüße"}), "MAIL FROM:<>", 1),
        (offers(&["8BITMIME", "SMTPUTF8"]), json!({"payload": "greetings"}), "MAIL FROM:<>", 0),
        (
            offers(&["8BITMIME", "SMTPUTF8"]),
            json!({"from": "jürgen@example.test"}),
            "MAIL FROM:<jürgen@example.test> SMTPUTF8",
            0,
        ),
        (offers(&["8BITMIME", "SMTPUTF8"]), json!({"to": "jürgen@example.test"}), "MAIL FROM:<> SMTPUTF8", 0),
        (
            offers(&["8BITMIME", "SMTPUTF8"]),
            json!({"to": "jürgen@example.test", "payload": "grüße"}),
            "MAIL FROM:<> BODY=8BITMIME SMTPUTF8",
            0,
        ),
    ] {
        let payload = parameters["payload"].as_str().unwrap_or("Subject: Testing").to_owned();
        let (report, session) = check(script, parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(session.commands()[1], mail_from);
        assert_eq!(session.message, Some(format!("{payload}\r\n").into_bytes()));
        assert_eq!(report["warnings"].as_array().map(Vec::len), Some(warnings), "{report:#}");
        if warnings > 0 {
            assert!(report["warnings"][0].as_str().is_some_and(|text| text.contains("8BITMIME")), "{report:#}");
        }
    }
}

#[tokio::test]
async fn a_non_ascii_address_needs_smtputf8() {
    for parameters in [json!({"from": "jürgen@example.test"}), json!({"to": "jürgen@example.test"})] {
        let (report, session) = check(Script::compliant().with_capabilities(&["8BITMIME"]), parameters).await;
        assert_eq!(failure(&report), ("mailfrom", "unsupported", false), "{report:#}");
        assert!(report["failure"]["message"].as_str().is_some_and(|text| text.contains("SMTPUTF8")), "{report:#}");
        assert_eq!(report["failure"]["code"], json!(null));
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "quit"]);
        assert_eq!(session.commands(), ["EHLO noit.local", "QUIT"]);
    }
}

#[tokio::test]
async fn capabilities_after_tls_replace_those_before() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (outside, inside, mail_from) in [
        ("250-mx.test\r\n250 8BITMIME\r\n", "250 mx.test\r\n", "MAIL FROM:<>"),
        ("250 mx.test\r\n", "250-mx.test\r\n250 8BITMIME\r\n", "MAIL FROM:<> BODY=8BITMIME"),
    ] {
        let script = Script::compliant().with_starttls(&identity).on(Step::Ehlo, outside).on(Step::EhloTls, inside);
        let (_, session) = check(script, json!({"starttls": true, "payload": "grüße"})).await;
        assert_eq!(session.commands()[3], mail_from);
    }
}

#[tokio::test]
async fn a_server_on_ipv6_is_checked() {
    let server = SmtpServer::serve_at((Ipv6Addr::LOCALHOST, 0).into(), Script::compliant());
    let app = TestApp::start().await;
    for target in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
        let report = app.check(json!({"port": server.port(), "target": target, "ip_family": "ipv6"})).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(
            report["target"],
            json!({"host": "::1", "address": "::1", "port": server.port(), "via": "request"}),
            "{report:#}"
        );
    }
}

#[tokio::test]
async fn stop_after_ends_the_check_after_that_phase() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let commands = [
        "EHLO noit.local",
        "STARTTLS",
        "EHLO noit.local",
        "AUTH LOGIN",
        "dXNlcg==",
        "Y29ycmVjdCBob3JzZQ==",
        "MAIL FROM:<>",
    ];
    let names = ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls", "sasl_auth", "mailfrom", "rcptto"];
    for (stop_after, phases_done, commands_sent) in [
        ("banner", 2, 0),
        ("ehlo", 3, 1),
        ("starttls", 6, 3),
        ("sasl_auth", 7, 6),
        ("mailfrom", 8, 7),
        ("rcptto", 9, 8),
    ] {
        let script = Script::compliant().with_starttls(&identity).with_credentials("user", "correct horse");
        let parameters = json!({"stop_after": stop_after, "starttls": true,
            "sasl_authentication": "login", "sasl_user": "user", "sasl_password": "correct horse"});
        let (report, session) = check(script, parameters).await;
        assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("completed")), "{report:#}");
        assert_eq!((&report["failure"], &report["queue_id"]), (&json!(null), &json!(null)));
        assert_eq!(phase_names(&report), [&names[..phases_done], &["quit"]].concat());
        assert_eq!(report["metrics"]["last_cmd"], if stop_after == "starttls" { "ehlo_tls" } else { stop_after });
        let all = [&commands[..], &["RCPT TO:<probe@example.test>"]].concat();
        assert_eq!(session.commands(), [&all[..commands_sent], &["QUIT"]].concat());
        assert_eq!((session.message, session.end), (None, End::Quit), "{stop_after}");
    }
}

#[tokio::test]
async fn a_check_that_ends_before_the_recipient_needs_none() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    for stop_after in ["banner", "ehlo", "mailfrom"] {
        let answer = app.post(&json!({"target": "127.0.0.1", "port": server.port(), "stop_after": stop_after})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["outcome"]), (200, &json!("completed")), "{answer:?}");
    }
}

/// A check with a message larger than the buffers of both ends, so that writing it fails: the server sends `last_word`
/// during the message, stops reading, and resets the connection later.
async fn cut_off(last_word: &str) -> Value {
    let size = 12 << 20;
    let app = TestApp::builder().max_body(2 * size).start().await;
    let in_the_middle = Action::reply("354 go\r\n").then(Action::wait_for_client()).then(Action::reply(last_word));
    let hangs_up = in_the_middle.then(Action::reset().after(Duration::from_millis(200)));
    let server = SmtpServer::serve(Script::compliant().on(Step::Data, hangs_up).with_receive_buffer(4096));
    let line = "x".repeat(78) + "\r\n";
    app.check(json!({"port": server.port(), "payload": line.repeat(size / line.len())})).await
}

#[tokio::test]
async fn the_reply_of_a_server_that_closes_during_the_message_is_reported() {
    let report = cut_off("552 5.3.4 too large\r\n").await;
    assert_eq!(failure(&report), ("body", "rejected", false), "{report:#}");
    assert_eq!((&report["failure"]["code"], &report["failure"]["enhanced_code"]), (&json!(552), &json!("5.3.4")));
    assert!(!phase_names(&report).contains(&"quit"), "in the middle of a message, QUIT would be part of it");
    assert!(report["metrics"]["body_time"].as_f64().expect("a time") > 0.0, "{report:#}");
}

#[tokio::test]
async fn a_message_that_was_not_sent_is_not_delivered() {
    let report = cut_off("250 2.0.0 Ok: queued as EARLY\r\n").await;
    assert_eq!(failure(&report), ("body", "protocol", false), "{report:#}");
    assert_eq!((&report["outcome"], &report["queue_id"]), (&json!("failed"), &json!(null)));
    assert!(report["metrics"].get("body_time").is_none(), "{report:#}");
}
