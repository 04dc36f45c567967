//! Building the certification path from a server's certificate to a trust anchor (RFC 4158), whatever the dates and
//! purposes are.
//!
//! webpki stops at the first error. To report the others, the certificates of the path have to be known: only their
//! errors count, not those of other certificates that the server sent.

use std::collections::HashSet;

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor};

use super::chain_signature::{SignatureCheck, check_signature};
use crate::x509::{Certificate, ReadName};

/// Most issuer candidates considered. Real chains have one to three; and path building, webpki's too, takes time that
/// grows with the factorial of their number when all have the same name.
const MAX_ISSUER_CANDIDATES: usize = 6;

/// Most certificates besides the server's own whose names are compared. Octets enough for thousands fit into a
/// handshake.
const MAX_CERTIFICATES: usize = 32;

/// The server's certificate `leaf`, and after it those of `others` that may be on its path, matched by subject and
/// issuer name: the nearest to the leaf first, and of those with the same name the ones that are valid `now` first. The
/// second value is whether some were left out, because there are more than [`MAX_CERTIFICATES`] or more than
/// [`MAX_ISSUER_CANDIDATES`].
pub(super) fn issuer_candidates<'a>(
    leaf: Certificate<'a>,
    others: &'a [CertificateDer<'_>],
    now: OffsetDateTime,
) -> (Vec<Certificate<'a>>, bool) {
    let mut known = HashSet::from([leaf.der()]);
    let mut readable = others
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .filter(|other| known.insert(other.der()))
        .map(|other| (ReadName::new(other.raw_subject()), other));
    let mut remaining: Vec<_> = readable.by_ref().take(MAX_CERTIFICATES).collect();
    let mut is_cut = readable.next().is_some();
    remaining.sort_by_key(|(_, other)| !other.is_valid_at(now));
    let mut candidates = vec![leaf];
    let mut next = 0;
    while next < candidates.len() {
        let issuer = ReadName::new(candidates[next].raw_issuer());
        for (_, other) in remaining.extract_if(.., |(subject, _)| subject.is_same(&issuer)) {
            if candidates.len() <= MAX_ISSUER_CANDIDATES {
                candidates.push(other);
            } else {
                is_cut = true;
            }
        }
        next += 1;
    }
    (candidates, is_cut)
}

/// Where a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathEnd {
    /// At a trust anchor.
    TrustAnchor,
    /// At the server's certificate, which is its own issuer.
    SelfSigned,
    /// At a certificate whose issuer was neither sent nor is trusted.
    UnknownIssuer,
}

/// A certification path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Indices into the candidates, by depth; the first is 0, the server's certificate.
    pub(super) certificates: Vec<usize>,
    /// For each certificate whether its issuer signed it; none for the last one if its issuer is unknown.
    pub(super) signatures: Vec<SignatureCheck>,
    pub(super) end: PathEnd,
}

/// The best path from the first of the `candidates`: the fewest bad signatures, then one to a trust anchor, then the
/// fewest certificates that are not valid `now` or not `fit` to issue others, then the shortest.
pub(super) fn best_path(
    candidates: &[Certificate<'_>],
    anchors: &[TrustAnchor<'_>],
    now: OffsetDateTime,
    fit: impl Fn(&Certificate<'_>) -> bool,
) -> Path {
    let subjects: Vec<_> = candidates.iter().map(|issuer| ReadName::new(issuer.raw_subject())).collect();
    let signatures_of = |certificate: &Certificate<'_>| {
        let name = ReadName::new(certificate.raw_issuer());
        let pairs = candidates.iter().zip(&subjects);
        pairs
            .map(|(issuer, subject)| {
                subject.is_same(&name).then(|| check_signature(certificate, &issuer.public_key_der()))
            })
            .collect()
    };
    let builder = PathBuilder {
        by_anchor: candidates.iter().map(|certificate| signature_by_anchor(certificate, anchors)).collect(),
        by_candidate: candidates.iter().map(signatures_of).collect(),
        good: candidates
            .iter()
            .enumerate()
            .map(|(index, certificate)| certificate.is_valid_at(now) && (index == 0 || fit(certificate)))
            .collect(),
    };
    builder.extend(&[0], &[])
}

/// The signatures of the candidates. Each is verified once, before the search.
struct PathBuilder {
    /// By certificate: the signature by a trust anchor that has the issuer's name.
    by_anchor: Vec<Option<SignatureCheck>>,
    /// By certificate and issuer: the signature, if the issuer has the name of the certificate's issuer.
    by_candidate: Vec<Vec<Option<SignatureCheck>>>,
    /// By certificate: whether it is valid now and may issue others.
    good: Vec<bool>,
}

impl PathBuilder {
    /// The best path that begins with `certificates`; `signatures` are those of all but the last one.
    fn extend(&self, certificates: &[usize], signatures: &[SignatureCheck]) -> Path {
        let last = certificates.last().copied().unwrap_or(0);
        let end_here = |end, signature: Option<SignatureCheck>| Path {
            certificates: certificates.to_vec(),
            signatures: signatures.iter().cloned().chain(signature).collect(),
            end,
        };
        let mut paths = Vec::new();
        if let Some(signature) = self.by_anchor[last].clone() {
            paths.push(end_here(PathEnd::TrustAnchor, Some(signature)));
        }
        for (issuer, signature) in self.by_candidate[last].iter().enumerate() {
            let Some(signature) = signature.clone() else {
                continue;
            };
            if issuer == last && certificates.len() == 1 {
                paths.push(end_here(PathEnd::SelfSigned, Some(signature)));
            } else if issuer == last {
                // A root that the server sent: its own signature proves nothing.
                paths.push(end_here(PathEnd::UnknownIssuer, None));
            } else if !certificates.contains(&issuer) {
                let certificates = [certificates, &[issuer]].concat();
                let signatures = [signatures, &[signature]].concat();
                paths.push(self.extend(&certificates, &signatures));
            }
        }
        paths.into_iter().min_by_key(|path| self.rank(path)).unwrap_or_else(|| end_here(PathEnd::UnknownIssuer, None))
    }

    /// The smaller, the better.
    fn rank(&self, path: &Path) -> (usize, bool, usize, usize) {
        let bad_signatures = path.signatures.iter().filter(|signature| **signature == SignatureCheck::Invalid).count();
        let unfit = path.certificates.iter().filter(|index| !self.good[**index]).count();
        (bad_signatures, path.end != PathEnd::TrustAnchor, unfit, path.certificates.len())
    }
}

/// Whether an anchor that has the issuer's name signed the certificate; `None` if no anchor has it.
fn signature_by_anchor(certificate: &Certificate<'_>, anchors: &[TrustAnchor<'_>]) -> Option<SignatureCheck> {
    let mut best = None;
    for anchor in anchors_named(certificate.raw_issuer(), anchors) {
        match check_signature(certificate, &webpki::spki_for_anchor(anchor)) {
            SignatureCheck::Valid => return Some(SignatureCheck::Valid),
            other => best = best.filter(|best| *best != SignatureCheck::Invalid).or(Some(other)),
        }
    }
    best
}

/// The anchors that have the issuer's name and signed the certificate.
pub(super) fn signing_anchors<'a>(
    certificate: &Certificate<'_>,
    anchors: &'a [TrustAnchor<'a>],
) -> Vec<&'a TrustAnchor<'a>> {
    let mut named = anchors_named(certificate.raw_issuer(), anchors);
    named.retain(|anchor| check_signature(certificate, &webpki::spki_for_anchor(anchor)) == SignatureCheck::Valid);
    named
}

/// The anchors with this name in the same octets: the verifier gives them the names that the certificates write.
fn anchors_named<'a>(name: &[u8], anchors: &'a [TrustAnchor<'a>]) -> Vec<&'a TrustAnchor<'a>> {
    anchors.iter().filter(|anchor| *anchor.subject == *name).collect()
}
