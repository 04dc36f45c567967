//! The command lines of reports, run by bash with the real swaks, openssl and curl: each comes to the end of its check.

use std::{path::Path, process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Certificate, login, with};
use crate::support::{
    app::TestApp,
    introspection::Introspection,
    mta::{HOST, PASSWORD, Postfix, USER},
    pki::Leaf,
    port::Port,
    program::{code, program},
    smtpd::{Action, Script, Session, SmtpServer, Step},
    temp_dir::TempDir,
};

/// A line in bash, with this authority trusted.
fn bash(line: &str, ca: &Path, password: &str) -> std::process::Output {
    let program = program(&[]);
    let folder = Path::new(program.get_program()).parent().expect("a folder").display().to_string();
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).env("PATH", format!("{folder}:/usr/bin:/bin")).env("SASL_PASSWORD", password);
    bash.env("SMTP_CHECK_CA_FILE", ca).env("SSL_CERT_FILE", ca).env("CURL_CA_BUNDLE", ca).env("no_proxy", "*");
    bash.output().expect("bash")
}

/// The check, and each of its lines. `missing` are the tools that cannot do the same.
async fn repeat(app: &TestApp, ca: &Path, parameters: Value, missing: &[&str]) {
    let report = app.check(parameters.clone()).await;
    let password = parameters["sasl_password"].as_str().unwrap_or_default().to_owned();
    let lines = report["reproduce"].as_object().expect("lines").clone();
    for (tool, line) in lines {
        let Some(line) = line.as_str().map(str::to_owned) else {
            assert!(missing.contains(&&*tool), "no line for {tool}: {parameters}");
            continue;
        };
        assert!(!missing.contains(&&*tool), "{line}");
        assert!(password.is_empty() || !line.contains(&password), "{line}");
        // openssl does no more than the handshake.
        let succeeds = match &*tool {
            "openssl" => report["phases"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|phase| phase["name"] == "tls" && phase["ok"] == true),
            _ => report["success"] == true,
        };
        let (ca, given, shown) = (ca.to_owned(), password.clone(), line.clone());
        let output = tokio::task::spawn_blocking(move || bash(&line, &ca, &given)).await.expect("no panic");
        assert_eq!(code(&output) == 0, succeeds, "{shown}\n{output:?}\n{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_comes_to_the_same_end() {
    let certificate = Certificate::valid();
    let directory = TempDir::new();
    let ca = certificate.ca.write_pem(directory.path());
    let app = TestApp::builder().trust(&certificate.ca).start();
    let (app, postfix) = tokio::join!(app, Postfix::start(Some(&certificate.files)));
    let (plain, strict) = (postfix.plain(), postfix.strict());
    let name = json!({"tls_server_name": "mx.example.test", "starttls": true});
    let named = |port: u16, more: Value| with(with(name.clone(), json!({"port": port})), more);
    let require = json!({"tls_verify": "require"});
    let payload = "Subject: -%DATE% \\n `id`\n\n$(id) \"!\" '\n\t-- \n";
    for (parameters, missing) in [
        (json!({"port": plain, "payload": payload, "from": "alice@example.com"}), &["openssl"][..]),
        (json!({"port": plain, "to": "nobody@example.test"}), &["openssl"]),
        (json!({"port": plain, "to": "nobody@example.test", "stop_after": "rcptto"}), &["openssl", "curl"]),
        (json!({"port": plain, "stop_after": "ehlo"}), &["openssl"]),
        (json!({"port": strict}), &["openssl"]),
        (named(strict, json!({})), &[]),
        (named(strict, require.clone()), &["swaks"]),
        (named(strict, json!({"stop_after": "starttls"})), &[]),
        (named(strict, with(require, json!({"tls_server_name": "other.test"}))), &["swaks"]),
        (json!({"port": plain, "starttls": true}), &[]),
        (json!({"port": plain, "starttls": "opportunistic"}), &["openssl", "curl"]),
        (named(strict, json!({"starttls": "opportunistic"})), &[]),
        (with(login(postfix.submission(), "plain"), json!({"starttls": "opportunistic"})), &[]),
        (json!({"port": plain, "from": "-x@example.com"}), &["openssl", "swaks"]),
        (json!({"port": plain, "payload": "-- \n-d: x"}), &["openssl"]),
        (json!({"port": Port::new().number()}), &["openssl"]),
        (login(postfix.submission(), "plain"), &[]),
        (login(postfix.submission(), "login"), &[]),
        (with(login(postfix.submission(), "plain"), json!({"sasl_password": "wrong horse"})), &["swaks"]),
        (with(login(postfix.smtps(), "plain"), json!({"starttls": false, "implicit_tls": true})), &[]),
        (with(login(postfix.submission(), "plain"), json!({"sasl_initial_response": true})), &[]),
    ] {
        repeat(&app, &ca, parameters, missing).await;
    }
    assert!(!PASSWORD.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_log_in_by_the_mechanisms_that_they_know() {
    const TOKEN: &str = "ya29.a0AfH6SMBx-correct_horse";
    let certificate = Certificate::valid();
    let directory = TempDir::new();
    let ca = certificate.ca.write_pem(directory.path());
    let tokens = Introspection::start(TOKEN, USER).await;
    let app = TestApp::builder().trust(&certificate.ca).start();
    let (app, postfix) = tokio::join!(app, Postfix::start_with_tokens(&certificate.files, tokens.addr()));
    let name = json!({"tls_server_name": HOST, "transcript": false});
    let log_in = |mechanism: &str, more: Value| with(with(login(postfix.submission(), mechanism), name.clone()), more);
    let token = |token: &str| json!({"sasl_password": token});
    for (parameters, missing) in [
        (log_in("cram-md5", json!({})), &[][..]),
        (log_in("cram-md5", json!({"sasl_password": "wrong horse"})), &[]),
        (log_in("scram-sha-256", json!({})), &["swaks", "curl"]),
        (log_in("auto", json!({})), &["swaks", "curl"]),
        // curl prefers OAUTHBEARER, where it is offered too.
        (log_in("xoauth2", token(TOKEN)), &["swaks", "curl"]),
        (log_in("xoauth2", token("ya29.wrong")), &["swaks", "curl"]),
        (log_in("oauthbearer", token(TOKEN)), &["swaks"]),
        (log_in("oauthbearer", with(token(TOKEN), json!({"sasl_initial_response": true}))), &["swaks"]),
        (log_in("oauthbearer", token("ya29.wrong")), &["swaks"]),
    ] {
        repeat(&app, &ca, parameters, missing).await;
    }
}

/// The message that arrives is the check's, octet for octet.
#[tokio::test(flavor = "multi_thread")]
async fn swaks_and_curl_deliver_the_same_message() {
    let certificate = Certificate::valid();
    let directory = TempDir::new();
    let ca = certificate.ca.write_pem(directory.path());
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let mut known = 0;
    for payload in [
        "Subject: %DATE% \\n `id`\n\n$(id) \"!\" '%BODY%\n-- \nüber",
        "Subject: x\n\nempty lines at the end\n\n\n",
        "Subject: x\n\none line end\n",
        "",
    ] {
        let report = app.check(json!({"port": postfix.plain(), "payload": payload})).await;
        let stored = postfix.delivered(report["queue_id"].as_str().expect("a queue id")).await.message;
        known += 1;
        for tool in ["swaks", "curl"] {
            let line = report["reproduce"][tool].as_str().expect("a line").to_owned();
            let ca = ca.clone();
            let output = tokio::task::spawn_blocking(move || bash(&line, &ca, "")).await.expect("no panic");
            assert_eq!(code(&output), 0, "{output:?}");
            known += 1;
            let lines = postfix.wait_for_log_lines(": client=", known).await;
            let queue_id =
                lines.last().and_then(|line| line.split("]: ").nth(1)?.split(": client=").next().map(str::to_owned));
            let delivered = postfix.delivered(&queue_id.expect("a queue id")).await.message;
            assert_eq!(String::from_utf8_lossy(&delivered), String::from_utf8_lossy(&stored), "{tool}: {payload:?}");
        }
    }
}

/// What a session sent: whether DATA, whether the password.
fn sent(session: &Session) -> [bool; 2] {
    let responses = [STANDARD.encode(format!("\0{USER}\0{PASSWORD}")), STANDARD.encode(PASSWORD)];
    let has_password = session.commands().iter().any(|line| responses.iter().any(|response| line.contains(response)));
    [session.has_command("DATA"), has_password]
}

/// No line sends a message or a password where its check did not, and none ends otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_sends_what_the_check_withheld() {
    let certificate = Certificate::valid();
    let directory = TempDir::new();
    let ca = certificate.ca.write_pem(directory.path());
    let app = TestApp::builder().trust(&certificate.ca).start().await;
    let identity = || certificate.ca.issue(Leaf::for_name(HOST));
    let log_in = json!({"sasl_authentication": "plain", "sasl_user": USER, "sasl_password": PASSWORD});
    let slow = json!({"timeout_ms": 1000});
    let opportunistic = json!({"starttls": "opportunistic"});
    let compliant = Script::compliant;
    let with_login = || compliant().with_credentials(USER, PASSWORD);
    for (script, parameters) in [
        (with_login(), with(log_in.clone(), opportunistic.clone())),
        (compliant().with_starttls(identity()).on(Step::StartTls, "454 4.7.0 not now\r\n"), opportunistic),
        (compliant().with_capabilities(&[]), json!({"to": "ü@example.test"})),
        (compliant().on(Step::Ehlo, "502 5.5.1 no\r\n").on(Step::Other, "250 HELO will do\r\n"), json!({})),
        (
            compliant()
                .with_starttls(identity())
                .on(Step::EhloTls, "502 5.5.1 no\r\n")
                .on(Step::Other, "250 HELO will do\r\n"),
            json!({"starttls": true}),
        ),
        (compliant().on(Step::RcptTo, "252 2.1.5 perhaps\r\n"), json!({})),
        (compliant().on(Step::MailFrom, "251 2.1.5 somewhere\r\n"), json!({})),
        (compliant().with_greeting("250 mx.test\r\n"), json!({})),
        (compliant().on(Step::RcptTo, "550-no\r\n250 yes\r\n"), json!({})),
        (with_login().on(Step::Ehlo, "250 mx.test\r\n").on(Step::Auth, "503 5.5.1 no\r\n"), log_in.clone()),
        (with_login().on(Step::Ehlo, "250 mx.test\r\n"), log_in.clone()),
        (with_login().on(Step::Auth, "538 5.7.11 not without TLS\r\n"), log_in.clone()),
        (with_login().on(Step::Auth, "235 2.7.0 early\r\n"), log_in.clone()),
        (with_login().on(Step::Auth, Action::close()), log_in.clone()),
        (with_login().with_greeting("421 4.3.2 busy\r\n"), log_in),
        (compliant().with_delay(Duration::from_millis(300)), slow),
    ] {
        let server = SmtpServer::serve(script.clone());
        let parameters = with(json!({"port": server.port()}), parameters);
        let report = app.check(parameters.clone()).await;
        let by_check = sent(&server.next_session().await);
        for tool in ["swaks", "curl"] {
            let Some(line) = report["reproduce"][tool].as_str().map(str::to_owned) else { continue };
            let (ca, shown) = (ca.clone(), line.clone());
            let output = tokio::task::spawn_blocking(move || bash(&line, &ca, PASSWORD)).await.expect("no panic");
            assert_eq!(code(&output) == 0, report["success"] == true, "{shown}\n{output:?}\n{report:#}");
            let by_tool = sent(&server.next_session().await);
            assert!(by_tool.iter().zip(by_check).all(|(tool, check)| !tool || check), "{shown}\n{report:#}");
        }
    }
}
