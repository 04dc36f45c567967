//! [`Problems`]: the list of certificate problems under construction, and the texts for webpki's errors.

use crate::x509::problem::{CertificateErrorKind as Kind, CertificateProblem};

/// The detail when the server's certificate is that of a certification authority.
pub(super) const CA_AS_SERVER: &str = "the server's own certificate is that of an authority (CA:TRUE)";

/// The detail when the chain is beyond the limits of this program.
pub(super) const TOO_LONG: &str = "the chain has more certificates or more possible paths than this program follows (6 \
    issuers among 32 others)";

#[derive(Default)]
pub(super) struct Problems(Vec<CertificateProblem>);

impl Problems {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.0.iter().any(|problem| problem.kind == kind)
    }

    pub(super) fn add(&mut self, kind: Kind, detail: impl Into<String>) {
        let problem = CertificateProblem::new(kind, detail);
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(super) fn extend(&mut self, others: Self) {
        for problem in others.0 {
            self.add(problem.kind, problem.detail);
        }
    }

    /// Adds a problem unless there is one of its kind: that one is more precise.
    pub(super) fn add_kind(&mut self, kind: Kind, detail: impl Into<String>) {
        if !self.has(kind) {
            self.add(kind, detail);
        }
    }

    pub(super) fn add_webpki(&mut self, error: &webpki::Error) {
        let (kind, detail) = describe(error);
        self.add_kind(kind, detail);
    }

    pub(super) fn sorted(mut self) -> Vec<CertificateProblem> {
        self.0.sort_by_key(|problem| problem.kind);
        self.0
    }
}

/// The kind and the text for an error of webpki. Its own texts are identifiers of its code.
pub(super) fn describe(error: &webpki::Error) -> (Kind, &'static str) {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => (Kind::Expired, "a certificate in the chain"),
        E::InvalidCertValidity => (Kind::Expired, "a certificate whose validity ends before it begins"),
        E::CertNotValidYet { .. } => (Kind::NotYetValid, "a certificate in the chain"),
        E::CertNotValidForName(_) => (Kind::WrongName, "the certificate is for another server"),
        E::UnknownIssuer => (Kind::UnknownIssuer, "no trusted authority issued the chain"),
        E::InvalidSignatureForPublicKey => (Kind::BadSignature, "a signature in the chain does not verify"),
        E::CaUsedAsEndEntity => (Kind::WrongKeyUsage, CA_AS_SERVER),
        E::EndEntityUsedAsCa => (Kind::WrongKeyUsage, "a certificate in the chain is not an authority's (CA:FALSE)"),
        E::RequiredEkuNotFoundContext(_) => {
            (Kind::WrongKeyUsage, "a certificate in the chain is not for TLS servers (extended key usage)")
        }
        E::PathLenConstraintViolated => (
            Kind::WrongKeyUsage,
            "an authority in the chain may not issue certificates to other authorities (path length)",
        ),
        E::NameConstraintViolation => {
            (Kind::NameConstraint, "an authority in the chain may not issue certificates for these names")
        }
        E::CertDistrusted => (Kind::Other, "the authority is explicitly distrusted"),
        E::MaximumNameConstraintComparisonsExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumSignatureChecksExceeded => (Kind::Unsupported, TOO_LONG),
        E::UnsupportedCertVersion => (Kind::Unsupported, "not X.509 version 3"),
        E::UnsupportedCriticalExtension => (Kind::Unsupported, "an unknown critical extension"),
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            (Kind::Unsupported, "the signature algorithm of a certificate in the chain")
        }
        E::BadDer | E::TrailingData(_) => (Kind::Malformed, "not well-formed DER"),
        E::BadDerTime => (Kind::Malformed, "an invalid time"),
        E::EmptyEkuExtension => (Kind::Malformed, "an extended key usage without a purpose"),
        E::ExtensionValueInvalid | E::MalformedExtensions => {
            (Kind::Malformed, "an extension that is unreadable or occurs twice")
        }
        E::InvalidNetworkMaskConstraint | E::MalformedNameConstraint => {
            (Kind::Malformed, "an unreadable name constraint")
        }
        E::InvalidSerialNumber => (Kind::Malformed, "an invalid serial number"),
        E::MalformedDnsIdentifier => (Kind::Malformed, "an invalid host name"),
        E::SignatureAlgorithmMismatch => (Kind::Malformed, "two signature algorithms that differ"),
        _ => (Kind::Other, "the verifier rejected the chain for a reason that this service has no text for"),
    }
}
