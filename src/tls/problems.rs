//! [`Problems`]: the list of certificate problems under construction, and the texts for webpki's errors.

use std::collections::HashSet;

use strum::VariantArray;

use crate::x509::problem::{CertificateErrorKind as Kind, CertificateProblem};

/// The detail when the chain is beyond the limits of this program.
pub(super) const TOO_LONG: &str = "the chain has more certificates or more possible paths than this program follows (6 \
    issuers among 32 others)";

/// Most problems of one kind that are named: a certificate has room for thousands of unknown extensions.
const MAX_OF_A_KIND: usize = 16;

#[derive(Default)]
pub(super) struct Problems {
    named: Vec<CertificateProblem>,
    /// Each one, whether it is named or only counted.
    all: HashSet<CertificateProblem>,
}

impl Problems {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.count(kind) > 0
    }

    /// How many of this kind are named.
    fn count(&self, kind: Kind) -> usize {
        self.named.iter().filter(|problem| problem.kind == kind).count()
    }

    pub(super) fn add(&mut self, kind: Kind, detail: impl Into<String>) {
        self.add_problem(CertificateProblem::new(kind, detail));
    }

    fn add_problem(&mut self, problem: CertificateProblem) {
        if self.all.contains(&problem) {
            return;
        }
        if self.count(problem.kind) < MAX_OF_A_KIND {
            self.named.push(problem.clone());
        }
        self.all.insert(problem);
    }

    pub(super) fn extend(&mut self, others: Self) {
        // Those that are named first, so that they stay in their order.
        for problem in others.named.into_iter().chain(others.all) {
            self.add_problem(problem);
        }
    }

    /// Adds a problem unless there is one of its kind: that one is more precise.
    pub(super) fn add_kind(&mut self, kind: Kind, detail: impl Into<String>) {
        if !self.has(kind) {
            self.add(kind, detail);
        }
    }

    pub(super) fn sorted(mut self) -> Vec<CertificateProblem> {
        for kind in Kind::VARIANTS {
            let all = self.all.iter().filter(|problem| problem.kind == *kind).count();
            let more = all - self.count(*kind);
            if more > 0 {
                self.named.push(CertificateProblem::new(*kind, format!("and {more} more")));
            }
        }
        self.named.sort_by_key(|problem| problem.kind);
        self.named
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
        E::CaUsedAsEndEntity => (Kind::Unsupported, "the server's own certificate is that of an authority (CA:TRUE)"),
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
        E::MaximumNameConstraintComparisonsExceeded => {
            (Kind::Unsupported, "more than 250,000 comparisons of names with name constraints")
        }
        E::MaximumPathBuildCallsExceeded | E::MaximumPathDepthExceeded | E::MaximumSignatureChecksExceeded => {
            (Kind::Unsupported, TOO_LONG)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_problems_is_bounded() {
        let mut problems = Problems::default();
        for number in 0..4000 {
            problems.add(Kind::Unsupported, format!("{number}"));
        }
        problems.add(Kind::Other, "one");
        let mut both = Problems::default();
        both.extend(problems);
        both.add(Kind::Unsupported, "3999");
        let sorted = both.sorted();
        let details: Vec<_> = sorted.iter().map(|problem| problem.detail.as_str()).collect();
        assert_eq!(details.len(), MAX_OF_A_KIND + 2);
        assert_eq!(details[MAX_OF_A_KIND - 1..], ["15", "and 3984 more", "one"]);
    }
}
