//! [`Introspection`]: a server that tells whether an access token is active (RFC 7662).

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running server that knows one token, of one user. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Introspection {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Introspection {
    /// Starts it. The token has only characters that a form need not escape.
    pub(crate) async fn start(token: &'static str, user: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port of 127.0.0.1");
        let addr = listener.local_addr().expect("the address of a bound socket");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, token, user));
            }
        });
        Self { addr, task }
    }

    /// The address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Introspection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request: `token=…` in a form.
async fn serve(mut stream: TcpStream, token: &str, user: &str) -> Option<()> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&request);
    let given = text.rsplit_once("token=").map(|(_, rest)| rest.split('&').next().unwrap_or_default().trim());
    let is_active = given == Some(token);
    let answer = format!(r#"{{"active":{is_active},"username":"{user}"}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n{answer}", answer.len()).as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
