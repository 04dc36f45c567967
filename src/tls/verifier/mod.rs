//! [`Verifier`]: every problem of a server's certificate, each found independently of the others (RFC 5280, section 6;
//! RFC 6125).
//!
//! webpki decides: a chain that it accepts now, for this name and for TLS servers, is good. When it rejects one, it
//! gives one reason and stops. Then the certificates on the [path](super::path) are checked one by one, and webpki is
//! asked again for a time at which all of them are valid and for any purpose, so that no problem hides another.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage};

use super::{
    path::{Path, PathEnd, best_path, issuer_candidates},
    problems::{CA_AS_SERVER, Problems},
    trust::TrustAnchors,
};
use crate::x509::{
    Certificate, SignatureCheck,
    problem::{CertificateErrorKind as Kind, CertificateProblem},
};

/// What a certificate is verified against.
pub(super) struct Verifier<'a> {
    pub(super) anchors: &'a TrustAnchors,
    pub(super) algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    pub(super) name: &'a ServerName<'a>,
    pub(super) now: UnixTime,
}

impl Verifier<'_> {
    /// Every problem of the server's own certificate `leaf`, and of the path from it through `others`, which the server
    /// sent too.
    pub(super) fn problems(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Vec<CertificateProblem> {
        let mut problems = Problems::default();
        let end_entity = EndEntityCert::try_from(leaf);
        match Certificate::from_der(leaf) {
            Ok(certificate) => {
                match &end_entity {
                    Ok(end_entity) => self.check_name(&certificate, end_entity, &mut problems),
                    Err(error) => {
                        problems.add_unreadable(&certificate, error);
                        // webpki matches no names of a certificate that it cannot read. One without names has the wrong
                        // name in any case.
                        if certificate.names().is_empty() {
                            problems.add(Kind::WrongName, self.wrong_name(&certificate));
                        }
                    }
                }
                check_strength(&certificate, &mut problems);
                if self.anchors.is_pinned(leaf) {
                    self.check_validity(&certificate, 0, &mut problems);
                    check_purposes(&certificate, 0, &mut problems);
                } else {
                    self.check_trust(certificate, end_entity.as_ref().ok(), others, &mut problems);
                }
            }
            Err(error) => problems.add(Kind::Malformed, error.to_string()),
        }
        problems.sorted()
    }

    fn check_name(&self, certificate: &Certificate<'_>, end_entity: &EndEntityCert<'_>, problems: &mut Problems) {
        match end_entity.verify_is_valid_for_subject_name(self.name) {
            Ok(()) => {}
            Err(webpki::Error::CertNotValidForName(_)) => {
                problems.add(Kind::WrongName, self.wrong_name(certificate));
            }
            Err(error) => problems.add_webpki(&error),
        }
    }

    fn wrong_name(&self, certificate: &Certificate<'_>) -> String {
        const MAX_NAMES_SHOWN: usize = 8;
        let names = certificate.names();
        let expected = self.name.to_str();
        if names.is_empty() {
            return format!("the certificate names no server (subjectAltName), so it is not for {expected}");
        }
        let more = match names.len().saturating_sub(MAX_NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let some = names[..names.len().min(MAX_NAMES_SHOWN)].join(", ");
        format!("the certificate is for {some}{more}, not for {expected}")
    }

    fn check_trust(
        &self,
        leaf: Certificate<'_>,
        end_entity: Option<&EndEntityCert<'_>>,
        others: &[CertificateDer<'_>],
        problems: &mut Problems,
    ) {
        let candidates = issuer_candidates(leaf, others, utc(self.now));
        let Some(end_entity) = end_entity else {
            return self.diagnose(&candidates, None, problems);
        };
        let issuers = ders(candidates[1..].iter());
        match self.verify_chain(end_entity, &issuers, self.now, KeyUsage::server_auth()) {
            // webpki does not check the key usage of a server's certificate, but everything else.
            Ok(()) => check_key_usage(&candidates[0], problems),
            Err(error) => {
                let before = problems.len();
                self.diagnose(&candidates, Some(end_entity), problems);
                if problems.len() == before {
                    problems.add_webpki(&error);
                }
            }
        }
    }

    /// Finds the problems of a chain that webpki rejected.
    fn diagnose(
        &self,
        candidates: &[Certificate<'_>],
        end_entity: Option<&EndEntityCert<'_>>,
        problems: &mut Problems,
    ) {
        let path = best_path(candidates, self.anchors.roots(), utc(self.now));
        let certificates: Vec<_> = path.certificates.iter().map(|index| &candidates[*index]).collect();
        for (depth, certificate) in certificates.iter().enumerate() {
            self.check_validity(certificate, depth, problems);
            check_purposes(certificate, depth, problems);
        }
        // A self-signed certificate is that of an authority in any case; openssl writes `CA:TRUE` into it by default.
        if candidates[0].is_ca() && path.end != PathEnd::SelfSigned {
            problems.add(Kind::WrongKeyUsage, CA_AS_SERVER);
        }
        check_signatures(&path, &certificates, problems);
        check_end(&path, &certificates, problems);
        if let Some(end_entity) = end_entity
            && let Some(time) = common_validity(&certificates)
        {
            let issuers = ders(certificates[1..].iter().copied());
            if let Err(error) = self.verify_chain(end_entity, &issuers, time, AnyPurpose) {
                add_rejection(&error, &path, problems);
            }
        }
    }

    /// Asks webpki for the chain's validity at a time.
    fn verify_chain(
        &self,
        end_entity: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        time: UnixTime,
        purpose: impl ExtendedKeyUsageValidator,
    ) -> Result<(), webpki::Error> {
        let roots = self.anchors.roots();
        end_entity.verify_for_usage(self.algorithms, roots, others, time, purpose, None, None).map(|_| ())
    }

    fn check_validity(&self, certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
        let now = utc(self.now);
        let label = label(certificate, depth);
        if now > certificate.not_after() {
            let until = rfc3339(certificate.not_after());
            problems.add(Kind::Expired, format!("{label} was valid until {until}"));
        }
        if now < certificate.not_before() {
            let from = rfc3339(certificate.not_before());
            problems.add(Kind::NotYetValid, format!("{label} is valid from {from}"));
        }
    }
}

fn check_strength(certificate: &Certificate<'_>, problems: &mut Problems) {
    if certificate.has_weak_key() {
        let key = certificate.key();
        problems.add(
            Kind::WeakKey,
            format!("the certificate's key is {key}, smaller than the 2048 bits that are required today"),
        );
    }
}

/// Whether the extensions of a certificate on the path allow its use there (RFC 5280, sections 4.2.1.3, 4.2.1.9 and
/// 4.2.1.12).
fn check_purposes(certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
    if let Some(usage) = certificate.extended_key_usage()
        && !usage.server_auth
    {
        let label = label(certificate, depth);
        let detail = format!("{label} is not for TLS servers (extended key usage)");
        problems.add(Kind::WrongKeyUsage, detail);
    }
    if depth == 0 {
        check_key_usage(certificate, problems);
    } else if !certificate.is_ca() {
        let label = label(certificate, depth);
        let detail = format!("{label} is not an authority's (CA:FALSE), yet it issued another");
        problems.add(Kind::WrongKeyUsage, detail);
    }
}

/// A server signs the handshake or takes part in a key exchange. Its key has to be for one of the two.
fn check_key_usage(certificate: &Certificate<'_>, problems: &mut Problems) {
    let Some(usage) = certificate.key_usage() else {
        return;
    };
    if !(usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()) {
        problems.add(Kind::WrongKeyUsage, "the certificate's key may neither sign nor exchange keys (key usage)");
    }
}

fn check_signatures(path: &Path, certificates: &[&Certificate<'_>], problems: &mut Problems) {
    for (depth, certificate) in certificates.iter().enumerate() {
        if path.signatures.get(depth) == Some(&SignatureCheck::Invalid) {
            let label = label(certificate, depth);
            let issuer = certificate.issuer();
            let detail = format!("{label} was not signed by the key of {issuer}");
            problems.add(Kind::BadSignature, detail);
        }
    }
}

fn check_end(path: &Path, certificates: &[&Certificate<'_>], problems: &mut Problems) {
    let Some(last) = certificates.last() else {
        return;
    };
    match path.end {
        PathEnd::TrustAnchor => {}
        PathEnd::SelfSigned => problems.add(Kind::SelfSigned, "the certificate is its own issuer and is not trusted"),
        PathEnd::UnknownIssuer if last.is_self_issued() => {
            problems.add(Kind::UnknownIssuer, format!("the chain ends at {}, which is not trusted", last.subject()))
        }
        PathEnd::UnknownIssuer => problems.add(
            Kind::UnknownIssuer,
            format!("{} is not trusted, and the server did not send its certificate", last.issuer()),
        ),
    }
}

/// Adds the reason why webpki rejects a path when dates and purposes do not count, unless it is in the list already.
fn add_rejection(error: &webpki::Error, path: &Path, problems: &mut Problems) {
    use webpki::Error::{CaUsedAsEndEntity, InvalidSignatureForPublicKey, UnknownIssuer};
    match error {
        CaUsedAsEndEntity if path.end == PathEnd::SelfSigned => {}
        UnknownIssuer | InvalidSignatureForPublicKey if path.end != PathEnd::TrustAnchor => {}
        InvalidSignatureForPublicKey if path.signatures.contains(&SignatureCheck::Unchecked) => {
            let detail = "a signature in the chain is by a key that is too small to verify it with";
            problems.add_kind(Kind::Unsupported, detail);
        }
        error => problems.add_webpki(error),
    }
}

fn ders<'a>(certificates: impl Iterator<Item = &'a Certificate<'a>>) -> Vec<CertificateDer<'a>> {
    certificates.map(|certificate| CertificateDer::from(certificate.der())).collect()
}

/// What a sentence calls the certificate. Depth 0 is the server's own.
fn label(certificate: &Certificate<'_>, depth: usize) -> String {
    match depth {
        0 => "the certificate".to_owned(),
        _ => format!("the issuing certificate {}", certificate.subject()),
    }
}

/// The last moment at which all the certificates are valid; `None` if there is none.
fn common_validity(certificates: &[&Certificate<'_>]) -> Option<UnixTime> {
    let first = certificates.iter().map(|one| one.not_before()).max()?;
    let last = certificates.iter().map(|one| one.not_after()).min()?;
    let seconds = u64::try_from(last.unix_timestamp()).ok()?;
    (first <= last).then(|| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn utc(time: UnixTime) -> OffsetDateTime {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// Accepts every extended key usage: [`check_purposes`] checks it apart from trust.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
