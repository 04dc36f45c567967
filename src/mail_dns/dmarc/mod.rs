//! DMARC: what becomes of mail that fails, and who is told (RFC 9989).
//!
//! [`DmarcWalk`] makes the DNS tree walk for a domain and gives [`Dmarc`].

use serde::Serialize;

mod fault;
mod record;
mod reports;
#[cfg(test)]
mod tests;
mod uri;
mod visit;
mod walk;

pub use fault::Fault;
pub use record::{Effect, Policy, Psd, Record, RecordFault, ReportTag, Retired};
pub use reports::{Authorization, Destination};
pub use uri::{ReportUri, UriFault};
pub use visit::{NearMiss, Published, Visit};
pub use walk::DmarcWalk;

use crate::mail_dns::{LookupFailure, Proof, State};

/// Questions of one tree walk (RFC 9989, section 4.10).
pub const MAX_QUERIES: usize = 8;
/// Destination hosts of reports whose consent is asked for.
pub const MAX_DESTINATIONS: usize = 8;

/// What the tree walk found for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dmarc {
    /// Where the walk began, without the last dot.
    pub domain: String,
    /// The names that were asked, from the domain upwards, up to where the walk stopped.
    pub visits: Vec<Visit>,
    /// `None` where a lookup failed.
    pub organizational: Option<OrganizationalDomain>,
    /// The record that applies to mail from the domain. `None`, too, where a lookup failed.
    pub found: Option<Found>,
    /// Addresses for reports of that record.
    pub destinations: Vec<Destination>,
    /// What receivers find that go by the public suffix list (RFC 7489, section 3.2).
    pub suffix_list: SuffixList,
}

/// RFC 9989, section 4.10.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationalDomain {
    /// The name without the last dot.
    pub domain: String,
    /// What made it so.
    pub rule: OrganizationalRule,
}

/// What made a domain the organizational domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrganizationalRule {
    /// Its record says `psd=n`.
    PsdNo,
    /// The record of its parent says `psd=y`.
    BelowPsd,
    /// Of all domains with a record it has the fewest labels.
    FewestLabels,
    /// No record was found: it is where the walk began.
    Start,
}

/// The record that applies (RFC 9989, section 4.10.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is among [`Dmarc::visits`].
    pub visit: usize,
    /// Whose record it is.
    pub relation: Relation,
    /// The policy that applies to the domain. `None`: DMARC does not apply, as the record has neither a policy nor an
    /// address for reports.
    pub policy: Option<Policy>,
    /// The tag that the policy is of.
    pub tag: PolicyTag,
    /// Whether the domain exists, where that makes a difference: for the record of another domain, with `np`. `None`
    /// where the lookup failed; then it is taken to exist.
    pub does_exist: Option<bool>,
}

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The domain's own.
    Author,
    /// Of the organizational domain.
    Organizational,
    /// Of the public suffix domain above the organizational one.
    PublicSuffix,
}

/// The tag that a policy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyTag {
    /// `p`: for the domain of the record, and all below it where no other applies.
    P,
    /// `sp`: for subdomains.
    Sp,
    /// `np`: for subdomains that do not exist.
    Np,
    /// No tag could be read: `none` is assumed.
    Assumed,
}

/// What the public suffix list makes of the domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuffixList {
    /// `None` for a public suffix.
    pub organizational: Option<String>,
    /// Where a receiver that goes by the list finds the record.
    pub found_at: Option<String>,
    /// That is another record than the tree walk finds, or only one of both finds any.
    pub is_different: bool,
}

impl Dmarc {
    /// State of the record that applies.
    pub fn state(&self) -> State {
        match &self.found {
            _ if self.faults().iter().any(Fault::is_fatal) => State::Invalid,
            Some(_) => State::Ok,
            None if self.reason().is_some() => State::Inconclusive,
            None => State::Absent,
        }
    }

    /// Why the state is inconclusive: the first lookup that failed, where no record of the domain's own was found.
    pub fn reason(&self) -> Option<LookupFailure> {
        let failure = self.visits.iter().find_map(Visit::failure);
        failure.filter(|_| self.found.is_none())
    }

    /// The record that applies.
    pub fn record(&self) -> Option<&Record> {
        self.visits.get(self.found.as_ref()?.visit)?.record()
    }

    /// The name with the record that applies, such as `_dmarc.example.com`.
    pub fn found_at(&self) -> Option<String> {
        self.visits.get(self.found.as_ref()?.visit).map(Visit::name)
    }

    /// Text of the record that applies; where there is none, of those that were discarded.
    pub fn records(&self) -> &[String] {
        let found = self.found.as_ref().and_then(|found| self.visits.get(found.visit));
        let discarded = || self.visits.iter().find(|visit| !visit.texts.is_empty());
        found.or_else(discarded).map_or(&[], |visit| &visit.texts)
    }

    /// Whether DNSSEC vouches for the record that applies; where there is none, for the answer about the domain's own.
    pub fn proof(&self) -> Proof {
        let index = self.found.as_ref().map_or(0, |found| found.visit);
        self.visits.get(index).map_or(Proof::Indeterminate, |visit| visit.proof)
    }

    /// The policy that applies to the domain, as published.
    pub fn policy(&self) -> Option<Policy> {
        self.found.as_ref()?.policy
    }

    /// The policy that receivers are to apply: with `t=y`, one level below the published one (RFC 9989, section 4.7).
    pub fn applied_policy(&self) -> Option<Policy> {
        let is_testing = self.record()?.is_testing;
        self.policy().map(|policy| match policy {
            Policy::Reject if is_testing => Policy::Quarantine,
            Policy::Quarantine if is_testing => Policy::None,
            policy => policy,
        })
    }

    /// All that is wrong in the records of the domain and its organization.
    pub fn faults(&self) -> Vec<Fault> {
        fault::of(self)
    }
}
