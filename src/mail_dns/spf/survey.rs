//! Survey of a domain's SPF: the walk through every record that its record leads to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Cut, MAX_MX_HOSTS, MAX_QUESTIONS, MAX_SURVEYED_LOOKUPS, Spf,
    macros::{MacroString, MacroValues},
    publication::{Publication, Published},
    record::{Mechanism, Qualifier, Term},
    tree::{FailedLookup, Node, Target, TermNode, VoidQueries},
};
use crate::mail_dns::{
    Answer, LookupFailure, Question, RecordData, RecordKind,
    lookups::{Answers, Step, is_domain_name},
};

/// The walk. It looks at every term, whether an earlier one would match a sender or not.
#[derive(Debug)]
pub struct SpfWalk {
    domain: String,
    /// Records are read once, however often the walk goes through them.
    publications: HashMap<String, Arc<Publication>>,
    asked: HashSet<Question>,
}

impl SpfWalk {
    /// Begins at a domain: in ASCII, without the last dot.
    pub fn new(domain: &str) -> Self {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        Self { domain, publications: HashMap::new(), asked: HashSet::new() }
    }

    /// Goes as far as the answers reach. It asks at most [`MAX_QUESTIONS`] questions in all.
    pub fn step(&mut self, answers: &Answers) -> Step<Spf> {
        let domain = self.domain.clone();
        let mut run = Run {
            walk: self,
            answers,
            missing: Vec::new(),
            lookups: 0,
            cut: None,
            failed: Vec::new(),
            path: Vec::new(),
        };
        let root = run.publication(&domain).map(|publication| run.node(publication));
        let (missing, cut, failed) = (run.missing, run.cut, run.failed);
        match root {
            Ok(root) if missing.is_empty() => Step::Done(Spf { lookups: root.lookups(), root, cut, failed }),
            _ => Step::Ask(missing),
        }
    }
}

/// One pass through the tree.
struct Run<'a> {
    walk: &'a mut SpfWalk,
    answers: &'a Answers,
    missing: Vec<Question>,
    lookups: usize,
    cut: Option<Cut>,
    failed: Vec<FailedLookup>,
    /// Names of the records that the present one is part of, itself last.
    path: Vec<String>,
}

impl<'a> Run<'a> {
    /// The answer, or why there is none yet.
    fn answer(&mut self, name: &str, kind: RecordKind) -> Result<&'a Answer, Target> {
        let question = Question::new(name, kind);
        if let Some(answer) = self.answers.get(&question) {
            if let Err(failure) = answer.records() {
                self.fail(name, kind, failure);
            }
            return Ok(answer);
        }
        if !self.walk.asked.contains(&question) {
            if self.walk.asked.len() >= MAX_QUESTIONS {
                self.cut.get_or_insert(Cut::Questions);
                return Err(Target::Cut);
            }
            self.walk.asked.insert(question.clone());
        }
        if !self.missing.contains(&question) {
            self.missing.push(question);
        }
        Err(Target::Pending)
    }

    fn fail(&mut self, name: &str, kind: RecordKind, failure: LookupFailure) {
        let failed = FailedLookup { name: name.to_owned(), kind, failure };
        if !self.failed.contains(&failed) {
            self.failed.push(failed);
        }
    }

    fn publication(&mut self, name: &str) -> Result<Arc<Publication>, Target> {
        if let Some(publication) = self.walk.publications.get(name).cloned() {
            if let Published::Failed(failure) = publication.published {
                self.fail(name, RecordKind::Txt, failure);
            }
            return Ok(publication);
        }
        let answer = self.answer(name, RecordKind::Txt)?;
        let publication = Arc::new(Publication::read(name, answer));
        self.walk.publications.insert(name.to_owned(), Arc::clone(&publication));
        Ok(publication)
    }

    fn node(&mut self, publication: Arc<Publication>) -> Node {
        let mut terms = Vec::new();
        if let Published::Record(record) = &publication.published {
            if record.is_cut {
                self.cut.get_or_insert(Cut::Terms);
            }
            self.path.push(publication.name.clone());
            for (term, qualifier, mechanism) in record.live_directives().filter(|(.., it)| it.is_lookup()) {
                if !self.count() {
                    break;
                }
                let (voids, target) = self.target(mechanism);
                terms.push(term_node(term, qualifier, voids, target));
            }
            if let (None, Some((term, domain))) = (record.all(), record.redirect())
                && self.count()
            {
                let (voids, target) = self.record_target(domain);
                let node = term_node(term, Qualifier::Pass, voids, target);
                terms.push(TermNode { is_redirect: true, ..node });
            }
            self.path.pop();
        }
        Node { publication, terms }
    }

    /// Whether one more lookup is within the limit of this program.
    fn count(&mut self) -> bool {
        let is_within = self.lookups < MAX_SURVEYED_LOOKUPS;
        if is_within {
            self.lookups += 1;
        } else {
            self.cut.get_or_insert(Cut::Lookups);
        }
        is_within
    }

    fn target(&mut self, mechanism: &Mechanism) -> (VoidQueries, Target) {
        match mechanism {
            Mechanism::Include(domain) => self.record_target(domain),
            Mechanism::A { domain, .. } => self.addresses(domain.as_ref()),
            Mechanism::Mx { domain, .. } => self.mx(domain.as_ref()),
            Mechanism::Exists(domain) => self.exists(domain),
            Mechanism::Ptr(_) | Mechanism::All | Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => {
                (VoidQueries::default(), Target::Ptr)
            }
        }
    }

    /// The name that a term asks for, where it is the same for all messages from the domain.
    fn name(&self, domain: Option<&MacroString>) -> Result<String, Target> {
        let current = self.path.last().map_or(self.walk.domain.as_str(), String::as_str);
        let Some(domain) = domain else { return Ok(current.to_owned()) };
        let sender_domain = Some(self.walk.domain.as_str());
        let values = MacroValues { domain: current, sender_domain, ..MacroValues::default() };
        let name = domain.expand(&values).ok_or(Target::Macro)?;
        if is_domain_name(&name) { Ok(name) } else { Err(Target::NoName(name)) }
    }

    fn record_target(&mut self, domain: &MacroString) -> (VoidQueries, Target) {
        let name = match self.name(Some(domain)) {
            Ok(name) if self.path.contains(&name) => return (VoidQueries::default(), Target::Loop(name)),
            Ok(name) => name,
            Err(target) => return (VoidQueries::default(), target),
        };
        match self.publication(&name) {
            Ok(publication) => {
                let voids = usize::from(publication.is_void());
                let node = self.node(publication);
                (VoidQueries { ipv4: voids, ipv6: voids }, Target::Record(Box::new(node)))
            }
            Err(target) => (VoidQueries::default(), target),
        }
    }

    /// Asks for the addresses of a host. `Err` is why the tree does not know them.
    fn host(&mut self, name: &str, voids: &mut VoidQueries) -> Result<(), Target> {
        let (ipv4, ipv6) = (self.answer(name, RecordKind::A), self.answer(name, RecordKind::Aaaa));
        voids.ipv4 += usize::from(is_void(ipv4?));
        voids.ipv6 += usize::from(is_void(ipv6?));
        Ok(())
    }

    fn addresses(&mut self, domain: Option<&MacroString>) -> (VoidQueries, Target) {
        let mut voids = VoidQueries::default();
        let name = self.name(domain);
        let target = name.and_then(|name| self.host(&name, &mut voids).map(|()| Target::Addresses(name)));
        (voids, target.unwrap_or_else(|target| target))
    }

    fn exists(&mut self, domain: &MacroString) -> (VoidQueries, Target) {
        let name = match self.name(Some(domain)) {
            Ok(name) => name,
            Err(target) => return (VoidQueries::default(), target),
        };
        match self.answer(&name, RecordKind::A) {
            Ok(answer) => {
                let voids = usize::from(is_void(answer));
                (VoidQueries { ipv4: voids, ipv6: voids }, Target::Addresses(name))
            }
            Err(target) => (VoidQueries::default(), target),
        }
    }

    fn mx(&mut self, domain: Option<&MacroString>) -> (VoidQueries, Target) {
        let mut voids = VoidQueries::default();
        let answer = self.name(domain).and_then(|name| Ok((self.answer(&name, RecordKind::Mx)?, name)));
        let (answer, name) = match answer {
            Ok(answer) => answer,
            Err(target) => return (voids, target),
        };
        if is_void(answer) {
            voids = VoidQueries { ipv4: 1, ipv6: 1 };
        }
        let hosts = mx_hosts(answer.records().unwrap_or_default());
        let mut target = Target::Mx { name, hosts: hosts.len() };
        // Beyond the limit the term is a permerror, and asks nothing more.
        if hosts.len() <= MAX_MX_HOSTS {
            for host in hosts.iter().filter(|host| is_domain_name(host)) {
                if let Err(unknown) = self.host(host, &mut voids) {
                    target = unknown;
                }
            }
        }
        (voids, target)
    }
}

/// The hosts of an MX answer, the root of a null MX (RFC 7505) left out.
pub(super) fn mx_hosts(records: &[RecordData]) -> Vec<&str> {
    let hosts = records.iter().filter_map(|record| match record {
        RecordData::Mx { exchange, .. } => Some(exchange.trim_end_matches('.')),
        _ => None,
    });
    hosts.filter(|host| !host.is_empty()).collect()
}

/// Whether there is an answer, and nothing in it.
pub(super) fn is_void(answer: &Answer) -> bool {
    answer.records().is_ok_and(<[RecordData]>::is_empty)
}

fn term_node(term: &Term, qualifier: Qualifier, voids: VoidQueries, target: Target) -> TermNode {
    let below = if let Target::Record(node) = &target { node.lookups() } else { 0 };
    TermNode {
        text: term.text.clone(),
        position: term.position,
        qualifier,
        is_redirect: false,
        lookups: 1 + below,
        voids,
        target,
    }
}
