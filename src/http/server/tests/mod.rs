//! The server loop with real sockets: callers that are slow, silent or gone, a limit that is reached, the shutdown.

mod http2;
mod panics;
mod stalled;
mod unread;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::http::{
    AppState, BodyLimits, JsonObject,
    middleware::{reserved_slot, stack::Stack},
    problem::Problem,
    tests::app_state,
};

/// Far longer than any test takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout under test: long enough for a busy machine, short enough to wait for.
const CALLER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes: more than the buffers of both sockets hold.
const LARGE_SIZE: usize = 32 * 1024 * 1024;

#[derive(Clone)]
struct TestState {
    lifecycle: Lifecycle,
    events: mpsc::UnboundedSender<&'static str>,
    may_finish: Arc<Semaphore>,
}

/// Sends an event when it is dropped.
struct DropSignal(mpsc::UnboundedSender<&'static str>);

impl Drop for DropSignal {
    fn drop(&mut self) {
        self.0.send("dropped").ok();
    }
}

/// A check that runs until the test lets it finish. Sends an event when it begins and when it is dropped.
async fn check(state: State<TestState>) -> Result<&'static str, Problem> {
    let _running = state.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let _signal = DropSignal(state.events.clone());
    state.events.send("begun").ok();
    state.may_finish.acquire().await.expect("never closed").forget();
    Ok("finished")
}

/// A response of [`LARGE_SIZE`], which sends an event when it is dropped.
async fn large(state: State<TestState>) -> Body {
    struct Large(Vec<u8>, #[expect(dead_code, reason = "sends an event when it is dropped")] DropSignal);
    impl AsRef<[u8]> for Large {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Body::from(Bytes::from_owner(Large(vec![b'x'; LARGE_SIZE], DropSignal(state.events.clone()))))
}

struct Service {
    address: SocketAddr,
    state: TestState,
    events: mpsc::UnboundedReceiver<&'static str>,
    shutdown: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

async fn start(settings: ServerSettings) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (events, seen) = mpsc::unbounded_channel();
    let state = TestState { lifecycle: Lifecycle::default(), events, may_finish: Arc::new(Semaphore::new(0)) };
    let limits = BodyLimits::new(1000, CALLER_TIMEOUT, settings.budget.clone());
    let echo = post(|JsonObject(_): JsonObject| async { "read" }).with_state(Arc::new(AppState {
        lifecycle: state.lifecycle.clone(),
        body_limits: limits,
        ..app_state()
    }));
    let router = Router::new()
        .route("/check", get(check).post(check))
        .route("/quick", get(|| async { "quick" }))
        .route("/healthz", get(|| async { "alive" }))
        .route("/large", get(large))
        .with_state(state.clone())
        .route("/echo", echo);
    let router = Router::new().fallback_service(Stack::new(router).layer(reserved_slot::refuse));
    let (shutdown, requested) = oneshot::channel::<()>();
    let requested = async { requested.await.unwrap_or_default() };
    let ended = tokio::spawn(serve(listener, router, state.lifecycle.clone(), requested, settings));
    Service { address, state, events: seen, shutdown: Some(shutdown), ended }
}

fn generous() -> ServerSettings {
    ServerSettings {
        identity: None,
        max_connections: 100,
        reserved_connections: 32,
        header_timeout: TEST_TIMEOUT * 2,
        body_timeout: TEST_TIMEOUT * 2,
        budget: ByteBudget::new(100, LARGE_SIZE),
        shutdown_grace: TEST_TIMEOUT * 2,
        last_response_timeout: TEST_TIMEOUT * 2,
    }
}

fn strict() -> ServerSettings {
    ServerSettings { header_timeout: CALLER_TIMEOUT, body_timeout: CALLER_TIMEOUT, ..generous() }
}

impl Service {
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).await.expect("the listener is open");
        caller.write_all(bytes).await.expect("sent");
        caller
    }

    async fn event(&mut self) -> &'static str {
        timeout(TEST_TIMEOUT, self.events.recv()).await.expect("in time").expect("the service runs")
    }

    /// Begins the shutdown.
    fn stop(&mut self) {
        let shutdown = self.shutdown.take().expect("stopped once");
        shutdown.send(()).expect("the service listens");
    }

    async fn end(self) -> Ended {
        timeout(TEST_TIMEOUT, self.ended).await.expect("in time").expect("no panic")
    }
}

const CHECK: &[u8] = b"GET /check HTTP/1.1\r\nHost: x\r\n\r\n";
const QUICK: &[u8] = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n";

/// Everything until the service closes the connection.
async fn rest(caller: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(TEST_TIMEOUT, caller.read_to_end(&mut text)).await.expect("in time").expect("closed without a reset");
    String::from_utf8_lossy(&text).into_owned()
}

/// What the service sends, until it ends as given.
async fn until(caller: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        timeout(TEST_TIMEOUT, caller.read_exact(&mut byte)).await.expect("in time").expect("more to read");
        text.push(char::from(byte[0]));
    }
    text
}

#[tokio::test]
async fn a_caller_that_does_not_finish_its_header_is_closed() {
    let service = start(strict()).await;
    for beginning in
        [&b""[..], b"GET /quick HTTP/1.1\r\nHost:", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let begun = Instant::now();
        let mut caller = service.send(beginning).await;
        rest(&mut caller).await;
        assert!(begun.elapsed() >= CALLER_TIMEOUT, "{beginning:?} after {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_header_that_trickles_times_out() {
    let service = start(strict()).await;
    let (mut reading, mut writing) = service.send(b"GET /quick HTTP/1.1\r\n").await.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"X").await.is_ok() {
            tokio::time::sleep(CALLER_TIMEOUT / 10).await
        }
    });
    let mut nothing = Vec::new();
    // The caller writes on, so the end may reach it as a reset.
    timeout(TEST_TIMEOUT, reading.read_to_end(&mut nothing)).await.expect("in time").ok();
    assert!(nothing.is_empty());
    trickle.await.expect("the writer failed at last");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_header_timeout() {
    let service = start(strict()).await;
    let mut caller = service.send(QUICK).await;
    until(&mut caller, "quick").await;
    caller.write_all(QUICK).await.expect("kept alive");
    until(&mut caller, "quick").await;
    let begun = Instant::now();
    assert_eq!(rest(&mut caller).await, "");
    assert!(begun.elapsed() >= CALLER_TIMEOUT / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_check_may_take_longer_than_the_timeouts_of_callers() {
    let mut service = start(strict()).await;
    let mut caller = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    tokio::time::sleep(CALLER_TIMEOUT * 2).await;
    service.state.may_finish.add_permits(1);
    until(&mut caller, "finished").await;
}

#[tokio::test]
async fn a_slow_body_gets_408_and_is_closed() {
    let service = start(strict()).await;
    let head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{";
    let mut caller = service.send(head).await;
    let answer = rest(&mut caller).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("urn:smtp-check:problem:request-timeout"), "{answer}");
}

#[tokio::test]
async fn a_refused_upload_receives_the_response() {
    let service = start(generous()).await;
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LARGE_SIZE}\r\n\r\n"
    );
    let mut caller = service.send(head.as_bytes()).await;
    // The whole upload first, as simple callers do.
    caller.write_all(&vec![b' '; LARGE_SIZE]).await.expect("the service reads on");
    assert!(until(&mut caller, "}").await.contains("urn:smtp-check:problem:payload-too-large"));
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_closed() {
    let mut service = start(strict()).await;
    let begun = Instant::now();
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(service.event().await, "dropped");
    assert!(begun.elapsed() >= CALLER_TIMEOUT, "{:?}", begun.elapsed());
    let mut answer = Vec::new();
    timeout(TEST_TIMEOUT, caller.read_to_end(&mut answer)).await.expect("in time").ok();
    assert!(answer.len() < LARGE_SIZE, "cut after {} bytes", answer.len());
}

#[tokio::test]
async fn an_endless_header_is_refused() {
    let service = start(generous()).await;
    let mut caller = service.send(b"GET /quick HTTP/1.1\r\nX: ").await;
    caller.write_all(&vec![b'x'; 100 * 1024]).await.ok();
    assert!(until(&mut caller, "\r\n").await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_its_check() {
    let mut service = start(generous()).await;
    let body = b"POST /check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    for request in [CHECK, body] {
        let caller = service.send(request).await;
        assert_eq!(service.event().await, "begun");
        drop(caller);
        assert_eq!(service.event().await, "dropped");
    }
    assert_eq!(service.state.lifecycle.running(), 0);
}

#[tokio::test]
async fn what_lies_behind_a_running_request_costs_no_response() {
    let mut service = start(generous()).await;
    let mut caller = service.send(&[CHECK, &QUICK.repeat(20_000)].concat()).await;
    assert_eq!(service.event().await, "begun");
    service.state.may_finish.add_permits(1);
    // Requests beyond the read-ahead are dropped, so the connection ends with the response.
    let answer = until(&mut caller, "finished").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_request_after_connection_close_is_not_run() {
    let mut service = start(generous()).await;
    let last = b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut caller = service.send(&[last, CHECK].concat()).await;
    assert!(until(&mut caller, "quick").await.contains("connection: close"));
    caller.shutdown().await.expect("open");
    assert_eq!(rest(&mut caller).await, "");
    timeout(TEST_TIMEOUT, service.state.lifecycle.idle()).await.expect("in time");
    assert!(service.events.try_recv().is_err(), "the check was not begun");
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let service = start(ServerSettings { max_connections: 2, ..generous() }).await;
    let mut first = service.send(QUICK).await;
    until(&mut first, "quick").await;
    let mut second = service.send(QUICK).await;
    until(&mut second, "quick").await;
    let mut third = service.send(QUICK).await;
    until(&mut third, "quick").await;
    assert_eq!(rest(&mut first).await, "", "closed");
    second.write_all(QUICK).await.expect("open");
    until(&mut second, "quick").await;
}

#[tokio::test]
async fn a_full_service_still_answers_healthz() {
    let mut service = start(ServerSettings { max_connections: 2, ..generous() }).await;
    let busy = [service.send(CHECK).await, service.send(CHECK).await];
    assert_eq!((service.event().await, service.event().await), ("begun", "begun"));
    let mut refused = service.send(QUICK).await;
    let answer = rest(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("urn:smtp-check:problem:overloaded"), "{answer}");
    let mut probe = service.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut probe, "alive").await;
    drop(busy);
}

#[tokio::test]
async fn an_idle_service_ends_at_once() {
    let mut service = start(generous()).await;
    let mut kept_alive = service.send(QUICK).await;
    until(&mut kept_alive, "quick").await;
    let mut silent = service.send(b"").await;
    let mut halfway = service.send(b"GET /quick HT").await;
    let mut uploading = service
        .send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
        .await;
    until(&mut uploading, "100 Continue\r\n\r\n").await;

    let address = service.address;
    service.stop();
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
    for caller in [&mut kept_alive, &mut silent, &mut halfway] {
        // Unread bytes make the system reset the connection instead of closing it.
        let mut nothing = Vec::new();
        timeout(TEST_TIMEOUT, caller.read_to_end(&mut nothing)).await.expect("in time").ok();
        assert!(nothing.is_empty());
    }
    assert!(rest(&mut uploading).await.contains("urn:smtp-check:problem:shutting-down"));
    assert!(TcpStream::connect(address).await.is_err(), "the port is free");
}

#[tokio::test]
async fn running_checks_finish_and_new_ones_are_refused() {
    let mut service = start(generous()).await;
    let mut first = service.send(CHECK).await;
    let mut second = service.send(CHECK).await;
    assert_eq!((service.event().await, service.event().await), ("begun", "begun"));
    let mut kept_alive = service.send(QUICK).await;
    until(&mut kept_alive, "quick").await;

    let lifecycle = service.state.lifecycle.clone();
    service.stop();
    timeout(TEST_TIMEOUT, lifecycle.draining()).await.expect("in time");
    let mut new = service.send(CHECK).await;
    kept_alive.write_all(CHECK).await.expect("still open");
    for late in [&mut new, &mut kept_alive] {
        let answer = until(late, "}").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("shutting-down"), "{answer}");
    }
    assert!(!service.ended.is_finished());

    service.state.may_finish.add_permits(2);
    for running in [&mut first, &mut second] {
        let answer = rest(running).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("finished"), "{answer}");
    }
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn a_response_is_written_to_its_end_while_draining() {
    let mut service = start(generous()).await;
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut caller, "\r\n\r\n").await;
    service.stop();
    timeout(TEST_TIMEOUT, service.state.lifecycle.draining()).await.expect("in time");
    assert_eq!(rest(&mut caller).await.len(), LARGE_SIZE);
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn checks_are_cut_off_when_the_grace_is_over() {
    let mut service = start(ServerSettings { shutdown_grace: CALLER_TIMEOUT, ..generous() }).await;
    let mut caller = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    service.stop();
    assert_eq!(service.event().await, "dropped");
    assert_eq!(rest(&mut caller).await, "");
    assert_eq!(service.end().await, Ended::Aborted { checks: 1, connections: 1 });
}
