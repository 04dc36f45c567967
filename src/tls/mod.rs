//! TLS client for mail servers. A bad certificate does not end the handshake: all its problems are reported.
//!
//! - [`trust`]: the trust anchors of the system and of the operator.
//! - `verifier`: every problem of a certificate, each found independently of the others.
//! - `path`: the certification path among the certificates that the server sent.
//! - `problems`: the list of problems, and the texts for webpki's errors.
//! - `chain_signature`, `rsa_pss`: the signatures of certificates by their issuers.
//! - `stand_in`: webpki's answers about a name or a key of a certificate that it cannot read.
//! - `signature`: whether the server holds the certificate's private key.
//! - `recorder`: the certificate verifier that rustls calls; it records problems and lets the handshake go on.
//! - [`handshake`]: [`TlsClient`], which turns a byte stream into a TLS stream and [`TlsFacts`].
//! - `client_auth`: client certificates, and what a server was shown of them.
//! - [`dane`]: the path to a trust anchor that DNS gives.
//! - `alert`: the alerts by which a server ends a handshake.
//! - `fault`: the errors of rustls in our own words, and [`SessionError`], why a session broke.
//!
//! rustls bounds what a server can send: a handshake message (and so the whole certificate chain) over 64 KiB ends the
//! handshake.

mod alert;
mod chain_signature;
mod client_auth;
pub mod dane;
mod fault;
pub mod handshake;
mod path;
mod problems;
mod recorder;
mod rsa_pss;
mod signature;
mod stand_in;
#[cfg(test)]
mod testing;
pub mod trust;
mod verifier;

pub use alert::Alert;
pub use client_auth::{ClientAuth, ClientAuthRefused, client_certificate};
pub use fault::{ClientLack, SessionError, TlsFault};
pub use handshake::{HandshakeError, InvalidServerName, ServerName, TlsClient};
pub use trust::{TrustAnchors, TrustError};

use crate::x509::{
    CertificateFacts,
    problem::{CertificateErrorKind, CertificateProblem, cert_error},
};

/// What a handshake showed of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The protocol version, such as `TLSv1.3`; `None` when the handshake failed before the server had signed anything.
    pub version: Option<&'static str>,
    /// The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`; `None` when the handshake failed.
    pub cipher: Option<&'static str>,
    /// The name that the certificate was checked for.
    pub server_name: String,
    /// The certificates that the server sent, its own first. Empty when its own is unreadable; other unreadable ones
    /// are left out.
    pub chain: Vec<CertificateFacts>,
    /// The certificates as they were sent; empty unless the offer asked for them.
    pub presented: Vec<Vec<u8>>,
    /// Everything that is wrong with the certificate.
    pub problems: Vec<CertificateProblem>,
    /// Whether the server asked for a client certificate, and was shown one.
    pub client_auth: ClientAuth,
    completed: bool,
    key_proven: bool,
}

impl TlsFacts {
    /// Whether the handshake was completed and the certificate has no problem.
    pub fn verified(&self) -> bool {
        self.completed && self.key_proven && self.problems.is_empty()
    }

    /// Why it is not certain that the server holds the certificate's private key; `None` if it proved that. No secret
    /// may be sent without that proof: anybody can present a certificate that is public.
    pub fn unproven_key(&self) -> Option<&str> {
        let mut problems = self.problems.iter();
        match problems.find(|problem| problem.kind == CertificateErrorKind::UnprovenKey) {
            Some(problem) => Some(&problem.detail),
            None if self.key_proven => None,
            None => Some("the handshake ended before it proved that it holds the certificate's key"),
        }
    }

    /// All problems in one line; `None` if there are none.
    pub fn cert_error(&self) -> Option<String> {
        cert_error(&self.problems)
    }
}
