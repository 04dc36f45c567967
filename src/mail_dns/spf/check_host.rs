//! Evaluation of SPF for one sender: the function `check_host()` of RFC 7208, section 4.

use std::{collections::HashMap, sync::Arc};

use super::{
    Broken, FailedLookup, Identity, MAX_LOOKUPS, MAX_MX_HOSTS, MAX_VOIDS, SpfReason, SpfResult, SpfVerdict,
    macros::{MacroString, MacroValues},
    publication::{Publication, Published},
    record::{Mechanism, Prefixes, Record, Term},
    survey::mx_hosts,
};
use crate::mail_dns::{
    Answer, LookupFailure, RecordData, RecordKind,
    lookups::{Answers, Lookup, Step, addresses, is_domain_name, is_within, reverse_name},
};

/// The evaluation. It asks one term after the other, as the first match ends it.
#[derive(Debug)]
pub struct HostCheck {
    identity: Identity,
    publications: HashMap<String, Arc<Publication>>,
}

impl HostCheck {
    /// An evaluation for the domain of the envelope sender.
    pub fn new(identity: Identity) -> Self {
        let domain = identity.domain.trim_end_matches('.').to_ascii_lowercase();
        let identity = Identity { ip: identity.ip.to_canonical(), domain, ..identity };
        Self { identity, publications: HashMap::new() }
    }

    /// Goes as far as the answers reach.
    pub fn step(&mut self, answers: &Answers) -> Step<SpfVerdict> {
        let Self { identity, publications } = self;
        let mut evaluation = Evaluation { identity, publications, lookup: Lookup::new(answers), lookups: 0, voids: 0 };
        let domain = identity.domain.clone();
        match evaluation.check(&domain) {
            Ok(Some(verdict)) | Err(Stop::Error(verdict)) => Step::Done(verdict),
            Ok(None) => Step::Done(SpfVerdict { result: SpfResult::None, reason: SpfReason::NoRecord { domain } }),
            Err(Stop::Missing) => Step::Ask(evaluation.lookup.missing()),
        }
    }
}

/// Why an evaluation ends before its end.
enum Stop {
    /// An answer is missing.
    Missing,
    /// A temperror or permerror, which ends the evaluation of the including records, too.
    Error(SpfVerdict),
}

fn permerror(reason: SpfReason) -> Stop {
    Stop::Error(SpfVerdict { result: SpfResult::PermError, reason })
}

struct Evaluation<'a> {
    identity: &'a Identity,
    publications: &'a mut HashMap<String, Arc<Publication>>,
    lookup: Lookup<'a>,
    lookups: usize,
    voids: usize,
}

/// A term under evaluation, and the domain of its record.
#[derive(Clone, Copy)]
struct At<'t> {
    domain: &'t str,
    term: &'t Term,
}

impl At<'_> {
    fn broken(self, broken: Broken) -> Stop {
        permerror(SpfReason::IncludeBroken { domain: self.domain.to_owned(), term: self.term.text.clone(), broken })
    }
}

impl<'a> Evaluation<'a> {
    /// `check_host()`; `None` for its result "none".
    fn check(&mut self, domain: &str) -> Result<Option<SpfVerdict>, Stop> {
        if !is_domain_name(domain) || !domain.contains('.') {
            return Ok(None);
        }
        let publication = self.publication(domain)?;
        match &publication.published {
            Published::NoName | Published::NoRecord { .. } => Ok(None),
            Published::Multiple(_) => Err(permerror(SpfReason::Multiple { domain: domain.to_owned() })),
            Published::Failed(failure) => Err(failed(domain, RecordKind::Txt, *failure)),
            Published::Record(record) => self.evaluate(domain, record).map(Some),
        }
    }

    fn publication(&mut self, domain: &str) -> Result<Arc<Publication>, Stop> {
        if let Some(publication) = self.publications.get(domain) {
            return Ok(Arc::clone(publication));
        }
        let answer = self.lookup.get(domain, RecordKind::Txt).ok_or(Stop::Missing)?;
        let publication = Arc::new(Publication::read(domain, answer));
        self.publications.insert(domain.to_owned(), Arc::clone(&publication));
        Ok(publication)
    }

    fn evaluate(&mut self, domain: &str, record: &Record) -> Result<SpfVerdict, Stop> {
        if let Some(fault) = record.faults.first() {
            return Err(permerror(SpfReason::Syntax { domain: domain.to_owned(), fault: fault.clone() }));
        }
        for (term, qualifier, mechanism) in record.live_directives() {
            if mechanism.is_lookup() {
                self.count()?;
            }
            if self.matches(At { domain, term }, mechanism)? {
                let reason = SpfReason::Matches { domain: domain.to_owned(), term: term.text.clone() };
                return Ok(SpfVerdict { result: qualifier.into(), reason });
            }
        }
        if record.is_cut {
            return Err(failed(domain, RecordKind::Txt, LookupFailure::Limit));
        }
        // With `all` there is always a match.
        let Some((term, target)) = record.redirect() else {
            let reason = SpfReason::NothingMatches { domain: domain.to_owned() };
            return Ok(SpfVerdict { result: SpfResult::Neutral, reason });
        };
        self.count()?;
        self.follow(At { domain, term }, target)
    }

    /// One more lookup.
    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS { Err(permerror(SpfReason::TooManyLookups)) } else { Ok(()) }
    }

    /// A term that finds nothing.
    fn count_void(&mut self) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids > MAX_VOIDS { Err(permerror(SpfReason::TooManyVoids)) } else { Ok(()) }
    }

    fn matches(&mut self, at: At<'_>, mechanism: &Mechanism) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => Ok(mechanism.network_holds(self.identity.ip)),
            Mechanism::Include(target) => Ok(self.follow(at, target)?.result == SpfResult::Pass),
            Mechanism::A { domain, prefixes } => self.a(at, domain.as_ref(), *prefixes),
            Mechanism::Mx { domain, prefixes } => self.mx(at, domain.as_ref(), *prefixes),
            Mechanism::Ptr(domain) => self.ptr(at, domain.as_ref()),
            Mechanism::Exists(domain) => {
                let Some(name) = self.name(at.domain, Some(domain))? else { return Ok(false) };
                // For a sender with IPv6, too (RFC 7208, section 5.7).
                let records = self.records(&name, RecordKind::A)?;
                if records.is_empty() {
                    self.count_void()?;
                }
                Ok(!records.is_empty())
            }
        }
    }

    /// The verdict of an included record, or of the one that `redirect` leads to.
    fn follow(&mut self, at: At<'_>, target: &MacroString) -> Result<SpfVerdict, Stop> {
        let name = self.name(at.domain, Some(target))?.ok_or_else(|| at.broken(Broken::Name))?;
        let verdict = self.check(&name)?;
        if let Some(verdict) = verdict {
            return Ok(verdict);
        }
        let does_exist = self.publications.get(&name).is_some_and(|it| it.published != Published::NoName);
        Err(at.broken(if does_exist { Broken::NoRecord } else { Broken::NoName }))
    }

    fn a(&mut self, at: At<'_>, domain: Option<&MacroString>, prefixes: Prefixes) -> Result<bool, Stop> {
        let Some(name) = self.name(at.domain, domain)? else { return Ok(false) };
        let records = self.records(&name, self.address_kind())?;
        if records.is_empty() {
            self.count_void()?;
        }
        Ok(addresses(records).any(|address| prefixes.hold(address, self.identity.ip)))
    }

    fn mx(&mut self, at: At<'_>, domain: Option<&MacroString>, prefixes: Prefixes) -> Result<bool, Stop> {
        let Some(name) = self.name(at.domain, domain)? else { return Ok(false) };
        let records = self.records(&name, RecordKind::Mx)?;
        let hosts = mx_hosts(records);
        if hosts.len() > MAX_MX_HOSTS {
            let (domain, term) = (at.domain.to_owned(), at.term.text.clone());
            return Err(permerror(SpfReason::MxTooManyNames { domain, term, hosts: hosts.len() }));
        }
        let hosts: Vec<&str> = hosts.into_iter().filter(|host| is_domain_name(host)).collect();
        let answers = self.all_of(&hosts)?;
        let (mut is_void, mut does_match) = (records.is_empty(), false);
        for (host, answer) in hosts.iter().zip(answers) {
            let records = answer.records().map_err(|failure| failed(host, self.address_kind(), failure))?;
            is_void |= records.is_empty();
            does_match = addresses(records).any(|address| prefixes.hold(address, self.identity.ip));
            if does_match {
                break;
            }
        }
        if is_void {
            self.count_void()?;
        }
        Ok(does_match)
    }

    fn ptr(&mut self, at: At<'_>, domain: Option<&MacroString>) -> Result<bool, Stop> {
        let Some(target) = self.name(at.domain, domain)? else { return Ok(false) };
        let name = reverse_name(self.identity.ip);
        let answer = self.lookup.get(&name, RecordKind::Ptr).ok_or(Stop::Missing)?;
        if answer.records().is_ok_and(<[RecordData]>::is_empty) {
            self.count_void()?;
        }
        Ok(self.validated_names()?.into_iter().any(|name| is_within(name, &target)))
    }

    /// Names of the address that lead back to it (RFC 7208, section 5.5). Failures count as no name.
    fn validated_names(&mut self) -> Result<Vec<&'a str>, Stop> {
        let answer = self.lookup.get(&reverse_name(self.identity.ip), RecordKind::Ptr).ok_or(Stop::Missing)?;
        let names = answer.records().unwrap_or_default().iter().filter_map(|record| match record {
            RecordData::Ptr(name) if is_domain_name(name) => Some(name.as_str()),
            _ => None,
        });
        let names: Vec<&'a str> = names.take(MAX_MX_HOSTS).collect();
        let answers = self.all_of(&names)?;
        let leads_back = |answer: &Answer| {
            addresses(answer.records().unwrap_or_default()).any(|address| address == self.identity.ip)
        };
        Ok(names.into_iter().zip(answers).filter_map(|(name, answer)| leads_back(answer).then_some(name)).collect())
    }

    /// The value of `%{p}` (RFC 7208, section 7.3).
    fn validated_name(&mut self, domain: &str) -> Result<&'a str, Stop> {
        let names = self.validated_names()?;
        let same = names.iter().find(|name| name.trim_end_matches('.').eq_ignore_ascii_case(domain));
        let below = names.iter().find(|name| is_within(name, domain));
        Ok(same.or(below).or(names.first()).copied().unwrap_or("unknown"))
    }

    /// Addresses of several hosts, asked for side by side.
    fn all_of(&mut self, hosts: &[&str]) -> Result<Vec<&'a Answer>, Stop> {
        let kind = self.address_kind();
        // All are asked for before one that is missing ends the evaluation.
        let answers: Vec<Option<&'a Answer>> = hosts.iter().map(|host| self.lookup.get(host, kind)).collect();
        answers.into_iter().collect::<Option<_>>().ok_or(Stop::Missing)
    }

    fn records(&mut self, name: &str, kind: RecordKind) -> Result<&'a [RecordData], Stop> {
        let answer = self.lookup.get(name, kind).ok_or(Stop::Missing)?;
        answer.records().map_err(|failure| failed(name, kind, failure))
    }

    fn address_kind(&self) -> RecordKind {
        if self.identity.ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
    }

    /// The name that a term asks for. `None` where it cannot be asked for in the DNS.
    fn name(&mut self, current: &str, domain: Option<&MacroString>) -> Result<Option<String>, Stop> {
        let Some(domain) = domain else { return Ok(Some(current.to_owned())) };
        let validated_name = if domain.uses('p') { Some(self.validated_name(current)?) } else { None };
        let name = domain.expand(&MacroValues {
            local: Some(&self.identity.local),
            sender_domain: Some(&self.identity.domain),
            domain: current,
            ip: Some(self.identity.ip),
            helo: Some(&self.identity.helo),
            validated_name,
        });
        Ok(name.filter(|name| is_domain_name(name)))
    }
}

fn failed(name: &str, kind: RecordKind, failure: LookupFailure) -> Stop {
    let reason = SpfReason::Failed(FailedLookup { name: name.to_owned(), kind, failure });
    Stop::Error(SpfVerdict { result: SpfResult::TempError, reason })
}
