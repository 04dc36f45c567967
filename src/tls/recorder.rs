//! The verifier that rustls asks: it records what it finds, and lets the handshake go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};

use webpki::{EndEntityCert, RawPublicKeyEntity};

use super::{trust::TrustAnchors, verdict::Judge};
use crate::x509::{
    Certificate, CertificateFacts,
    problem::{CertificateErrorKind, CertificateProblem},
};

/// What one handshake brought to light.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The certificates that the server sent, its own first.
    pub(super) chain: Vec<CertificateFacts>,
    /// Everything that is wrong with them.
    pub(super) problems: Vec<CertificateProblem>,
    /// Whether the server proved that it holds the key.
    pub(super) key_proven: bool,
}

/// A verifier for one handshake.
#[derive(Debug)]
pub(super) struct Recorder {
    anchors: Arc<TrustAnchors>,
    algorithms: WebPkiSupportedAlgorithms,
    record: Mutex<Option<Record>>,
}

impl Recorder {
    pub(super) fn new(anchors: Arc<TrustAnchors>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { anchors, algorithms, record: Mutex::new(None) }
    }

    /// The record so far; `None` until a certificate has come.
    pub(super) fn record(&self) -> Option<Record> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Record>> {
        // Nothing panics while it holds the lock; and if so, the record is still whole.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the server proved its key, by webpki's judgement or else by the raw key's, and lets the handshake go on.
    fn note_proof(
        &self,
        certificate: &CertificateDer<'_>,
        proof: Result<HandshakeSignatureValid, Error>,
        by_raw_key: impl FnOnce() -> Option<()>,
    ) -> HandshakeSignatureValid {
        let proof = proof.map(|_| ()).or_else(|error| by_raw_key().ok_or(error));
        let mut record = self.lock();
        let record = record.get_or_insert_default();
        record.key_proven = proof.is_ok();
        if let Err(error) = proof {
            let key =
                Certificate::from_der(certificate).map_or_else(|_| "unreadable".to_owned(), |parsed| parsed.key());
            record.problems.push(CertificateProblem::new(
                CertificateErrorKind::UnprovenKey,
                format!("the server's signature does not verify with the certificate's key ({key}; {error})"),
            ));
        }
        HandshakeSignatureValid::assertion()
    }
}

/// webpki takes no key out of a certificate that it doesn't support (X.509 version 1). The server's proof can be checked all the same.
impl Recorder {
    fn raw_key_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Option<()> {
        let key = raw_key(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).ok()?;
        let mut mapping = self.algorithms.mapping.iter();
        let (_, algorithms) = mapping.find(|(scheme, _)| *scheme == signed.scheme)?;
        algorithms
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok())
            .then_some(())
    }

    fn raw_key_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Option<()> {
        let key = raw_key(certificate)?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms).ok().map(|_| ())
    }
}

/// The public key of a certificate that webpki can't read; those that it can read, it has judged already.
fn raw_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    if EndEntityCert::try_from(certificate).is_ok() {
        return None;
    }
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(SubjectPublicKeyInfoDer::from(parsed.public_key_der().to_vec()))
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
            key_proven: false,
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
        let proof = verify_tls12_signature(message, certificate, signed, &self.algorithms);
        Ok(self.note_proof(certificate, proof, || self.raw_key_tls12(message, certificate, signed)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proof = verify_tls13_signature(message, certificate, signed, &self.algorithms);
        Ok(self.note_proof(certificate, proof, || self.raw_key_tls13(message, certificate, signed)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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
