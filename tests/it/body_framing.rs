//! Request bodies with every kind of framing (RFC 9112, section 6), over a real connection.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use smtp_check::http::TokenStore;

use super::support::{app::TestApp, program::WAIT_TIMEOUT};

/// The response to these bytes, read until the service closes the connection or the problem document is complete.
async fn response(app: &TestApp, head: &str, body: &[u8]) -> String {
    let caller = TcpStream::connect(app.addr()).await.expect("a connection");
    let (mut reading, mut writing) = caller.into_split();
    let head = format!("POST /v1/checks/smtp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n");
    let sent = [head.as_bytes(), body].concat();
    let sending = tokio::spawn(async move {
        // The service can respond before it has read everything.
        writing.write_all(&sent).await.ok();
        writing
    });
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"}") {
        match timeout(WAIT_TIMEOUT, reading.read(&mut piece)).await.expect("in time") {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    sending.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let chunks =
        body.chunks(50_000).flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    chunks.chain(*b"0\r\n\r\n").collect()
}

#[tokio::test]
async fn bad_bodies_are_rejected_with_content_length_and_with_chunks() {
    let app = TestApp::start().await;
    let most = 1 << 20;
    for (body, status) in [
        (" ".repeat(most + 1), 413),
        ("{\"a\":".repeat(most / 5), 400),
        ("[".repeat(100_000), 400),
        ("[".repeat(100_000) + &"]".repeat(100_000), 422),
        (format!("{{{}\"to\":1}}", "\"a\":1,".repeat(170_000)), 422),
    ] {
        let length = format!("Content-Length: {}\r\n", body.len());
        let chunks = chunked(body.as_bytes());
        for (head, bytes) in [(&length[..], body.as_bytes()), ("Transfer-Encoding: chunked\r\n", &chunks)] {
            let answer = response(&app, head, bytes).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer:.300}");
            assert!(answer.contains("application/problem+json") && answer.len() < 2000, "{answer:.300}");
        }
    }
    for encoding in ["gzip", "br", "identity"] {
        let answer = response(&app, &format!("Content-Encoding: {encoding}\r\nContent-Length: 2\r\n"), b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    }
}

#[tokio::test]
async fn ambiguous_content_length_is_rejected() {
    let app = TestApp::start().await;
    for head in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        let answer = response(&app, head, b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{head}: {answer}");
    }
}

/// A request whose response would have the name of the program.
const SMUGGLED: &str = "GET /version HTTP/1.1\r\nHost: hidden\r\n\r\n";

/// All responses until the service closes the connection. The second half is sent after the first response.
async fn all_responses(addr: SocketAddr, halves: [String; 2]) -> String {
    let mut caller = TcpStream::connect(addr).await.expect("a connection");
    caller.write_all(halves[0].as_bytes()).await.expect("a caller that is read");
    let mut answers = vec![0; 4096];
    let first = timeout(WAIT_TIMEOUT, caller.read(&mut answers)).await.expect("in time").expect("an answer");
    answers.truncate(first);
    // It is also correct that the service has closed the connection.
    caller.write_all(halves[1].as_bytes()).await.ok();
    timeout(WAIT_TIMEOUT, caller.read_to_end(&mut answers)).await.expect("closed in time").ok();
    String::from_utf8_lossy(&answers).into_owned()
}

/// Request heads and what follows them: a request hidden in a body, or after the last chunk.
fn smuggled_requests() -> Vec<(String, String)> {
    let size = SMUGGLED.len();
    vec![
        (format!("Content-Length: {size}\r\n"), SMUGGLED.to_owned()),
        (format!("Content-Length: {}\r\n", 2 * size), SMUGGLED.repeat(2)),
        (format!("Expect: 100-continue\r\nContent-Length: {size}\r\n"), SMUGGLED.to_owned()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{size:x}\r\n{SMUGGLED}\r\n0\r\nX: y\r\n\r\n")),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(), format!("0\r\n\r\n{SMUGGLED}")),
        (format!("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: {size}\r\n"), SMUGGLED.to_owned()),
        ("Connection: close\r\n".to_owned(), SMUGGLED.to_owned()),
    ]
}

/// HTTP request smuggling (desync): a body is never read as a request, whatever the response is.
#[tokio::test]
async fn request_smuggling_is_prevented() {
    let tokens = format!("one:{}", "0".repeat(64)).parse().expect("tokens");
    let builder = || TestApp::builder().header_timeout(Duration::from_secs(1));
    let guarded = builder().tokens(TokenStore::new(tokens)).start().await;
    let open = builder().start().await;
    let mut callers = JoinSet::new();
    for (app, begin, status) in [
        (&guarded, "POST /v1/checks/smtp HTTP/1.1\r\nContent-Type: application/json", 401),
        (&guarded, "GET /healthz HTTP/1.1", 200),
        (&open, "POST /nothing HTTP/1.1", 404),
        (&open, "DELETE /v1/checks/smtp HTTP/1.1", 405),
        (&open, "POST /v1/checks/smtp HTTP/1.1\r\nContent-Type: text/plain", 415),
    ] {
        for (head, body) in smuggled_requests() {
            let head = format!("{begin}\r\nHost: x\r\n{head}\r\n");
            let sent = head.clone() + &body;
            for cut in [head.len(), head.len() + 4, sent.len()] {
                let halves = [sent[..cut].to_owned(), sent[cut..].to_owned()];
                let addr = app.addr();
                callers.spawn(async move { (status, halves.clone(), all_responses(addr, halves).await) });
            }
        }
    }
    while let Some(caller) = callers.join_next().await {
        let (status, halves, answers) = caller.expect("no panic");
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{halves:?}: {answers}");
        assert!(!answers.contains("\"smtp-check\""), "{halves:?}: {answers}");
    }
}
