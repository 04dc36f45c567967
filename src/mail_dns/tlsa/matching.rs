//! [`Matching`]: TLSA records against the certificates that a server presented.

use super::{
    MatchingType, Selector, TlsaRecord, Unusable, Usage,
    digest::{sha256, sha512},
};
use crate::mail_dns::der;

/// Certificates of a chain that are looked at.
const MAX_CHAIN: usize = 16;
/// Anchors that a path is tried to.
const MAX_ANCHORS: usize = 8;

/// What matches what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// One for each record, in their order.
    pub records: Vec<RecordMatch>,
}

/// What one record matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMatch {
    /// What the record says, or why senders leave it out.
    pub parameters: Result<(Usage, Selector, MatchingType), Unusable>,
    /// A record with a stronger digest stands in for it (RFC 7671, section 9): senders do not look at it.
    pub is_superseded: bool,
    /// What it matches.
    pub matched: Matched,
}

/// What a record matches among the presented certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// No certificate, and no anchor of its own.
    Nothing,
    /// By its place in the chain, 0 for the server's own. For usage 2 it is one above the server's own.
    Certificate(usize),
    /// Usage 2, but the server's own certificate, which issued nothing: usage 3 was meant.
    OwnCertificate,
    /// Usage 2 with the anchor itself in the record, and the server did not send it.
    InRecord,
}

/// A trust anchor to which the path of the server's certificate has to be verified, with its names and dates
/// (RFC 7672, section 3.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// A certificate of the chain, by its place.
    Presented(usize),
    /// A certificate in DER.
    Certificate(Vec<u8>),
    /// A SubjectPublicKeyInfo in DER. It has to have signed the last certificate of the chain, whose issuer is the
    /// anchor's name (RFC 7671, section 5.2.3).
    PublicKey(Vec<u8>),
}

/// What DANE makes of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A DANE-EE record matches: names, dates and issuers do not count (RFC 7672, section 3.1.1).
    EndEntity,
    /// There is a verified path to an anchor of a DANE-TA record.
    Anchored,
    /// No usable record matches anything.
    Mismatch,
    /// A DANE-TA record matches, but the path, the name or a date is wrong.
    PathInvalid,
}

/// What the digests of a certificate are compared with. Each is computed once: there may be hundreds of records.
struct Presented<'a> {
    octets: [&'a [u8]; 2],
    sha256: [[u8; 32]; 2],
    sha512: [[u8; 64]; 2],
}

impl<'a> Presented<'a> {
    fn new(der: &'a [u8]) -> Self {
        let key = der::certificate(der).map_or(&[][..], |parts| parts.key);
        let octets = [der, key];
        Self { octets, sha256: octets.map(sha256), sha512: octets.map(sha512) }
    }

    fn is_matched_by(&self, selector: Selector, matching_type: MatchingType, data: &[u8]) -> bool {
        let index = match selector {
            Selector::Certificate => 0,
            Selector::PublicKey if self.octets[1].is_empty() => return false,
            Selector::PublicKey => 1,
        };
        match matching_type {
            MatchingType::Full => self.octets[index] == data,
            MatchingType::Sha256 => self.sha256[index] == data,
            MatchingType::Sha512 => self.sha512[index] == data,
        }
    }
}

impl Matching {
    /// Compares records with a chain in DER, the server's own certificate first.
    pub fn new<C: AsRef<[u8]>>(records: &[TlsaRecord], chain: &[C]) -> Self {
        let chain: Vec<_> = chain.iter().take(MAX_CHAIN).map(|der| Presented::new(der.as_ref())).collect();
        let parameters: Vec<_> = records.iter().map(TlsaRecord::parameters).collect();
        let strongest = strongest(&parameters);
        let matches = records.iter().zip(parameters).map(|(record, parameters)| RecordMatch {
            parameters,
            is_superseded: parameters.is_ok_and(|(usage, selector, digest)| {
                digest != MatchingType::Full && digest < strongest[place(usage, selector)]
            }),
            matched: parameters.map_or(Matched::Nothing, |parameters| matched(record, parameters, &chain)),
        });
        Self { records: matches.collect() }
    }

    /// Records that senders look at.
    fn considered(&self) -> impl Iterator<Item = (usize, &RecordMatch)> {
        self.records.iter().enumerate().filter(|(_, record)| record.parameters.is_ok() && !record.is_superseded)
    }

    /// Whether there is a usable record.
    pub fn is_usable(&self) -> bool {
        self.considered().next().is_some()
    }

    /// Indexes of records that senders look at, and that match.
    pub fn matched(&self) -> Vec<usize> {
        self.considered()
            .filter(|(_, record)| matches!(record.matched, Matched::Certificate(_)))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether a DANE-EE record matches: then no path has to be verified.
    pub fn has_end_entity(&self) -> bool {
        self.considered().any(|(_, record)| record.usage() == Some(Usage::DaneEe) && record.is_match())
    }

    /// The anchors of the DANE-TA records, each once. `records` are those that were compared.
    pub fn anchors(&self, records: &[TlsaRecord]) -> Vec<Anchor> {
        let mut anchors = Vec::new();
        for (index, found) in self.considered().filter(|(_, record)| record.usage() == Some(Usage::DaneTa)) {
            let anchor = match (found.matched, found.parameters, records.get(index)) {
                (Matched::Certificate(place), ..) => Anchor::Presented(place),
                (Matched::InRecord, Ok((_, Selector::Certificate, _)), Some(record)) => {
                    Anchor::Certificate(record.data.clone())
                }
                (Matched::InRecord, Ok((_, Selector::PublicKey, _)), Some(record)) => {
                    Anchor::PublicKey(record.data.clone())
                }
                _ => continue,
            };
            if anchors.len() < MAX_ANCHORS && !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
        anchors
    }

    /// What DANE makes of the server. `verifies` says whether there is a path to an anchor, with a right name and
    /// right dates; it is asked only where the answer counts.
    pub fn peer(&self, records: &[TlsaRecord], verifies: impl FnMut(&Anchor) -> bool) -> Peer {
        if self.has_end_entity() {
            return Peer::EndEntity;
        }
        let anchors = self.anchors(records);
        match anchors.is_empty() {
            true => Peer::Mismatch,
            false if anchors.iter().any(verifies) => Peer::Anchored,
            false => Peer::PathInvalid,
        }
    }
}

impl RecordMatch {
    /// `None` for a record that is not usable.
    pub fn usage(&self) -> Option<Usage> {
        self.parameters.ok().map(|(usage, ..)| usage)
    }

    /// Whether the record matches a certificate that the server sent.
    pub fn is_match(&self) -> bool {
        matches!(self.matched, Matched::Certificate(_))
    }
}

/// The strongest digest of each usage and selector. Records that are not usable do not count.
fn strongest(parameters: &[Result<(Usage, Selector, MatchingType), Unusable>]) -> [MatchingType; 4] {
    let mut strongest = [MatchingType::Full; 4];
    for (usage, selector, digest) in parameters.iter().flatten() {
        let place = place(*usage, *selector);
        strongest[place] = strongest[place].max(*digest);
    }
    strongest
}

fn place(usage: Usage, selector: Selector) -> usize {
    match (usage, selector) {
        (Usage::DaneTa, Selector::Certificate) => 0,
        (Usage::DaneTa, Selector::PublicKey) => 1,
        (Usage::DaneEe, Selector::Certificate) => 2,
        (Usage::DaneEe, Selector::PublicKey) => 3,
    }
}

fn matched(record: &TlsaRecord, parameters: (Usage, Selector, MatchingType), chain: &[Presented<'_>]) -> Matched {
    let (usage, selector, matching_type) = parameters;
    let is_matched = |presented: &Presented<'_>| presented.is_matched_by(selector, matching_type, &record.data);
    let own = chain.first().is_some_and(is_matched);
    match usage {
        Usage::DaneEe if own => Matched::Certificate(0),
        Usage::DaneEe => Matched::Nothing,
        Usage::DaneTa => match chain.iter().skip(1).position(is_matched) {
            Some(position) => Matched::Certificate(position + 1),
            None if own => Matched::OwnCertificate,
            None if matching_type == MatchingType::Full => Matched::InRecord,
            None => Matched::Nothing,
        },
    }
}
