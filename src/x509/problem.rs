//! What can be wrong with a server's certificate: a kind for machines, a sentence for people.

use std::fmt;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The kinds of error that a certificate, or the server's use of it, can have.
///
/// Kinds don't hide one another: a certificate that is expired and bears the wrong name has both.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CertificateErrorKind {
    /// The server's certificate, or one that vouches for it, is no longer valid.
    Expired,
    /// The server's certificate, or one that vouches for it, isn't valid yet.
    NotYetValid,
    /// None of the certificate's names is the server's (RFC 6125; the common name doesn't count).
    WrongName,
    /// The certificate is its own issuer, and isn't trusted by itself.
    SelfSigned,
    /// No trusted authority vouches for the certificate.
    UnknownIssuer,
    /// A signature in the chain wasn't made by the issuer's key.
    BadSignature,
    /// The certificate, or one that vouches for it, isn't meant for this use.
    WrongKeyUsage,
    /// The certificate's key is so small that it can be broken: RSA of fewer than 2048 bits.
    WeakKey,
    /// Nobody proved that the server holds the certificate's key: its signature in the handshake is not by that key, or it could not
    /// be checked.
    UnprovenKey,
    /// An issuer was not allowed to issue for this name.
    NameConstraint,
    /// Something in the chain that this client doesn't support, such as X.509 version 1.
    Unsupported,
    /// A certificate in the chain can't be read.
    Malformed,
    /// Anything else that made the verifier refuse the chain.
    Other,
}

impl CertificateErrorKind {
    /// The name that callers see.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The words that stand in front of every problem of this kind.
    fn words(self) -> &'static str {
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

/// Characters of a problem's detail.
const LONGEST_DETAIL: usize = 1000;

/// One certificate error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProblem {
    /// Which kind of error.
    pub kind: CertificateErrorKind,
    /// Which certificate, since when, which name: one clause, without the kind's own words.
    pub detail: String,
}

impl CertificateProblem {
    /// A problem and its particulars, cut off where they get absurdly long: certificates can bear names of 64 KiB.
    pub fn new(kind: CertificateErrorKind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(LONGEST_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { kind, detail }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.words(), self.detail)
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
    fn every_problem_is_in_the_line() {
        assert_eq!(cert_error(&[]), None);
        let expired = CertificateProblem::new(CertificateErrorKind::Expired, "on Monday");
        let unknown = CertificateProblem::new(CertificateErrorKind::UnknownIssuer, "CN=x");
        assert_eq!(cert_error(&[expired, unknown]).as_deref(), Some("expired: on Monday; unknown issuer: CN=x"));
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let problem = CertificateProblem::new(CertificateErrorKind::Other, "ü".repeat(5000));
        assert_eq!(problem.detail.chars().count(), LONGEST_DETAIL + 1);
        assert!(problem.detail.ends_with("ü…"));
        let problem = CertificateProblem::new(CertificateErrorKind::Other, "ü".repeat(1000));
        assert!(problem.detail.ends_with('ü'));
    }
}
