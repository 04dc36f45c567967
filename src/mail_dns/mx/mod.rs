//! MX records: the hosts that take a domain's mail (RFC 5321, section 5.1), or that it takes none (RFC 7505).
//!
//! [`MailHosts::read`] judges the answer of the domain; [`HostAddresses::read`] those of one host.

mod addresses;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

pub use addresses::{AddressState, HostAddresses, SpecialUse, special_use};

use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, Question, RecordData, RecordKind, State};

/// Records that are kept as text, to be shown.
const MAX_SHOWN: usize = 64;
/// Faults that are kept of one set of records.
const MAX_FAULTS: usize = 32;

/// What the MX records say, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MxStatus {
    /// At least one host, and no null MX.
    HasMx,
    /// No MX record: the domain itself is the host, if it has an address (RFC 5321, section 5.1).
    NoMx,
    /// The domain takes no mail (RFC 7505, section 3).
    NullMx,
    /// A null MX and hosts: senders may do either.
    NullMxWithOthers,
    /// NXDOMAIN.
    NoSuchDomain,
    /// The lookup failed, or its answer fails validation.
    Inconclusive,
}

/// The MX records of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHosts {
    /// What they say, in one word.
    pub status: MxStatus,
    /// [`State::Invalid`] if a null MX is wrong. Other faults concern single hosts.
    pub state: State,
    /// Why the state is [`State::Inconclusive`].
    pub failure: Option<LookupFailure>,
    /// Whether DNSSEC vouches for the answer.
    pub proof: Proof,
    /// By preference, as `10 mx1.example.com.`, the first 64.
    pub records: Vec<String>,
    /// By preference, then by name, each once. Records that fail validation are here, too: a sender that does not
    /// validate uses them.
    pub hosts: Vec<MxHost>,
    /// Hosts beyond the limit.
    pub left_out: usize,
    /// At most 32.
    pub faults: Vec<MxFault>,
}

/// A host that mail for the domain may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    /// In lower case, without the last dot.
    pub name: String,
    /// The smallest, if the host is named more than once.
    pub preference: u16,
    /// What the name is.
    pub kind: HostKind,
}

/// What the name of a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A name to look up.
    Name,
    /// It reads as an address, which an MX record cannot hold (RFC 1035, section 3.3.9).
    Address(IpAddr),
    /// `localhost` or a name below it (RFC 6761, section 6.3).
    Localhost,
}

/// Something wrong with the records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MxFault {
    /// RFC 7505, section 3.
    #[error("a null MX beside other MX records")]
    NullWithOthers,
    /// RFC 7505, section 3.
    #[error("a null MX with preference {0} instead of 0")]
    NullPreference(u16),
    /// See [`HostKind::Address`].
    #[error("MX host \"{name}\" reads as the address {address}")]
    Address {
        /// As published.
        name: String,
        /// As read.
        address: IpAddr,
    },
    /// See [`HostKind::Localhost`].
    #[error("MX host \"{0}\" is this very machine for each sender")]
    Localhost(String),
    /// The host is there with a smaller preference, too.
    #[error("MX host \"{name}\" more than once; preference {preference} has no effect")]
    Repeated {
        /// The host.
        name: String,
        /// The larger one.
        preference: u16,
    },
}

/// The question for the MX records of a domain.
pub fn question(domain: &str) -> Question {
    Question::new(domain, RecordKind::Mx)
}

impl MailHosts {
    /// Judges the answer to [`question`], and keeps at most `limit` hosts.
    ///
    /// Without MX records `domain` is the only host, with preference 0. Whether it has an address is not known here.
    pub fn read(domain: &str, answer: &Answer, limit: usize) -> Self {
        let mut result = Self {
            status: MxStatus::Inconclusive,
            state: State::Inconclusive,
            failure: None,
            proof: answer.proof,
            records: Vec::new(),
            hosts: Vec::new(),
            left_out: 0,
            faults: Vec::new(),
        };
        match &answer.outcome {
            Outcome::Failed(failure) => result.failure = Some(*failure),
            Outcome::NoName => result.absent(MxStatus::NoSuchDomain),
            Outcome::NoData => {
                result.absent(MxStatus::NoMx);
                result.hosts.push(MxHost::new(domain, 0));
            }
            Outcome::Records(records) => {
                let mut records = sorted(records);
                // Records of other types only: not an answer to this question.
                if records.is_empty() {
                    return Self::read(domain, &Answer { outcome: Outcome::NoData, ..answer.clone() }, limit);
                }
                result.records = records.iter().take(MAX_SHOWN).map(|(p, name)| format!("{p} {name}.")).collect();
                result.judge_null(&mut records);
                result.add_hosts(&records, limit);
            }
        }
        if answer.is_bogus() {
            result.proof = Proof::Bogus;
            (result.status, result.state) = (MxStatus::Inconclusive, State::Inconclusive);
            result.failure = result.failure.or(Some(LookupFailure::Bogus));
        }
        result
    }

    fn absent(&mut self, status: MxStatus) {
        (self.status, self.state) = (status, State::Absent);
    }

    /// Takes null MX records out of the sorted records.
    fn judge_null(&mut self, records: &mut Vec<(u16, String)>) {
        let wrong = records.iter().find(|(preference, name)| name.is_empty() && *preference != 0).map(|(p, _)| *p);
        let count = records.len();
        records.retain(|(_, name)| !name.is_empty());
        self.status = match (records.len() == count, records.is_empty()) {
            (true, _) => MxStatus::HasMx,
            (false, true) => MxStatus::NullMx,
            (false, false) => MxStatus::NullMxWithOthers,
        };
        if self.status == MxStatus::NullMxWithOthers {
            self.faults.push(MxFault::NullWithOthers);
        }
        self.faults.extend(wrong.map(MxFault::NullPreference));
        self.state = if self.faults.is_empty() { State::Ok } else { State::Invalid };
    }

    fn add_hosts(&mut self, records: &[(u16, String)], limit: usize) {
        let mut seen = HashSet::with_capacity(records.len());
        for (preference, name) in records {
            if !seen.insert(name) {
                self.fault(MxFault::Repeated { name: name.clone(), preference: *preference });
                continue;
            }
            let host = MxHost::new(name, *preference);
            match host.kind {
                HostKind::Name => {}
                HostKind::Address(address) => self.fault(MxFault::Address { name: name.clone(), address }),
                HostKind::Localhost => self.fault(MxFault::Localhost(name.clone())),
            }
            if self.hosts.len() < limit {
                self.hosts.push(host);
            } else {
                self.left_out += 1;
            }
        }
    }

    fn fault(&mut self, fault: MxFault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

impl MxHost {
    fn new(name: &str, preference: u16) -> Self {
        Self { name: name.to_owned(), preference, kind: HostKind::of(name) }
    }
}

impl fmt::Display for MxHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.", self.preference, self.name)
    }
}

impl HostKind {
    /// What a name in lower case is.
    fn of(name: &str) -> Self {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        // The form of address literals (RFC 5321, section 4.1.3).
        let address = match bare.strip_prefix("ipv6:") {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => bare.parse::<Ipv4Addr>().ok().map(IpAddr::V4).or_else(|| bare.parse().ok().map(IpAddr::V6)),
        };
        match address {
            Some(address) => Self::Address(address),
            None if name == "localhost" || name.ends_with(".localhost") => Self::Localhost,
            None => Self::Name,
        }
    }
}

/// Preferences and names in lower case, by preference, then by name: resolvers rotate the order of records.
fn sorted(records: &[RecordData]) -> Vec<(u16, String)> {
    let mut found: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            RecordData::Mx { preference, exchange } => {
                let name = exchange.strip_suffix('.').unwrap_or(exchange);
                Some((*preference, name.to_ascii_lowercase()))
            }
            _ => None,
        })
        .collect();
    found.sort();
    found
}
