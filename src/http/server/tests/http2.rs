//! The server loop over HTTP/2, with frames written by hand.

use super::*;

/// The start of an HTTP/2 connection (RFC 9113, section 3.4), and a request of `path` on stream 1.
fn http2(path: &str) -> Vec<u8> {
    [HTTP2, &get_on(1, path)].concat()
}

/// The preface and empty SETTINGS.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// HEADERS that ask for `path`, and end the stream.
pub(super) fn get_on(stream: u32, path: &str) -> Vec<u8> {
    // GET and http are entries of HPACK's static table, path and authority literals (RFC 7541, appendix A).
    let mut header = vec![0x82, 0x86, 0x04, path.len() as u8];
    header.extend(path.bytes().chain(*b"\x01\x01x"));
    [&[0, 0, header.len() as u8, 0x01, 0x05], &stream.to_be_bytes()[..], &header].concat()
}

/// RST_STREAM, CANCEL.
pub(super) fn reset(stream: u32) -> Vec<u8> {
    [&[0, 0, 4, 0x03, 0], &stream.to_be_bytes()[..], &[0, 0, 0, 8]].concat()
}

#[tokio::test]
async fn a_caller_over_http2_that_hangs_up_ends_its_check() {
    let mut service = start(generous()).await;
    let caller = service.send(&http2("/check")).await;
    assert_eq!(service.event().await, "begun");
    drop(caller);
    assert_eq!(service.event().await, "dropped");

    let mut caller = service.send(&http2("/check")).await;
    assert_eq!(service.event().await, "begun");
    // RST_STREAM, CANCEL: the connection stays, the request does not.
    caller.write_all(&reset(1)).await.expect("sent");
    assert_eq!(service.event().await, "dropped");
}

#[tokio::test]
async fn a_reset_stream_ends_no_other_check() {
    let mut service = start(generous()).await;
    let mut caller = service.send(&http2("/check")).await;
    caller.write_all(&get_on(3, "/check")).await.expect("sent");
    assert_eq!((service.event().await, service.event().await), ("begun", "begun"));
    caller.write_all(&reset(1)).await.expect("sent");
    assert_eq!(service.event().await, "dropped");
    assert_eq!(service.state.lifecycle.running(), 1);
    service.state.may_finish.add_permits(1);
    until(&mut caller, "finished").await;
}

/// "Rapid reset", CVE-2023-44487.
#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    let mut service = start(generous()).await;
    let mut other = service.send(QUICK).await;
    let flood: Vec<u8> = (0..1000).flat_map(|n| [get_on(2 * n + 1, "/check"), reset(2 * n + 1)].concat()).collect();
    let mut caller = service.send(HTTP2).await;
    caller.write_all(&flood).await.ok();
    let mut answer = Vec::new();
    timeout(TEST_TIMEOUT, caller.read_to_end(&mut answer)).await.expect("in time").ok();
    until(&mut other, "quick").await;
    timeout(TEST_TIMEOUT, service.state.lifecycle.idle()).await.expect("no check is left running");
    let begun = std::iter::from_fn(|| service.events.try_recv().ok()).filter(|event| *event == "begun").count();
    assert!(begun < 100, "{begun} of 1000 were begun, and {answer:?} was answered");
}

#[tokio::test]
async fn a_caller_over_http2_that_opens_no_window_is_closed() {
    let service = start(strict()).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0.
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    for path in ["/quick", "/large"] {
        let mut caller = service.send(&[settings, &get_on(1, path)[..]].concat()).await;
        assert!(!rest(&mut caller).await.contains("quick"));
    }
}

#[tokio::test]
async fn a_slow_body_over_http2_gets_408() {
    let service = start(strict()).await;
    // POST is 0x83; content-type is the name 31 of the static table.
    let mut header = b"\x83\x86\x04\x05/echo\x01\x01x\x0f\x10\x10".to_vec();
    header.extend(b"application/json");
    let head = [&[0, 0, header.len() as u8, 0x01, 0x04, 0, 0, 0, 1], &header[..]].concat();
    let mut caller = service.send(&[HTTP2, &head].concat()).await;
    assert!(rest(&mut caller).await.contains("urn:smtp-check:problem:request-timeout"));
}

#[tokio::test]
async fn an_idle_connection_over_http2_is_closed() {
    let service = start(strict()).await;
    let begun = Instant::now();
    let mut caller = service.send(&http2("/quick")).await;
    assert!(rest(&mut caller).await.contains("quick"));
    assert!(begun.elapsed() >= CALLER_TIMEOUT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_reserved_slot_is_freed_after_one_request_over_http2() {
    let mut service = start(ServerSettings { max_connections: 1, ..generous() }).await;
    let busy = service.send(CHECK).await;
    assert_eq!(service.event().await, "begun");
    let mut caller = service.send(&http2("/quick")).await;
    assert!(rest(&mut caller).await.contains("urn:smtp-check:problem:overloaded"));
    drop(busy);
}

#[tokio::test]
async fn a_check_over_http2_finishes_while_draining() {
    let mut service = start(generous()).await;
    let mut caller = service.send(&http2("/check")).await;
    assert_eq!(service.event().await, "begun");
    service.stop();
    timeout(TEST_TIMEOUT, service.state.lifecycle.draining()).await.expect("in time");
    service.state.may_finish.add_permits(1);
    assert!(rest(&mut caller).await.contains("finished"));
    assert_eq!(service.end().await, Ended::Drained { unread: 0 });
}

/// A response in the middle of a body is followed by RST_STREAM, and curl drops it then.
#[tokio::test]
async fn a_slow_upload_over_http2_that_is_refused_receives_the_response() {
    let service = start(generous()).await;
    let mut header = b"\x83\x86\x04\x05/echo\x01\x01x\x0f\x10\x0a".to_vec();
    header.extend(b"text/plain");
    let head = [&[0, 0, header.len() as u8, 0x01, 0x04, 0, 0, 0, 1], &header[..]].concat();
    let mut caller = service.send(&[HTTP2, &head, b"\0\0\x01\0\0\0\0\0\x01x"].concat()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    caller.write_all(b"\0\0\x01\0\x01\0\0\0\x01x").await.expect("sent");
    // Not `}`: it may be an octet of the compressed Date.
    until(&mut caller, "urn:smtp-check:problem:unsupported-media-type").await;
    caller.write_all(&get_on(3, "/quick")).await.expect("sent");
    let rest = until(&mut caller, "quick").await;
    assert!(!rest.contains("\0\0\x04\x03\0\0\0\0\x01"), "RST_STREAM: {rest:?}");
}

/// Each stream has memory for as long as its connection.
#[tokio::test]
async fn many_connections_have_fewer_streams_each() {
    // SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, section 6.5.2), of 256 and of 32.
    const MANY: &str = "\0\x03\0\0\x01\0";
    const FEW: &str = "\0\x03\0\0\0\x20";
    let service = start(ServerSettings { max_connections: 200, ..generous() }).await;
    let mut callers = Vec::new();
    for _ in 0..104 {
        callers.push(service.send(HTTP2).await);
        until(callers.last_mut().expect("one"), MANY).await;
    }
    let mut beyond = service.send(HTTP2).await;
    until(&mut beyond, FEW).await;
    drop(callers.pop());
    let another = async {
        loop {
            let mut caller = service.send(HTTP2).await;
            // SETTINGS are acknowledged behind those of the service.
            let settings = until(&mut caller, "\0\0\0\x04\x01\0\0\0\0").await;
            if settings.contains(MANY) {
                break;
            }
        }
    };
    timeout(TEST_TIMEOUT, another).await.expect("the streams of a connection that ended are for the next one");
}
