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
async fn a_check_beyond_the_budget_closes_a_stalled_connection() {
    let service = Reports::start(ByteBudget::of(ByteBudget::CHECK_SIZE + MIN_SIZE)).await;
    let mut stalled = service.unread(0).await;
    service.holds(|bytes| bytes < ByteBudget::CHECK_SIZE).await;
    assert!(service.status().await.starts_with("HTTP/1.1 200 "));
    rest(&mut stalled).await;
    service.holds(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn a_check_beyond_the_budget_is_refused_where_no_connection_is_stalled() {
    let service = Reports::start(ByteBudget::of(ByteBudget::CHECK_SIZE)).await;
    let _busy = service.budget.take(1).expect("enough");
    let mut caller = service.send(format!("GET {PROBE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await;
    let answer = until(&mut caller, "}").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("urn:smtp-check:problem:overloaded"), "{answer}");
}

/// The frames of a POST whose body does not come.
fn post_on(stream: u32) -> Vec<u8> {
    // POST is 0x83; content-type is the name 31 of the static table.
    let mut header = b"\x83\x86\x04\x0f/v1/checks/smtp\x01\x09127.0.0.1\x0f\x10\x10".to_vec();
    header.extend(b"application/json");
    [&[0, 0, header.len() as u8, 0x01, 0x04], &stream.to_be_bytes()[..], &header].concat()
}

#[tokio::test]
async fn the_bodies_of_strangers_keep_out_no_other_response() {
    const STREAMS: u32 = 10;
    let explained = format!("{PROBE}&debug=true");
    let budget = ByteBudget::with_pools([ByteBudget::CHECK_SIZE, ByteBudget::EXPLANATION_SIZE, 0]);
    let service = Reports::start(budget.clone()).await;
    for path in ["/metrics", &explained] {
        // The first stream of a connection holds nothing.
        let posts: Vec<_> = (0..=STREAMS).flat_map(|number| post_on(2 * number + 1)).collect();
        let mut stranger = service.send(&[with_window(255), posts].concat()).await;
        service.holds(|bytes| bytes >= STREAMS as usize * ByteBudget::REQUEST_SIZE).await;
        // For an explanation the bodies alone are too many.
        let rest = if path == "/metrics" { ByteBudget::EXPLANATION_SIZE - budget.held() } else { 0 };
        let rest = budget.take(rest).expect("enough");
        let head = service.status_of(path).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        self::rest(&mut stranger).await;
        drop(rest);
        service.holds(|bytes| bytes == 0).await;
    }
}

/// What is held here is no connection's, so nothing gives way.
#[tokio::test]
async fn metrics_and_healthz_answer_whatever_is_held() {
    let budget = ByteBudget::with_pools([ByteBudget::CHECK_SIZE, ByteBudget::CHECK_SIZE, 64 * 1024]);
    let service = Reports::start(budget.clone()).await;
    let _held = [budget.take(ByteBudget::CHECK_SIZE), budget.take_for_check(0).await];
    assert!(service.status().await.starts_with("HTTP/1.1 503 "));
    for path in ["/metrics", "/healthz", "/metrics"] {
        let head = service.status_of(path).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    }
}

/// The connection has a running check, so it is not closed. Its small bodies are refused instead.
#[tokio::test]
async fn small_bodies_beside_a_running_check_give_way() {
    let budget = ByteBudget::of(10 * ByteBudget::REQUEST_SIZE);
    let mut service = start(ServerSettings { budget: budget.clone(), ..generous() }).await;
    let post = |stream: u32| {
        let mut header = b"\x83\x86\x04\x05/echo\x01\x01x\x0f\x10\x10".to_vec();
        header.extend(b"application/json");
        [&[0, 0, header.len() as u8, 0x01, 0x04], &stream.to_be_bytes()[..], &header].concat()
    };
    let posts: Vec<_> = (1..20).flat_map(|number| post(2 * number + 1)).collect();
    let mut caller = service.send(&[with_window(255), get_on(1, "/check"), posts].concat()).await;
    assert_eq!(service.event().await, "begun");
    until(&mut caller, "\0\0\x04\x03\0").await;
    let held = budget.evicting(|| budget.take(5 * ByteBudget::REQUEST_SIZE)).await;
    assert!(held.is_ok(), "{} bytes are held", budget.held());
    service.state.may_finish.add_permits(1);
    until(&mut caller, "finished").await;
}

/// A frame of 16 KiB, of a type that is not known: ignored, but received.
fn unknown_frame() -> Vec<u8> {
    [&[0, 0x40, 0, 0xee, 0, 0, 0, 0, 0][..], &[0; 0x4000]].concat()
}

/// hyper keeps what it has received behind each entry of the table of HPACK.
#[tokio::test]
async fn what_an_http2_connection_has_received_is_counted_and_ends_it() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    let mut caller = service.send(&with_window(255)).await;
    for _ in 0..4 {
        caller.write_all(&unknown_frame()).await.expect("open");
    }
    service.holds(|bytes| bytes >= 3 * unknown_frame().len()).await;
    for _ in 0..14 {
        caller.write_all(&unknown_frame()).await.expect("open");
    }
    // Nothing is lost: the connection ends once it has been answered.
    caller.write_all(&get_on(1, "/healthz")).await.expect("open");
    until(&mut caller, "ok\"}").await;
    rest(&mut caller).await;
    service.holds(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn an_http2_connection_that_receives_without_a_pause_gets_goaway() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    let mut caller = service.send(&with_window(255)).await;
    for _ in 0..=512 {
        caller.write_all(&unknown_frame()).await.expect("open");
    }
    until(&mut caller, "\0\0\x08\x07\0").await;
    rest(&mut caller).await;
    service.holds(|bytes| bytes == 0).await;
}

#[tokio::test]
async fn an_http2_connection_is_read_on_once_bytes_are_given_back() {
    const SIZE: usize = 256 * 1024;
    let service = Reports::start(ByteBudget::of(SIZE)).await;
    let busy = service.budget.take(SIZE).expect("enough");
    let frames = [with_window(255), unknown_frame(), unknown_frame(), get_on(1, "/healthz")].concat();
    let mut caller = service.send(&frames).await;
    let mut other = service.send(&frames).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(busy);
    until(&mut caller, "ok\"}").await;
    until(&mut other, "ok\"}").await;
    let _busy = service.budget.take(SIZE - service.budget.held()).expect("enough");
    // The other one gives way, and the one that waits for its bytes does not.
    caller.write_all(&[unknown_frame(), get_on(3, "/healthz")].concat()).await.expect("open");
    until(&mut caller, "ok\"}").await;
    rest(&mut other).await;
    caller.write_all(&[unknown_frame(), unknown_frame()].concat()).await.expect("open");
    // What was not read resets the connection.
    let mut answer = Vec::new();
    timeout(TEST_TIMEOUT, caller.read_to_end(&mut answer)).await.expect("in time").ok();
}

#[tokio::test]
async fn a_header_of_many_fields_is_refused_over_http2() {
    let service = Reports::start(ByteBudget::new(1, 0)).await;
    let mut request = get_on(1, "/healthz");
    request.extend(b"\0\x01a\0".repeat(101));
    let length = (request.len() - 9) as u16;
    request[1..3].copy_from_slice(&length.to_be_bytes());
    let mut caller = service.send(&[with_window(255), request].concat()).await;
    // The frame HEADERS of the response has END_HEADERS and END_STREAM: there is no body.
    until(&mut caller, "\x01\x05\0\0\0\x01").await;
}

#[tokio::test]
async fn a_check_runs_whatever_bodies_hold() {
    let service =
        Reports::start(ByteBudget::with_pools([ByteBudget::CHECK_SIZE, ByteBudget::EXPLANATION_SIZE, 0])).await;
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
    let service = Reports::start(ByteBudget::with_pools([ByteBudget::CHECK_SIZE, 5 * ByteBudget::SMALL_SIZE, 0])).await;
    let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ";
    let body = r#"{"to": "a@b.test", "stop_after": "rcptto"}"#;
    let mut small = service.send(format!("{head}{}\r\n\r\n{}", body.len(), &body[..20]).as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = " ".repeat(2 * ByteBudget::SMALL_SIZE);
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
async fn streams_beyond_the_budget_end_a_stalled_connection() {
    let service = Reports::start(ByteBudget::of(10 * ByteBudget::REQUEST_SIZE)).await;
    let requests: Vec<_> = (0..30).flat_map(|number| get_on(2 * number + 1, "/healthz")).collect();
    let mut caller = service.send(&[with_window(0), requests].concat()).await;
    rest(&mut caller).await;
    service.holds(|bytes| bytes == 0).await;
}

/// The streams of the connection that sends wait meanwhile, and none of them is reset.
#[tokio::test]
async fn streams_beyond_the_budget_take_the_bytes_of_a_stalled_connection() {
    const STREAMS: u32 = 50;
    // Enough for one connection and some streams of another.
    let service = Reports::start(ByteBudget::of(80 * ByteBudget::REQUEST_SIZE)).await;
    let posts: Vec<_> = (0..STREAMS).flat_map(|number| post_on(2 * number + 1)).collect();
    let mut stalled = service.send(&[with_window(255), posts.clone()].concat()).await;
    service.holds(|bytes| bytes >= (STREAMS as usize - 1) * ByteBudget::REQUEST_SIZE).await;
    let mut last = service.send(&[with_window(255), posts].concat()).await;
    timeout(TEST_TIMEOUT, stalled.read_to_end(&mut Vec::new())).await.expect("closed in time").ok();
    last.write_all(&get_on(2 * STREAMS + 1, "/healthz")).await.expect("open");
    let answer = until(&mut last, "ok\"}").await;
    assert!(!answer.contains("\0\0\x04\x03\0"), "RST_STREAM: {answer:?}");
}

#[tokio::test]
async fn an_unread_response_delays_the_end_by_its_timeout_only() {
    let mut service = start(ServerSettings { last_response_timeout: CALLER_TIMEOUT, ..generous() }).await;
    let mut caller = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut caller, "\r\n\r\n").await;
    service.stop();
    assert_eq!(service.end().await, Ended::Drained { unread: 1 });
}
