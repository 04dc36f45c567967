//! What rustls asks about certificates, the server's and ours: it records what it finds, and lets the handshake go on.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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

use super::{proof::Proof, trust::TrustAnchors, verdict::Judge};
use crate::x509::{
    Certificate, CertificateFacts,
    problem::{CertificateErrorKind, CertificateProblem},
};

/// What one handshake brought to light.
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
}

/// A verifier for one handshake, and the one who has no certificate to show there.
#[derive(Debug)]
pub(super) struct Recorder {
    anchors: Arc<TrustAnchors>,
    algorithms: WebPkiSupportedAlgorithms,
    record: Mutex<Option<Record>>,
    wants_certificate: AtomicBool,
}

impl Recorder {
    pub(super) fn new(anchors: Arc<TrustAnchors>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { anchors, algorithms, record: Mutex::new(None), wants_certificate: AtomicBool::new(false) }
    }

    /// The record so far; `None` until a certificate has come.
    pub(super) fn record(&self) -> Option<Record> {
        self.lock().clone()
    }

    /// Whether the server has asked for a certificate of the client's.
    pub(super) fn wants_certificate(&self) -> bool {
        self.wants_certificate.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Record>> {
        // Nothing panics while it holds the lock; and if so, the record is still whole.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the server proved its key, and lets the handshake go on.
    fn note(&self, proof: &Proof<'_>) -> HandshakeSignatureValid {
        let outcome = proof.check(&self.algorithms);
        let mut record = self.lock();
        let record = record.get_or_insert_default();
        record.version = Some(proof.version);
        record.key_proven = outcome.is_ok();
        if let Err(unproven) = outcome {
            record.problems.push(CertificateProblem::new(CertificateErrorKind::UnprovenKey, unproven.to_string()));
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
        let judge = Judge { anchors: &self.anchors, algorithms: self.algorithms.all, name: server_name, now };
        let record = Record {
            chain: chain_facts(end_entity, intermediates),
            problems: judge.problems(end_entity, intermediates),
            ..Record::default()
        };
        *self.lock() = Some(record);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.note(&Proof { version: ProtocolVersion::TLSv1_2, message, certificate, signed }))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(self.note(&Proof { version: ProtocolVersion::TLSv1_3, message, certificate, signed }))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.wants_certificate.store(true, Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The facts of the chain; nothing if the server's own certificate can't be read, lest an issuer be taken for it.
fn chain_facts(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Vec<CertificateFacts> {
    let Ok(own) = Certificate::from_der(end_entity) else {
        return Vec::new();
    };
    let others = intermediates.iter().filter_map(|der| Certificate::from_der(der).ok());
    std::iter::once(own).chain(others).map(|certificate| certificate.facts()).collect()
}
