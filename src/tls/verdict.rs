//! The verdict on a server's certificate: every error, each found independently of the others.
//!
//! webpki decides: a chain that it accepts now, for this name and for TLS servers, is good. When it refuses, it names one reason and
//! stops. Then the certificates on the [path](super::path) are looked at one by one, and webpki is asked again at a moment when all
//! of them are valid and without regard to their purpose, so that no error hides behind another.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime,
};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage};

use super::{
    path::{End, Path, path},
    trust::TrustAnchors,
};
use crate::x509::{
    Certificate,
    problem::{CertificateErrorKind as Kind, CertificateProblem},
};

/// By what a certificate is judged.
pub(super) struct Judge<'a> {
    pub(super) anchors: &'a TrustAnchors,
    pub(super) algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    pub(super) name: &'a ServerName<'a>,
    pub(super) now: UnixTime,
}

impl Judge<'_> {
    /// Everything that is wrong with the server's own certificate `leaf`, given what else it sent.
    pub(super) fn problems(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Vec<CertificateProblem> {
        let mut found = Findings::default();
        let end_entity = EndEntityCert::try_from(leaf);
        match Certificate::from_der(leaf) {
            Ok(certificate) => {
                match &end_entity {
                    Ok(end_entity) => self.check_name(&certificate, end_entity, &mut found),
                    Err(error) => {
                        found.add_unreadable(&certificate, error);
                        self.check_no_name(&certificate, &mut found);
                    }
                }
                if self.anchors.is_pinned(leaf) {
                    self.check_validity(&certificate, 0, &mut found);
                    check_purposes(&certificate, 0, &mut found);
                } else {
                    self.check_trust(certificate, end_entity.as_ref().ok(), others, &mut found);
                }
            }
            Err(error) => found.add(Kind::Malformed, error.to_string()),
        }
        found.sorted()
    }

    fn check_name(
        &self,
        certificate: &Certificate<'_>,
        end_entity: &EndEntityCert<'_>,
        found: &mut Findings,
    ) {
        match end_entity.verify_is_valid_for_subject_name(self.name) {
            Ok(()) => {}
            Err(webpki::Error::CertNotValidForName(_)) => {
                found.add(Kind::WrongName, self.wrong_name(certificate));
            }
            Err(error) => found.add_webpki(&error),
        }
    }

    /// webpki matches no names of a certificate that it can't read. One that has none at all is wrong anyhow.
    fn check_no_name(&self, certificate: &Certificate<'_>, found: &mut Findings) {
        if certificate.names().is_empty() {
            found.add(Kind::WrongName, self.wrong_name(certificate));
        }
    }

    fn wrong_name(&self, certificate: &Certificate<'_>) -> String {
        const MOST_NAMED: usize = 8;
        let names = certificate.names();
        let wanted = self.name.to_str();
        if names.is_empty() {
            return format!(
                "the certificate names no server (subjectAltName), so it is not for {wanted}"
            );
        }
        let more = match names.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let some = names[..names.len().min(MOST_NAMED)].join(", ");
        format!("the certificate is for {some}{more}, not for {wanted}")
    }

    fn check_trust(
        &self,
        leaf: Certificate<'_>,
        end_entity: Option<&EndEntityCert<'_>>,
        others: &[CertificateDer<'_>],
        found: &mut Findings,
    ) {
        let refusal = match end_entity {
            None => None,
            Some(end_entity) => {
                match self.ask(end_entity, others, self.now, KeyUsage::server_auth()) {
                    // webpki doesn't look at the key usage of a server's certificate. Everything else it has just found good.
                    Ok(()) => return check_key_usage(&leaf, found),
                    Err(error) => Some(error),
                }
            }
        };
        let before = found.len();
        let mut chain = vec![leaf];
        chain.extend(
            others
                .iter()
                .filter_map(|der| Certificate::from_der(der).ok()),
        );
        self.diagnose(&chain, end_entity, found);
        if let Some(refusal) = refusal
            && found.len() == before
        {
            found.add_webpki(&refusal);
        }
    }

    fn diagnose(
        &self,
        chain: &[Certificate<'_>],
        end_entity: Option<&EndEntityCert<'_>>,
        found: &mut Findings,
    ) {
        let path = path(chain, self.anchors.roots(), utc(self.now));
        let certificates: Vec<_> = path.certificates.iter().map(|at| &chain[*at]).collect();
        for (height, certificate) in certificates.iter().enumerate() {
            self.check_validity(certificate, height, found);
            check_purposes(certificate, height, found);
        }
        // Whoever signs his own certificate is his own authority: `CA:TRUE`, which openssl writes by default, says nothing more.
        let is_own_issuer = matches!(path.end, End::SelfSigned | End::SelfIssued);
        if certificates[0].is_ca() && !is_own_issuer {
            found.add(
                Kind::WrongKeyUsage,
                "the server uses the certificate of an authority (CA:TRUE) as its own",
            );
        }
        check_end(&path, &certificates, found);
        let (Some(end_entity), Some(moment)) = (end_entity, common_moment(&certificates)) else {
            return;
        };
        let issuers: Vec<_> = certificates[1..]
            .iter()
            .map(|issuer| CertificateDer::from(issuer.der()))
            .collect();
        match self.ask(end_entity, &issuers, moment, AnyPurpose) {
            Ok(()) => {}
            Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity)
                if is_own_issuer => {}
            Err(webpki::Error::InvalidSignatureForPublicKey) if path.unchecked => found.add_kind(
                Kind::Unsupported,
                "a signature in the chain is by a key too small to be checked",
            ),
            Err(error) => found.add_webpki(&error),
        }
    }

    fn ask(
        &self,
        end_entity: &EndEntityCert<'_>,
        others: &[CertificateDer<'_>],
        moment: UnixTime,
        purpose: impl ExtendedKeyUsageValidator,
    ) -> Result<(), webpki::Error> {
        let roots = self.anchors.roots();
        end_entity
            .verify_for_usage(self.algorithms, roots, others, moment, purpose, None, None)
            .map(|_| ())
    }

    fn check_validity(&self, certificate: &Certificate<'_>, height: usize, found: &mut Findings) {
        let now = utc(self.now);
        let which = which(certificate, height);
        if now > certificate.not_after() {
            let until = rfc3339(certificate.not_after());
            found.add(Kind::Expired, format!("{which} was valid until {until}"));
        }
        if now < certificate.not_before() {
            let from = rfc3339(certificate.not_before());
            found.add(Kind::NotYetValid, format!("{which} is valid from {from}"));
        }
    }
}

/// What the extensions of a certificate on the path forbid.
fn check_purposes(certificate: &Certificate<'_>, height: usize, found: &mut Findings) {
    if let Some(usage) = certificate.extended_key_usage()
        && !usage.server_auth
    {
        let which = which(certificate, height);
        let detail = format!("{which} is not for TLS servers (extended key usage)");
        found.add(Kind::WrongKeyUsage, detail);
    }
    if height == 0 {
        check_key_usage(certificate, found);
    } else if !certificate.is_ca() {
        let which = which(certificate, height);
        let detail = format!("{which} is not an authority's (CA:FALSE), yet it issued another");
        found.add(Kind::WrongKeyUsage, detail);
    }
}

/// A server signs the handshake or takes part in a key exchange; its key has to be good for one of them.
fn check_key_usage(certificate: &Certificate<'_>, found: &mut Findings) {
    let Some(usage) = certificate.key_usage() else {
        return;
    };
    if !(usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()) {
        found.add(
            Kind::WrongKeyUsage,
            "the certificate's key may neither sign nor exchange keys (key usage)",
        );
    }
}

fn check_end(path: &Path, certificates: &[&Certificate<'_>], found: &mut Findings) {
    let Some(last) = certificates.last() else {
        return;
    };
    match path.end {
        End::Trusted => {}
        End::SelfSigned => found.add(
            Kind::SelfSigned,
            "the certificate vouches for itself, and is not trusted",
        ),
        End::SelfIssued => {
            found.add(
                Kind::SelfSigned,
                "the certificate names itself as its issuer",
            );
            found.add(
                Kind::BadSignature,
                "the certificate's key did not make its signature",
            );
        }
        End::UnknownIssuer if last.is_self_issued() => found.add(
            Kind::UnknownIssuer,
            format!("the chain ends at {}, which is not trusted", last.subject()),
        ),
        End::UnknownIssuer => found.add(
            Kind::UnknownIssuer,
            format!(
                "{} is not trusted, nor did its certificate come along",
                last.issuer()
            ),
        ),
        End::BadSignature => {
            let which = which(last, certificates.len() - 1);
            let detail = format!("{which} was not signed by the key of {}", last.issuer());
            found.add(Kind::BadSignature, detail);
        }
    }
}

/// How a certificate is called in a sentence, by its height above the server's own.
fn which(certificate: &Certificate<'_>, height: usize) -> String {
    match height {
        0 => "the certificate".to_owned(),
        _ => format!("the issuing certificate {}", certificate.subject()),
    }
}

/// A moment at which all the certificates are valid, if there is one.
fn common_moment(certificates: &[&Certificate<'_>]) -> Option<UnixTime> {
    let first = certificates.iter().map(|one| one.not_before()).max()?;
    let last = certificates.iter().map(|one| one.not_after()).min()?;
    let seconds = u64::try_from(last.unix_timestamp()).ok()?;
    (first <= last).then(|| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn utc(moment: UnixTime) -> OffsetDateTime {
    i64::try_from(moment.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// Accepts every extended key usage: purposes are checked apart from trust.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// The problems so far.
#[derive(Default)]
struct Findings(Vec<CertificateProblem>);

impl Findings {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, kind: Kind, detail: impl Into<String>) {
        let problem = CertificateProblem::new(kind, detail);
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Adds a problem that says less than one of the same kind that is there already.
    fn add_kind(&mut self, kind: Kind, detail: impl Into<String>) {
        if self.0.iter().all(|problem| problem.kind != kind) {
            self.add(kind, detail);
        }
    }

    fn add_unreadable(&mut self, certificate: &Certificate<'_>, error: &webpki::Error) {
        match error {
            webpki::Error::UnsupportedCertVersion => {
                let version = certificate.version();
                self.add(Kind::Unsupported, format!("X.509 version {version}"));
            }
            error => self.add_webpki(error),
        }
    }

    fn add_webpki(&mut self, error: &webpki::Error) {
        let (kind, detail) = in_words(error);
        self.add_kind(kind, detail);
    }

    fn sorted(mut self) -> Vec<CertificateProblem> {
        self.0.sort_by_key(|problem| problem.kind);
        self.0
    }
}

/// webpki's reasons as kinds and words of ours.
fn in_words(error: &webpki::Error) -> (Kind, String) {
    use webpki::Error as E;
    let (kind, words) = match error {
        E::CertExpired { .. } => (Kind::Expired, "a certificate in the chain"),
        E::InvalidCertValidity => (Kind::Expired, "a certificate ends before it begins"),
        E::CertNotValidYet { .. } => (Kind::NotYetValid, "a certificate in the chain"),
        E::CertNotValidForName(_) => (Kind::WrongName, "the certificate is for another server"),
        E::UnknownIssuer => (Kind::UnknownIssuer, "no trusted authority issued the chain"),
        E::InvalidSignatureForPublicKey => (
            Kind::BadSignature,
            "a signature in the chain does not verify",
        ),
        E::CaUsedAsEndEntity => (
            Kind::WrongKeyUsage,
            "the server uses the certificate of an authority (CA:TRUE) as its own",
        ),
        E::EndEntityUsedAsCa => (
            Kind::WrongKeyUsage,
            "a certificate in the chain is not an authority's (CA:FALSE)",
        ),
        E::RequiredEkuNotFoundContext(_) => (
            Kind::WrongKeyUsage,
            "a certificate in the chain is not for TLS servers (extended key usage)",
        ),
        E::PathLenConstraintViolated => (
            Kind::WrongKeyUsage,
            "an authority in the chain may not have others below it (path length)",
        ),
        E::NameConstraintViolation => (
            Kind::NameConstraint,
            "an authority in the chain may not vouch for the certificate's names",
        ),
        E::CertDistrusted => (Kind::Other, "the authority is explicitly distrusted"),
        E::MaximumNameConstraintComparisonsExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumSignatureChecksExceeded => {
            (Kind::Other, "the chain is too long or too tangled")
        }
        E::UnsupportedCertVersion => (Kind::Unsupported, "not X.509 version 3"),
        E::UnsupportedCriticalExtension => (Kind::Unsupported, "an unknown critical extension"),
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => (
            Kind::Unsupported,
            "the signature algorithm of a certificate in the chain",
        ),
        E::BadDer
        | E::BadDerTime
        | E::EmptyEkuExtension
        | E::ExtensionValueInvalid
        | E::InvalidNetworkMaskConstraint
        | E::InvalidSerialNumber
        | E::MalformedDnsIdentifier
        | E::MalformedExtensions
        | E::MalformedNameConstraint
        | E::SignatureAlgorithmMismatch
        | E::TrailingData(_) => return (Kind::Malformed, error.to_string()),
        _ => return (Kind::Other, error.to_string()),
    };
    (kind, words.to_owned())
}

#[cfg(test)]
mod tests;
