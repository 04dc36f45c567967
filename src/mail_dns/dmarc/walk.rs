//! The DNS tree walk (RFC 9989, section 4.10).

use super::{
    Dmarc, Effect, Found, MAX_QUERIES, OrganizationalDomain, OrganizationalRule, Policy, PolicyTag, Psd, Record,
    Relation, SuffixList, Visit, reports,
};
use crate::mail_dns::{
    Outcome, Proof, RecordKind,
    lookups::{Answers, Lookup, Step, is_domain_name},
};

/// The walk for one domain. All its names are asked for side by side.
#[derive(Debug)]
pub struct DmarcWalk {
    domain: String,
}

impl DmarcWalk {
    /// Begins at a domain: in ASCII, without the last dot.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.trim_end_matches('.').to_ascii_lowercase() }
    }

    /// Goes as far as the answers reach.
    pub fn step(&mut self, answers: &Answers) -> Step<Dmarc> {
        let mut lookup = Lookup::new(answers);
        let Some(visits) = visits(&self.domain, &mut lookup) else {
            // It is asked by SPF, too, and tells whether the domain exists.
            lookup.get(&self.domain, RecordKind::Txt);
            return Step::Ask(lookup.missing());
        };
        let organizational = organizational(&self.domain, &visits);
        let Ok(found) = found(&self.domain, &visits, organizational.as_ref(), &mut lookup) else {
            return Step::Ask(lookup.missing());
        };
        let Some(suffix_list) = suffix_list(&self.domain, &visits, found.as_ref(), &mut lookup) else {
            return Step::Ask(lookup.missing());
        };
        let mut dmarc =
            Dmarc { domain: self.domain.clone(), visits, organizational, found, destinations: Vec::new(), suffix_list };
        match reports::destinations(&dmarc, &mut lookup) {
            Some(destinations) => {
                dmarc.destinations = destinations;
                Step::Done(dmarc)
            }
            None => Step::Ask(lookup.missing()),
        }
    }
}

/// The domains of a walk, from the first upwards: at most eight (RFC 9989, section 4.10).
pub(super) fn targets(domain: &str) -> Vec<&str> {
    let mut targets = vec![domain];
    let labels = domain.split('.').count();
    let mut rest = domain;
    // Of eight labels or more, seven are left for the second question.
    for _ in 0..if labels < MAX_QUERIES { 1 } else { labels - (MAX_QUERIES - 1) } {
        rest = rest.split_once('.').map_or("", |(_, parent)| parent);
    }
    while !rest.is_empty() && targets.len() < MAX_QUERIES {
        targets.push(rest);
        rest = rest.split_once('.').map_or("", |(_, parent)| parent);
    }
    targets
}

/// The names up to where the walk stops. `None` where an answer is missing.
fn visits(domain: &str, lookup: &mut Lookup<'_>) -> Option<Vec<Visit>> {
    let targets = targets(domain);
    let answers: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let name = format!("_dmarc.{target}");
            (target, is_domain_name(&name).then(|| lookup.get(&name, RecordKind::Txt)))
        })
        .collect();
    let mut visits = Vec::new();
    for (target, answer) in answers {
        let visit = match answer {
            Some(answer) => Visit::read(target, answer?),
            None => Visit::without_name(target),
        };
        let is_end = visit.record().is_some_and(|record| record.psd != Psd::Unknown);
        visits.push(visit);
        if is_end {
            break;
        }
    }
    Some(visits)
}

/// RFC 9989, section 4.10.2. `None` where a lookup failed.
fn organizational(domain: &str, visits: &[Visit]) -> Option<OrganizationalDomain> {
    if visits.iter().any(|visit| visit.failure().is_some()) {
        return None;
    }
    let mut chosen = OrganizationalDomain { domain: domain.to_owned(), rule: OrganizationalRule::Start };
    for (index, visit) in visits.iter().enumerate() {
        let Some(record) = visit.record() else { continue };
        chosen = match record.psd {
            Psd::No => OrganizationalDomain { domain: visit.domain.clone(), rule: OrganizationalRule::PsdNo },
            Psd::Yes if index > 0 => OrganizationalDomain {
                domain: one_label_below(&visit.domain, domain).to_owned(),
                rule: OrganizationalRule::BelowPsd,
            },
            _ => OrganizationalDomain { domain: visit.domain.clone(), rule: OrganizationalRule::FewestLabels },
        };
    }
    Some(chosen)
}

/// The domain above `domain`, or itself, that has one label more than `parent`.
fn one_label_below<'a>(parent: &str, domain: &'a str) -> &'a str {
    let labels = domain.len().checked_sub(parent.len() + 1).and_then(|end| domain.get(..end));
    labels.and_then(|labels| labels.rfind('.')).map_or(domain, |dot| &domain[dot + 1..])
}

/// An answer is missing.
struct Missing;

/// RFC 9989, section 4.10.1.
fn found(
    domain: &str,
    visits: &[Visit],
    organizational: Option<&OrganizationalDomain>,
    lookup: &mut Lookup<'_>,
) -> Result<Option<Found>, Missing> {
    let place = place(visits, organizational);
    let Some((visit, relation, record)) = place else { return Ok(None) };
    let mut does_exist = Some(true);
    if relation != Relation::Author && record.nonexistent_policy.is_some() {
        let answer = lookup.get(domain, RecordKind::Txt).ok_or(Missing)?;
        does_exist = match answer.outcome {
            Outcome::Failed(_) => None,
            _ if answer.proof == Proof::Bogus => None,
            Outcome::NoName => Some(false),
            Outcome::Records(_) | Outcome::NoData => Some(true),
        };
    }
    let (policy, tag) = policy(record, relation, does_exist);
    Ok(Some(Found { visit, relation, policy, tag, does_exist }))
}

/// The record of the domain, of its organizational domain, or of the public suffix above that.
fn place<'a>(
    visits: &'a [Visit],
    organizational: Option<&OrganizationalDomain>,
) -> Option<(usize, Relation, &'a Record)> {
    let at = |index: usize, relation| Some((index, relation, visits.get(index)?.record()?));
    if let Some(own) = at(0, Relation::Author) {
        return Some(own);
    }
    let organizational = organizational?;
    let index = visits.iter().position(|visit| visit.domain == organizational.domain);
    let suffix = || match organizational.rule {
        OrganizationalRule::BelowPsd => at(visits.len().checked_sub(1)?, Relation::PublicSuffix),
        _ => None,
    };
    index.and_then(|index| at(index, Relation::Organizational)).or_else(suffix)
}

fn policy(record: &Record, relation: Relation, does_exist: Option<bool>) -> (Option<Policy>, PolicyTag) {
    match record.effect() {
        Effect::Nothing => return (None, PolicyTag::Assumed),
        Effect::ReportsOnly => return (Some(Policy::None), PolicyTag::Assumed),
        Effect::Policies => {}
    }
    let is_other = relation != Relation::Author;
    let np = record.nonexistent_policy.filter(|_| is_other && does_exist == Some(false));
    let sp = record.subdomain_policy.filter(|_| is_other);
    match (np, sp) {
        (Some(policy), _) => (Some(policy), PolicyTag::Np),
        (None, Some(policy)) => (Some(policy), PolicyTag::Sp),
        (None, None) => (record.policy, PolicyTag::P),
    }
}

/// What a receiver finds that goes by the public suffix list: the record of the domain, or that of its organizational
/// domain by the list (RFC 7489, section 6.6.3). `None` where an answer is missing.
fn suffix_list(domain: &str, visits: &[Visit], found: Option<&Found>, lookup: &mut Lookup<'_>) -> Option<SuffixList> {
    let organizational = psl::domain_str(domain).map(str::to_owned);
    let own = visits.first().filter(|visit| visit.record().is_some()).cloned();
    let listed = match (&own, &organizational) {
        (None, Some(organizational)) => Some(visit(organizational, visits, lookup)?),
        _ => None,
    };
    let found_at = own.or_else(|| listed.clone().filter(|visit| visit.record().is_some())).map(|visit| visit.domain);
    let walked = found.and_then(|found| visits.get(found.visit)).map(|visit| &visit.domain);
    // A lookup that failed says nothing about a difference.
    let is_known = visits.iter().chain(&listed).all(|visit| visit.failure().is_none());
    let is_different = is_known && found_at.as_ref() != walked;
    Some(SuffixList { organizational, found_at, is_different })
}

/// What is published at a domain, which the walk may have left out.
fn visit(domain: &str, visits: &[Visit], lookup: &mut Lookup<'_>) -> Option<Visit> {
    if let Some(visit) = visits.iter().find(|visit| visit.domain == domain) {
        return Some(visit.clone());
    }
    let visit = Visit::without_name(domain);
    let answer =
        if is_domain_name(&visit.name()) { lookup.get(&visit.name(), RecordKind::Txt)? } else { return Some(visit) };
    Some(Visit::read(domain, answer))
}
