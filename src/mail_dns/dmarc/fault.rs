//! What is wrong in the DMARC records of a domain.

use std::fmt;

use super::{Dmarc, Effect, NearMiss, Published, RecordFault, Visit};
use crate::mail_dns::lookups::is_within;

/// One fault, and the domain whose record it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More than one record at a name: all are discarded, and the walk goes on (RFC 9989, section 4.10).
    Multiple {
        /// Domain whose record it is.
        domain: String,
        /// How many.
        count: usize,
    },
    /// A text that looks as if it should be a record.
    NearMiss {
        /// Domain whose record it is.
        domain: String,
        /// What it looks like.
        near_miss: NearMiss,
    },
    /// The record has neither a policy that can be read nor an address for reports: DMARC does not apply (RFC 9989,
    /// section 4.10.1).
    NoEffect {
        /// Domain whose record it is.
        domain: String,
    },
    /// Something in the record that applies.
    Record {
        /// Domain whose record it is.
        domain: String,
        /// What is wrong.
        fault: RecordFault,
    },
}

impl Fault {
    /// Whether a record, or the policy it asks for, is lost by it.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Multiple { .. } | Self::NearMiss { .. } | Self::NoEffect { .. } => true,
            Self::Record { fault, .. } => fault.is_fatal(),
        }
    }
}

/// Faults of the records of the domain's own organization. Those further up are not the domain's to mend.
pub(super) fn of(dmarc: &Dmarc) -> Vec<Fault> {
    let organization = dmarc.suffix_list.organizational.as_deref().unwrap_or(&dmarc.domain);
    let own = dmarc.visits.iter().enumerate().filter(|(_, visit)| is_within(&visit.domain, organization));
    let mut faults = Vec::new();
    for (index, visit) in own {
        let is_found = dmarc.found.as_ref().is_some_and(|found| found.visit == index);
        of_visit(visit, is_found, &mut faults);
    }
    faults
}

fn of_visit(visit: &Visit, is_found: bool, faults: &mut Vec<Fault>) {
    let domain = || visit.domain.clone();
    match &visit.published {
        Published::Multiple(count) => faults.push(Fault::Multiple { domain: domain(), count: *count }),
        Published::Record(record) if is_found => {
            if record.effect() == Effect::Nothing {
                faults.push(Fault::NoEffect { domain: domain() });
            }
            faults.extend(record.faults.iter().cloned().map(|fault| Fault::Record { domain: domain(), fault }));
        }
        Published::NoName | Published::NoRecord => {
            let near_misses = visit.near_misses.iter().cloned();
            faults.extend(near_misses.map(|near_miss| Fault::NearMiss { domain: domain(), near_miss }));
        }
        Published::Record(_) | Published::Failed(_) => {}
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiple { domain, count } => write!(f, "{count} DMARC records at _dmarc.{domain}"),
            Self::NearMiss { domain, near_miss } => write!(f, "{near_miss} at _dmarc.{domain}"),
            Self::NoEffect { domain } => {
                write!(f, "neither a policy nor an address for reports in the record at _dmarc.{domain}")
            }
            Self::Record { domain, fault } => write!(f, "{fault} (record at _dmarc.{domain})"),
        }
    }
}
