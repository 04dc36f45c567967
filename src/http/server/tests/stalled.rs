//! Connections where only the caller can go on: they give way to others, and their timeout is that of the oldest unread
//! response.

use super::{http2::get_on, *};

/// The preface, and SETTINGS_INITIAL_WINDOW_SIZE 0.
const NO_WINDOW: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
const UPLOAD: &[u8] =
    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";

fn full() -> ServerSettings {
    ServerSettings { max_connections: 1, reserved_connections: 1, ..generous() }
}

/// The response head of another caller, once the stalled one has been seen.
async fn answer_to_another(service: &Service) -> String {
    let mut caller = service.send(QUICK).await;
    until(&mut caller, "\r\n").await
}

#[tokio::test]
async fn a_connection_that_opens_no_window_gives_way() {
    let service = start(full()).await;
    let mut stalled = service.send(&[NO_WINDOW, &get_on(1, "/quick")].concat()).await;
    // The frame HEADERS of the response has END_HEADERS only.
    until(&mut stalled, "\x01\x04\0\0\0\x01").await;
    assert!(answer_to_another(&service).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_that_does_not_read_gives_way() {
    let mut service = start(full()).await;
    let stalled = service.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::sleep(CALLER_TIMEOUT).await;
    assert!(answer_to_another(&service).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(service.event().await, "dropped");
    drop(stalled);
}

#[tokio::test]
async fn a_connection_that_does_not_send_its_body_gives_way() {
    let limits = ServerSettings { body_timeout: TEST_TIMEOUT, ..full() };
    let service = start(limits).await;
    let mut stalled = service.send(UPLOAD).await;
    until(&mut stalled, "100 Continue\r\n\r\n").await;
    assert!(answer_to_another(&service).await.starts_with("HTTP/1.1 200 "));
}

/// The response waits for the rest of the body.
#[tokio::test]
async fn a_connection_that_does_not_send_the_rest_of_a_refused_body_gives_way() {
    let service = start(full()).await;
    let mut header = b"\x83\x86\x04\x05/echo\x01\x01x\x0f\x10\x0a".to_vec();
    header.extend(b"text/plain");
    let head = [&[0, 0, header.len() as u8, 0x01, 0x04, 0, 0, 0, 1], &header[..]].concat();
    let mut stalled = service.send(&[NO_WINDOW, &head].concat()).await;
    // SETTINGS are acknowledged with the header behind them.
    until(&mut stalled, "\0\0\0\x04\x01\0\0\0\0").await;
    assert!(answer_to_another(&service).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_running_check_does_not_give_way() {
    let mut service = start(full()).await;
    let mut busy = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    assert!(answer_to_another(&service).await.starts_with("HTTP/1.1 503 "));
    service.state.may_finish.add_permits(1);
    until(&mut busy, "finished").await;
}

#[tokio::test]
async fn new_streams_do_not_renew_the_timeout_of_an_unread_response() {
    let service = start(strict()).await;
    let begun = Instant::now();
    let mut caller = service.send(&[NO_WINDOW, &get_on(1, "/quick")].concat()).await;
    for stream in 1..200 {
        tokio::time::sleep(CALLER_TIMEOUT / 8).await;
        if caller.write_all(&get_on(2 * stream + 1, "/quick")).await.is_err() {
            break;
        }
        assert!(begun.elapsed() < CALLER_TIMEOUT * 10, "still open");
    }
    assert!(begun.elapsed() >= CALLER_TIMEOUT, "{:?}", begun.elapsed());
}

/// The check is the same caller's.
#[tokio::test]
async fn a_running_check_does_not_stop_the_timeout_of_an_unread_response() {
    let mut service = start(strict()).await;
    let caller = service.send(&[NO_WINDOW, &get_on(1, "/quick"), &get_on(3, "/check")].concat()).await;
    assert_eq!((service.event().await, service.event().await), ("begun", "dropped"));
    drop(caller);
}

#[tokio::test]
async fn a_burst_of_connections_gets_responses() {
    let mut service = start(full()).await;
    let busy = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    let mut burst = Vec::new();
    for _ in 0..50 {
        burst.push(service.send(QUICK).await);
    }
    for caller in &mut burst {
        assert!(rest(caller).await.starts_with("HTTP/1.1 503 "));
    }
    drop(busy);
}
