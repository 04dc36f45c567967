//! A minimal client: raw bytes, in clear text or inside TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

/// Timeout of every read.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

#[derive(Debug)]
pub(super) enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        Self::Plain(TcpStream::connect(addr).await.expect("the fixture listens"))
    }

    /// Starts TLS on a plain connection.
    pub(super) async fn upgrade(self, config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let Self::Plain(tcp) = self else { panic!("a test upgrades once") };
        let name = ServerName::try_from(name.to_owned()).expect("a name of a test is well-formed");
        let handshake = timeout(WAIT_TIMEOUT, TlsConnector::from(config).connect(name, tcp));
        Ok(Self::Tls(Box::new(handshake.await.expect("a handshake ends in time")?)))
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = match self {
            Self::Plain(tcp) => tcp.write_all(bytes.as_ref()).await,
            Self::Tls(tls) => tls.write_all(bytes.as_ref()).await,
        };
        sent.expect("the fixture reads");
    }

    /// Some bytes; empty at the end.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let length = match self {
            Self::Plain(tcp) => timeout(WAIT_TIMEOUT, tcp.read(&mut bytes)).await,
            Self::Tls(tls) => timeout(WAIT_TIMEOUT, tls.read(&mut bytes)).await,
        };
        bytes.truncate(length.expect("the fixture answers in time")?);
        Ok(bytes)
    }

    /// Reads until the received bytes end with `end`.
    pub(super) async fn read_until(&mut self, end: impl AsRef<[u8]>) -> String {
        let mut all = Vec::new();
        while !all.ends_with(end.as_ref()) {
            let bytes = self.read().await.expect("the fixture goes on");
            assert!(!bytes.is_empty(), "ended after {:?}", String::from_utf8_lossy(&all));
            all.extend(bytes);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Sends a command and reads its reply, whose last line is known.
    pub(super) async fn ask(&mut self, command: &str, last_line: &str) -> String {
        self.send(format!("{command}\r\n")).await;
        self.read_until(format!("{last_line}\r\n")).await
    }
}

/// A verifier that trusts only these roots.
pub(super) fn strict(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions();
    Arc::new(config.expect("aws-lc has suites for both versions").with_root_certificates(roots).with_no_client_auth())
}

/// A verifier that accepts any certificate and any signature.
pub(super) fn blind() -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.expect("aws-lc has suites for both versions").dangerous();
    Arc::new(config.with_custom_certificate_verifier(Arc::new(Blind(provider))).with_no_client_auth())
}

#[derive(Debug)]
struct Blind(Arc<CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
