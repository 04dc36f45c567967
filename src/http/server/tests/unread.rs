//! Responses that callers do not take: each holds its bytes of the budget until it is taken, or until its stream or its
//! connection is gone.

use super::{
    http2::{get_on, reset},
    *,
};
use crate::http::{AccessConfig, BodyLimits, router, tests::app_with_reports};

const PROBE: &str = "/probe?target=127.0.0.1";
/// The exposition of a report has more bytes.
const MIN_SIZE: usize = 1000;

/// The preface, and SETTINGS_INITIAL_WINDOW_SIZE.
fn with_window(size: u8) -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0"[..], &[size]].concat()
}

/// A service whose checks end at once with a report.
struct Reports {
    address: SocketAddr,
    budget: ByteBudget,
}

impl Reports {
    async fn start(budget: ByteBudget) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let body_limits = BodyLimits::new(LARGE_SIZE, TEST_TIMEOUT, budget.clone());
        let state = AppState { budget: budget.clone(), body_limits, ..app_with_reports() };
        let lifecycle = state.lifecycle.clone();
        let router = router(state, AccessConfig::default()).expect("a document");
        let settings = ServerSettings { budget: budget.clone(), ..generous() };
        tokio::spawn(serve(listener, router, lifecycle, std::future::pending(), settings));
        Self { address, budget }
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).await.expect("the listener is open");
        caller.write_all(bytes).await.expect("sent");
        caller
    }

    /// A caller over HTTP/2 that has the head of the response, and of the body only what its window allows.
    async fn unread(&self, window: u8) -> TcpStream {
        let mut caller = self.send(&[with_window(window), get_on(1, PROBE)].concat()).await;
        // The frame HEADERS of the response has END_HEADERS only; a frame DATA of one byte follows where it may.
        until(&mut caller, if window == 0 { "\x01\x04\0\0\0\x01" } else { "\0\0\x01\0\0\0\0\0\x01" }).await;
        caller
    }

    async fn holds(&self, is_expected: impl Fn(usize) -> bool) {
        let settled = async {
            while !is_expected(self.budget.held()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TEST_TIMEOUT, settled).await.unwrap_or_else(|_| panic!("{} bytes are held", self.budget.held()));
    }

    async fn status(&self) -> String {
        self.status_of(PROBE).await
    }

    async fn status_of(&self, path: &str) -> String {
        let mut caller = self.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await;
        until(&mut caller, "\r\n").await
    }
}

#[tokio::test]
async fn an_unread_response_holds_its_bytes_until_its_stream_is_reset() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    for window in [0, 1] {
        let mut caller = service.unread(window).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        service.holds(|bytes| (MIN_SIZE..ByteBudget::CHECK_SIZE).contains(&bytes)).await;
        caller.write_all(&reset(1)).await.expect("open");
        service.holds(|bytes| bytes == 0).await;
    }
}

#[tokio::test]
async fn an_unread_response_holds_its_bytes_until_its_connection_is_gone() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    for window in [0, 1] {
        let caller = service.unread(window).await;
        service.holds(|bytes| (MIN_SIZE..ByteBudget::CHECK_SIZE).contains(&bytes)).await;
        drop(caller);
        service.holds(|bytes| bytes == 0).await;
    }
}

#[tokio::test]
async fn a_response_that_is_read_holds_nothing() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    // The caller keeps its connection.
    let mut caller = service.send(&[with_window(255), get_on(1, PROBE)].concat()).await;
    // WINDOW_UPDATE of stream 1.
    caller.write_all(b"\0\0\x04\x08\0\0\0\0\x01\0\x01\0\0").await.expect("open");
    until(&mut caller, "# EOF\n").await;
    service.holds(|bytes| bytes == 0).await;
    assert!(service.status().await.starts_with("HTTP/1.1 200 "));
    service.holds(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn a_check_beyond_the_budget_is_refused_and_closes_a_stalled_connection() {
    let service = Reports::start(ByteBudget::of(ByteBudget::CHECK_SIZE + MIN_SIZE)).await;
    let mut stalled = service.unread(0).await;
    service.holds(|bytes| bytes < ByteBudget::CHECK_SIZE).await;
    let mut caller = service.send(format!("GET {PROBE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await;
    let answer = until(&mut caller, "}").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("urn:smtp-check:problem:overloaded"), "{answer}");
    rest(&mut stalled).await;
    service.holds(|bytes| bytes == 0).await;
    assert!(service.status().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_check_runs_whatever_bodies_hold() {
    let service = Reports::start(ByteBudget::with_pools(ByteBudget::CHECK_SIZE, ByteBudget::EXPLANATION_SIZE)).await;
    let explained = format!("{PROBE}&debug=true");
    assert!(service.status_of(&explained).await.starts_with("HTTP/1.1 200 "));
    service.holds(|bytes| bytes == 0).await;
    let _bodies = service.budget.take(ByteBudget::EXPLANATION_SIZE).expect("enough");
    assert!(service.status().await.starts_with("HTTP/1.1 200 "));
    service.holds(|bytes| bytes == ByteBudget::EXPLANATION_SIZE).await;
    // Refused before the check, and not after it.
    assert!(service.status_of(&explained).await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn beyond_the_budget_a_stalled_large_body_is_refused_and_a_small_one_is_not() {
    let service = Reports::start(ByteBudget::with_pools(ByteBudget::CHECK_SIZE, 5 * ByteBudget::REQUEST_SIZE)).await;
    let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ";
    let body = r#"{"to": "a@b.test", "stop_after": "rcptto"}"#;
    let mut small = service.send(format!("{head}{}\r\n\r\n{}", body.len(), &body[..20]).as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = " ".repeat(2 * ByteBudget::REQUEST_SIZE);
    let mut large = service.send(format!("{head}{LARGE_SIZE}\r\n\r\n{begun}").as_bytes()).await;
    service.holds(|bytes| bytes == 2 * begun.len()).await;
    assert!(service.budget.take(begun.len()).is_err());
    let refused = until(&mut large, "}").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    small.write_all(&body.as_bytes()[20..]).await.expect("open");
    let answer = until(&mut small, "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn streams_beyond_the_budget_are_reset() {
    let budget = ByteBudget::of(10 * ByteBudget::REQUEST_SIZE);
    let service = Reports::start(budget.clone()).await;
    let requests: Vec<_> = (0..100).flat_map(|number| get_on(2 * number + 1, "/healthz")).collect();
    let mut caller = service.send(&[with_window(0), requests].concat()).await;
    // RST_STREAM.
    until(&mut caller, "\0\0\x04\x03\0").await;
    // Whoever needs the bytes next closes the connection, because only its caller can go on.
    assert!(service.status().await.starts_with("HTTP/1.1 503 "));
    rest(&mut caller).await;
    service.holds(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn an_unread_response_delays_the_end_by_its_timeout_only() {
    let mut service = start(ServerSettings { last_response_timeout: CALLER_TIMEOUT, ..generous() }).await;
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut caller, "\r\n\r\n").await;
    service.stop();
    assert_eq!(service.end().await, Ended::Drained { unread: 1 });
}
