//! The way up from a server's certificate to whoever vouches for it, followed without regard to dates and purposes.
//!
//! webpki stops at the first thing that is wrong. To name everything else, one has to know which certificates would have been on the
//! way; only they count, not what a server sends beside them.

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::x509::{Certificate, SignatureCheck};

/// Issuers considered at the most. Real chains have one to three; and the search for a path, webpki's too, takes time that grows
/// with the factorial of their number when all bear the same name.
const MOST_ISSUERS: usize = 6;

/// The server's certificate, and those of the others that may stand above it going by their names: first the near ones, of those
/// with the same name first the ones that are valid.
pub(super) fn relatives<'a>(
    leaf: Certificate<'a>,
    others: &'a [CertificateDer<'_>],
    now: OffsetDateTime,
) -> Vec<Certificate<'a>> {
    let mut strangers: Vec<_> = others
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .filter(|other| other.der() != leaf.der())
        .collect();
    strangers.sort_by_key(|other| !other.is_valid_at(now));
    let mut family = vec![leaf];
    let mut height = 0;
    while height < family.len() {
        let issuer = family[height].raw_issuer();
        for other in strangers.extract_if(.., |other| other.raw_subject() == issuer) {
            let known = family.iter().any(|known| known.der() == other.der());
            if !known && family.len() <= MOST_ISSUERS {
                family.push(other);
            }
        }
        height += 1;
    }
    family
}

/// How a way up ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At a trust anchor.
    Trusted,
    /// At once: the server's certificate is its own issuer.
    SelfSigned,
    /// At a certificate whose issuer neither came along nor is trusted.
    UnknownIssuer,
}

/// A way up.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Indices into the family; the first is 0, the server's certificate.
    pub(super) certificates: Vec<usize>,
    /// For each certificate whether its issuer signed it; none for the last one if its issuer is unknown.
    pub(super) signatures: Vec<SignatureCheck>,
    /// How it ends.
    pub(super) end: End,
}

/// The best way up from the first of the `family`: one without bad signatures, to an anchor, by way of valid certificates, short.
pub(super) fn best_path(family: &[Certificate<'_>], anchors: &[TrustAnchor<'_>], now: OffsetDateTime) -> Path {
    let search = Search {
        to_anchor: family.iter().map(|one| by_anchor(one, anchors)).collect(),
        to_issuer: family.iter().map(|one| family.iter().map(|issuer| by_issuer(one, issuer)).collect()).collect(),
        valid: family.iter().map(|one| one.is_valid_at(now)).collect(),
    };
    search.climb(&[0], &[])
}

/// Who signed whom. All signatures are checked once, before the search.
struct Search {
    to_anchor: Vec<Option<SignatureCheck>>,
    to_issuer: Vec<Vec<Option<SignatureCheck>>>,
    valid: Vec<bool>,
}

impl Search {
    /// The best way that continues from the last of `certificates`; `signatures` are those below it.
    fn climb(&self, certificates: &[usize], signatures: &[SignatureCheck]) -> Path {
        let head = certificates.last().copied().unwrap_or(0);
        let end_here = |end, signature: Option<SignatureCheck>| Path {
            certificates: certificates.to_vec(),
            signatures: signatures.iter().copied().chain(signature).collect(),
            end,
        };
        let mut ways = Vec::new();
        if let Some(signature) = self.to_anchor[head] {
            ways.push(end_here(End::Trusted, Some(signature)));
        }
        for (issuer, signature) in self.to_issuer[head].iter().enumerate() {
            let Some(signature) = *signature else {
                continue;
            };
            if issuer == head && certificates.len() == 1 {
                ways.push(end_here(End::SelfSigned, Some(signature)));
            } else if issuer == head {
                // A root that came along: whether it signed itself proves nothing.
                ways.push(end_here(End::UnknownIssuer, None));
            } else if !certificates.contains(&issuer) {
                let certificates = [certificates, &[issuer]].concat();
                let signatures = [signatures, &[signature]].concat();
                ways.push(self.climb(&certificates, &signatures));
            }
        }
        ways.into_iter().min_by_key(|way| self.faults(way)).unwrap_or_else(|| end_here(End::UnknownIssuer, None))
    }

    fn faults(&self, path: &Path) -> (usize, bool, usize, usize) {
        let bad_signatures = path.signatures.iter().filter(|signature| **signature == SignatureCheck::Invalid).count();
        let out_of_date = path.certificates.iter().filter(|index| !self.valid[**index]).count();
        let length = path.certificates.len();
        (bad_signatures, path.end != End::Trusted, out_of_date, length)
    }
}

/// Whether an anchor that bears the issuer's name signed the certificate; `None` if no anchor bears it.
fn by_anchor(certificate: &Certificate<'_>, anchors: &[TrustAnchor<'_>]) -> Option<SignatureCheck> {
    let mut best = None;
    for anchor in anchors {
        if *anchor.subject == *certificate.raw_issuer() {
            match certificate.signature_by(&webpki::spki_for_anchor(anchor)) {
                SignatureCheck::Invalid => best = best.or(Some(SignatureCheck::Invalid)),
                good => return Some(good),
            }
        }
    }
    best
}

fn by_issuer(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> Option<SignatureCheck> {
    (certificate.raw_issuer() == issuer.raw_subject()).then(|| certificate.signature_by(issuer.public_key_der()))
}
