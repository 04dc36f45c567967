//! TLS towards mail servers: handshakes that go on whatever the certificate is, and a full account of it.
//!
//! - [`trust`]: whom to believe: the system's trust anchors and the operator's own.
//! - `verdict`: every error of a certificate, each found independently of the others.
//! - `path`: who vouches for whom in what the server sent; `findings`: the errors so far, in words.
//! - `proof`: whether the server holds the certificate's key.
//! - `recorder`: what rustls asks about certificates; it records the verdict and lets the handshake go on.
//! - [`handshake`]: [`TlsClient`], which turns a byte stream into a TLS stream and [`TlsFacts`]; `alert`: how a server ends it.
//!
//! rustls bounds what a server can send: a handshake message (and so the whole certificate chain) over 64 KiB ends the handshake
//! with `HandshakePayloadTooLarge`.

mod alert;
mod findings;
pub mod handshake;
mod path;
mod proof;
mod recorder;
#[cfg(test)]
mod testing;
pub mod trust;
mod verdict;

pub use alert::Alert;
pub use handshake::{HandshakeError, InvalidServerName, ServerName, TlsClient};
pub use trust::{TrustAnchors, TrustError};

use crate::x509::{
    CertificateFacts,
    problem::{CertificateErrorKind, CertificateProblem, cert_error},
};

/// What a handshake told about the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The protocol version, such as `TLSv1.3`; `None` when the handshake failed before the server had signed anything.
    pub version: Option<&'static str>,
    /// The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`; `None` when the handshake failed.
    pub cipher: Option<&'static str>,
    /// The name that the certificate had to bear.
    pub server_name: String,
    /// The certificates that the server sent, its own first. Empty when its own can't be read; unreadable ones behind it are left out.
    pub chain: Vec<CertificateFacts>,
    /// Everything that is wrong with the certificate.
    pub problems: Vec<CertificateProblem>,
    completed: bool,
    key_proven: bool,
}

impl TlsFacts {
    /// Whether the handshake came to its end and nothing at all is wrong with the certificate.
    pub fn verified(&self) -> bool {
        self.completed && self.key_proven && self.problems.is_empty()
    }

    /// Why it is not certain that the server holds the certificate's key; `None` if it proved that. No secret may be sent to one that
    /// didn't: it could be anybody who has seen the certificate.
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
