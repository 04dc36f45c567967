//! The responses of `/probe`, read by `promtool` of Prometheus.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Map, json};
use smtp_check::check::{CheckSettings, Modules};

use crate::support::{
    app::TestApp,
    pki::{Ca, Leaf},
    port::Port,
    program::code,
    smtpd::{Action, Script, SmtpServer, Step},
};

/// `promtool check metrics`: the parser of Prometheus, and its advice about names.
fn assert_no_complaint(metrics: &[u8]) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("tests/install brings promtool");
    child.stdin.take().expect("piped").write_all(metrics).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    let shown = (String::from_utf8_lossy(&printed), String::from_utf8_lossy(metrics));
    assert!(code(&output) == 0 && printed.is_empty(), "{}\n{}", shown.0, shown.1);
}

#[tokio::test]
async fn promtool_accepts_every_probe_response() {
    let ca = Ca::new("A \"quoted\" \\ root, {in} braces");
    let good = ca.issue(Leaf::for_name("mx.test")).server_config();
    let expired = Leaf::for_name("elsewhere.test").expired().self_signed().server_config();
    let servers = [
        Script::compliant().with_starttls(good),
        Script::compliant().with_starttls(expired),
        Script::compliant().on(Step::StartTls, Action::from("220 go\r\n").then(Action::garbage())),
        Script::compliant().on(Step::Ehlo, "550-5.7.1 \"no\"\r\n550 5.7.1 {never}\r\n"),
        Script::new().with_greeting(Action::silence()),
        Script::new().with_greeting(Action::garbage()),
    ];
    let servers = servers.map(SmtpServer::serve);
    let refusing = Port::new();
    let fields = json!({"starttls": true, "tls_server_name": "mx.test", "stop_after": "starttls", "timeout_ms": 500});
    let fields: Map<_, _> = fields.as_object().expect("a table").clone();
    let modules = Modules::parse([("tls".to_owned(), fields)], CheckSettings::new(Duration::from_secs(60)))
        .expect("a good module");
    let app = TestApp::builder().modules(modules).trust(&ca).start().await;
    for port in servers.iter().map(SmtpServer::port).chain([refusing.number()]) {
        let answer = app.get(&format!("/probe?module=tls&target=127.0.0.1:{port}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_no_complaint(&answer.body);
    }
}
