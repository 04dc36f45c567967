//! Destinations of reports, and whether they consent to reports about another organization's mail (RFC 9990,
//! "Verifying External Destinations").

use std::collections::HashSet;

use super::{Dmarc, MAX_DESTINATIONS, Relation, ReportTag, record::is_record};
use crate::mail_dns::{
    LookupFailure, RecordKind,
    lookups::{Lookup, is_domain_name, is_within, txt_records},
};

/// One address for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The tag that it is of.
    pub tag: ReportTag,
    /// As it is published, without a size.
    pub uri: String,
    /// Whether reports may go there.
    pub authorization: Authorization,
}

/// Whether receivers may send reports there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The host is of the same organization.
    NotNeeded,
    /// There is a record at this name.
    Given(String),
    /// There is none: receivers send no reports there.
    Missing(String),
    /// The lookup failed.
    Inconclusive {
        /// The name that was asked for.
        name: String,
        /// Why nothing can be said about it.
        failure: LookupFailure,
    },
    /// The name would be longer than a name can be: receivers send no reports there.
    NameTooLong,
    /// The URI has no host.
    NoHost,
    /// There are more than [`MAX_DESTINATIONS`] hosts.
    NotAsked(String),
}

/// The destinations of the record that applies. `None` where an answer is missing.
pub(super) fn destinations(dmarc: &Dmarc, lookup: &mut Lookup<'_>) -> Option<Vec<Destination>> {
    let (Some(record), Some(found)) = (dmarc.record(), &dmarc.found) else { return Some(Vec::new()) };
    let policy_domain = dmarc.visits.get(found.visit).map_or(dmarc.domain.as_str(), |visit| visit.domain.as_str());
    let organization = match (&dmarc.organizational, found.relation) {
        (Some(organizational), Relation::Author | Relation::Organizational) => organizational.domain.as_str(),
        _ => policy_domain,
    };
    let (mut destinations, mut names, mut is_missing) = (Vec::new(), HashSet::new(), false);
    let rua = record.rua.iter().map(|uri| (ReportTag::Rua, uri));
    for (tag, uri) in rua.chain(record.ruf.iter().map(|uri| (ReportTag::Ruf, uri))) {
        let authorization = match &uri.host {
            None => Authorization::NoHost,
            Some(host) if is_within(host, organization) => Authorization::NotNeeded,
            Some(host) => {
                let name = format!("{policy_domain}._report._dmarc.{host}");
                let is_asked = names.contains(&name) || names.len() < MAX_DESTINATIONS;
                match is_domain_name(&name) {
                    false => Authorization::NameTooLong,
                    true if !is_asked => Authorization::NotAsked(name),
                    true => {
                        names.insert(name.clone());
                        // All are asked for before one that is missing ends the step.
                        let Some(authorization) = ask(name, lookup) else {
                            is_missing = true;
                            continue;
                        };
                        authorization
                    }
                }
            }
        };
        destinations.push(Destination { tag, uri: uri.uri.clone(), authorization });
    }
    (!is_missing).then_some(destinations)
}

fn ask(name: String, lookup: &mut Lookup<'_>) -> Option<Authorization> {
    Some(match lookup.get(&name, RecordKind::Txt)?.records() {
        Err(failure) => Authorization::Inconclusive { name, failure },
        Ok(records) if txt_records(records).any(is_record) => Authorization::Given(name),
        Ok(_) => Authorization::Missing(name),
    })
}
