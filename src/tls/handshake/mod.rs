//! [`TlsClient`]: the TLS handshake, from a byte stream to a TLS stream and [`TlsFacts`].

use std::{
    fmt, io,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CipherSuite, ClientConfig, InvalidMessage, PeerIncompatible, ProtocolVersion,
        SupportedProtocolVersion,
        client::Resumption,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types,
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    },
};

use super::{
    TlsFacts,
    alert::Alert,
    chain_signature::ALGORITHMS,
    client_auth::{ClientAuth, ClientAuthRefused, certified_key},
    fault::TlsFault,
    recorder::Recorder,
    trust::TrustAnchors,
};
use crate::{
    check::{ClientCertificate, TlsVersion},
    clock::TlsClock,
    os_error,
};

/// Makes TLS handshakes with mail servers: no ALPN, no resumption.
#[derive(Clone, Debug)]
pub struct TlsClient {
    any: ClientConfig,
    tls12: ClientConfig,
    tls13: ClientConfig,
    anchors: Arc<TrustAnchors>,
}

/// What the client has for one handshake.
#[derive(Clone, Debug)]
pub struct Offer {
    config: ClientConfig,
    version: TlsVersion,
    certificate: Option<Arc<CertifiedKey>>,
    keeps_certificates: bool,
}

impl Offer {
    /// The same offer, after which the facts have the certificates as they were sent.
    #[must_use]
    pub fn keeping_certificates(self, keeps_certificates: bool) -> Self {
        Self { keeps_certificates, ..self }
    }
}

impl TlsClient {
    /// A client with these trust anchors. Build it once: each handshake only clones a few pointers.
    pub fn new(anchors: TrustAnchors) -> Self {
        let provider = Arc::new(provider());
        warm_up(&provider);
        let anchors = Arc::new(anchors);
        let config = |versions: &[_]| config(&provider, versions, &anchors);
        let [any, tls12, tls13] = [config(&[&TLS13, &TLS12]), config(&[&TLS12]), config(&[&TLS13])];
        Self { any, tls12, tls13, anchors }
    }

    /// The signatures that it verifies.
    pub fn algorithms(&self) -> &'static [&'static dyn pki_types::SignatureVerificationAlgorithm] {
        self.any.crypto_provider().signature_verification_algorithms.all
    }

    /// Prepares a handshake: to read the key takes up to a millisecond, which is no part of the handshake's time.
    pub fn offer(&self, version: TlsVersion, certificate: Option<&ClientCertificate>) -> Offer {
        let config = match version {
            TlsVersion::Any => &self.any,
            TlsVersion::Tls12 => &self.tls12,
            TlsVersion::Tls13 => &self.tls13,
        };
        let certificate = certificate.map(|certificate| {
            Arc::new(certified_key(certificate).expect("its key was used when the settings were read"))
        });
        Offer { config: config.clone(), version, certificate, keeps_certificates: false }
    }

    /// Makes one handshake. Bad certificates do not fail it: their problems are in the facts. There are facts as soon
    /// as the server has sent its certificate, even if the handshake fails after that, or is not completed by
    /// `deadline`.
    pub async fn handshake<S>(
        &self,
        offer: Offer,
        stream: S,
        server_name: &ServerName,
        deadline: Instant,
    ) -> (Result<TlsStream<S>, HandshakeError>, Option<TlsFacts>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Offer { mut config, version, certificate, keeps_certificates } = offer;
        let algorithms = config.crypto_provider().signature_verification_algorithms;
        let recorder = Recorder::new(Arc::clone(&self.anchors), algorithms).with_certificate(certificate);
        let recorder = Arc::new(recorder.keeping_certificates(keeps_certificates));
        config.dangerous().set_certificate_verifier(Arc::clone(&recorder) as _);
        config.client_auth_cert_resolver = Arc::clone(&recorder) as _;
        let handshake = TlsConnector::from(Arc::new(config)).connect(server_name.0.clone(), stream);
        let outcome = match timeout_at(deadline, handshake).await {
            Ok(outcome) => outcome.map_err(|error| HandshakeError::of(error, &recorder, version)),
            Err(_) => Err(HandshakeError::TimedOut),
        };
        let facts = recorder.record().map(|record| {
            let session = outcome.as_ref().ok().map(|stream| stream.get_ref().1);
            TlsFacts {
                completed: outcome.is_ok(),
                version: record.version.and_then(version_name),
                cipher: session
                    .and_then(|session| session.negotiated_cipher_suite())
                    .and_then(|suite| iana_name(suite.suite())),
                server_name: server_name.to_string(),
                chain: record.chain,
                presented: record.presented,
                problems: record.problems,
                key_proven: record.key_proven,
                client_auth: recorder.client_auth(),
            }
        });
        (outcome, facts)
    }
}

/// The configuration of a handshake with these versions.
fn config(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    anchors: &Arc<TrustAnchors>,
) -> ClientConfig {
    let recorder = Recorder::new(Arc::clone(anchors), provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(recorder))
        .with_no_client_auth();
    config.time_provider = Arc::new(TlsClock);
    // In a resumed session the server shows no certificate.
    config.resumption = Resumption::disabled();
    config
}

/// aws-lc-rs with all of its key exchange groups. A further group costs two octets of the ClientHello, and a key share
/// only where the server asks for one.
fn provider() -> CryptoProvider {
    CryptoProvider { kx_groups: aws_lc_rs::ALL_KX_GROUPS.to_vec(), ..aws_lc_rs::default_provider() }
}

/// Makes the library gather entropy and set up its algorithms now. That takes tens of milliseconds, which would
/// otherwise count as time of the first handshake; with `run` every handshake is the first.
fn warm_up(provider: &CryptoProvider) {
    LazyLock::force(&ALGORITHMS);
    // What fails here fails in the handshake too, where it is reported.
    let _ = provider.secure_random.fill(&mut [0; 32]);
    for group in &provider.kx_groups {
        let _ = group.start();
    }
}

/// The name that a server's certificate is checked for: a host name in ASCII, which is also sent as SNI (RFC 6066,
/// section 3), or an IP address, which is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pki_types::ServerName<'static>);

/// The text is not a [`ServerName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a host name that TLS can carry")]
pub struct InvalidServerName;

impl FromStr for ServerName {
    type Err = InvalidServerName;

    /// Takes a host name (underscores and a final dot are allowed) or an IP address without brackets.
    fn from_str(text: &str) -> Result<Self, InvalidServerName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        pki_types::ServerName::try_from(text.to_owned()).map(Self).map_err(|_| InvalidServerName)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

/// Why the handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The server closed or reset the connection.
    #[error("the server closed the connection during the TLS handshake")]
    Closed,
    /// The server asked for a client certificate, and closed or reset the connection.
    #[error("the server closed the connection during the TLS handshake; it had {0}")]
    ClosedAfterAsking(ClientAuth),
    /// The deadline came first.
    #[error("the TLS handshake was not completed in time")]
    TimedOut,
    /// The server sent something else than TLS.
    #[error("the server's answer is not TLS")]
    NotTls,
    /// There is no version of TLS that both sides support.
    #[error("the server is too old for this client: it has neither TLS 1.2 nor TLS 1.3")]
    TooOld,
    /// The server does not support the only version that is offered.
    #[error("the server does not support {}, the only version of TLS that this check offers", only(*.0))]
    WantsOtherVersion(TlsVersion),
    /// There is no set of parameters that both sides support. The alert does not tell which one is missing.
    #[error(
        "the server found no TLS version, cipher suite, key exchange group or signature algorithm in common with this client, which \
         {} (alert {alert})", offered(*.version)
    )]
    NothingInCommon {
        /// The alert.
        alert: Alert,
        /// What was offered.
        version: TlsVersion,
    },
    /// The server asked for a client certificate, and ended the handshake without one, or because of the one it got.
    #[error("{0}")]
    ClientAuth(ClientAuthRefused),
    /// The server ended the handshake for another reason.
    #[error("the server refused the TLS handshake (alert {0})")]
    Refused(Alert),
    /// The server broke the protocol, or came to a limit of this client.
    #[error("the TLS handshake failed: {0}")]
    Tls(TlsFault),
    /// The connection broke.
    #[error("the connection failed during the TLS handshake: {}", os_error::of_network(.0))]
    Io(io::Error),
}

impl HandshakeError {
    /// The meaning of a failure depends on what the server had sent before it.
    fn of(error: io::Error, recorder: &Recorder, version: TlsVersion) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match TlsFault::of(&error) {
            Some(fault) => Self::of_fault(fault, recorder, version),
            None => match error.kind() {
                UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => match recorder.client_auth() {
                    ClientAuth::NotAsked => Self::Closed,
                    client_auth => Self::ClosedAfterAsking(client_auth),
                },
                _ => Self::Io(error),
            },
        }
    }

    fn of_fault(fault: TlsFault, recorder: &Recorder, version: TlsVersion) -> Self {
        use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
        match *fault.rustls() {
            rustls::Error::AlertReceived(alert) if recorder.client_auth().is_asked() => {
                Self::ClientAuth(ClientAuthRefused { client_auth: recorder.client_auth(), alert: Alert(alert) })
            }
            // A server that has sent its certificate has agreed to version and parameters, so its alert is about
            // something else.
            rustls::Error::AlertReceived(alert) if recorder.record().is_some() => Self::Refused(Alert(alert)),
            rustls::Error::AlertReceived(ProtocolVersion)
            | rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => match version {
                TlsVersion::Any => Self::TooOld,
                only => Self::WantsOtherVersion(only),
            },
            rustls::Error::AlertReceived(alert @ (HandshakeFailure | InsufficientSecurity)) => {
                Self::NothingInCommon { alert: Alert(alert), version }
            }
            rustls::Error::AlertReceived(alert) => Self::Refused(Alert(alert)),
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            _ => Self::Tls(fault),
        }
    }
}

fn only(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Any => "TLS 1.2 or TLS 1.3",
        TlsVersion::Tls12 => "TLS 1.2",
        TlsVersion::Tls13 => "TLS 1.3",
    }
}

/// A clause whose subject is this client.
fn offered(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Any => "has TLS 1.3, and TLS 1.2 with ECDHE and AEAD",
        TlsVersion::Tls12 => "offers only TLS 1.2 with ECDHE and AEAD in this check",
        TlsVersion::Tls13 => "offers only TLS 1.3 in this check",
    }
}

fn version_name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// rustls has its own prefix for the suites of TLS 1.3.
fn iana_name(suite: CipherSuite) -> Option<&'static str> {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => Some("TLS_AES_128_GCM_SHA256"),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Some("TLS_AES_256_GCM_SHA384"),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some("TLS_CHACHA20_POLY1305_SHA256"),
        suite => suite.as_str(),
    }
}

#[cfg(test)]
mod tests;
