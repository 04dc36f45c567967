//! SPF: who may send for a domain (RFC 7208).
//!
//! [`SpfWalk`] looks at the whole tree of a domain's record and gives [`Spf`]; [`HostCheck`] evaluates it for one
//! sender.

use serde::Serialize;

mod check_host;
mod fault;
mod macros;
mod publication;
mod record;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod verdict;

pub use check_host::HostCheck;
pub use fault::{Family, Fault};
pub use macros::{MacroFault, MacroString};
pub use publication::{NearMiss, Publication, Published};
pub use record::{Mechanism, Prefixes, Qualifier, Record, SyntaxFault, SyntaxFaultKind, Term, TermKind};
pub use survey::SpfWalk;
pub use tree::{Broken, FailedLookup, Node, Target, TermNode, VoidQueries, Voids};
pub use verdict::{Identity, SpfReason, SpfResult, SpfVerdict};

use crate::mail_dns::{LookupFailure, Proof, State};

/// Lookups of one evaluation (RFC 7208, section 4.6.4).
pub const MAX_LOOKUPS: usize = 10;
/// Void lookups of one evaluation (RFC 7208, section 4.6.4).
pub const MAX_VOIDS: usize = 2;
/// Hosts of one `mx` term, and names of one `ptr` term (RFC 7208, section 4.6.4).
pub const MAX_MX_HOSTS: usize = 10;
/// Octets of the name and all TXT records at it that surely fit into an answer over UDP (RFC 7208, section 3.4).
pub const MAX_UDP_OCTETS: usize = 450;
/// Lookups that a survey counts: more than an evaluation makes, to show by how much a record exceeds the limit.
pub const MAX_SURVEYED_LOOKUPS: usize = 40;
/// Questions that one survey asks.
pub const MAX_QUESTIONS: usize = 160;

/// What a domain publishes about SPF, the whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spf {
    /// The domain's own record, and what it leads to.
    pub root: Node,
    /// Lookups of all terms, no matter which sender (RFC 7208, section 4.6.4); where [`Spf::cut`], at least these.
    pub lookups: usize,
    /// The survey ended before the end of the tree.
    pub cut: Option<Cut>,
    /// Questions without a usable answer. What they would have led to is not counted.
    pub failed: Vec<FailedLookup>,
}

/// The limit of this program at which a survey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// [`MAX_SURVEYED_LOOKUPS`].
    #[error("more than {MAX_SURVEYED_LOOKUPS} lookups")]
    Lookups,
    /// [`MAX_QUESTIONS`].
    #[error("more than {MAX_QUESTIONS} questions")]
    Questions,
    /// A record has more terms than are read.
    #[error("more than {} terms in one record", record::MAX_TERMS)]
    Terms,
}

impl Spf {
    /// State of the domain's record: invalid where an evaluation ends in permerror for some sender.
    pub fn state(&self) -> State {
        let faults = self.faults();
        match &self.root.publication.published {
            Published::Failed(_) => State::Inconclusive,
            _ if faults.iter().any(Fault::is_error) => State::Invalid,
            Published::NoName | Published::NoRecord { .. } => State::Absent,
            Published::Record(record) if record.is_cut => State::Inconclusive,
            Published::Record(_) | Published::Multiple(_) => State::Ok,
        }
    }

    /// Why the state is inconclusive.
    pub fn reason(&self) -> Option<LookupFailure> {
        match &self.root.publication.published {
            Published::Failed(failure) => Some(*failure),
            Published::Record(record) if record.is_cut => Some(LookupFailure::Limit),
            _ => None,
        }
    }

    /// Text of each SPF record of the domain, at most 16 of 4096 octets each.
    pub fn records(&self) -> &[String] {
        &self.root.publication.texts
    }

    /// Whether DNSSEC vouches for the domain's own record.
    pub fn proof(&self) -> Proof {
        self.root.publication.proof
    }

    /// Void lookups that an evaluation of every term makes: for IPv4, for IPv6.
    pub fn voids(&self) -> (Voids, Voids) {
        self.root.voids()
    }

    /// All that is wrong or worth a word, in the tree's order.
    pub fn faults(&self) -> Vec<Fault> {
        fault::of(self)
    }
}
