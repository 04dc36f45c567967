//! What is wrong in the SPF tree of a domain, and what is worth a word.

use std::fmt;

use super::{
    Broken, Cut, MAX_LOOKUPS, MAX_MX_HOSTS, MAX_UDP_OCTETS, MAX_VOIDS, NearMiss, Node, Published, Qualifier, Spf,
    SyntaxFault, Target, TermNode, Voids, record::Mechanism,
};

/// Faults that are kept of one tree.
const MAX_FAULTS: usize = 64;

/// One fault. `domain` is where the record is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More than one SPF record at a name: a permerror (RFC 7208, section 4.5).
    Multiple {
        /// Domain whose record it is.
        domain: String,
        /// How many.
        count: usize,
    },
    /// The domain has no SPF record, but something that looks like one.
    NearMiss {
        /// Domain whose record it is.
        domain: String,
        /// What it looks like.
        near_miss: NearMiss,
    },
    /// A permerror (RFC 7208, section 4.6).
    Syntax {
        /// Domain whose record it is.
        domain: String,
        /// What is wrong.
        fault: SyntaxFault,
    },
    /// More than ten lookups: a permerror (RFC 7208, section 4.6.4).
    TooManyLookups {
        /// How many.
        lookups: usize,
        /// The limit at which counting ended.
        cut: Option<Cut>,
    },
    /// Nine or ten lookups.
    NearlyTooManyLookups {
        /// How many.
        lookups: usize,
    },
    /// More than two terms find nothing, for a sender of this address family (RFC 7208, section 4.6.4).
    TooManyVoids {
        /// Address family of the sender.
        family: Family,
        /// How many.
        voids: Voids,
    },
    /// A permerror (RFC 7208, section 4.6.4).
    MxTooManyNames {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
        /// How many hosts there are.
        hosts: usize,
    },
    /// A permerror (RFC 7208, sections 5.2 and 6.1).
    IncludeBroken {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
        /// Why it leads to no record.
        broken: Broken,
    },
    /// `+all`, here or in a record that is included.
    PassAll {
        /// Domain whose record it is.
        domain: String,
    },
    /// `?all`.
    NeutralAll {
        /// Domain whose record it is.
        domain: String,
    },
    /// Neither `all` nor `redirect`: the same as `?all` (RFC 7208, section 4.7).
    NoAll {
        /// Domain whose record it is.
        domain: String,
    },
    /// `~all`. No fault, a fact.
    SoftFailAll {
        /// Domain whose record it is.
        domain: String,
    },
    /// A network of a prefix of /8 or shorter passes.
    WideNetwork {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
        /// Length of the prefix.
        prefix: u8,
    },
    /// Terms after `all` (RFC 7208, section 5.1).
    AfterAll {
        /// Domain whose record it is.
        domain: String,
        /// The terms as they are spelled.
        terms: Vec<String>,
    },
    /// `redirect` beside `all` is ignored (RFC 7208, section 6.1).
    RedirectBesideAll {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
    },
    /// `ptr` should not be used (RFC 7208, section 5.5).
    Ptr {
        /// Domain whose record it is.
        domain: String,
        /// The term as it is spelled.
        term: String,
    },
    /// The records may not fit into an answer over UDP (RFC 7208, section 3.4).
    Long {
        /// Domain whose record it is.
        domain: String,
        /// Length in octets.
        octets: usize,
    },
}

/// Address family of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A client with an IPv4 address asks for A records.
    Ipv4,
    /// A client with an IPv6 address asks for AAAA records.
    Ipv6,
}

impl Fault {
    /// Whether receivers are to give permerror for some sender, or find no record that was meant to be one.
    pub fn is_error(&self) -> bool {
        match self {
            Self::NearMiss { near_miss, .. } => !matches!(near_miss, NearMiss::SenderId(_)),
            Self::Multiple { .. }
            | Self::Syntax { .. }
            | Self::TooManyLookups { .. }
            | Self::MxTooManyNames { .. }
            | Self::IncludeBroken { .. } => true,
            _ => false,
        }
    }
}

/// All faults of a tree, at most [`MAX_FAULTS`].
pub(super) fn of(spf: &Spf) -> Vec<Fault> {
    let mut faults = Vec::new();
    near_misses(&spf.root, &mut faults);
    limits(spf, &mut faults);
    permissive(&spf.root, &mut faults);
    spf.root.each_node(&mut |node| of_node(node, &mut faults));
    spf.root.each_term(&mut |node, term| of_term(node.domain(), term, &mut faults));
    spf.root.each_node(&mut |node| dead(node, &mut faults));
    faults.truncate(MAX_FAULTS);
    faults
}

/// Only where there is no record: beside one, such a text is somebody's note.
fn near_misses(root: &Node, faults: &mut Vec<Fault>) {
    if let Published::NoRecord { .. } = root.publication.published {
        let near_misses = root.publication.near_misses.iter().cloned();
        faults.extend(near_misses.map(|near_miss| Fault::NearMiss { domain: root.domain().to_owned(), near_miss }));
    }
}

fn limits(spf: &Spf, faults: &mut Vec<Fault>) {
    match spf.lookups {
        lookups if lookups > MAX_LOOKUPS => faults.push(Fault::TooManyLookups { lookups, cut: spf.cut }),
        lookups if lookups >= MAX_LOOKUPS - 1 => faults.push(Fault::NearlyTooManyLookups { lookups }),
        _ => {}
    }
    let (ipv4, ipv6) = spf.voids();
    for (family, voids) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
        if voids.terms > MAX_VOIDS {
            faults.push(Fault::TooManyVoids { family, voids });
        }
    }
}

fn permissive(root: &Node, faults: &mut Vec<Fault>) {
    let domain = root.domain().to_owned();
    if let Some(passing) = root.passes_all() {
        faults.push(Fault::PassAll { domain: passing.domain().to_owned() });
        return;
    }
    match root.all() {
        Some(Qualifier::Neutral) => faults.push(Fault::NeutralAll { domain }),
        Some(Qualifier::SoftFail) => faults.push(Fault::SoftFailAll { domain }),
        Some(Qualifier::Pass | Qualifier::Fail) => {}
        None => {
            if let Some(end) = end_of_redirects(root) {
                faults.push(Fault::NoAll { domain: end.domain().to_owned() });
            }
        }
    }
}

/// The record that has neither `all` nor `redirect`, where the redirects of this one could be followed to it.
fn end_of_redirects(node: &Node) -> Option<&Node> {
    let record = node.record()?;
    match record.redirect() {
        // A term that cannot be read may be the one that was meant.
        None => (record.all().is_none() && !record.is_cut && record.faults.is_empty()).then_some(node),
        Some(_) => end_of_redirects(node.terms.iter().find(|term| term.is_redirect)?.child()?),
    }
}

fn of_node(node: &Node, faults: &mut Vec<Fault>) {
    let domain = node.domain();
    if let Published::Multiple(count) = node.publication.published {
        faults.push(Fault::Multiple { domain: domain.to_owned(), count });
    }
    let Some(record) = node.record() else { return };
    faults.extend(record.faults.iter().cloned().map(|fault| Fault::Syntax { domain: domain.to_owned(), fault }));
    let wide = node.wide_networks().into_iter();
    faults.extend(wide.map(|(term, prefix)| Fault::WideNetwork {
        domain: domain.to_owned(),
        term: shown(term),
        prefix,
    }));
}

fn of_term(domain: &str, node: &TermNode, faults: &mut Vec<Fault>) {
    let (domain, term) = (domain.to_owned(), shown(&node.text));
    match (&node.target, node.broken()) {
        (Target::Mx { hosts, .. }, _) if *hosts > MAX_MX_HOSTS => {
            faults.push(Fault::MxTooManyNames { domain, term, hosts: *hosts });
        }
        (_, Some(broken)) => faults.push(Fault::IncludeBroken { domain, term, broken }),
        _ => {}
    }
}

fn dead(node: &Node, faults: &mut Vec<Fault>) {
    let domain = || node.domain().to_owned();
    let Some(record) = node.record() else { return };
    let terms: Vec<String> = record.dead_directives().take(16).map(|term| shown(&term.text)).collect();
    if !terms.is_empty() {
        faults.push(Fault::AfterAll { domain: domain(), terms });
    }
    if let (Some((term, _)), Some(_)) = (record.redirect(), record.all()) {
        faults.push(Fault::RedirectBesideAll { domain: domain(), term: shown(&term.text) });
    }
    let ptr = record.live_directives().find(|(.., mechanism)| matches!(mechanism, Mechanism::Ptr(_)));
    if let Some((term, ..)) = ptr {
        faults.push(Fault::Ptr { domain: domain(), term: shown(&term.text) });
    }
    let octets = node.publication.octets;
    if octets > MAX_UDP_OCTETS {
        faults.push(Fault::Long { domain: domain(), octets });
    }
}

/// A term, at most 256 characters of it.
fn shown(term: &str) -> String {
    term.chars().take(256).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiple { domain, count } => write!(f, "{count} SPF records at {domain}"),
            Self::NearMiss { domain, near_miss } => write!(f, "{near_miss} at {domain}"),
            Self::Syntax { domain, fault } => write!(f, "{fault} of the record at {domain}"),
            Self::TooManyLookups { lookups, cut: None } => {
                write!(f, "{lookups} lookups, more than the {MAX_LOOKUPS} allowed")
            }
            Self::TooManyLookups { lookups, cut: Some(_) } => {
                write!(f, "at least {lookups} lookups, more than the {MAX_LOOKUPS} allowed")
            }
            Self::NearlyTooManyLookups { lookups } => write!(f, "{lookups} lookups of the {MAX_LOOKUPS} allowed"),
            Self::TooManyVoids { family, voids } => {
                let terms = voids.terms;
                write!(f, "{terms} terms find nothing for a sender with {family}, more than the {MAX_VOIDS} allowed")
            }
            Self::MxTooManyNames { domain, term, hosts } => {
                write!(f, "{term} at {domain} has {hosts} hosts, more than the {MAX_MX_HOSTS} allowed")
            }
            Self::IncludeBroken { domain, term, broken } => write!(f, "{term} at {domain}: {broken}"),
            Self::PassAll { domain } => write!(f, "the record at {domain} passes every sender"),
            Self::NeutralAll { domain } => write!(f, "the record at {domain} ends in \"?all\""),
            Self::NoAll { domain } => write!(f, "the record at {domain} has neither \"all\" nor \"redirect\""),
            Self::SoftFailAll { domain } => write!(f, "the record at {domain} ends in \"~all\""),
            Self::WideNetwork { domain, term, prefix } => {
                write!(f, "{term} at {domain} passes a network with a prefix of /{prefix}")
            }
            Self::AfterAll { domain, terms } => {
                write!(f, "terms after \"all\" at {domain} are ignored: {}", terms.join(" "))
            }
            Self::RedirectBesideAll { domain, term } => write!(f, "{term} beside \"all\" at {domain} is ignored"),
            Self::Ptr { domain, term } => write!(f, "{term} at {domain} should not be used"),
            Self::Long { domain, octets } => {
                write!(f, "{octets} octets of name and TXT records at {domain}, more than {MAX_UDP_OCTETS}")
            }
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
        })
    }
}
