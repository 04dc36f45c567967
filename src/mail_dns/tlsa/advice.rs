//! What holds today and may fail tomorrow, and what to publish.

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{Matched, Matching, MatchingType, Selector, TlsaRecord, Usage, digest::sha256, question};
use crate::mail_dns::der;

/// Longest life, in days, of certificates that public authorities issue since 2020 (CA/Browser Forum, Baseline
/// Requirements, section 6.3.2): one that lives longer is not renewed by a schedule of theirs.
const MAX_PUBLIC_DAYS: i64 = 398;

/// What a record and others of its kind name: senders that know one kind only must find a match, too (RFC 7671,
/// section 8).
pub type Combination = (Usage, Selector, MatchingType);

/// A record that matches, and will not after an ordinary renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fragile {
    /// `3 0 x`: each renewal changes the certificate, even with the same key (RFC 7671, section 5.1).
    #[error("record {record} names the certificate, which lives {days} days, instead of its key")]
    Certificate {
        /// Its index.
        record: usize,
        /// The life of the certificate.
        days: i64,
    },
    /// `2 x x` of an intermediate authority, which its issuer may replace (RFC 7671, section 5.2).
    #[error("record {record} names an intermediate authority, which may be replaced without notice")]
    Intermediate {
        /// Its index.
        record: usize,
    },
}

/// Combinations without a record that matches, where another combination has one. Senders that look at these only
/// fail.
pub fn unmatched_combinations(matching: &Matching) -> Vec<Combination> {
    let (mut all, mut matched) = (Vec::new(), Vec::new());
    for record in &matching.records {
        let Ok(combination) = record.parameters else { continue };
        // An anchor that is in the record needs no match.
        let holds = matches!(record.matched, Matched::Certificate(_) | Matched::InRecord);
        for list in [Some(&mut all), holds.then_some(&mut matched)].into_iter().flatten() {
            if !list.contains(&combination) {
                list.push(combination);
            }
        }
    }
    // Where nothing holds, it is a mismatch for all senders.
    all.retain(|combination| !matched.is_empty() && !matched.contains(combination));
    all
}

/// Indexes of usable records that match nothing: spares for a rollover, or leftovers (RFC 7671, section 8.1).
pub fn stale_records(matching: &Matching) -> Vec<usize> {
    let is_stale = |matched| matches!(matched, Matched::Nothing | Matched::OwnCertificate);
    indexes(matching, |record| record.parameters.is_ok() && is_stale(record.matched))
}

/// Whether DANE-EE records of the present certificate are all that is usable, or one record alone: the next key has to
/// be published before it is used (RFC 7671, section 8.1).
pub fn has_no_spare(matching: &Matching) -> bool {
    let usable: Vec<_> = matching.records.iter().filter(|record| record.parameters.is_ok()).collect();
    !usable.is_empty()
        && usable.iter().all(|record| record.usage() == Some(Usage::DaneEe))
        && (usable.len() == 1 || usable.iter().all(|record| record.is_match()))
}

/// Indexes of records that hold a whole anchor which the server does not send: many senders cannot use them (RFC 7671,
/// sections 5.2.2 and 5.2.3).
pub fn anchors_not_sent(matching: &Matching) -> Vec<usize> {
    indexes(matching, |record| record.matched == Matched::InRecord)
}

/// Indexes of DANE-TA records with a digest that nothing sent above the server's own certificate has.
pub fn anchors_not_in_chain(matching: &Matching) -> Vec<usize> {
    indexes(matching, |record| {
        record.usage() == Some(Usage::DaneTa) && matches!(record.matched, Matched::Nothing | Matched::OwnCertificate)
    })
}

/// Records that match now, and will not after an ordinary renewal. `chain` is that which was compared.
pub fn fragile_records<C: AsRef<[u8]>>(matching: &Matching, chain: &[C]) -> Vec<Fragile> {
    let judged = matching.records.iter().enumerate().filter_map(|(record, found)| {
        let Matched::Certificate(place) = found.matched else { return None };
        let certificate = chain.get(place)?.as_ref();
        match found.parameters.ok()? {
            (Usage::DaneEe, Selector::Certificate, _) => {
                let days = days(certificate).filter(|days| *days <= MAX_PUBLIC_DAYS)?;
                Some(Fragile::Certificate { record, days })
            }
            (Usage::DaneTa, ..) => {
                let parts = der::certificate(certificate)?;
                (parts.issuer != parts.subject).then_some(Fragile::Intermediate { record })
            }
            (Usage::DaneEe, Selector::PublicKey, _) => None,
        }
    });
    judged.collect()
}

/// The record that fits a server's certificate (RFC 7671, section 5.1, recommends `3 1 1`). `None` if its key
/// cannot be read.
pub fn record_for(certificate: &[u8]) -> Option<TlsaRecord> {
    let parts = der::certificate(certificate)?;
    Some(TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: sha256(parts.key).to_vec() })
}

/// The line of a zone file that publishes a record for a host.
pub fn zone_line(base: &str, port: u16, record: &TlsaRecord) -> String {
    format!("{}. IN TLSA {record}", question(base, port).name)
}

fn indexes(matching: &Matching, is_meant: impl Fn(&super::RecordMatch) -> bool) -> Vec<usize> {
    matching.records.iter().enumerate().filter(|(_, record)| is_meant(record)).map(|(index, _)| index).collect()
}

/// The life of a certificate in whole days. Needs no clock.
fn days(certificate: &[u8]) -> Option<i64> {
    const SECONDS_PER_DAY: i64 = 86_400;
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp().checked_sub(validity.not_before.timestamp())?;
    Some(seconds / SECONDS_PER_DAY)
}
