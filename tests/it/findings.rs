//! Explanations, findings, command lines and ids, as callers see them.

use serde_json::{Value, json};
use smtp_check::findings::CATALOGUE;

use super::support::{
    app::TestApp,
    events::Events,
    pki::{Ca, Leaf},
    port::Port,
    program::{code, program},
    smtpd::{Action, Script, SmtpServer, Step},
};

/// Id and severity of each finding.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter();
    findings
        .map(|one| format!("{} {}", one["id"].as_str().unwrap_or(""), one["severity"].as_str().unwrap_or("")))
        .collect()
}

fn explanation(report: &Value) -> &str {
    report["failure"]["explanation"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn findings_are_sorted_by_severity_and_then_by_id() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name("other.test").expired());
    let capabilities = ["STARTTLS", "AUTH PLAIN"];
    let server = SmtpServer::serve(Script::compliant().with_starttls(&identity).with_capabilities(&capabilities));
    let app = TestApp::start().await;
    let tls = json!({"port": server.port(), "starttls": true, "stop_after": "starttls"});
    let report = app.check(tls.clone()).await;
    let certificate = ["cert.expired", "cert.name_mismatch", "cert.untrusted"];
    let mut expected = vec!["starttls.auth_in_clear warning".to_owned()];
    expected.extend(certificate.map(|id| format!("{id} notice")));
    assert_eq!(found(&report), expected);
    assert_eq!(report["findings"][0]["subject"], "127.0.0.1");
    assert_eq!(report["success"], true);

    let mut required = tls;
    required["tls_verify"] = "require".into();
    let report = app.check(required).await;
    let mut expected: Vec<_> = certificate.map(|id| format!("{id} error")).into();
    expected.push("starttls.auth_in_clear warning".to_owned());
    assert_eq!(found(&report), expected);
    assert!(explanation(&report).contains("is for other.test, not for 127.0.0.1"), "{report:#}");
}

#[tokio::test]
async fn a_server_without_a_fault_has_no_finding() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name("127.0.0.1"));
    let server = SmtpServer::serve(Script::compliant().with_starttls(&identity));
    let app = TestApp::builder().trust(&ca).start().await;
    let report = app.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!((&report["findings"], &report["outcome"]), (&json!([]), &json!("delivered")), "{report:#}");
}

/// What the session itself has to tell: it is not in a reply.
#[tokio::test]
async fn failures_are_explained_by_their_causes() {
    let app = TestApp::start().await;
    let closed = Port::new();
    let login = json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p", "implicit_tls": true});
    let ca = Ca::new("Test CA");
    let secured = || Script::compliant().with_implicit_tls(ca.issue(Leaf::for_name("mx.test")));
    let refusing = secured().with_capabilities(&["AUTH PLAIN"]).on(Step::Auth, "535 no\r\n");
    let alert = Action::reply([0x15, 3, 3, 0, 2, 2, 10]).then(Action::close());
    for (script, parameters, text, ids) in [
        (Script::compliant(), json!({"port": closed.number()}), "nothing listens", &["smtp.unreachable error"][..]),
        (Script::compliant(), json!({"implicit_tls": true}), "Set `starttls` in place of `implicit_tls`", &[]),
        (Script::compliant(), json!({"starttls": true}), "does not offer STARTTLS", &["starttls.not_offered error"]),
        (Script::new().with_greeting(alert), json!({}), "expects TLS from the first byte", &[]),
        (Script::new().with_greeting(Action::silence()), json!({"timeout_ms": 300}), "tarpit", &[]),
        (
            refusing,
            login,
            "before any user name or password",
            &["cert.name_mismatch notice", "cert.untrusted notice", "sasl.refused_before_credentials info"],
        ),
    ] {
        let server = SmtpServer::serve(script);
        let mut all = json!({"port": server.port()});
        all.as_object_mut().expect("an object").extend(parameters.as_object().expect("an object").clone());
        let report = app.check(all).await;
        assert!(explanation(&report).contains(text), "{text}: {report:#}");
        assert_eq!(found(&report), ids, "{text}: {report:#}");
    }
}

#[tokio::test]
async fn every_answer_with_a_report_has_the_id_of_its_check() {
    let server = SmtpServer::serve(Script::compliant());
    let app = TestApp::start().await;
    let parameters =
        json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port(), "stop_after": "ehlo"});
    let answer = app.post(&parameters).await;
    assert_eq!(answer.header("x-check-id"), answer.json()["id"].as_str());

    let events = Events::of(&app, parameters).await.expect("a stream");
    let id = events.headers["x-check-id"].to_str().expect("ASCII").to_owned();
    let (_, report) = events.rest().await.pop().expect("a report");
    assert_eq!(report["id"], id);

    let metrics = app.get(&format!("/probe?target=127.0.0.1:{}", server.port())).await;
    assert_eq!(metrics.header("x-check-id").map(str::len), Some(36));
    let debug = app.get(&format!("/probe?target=127.0.0.1:{}&debug=true", server.port())).await;
    let id = debug.header("x-check-id").expect("an id");
    assert!(String::from_utf8_lossy(&debug.body).contains(&format!("\"id\": \"{id}\"")));

    let refused = app.post(&json!({"port": 0})).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-check-id")), (422, None));
}

#[tokio::test]
async fn every_finding_has_a_section_of_its_own() {
    let page = TestApp::start().await.get("/docs/findings").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let page = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    for entry in &CATALOGUE {
        assert!(page.contains(&format!("<section id=\"{}\">", entry.id)), "{}", entry.id);
    }
    for absent in ["<script", "<style", "style="] {
        assert!(!page.contains(absent), "{absent}");
    }
}

/// The same line repeats the check, with this program as bash finds it.
#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_this_program_repeats_the_check() {
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 no\r\n"));
    let app = TestApp::start().await;
    let parameters = json!({
        "port": server.port(), "from": "-$`'!|@example.test", "payload": "Subject: -\n\n\"$HOME\" \u{1b}[0m!", "transcript": true,
    });
    let report = app.check(parameters).await;
    let line = report["reproduce"]["smtp_check"].as_str().expect("a line").to_owned();
    let program = program(&[]);
    let folder = std::path::Path::new(program.get_program()).parent().expect("a folder");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = std::process::Command::new("bash").args(["-c", &line]).env("PATH", path).output().expect("bash");
    assert_eq!(code(&output), 1, "{output:?}");
    let again: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(again["reproduce"], report["reproduce"]);
    let lines = |report: &Value| -> Vec<Value> {
        report["transcript"].as_array().expect("lines").iter().map(|line| line["text"].clone()).collect()
    };
    assert_eq!(lines(&again), lines(&report));
}
