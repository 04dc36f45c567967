//! XOAUTH2 and OAUTHBEARER: access tokens.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{login, with};
use crate::support::{
    app::{TestApp, failure},
    scram::{challenge, decoded},
    smtpd::{End, Script, SmtpServer},
};

/// A token has characters of URL-safe base64, and `/` and `+` of the other one, which JSON may escape.
const TOKEN: &str = "ya29.A0ARrdaM-c3RvY2s/aGFtLWZy_b20+YmVsb3c=";

const MECHANISMS: [(&str, &str, &str); 2] = [("xoauth2", "XOAUTH2", ""), ("oauthbearer", "OAUTHBEARER", "AQ==")];

fn bearer(server: &SmtpServer, mechanism: &str, more: Value) -> Value {
    with(login(server, mechanism), with(json!({"sasl_password": TOKEN, "transcript": true}), more))
}

#[tokio::test]
async fn a_token_is_sent_as_the_mechanism_wants() {
    let app = TestApp::start().await;
    for (mechanism, more, expected) in [
        ("xoauth2", json!({}), "user=user\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
        ("oauthbearer", json!({}), "n,a=user,\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
        ("oauthbearer", json!({"sasl_auth_id": "bo,ss"}), "n,a=bo=2Css,\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
    ] {
        for initial_response in [false, true] {
            let script = Script::compliant().with_sasl(&mechanism.to_uppercase(), |responses| match responses {
                [] => "334 ".to_owned(),
                _ => "235 2.7.0 ok".to_owned(),
            });
            let server = SmtpServer::serve(script);
            let more = with(more.clone(), json!({"sasl_initial_response": initial_response}));
            let report = app.check(bearer(&server, mechanism, more)).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            let name = mechanism.to_uppercase();
            assert_eq!(report["sasl"], json!({"mechanism": name, "initial_response": initial_response}));
            assert_eq!(report["warnings"], json!(["the credentials were sent in clear text, without TLS"]));
            let session = server.next_session().await;
            let commands = session.commands();
            let response = if initial_response { commands[1].rsplit(' ').next() } else { commands.get(2).copied() };
            assert_eq!(decoded(response.expect("a response")), expected.replace("TOKEN", TOKEN), "{commands:?}");
        }
    }
}

/// The server's document, and the warning that shows it.
fn documents() -> Vec<(String, String)> {
    let escaped = TOKEN.replace('/', "\\/").replace('+', "\\u002b");
    let refused = |shown: &str| format!("the server refused the token: {shown}");
    let long = format!(r#"{{"status":"{}"}}"#, "x".repeat(3000));
    vec![
        (
            r#"{"status":"invalid_token","scope":"mail"}"#.to_owned(),
            refused(r#"{"status":"invalid_token","scope":"mail"}"#),
        ),
        (format!(r#"{{"status":"{TOKEN} is no good"}}"#), refused(r#"{"status":"*** is no good"}"#)),
        (format!(r#"{{"status":"{escaped}"}}"#), refused(r#"{"status":"***"}"#)),
        (format!(r#"{{"{escaped}":[{{"a":"{}"}}]}}"#, STANDARD.encode(TOKEN)), refused(r#"{"***":[{"a":"***"}]}"#)),
        (
            format!("no {TOKEN}"),
            "the server refused the token by a challenge of 64 octets that is no JSON object".into(),
        ),
        (long.clone(), refused(&format!("{}…", &long[..1021]))),
    ]
}

#[tokio::test]
async fn a_refused_token_ends_with_the_reply_that_follows() {
    let app = TestApp::start().await;
    for (mechanism, name, answer) in MECHANISMS {
        for (document, warning) in documents() {
            let said = document.clone();
            let script = Script::compliant().with_sasl(name, move |responses| match responses {
                [] => "334 ".to_owned(),
                [_] => challenge(&said),
                _ => "535 5.7.8 Bad token".to_owned(),
            });
            let server = SmtpServer::serve(script);
            let report = app.check(bearer(&server, mechanism, json!({}))).await;
            assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
            assert_eq!(json!([report["failure"]["code"], report["failure"]["enhanced_code"]]), json!([535, "5.7.8"]));
            let clear = "the credentials were sent in clear text, without TLS";
            assert_eq!(report["warnings"], json!([clear, warning]), "{report:#}");
            assert_no_token(&report, &document);
            let session = server.next_session().await;
            assert_eq!((session.commands()[3], session.end == End::Quit), (answer, true), "{session:?}");
        }
    }
}

/// Neither the token nor the challenge that holds it, in any form, in any member of the report.
fn assert_no_token(report: &Value, document: &str) {
    let text = report.to_string();
    for secret in [TOKEN, &TOKEN[..12], &STANDARD.encode(TOKEN), &STANDARD.encode(document), "\\u002b"] {
        assert!(!text.contains(secret), "{secret}: {report:#}");
    }
    let lines: Vec<&str> = report["transcript"]
        .as_array()
        .expect("a transcript")
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    let size = STANDARD.encode(document).len();
    assert!(lines.contains(&&*format!("334 ({size} octets)")), "{lines:#?}");
}

/// The challenge is quoted in no failure either.
#[tokio::test]
async fn a_challenge_that_is_out_of_turn_is_not_quoted() {
    let app = TestApp::start().await;
    let escaped = TOKEN.replace('/', "\\/").replace('+', "\\u002b");
    let document = STANDARD.encode(format!(r#"{{"status":"{escaped}"}}"#));
    for (mechanism, name, _) in MECHANISMS {
        for (nth, kind) in [(1, "protocol"), (2, "rejected")] {
            let said = document.clone();
            let script = Script::compliant().with_sasl(name, move |responses| match responses.len() {
                0 => "334 ".to_owned(),
                // Two challenges at once, or one more than the mechanism has.
                sent if sent == 1 && nth == 1 => format!("334 {said}\r\n334 {said}"),
                _ => format!("334 {said}"),
            });
            let server = SmtpServer::serve(script);
            let report = app.check(bearer(&server, mechanism, json!({}))).await;
            assert_eq!(failure(&report), ("sasl_auth", kind, false), "{report:#}");
            let text = report.to_string();
            assert!(!text.contains(&document[..20]) && text.contains("octets)"), "{report:#}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_accepted_after_all() {
    let app = TestApp::start().await;
    for (mechanism, name, _) in MECHANISMS {
        let script = Script::compliant().with_sasl(name, |responses| match responses {
            [] => "334 ".to_owned(),
            [_] => challenge(r#"{"status":"401"}"#),
            _ => "235 2.7.0 ok".to_owned(),
        });
        let server = SmtpServer::serve(script);
        let report = app.check(bearer(&server, mechanism, json!({}))).await;
        assert_eq!(failure(&report), ("sasl_auth", "protocol", false), "{report:#}");
        let session = server.next_session().await;
        assert!(!session.has_command("MAIL") && session.end == End::Quit, "{session:?}");
    }
}

#[tokio::test]
async fn a_long_command_is_sent_with_a_warning() {
    let app = TestApp::start().await;
    let script = || Script::compliant().with_sasl("XOAUTH2", |_| "235 2.7.0 ok".to_owned());
    for (length, warned) in [(10, false), (1500, true)] {
        let server = SmtpServer::serve(script());
        let more = json!({"sasl_password": "t".repeat(length), "sasl_initial_response": true});
        let report = app.check(bearer(&server, "xoauth2", more)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(report["warnings"].to_string().contains("need not take more than 512"), warned, "{report:#}");
    }
}
