//! Which names to ask for TLSA records (RFC 7672, sections 2.2.2 and 2.2.3), and what came of it.

use super::TlsaRecord;
use crate::mail_dns::{
    LookupFailure, Outcome, Proof, Question, RecordKind, State,
    lookups::{Answers, Step},
    mx::HostAddresses,
};

/// Names of which the TLSA records may hold for a host, in the order in which they are asked.
///
/// The first is the name that the host is an alias of, if DNSSEC vouches for all of the way there; the last is the
/// host's own. None if the addresses are not secure: then DANE does not apply, and nothing is asked.
pub fn base_names(host: &str, addresses: &HostAddresses) -> Vec<String> {
    if addresses.proof != Proof::Secure {
        return Vec::new();
    }
    let expanded = addresses.aliases.last().filter(|name| !addresses.aliases_differ && *name != host);
    expanded.cloned().into_iter().chain([host.to_owned()]).collect()
}

/// Names of which one has to be in the certificate where a DANE-TA record matches (RFC 7672, section 3.2.2): the base
/// name that has the records and, if DNSSEC vouches for the MX records, the domain that they are of. The first is also
/// the one to send as SNI.
///
/// `domain_alias` is what the domain is an alias of, if it is.
pub fn reference_names(base: &str, domain: &str, domain_alias: Option<&str>, mx_proof: Proof) -> Vec<String> {
    let mut names = vec![base.to_owned()];
    let of_domain = [Some(domain), domain_alias].into_iter().flatten().filter(|_| mx_proof == Proof::Secure);
    for name in of_domain {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// What came of the search for the TLSA records of a host. `base` is the name that was asked last, without port and
/// protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsaOutcome {
    /// A secure set of records, usable or not.
    Records {
        /// The name to send as SNI, and to find in the certificate.
        base: String,
        /// At least one.
        records: Vec<TlsaRecord>,
    },
    /// DNSSEC proves that there are none.
    Absent,
    /// The name is in a zone without DNSSEC: records there have no effect (RFC 7672, section 2.2.3).
    Insecure {
        /// The name that was asked.
        base: String,
        /// May be none.
        records: Vec<TlsaRecord>,
    },
    /// The answer fails validation.
    Bogus {
        /// The name that was asked.
        base: String,
    },
    /// DNSSEC was not looked at, or could not be.
    Indeterminate {
        /// The name that was asked.
        base: String,
        /// May be none.
        records: Vec<TlsaRecord>,
    },
    /// Nothing can be said about the records.
    Failed {
        /// The name that was asked.
        base: String,
        /// Why.
        failure: LookupFailure,
    },
    /// The host's addresses are not secure.
    NotAsked,
}

impl TlsaOutcome {
    /// The name that was asked last, without port and protocol.
    pub fn base(&self) -> Option<&str> {
        match self {
            Self::Records { base, .. }
            | Self::Insecure { base, .. }
            | Self::Bogus { base }
            | Self::Indeterminate { base, .. }
            | Self::Failed { base, .. } => Some(base),
            Self::Absent | Self::NotAsked => None,
        }
    }

    /// All records that were found, with an effect or without.
    pub fn records(&self) -> &[TlsaRecord] {
        match self {
            Self::Records { records, .. } | Self::Insecure { records, .. } | Self::Indeterminate { records, .. } => {
                records
            }
            Self::Absent | Self::Bogus { .. } | Self::Failed { .. } | Self::NotAsked => &[],
        }
    }

    /// Why nothing can be said about the records.
    pub fn failure(&self) -> Option<LookupFailure> {
        match self {
            Self::Bogus { .. } => Some(LookupFailure::Bogus),
            Self::Failed { failure, .. } => Some(*failure),
            _ => None,
        }
    }

    /// The state of the records: valid if one of them is usable, whether DNSSEC vouches for it or not.
    pub fn state(&self) -> State {
        match self {
            Self::NotAsked => State::NotTested,
            _ if self.failure().is_some() => State::Inconclusive,
            _ if self.records().is_empty() => State::Absent,
            _ if self.records().iter().any(|record| record.parameters().is_ok()) => State::Ok,
            _ => State::Invalid,
        }
    }
}

/// Searches the answers for TLSA records, or says what to ask next. `bases` are those of [`base_names`].
///
/// The first secure set of records decides, usable or not, and so does a failure: a sender must not go on to a name
/// that an attacker would like better.
pub fn search(bases: &[String], port: u16, answers: &Answers) -> Step<TlsaOutcome> {
    let mut insecure = None;
    for base in bases.iter().cloned() {
        let question = question(&base, port);
        let Some(answer) = answers.get(&question) else { return Step::Ask(vec![question]) };
        let records = match &answer.outcome {
            Outcome::Records(records) => TlsaRecord::all_of(records),
            _ => Vec::new(),
        };
        match (&answer.outcome, answer.proof) {
            _ if answer.is_bogus() => return Step::Done(TlsaOutcome::Bogus { base }),
            (Outcome::Failed(failure), _) => return Step::Done(TlsaOutcome::Failed { base, failure: *failure }),
            (_, Proof::Indeterminate) => return Step::Done(TlsaOutcome::Indeterminate { base, records }),
            (_, Proof::Secure) if !records.is_empty() => return Step::Done(TlsaOutcome::Records { base, records }),
            (_, Proof::Secure | Proof::Bogus) => {}
            // Records without effect are shown if no name has better ones.
            (_, Proof::Insecure) if !records.is_empty() || bases.last() == Some(&base) => {
                insecure.get_or_insert(TlsaOutcome::Insecure { base, records });
            }
            (_, Proof::Insecure) => {}
        }
    }
    let nothing = if bases.is_empty() { TlsaOutcome::NotAsked } else { TlsaOutcome::Absent };
    Step::Done(insecure.unwrap_or(nothing))
}

/// The question for the TLSA records of a base name (RFC 6698, section 3).
pub fn question(base: &str, port: u16) -> Question {
    Question::new(&format!("_{port}._tcp.{base}"), RecordKind::Tlsa)
}
