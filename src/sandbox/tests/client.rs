//! Test client that sends raw bytes.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::*;

pub(super) struct Client<S>(pub(super) BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client that has read the greeting.
    pub(super) async fn greeted(stream: S) -> Self {
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.reply().await, "220 mx.sandbox.test ESMTP smtp-check sandbox\r\n");
        client
    }

    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
    }

    /// One reply with all its lines.
    pub(super) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        let read = async {
            loop {
                let start = reply.len();
                self.0.read_line(&mut reply).await.expect("a line");
                if reply.as_bytes().get(start + 3) != Some(&b'-') {
                    break;
                }
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, read).await.expect("a reply in time");
        reply
    }

    pub(super) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Asks every line and expects a reply that begins so.
    pub(super) async fn dialogue(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            let reply = self.ask(line).await;
            assert!(reply.starts_with(expected), "{line:?} got {reply:?}");
        }
    }

    /// What the server sends until it hangs up.
    pub(super) async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        tokio::time::timeout(TEST_TIMEOUT, self.0.read_to_end(&mut rest))
            .await
            .expect("the server hangs up")
            .expect("without a reset");
        String::from_utf8(rest).expect("text")
    }
}

pub(super) async fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).await.expect("it listens");
    stream.set_nodelay(true).expect("a TCP option");
    stream
}

pub(super) async fn connect(sandbox: &Sandbox) -> Client<TcpStream> {
    Client::greeted(tcp(sandbox.addr()).await).await
}

/// A handshake that trusts only the sandbox's CA.
pub(super) async fn handshake(stream: TcpStream, ca_pem: &str, name: &'static str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("a CA certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the versions of the provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(name).expect("a name"), stream)
        .await
        .expect("the certificate is good")
}

/// Runs a session on a pipe, where time can be paused.
pub(super) async fn on_a_pipe<T>(test: impl AsyncFnOnce(Client<tokio::io::DuplexStream>) -> T) -> T {
    let (server, client) = duplex(4096);
    let maildrop = Maildrop::default();
    let wire = Wire::new(server, Instant::now() + CONNECTION_TIMEOUT);
    let session = Session::clear(wire, &maildrop).run();
    let client = async { test(Client::greeted(client).await).await };
    tokio::join!(session, client).1
}

impl Client<tokio::io::DuplexStream> {
    /// As [`Client::rest`], without a limit of its own: the paused clock would run to it first.
    pub(super) async fn rest_of_pipe(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.expect("text");
        rest
    }
}
