//! The verdict on a server's certificate: every error, each found independently of the others.
//!
//! webpki decides: a chain that it accepts now, for this name and for TLS servers, is good. When it refuses, it names one reason and
//! stops. Then the certificates on the [path](super::path) are looked at one by one, and webpki is asked again at a moment when all
//! of them are valid and without regard to their purpose, so that no error hides behind another.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage};

use super::{
    findings::{CA_AS_SERVER, Findings},
    path::{End, Path, best_path, relatives},
    trust::TrustAnchors,
};
use crate::x509::{
    Certificate, SignatureCheck,
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
    pub(super) fn problems(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Vec<CertificateProblem> {
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
                check_strength(&certificate, &mut found);
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

    fn check_name(&self, certificate: &Certificate<'_>, end_entity: &EndEntityCert<'_>, found: &mut Findings) {
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
            return format!("the certificate names no server (subjectAltName), so it is not for {wanted}");
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
        let family = relatives(leaf, others, utc(self.now));
        let Some(end_entity) = end_entity else {
            return self.diagnose(&family, None, found);
        };
        let issuers = ders(family[1..].iter());
        match self.ask(end_entity, &issuers, self.now, KeyUsage::server_auth()) {
            // webpki doesn't look at the key usage of a server's certificate. Everything else it has just found good.
            Ok(()) => check_key_usage(&family[0], found),
            Err(refusal) => {
                let before = found.len();
                self.diagnose(&family, Some(end_entity), found);
                if found.len() == before {
                    found.add_webpki(&refusal);
                }
            }
        }
    }

    fn diagnose(&self, family: &[Certificate<'_>], end_entity: Option<&EndEntityCert<'_>>, found: &mut Findings) {
        let path = best_path(family, self.anchors.roots(), utc(self.now));
        let certificates: Vec<_> = path.certificates.iter().map(|at| &family[*at]).collect();
        for (height, certificate) in certificates.iter().enumerate() {
            self.check_validity(certificate, height, found);
            check_purposes(certificate, height, found);
        }
        // Whoever signs his own certificate is his own authority: `CA:TRUE`, which openssl writes by default, says nothing more.
        if family[0].is_ca() && path.end != End::SelfSigned {
            found.add(Kind::WrongKeyUsage, CA_AS_SERVER);
        }
        check_signatures(&path, &certificates, found);
        check_end(&path, &certificates, found);
        if let Some(end_entity) = end_entity
            && let Some(moment) = common_moment(&certificates)
        {
            let issuers = ders(certificates[1..].iter().copied());
            if let Err(error) = self.ask(end_entity, &issuers, moment, AnyPurpose) {
                add_refusal(&error, &path, found);
            }
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
        end_entity.verify_for_usage(self.algorithms, roots, others, moment, purpose, None, None).map(|_| ())
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

fn check_strength(certificate: &Certificate<'_>, found: &mut Findings) {
    if certificate.has_weak_key() {
        let key = certificate.key();
        found.add(
            Kind::WeakKey,
            format!("the certificate's key is {key}, less than the 2048 bits that are asked for today"),
        );
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
        found.add(Kind::WrongKeyUsage, "the certificate's key may neither sign nor exchange keys (key usage)");
    }
}

fn check_signatures(path: &Path, certificates: &[&Certificate<'_>], found: &mut Findings) {
    for (height, certificate) in certificates.iter().enumerate() {
        if path.signatures.get(height) == Some(&SignatureCheck::Invalid) {
            let which = which(certificate, height);
            let issuer = certificate.issuer();
            let detail = format!("{which} was not signed by the key of {issuer}");
            found.add(Kind::BadSignature, detail);
        }
    }
}

fn check_end(path: &Path, certificates: &[&Certificate<'_>], found: &mut Findings) {
    let Some(last) = certificates.last() else {
        return;
    };
    match path.end {
        End::Trusted => {}
        End::SelfSigned => found.add(Kind::SelfSigned, "the certificate vouches for itself, and is not trusted"),
        End::UnknownIssuer if last.is_self_issued() => {
            found.add(Kind::UnknownIssuer, format!("the chain ends at {}, which is not trusted", last.subject()))
        }
        End::UnknownIssuer => found
            .add(Kind::UnknownIssuer, format!("{} is not trusted, nor did its certificate come along", last.issuer())),
    }
}

/// Adds what webpki has against a path when dates and purposes don't matter, unless that is known by now.
fn add_refusal(error: &webpki::Error, path: &Path, found: &mut Findings) {
    use webpki::Error::{CaUsedAsEndEntity, InvalidSignatureForPublicKey, UnknownIssuer};
    match error {
        CaUsedAsEndEntity if path.end == End::SelfSigned => {}
        UnknownIssuer | InvalidSignatureForPublicKey if path.end != End::Trusted => {}
        InvalidSignatureForPublicKey if path.signatures.contains(&SignatureCheck::Unchecked) => {
            let detail = "a signature in the chain is by a key too small to be checked";
            found.add_kind(Kind::Unsupported, detail);
        }
        error => found.add_webpki(error),
    }
}

fn ders<'a>(certificates: impl Iterator<Item = &'a Certificate<'a>>) -> Vec<CertificateDer<'a>> {
    certificates.map(|certificate| CertificateDer::from(certificate.der())).collect()
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

#[cfg(test)]
mod tests;
