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
mod test_zone;
pub mod tls_rpt;
pub mod tlsa;
mod txt;

use std::{fmt, net::IpAddr};

use serde::Serialize;

/// One question to the DNS: an absolute name without the last dot, in lower case and ASCII, and a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    pub name: String,
    pub kind: RecordKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    A,
    Aaaa,
    Mx,
    Ptr,
    Tlsa,
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
    Address(IpAddr),
    /// A name without the last dot; empty for the root.
    Mx {
        preference: u16,
        exchange: String,
    },
    Ptr(String),
    Tlsa {
        usage: u8,
        selector: u8,
        matching_type: u8,
        data: Vec<u8>,
    },
    /// The character strings of one TXT record, joined without a space (RFC 7208, section 3.3), and how many there
    /// were.
    Txt {
        octets: Vec<u8>,
        strings: usize,
    },
}

/// Whether DNSSEC vouches for an answer (RFC 4033, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    Secure,
    Insecure,
    Bogus,
    /// It was not looked at, or could not be.
    Indeterminate,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub proof: Proof,
    /// Names that the question was led to by CNAME, in their order.
    pub aliases: Vec<String>,
    pub outcome: Outcome,
}

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
    #[error("SERVFAIL")]
    ServFail,
    #[error("REFUSED")]
    Refused,
    #[error("timed out")]
    TimedOut,
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
    Ok,
    Absent,
    Invalid,
    Inconclusive,
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
