//! Servers that break the TLS handshake or the TLS session.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::*;
use crate::support::temp_dir::TempDir;

/// `handshake_failure`, and `protocol_version`, as fatal alerts (RFC 8446, section 6).
const NO_COMMON_SUITE: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";
const NO_COMMON_VERSION: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46";
/// A record of application data without any data.
const EMPTY_RECORD: &[u8] = b"\x17\x03\x03\x00\x00";

/// Actions in place of a ServerHello, and the failure of the check.
fn instead_of_hello() -> Vec<(Action, &'static str, bool)> {
    vec![
        (Action::garbage(), "tls", false),
        (Action::reply("250 injected\r\n"), "tls", false),
        (Action::endless_line("\x16\x03\x03"), "tls", false),
        (Action::reply(EMPTY_RECORD.repeat(100_000)), "tls", false),
        (Action::reply(NO_COMMON_SUITE), "tls", false),
        (Action::reply(NO_COMMON_VERSION), "tls", false),
        (Action::close(), "closed", true),
        (Action::fin(), "closed", true),
        (Action::reset(), "closed", true),
        (Action::silence(), "timeout", true),
        (Action::reply("\x16\x03\x03\x40").then(Action::silence()), "timeout", true),
    ]
}

/// The handshake failed; a phase with an answer has a time, one without has none.
fn assert_no_handshake(report: &Value, kind: &str, temporary: bool, before: &[&str], open: &[&str]) {
    assert_eq!(failure(report), ("tls", kind, temporary), "{report:#}");
    let answered = kind == "tls";
    let mut names = before.to_vec();
    names.extend(if answered { ["tls"].iter().chain(open) } else { [].iter().chain(open) });
    if !answered {
        names.push("tls");
    }
    assert_eq!(phase_names(report), names, "{report:#}");
    for phase in &report["phases"].as_array().expect("an array")[before.len()..] {
        assert_eq!(phase["ok"], false, "{report:#}");
        assert_eq!(phase["time_ms"].is_number(), answered && phase["name"] == "tls", "{report:#}");
    }
    assert_eq!(report["metrics"].get("tls_time").is_some(), answered, "{report:#}");
    for name in open {
        assert_eq!(report["metrics"].get(format!("{name}_time")), None);
    }
    assert_eq!((&report["tls"], &report["metrics"]["cert_error"]), (&Value::Null, &Value::Null));
    assert!(report["metrics"]["duration"].is_number());
}

#[tokio::test]
async fn a_bad_handshake_after_starttls_fails_as_tls() {
    let app = TestApp::start().await;
    for (act, kind, temporary) in instead_of_hello() {
        let act = Action::reply("220 go\r\n").then(Action::wait_for_client()).then(act);
        let mut check = every_phase();
        check["timeout_ms"] = 4000.into();
        let (report, session) = run_check(&app, Script::compliant().on(Step::StartTls, act), check).await;
        assert_no_handshake(&report, kind, temporary, &ORDER[..4], &[]);
        assert_eq!(report["metrics"]["last_cmd"], "starttls");
        assert_eq!(report["metrics"]["last_code"], 220);
        assert_eq!(session.commands(), ["EHLO noit.local", "STARTTLS"], "nothing goes on in clear");
    }
}

#[tokio::test]
async fn a_bad_implicit_tls_handshake_fails_as_tls() {
    let app = TestApp::start().await;
    for (act, kind, temporary) in instead_of_hello() {
        let script = Script::new().with_greeting(Action::wait_for_client().then(act));
        let (report, _) = run_check(&app, script, json!({"implicit_tls": true, "timeout_ms": 4000})).await;
        assert_no_handshake(&report, kind, temporary, &["connect"], &["banner"]);
        assert_eq!((&report["metrics"]["last_cmd"], &report["metrics"]["last_code"]), (&json!("banner"), &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_text_server_on_a_tls_port_fails_as_tls() {
    const TRIES: usize = 50;
    let app = TestApp::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    // It is chance whether the greeting arrives before our handshake begins, and the report is the same.
    let server = thread::spawn(move || {
        let greet = || {
            let (mut tcp, _) = listener.accept()?;
            tcp.write_all(b"220 mx.test ESMTP\r\n")?;
            let mut received = Vec::new();
            tcp.read_to_end(&mut received).ok();
            io::Result::Ok(received)
        };
        (0..TRIES).map(|_| greet().expect("it accepts and writes")).collect::<Vec<_>>()
    });
    for _ in 0..TRIES {
        let report = app.check(json!({"implicit_tls": true, "port": port})).await;
        assert_no_handshake(&report, "tls", false, &["connect"], &["banner"]);
        assert_eq!(report["failure"]["message"], "the server's answer is not TLS: \"220 mx.test ESMTP\"");
    }
    for received in server.join().expect("no panic") {
        assert!(!received.windows(4).any(|window| window == b"EHLO"), "{received:?}");
    }
}

/// The second piece comes alone, when the client has long read the first one.
fn in_pieces([first, second]: [&str; 2]) -> Action {
    Action::reply(first).then(Action::reply(second).after(Duration::from_millis(20)))
}

/// The greeting is there before the handshake begins, or comes with it: in both cases it is quoted.
#[tokio::test]
async fn an_answer_in_clear_text_to_a_handshake_is_quoted() {
    let app = TestApp::start().await;
    for (greeting, quoted, temporary) in [
        (Action::reply("220-mx.test\r\n220 hello\r\n"), "220-mx.test", false),
        (Action::reply("554 5.3.2 no\r\n"), "554 5.3.2 no", false),
        (in_pieces(["22", "0 mx.test\r\n"]), "220 mx.test", false),
        (Action::wait_for_client().then(in_pieces(["2", "20 mx.test\r\n"])), "220 mx.test", false),
        (Action::wait_for_client().then(in_pieces(["\r\n", "220 mx.test\r\n"])), "220 mx.test", false),
        (Action::wait_for_client().then(Action::reply("220 mx")), "220 mx", false),
        // A server that is busy closes (RFC 5321, section 3.8), some before TLS.
        (Action::reply("421-4.3.2 busy\r\n421 4.3.2 bye\r\n"), "421-4.3.2 busy", true),
        (Action::wait_for_client().then(Action::reply("421 4.3.2 busy\r\n")), "421 4.3.2 busy", true),
        (Action::wait_for_client().then(Action::reply("550 \u{1b}[2J\r\n")), "550 \\u{1b}[2J", false),
    ] {
        let script = Script::new().with_greeting(greeting.then(Action::silence()));
        let (report, _) = run_check(&app, script, json!({"implicit_tls": true})).await;
        assert_eq!(failure(&report), ("tls", "tls", temporary), "{report:#}");
        assert_eq!(report["failure"]["message"], format!("the server's answer is not TLS: \"{quoted}\""));
    }
    let act =
        Action::reply("220 go\r\n").then(Action::wait_for_client()).then(Action::reply("454 4.7.0 no certificate\r\n"));
    let (report, _) = run_check(&app, compliant(&identity()).on(Step::StartTls, act), every_phase()).await;
    assert_eq!(failure(&report), ("tls", "tls", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "the server's answer is not TLS: \"454 4.7.0 no certificate\"");
}

/// Without `implicit_tls`, a server that expects TLS from the first byte is silent, or sends an alert.
#[tokio::test]
async fn clear_text_to_a_server_with_implicit_tls_is_explained() {
    let app = TestApp::start().await;
    let silent = Script::new().with_greeting(Action::silence());
    let (report, _) = run_check(&app, silent, json!({"timeout_ms": 2000})).await;
    assert_eq!(failure(&report), ("banner", "timeout", true), "{report:#}");
    let message = report["failure"]["message"].as_str().expect("a text");
    assert!(message.starts_with("no greeting in time") && message.contains("implicit_tls"), "{message}");
    // The alert unexpected_message ends with the octet that is a line feed in SMTP.
    for alert in [&b"\x15\x03\x03\x00\x02\x02\x50"[..], b"\x15\x03\x01\x00\x02\x02\x0a"] {
        for end in [Action::close(), Action::fin()] {
            let (report, _) =
                run_check(&app, Script::new().with_greeting(Action::reply(alert).then(end)), json!({})).await;
            assert_eq!(failure(&report), ("banner", "protocol", false), "{report:#}");
            let message = report["failure"]["message"].as_str().expect("a text");
            assert!(message.contains("TLS alert") && message.contains("implicit_tls"), "{message}");
        }
    }
}

#[tokio::test]
async fn bytes_injected_after_the_starttls_reply_end_the_check() {
    let app = TestApp::start().await;
    let identity = identity();
    for injected in ["250 injected\r\n", "250-half", "\n", "x"] {
        let act = Action::reply(format!("220 go\r\n{injected}")).then_tls(&identity);
        let (report, session) = run_check(&app, compliant(&identity).on(Step::StartTls, act), every_phase()).await;
        assert_eq!(failure(&report), ("starttls", "protocol", false), "{report:#}");
        assert_eq!(phase_names(&report), ORDER[..4]);
        let starttls = &report["phases"][3];
        assert_eq!((&starttls["ok"], &starttls["code"]), (&json!(false), &json!(220)), "{report:#}");
        assert!(report["metrics"]["starttls_time"].is_number() && report["metrics"].get("tls_time").is_none());
        assert_eq!(session.tls, None, "no handshake was begun");
        assert_eq!(session.commands(), ["EHLO noit.local", "STARTTLS"]);
    }
}

#[tokio::test]
async fn close_notify_between_two_commands_fails_as_closed() {
    let app = TestApp::start().await;
    for end in [Action::close(), Action::fin()] {
        let identity = identity();
        let script =
            Script::compliant().with_implicit_tls(&identity).on(Step::Ehlo, Action::reply("250 mx.test\r\n").then(end));
        let (report, session) = run_check(&app, script, json!({"implicit_tls": true})).await;
        assert_eq!(failure(&report), ("mailfrom", "closed", true), "{report:#}");
        assert_eq!(phase_names(&report), ["connect", "tls", "banner", "ehlo", "mailfrom"]);
        assert!(report["tls"]["version"].is_string() && report["metrics"]["ehlo_time"].is_number());
        assert_eq!(report["capabilities"], json!({"before_tls": null, "after_tls": {}}));
        assert!(!session.has_command("QUIT"));
    }
}

/// `openssl s_server`; killed when dropped.
struct OpensslServer {
    child: Child,
    port: u16,
    _files: TempDir,
}

impl OpensslServer {
    fn start(identity: &Identity, arguments: &[&str]) -> Self {
        let files = TempDir::new();
        identity.write_pem(files.path());
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "chain.pem", "-key", "key.pem"])
            .args(arguments)
            .current_dir(files.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.trim().parse().ok())
            .expect("it listens");
        Self { child, port, _files: files }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn a_server_with_only_tls_1_1_is_reported() {
    let server = OpensslServer::start(&identity(), &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    let report = TestApp::start().await.check(json!({"implicit_tls": true, "port": server.port})).await;
    assert_no_handshake(&report, "tls", false, &["connect"], &["banner"]);
    let message = report["failure"]["message"].as_str().expect("a text");
    assert!(message.contains("too old") && message.contains("TLS 1.2"), "{message}");
}

#[tokio::test]
async fn a_server_that_requires_a_client_certificate_is_reported() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    let arguments = ["-tls1_2", "-Verify", "1"];
    let server = OpensslServer::start(&ca.issue(Leaf::for_name("mx.test")), &arguments);
    let parameters = json!({"implicit_tls": true, "port": server.port, "tls_server_name": "mx.test"});
    let report = app.check(parameters).await;
    assert_eq!(failure(&report), ("tls", "tls", false), "{report:#}");
    let message = report["failure"]["message"].as_str().expect("a text");
    assert!(message.contains("client certificate") && message.contains("handshake_failure"), "{message}");
    let tls = &report["tls"];
    assert_eq!(
        json!([tls["version"], tls["cipher"], tls["verified"], tls["errors"]]),
        json!(["TLSv1.2", null, false, []])
    );
    assert_eq!((&tls["chain"][0]["subject"], &report["metrics"]["cert_error"]), (&json!("CN=mx.test"), &Value::Null));
}

/// In TLS 1.3 the refusal comes after this client has completed the handshake (RFC 8446, section 4.4.2.4).
#[tokio::test]
async fn a_client_certificate_that_tls_1_3_requires_is_reported_in_the_same_words() {
    let ca = Ca::new("Test CA");
    let app = TestApp::builder().trust(&ca).start().await;
    let server = OpensslServer::start(&ca.issue(Leaf::for_name("mx.test")), &["-tls1_3", "-Verify", "1"]);
    let parameters = json!({"implicit_tls": true, "port": server.port, "tls_server_name": "mx.test"});
    let report = app.check(parameters).await;
    assert_eq!(failure(&report), ("banner", "tls", false), "{report:#}");
    let message = report["failure"]["message"].as_str().expect("a text");
    let words = "the server asked for a client certificate, which this client does not have, and refused the TLS \
                 handshake (alert certificate_required)";
    assert_eq!(message, words);
}
