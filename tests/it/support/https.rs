//! A scripted HTTPS server: one response for every request, and a record of the requests.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// A running server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub(crate) struct HttpsServer {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl HttpsServer {
    /// Answers each request with these octets, and closes the connection.
    pub(crate) fn serve(config: Arc<ServerConfig>, response: impl Into<Vec<u8>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let listener = TcpListener::from_std(listener).expect("a fixture starts inside a tokio runtime");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let (requests, response) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<[u8]>::from(response.into()));
        let (acceptor, record) = (TlsAcceptor::from(config), requests.clone());
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                open.spawn(answer(acceptor.clone(), tcp, response.clone(), record.clone()));
            }
        });
        Self { addr, requests, accepting }
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no writer panics").clone()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client that breaks off is not an error of the fixture.
async fn answer(acceptor: TlsAcceptor, tcp: TcpStream, response: Arc<[u8]>, requests: Arc<Mutex<Vec<String>>>) {
    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(octet) = stream.read_u8().await else { return };
        head.push(octet);
    }
    requests.lock().expect("no writer panics").push(String::from_utf8_lossy(&head).into_owned());
    if stream.write_all(&response).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
