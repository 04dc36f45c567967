//! The way up from a server's certificate to whoever vouches for it, followed without regard to dates and purposes.
//!
//! webpki stops at the first thing that is wrong. To name everything else, one has to know which certificates would have been on the
//! way; only they count, not what a server sends beside them.

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::TrustAnchor;

use crate::x509::{Certificate, SignatureCheck};

/// Longer chains are not followed; webpki's own bound is seven.
const LONGEST: usize = 8;

/// Signatures checked at the most: a hostile server may send hundreds of certificates of one name.
const MOST_SIGNATURES: usize = 64;

/// How a way up ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At a trust anchor.
    Trusted,
    /// At once: the server's certificate is its own issuer.
    SelfSigned,
    /// As `SelfSigned`, except that the certificate's own key did not make its signature.
    SelfIssued,
    /// At a certificate whose issuer neither came along nor is trusted.
    UnknownIssuer,
    /// At a certificate whose issuer is known by name, but didn't make the signature.
    BadSignature,
}

/// A way up.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Indices into the chain that the server sent; the first is 0, its own certificate.
    pub(super) certificates: Vec<usize>,
    /// How it ends.
    pub(super) end: End,
    /// Whether a signature on the way could not be checked, and was taken on trust.
    pub(super) unchecked: bool,
}

/// Finds the best way up from the first certificate of `chain`.
pub(super) fn path(
    chain: &[Certificate<'_>],
    anchors: &[TrustAnchor<'_>],
    now: OffsetDateTime,
) -> Path {
    let mut search = Search {
        chain,
        anchors,
        now,
        signatures: MOST_SIGNATURES,
    };
    let start = Path {
        certificates: vec![0],
        end: End::UnknownIssuer,
        unchecked: false,
    };
    search.climb(start)
}

struct Search<'a> {
    chain: &'a [Certificate<'a>],
    anchors: &'a [TrustAnchor<'a>],
    now: OffsetDateTime,
    signatures: usize,
}

impl Search<'_> {
    /// Continues a way from its last certificate. The first way to an anchor wins; of those that lead nowhere, the first one does.
    fn climb(&mut self, so_far: Path) -> Path {
        let Some(head) = so_far.certificates.last().map(|index| &self.chain[*index]) else {
            return so_far;
        };
        let mut refused = false;
        for anchor in self.anchors {
            if *anchor.subject != *head.raw_issuer() {
                continue;
            }
            let key = webpki::spki_for_anchor(anchor);
            match self.signature(head, &key) {
                SignatureCheck::Invalid => refused = true,
                check => return so_far.ended(End::Trusted, check),
            }
        }
        let mut dead_end = None;
        for index in self.candidates(head, &so_far.certificates) {
            let issuer = &self.chain[index];
            match self.signature(head, issuer.public_key_der()) {
                SignatureCheck::Invalid => refused = true,
                check => {
                    let found = self.climb(so_far.with(index, check));
                    if found.end == End::Trusted {
                        return found;
                    }
                    dead_end.get_or_insert(found);
                }
            }
        }
        dead_end.unwrap_or_else(|| {
            let end = self.dead_end(head, so_far.certificates.len(), refused);
            so_far.ended(end, SignatureCheck::Valid)
        })
    }

    /// The certificates that bear the issuer's name, those that are valid now first.
    fn candidates(&self, head: &Certificate<'_>, used: &[usize]) -> Vec<usize> {
        if used.len() >= LONGEST {
            return Vec::new();
        }
        let mut found: Vec<_> = (0..self.chain.len())
            .filter(|index| {
                let candidate = &self.chain[*index];
                candidate.raw_subject() == head.raw_issuer()
                    && used
                        .iter()
                        .all(|used| self.chain[*used].der() != candidate.der())
            })
            .collect();
        found.sort_by_key(|index| !self.chain[*index].is_valid_at(self.now));
        found
    }

    fn dead_end(&mut self, head: &Certificate<'_>, length: usize, refused: bool) -> End {
        if length == 1 && head.is_self_issued() {
            return match self.signature(head, head.public_key_der()) {
                SignatureCheck::Invalid => End::SelfIssued,
                _ => End::SelfSigned,
            };
        }
        if refused {
            End::BadSignature
        } else {
            End::UnknownIssuer
        }
    }

    fn signature(&mut self, certificate: &Certificate<'_>, issuer_key: &[u8]) -> SignatureCheck {
        let Some(left) = self.signatures.checked_sub(1) else {
            return SignatureCheck::Invalid;
        };
        self.signatures = left;
        certificate.signature_by(issuer_key)
    }
}

impl Path {
    fn ended(self, end: End, last: SignatureCheck) -> Self {
        Self {
            end,
            unchecked: self.unchecked || last == SignatureCheck::Unchecked,
            ..self
        }
    }

    fn with(&self, index: usize, check: SignatureCheck) -> Self {
        let mut longer = self.clone();
        longer.certificates.push(index);
        longer.unchecked |= check == SignatureCheck::Unchecked;
        longer
    }
}
