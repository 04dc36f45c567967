//! A client with a persistent connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Timeout of a response.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub(crate) struct Caller(BufReader<TcpStream>);

/// The response, and how long it took.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u32>,
    pub(crate) document: Value,
    pub(crate) ms: f64,
}

impl Caller {
    pub(crate) async fn open(service: SocketAddr) -> Self {
        let stream = TcpStream::connect(service).await.expect("the service listens");
        stream.set_nodelay(true).expect("settable");
        Self(BufReader::new(stream))
    }

    /// Sends a request of `check` or `HEALTH`, and does not wait.
    pub(crate) async fn send(&mut self, request: &[u8]) {
        self.0.get_mut().write_all(request).await.expect("the service reads");
    }

    /// Sends a request and waits for the response.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Response {
        let asked = Instant::now();
        self.send(request).await;
        timeout(WAIT_TIMEOUT, self.answer(asked)).await.expect("an answer in time")
    }

    async fn answer(&mut self, asked: Instant) -> Response {
        let (mut status, mut length, mut retry_after) = (0, 0, None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("the connection stays");
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once([' ', ':']).map(|(name, value)| (name, value.trim())) {
                None if line.is_empty() => break,
                Some(("http/1.1", value)) => status = value[..3].parse().expect("a status"),
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                Some(("retry-after", value)) => retry_after = value.parse().ok(),
                _ => {}
            }
        }
        assert_ne!(status, 0, "the service hung up");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("a whole body");
        let ms = asked.elapsed().as_secs_f64() * 1000.0;
        Response { status, retry_after, document: serde_json::from_slice(&body).expect("JSON"), ms }
    }
}

pub(crate) const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The request for a check.
pub(crate) fn check(parameters: &Value) -> Vec<u8> {
    let (body, json) = (parameters.to_string(), "Host: localhost\r\nContent-Type: application/json");
    let length = body.len();
    format!("POST /v1/checks/smtp HTTP/1.1\r\n{json}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
