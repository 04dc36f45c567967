//! The end of the service: running checks finish, new ones are sent elsewhere, and nobody waits for nothing.

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

use super::support::{
    app::{Answer, App, House},
    program::{PATIENCE, Served, parts, program},
    smtpd::{Act, End, Gate, Script, Smtpd, Step},
};

fn check(port: u16, timeout_ms: u64) -> Value {
    json!({"to": "a@example.test", "target": "127.0.0.1", "port": port, "timeout_ms": timeout_ms})
}

fn assert_shutting_down(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["type"], "urn:smtp-check:problem:shutting-down");
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

/// The rest of an answer, until the service closes the connection.
async fn answer_on(mut caller: TcpStream) -> String {
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, caller.read_to_string(&mut answer)).await;
    read.expect("in time").expect("closed in good order");
    answer
}

#[tokio::test]
async fn running_checks_finish_while_new_ones_are_refused() {
    let mut app = App::start().await;
    let gate = Gate::default();
    let slow = Smtpd::serve(Script::polite().greets(Act::from("220 mx.example.test ESMTP\r\n").behind(&gate)));
    let quick = Smtpd::serve(Script::polite());
    let running = app.hold(&check(slow.port(), 30_000)).await;
    slow.connected(1).await;
    assert_eq!(app.get("/readyz").await.status, 200);

    app.terminate();
    app.lifecycle.draining().await;
    assert_shutting_down(&app.get("/readyz").await);
    assert_shutting_down(&app.post(&check(quick.port(), 1000)).await);
    for path in ["/healthz", "/version", "/openapi.json"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    // What is wrong with a check is told while there is time; none of this ends the drain.
    assert_eq!(app.get("/nothing").await.status, 404);
    assert_eq!(app.lifecycle.running(), 1, "all of this while the check was running");

    gate.open();
    let (status, report) = parts(&answer_on(running).await);
    assert_eq!(
        (status, &report["outcome"], report["phases"].as_array().map(Vec::len)),
        (200, &json!("delivered"), Some(8))
    );
    assert_eq!(slow.next_session().await.end, End::Quit);
    assert_eq!(quick.connections(), 0);
    assert_eq!(app.ended().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn an_idle_service_ends_at_once() {
    let mut house = House::default();
    house.server.shutdown_grace = Duration::from_secs(3600);
    let mut app = house.open().await;
    let server = Smtpd::serve(Script::polite());
    assert_eq!(app.post(&check(server.port(), 5000)).await.status, 200);
    let mut idle = TcpStream::connect(app.addr()).await.expect("a connection");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    while idle.read_u8().await.expect("an answer") != b'}' {}
    app.terminate();
    assert_eq!(app.ended().await, Ended::Drained { unread: 0 });
    assert_eq!(answer_on(idle).await, "", "it kept nobody, and was closed");
}

#[tokio::test]
async fn a_check_that_outlasts_the_grace_is_cut_and_its_server_let_go() {
    let mut house = House::default();
    house.server.shutdown_grace = Duration::from_millis(300);
    let mut app = house.open().await;
    let silent = Smtpd::serve(Script::polite().on(Step::MailFrom, Act::silence()));
    let running = app.hold(&check(silent.port(), 60_000)).await;
    silent.connected(1).await;
    app.terminate();
    assert_eq!(app.ended().await, Ended::Aborted { checks: 1, connections: 1 });
    assert_eq!(answer_on(running).await, "");
    assert!(matches!(silent.next_session().await.end, End::Eof | End::Reset));
}

#[tokio::test]
async fn a_check_whose_caller_has_gone_keeps_nobody() {
    let mut app = App::start().await;
    let silent = Smtpd::serve(Script::new().greets(Act::silence()));
    let running = app.hold(&check(silent.port(), 60_000)).await;
    silent.connected(1).await;
    app.terminate();
    app.lifecycle.draining().await;
    drop(running);
    assert_eq!(app.ended().await, Ended::Drained { unread: 0 });
}

/// A mail server by hand, which goes on only when told.
struct Slow(TcpListener);

impl Slow {
    fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The next client; it has had no greeting.
    fn client(&self) -> StdTcpStream {
        let (client, _) = self.0.accept().expect("a client");
        client.set_read_timeout(Some(PATIENCE)).expect("settable");
        client
    }
}

fn started(grace: &str) -> Served {
    Served::start(program(&["serve", "--listen", "127.0.0.1:0", "--shutdown-grace", grace]))
}

fn read_all(mut caller: StdTcpStream) -> String {
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("closed in good order");
    answer
}

#[test]
fn sigterm_lets_running_checks_finish_and_ends_with_code_0() {
    for signal in ["TERM", "INT"] {
        let (served, slow) = (started("1m"), Slow::bind());
        let mut parameters = check(slow.port(), 50_000);
        parameters["stop_after"] = json!("banner");
        let running = served.begin("", &parameters);
        let mut client = slow.client();

        served.signal(signal);
        assert_eq!(served.logged("shutting down")["running"], 1);
        // The log line comes a moment before the state.
        let deadline = Instant::now() + PATIENCE;
        while parts(&served.get("/readyz", "")).0 == 200 {
            assert!(Instant::now() < deadline, "still ready");
            thread::sleep(Duration::from_millis(5));
        }
        let (status, problem) = served.post("", &check(slow.port(), 1000));
        assert_eq!((status, &problem["type"]), (503, &json!("urn:smtp-check:problem:shutting-down")));
        assert!(served.get("/readyz", "").to_ascii_lowercase().contains("\r\nretry-after: "));
        assert_eq!(parts(&served.get("/healthz", "")), (200, json!({"status": "ok"})));

        client.write_all(b"220 mx.example.test ESMTP\r\n").expect("sent");
        let mut quit = [0; 6];
        client.read_exact(&mut quit).expect("QUIT");
        client.write_all(b"221 bye\r\n").expect("sent");
        let (status, report) = parts(&read_all(running));
        assert_eq!(
            (status, &report["outcome"], &report["phases"][2]["name"]),
            (200, &json!("completed"), &json!("quit"))
        );
        assert_eq!(served.end(), 0, "{signal}");
    }
}

#[test]
fn a_grace_that_is_over_ends_with_code_1() {
    let (served, slow) = (started("200ms"), Slow::bind());
    let running = served.begin("", &check(slow.port(), 50_000));
    let client = slow.client();
    served.signal("TERM");
    assert_eq!(read_all(running), "");
    assert_eq!(read_all(client), "");
    served.logged("stopped: cut off 1 running checks");
    assert_eq!(served.end(), 1);
}

#[test]
fn a_second_signal_is_not_waited_for() {
    let (served, slow) = (started("1h"), Slow::bind());
    let running = served.begin("", &check(slow.port(), 50_000));
    let client = slow.client();
    served.signal("TERM");
    served.logged("shutting down");
    served.signal("TERM");
    assert_eq!(served.end(), 1);
    drop((running, client));
}
