//! Checks against Exim.

use serde_json::{Value, json};

use super::{Certificate, assert_no_secret, client_lines, login, not_ok, rejection, with};
use crate::support::{
    app::{TestApp, phase_names},
    mta::{CRAM_MD5, Exim, NO_PROMPT, PASSWORD, USER},
};

#[tokio::test]
async fn a_delivered_message_has_a_queue_id() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    let payload = "Subject: grün\n\n..dot\nLF alone\r\nand CR LF";
    let report = app.check(json!({"port": exim.plain(), "payload": payload, "from": "alice@example.com"})).await;
    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"]);
    assert!(not_ok(&report).is_empty(), "{report:#}");
    let offered = &report["capabilities"]["before_tls"];
    for keyword in ["8BITMIME", "PIPELINING", "SMTPUTF8", "SIZE", "HELP"] {
        assert!(offered[keyword].is_string(), "{keyword}: {offered}");
    }
    let queue_id = report["queue_id"].as_str().expect("a queue id");
    assert_eq!(report["metrics"]["last_message"], format!("OK id={queue_id}"));
    let delivered = exim.delivered(queue_id).await;
    assert_eq!(delivered.message, "Subject: grün\n\n.dot\nLF alone\nand CR LF\n".as_bytes());
    assert!(delivered.trace.starts_with("Return-path: <alice@example.com>\n"), "{}", delivered.trace);
}

#[tokio::test]
async fn non_ascii_and_domainless_addresses_are_delivered() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    for to in ["pröbe@example.test", "postmaster"] {
        let report = app.check(json!({"port": exim.plain(), "to": to, "transcript": true})).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let mail = if to.is_ascii() { "MAIL FROM:<>" } else { "MAIL FROM:<> SMTPUTF8" };
        assert_eq!(client_lines(&report)[1..3], [mail, &format!("RCPT TO:<{to}>")]);
        exim.delivered(report["queue_id"].as_str().expect("a queue id")).await;
    }
}

#[tokio::test]
async fn every_mechanism_delivers_with_starttls_and_implicit_tls() {
    let certificate = Certificate::valid();
    let (app, exim) =
        tokio::join!(TestApp::builder().trust(&certificate.ca).start(), Exim::start(Some(&certificate.files)));
    for (mechanism, implicit_tls, identity, logged) in [
        ("plain", false, "", format!("A=plain:{USER}")),
        ("plain", true, "someone", format!("A=plain:{USER} as someone")),
        ("login", false, "someone", format!("A=login:{USER}")),
        ("login", true, "", format!("A=login:{USER}")),
    ] {
        let port = if implicit_tls { exim.smtps() } else { exim.submission() };
        let way = json!({
            "starttls": !implicit_tls, "implicit_tls": implicit_tls, "tls_verify": "require", "sasl_auth_id": identity,
        });
        let report = app.check(with(login(port, mechanism), way)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert!(not_ok(&report).is_empty());
        assert_eq!(json!([report["tls"]["verified"], report["tls"]["version"]]), json!([true, "TLSv1.3"]));
        assert_eq!(report["capabilities"]["after_tls"]["AUTH"], "PLAIN LOGIN");
        assert_no_secret(&report, PASSWORD);
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = exim.wait_for_log(&format!("{queue_id} <= ")).await;
        assert!(line.contains(&format!(" {logged} S=")), "{line}");
        assert_eq!(exim.delivered(queue_id).await.message, b"Subject: Testing\n\n");
    }
}

#[tokio::test]
async fn rejections_of_exim_are_reported_with_its_text() {
    let certificate = Certificate::valid();
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(Some(&certificate.files)));
    let credentials = json!({"starttls": false});
    let wrong = json!({"sasl_password": "wrong horse, battery"});
    for (parameters, expected, words) in [
        (
            json!({"port": exim.plain(), "to": "nobody@example.test"}),
            json!(["rcptto", "rejected", false, 550, null]),
            "Unrouteable address",
        ),
        (
            json!({"port": exim.plain(), "to": "probe@elsewhere.test"}),
            json!(["rcptto", "rejected", false, 550, null]),
            "relay not permitted",
        ),
        (
            json!({"port": exim.submission()}),
            json!(["rcptto", "rejected", false, 550, "5.7.1"]),
            "authentication required",
        ),
        (
            with(login(exim.submission(), "plain"), wrong.clone()),
            json!(["sasl_auth", "rejected", false, 535, null]),
            "Incorrect authentication data",
        ),
        (
            with(login(exim.submission(), "login"), wrong),
            json!(["sasl_auth", "rejected", false, 535, null]),
            "Incorrect authentication data",
        ),
        (
            with(login(exim.submission(), "plain"), credentials),
            json!(["sasl_auth", "rejected", false, 503, null]),
            "AUTH command used when not advertised",
        ),
    ] {
        let report = app.check(parameters).await;
        assert_eq!(rejection(&report), expected, "{report:#}");
        assert_eq!(report["failure"]["message"], words);
        let phase = expected[0].as_str().expect("a phase");
        assert_eq!(not_ok(&report), [phase]);
        assert_eq!(phase_names(&report)[phase_names(&report).len() - 2..], [phase, "quit"]);
        assert!(report["metrics"][format!("{phase}_time")].is_f64() && report["metrics"]["quit_time"].is_f64());
        assert_no_secret(&report, "wrong horse, battery");
    }
}

#[tokio::test]
async fn cram_md5_needs_no_tls() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    for mechanism in ["cram-md5", "auto"] {
        let clear = json!({"starttls": false, "ehlo": CRAM_MD5});
        let report = app.check(with(login(exim.plain(), mechanism), clear.clone())).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(report["sasl"], json!({"mechanism": "CRAM-MD5", "initial_response": false}));
        let warnings = report["warnings"].to_string();
        assert!(!warnings.contains("clear text"), "{report:#}");
        assert_no_secret(&report, PASSWORD);
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = exim.wait_for_log(&format!("{queue_id} <= ")).await;
        assert!(line.contains(&format!(" A=cram:{USER} ")), "{line}");

        let wrong = with(clear, json!({"sasl_password": "wrong horse, battery"}));
        let report = app.check(with(login(exim.plain(), mechanism), wrong)).await;
        assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, null]), "{report:#}");
        assert_no_secret(&report, "wrong horse, battery");
    }
}

#[tokio::test]
async fn a_refusal_before_any_credential_asks_for_the_initial_response() {
    let certificate = Certificate::valid();
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(Some(&certificate.files)));
    let plain =
        with(login(exim.submission(), "plain"), json!({"ehlo": NO_PROMPT, "to": null, "stop_after": "sasl_auth"}));
    let report = app.check(plain.clone()).await;
    assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, null]), "{report:#}");
    let warning = "the server ended AUTH (535) before it asked for user name or password: no credential was sent, so the \
                   reply tells nothing about them; `sasl_initial_response` sends the first response with AUTH";
    assert_eq!(report["warnings"], json!([warning]));
    assert!(report["findings"].to_string().contains("sasl.refused_before_credentials"), "{report:#}");

    let report = app.check(with(plain.clone(), json!({"sasl_initial_response": true}))).await;
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("completed"), &json!([])), "{report:#}");
    assert_eq!(report["sasl"], json!({"mechanism": "PLAIN", "initial_response": true}));
    assert!(client_lines(&report).contains(&"AUTH PLAIN ***"), "{report:#}");

    let wrong = json!({"sasl_initial_response": true, "sasl_password": "wrong horse, battery"});
    let report = app.check(with(plain, wrong)).await;
    assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, null]), "{report:#}");
    assert_eq!(report["warnings"], json!([]));
}

fn proxied(port: u16, version: u8, family: &str, source: &str, destination: &str) -> Value {
    json!({
        "port": port, "transcript": true, "proxy_protocol": true, "proxy_version": version, "proxy_family": family,
        "proxy_source_address": source, "proxy_dest_address": destination, "proxy_source_port": 5555, "proxy_dest_port": 2525,
    })
}

#[tokio::test]
async fn exim_logs_the_client_of_the_proxy_header() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    for (version, family, source, destination) in [
        (1, "TCP4", "203.0.113.7", "192.0.2.1"),
        (1, "TCP6", "2001:db8::7", "2001:db8::1"),
        (2, "TCP4", "203.0.113.8", "192.0.2.2"),
        (2, "TCP6", "2001:db8::8", "2001:db8::2"),
    ] {
        let report = app.check(proxied(exim.proxy(), version, family, source, destination)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = exim.wait_for_log(&format!("{queue_id} <= <>")).await;
        assert!(line.contains(&format!(" H=(noit.local) [{source}]:5555 P=esmtp PRX=127.0.0.1 ")), "{line}");
        let line = exim.wait_for_log(&format!("proxied to [{destination}]")).await;
        assert!(line.ends_with(":2525"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_proxy_header_is_rejected() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    for (family, source) in [("TCP4", "nonsense"), ("TCP4", "999.0.0.1"), ("TCP6", "[2001:db8::7]")] {
        let report = app.check(proxied(exim.proxy(), 1, family, source, "192.0.2.1")).await;
        // It greets nevertheless, and has the same reply to every command except QUIT.
        assert_eq!(rejection(&report), json!(["ehlo", "rejected", false, 503, null]), "{report:#}");
        assert_eq!(report["failure"]["message"], "Command refused, required Proxy negotiation failed");
        assert_eq!((phase_names(&report), not_ok(&report)), (vec!["connect", "banner", "ehlo", "quit"], vec!["ehlo"]));
        assert_eq!(client_lines(&report)[0], format!("PROXY {family} {source} 192.0.2.1 5555 2525"));
    }
}

#[tokio::test]
async fn an_unexpected_proxy_header_is_not_reported_as_ehlo() {
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(None));
    for version in [1, 2] {
        for round in 0..30 {
            let report = app.check(proxied(exim.plain(), version, "TCP4", "203.0.113.7", "192.0.2.1")).await;
            let expected = json!(["proxy", "rejected", false, 500, null]);
            assert_eq!(rejection(&report), expected, "version {version}, round {round}: {report:#}");
            assert_eq!(report["failure"]["message"], "unrecognized command");
            // If EHLO was sent before the error reply came, it has its own reply with version 1.
            assert!(version == 1 || report["metrics"].get("ehlo_time").is_none(), "{report:#}");
            // One line was answered: the dialogue is in sync, and ends with QUIT.
            assert!(version == 2 || client_lines(&report).contains(&"QUIT"), "{report:#}");
        }
    }
}
