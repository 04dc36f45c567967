//! What a domain publishes about its mail, parsed and judged. No I/O: lookups come in as [`Answer`]s.
//!
//! - [`mx`]: where its mail goes (RFC 5321, section 5.1; RFC 7505).
//! - [`spf`]: who may send for it (RFC 7208), the whole tree.
//! - [`dmarc`]: what becomes of mail that fails (RFC 9989), by the tree walk.
//! - [`dkim`]: the keys of given selectors (RFC 6376).
//! - [`mta_sts`], [`tls_rpt`]: its policy of TLS and where reports go (RFC 8461, RFC 8460).
//! - [`tlsa`]: its certificates by DANE (RFC 7672).

mod der;
pub mod dkim;
pub mod dmarc;
pub mod lookups;
pub mod mta_sts;
pub mod mx;
pub mod spf;
pub mod tag_list;
#[cfg(test)]
pub(crate) mod test_zone;
pub mod tls_rpt;
pub mod tlsa;
mod txt;

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// One question to the DNS: an absolute name without the last dot, in lower case and ASCII, and a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// Without the last dot.
    pub name: String,
    /// The type of the records.
    pub kind: RecordKind,
}

/// Type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// IPv4 address (RFC 1035).
    A,
    /// IPv6 address (RFC 3596).
    Aaaa,
    /// Mail exchange (RFC 1035).
    Mx,
    /// Name of an address (RFC 1035).
    Ptr,
    /// Certificate association (RFC 6698).
    Tlsa,
    /// Text (RFC 1035).
    Txt,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Tlsa => "TLSA",
            Self::Txt => "TXT",
        })
    }
}

/// What a record holds, as far as the rules here need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    /// Of A and AAAA.
    Address(IpAddr),
    /// A name without the last dot; empty for the root.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host.
        exchange: String,
    },
    /// A name without the last dot.
    Ptr(String),
    /// RFC 6698, section 2.1.
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// Part of the certificate.
        selector: u8,
        /// How the data is matched.
        matching_type: u8,
        /// Certificate association data.
        data: Vec<u8>,
    },
    /// The character strings of one TXT record, joined without a space (RFC 7208, section 3.3), and how many there
    /// were.
    Txt {
        /// All strings, joined.
        octets: Vec<u8>,
        /// How many there were.
        strings: usize,
    },
}

/// Whether DNSSEC vouches for an answer (RFC 4033, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A chain of signatures leads to it.
    Secure,
    /// It is proven that there is no such chain.
    Insecure,
    /// There should be a chain, and it does not hold.
    Bogus,
    /// It was not looked at, or could not be.
    Indeterminate,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether DNSSEC vouches for the outcome.
    pub proof: Proof,
    /// Names that the question was led to by CNAME, in their order.
    pub aliases: Vec<String>,
    /// The records, or why there are none.
    pub outcome: Outcome,
}

/// The records of an answer, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one.
    Records(Vec<RecordData>),
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The name exists, and has no record of the type.
    NoData,
    /// Nothing can be said about the records.
    Failed(LookupFailure),
}

/// Why nothing can be said about a record. Never the same as its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum LookupFailure {
    /// The resolver failed.
    #[error("SERVFAIL")]
    ServFail,
    /// The resolver refused to answer.
    #[error("REFUSED")]
    Refused,
    /// No answer came in time.
    #[error("timed out")]
    TimedOut,
    /// DNSSEC does not vouch for it, or no name server of the zone answers.
    #[error("bogus or lame")]
    BogusOrLame,
    /// The validation of DNSSEC failed.
    #[error("bogus")]
    Bogus,
    /// No server could be asked, or none gave an answer that can be read.
    #[error("no answer that can be read")]
    NoAnswer,
    /// A limit of this program: too many or too large records, aliases that lead nowhere.
    #[error("more than this program reads")]
    Limit,
}

/// State of a record of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is one, and it can be used.
    Ok,
    /// There is none.
    Absent,
    /// There is one that cannot be used, or more than one.
    Invalid,
    /// Nothing can be said about it.
    Inconclusive,
    /// It was not asked for.
    NotTested,
}

impl Answer {
    /// Whether DNSSEC says that the answer is not the one that the zone gave.
    pub fn is_bogus(&self) -> bool {
        self.proof == Proof::Bogus || self.outcome == Outcome::Failed(LookupFailure::Bogus)
    }
}

/// What one kind of sender makes of an address, a host or a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Mail arrives as the sender wants it to.
    Ok,
    /// The sender does not deliver.
    Fail,
    /// It could not be told.
    Inconclusive,
    /// The sender has no rule for it.
    NotApplicable,
}

impl Verdict {
    /// The verdict on a host from those on its addresses, or on a domain from those on its hosts: one that works is
    /// enough for mail to arrive. What could not be judged does not hide a failure.
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Ok => 3,
            Self::Fail => 2,
            Self::Inconclusive => 1,
            Self::NotApplicable => 0,
        };
        parts.into_iter().max_by_key(rank).unwrap_or(Self::NotApplicable)
    }
}
