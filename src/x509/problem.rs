//! [`CertificateProblem`]: what is wrong with a server's certificate. A kind for programs, a text for people.

use std::fmt;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The kinds of error that a certificate, or the server's use of it, can have.
///
/// Kinds do not hide one another: a certificate that is expired and has the wrong name has both.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CertificateErrorKind {
    /// The server's certificate, or that of an issuer, is no longer valid.
    Expired,
    /// The server's certificate, or that of an issuer, is not valid yet.
    NotYetValid,
    /// None of the certificate's names is the server's (RFC 6125; the common name does not count).
    WrongName,
    /// The certificate is its own issuer and is not trusted.
    SelfSigned,
    /// No trusted authority issued the certificate.
    UnknownIssuer,
    /// A signature in the chain does not verify with the issuer's key.
    BadSignature,
    /// The certificate, or that of an issuer, is not for this use.
    WrongKeyUsage,
    /// The certificate's key is so small that it can be broken: RSA of fewer than 2048 bits.
    WeakKey,
    /// The server did not prove that it holds the certificate's key: its handshake signature is not by that key, or
    /// could not be checked.
    UnprovenKey,
    /// An issuer was not allowed to issue for this name.
    NameConstraint,
    /// Something in the chain that this client does not support, such as X.509 version 1.
    Unsupported,
    /// A certificate in the chain has a part that is unreadable, or in a form that RFC 5280 does not allow.
    Malformed,
    /// Any other reason why the verifier rejected the chain.
    Other,
}

impl CertificateErrorKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The text before the detail of every problem of this kind.
    fn prefix(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::WrongName => "wrong name",
            Self::SelfSigned => "self-signed",
            Self::UnknownIssuer => "unknown issuer",
            Self::BadSignature => "bad signature",
            Self::WrongKeyUsage => "wrong key usage",
            Self::WeakKey => "weak key",
            Self::UnprovenKey => "unproven key",
            Self::NameConstraint => "name constraint violated",
            Self::Unsupported => "unsupported certificate",
            Self::Malformed => "malformed certificate",
            Self::Other => "not trusted",
        }
    }
}

/// Longest detail, in octets.
const MAX_DETAIL_SIZE: usize = 512;

/// One problem of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateProblem {
    /// The kind of problem.
    pub kind: CertificateErrorKind,
    /// Which certificate, since when, which name: one clause that does not repeat the kind.
    pub detail: String,
}

impl CertificateProblem {
    /// A problem with its detail, of which no more than [`MAX_DETAIL_SIZE`] is kept: certificates can have names of
    /// 64 KiB.
    pub fn new(kind: CertificateErrorKind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > MAX_DETAIL_SIZE {
            detail.truncate(detail.floor_char_boundary(MAX_DETAIL_SIZE - '…'.len_utf8()));
            detail.shrink_to_fit();
            detail.push('…');
        }
        Self { kind, detail }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.prefix(), self.detail)
    }
}

/// All problems in one line, `; ` between them; `None` if there are none.
pub fn cert_error(problems: &[CertificateProblem]) -> Option<String> {
    if problems.is_empty() {
        return None;
    }
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Some(texts.join("; "))
}

/// The kinds of the problems, each once, in the order of [`CertificateErrorKind`].
pub fn kinds_of(problems: &[CertificateProblem]) -> Vec<CertificateErrorKind> {
    let mut kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cert_error_lists_every_problem() {
        assert_eq!(cert_error(&[]), None);
        let expired = CertificateProblem::new(CertificateErrorKind::Expired, "on Monday");
        let unknown = CertificateProblem::new(CertificateErrorKind::UnknownIssuer, "CN=x");
        assert_eq!(cert_error(&[expired, unknown]).as_deref(), Some("expired: on Monday; unknown issuer: CN=x"));
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let problem = CertificateProblem::new(CertificateErrorKind::Other, "ü".repeat(5000));
        assert_eq!(problem.detail.len(), MAX_DETAIL_SIZE - 1);
        assert!(problem.detail.ends_with("ü…"));
        let problem = CertificateProblem::new(CertificateErrorKind::Other, "ü".repeat(256));
        assert!(problem.detail.ends_with('ü'));
    }
}
