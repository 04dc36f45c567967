//! Graceful shutdown: running checks finish, new ones are rejected, and idle connections do not delay it.

mod under_load;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream as StdTcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smtp_check::http::Ended;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    app::{TestApp, TestResponse},
    program::{ServiceProcess, WAIT_TIMEOUT, program, status_and_json},
    smtpd::{Action, End, Gate, Script, SmtpServer, Step},
};

fn check(port: u16, timeout_ms: u64) -> Value {
    json!({"to": "a@example.test", "target": "127.0.0.1", "port": port, "timeout_ms": timeout_ms})
}

fn assert_shutting_down(answer: &TestResponse) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["type"], "urn:smtp-check:problem:shutting-down");
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

/// The rest of a response, until the service closes the connection.
async fn answer_on(mut caller: TcpStream) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(WAIT_TIMEOUT, caller.read_to_string(&mut answer)).await;
    read.expect("in time").expect("closed in good order");
    answer
}

#[tokio::test]
async fn running_checks_finish_while_new_ones_are_rejected() {
    let mut app = TestApp::start().await;
    let gate = Gate::default();
    let slow = SmtpServer::serve(
        Script::compliant().with_greeting(Action::from("220 mx.example.test ESMTP\r\n").after_gate(&gate)),
    );
    let quick = SmtpServer::serve(Script::compliant());
    let running = app.start_check(check(slow.port(), 30_000)).await;
    slow.wait_for_open(1).await;
    assert_eq!(app.get("/readyz").await.status, 200);

    app.shut_down();
    app.lifecycle.draining().await;
    assert_shutting_down(&app.get("/readyz").await);
    assert_shutting_down(&app.post(&check(quick.port(), 1000)).await);
    for path in ["/healthz", "/version", "/openapi.json"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    // Other errors are still reported; none of this ends the shutdown.
    assert_eq!(app.get("/nothing").await.status, 404);
    assert_eq!(app.lifecycle.running(), 1, "all of this while the check was running");

    gate.open();
    let (status, report) = status_and_json(&answer_on(running).await);
    assert_eq!(
        (status, &report["outcome"], report["phases"].as_array().map(Vec::len)),
        (200, &json!("delivered"), Some(8))
    );
    assert_eq!(slow.next_session().await.end, End::Quit);
    assert_eq!(quick.connections(), 0);
    assert_eq!(app.join().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn an_idle_service_ends_at_once() {
    let mut app = TestApp::builder().shutdown_grace(Duration::from_secs(3600)).start().await;
    let server = SmtpServer::serve(Script::compliant());
    assert_eq!(app.post(&check(server.port(), 5000)).await.status, 200);
    let mut idle = TcpStream::connect(app.addr()).await.expect("a connection");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    while idle.read_u8().await.expect("an answer") != b'}' {}
    app.shut_down();
    assert_eq!(app.join().await, Ended::Drained { unread: 0 });
    assert_eq!(answer_on(idle).await, "", "it kept nobody, and was closed");
}

#[tokio::test]
async fn a_check_longer_than_shutdown_grace_is_aborted() {
    let mut app = TestApp::builder().shutdown_grace(Duration::from_millis(300)).start().await;
    let silent = SmtpServer::serve(Script::compliant().on(Step::MailFrom, Action::silence()));
    let running = app.start_check(check(silent.port(), 60_000)).await;
    silent.wait_for_open(1).await;
    app.shut_down();
    assert_eq!(app.join().await, Ended::Aborted { checks: 1, connections: 1 });
    assert_eq!(answer_on(running).await, "");
    assert!(matches!(silent.next_session().await.end, End::Eof | End::Reset));
}

#[tokio::test]
async fn disconnected_checks_do_not_delay_shutdown() {
    let mut app = TestApp::start().await;
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let running = app.start_check(check(silent.port(), 60_000)).await;
    silent.wait_for_open(1).await;
    app.shut_down();
    app.lifecycle.draining().await;
    drop(running);
    assert_eq!(app.join().await, Ended::Drained { unread: 0 });
}

/// A mail server that continues only when told to.
struct Slow(TcpListener);

impl Slow {
    fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The next client; no greeting was sent.
    fn client(&self) -> StdTcpStream {
        let (client, _) = self.0.accept().expect("a client");
        client.set_read_timeout(Some(WAIT_TIMEOUT)).expect("settable");
        client
    }
}

fn started(grace: &str) -> ServiceProcess {
    ServiceProcess::start(program(&["serve", "--listen", "127.0.0.1:0", "--shutdown-grace", grace]))
}

fn read_all(mut caller: StdTcpStream) -> String {
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("closed in good order");
    answer
}

#[test]
fn sigterm_lets_running_checks_finish_and_exits_with_code_0() {
    for signal in ["TERM", "INT"] {
        let (served, slow) = (started("1m"), Slow::bind());
        let mut parameters = check(slow.port(), 50_000);
        parameters["stop_after"] = json!("banner");
        let running = served.start_check("", &parameters);
        let mut client = slow.client();

        served.signal(signal);
        assert_eq!(served.wait_for_log("shutting down")["running"], 1);
        // The log line comes a moment before the state changes.
        let deadline = Instant::now() + WAIT_TIMEOUT;
        while status_and_json(&served.get("/readyz", "")).0 == 200 {
            assert!(Instant::now() < deadline, "still ready");
            thread::sleep(Duration::from_millis(5));
        }
        let (status, problem) = served.post("", &check(slow.port(), 1000));
        assert_eq!((status, &problem["type"]), (503, &json!("urn:smtp-check:problem:shutting-down")));
        assert!(served.get("/readyz", "").to_ascii_lowercase().contains("\r\nretry-after: "));
        assert_eq!(status_and_json(&served.get("/healthz", "")), (200, json!({"status": "ok"})));

        client.write_all(b"220 mx.example.test ESMTP\r\n").expect("sent");
        let mut quit = [0; 6];
        client.read_exact(&mut quit).expect("QUIT");
        client.write_all(b"221 bye\r\n").expect("sent");
        let (status, report) = status_and_json(&read_all(running));
        assert_eq!(
            (status, &report["outcome"], &report["phases"][2]["name"]),
            (200, &json!("completed"), &json!("quit"))
        );
        assert_eq!(served.end(), 0, "{signal}");
    }
}

#[test]
fn shutdown_after_the_grace_exits_with_code_1() {
    let (served, slow) = (started("200ms"), Slow::bind());
    let running = served.start_check("", &check(slow.port(), 50_000));
    let client = slow.client();
    served.signal("TERM");
    assert_eq!(read_all(running), "");
    assert_eq!(read_all(client), "");
    served.wait_for_log("stopped: cut off 1 running checks");
    assert_eq!(served.end(), 1);
}

#[test]
fn a_second_signal_aborts_the_check() {
    let (served, slow) = (started("1h"), Slow::bind());
    let running = served.start_check("", &check(slow.port(), 50_000));
    let client = slow.client();
    served.signal("TERM");
    served.wait_for_log("shutting down");
    served.signal("TERM");
    assert_eq!(served.end(), 1);
    drop((running, client));
}
