//! [`Verifier`]: every problem of a server's certificate, each found independently of the others (RFC 5280, section 6;
//! RFC 6125).
//!
//! webpki decides: a chain that it accepts now, for this name and for TLS servers, is good. When it rejects one, it
//! gives one reason and stops. Then the certificates on the [path](super::path) are checked one by one, and webpki is
//! asked again for a time at which all of them are valid and for any purpose, so that no problem hides another. What
//! webpki does not check, [`checks`] does, on every certificate of a path that webpki would accept. Where webpki
//! rejects what RFC 5280 allows ([`webpki_limits`]), the checks alone decide.

mod checks;
mod purpose;
mod webpki_limits;

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, VerifiedPath};

use self::{
    checks::{
        ODD_NETWORK, check_form, check_key_usage, check_name_constraints, check_names_below, check_path_lengths,
        check_policies, check_purposes, check_signatures, is_better_issuer, is_fit_issuer, label,
    },
    purpose::{AnyPurpose, ServerPurpose},
};
use super::{
    chain_signature::{ALGORITHMS, SignatureCheck},
    path::{Path, PathEnd, best_path, issuer_candidates, signing_anchors},
    problems::{Problems, TOO_LONG, describe},
    stand_in,
    trust::TrustAnchors,
};
use crate::x509::{
    Certificate, distinguished_name, excerpt,
    problem::{CertificateErrorKind as Kind, CertificateProblem},
};

/// What a certificate is verified against.
pub(super) struct Verifier<'a> {
    pub(super) anchors: &'a TrustAnchors,
    pub(super) name: &'a ServerName<'a>,
    pub(super) now: UnixTime,
}

/// What the verifier found.
pub(super) struct Verdict {
    /// Every problem of the server's own certificate, and of the path from it.
    pub(super) problems: Vec<CertificateProblem>,
    /// The certificates, in DER, of the path that was verified, or else of the one that the problems are about.
    pub(super) path: Vec<Vec<u8>>,
}

impl Verifier<'_> {
    /// Verifies the server's own certificate `leaf`, and the path from it through `others`, which the server sent too.
    pub(super) fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Verdict {
        let mut problems = Problems::default();
        let mut path = vec![leaf.to_vec()];
        let end_entity = EndEntityCert::try_from(leaf);
        match Certificate::from_der(leaf) {
            Ok(certificate) => {
                check_form(&certificate, 0, &mut problems);
                self.check_name(&certificate, &mut problems);
                check_strength(&certificate, &mut problems);
                if self.anchors.is_pinned(leaf) {
                    self.check_validity(&certificate, 0, &mut problems);
                    check_purposes(&certificate, 0, &mut problems);
                    check_policies(&[&certificate], &mut problems);
                } else {
                    path = self.check_trust(certificate, end_entity.as_ref().ok(), others, &mut problems);
                }
            }
            Err(error) => problems.add(Kind::Malformed, error.to_string()),
        }
        Verdict { problems: problems.sorted(), path }
    }

    fn check_name(&self, certificate: &Certificate<'_>, problems: &mut Problems) {
        let Some(names) = certificate.alternative_names_der() else {
            // Two lists of names are an error of their own.
            if certificate.names().is_empty() {
                problems.add(Kind::WrongName, self.wrong_name(certificate));
            }
            return;
        };
        match stand_in::check_name(names, self.name) {
            Ok(()) => {}
            Err(webpki::Error::CertNotValidForName(_)) => {
                problems.add(Kind::WrongName, self.wrong_name(certificate));
            }
            Err(error) => {
                let (kind, detail) = describe(&error);
                problems.add_kind(kind, format!("the certificate's names (subjectAltName): {detail}"));
            }
        }
    }

    fn wrong_name(&self, certificate: &Certificate<'_>) -> String {
        const MAX_NAMES_SHOWN: usize = 8;
        let names = certificate.names();
        let expected = self.name.to_str();
        if names.is_empty() {
            return format!("the certificate names no server (subjectAltName), so it is not for {expected}");
        }
        // The names are compared by their type as well.
        let of_other_type = match certificate.types_of_name(&expected)[..] {
            [] => String::new(),
            ref types => {
                let (what, right) = match self.name {
                    ServerName::IpAddress(_) => ("an address", "iPAddress"),
                    _ => ("a host name", "dNSName"),
                };
                let types = types.join(", ");
                format!(": {what} must be in an entry of the type {right}, and this one is in {types}")
            }
        };
        let more = match names.len().saturating_sub(MAX_NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let some: Vec<_> = names.into_iter().take(MAX_NAMES_SHOWN).map(excerpt).collect();
        format!("the certificate is for {}{more}, not for {expected}{of_other_type}", some.join(", "))
    }

    /// Returns the path, in DER.
    fn check_trust(
        &self,
        leaf: Certificate<'_>,
        end_entity: Option<&EndEntityCert<'_>>,
        others: &[CertificateDer<'_>],
        problems: &mut Problems,
    ) -> Vec<Vec<u8>> {
        let (candidates, is_cut) = issuer_candidates(leaf, others, utc(self.now));
        let issuers = ders(candidates[1..].iter());
        let anchors = self.anchors_for(&candidates);
        let verdict = end_entity.map(|end_entity| {
            let path = verify_chain(end_entity, &anchors, &issuers, self.now, ServerPurpose, Some(&is_acceptable))?;
            Ok(certificates_of(&path))
        });
        let error = match verdict {
            Some(Ok(path)) => {
                check_key_usage(&candidates[0], 0, problems);
                return path;
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let before = problems.len();
        let Diagnosis { path, is_explained } = self.diagnose(&candidates, is_cut, end_entity, &anchors, problems);
        if let Some(error) = error
            && problems.len() == before
            && !is_explained
        {
            let (kind, detail) = describe(&error);
            problems.add_kind(kind, format!("on the path of {}: {detail}", candidates[0].subject_excerpt()));
        }
        path
    }

    /// The trust anchors that the certificates name as their issuers, by the names as the certificates write them:
    /// webpki compares octets.
    fn anchors_for<'a>(&'a self, candidates: &'a [Certificate<'_>]) -> Vec<TrustAnchor<'a>> {
        let mut anchors: Vec<TrustAnchor<'a>> = Vec::new();
        for candidate in candidates {
            let name = candidate.raw_issuer();
            if !anchors.iter().any(|known| *known.subject == *name) {
                let named = self.anchors.named(name).into_iter();
                anchors.extend(named.map(|anchor| TrustAnchor { subject: name.into(), ..anchor.clone() }));
            }
        }
        anchors
    }

    /// Finds the problems of a chain that webpki rejected. If there are none and the rejection is explained by a limit
    /// of webpki, the path is good: every step of RFC 5280, section 6.1, is among the checks.
    fn diagnose(
        &self,
        candidates: &[Certificate<'_>],
        is_cut: bool,
        end_entity: Option<&EndEntityCert<'_>>,
        anchors: &[TrustAnchor<'_>],
        problems: &mut Problems,
    ) -> Diagnosis {
        let path = best_path(candidates, anchors, utc(self.now), |issuer| is_better_issuer(issuer, &candidates[0]));
        let certificates: Vec<_> = path.certificates.iter().map(|index| &candidates[*index]).collect();
        for (depth, certificate) in certificates.iter().enumerate() {
            self.check_validity(certificate, depth, problems);
            check_purposes(certificate, depth, problems);
            if depth > 0 {
                check_form(certificate, depth, problems);
            }
        }
        check_path_lengths(&certificates, problems);
        check_policies(&certificates, problems);
        check_name_constraints(&certificates, problems);
        let mut is_explained = false;
        let is_unsure = path.end == PathEnd::UnknownIssuer || path.signatures.contains(&SignatureCheck::Invalid);
        if is_cut && is_unsure {
            // A certificate that was left out may be the issuer.
            let bad = path.signatures.iter().position(|signature| *signature == SignatureCheck::Invalid);
            let depth = bad.unwrap_or(certificates.len() - 1);
            let (label, issuer) = (label(certificates[depth], depth), excerpt(certificates[depth].issuer()));
            problems.add(Kind::Unsupported, format!("the issuer of {label}, {issuer}, is not found: {TOO_LONG}"));
        } else {
            check_signatures(&path, &certificates, problems);
            check_end(&path, &certificates, problems);
            let anchors_of_path = match path.end {
                PathEnd::TrustAnchor => signing_anchors(certificates[certificates.len() - 1], anchors),
                PathEnd::SelfSigned | PathEnd::UnknownIssuer => Vec::new(),
            };
            check_anchors(&anchors_of_path, &certificates, problems);
            if let Some(end_entity) = end_entity
                && let Some(time) = common_validity(&certificates)
                && let Err(error) =
                    verify_chain(end_entity, anchors, &ders(certificates[1..].iter().copied()), time, AnyPurpose, None)
            {
                is_explained = webpki_limits::may_explain(&error, &certificates, &anchors_of_path);
                if !is_explained {
                    add_rejection(&error, &path, &certificates, problems);
                }
            }
        }
        Diagnosis { path: certificates.iter().map(|certificate| certificate.der().to_vec()).collect(), is_explained }
    }

    fn check_validity(&self, certificate: &Certificate<'_>, depth: usize, problems: &mut Problems) {
        let now = utc(self.now);
        let label = label(certificate, depth);
        if let Some(last) = certificate.not_after().filter(|last| now > *last) {
            problems.add(Kind::Expired, format!("{label} was valid until {}", rfc3339(last)));
        }
        if let Some(first) = certificate.not_before().filter(|first| now < *first) {
            problems.add(Kind::NotYetValid, format!("{label} is valid from {}", rfc3339(first)));
        }
    }
}

/// What [`Verifier::diagnose`] found besides problems.
struct Diagnosis {
    /// The path that the problems are about, in DER.
    path: Vec<Vec<u8>>,
    /// Whether webpki rejected the path because of a limit that this program does not have.
    is_explained: bool,
}

/// Whether one of the trust anchors at the end of the path may issue for its names, and none of its keys is distrusted.
fn check_anchors(anchors: &[&TrustAnchor<'_>], certificates: &[&Certificate<'_>], problems: &mut Problems) {
    let mut first = None;
    for anchor in anchors {
        let name = excerpt(distinguished_name(&anchor.subject));
        let mut found = Problems::default();
        let anchor_constraints = webpki_limits::constraints_of(anchor);
        match &anchor_constraints {
            Some(constraints) => {
                check_names_below(certificates, constraints, &format!("the trust anchor {name}"), &mut found);
            }
            None if anchor.name_constraints.is_some() => {
                found.add(Kind::Malformed, format!("the trust anchor {name} has name constraints that cannot be read"));
            }
            None => {}
        }
        if anchor_constraints.is_some_and(|constraints| constraints.has_odd_networks()) {
            found.add(Kind::Malformed, format!("the trust anchor {name} {ODD_NETWORK}"));
        }
        if stand_in::is_distrusted(&webpki::spki_for_anchor(anchor)) {
            found.add(Kind::Other, format!("the authority {name} is explicitly distrusted"));
        }
        if found.len() == 0 {
            first = None;
            break;
        }
        first = first.or(Some(found));
    }
    problems.extend(first.unwrap_or_default());
    for (depth, certificate) in certificates.iter().enumerate() {
        if stand_in::is_distrusted(&certificate.public_key_der()) {
            problems.add(Kind::Other, format!("{} is explicitly distrusted", label(certificate, depth)));
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

fn check_end(path: &Path, certificates: &[&Certificate<'_>], problems: &mut Problems) {
    let Some(last) = certificates.last() else {
        return;
    };
    match path.end {
        PathEnd::TrustAnchor => {}
        PathEnd::SelfSigned => problems.add(Kind::SelfSigned, "the certificate is its own issuer and is not trusted"),
        PathEnd::UnknownIssuer if last.is_self_issued() => problems
            .add(Kind::UnknownIssuer, format!("the chain ends at {}, which is not trusted", last.subject_excerpt())),
        PathEnd::UnknownIssuer => problems.add(
            Kind::UnknownIssuer,
            format!("{} is not trusted, and the server did not send its certificate", excerpt(last.issuer())),
        ),
    }
}

/// Adds the reason why webpki rejects a path when dates and purposes do not count, unless it is in the list already.
fn add_rejection(error: &webpki::Error, path: &Path, certificates: &[&Certificate<'_>], problems: &mut Problems) {
    use webpki::Error as E;
    let is_unsupported = |check: &SignatureCheck| matches!(check, SignatureCheck::Unsupported { .. });
    match error {
        E::UnknownIssuer | E::InvalidSignatureForPublicKey if path.end != PathEnd::TrustAnchor => {}
        E::InvalidSignatureForPublicKey
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            if path.end == PathEnd::SelfSigned || path.signatures.iter().any(is_unsupported) => {}
        error => {
            let (kind, detail) = describe(error);
            problems.add_kind(kind, format!("{}: {detail}", suspects(certificates)));
        }
    }
}

/// The certificates that an error of webpki may be about which the checks of this program have not found: those with
/// name constraints, because webpki looks at all else in each certificate by itself.
fn suspects(certificates: &[&Certificate<'_>]) -> String {
    let issuers = certificates.iter().enumerate().skip(1);
    let constrained = issuers.filter(|(_, issuer)| issuer.name_constraints().is_some());
    let labels: Vec<_> = constrained.map(|(depth, issuer)| label(issuer, depth)).collect();
    if labels.is_empty() { label(certificates[0], 0) } else { labels.join(" or ") }
}

/// Judges a path that webpki would accept.
type Accept<'a> = &'a dyn Fn(&VerifiedPath<'_>) -> Result<(), webpki::Error>;

/// Asks webpki for a path that is valid at a time.
fn verify_chain<'a>(
    end_entity: &'a EndEntityCert<'a>,
    anchors: &'a [TrustAnchor<'a>],
    issuers: &'a [CertificateDer<'a>],
    time: UnixTime,
    purpose: impl ExtendedKeyUsageValidator,
    accept: Option<Accept<'_>>,
) -> Result<VerifiedPath<'a>, webpki::Error> {
    end_entity.verify_for_usage(&ALGORITHMS, anchors, issuers, time, purpose, None, accept)
}

/// Whether a path is good for what webpki does not check: the issuers, and names of which webpki ignores that they are
/// constrained, such as mailboxes in a subject. If not, webpki tries another path.
fn is_acceptable(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    let ders = certificates_of(path);
    let certificates: Result<Vec<_>, _> = ders.iter().map(|der| Certificate::from_der(der)).collect();
    let certificates = certificates.map_err(|_| webpki::Error::BadDer)?;
    if !certificates.iter().skip(1).all(is_fit_issuer) {
        return Err(webpki::Error::EndEntityUsedAsCa);
    }
    let certificates: Vec<_> = certificates.iter().collect();
    let mut problems = Problems::default();
    check_name_constraints(&certificates, &mut problems);
    if let Some(constraints) = webpki_limits::constraints_of(path.anchor()) {
        check_names_below(&certificates, &constraints, "the trust anchor", &mut problems);
    }
    if problems.len() == 0 { Ok(()) } else { Err(webpki::Error::NameConstraintViolation) }
}

fn certificates_of(path: &VerifiedPath<'_>) -> Vec<Vec<u8>> {
    let issuers = path.intermediate_certificates().map(|issuer| issuer.der().to_vec());
    std::iter::once(path.end_entity().der().to_vec()).chain(issuers).collect()
}

fn ders<'a>(certificates: impl Iterator<Item = &'a Certificate<'a>>) -> Vec<CertificateDer<'a>> {
    certificates.map(|certificate| CertificateDer::from(certificate.der())).collect()
}

/// The last moment at which all the certificates are valid; `None` if there is none.
fn common_validity(certificates: &[&Certificate<'_>]) -> Option<UnixTime> {
    let first = certificates.iter().map(|one| one.not_before()).collect::<Option<Vec<_>>>()?.into_iter().max()?;
    let last = certificates.iter().map(|one| one.not_after()).collect::<Option<Vec<_>>>()?.into_iter().min()?;
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

#[cfg(test)]
mod tests;
