//! Certificates and records for tests.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{
    TlsaRecord,
    digest::{sha256, sha512},
};
use crate::mail_dns::der;

/// A server's own certificate, an intermediate authority and a root, in DER.
pub(super) struct Pki {
    pub(super) chain: [Vec<u8>; 3],
    /// Another certificate of the server, with the same key.
    pub(super) renewed: Vec<u8>,
}

impl Pki {
    pub(super) fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("root"), key()).expect("a root");
        let intermediate = CertifiedIssuer::signed_by(authority("intermediate"), key(), &root).expect("an authority");
        let server = key();
        let issue = |years: i32| {
            let mut parameters = CertificateParams::new(vec!["mx.example.com".to_owned()]).expect("parameters");
            parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2026 + years, 1, 1);
            parameters.signed_by(&server, &intermediate).expect("a certificate").der().to_vec()
        };
        Self { chain: [issue(1), intermediate.der().to_vec(), root.der().to_vec()], renewed: issue(2) }
    }

    pub(super) fn server(&self) -> &[u8] {
        &self.chain[0]
    }

    pub(super) fn intermediate(&self) -> &[u8] {
        &self.chain[1]
    }

    pub(super) fn root(&self) -> &[u8] {
        &self.chain[2]
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

/// The record with these three numbers that fits a certificate.
pub(super) fn record(numbers: [u8; 3], certificate: &[u8]) -> TlsaRecord {
    let [usage, selector, matching_type] = numbers;
    let octets = match selector {
        1 => der::certificate(certificate).expect("a certificate").key,
        _ => certificate,
    };
    let data = match matching_type {
        1 => sha256(octets).to_vec(),
        2 => sha512(octets).to_vec(),
        _ => octets.to_vec(),
    };
    TlsaRecord { usage, selector, matching_type, data }
}

/// The same, but of something else.
pub(super) fn other(numbers: [u8; 3], certificate: &[u8]) -> TlsaRecord {
    let mut record = record(numbers, certificate);
    if let Some(last) = record.data.last_mut() {
        *last ^= 1;
    }
    record
}
