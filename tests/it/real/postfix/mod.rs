//! Checks against Postfix, with Dovecot for SASL.

mod client_certificates;
mod credentials;
mod mechanisms;
mod proxy;

use serde_json::{Value, json};

use super::{Certificate, assert_no_secret, client_lines, login, metric_names, not_ok, rejection, with};
use crate::support::{
    app::{TestApp, failure, phase_names},
    mta::{HOST, PASSWORD, Postfix, RECIPIENT, USER},
    pki::{Ca, Leaf},
};

/// The commands of every session up to QUIT, as Postfix counts them; a connection that only read the greeting has none.
async fn commands(postfix: &Postfix, count: usize) -> Vec<String> {
    let lines = postfix.wait_for_log_lines(" quit=1 commands=", count).await;
    lines.iter().map(|line| line.split_once(" ehlo=").map_or(line.as_str(), |(_, rest)| rest).to_owned()).collect()
}

async fn last_commands(postfix: &Postfix, count: usize) -> String {
    commands(postfix, count).await.pop().expect("at least one")
}

#[tokio::test]
async fn a_delivery_without_tls_has_exactly_its_phases() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.plain(), "transcript": true})).await;

    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    let names = ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"];
    assert_eq!(phase_names(&report), names);
    assert!(not_ok(&report).is_empty(), "{report:#}");
    let codes: Vec<_> = report["phases"].as_array().expect("phases").iter().map(|phase| &phase["code"]).collect();
    assert_eq!(json!(codes), json!([null, 220, 250, 250, 250, 354, 250, 221]));
    let enhanced: Vec<_> =
        report["phases"].as_array().expect("phases").iter().map(|phase| &phase["enhanced_code"]).collect();
    assert_eq!(json!(enhanced), json!([null, null, null, "2.1.0", "2.1.5", null, "2.0.0", "2.0.0"]));

    let mut expected: Vec<_> = names.iter().map(|name| format!("{name}_time")).collect();
    expected.extend(["duration", "last_cmd", "last_code", "last_message", "cert_error"].map(str::to_owned));
    let mut metrics = metric_names(&report);
    metrics.sort_unstable();
    expected.sort_unstable();
    assert_eq!(metrics, expected);
    for phase in report["phases"].as_array().expect("phases") {
        let name = phase["name"].as_str().expect("a name");
        assert_eq!(report["metrics"][format!("{name}_time")], phase["time_ms"], "{name}");
        assert!(phase["time_ms"].as_f64().is_some_and(|ms| ms >= 0.0), "{phase}");
    }
    let queue_id = report["queue_id"].as_str().expect("a queue id");
    assert_eq!(report["metrics"]["last_cmd"], "body");
    assert_eq!(report["metrics"]["last_code"], 250);
    assert_eq!(report["metrics"]["last_message"], format!("Ok: queued as {queue_id}"));
    assert_eq!(
        report["capabilities"],
        json!({
            "before_tls": {
                "PIPELINING": "", "SIZE": "10240000", "VRFY": "", "ETRN": "", "ENHANCEDSTATUSCODES": "", "8BITMIME": "",
                "DSN": "", "SMTPUTF8": "", "CHUNKING": "",
            },
            "after_tls": null,
        })
    );
    assert_eq!((&report["tls"], &report["failure"], &report["warnings"]), (&json!(null), &json!(null), &json!([])));
    assert_eq!(
        client_lines(&report),
        [
            "EHLO noit.local",
            "MAIL FROM:<>",
            &format!("RCPT TO:<{RECIPIENT}>"),
            "DATA",
            "(16 octets of message, then the final dot)",
            "QUIT"
        ]
    );
    assert_eq!(last_commands(&postfix, 1).await, "1 mail=1 rcpt=1 data=1 quit=1 commands=5");
}

#[tokio::test]
async fn a_delivered_message_is_unchanged() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let line = format!("{}\r\n", "0123456789 grün ".repeat(40));
    let long = format!("Subject: long\r\n\r\n{}", line.repeat(200_000 / line.len() + 1));
    let long_stored = long.replace("\r\n", "\n");
    assert!(long.len() >= 200_000);
    let stuffed = "line 3 of the payload begins with a dot, which the server will remove (RFC 5321, section 4.5.2)";
    for (payload, stored, warnings) in [
        ("Subject: Testing", "Subject: Testing\n", json!([])),
        ("Subject: a\r\n\r\nb", "Subject: a\n\nb\n", json!([])),
        ("Subject: a\n\nLF\nalone\r\nand CR LF\n", "Subject: a\n\nLF\nalone\nand CR LF\n\n", json!([])),
        (
            "Subject: a\n\n..\n..two\n...\nin . the middle.",
            "Subject: a\n\n.\n.two\n..\nin . the middle.\n",
            json!([stuffed]),
        ),
        ("Subject: grün 日本\n\n\u{1F40E} Pferd\n", "Subject: grün 日本\n\n\u{1F40E} Pferd\n\n", json!([])),
        (
            "Subject: ends\n\n  blanks  \n\n\n\ttab\t\n\n\n",
            "Subject: ends\n\n  blanks  \n\n\n\ttab\t\n\n\n\n",
            json!([]),
        ),
        (&long, &format!("{long_stored}\n"), json!([])),
    ] {
        let report = app.check(json!({"port": postfix.plain(), "payload": payload, "transcript": true})).await;
        let shown: String = payload.chars().take(30).collect();
        assert_eq!(report["outcome"], "delivered", "{shown}: {report:#}");
        assert_eq!(report["warnings"], warnings, "{shown}");
        let announced = if payload.is_ascii() { "MAIL FROM:<>" } else { "MAIL FROM:<> BODY=8BITMIME" };
        assert_eq!(client_lines(&report)[1], announced, "{shown}");
        let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
        assert!(delivered.message == stored.as_bytes(), "{shown}: {:?}", String::from_utf8_lossy(&delivered.message));
    }
}

/// The open relay test: a foreign sender, a foreign recipient, and a rejection is what is expected. No mail is sent,
/// whatever the server answers.
#[tokio::test]
async fn an_open_relay_is_found_without_any_mail() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let test = |port: u16| {
        json!({"port": port, "from": "a@foreign.test", "to": "b@elsewhere.test", "transcript": true,
            "expect": {"rcptto": {"code": "5xx"}}})
    };
    let report = app.check(test(postfix.plain())).await;
    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("completed")), "{report:#}");
    assert_eq!(client_lines(&report)[1..], ["MAIL FROM:<a@foreign.test>", "RCPT TO:<b@elsewhere.test>", "QUIT"]);
    assert_eq!(last_commands(&postfix, 1).await, "1 mail=1 rcpt=0/1 quit=1 commands=3/4");

    let report = app.check(test(postfix.relay())).await;
    assert_eq!(failure(&report), ("rcptto", "unexpected", false), "{report:#}");
    assert_eq!(
        client_lines(&report)[1..],
        ["MAIL FROM:<a@foreign.test>", "RCPT TO:<b@elsewhere.test>", "RSET", "QUIT"]
    );
    assert_eq!(last_commands(&postfix, 2).await, "1 mail=1 rcpt=1 rset=1 quit=1 commands=5");
}

#[tokio::test]
async fn an_empty_payload_is_delivered() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.plain(), "payload": ""})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
    assert_eq!(delivered.message, b"\n");
}

#[tokio::test]
async fn the_envelope_is_the_requested_one() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    for (envelope, mail, rcpt, return_path, to) in [
        (json!({"from": ""}), "MAIL FROM:<>", "RCPT TO:<probe@example.test>", "<>", "probe@example.test"),
        (
            json!({"from": "alice@example.com"}),
            "MAIL FROM:<alice@example.com>",
            "RCPT TO:<probe@example.test>",
            "<alice@example.com>",
            "probe@example.test",
        ),
        (json!({"to": "postmaster"}), "MAIL FROM:<>", "RCPT TO:<postmaster>", "<>", "postmaster@example.test"),
        (
            json!({"to": "pröbe@example.test"}),
            "MAIL FROM:<> SMTPUTF8",
            "RCPT TO:<pröbe@example.test>",
            "<>",
            "pröbe@example.test",
        ),
        (
            json!({"to": "pröbe@example.test", "from": "älice@example.com", "payload": "Subject: ü"}),
            "MAIL FROM:<älice@example.com> BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<pröbe@example.test>",
            "<älice@example.com>",
            "pröbe@example.test",
        ),
    ] {
        let parameters = with(json!({"port": postfix.plain(), "ehlo": "[127.0.0.1]", "transcript": true}), envelope);
        let report = app.check(parameters.clone()).await;
        assert_eq!(report["outcome"], "delivered", "{parameters}: {report:#}");
        assert_eq!(client_lines(&report)[..3], ["EHLO [127.0.0.1]", mail, rcpt], "{parameters}");
        let delivered = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await;
        let trace: Vec<_> = delivered.trace.lines().collect();
        assert_eq!(trace[0], format!("Return-Path: {return_path}"), "{parameters}");
        assert_eq!(trace[2], format!("Delivered-To: {to}"), "{parameters}");
        assert!(trace[3].starts_with("Received: from [127.0.0.1] "), "{parameters}: {trace:?}");
    }
}

/// Warnings say what was not offered. AUTH was rejected before the challenge: none is about credentials in clear text.
fn assert_warnings(phase: &str, report: &Value) {
    let expected = match phase {
        "starttls" => &["does not offer STARTTLS"][..],
        "sasl_auth" => &["does not offer AUTH", "no credential was sent"],
        _ => &[],
    };
    let warnings: Vec<_> = report["warnings"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    assert!(warnings.iter().zip(expected).all(|(warning, text)| warning.contains(text)), "{warnings:?}");
}

#[tokio::test]
async fn rejections_of_postfix_are_reported_with_its_text() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let (plain, small) = (postfix.plain(), postfix.small());
    let over = format!("Subject: too big\n\n{}", "x".repeat(70).repeat(50).replace("xx", "x\n"));
    let cases = [
        (
            json!({"port": plain, "to": "nobody@example.test"}),
            json!(["rcptto", "rejected", false, 550, "5.1.1"]),
            "User unknown in virtual mailbox table",
            "1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        ),
        (
            json!({"port": plain, "to": "probe@elsewhere.test"}),
            json!(["rcptto", "rejected", false, 554, "5.7.1"]),
            "Relay access denied",
            "1 mail=1 rcpt=0/1 quit=1 commands=3/4",
        ),
        (
            json!({"port": plain, "starttls": true}),
            json!(["starttls", "rejected", false, 502, "5.5.1"]),
            "command not implemented",
            "1 starttls=0/1 quit=1 commands=2/3",
        ),
        (
            json!({"port": plain, "sasl_authentication": "plain", "sasl_user": USER, "sasl_password": PASSWORD}),
            json!(["sasl_auth", "rejected", false, 503, "5.5.1"]),
            "authentication not enabled",
            "1 auth=0/1 quit=1 commands=2/3",
        ),
        (
            json!({"port": small, "payload": over}),
            json!(["body", "rejected", false, 552, "5.3.4"]),
            "message file too big",
            "1 mail=1 rcpt=1 data=0/1 quit=1 commands=4/5",
        ),
    ];
    for (nth, (parameters, expected, words, counted)) in cases.into_iter().enumerate() {
        let report = app.check(with(json!({"transcript": true}), parameters)).await;
        assert_eq!(rejection(&report), expected, "{report:#}");
        assert_eq!((&report["success"], &report["outcome"]), (&json!(false), &json!("failed")));
        let said_by_server = report["failure"]["message"].as_str().expect("words");
        assert!(said_by_server.contains(words) && !said_by_server.contains("5.1.1"), "{said_by_server}");
        let phase = expected[0].as_str().expect("a phase");
        // It was answered, so it has a time; QUIT succeeded.
        assert!(report["metrics"][format!("{phase}_time")].is_f64(), "{report:#}");
        assert_eq!(not_ok(&report), [phase], "{report:#}");
        assert_eq!(phase_names(&report)[phase_names(&report).len() - 2..], [phase, "quit"]);
        assert_eq!(
            json!([report["metrics"]["last_cmd"], report["metrics"]["last_code"], report["metrics"]["last_message"]]),
            json!([phase, expected[3], said_by_server])
        );
        assert_eq!((&report["queue_id"], &report["tls"]), (&json!(null), &json!(null)));
        assert_eq!(last_commands(&postfix, nth + 1).await, counted);
        assert_warnings(phase, &report);
    }
}

#[tokio::test]
async fn a_size_limit_of_the_server_is_reported() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.small()})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["capabilities"]["before_tls"]["SIZE"], "2048");
}

#[tokio::test]
async fn stop_after_delivers_nothing() {
    let certificate = Certificate::valid();
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(Some(&certificate.files)));
    let to_ehlo = ["connect", "banner", "ehlo"];
    let to_tls = ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls"];
    let after_tls = |more: &'static [&str]| [&to_tls, more].concat();
    let cases = [
        ("banner", vec!["connect", "banner"], "quit=1 commands=1"),
        ("ehlo", to_ehlo.to_vec(), "1 quit=1 commands=2"),
        ("starttls", to_tls.to_vec(), "2 starttls=1 quit=1 commands=4"),
        ("sasl_auth", after_tls(&["sasl_auth"]), "2 starttls=1 auth=1 quit=1 commands=5"),
        ("mailfrom", after_tls(&["sasl_auth", "mailfrom"]), "2 starttls=1 auth=1 mail=1 quit=1 commands=6"),
        (
            "rcptto",
            after_tls(&["sasl_auth", "mailfrom", "rcptto"]),
            "2 starttls=1 auth=1 mail=1 rcpt=1 quit=1 commands=7",
        ),
    ];
    for (nth, (stop_after, mut expected, counted)) in cases.into_iter().enumerate() {
        let report = app.check(with(login(postfix.submission(), "plain"), json!({"stop_after": stop_after}))).await;
        expected.push("quit");
        assert_eq!(phase_names(&report), expected, "{report:#}");
        assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("completed")));
        assert_eq!((&report["failure"], &report["queue_id"]), (&json!(null), &json!(null)));
        assert!(not_ok(&report).is_empty());
        assert_eq!(report["metrics"]["last_cmd"], if stop_after == "starttls" { "ehlo_tls" } else { stop_after });
        // No `data=`: there was no message.
        let line = last_commands(&postfix, nth + 1).await;
        assert!(line.ends_with(counted) && !line.contains("data="), "{stop_after}: {line}");
    }
}

#[tokio::test]
async fn stop_after_before_rcpt_needs_no_recipient() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let report = app.check(json!({"to": null, "port": postfix.plain(), "stop_after": "mailfrom"})).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "quit"]);
    assert_eq!(last_commands(&postfix, 1).await, "1 mail=1 quit=1 commands=3");
}
