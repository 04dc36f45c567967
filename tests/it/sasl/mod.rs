//! The mechanisms of AUTH beside PLAIN and LOGIN: what is sent, what a server may reply, and what is reported.

mod early_end;
mod scram;
mod secrets;
mod tokens;

use serde_json::{Value, json};

use smtp_check::check::{CheckSettings, Modules};

use super::support::{
    app::{TestApp, failure},
    pki::{Ca, Leaf},
    program::{code, program, stderr},
    scram::{Scram, decoded},
    smtpd::{End, Script, SmtpServer, Step},
};

/// Contains characters that JSON, Rust and base64 write in different ways.
const PASSWORD: &str = "corr\"ect\\horse";

fn with(mut parameters: Value, more: Value) -> Value {
    let (Value::Object(all), Value::Object(more)) = (&mut parameters, more) else { panic!("two objects") };
    all.extend(more);
    parameters
}

fn login(server: &SmtpServer, mechanism: &str) -> Value {
    // Hashing takes turns, and long on a busy machine.
    json!({
        "port": server.port(), "sasl_authentication": mechanism, "sasl_user": "user", "sasl_password": PASSWORD,
        "timeout_ms": 60000,
    })
}

async fn check(app: &TestApp, parameters: Value) -> Value {
    app.check(parameters).await
}

#[tokio::test]
async fn cram_md5_sends_the_digest_of_rfc_2195() {
    // The challenge, user, password and response of RFC 2195, section 2.
    let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    let script = Script::compliant().with_sasl("CRAM-MD5", move |responses| match responses {
        [] => format!("334 {challenge}"),
        [response] if decoded(response) == "tim b913a602c7eda7a495b4e6e7334d3890" => "235 2.7.0 ok".to_owned(),
        other => format!("535 5.7.8 {other:?}"),
    });
    let server = SmtpServer::serve(script);
    let rfc = json!({"sasl_user": "tim", "sasl_password": "tanstaaftanstaaf", "transcript": true});
    let report = TestApp::start().await.check(with(login(&server, "cram-md5"), rfc)).await;
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
    assert_eq!(report["sasl"], json!({"mechanism": "CRAM-MD5", "initial_response": false}));
    assert!(!report.to_string().contains("dGltIGI5") && !report.to_string().contains("b913a602"), "{report:#}");
    assert_eq!(
        server.next_session().await.commands()[1..3],
        ["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"]
    );
}

#[tokio::test]
async fn an_echo_of_a_digest_is_masked() {
    let script = Script::compliant().with_sasl("CRAM-MD5", |responses| match responses {
        [] => "334 PDFAbXg+".to_owned(),
        [response, ..] => format!("535 5.7.8 {response} is {} no", decoded(response)),
    });
    let server = SmtpServer::serve(script);
    let report = TestApp::start().await.check(with(login(&server, "cram-md5"), json!({"transcript": true}))).await;
    assert_eq!(report["failure"]["message"], "*** is user *** no", "{report:#}");
}

/// What EHLO offers inside TLS and without it, and what `auto` makes of it.
#[tokio::test]
async fn auto_takes_the_best_that_is_offered() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (offered, tls, clear) in [
        ("LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256", Some("SCRAM-SHA-256"), Some("SCRAM-SHA-256")),
        ("LOGIN PLAIN CRAM-MD5", Some("CRAM-MD5"), Some("CRAM-MD5")),
        ("LOGIN PLAIN XOAUTH2", Some("PLAIN"), None),
        ("LOGIN", Some("LOGIN"), None),
        ("XOAUTH2 OAUTHBEARER", None, None),
    ] {
        for (starttls, expected) in [(true, tls), (false, clear)] {
            let script = Script::compliant().with_sasl(offered, |_| "535 5.7.8 no".to_owned()).with_starttls(&identity);
            let server = SmtpServer::serve(script);
            let report = app.check(with(login(&server, "auto"), json!({"starttls": starttls}))).await;
            let session = server.next_session().await;
            let Some(name) = expected else {
                assert_eq!(failure(&report), ("sasl_auth", "unsupported", false), "{offered}: {report:#}");
                assert_eq!(report["sasl"], Value::Null);
                assert!(!session.has_command("AUTH") && session.end == End::Quit, "{session:?}");
                continue;
            };
            assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{offered}: {report:#}");
            assert_eq!(report["sasl"], json!({"mechanism": name, "initial_response": false}));
            assert!(session.has_command(&format!("AUTH {name}")), "{session:?}");
        }
    }
}

/// A caller that leaves TLS to the server has not chosen clear text.
#[tokio::test]
async fn without_the_tls_of_an_opportunistic_check_no_password_goes_out() {
    let app = TestApp::start().await;
    for (mechanism, name, goes) in [
        ("plain", "PLAIN", false),
        ("login", "LOGIN", false),
        ("xoauth2", "XOAUTH2", false),
        ("oauthbearer", "OAUTHBEARER", false),
        ("cram-md5", "CRAM-MD5", true),
        ("scram-sha-256", "SCRAM-SHA-256", true),
    ] {
        let offered = "PLAIN LOGIN XOAUTH2 OAUTHBEARER CRAM-MD5 SCRAM-SHA-256";
        let server = SmtpServer::serve(Script::compliant().with_sasl(offered, |_| "535 5.7.8 no".to_owned()));
        let more = json!({"starttls": "opportunistic", "sasl_initial_response": true});
        let report = app.check(with(login(&server, mechanism), more)).await;
        let kind = if goes { "rejected" } else { "unsupported" };
        assert_eq!(failure(&report), ("sasl_auth", kind, false), "{report:#}");
        assert_eq!(report["sasl"].is_null(), !goes);
        assert_eq!(server.next_session().await.has_command(&format!("AUTH {name}")), goes);
    }
}

#[tokio::test]
async fn an_early_refusal_names_the_initial_response_where_there_is_one() {
    let app = TestApp::start().await;
    for (mechanism, has_one) in [
        ("plain", true),
        ("login", false),
        ("cram-md5", false),
        ("scram-sha-256", true),
        ("xoauth2", true),
        ("oauthbearer", true),
    ] {
        for initial_response in [false, true] {
            let script = Script::compliant().on(Step::Auth, "535 5.7.8 no\r\n");
            let server = SmtpServer::serve(script.with_sasl(&mechanism.to_uppercase(), |_| String::new()));
            let more = json!({"sasl_initial_response": initial_response});
            let report = app.check(with(login(&server, mechanism), more)).await;
            assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
            assert_eq!(report["sasl"]["initial_response"], has_one && initial_response);
            let warnings = report["warnings"].to_string();
            // SCRAM's first response bears the user name, and nothing of the password.
            let is_early = !(has_one && initial_response);
            assert_eq!(warnings.contains("no credential was sent"), is_early, "{mechanism}: {report:#}");
            assert_eq!(
                warnings.contains("; `sasl_initial_response` sends"),
                has_one && is_early,
                "{mechanism}: {report:#}"
            );
            let found = report["findings"].to_string().contains("sasl.refused_before_credentials");
            assert_eq!(found, is_early, "{mechanism}: {report:#}");
        }
    }
}

#[tokio::test]
async fn plain_has_its_response_in_the_command_when_asked() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().with_credentials("user", PASSWORD));
    let more = json!({"sasl_initial_response": true, "transcript": true});
    let report = app.check(with(login(&server, "plain"), more)).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["sasl"], json!({"mechanism": "PLAIN", "initial_response": true}));
    let lines = report["transcript"].as_array().expect("a transcript");
    assert!(lines.iter().any(|line| line["text"] == "AUTH PLAIN ***"), "{report:#}");
    let session = server.next_session().await;
    assert_eq!(decoded(&session.commands()[1]["AUTH PLAIN ".len()..]), format!("\0user\0{PASSWORD}"));
}

/// Without AUTH, and before the command is sent, nothing was tried.
#[tokio::test]
async fn sasl_is_null_where_nothing_was_tried() {
    let app = TestApp::start().await;
    let refusing = SmtpServer::serve(Script::compliant().on(Step::Ehlo, "550 no\r\n"));
    let plain = SmtpServer::serve(Script::compliant());
    for parameters in [json!({"port": plain.port()}), login(&refusing, "scram-sha-256")] {
        let report = app.check(parameters).await;
        assert_eq!(report.get("sasl"), Some(&Value::Null), "{report:#}");
    }
}

/// By a module of `/probe`, and by flags of `run`.
#[tokio::test(flavor = "multi_thread")]
async fn modules_and_run_have_every_mechanism() {
    let server = || {
        let scram = Scram::new(PASSWORD, 4096);
        SmtpServer::serve(Script::compliant().with_sasl("SCRAM-SHA-256", move |responses| scram.reply(responses)))
    };
    let probed = server();
    let Value::Object(table) = json!({"sasl_authentication": "auto", "sasl_user": "user", "sasl_password": PASSWORD,
        "sasl_initial_response": true, "stop_after": "sasl_auth"})
    else {
        panic!("a table")
    };
    let settings = CheckSettings::new(std::time::Duration::from_secs(60));
    let modules = Modules::parse([("login".to_owned(), table)], settings).expect("a good module");
    let app = TestApp::builder().modules(modules).start().await;
    let answer = app.get(&format!("/probe?module=login&target=127.0.0.1:{}", probed.port())).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("\nprobe_success 1.0\n"), "{:?}", answer.body);
    assert!(probed.next_session().await.commands()[1].starts_with("AUTH SCRAM-SHA-256 "));

    let called = server();
    let port = format!("--port={}", called.port());
    let arguments = [
        "run",
        "--target=127.0.0.1",
        &port,
        "--stop-after=sasl_auth",
        "--sasl-authentication=scram-sha-256",
        "--sasl-user=user",
        "--sasl-initial-response",
    ];
    let mut command = program(&arguments);
    let output = command.env("SMTP_CHECK_SASL_PASSWORD", PASSWORD).output().expect("the program starts");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["sasl"], json!({"mechanism": "SCRAM-SHA-256", "initial_response": true}), "{report:#}");
}

/// The command lines know the mechanism that was chosen, and never the password.
#[tokio::test]
async fn command_lines_have_the_mechanism_that_was_chosen() {
    let app = TestApp::start().await;
    for (offered, tools) in [("CRAM-MD5", true), ("SCRAM-SHA-256", false)] {
        let scram = Scram::new(PASSWORD, 4096);
        let script = Script::compliant().with_sasl(offered, move |responses| match (offered, responses) {
            ("CRAM-MD5", []) => "334 PDFAbXg+".to_owned(),
            ("CRAM-MD5", _) => "235 2.7.0 ok".to_owned(),
            _ => scram.reply(responses),
        });
        let server = SmtpServer::serve(script);
        let report = app.check(login(&server, "auto")).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let lines = &report["reproduce"];
        let shown = |tool: &str, part: &str| lines[tool].as_str().is_some_and(|line| line.contains(part));
        assert!(shown("smtp_check", "--sasl-authentication auto"), "{lines:#}");
        assert_eq!(shown("swaks", "--auth CRAM-MD5 --auth-user user"), tools, "{lines:#}");
        assert_eq!(shown("curl", "AUTH=CRAM-MD5"), tools, "{lines:#}");
        assert_eq!(lines["swaks"].is_null() && lines["curl"].is_null(), !tools);
    }
}
