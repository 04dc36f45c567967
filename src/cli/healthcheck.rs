//! `healthcheck`: asks the running service whether it is alive, for a container's health check.
//!
//! A service with HTTPS is believed whatever certificate it shows: the question is whether it lives, nothing secret is sent, and a
//! certificate that has expired, is for another name or was not read again yet is no reason to start the service anew.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::tls::{HandshakeError, ServerName, TlsClient, TrustAnchors};

/// Longer than any answer of a service that can be called alive.
const LIMIT: Duration = Duration::from_secs(5);

/// Why the service is not called alive.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAlive {
    #[error("cannot connect: {0}")]
    Unreachable(#[from] io::Error),
    #[error("its TLS handshake fails: {0}")]
    NoTls(#[from] HandshakeError),
    #[error("it does not answer as a service does: {0}")]
    Broken(#[from] hyper::Error),
    #[error("it answers {0}")]
    Unwell(StatusCode),
    #[error("it does not answer within {LIMIT:?}")]
    Silent,
}

/// Asks the service that listens on `listen`, over TLS if it serves HTTPS.
pub(super) async fn ask(listen: SocketAddr, is_secure: bool) -> Result<(), NotAlive> {
    timeout(LIMIT, connect_and_ask(reachable(listen), is_secure)).await.unwrap_or(Err(NotAlive::Silent))
}

/// Where to ask a service: on loopback, if it listens on every address.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn connect_and_ask(address: SocketAddr, is_secure: bool) -> Result<(), NotAlive> {
    let stream = TcpStream::connect(address).await?;
    if !is_secure {
        return answer(stream, address).await;
    }
    let name: ServerName = address.ip().to_string().parse().expect("TLS can carry an IP address");
    let client = TlsClient::new(TrustAnchors::none());
    let (stream, _) = client.handshake(stream, &name, Instant::now() + LIMIT).await;
    answer(stream?, address).await
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) -> Result<(), NotAlive> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/healthz");
    let host = address.to_string().parse().expect("an address is a header value");
    request.headers_mut().insert(HOST, host);
    tokio::select! {
        answer = sender.send_request(request) => match answer?.status() {
            StatusCode::OK => Ok(()),
            status => Err(NotAlive::Unwell(status)),
        },
        Err(error) = connection => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Asks a service that gives this answer to whatever it is asked.
    async fn asked(answer: &'static [u8]) -> Result<(), NotAlive> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let service = async {
            let (mut caller, _) = listener.accept().await.expect("a caller");
            let mut request = [0; 1024];
            let length = caller.read(&mut request).await.expect("a request");
            assert!(request[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            caller.write_all(answer).await.expect("sent");
        };
        tokio::join!(ask(address, false), service).0
    }

    #[tokio::test]
    async fn only_200_is_alive() {
        asked(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("alive");
        let unwell = asked(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert!(matches!(unwell, Err(NotAlive::Unwell(StatusCode::SERVICE_UNAVAILABLE))), "{unwell:?}");
        for broken in [&b""[..], b"220 mail.example.com ESMTP\r\n"] {
            let answer = asked(broken).await;
            assert!(matches!(answer, Err(NotAlive::Broken(_))), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_not_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let answer = ask(address, false).await;
        assert!(matches!(answer, Err(NotAlive::Unreachable(_))), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let answer = ask(listener.local_addr().expect("bound"), false).await;
        assert!(matches!(answer, Err(NotAlive::Silent)), "{answer:?}");
    }

    #[test]
    fn every_address_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
