//! [`Recorder`]: the certificate verifier that rustls calls. It records every problem and lets the handshake go on.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_rustls::rustls::{
    DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};

use super::{
    client_auth::ClientAuth,
    signature::HandshakeSignature,
    trust::TrustAnchors,
    verifier::{Verdict, Verifier},
};
use crate::{
    clock,
    x509::{
        Certificate, CertificateFacts,
        problem::{CertificateErrorKind, CertificateProblem},
    },
};

/// The detail when no date can be compared with the system's clock.
const CLOCK_SET_WRONG: &str = "whether it is valid now cannot be told: the clock of this system, not of the server, is \
                               before 1970 or after 9999";

/// What one handshake showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The protocol version; `None` until the server has signed.
    pub(super) version: Option<ProtocolVersion>,
    /// The certificates that the server sent, its own first.
    pub(super) chain: Vec<CertificateFacts>,
    /// Everything that is wrong with them.
    pub(super) problems: Vec<CertificateProblem>,
    /// Whether the server proved that it holds the key.
    pub(super) key_proven: bool,
    /// The certificates as they were sent, where they are kept.
    pub(super) presented: Vec<Vec<u8>>,
}

/// The verifier of the server's certificate for one handshake, and its resolver of client certificates.
#[derive(Debug)]
pub(super) struct Recorder {
    anchors: Arc<TrustAnchors>,
    algorithms: WebPkiSupportedAlgorithms,
    record: Mutex<Option<Record>>,
    /// What the client shows to a server that asks.
    certificate: Option<Arc<CertifiedKey>>,
    client_auth: OnceLock<ClientAuth>,
    keeps_certificates: bool,
}

impl Recorder {
    pub(super) fn new(anchors: Arc<TrustAnchors>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            anchors,
            algorithms,
            record: Mutex::new(None),
            certificate: None,
            client_auth: OnceLock::new(),
            keeps_certificates: false,
        }
    }

    /// The same recorder, with a certificate for a server that asks for one.
    pub(super) fn with_certificate(self, certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self { certificate, ..self }
    }

    /// The same recorder, which keeps the certificates as they were sent, or does not.
    pub(super) fn keeping_certificates(self, keeps_certificates: bool) -> Self {
        Self { keeps_certificates, ..self }
    }

    /// The record so far; `None` until a certificate has come.
    pub(super) fn record(&self) -> Option<Record> {
        self.lock().clone()
    }

    /// Whether the server has asked for a client certificate, and was shown one.
    pub(super) fn client_auth(&self) -> ClientAuth {
        self.client_auth.get().copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Record>> {
        // Nothing panics while it holds the lock, and the record would be consistent if something did.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whether the server proved its key, and lets the handshake go on.
    fn record_signature(&self, signature: &HandshakeSignature<'_>) -> HandshakeSignatureValid {
        let outcome = signature.verify(&self.algorithms);
        let mut record = self.lock();
        let record = record.get_or_insert_default();
        record.version = Some(signature.version);
        record.key_proven = outcome.is_ok();
        if let Err(error) = outcome {
            record.problems.push(CertificateProblem::new(CertificateErrorKind::UnprovenKey, error.to_string()));
        }
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = Verifier { anchors: &self.anchors, name: server_name, now };
        let Verdict { mut problems, path } = verifier.verify(end_entity, intermediates);
        if !clock::is_in_range() {
            problems = without_dates(problems);
        }
        let sent = std::iter::once(end_entity).chain(intermediates);
        let presented =
            if self.keeps_certificates { sent.map(|der| der.as_ref().to_vec()).collect() } else { Vec::new() };
        let chain = chain_facts(end_entity, intermediates, &path);
        let record = Record { chain, problems, presented, ..Record::default() };
        *self.lock() = Some(record);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.record_signature(&HandshakeSignature {
            version: ProtocolVersion::TLSv1_2,
            message,
            certificate,
            signed,
        }))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.record_signature(&HandshakeSignature {
            version: ProtocolVersion::TLSv1_3,
            message,
            certificate,
            signed,
        }))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Recorder {
    /// The names of authorities are no reason to show nothing: the caller wants to know what the server says to this
    /// certificate.
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let answer = ClientAuth::answer(self.certificate.as_deref(), schemes);
        // A server asks once in a handshake.
        let _ = self.client_auth.set(answer);
        self.certificate.clone().filter(|_| answer == ClientAuth::Shown)
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

/// The problems when the system's clock is set wrong: whether a certificate is valid now cannot be told.
fn without_dates(mut problems: Vec<CertificateProblem>) -> Vec<CertificateProblem> {
    use CertificateErrorKind as Kind;
    problems.retain(|problem| !matches!(problem.kind, Kind::Expired | Kind::NotYetValid));
    problems.push(CertificateProblem::new(Kind::Unsupported, CLOCK_SET_WRONG));
    problems.sort_by_key(|problem| problem.kind);
    problems
}

/// The facts of the chain; empty if the server's own certificate is unreadable, since an issuer would look like it
/// then.
fn chain_facts(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    path: &[Vec<u8>],
) -> Vec<CertificateFacts> {
    let Ok(own) = Certificate::from_der(end_entity) else {
        return Vec::new();
    };
    let others = intermediates.iter().filter_map(|der| Certificate::from_der(der).ok());
    let facts = |certificate: Certificate<'_>| CertificateFacts {
        on_path: path.iter().any(|der| der == certificate.der()),
        ..certificate.facts()
    };
    std::iter::once(own).chain(others).map(facts).collect()
}
