//! What RFC 5280 allows and webpki does not process. It rejects such paths, whatever else they are.
//!
//! This program processes it: on such a path every step of RFC 5280, section 6.1, is checked without webpki, and its
//! verdict does not count.

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::TrustAnchor;

use crate::x509::{Certificate, NameConstraints};

/// webpki reads path lengths of one octet.
const MAX_PATH_LENGTH: u32 = 255;

/// Whether webpki cannot read this certificate, although this program can.
pub(super) fn applies(certificate: &Certificate<'_>) -> bool {
    certificate.has_critical_policies()
        || certificate.has_unique_identifiers()
        || certificate.rule_against_parameters().is_some()
        || certificate.name_constraints().is_some_and(|constraints| constraints.has_distances())
        || certificate.path_length().is_some_and(|length| length > MAX_PATH_LENGTH)
        || certificate.not_before().is_some_and(|date| date < OffsetDateTime::UNIX_EPOCH)
}

/// Whether the verdict of webpki about a path that ends at one of the `anchors` may be due to a limit of webpki.
pub(super) fn may_explain(error: &webpki::Error, path: &[&Certificate<'_>], anchors: &[&TrustAnchor<'_>]) -> bool {
    use webpki::Error as E;
    let is_of_a_limit = matches!(
        error,
        E::BadDer
            | E::BadDerTime
            | E::CaUsedAsEndEntity
            | E::NameConstraintViolation
            | E::PathLenConstraintViolated
            | E::TrailingData(_)
            | E::UnknownIssuer
            | E::UnsupportedCriticalExtension
    );
    // Of all the paths that webpki tries, it gives the error that it takes for the most specific one.
    let is_of_another_path = matches!(
        error,
        E::CertExpired { .. }
            | E::CertNotValidYet { .. }
            | E::EndEntityUsedAsCa
            | E::InvalidSignatureForPublicKey
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
    );
    // A host name that is not well-formed, which webpki does not compare with name constraints.
    if *error == E::MalformedDnsIdentifier {
        return true;
    }
    (is_of_a_limit || is_of_another_path)
        && (path.first().is_some_and(|leaf| leaf.is_ca())
            || path.iter().any(|certificate| applies(certificate))
            || path
                .iter()
                .skip(1)
                .any(|issuer| issuer.is_self_issued() || has_rare_constraints(issuer.name_constraints()))
            || path.windows(2).any(|pair| pair[0].raw_issuer() != pair[1].raw_subject())
            || anchors.iter().any(|anchor| has_rare_constraints(constraints_of(anchor))))
}

/// The name constraints of a trust anchor; `None` if it has none or they are unreadable, which webpki rejects.
pub(super) fn constraints_of<'a>(anchor: &'a TrustAnchor<'_>) -> Option<NameConstraints<'a>> {
    NameConstraints::from_content(anchor.name_constraints.as_deref()?)
}

fn has_rare_constraints(constraints: Option<NameConstraints<'_>>) -> bool {
    constraints.is_some_and(|constraints| constraints.has_rare_kinds() || constraints.has_distances())
}
