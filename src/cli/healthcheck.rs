//! `healthcheck`: asks the running service whether it is alive, for a container's health check.
//!
//! Over HTTPS, any certificate is accepted. Nothing secret is sent, and an expired or replaced certificate is no reason
//! to restart the service.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
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

use super::output::failure;
use crate::{
    check::TlsVersion,
    config::ListenSettings,
    os_error,
    tls::{HandshakeError, ServerName, TlsClient, TrustAnchors},
};

/// Longer than a healthy service takes to answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the service does not count as alive.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("cannot connect: {}", os_error::of_network(.0))]
    Unreachable(#[from] io::Error),
    #[error("its TLS handshake fails: {0}")]
    Tls(#[from] HandshakeError),
    #[error("it does not answer in HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it does not answer within {RESPONSE_TIMEOUT:?}")]
    Timeout,
}

/// Asks the service, and says why it is not alive.
pub(super) async fn healthcheck(service: &ListenSettings) -> ExitCode {
    match ask(service.listen, service.tls_cert.is_some()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(format_args!("the service on {} is not alive: {error}", service.listen)),
    }
}

async fn ask(listen: SocketAddr, is_secure: bool) -> Result<(), HealthError> {
    timeout(RESPONSE_TIMEOUT, connect_and_ask(reachable(listen), is_secure)).await.unwrap_or(Err(HealthError::Timeout))
}

/// Where to reach a service: on loopback, if it listens on every address.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn connect_and_ask(address: SocketAddr, is_secure: bool) -> Result<(), HealthError> {
    let stream = TcpStream::connect(address).await?;
    if !is_secure {
        return get_healthz(stream, address).await;
    }
    let name: ServerName = address.ip().to_string().parse().expect("TLS can carry an IP address");
    let client = TlsClient::new(TrustAnchors::none());
    let offer = client.offer(TlsVersion::Any, None);
    let (stream, _) = client.handshake(offer, stream, &name, Instant::now() + RESPONSE_TIMEOUT).await;
    get_healthz(stream?, address).await
}

async fn get_healthz(stream: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) -> Result<(), HealthError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/healthz");
    let host = address.to_string().parse().expect("an address is a header value");
    request.headers_mut().insert(HOST, host);
    tokio::select! {
        response = sender.send_request(request) => match response?.status() {
            StatusCode::OK => Ok(()),
            status => Err(HealthError::Status(status)),
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

    /// Asks a service that always gives this answer.
    async fn ask_service(answer: &'static [u8]) -> Result<(), HealthError> {
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
        ask_service(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("alive");
        let unhealthy = ask_service(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert!(matches!(unhealthy, Err(HealthError::Status(StatusCode::SERVICE_UNAVAILABLE))), "{unhealthy:?}");
        for other in [&b""[..], b"220 mail.example.com ESMTP\r\n"] {
            let answer = ask_service(other).await;
            assert!(matches!(answer, Err(HealthError::Http(_))), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_not_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let answer = ask(address, false).await;
        assert!(matches!(answer, Err(HealthError::Unreachable(_))), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let answer = ask(listener.local_addr().expect("bound"), false).await;
        assert!(matches!(answer, Err(HealthError::Timeout)), "{answer:?}");
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
