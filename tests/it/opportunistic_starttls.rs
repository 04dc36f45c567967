//! `starttls: "opportunistic"`: TLS where the server offers it, and never a password in clear text.

use serde_json::json;

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Identity, Leaf},
    program::{code, program},
    smtpd::{Action, End, Script, SmtpServer, Step},
};

const NOT_OFFERED: &str = "the server does not offer STARTTLS: the session went on in clear text";

fn identity() -> Identity {
    Ca::new("Test CA").issue(Leaf::for_name("mx.test"))
}

#[tokio::test]
async fn what_is_offered_is_used() {
    let server = SmtpServer::serve(Script::compliant().with_starttls(identity()));
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": "opportunistic"})).await;
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
    assert_eq!(phase_names(&report)[3..6], ["starttls", "tls", "ehlo_tls"]);
    assert_eq!(report["tls"]["version"], "TLSv1.3");
    assert_eq!(server.next_session().await.commands_in_clear(), ["EHLO noit.local", "STARTTLS"]);
}

#[tokio::test]
async fn what_is_not_offered_is_left_out_with_a_warning() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = app.check(json!({"port": server.port(), "starttls": "opportunistic"})).await;
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([NOT_OFFERED])), "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"]);
    assert_eq!(report["tls"], json!(null));
    let session = server.next_session().await;
    assert!(!session.has_command("STARTTLS") && session.violations.is_empty() && session.end == End::Quit);

    let name = json!({"port": server.port(), "starttls": "opportunistic", "tls_server_name": "mx.test"});
    let report = app.check(name).await;
    let no_effect = "`tls_server_name` has no effect: the server does not offer STARTTLS";
    assert_eq!(report["warnings"], json!([NOT_OFFERED, no_effect]), "{report:#}");
    server.next_session().await;

    // What is not certain is not warned of: the check ended before.
    let report = app
        .check(json!({"port": server.port(), "to": null, "starttls": "opportunistic", "stop_after": "banner"}))
        .await;
    let warning = "`starttls` has no effect: with this `stop_after` the check ends before STARTTLS";
    assert_eq!(report["warnings"], json!([warning]));
}

#[tokio::test]
async fn what_is_offered_and_then_refused_or_broken_fails_the_check() {
    let app = TestApp::start().await;
    for (act, expected) in [
        (Action::reply("454 4.7.0 TLS not available\r\n"), ("starttls", "rejected", true)),
        (Action::reply("220 go\r\n").then(Action::wait_for_client()).then(Action::garbage()), ("tls", "tls", false)),
        (Action::reply("220 go\r\n").then(Action::fin()), ("tls", "closed", true)),
        (Action::reply("220 go\r\n250 injected\r\n"), ("starttls", "protocol", false)),
    ] {
        let server = SmtpServer::serve(Script::compliant().with_starttls(identity()).on(Step::StartTls, act));
        let report = app.check(json!({"port": server.port(), "starttls": "opportunistic"})).await;
        assert_eq!(failure(&report), expected, "{report:#}");
        assert!(!server.next_session().await.has_command("MAIL"));
    }
}

#[tokio::test]
async fn no_password_goes_out_in_clear_text() {
    let app = TestApp::start().await;
    for mechanism in ["plain", "login"] {
        let parameters = |port: u16| {
            json!({"port": port, "starttls": "opportunistic", "sasl_authentication": mechanism,
                "sasl_user": "user", "sasl_password": "correct horse"})
        };
        let server = SmtpServer::serve(Script::compliant().with_credentials("user", "correct horse"));
        let report = app.check(parameters(server.port())).await;
        assert_eq!(failure(&report), ("sasl_auth", "unsupported", false), "{report:#}");
        let message = report["failure"]["message"].as_str().expect("a text");
        assert!(message.contains("does not offer STARTTLS") && message.contains("clear text"), "{message}");
        assert_eq!(server.next_session().await.commands(), ["EHLO noit.local", "QUIT"]);

        let script = Script::compliant().with_starttls(identity()).with_credentials("user", "correct horse");
        let server = SmtpServer::serve(script);
        let report = app.check(parameters(server.port())).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
    }
}

/// A reply of which something is left out is no proof that STARTTLS is not offered.
#[tokio::test]
async fn a_long_reply_to_ehlo_is_no_reason_for_clear_text() {
    let keywords: String = (0..600).map(|number| format!("250-X-KEYWORD-{number}-{}\r\n", "x".repeat(20))).collect();
    let ehlo = format!("250-mx.test\r\n{keywords}250-STARTTLS\r\n250 X-LAST\r\n");
    let server = SmtpServer::serve(Script::compliant().with_starttls(identity()).on(Step::Ehlo, ehlo));
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": "opportunistic"})).await;
    assert!(phase_names(&report).contains(&"ehlo_tls"), "{report:#}");
}

#[tokio::test]
async fn what_needs_tls_is_refused() {
    let app = TestApp::start().await;
    for (more, pointer) in [
        (json!({"stop_after": "starttls"}), "/stop_after"),
        (json!({"tls_verify": "require"}), "/tls_verify"),
        (json!({"implicit_tls": true}), "/implicit_tls"),
        (json!({"starttls": "Opportunistic"}), "/starttls"),
    ] {
        let mut parameters = json!({"to": "a@b.test", "target": "127.0.0.1", "starttls": "opportunistic"});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let answer = app.post(&parameters).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec![pointer.to_owned()]), "{:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_takes_the_word_behind_an_equals_sign() {
    for (flag, warns, goes_on) in
        [("--starttls=opportunistic", true, true), ("--starttls=false", false, true), ("--starttls", true, false)]
    {
        let server = SmtpServer::serve(Script::compliant());
        let port = format!("--port={}", server.port());
        let arguments = ["run", flag, "--to=a@b.test", "--target=127.0.0.1", &port];
        let output = program(&arguments).output().expect("the program starts");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((code(&output), report["outcome"] == "delivered"), (i32::from(!goes_on), goes_on), "{report:#}");
        assert_eq!(report["warnings"] != json!([]), warns, "{report:#}");
    }
}
