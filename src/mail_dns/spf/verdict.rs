//! Result of an evaluation of SPF for one sender, and what decided it.

use std::{fmt, net::IpAddr};

use serde::Serialize;

use super::{Broken, FailedLookup, MAX_LOOKUPS, MAX_MX_HOSTS, MAX_VOIDS, Qualifier, SyntaxFault};

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Address of the client. An IPv4-mapped IPv6 address is taken for the IPv4 address.
    pub ip: IpAddr,
    /// Local part of the envelope sender; `postmaster` where there is none (RFC 7208, section 4.3).
    pub local: String,
    /// Domain of the envelope sender, in ASCII.
    pub domain: String,
    /// Domain of the command EHLO or HELO.
    pub helo: String,
}

/// RFC 7208, section 2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// There is no record.
    None,
    /// The domain says nothing about the client.
    Neutral,
    /// The client may send.
    Pass,
    /// The client must not send.
    Fail,
    /// The client probably must not send.
    SoftFail,
    /// A lookup failed; it may succeed later.
    TempError,
    /// The records cannot be evaluated.
    PermError,
}

/// The result of an evaluation, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfVerdict {
    /// The result.
    pub result: SpfResult,
    /// What decided it.
    pub reason: SpfReason,
}

/// What decided an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpfReason {
    /// A mechanism matches.
    #[error("\"{term}\" of the record at {domain} matches")]
    Matches {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
    },
    /// No mechanism matches (RFC 7208, section 4.7).
    #[error("nothing in the record at {domain} matches")]
    NothingMatches {
        /// Domain whose record it is.
        domain: String,
    },
    /// There is no record to evaluate.
    #[error("no SPF record at {domain}")]
    NoRecord {
        /// Domain whose record it is.
        domain: String,
    },
    /// There is more than one record (RFC 7208, section 4.5).
    #[error("more than one SPF record at {domain}")]
    Multiple {
        /// Domain whose record it is.
        domain: String,
    },
    /// A record is malformed (RFC 7208, section 4.6).
    #[error("{fault} of the record at {domain}")]
    Syntax {
        /// Domain whose record it is.
        domain: String,
        /// What is wrong.
        fault: SyntaxFault,
    },
    /// A record that is included is not there (RFC 7208, sections 5.2 and 6.1).
    #[error("\"{term}\" at {domain}: {broken}")]
    IncludeBroken {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
        /// Why it leads to no record.
        broken: Broken,
    },
    /// The limit of lookups (RFC 7208, section 4.6.4).
    #[error("more than {MAX_LOOKUPS} lookups")]
    TooManyLookups,
    /// The limit of void lookups (RFC 7208, section 4.6.4).
    #[error("more than {MAX_VOIDS} lookups that find nothing")]
    TooManyVoids,
    /// The limit of an `mx` term (RFC 7208, section 4.6.4).
    #[error("\"{term}\" at {domain} has {hosts} hosts, more than {MAX_MX_HOSTS}")]
    MxTooManyNames {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
        /// How many hosts there are.
        hosts: usize,
    },
    /// A lookup failed.
    #[error("{} {}: {}", .0.name, .0.kind, .0.failure)]
    Failed(FailedLookup),
}

impl From<Qualifier> for SpfResult {
    fn from(qualifier: Qualifier) -> Self {
        match qualifier {
            Qualifier::Pass => Self::Pass,
            Qualifier::Fail => Self::Fail,
            Qualifier::SoftFail => Self::SoftFail,
            Qualifier::Neutral => Self::Neutral,
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}
