//! The loop with real sockets: callers that are slow, silent, gone or greedy, and the end of the service.

mod http2;
mod panics;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    middleware::from_fn,
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
    AppState, BodyLimits, JsonObject, middleware::reserved_slot::turn_away, problem::Problem, tests::app_state,
};

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The bounds under test: long enough for a busy machine, short enough to wait for.
const BOUND: Duration = Duration::from_millis(400);
/// Larger than the buffers of both sockets together.
const LARGE: usize = 32 * 1024 * 1024;

#[derive(Clone)]
struct Bench {
    lifecycle: Lifecycle,
    events: mpsc::UnboundedSender<&'static str>,
    may_finish: Arc<Semaphore>,
}

/// Tells when it is dropped.
struct LiveEvent(mpsc::UnboundedSender<&'static str>);

impl Drop for LiveEvent {
    fn drop(&mut self) {
        self.0.send("dropped").ok();
    }
}

/// A check that runs until the test lets it finish, and tells when it begins and when it is dropped.
async fn check(bench: State<Bench>) -> Result<&'static str, Problem> {
    let _running = bench.lifecycle.begin().ok_or_else(Problem::shutting_down)?;
    let _told = LiveEvent(bench.events.clone());
    bench.events.send("begun").ok();
    bench.may_finish.acquire().await.expect("never closed").forget();
    Ok("finished")
}

/// An answer of [`LARGE`], which tells when it is dropped.
async fn large(bench: State<Bench>) -> Body {
    struct Large(Vec<u8>, #[expect(dead_code, reason = "it tells when it is dropped")] LiveEvent);
    impl AsRef<[u8]> for Large {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Body::from(Bytes::from_owner(Large(vec![b'x'; LARGE], LiveEvent(bench.events.clone()))))
}

struct Service {
    address: SocketAddr,
    bench: Bench,
    events: mpsc::UnboundedReceiver<&'static str>,
    shutdown: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

async fn start(settings: ServerSettings) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (events, seen) = mpsc::unbounded_channel();
    let bench = Bench { lifecycle: Lifecycle::default(), events, may_finish: Arc::new(Semaphore::new(0)) };
    let limits = BodyLimits::new(1000, BOUND, 100);
    let echo = post(|JsonObject(_): JsonObject| async { "read" }).with_state(Arc::new(AppState {
        lifecycle: bench.lifecycle.clone(),
        body_limits: limits,
        ..app_state()
    }));
    let router = Router::new()
        .route("/check", get(check).post(check))
        .route("/quick", get(|| async { "quick" }))
        .route("/healthz", get(|| async { "alive" }))
        .route("/large", get(large))
        .with_state(bench.clone())
        .route("/echo", echo)
        .layer(from_fn(turn_away));
    let (shutdown, told) = oneshot::channel::<()>();
    let told = async { told.await.unwrap_or_default() };
    let ended = tokio::spawn(serve(listener, router, bench.lifecycle.clone(), told, settings));
    Service { address, bench, events: seen, shutdown: Some(shutdown), ended }
}

fn generous() -> ServerSettings {
    ServerSettings {
        identity: None,
        max_connections: 100,
        header_timeout: PATIENCE * 2,
        body_timeout: PATIENCE * 2,
        shutdown_grace: PATIENCE * 2,
        last_answers: PATIENCE * 2,
    }
}

fn strict() -> ServerSettings {
    ServerSettings { header_timeout: BOUND, body_timeout: BOUND, ..generous() }
}

impl Service {
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).await.expect("the listener is open");
        caller.write_all(bytes).await.expect("sent");
        caller
    }

    async fn event(&mut self) -> &'static str {
        timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("the service lives")
    }

    /// Tells the service to end.
    fn stop(&mut self) {
        let shutdown = self.shutdown.take().expect("told once");
        shutdown.send(()).expect("the service listens");
    }

    async fn end(self) -> Ended {
        timeout(PATIENCE, self.ended).await.expect("in time").expect("no panic")
    }
}

const CHECK: &[u8] = b"GET /check HTTP/1.1\r\nHost: x\r\n\r\n";
const QUICK: &[u8] = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n";

/// Everything until the service closes the connection.
async fn rest(caller: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(PATIENCE, caller.read_to_end(&mut text)).await.expect("in time").expect("closed in good order");
    String::from_utf8_lossy(&text).into_owned()
}

/// What there is, until it ends as given.
async fn until(caller: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        timeout(PATIENCE, caller.read_exact(&mut byte)).await.expect("in time").expect("more to read");
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
        assert!(begun.elapsed() >= BOUND, "{beginning:?} after {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_header_that_trickles_is_closed_all_the_same() {
    let service = start(strict()).await;
    let (mut reading, mut writing) = service.send(b"GET /quick HTTP/1.1\r\n").await.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"X").await.is_ok() {
            tokio::time::sleep(BOUND / 10).await
        }
    });
    let mut nothing = Vec::new();
    // The caller writes on, so the end may reach it as a reset.
    timeout(PATIENCE, reading.read_to_end(&mut nothing)).await.expect("in time").ok();
    assert!(nothing.is_empty());
    trickle.await.expect("the writer failed at last");
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_while_and_closed() {
    let service = start(strict()).await;
    let mut caller = service.send(QUICK).await;
    until(&mut caller, "quick").await;
    caller.write_all(QUICK).await.expect("kept alive");
    until(&mut caller, "quick").await;
    let begun = Instant::now();
    assert_eq!(rest(&mut caller).await, "");
    assert!(begun.elapsed() >= BOUND / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_check_may_take_longer_than_the_bounds_on_callers() {
    let mut service = start(strict()).await;
    let mut caller = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    tokio::time::sleep(BOUND * 2).await;
    service.bench.may_finish.add_permits(1);
    until(&mut caller, "finished").await;
}

#[tokio::test]
async fn a_slow_body_is_answered_and_closed() {
    let service = start(strict()).await;
    let head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{";
    let mut caller = service.send(head).await;
    let answer = rest(&mut caller).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("urn:smtp-check:problem:request-timeout"), "{answer}");
}

#[tokio::test]
async fn a_refused_upload_gets_to_read_why() {
    let service = start(generous()).await;
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LARGE}\r\n\r\n");
    let mut caller = service.send(head.as_bytes()).await;
    // The whole upload first, as simple callers do.
    caller.write_all(&vec![b' '; LARGE]).await.expect("the service reads on");
    assert!(until(&mut caller, "}").await.contains("urn:smtp-check:problem:payload-too-large"));
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_closed() {
    let mut service = start(strict()).await;
    let begun = Instant::now();
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(service.event().await, "dropped");
    assert!(begun.elapsed() >= BOUND, "{:?}", begun.elapsed());
    let mut answer = Vec::new();
    timeout(PATIENCE, caller.read_to_end(&mut answer)).await.expect("in time").ok();
    assert!(answer.len() < LARGE, "cut after {} bytes", answer.len());
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
    assert_eq!(service.bench.lifecycle.running(), 0);
}

#[tokio::test]
async fn the_longest_idle_connection_gives_way_to_a_new_one() {
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
async fn a_service_full_of_checks_is_still_seen_to_be_alive() {
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
        timeout(PATIENCE, caller.read_to_end(&mut nothing)).await.expect("in time").ok();
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

    let lifecycle = service.bench.lifecycle.clone();
    service.stop();
    timeout(PATIENCE, lifecycle.draining()).await.expect("in time");
    let mut new = service.send(CHECK).await;
    kept_alive.write_all(CHECK).await.expect("still open");
    for late in [&mut new, &mut kept_alive] {
        let answer = until(late, "}").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("shutting-down"), "{answer}");
    }
    assert!(!service.ended.is_finished());

    service.bench.may_finish.add_permits(2);
    for running in [&mut first, &mut second] {
        let answer = rest(running).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("finished"), "{answer}");
    }
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn an_answer_is_written_to_its_end() {
    let mut service = start(generous()).await;
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut caller, "\r\n\r\n").await;
    service.stop();
    timeout(PATIENCE, service.bench.lifecycle.draining()).await.expect("in time");
    assert_eq!(rest(&mut caller).await.len(), LARGE);
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
}

#[tokio::test]
async fn a_caller_that_takes_no_answer_does_not_keep_an_idle_service() {
    let mut service = start(ServerSettings { last_answers: BOUND, ..generous() }).await;
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut caller, "\r\n\r\n").await;
    service.stop();
    assert_eq!(service.end().await, Ended::Drained { unread: 1 });
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut() {
    let mut service = start(ServerSettings { shutdown_grace: BOUND, ..generous() }).await;
    let mut caller = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    service.stop();
    assert_eq!(service.event().await, "dropped");
    assert_eq!(rest(&mut caller).await, "");
    assert_eq!(service.end().await, Ended::Aborted { checks: 1, connections: 1 });
}

#[test]
fn only_errors_about_the_next_connection_too_make_a_pause() {
    for (error, of_one) in [
        (io::Error::from_raw_os_error(nix::libc::ECONNABORTED), true),
        (io::Error::from_raw_os_error(nix::libc::ECONNRESET), true),
        (io::Error::from_raw_os_error(nix::libc::EMFILE), false),
        (io::Error::from_raw_os_error(nix::libc::ENFILE), false),
        (io::Error::from_raw_os_error(nix::libc::ENOBUFS), false),
    ] {
        assert_eq!(is_of_one_connection(&error), of_one, "{error}");
    }
}
