//! Bodies that are framed in every way, over a real connection.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::support::app::App;

/// What the service says to these bytes until it closes the connection, or has told the whole problem.
async fn told(app: &App, head: &str, body: &[u8]) -> String {
    let caller = TcpStream::connect(app.addr()).await.expect("a connection");
    let (mut reading, mut writing) = caller.into_split();
    let head = format!("POST /v1/checks/smtp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n");
    let sent = [head.as_bytes(), body].concat();
    let sending = tokio::spawn(async move {
        // The service may have said all before it has read all.
        writing.write_all(&sent).await.ok();
        writing
    });
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"}") {
        match timeout(Duration::from_secs(20), reading.read(&mut piece)).await.expect("in time") {
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
async fn a_body_that_is_too_large_too_deep_or_encoded_is_refused_however_it_is_framed() {
    let app = App::start().await;
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
            let answer = told(&app, head, bytes).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer:.300}");
            assert!(answer.contains("application/problem+json") && answer.len() < 2000, "{answer:.300}");
        }
    }
    for encoding in ["gzip", "br", "identity"] {
        let answer = told(&app, &format!("Content-Encoding: {encoding}\r\nContent-Length: 2\r\n"), b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    }
}

#[tokio::test]
async fn a_body_of_two_lengths_is_refused() {
    let app = App::start().await;
    for head in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        let answer = told(&app, head, b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{head}: {answer}");
    }
}
