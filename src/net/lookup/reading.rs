//! From a DNS message to records and aliases.

use hickory_resolver::proto::{
    dnssec::Proof as Validity,
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};

use crate::{
    mail_dns::{LookupFailure, Proof, RecordData, RecordKind},
    net::resolve::{ResolveError, to_text},
};

/// What a message has about a name.
pub(super) struct Reading {
    /// The names that it is led to by CNAME.
    pub(super) names: Vec<Name>,
    /// The weakest of the records on the way and at the end.
    pub(super) proof: Proof,
    pub(super) records: Vec<RecordData>,
}

/// Reads the records of a type, aliases followed as far as the message has them.
pub(super) fn read(message: &Message, name: &Name, record_type: RecordType) -> Reading {
    let mut reading = Reading { names: Vec::new(), proof: Proof::Secure, records: Vec::new() };
    let mut name = name.clone();
    let mut weaken = |validity| reading.proof = super::weaker(reading.proof, proof_of(validity));
    for _ in 0..super::MAX_ALIASES {
        let of_name = message.answers.iter().filter(|record| record.name == name);
        let mut next = None;
        for record in of_name {
            if record.record_type() == record_type {
                weaken(record.proof);
                reading.records.extend(data(&record.data));
            } else if let RData::CNAME(alias) = &record.data {
                weaken(record.proof);
                next = Some(alias.0.clone());
            }
        }
        match next {
            Some(alias) if reading.records.is_empty() => {
                reading.names.push(alias.clone());
                name = alias;
            }
            _ => break,
        }
    }
    reading
}

fn proof_of(validity: Validity) -> Proof {
    match validity {
        Validity::Secure => Proof::Secure,
        Validity::Insecure => Proof::Insecure,
        Validity::Bogus => Proof::Bogus,
        Validity::Indeterminate => Proof::Indeterminate,
    }
}

fn data(data: &RData) -> Option<RecordData> {
    Some(match data {
        RData::A(address) => RecordData::Address(address.0.into()),
        RData::AAAA(address) => RecordData::Address(address.0.into()),
        RData::MX(mx) => RecordData::Mx { preference: mx.preference, exchange: to_text(&mx.exchange) },
        RData::PTR(name) => RecordData::Ptr(to_text(&name.0)),
        RData::TLSA(tlsa) => RecordData::Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching_type: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        },
        RData::TXT(txt) => RecordData::Txt { octets: txt.txt_data.concat(), strings: txt.txt_data.len() },
        _ => return None,
    })
}

pub(super) fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Ptr => RecordType::PTR,
        RecordKind::Tlsa => RecordType::TLSA,
        RecordKind::Txt => RecordType::TXT,
    }
}

/// An absolute name; `None` where DNS cannot have it.
pub(super) fn name_of(text: &str) -> Option<Name> {
    if text.is_empty() {
        return Some(Name::root());
    }
    // From its labels: hickory's own parser would apply escapes and IDNA rules.
    let mut name = Name::from_labels(text.split('.').map(str::as_bytes)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Why there is no answer.
pub(super) fn lookup_failure(error: &ResolveError) -> LookupFailure {
    match error {
        ResolveError::Timeout { .. } => LookupFailure::TimedOut,
        ResolveError::ServerFailure { code: ResponseCode::Refused, .. } => LookupFailure::Refused,
        ResolveError::ServerFailure { .. } => LookupFailure::ServFail,
        ResolveError::Lame { .. } => LookupFailure::BogusOrLame,
        _ => LookupFailure::NoAnswer,
    }
}
