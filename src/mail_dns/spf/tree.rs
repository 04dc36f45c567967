//! The whole tree of a domain's SPF record: every record that it leads to, and what each term costs.

use std::sync::Arc;

use super::{
    publication::{Publication, Published},
    record::{Mechanism, Qualifier, Record},
};
use crate::mail_dns::{LookupFailure, RecordKind};

/// The record of one name, and its terms that cost a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What the name publishes.
    pub publication: Arc<Publication>,
    /// In the order in which they are evaluated. Terms after `all` are left out, as is `redirect` beside `all`.
    pub terms: Vec<TermNode>,
}

/// A term that costs a lookup (RFC 7208, section 4.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermNode {
    /// As it is spelled.
    pub text: String,
    /// Octets before it, from the start of the record.
    pub position: usize,
    /// What a match means. For `redirect`, that of the record it leads to counts.
    pub qualifier: Qualifier,
    /// It is the modifier `redirect`.
    pub is_redirect: bool,
    /// Its own lookup, and those of all that it leads to.
    pub lookups: usize,
    /// Questions that found nothing, for a sender of each address family; those of its children are not among them.
    pub voids: VoidQueries,
    /// What it leads to.
    pub target: Target,
}

/// Questions without an answer, by the address family of the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoidQueries {
    /// For a sender with IPv4.
    pub ipv4: usize,
    /// For a sender with IPv6.
    pub ipv6: usize,
}

/// What a term leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `include`, `redirect`.
    Record(Box<Node>),
    /// `include`, `redirect` to a record that it is part of.
    Loop(String),
    /// `a`, `exists`.
    Addresses(String),
    /// `mx`.
    Mx {
        /// The domain whose MX records it asks for.
        name: String,
        /// How many hosts there are.
        hosts: usize,
    },
    /// `ptr`: what it looks up depends on the sender's address.
    Ptr,
    /// Its name has macros whose values are known for a message only.
    Macro,
    /// What it stands for cannot be asked for in the DNS.
    NoName(String),
    /// A limit of this program was reached before it was looked up.
    Cut,
    /// An answer is not known yet. Never in the result of a walk.
    Pending,
}

/// Void lookups of the whole tree, for a sender of one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voids {
    /// Terms with at least one: what RFC 7208, section 4.6.4, limits to two.
    pub terms: usize,
    /// Single questions. Some implementations limit these.
    pub queries: usize,
}

/// A question of the tree that got no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLookup {
    /// The name that was asked for.
    pub name: String,
    /// The type that was asked for.
    pub kind: RecordKind,
    /// Why nothing can be said about it.
    pub failure: LookupFailure,
}

impl Node {
    /// Where the record is published.
    pub fn domain(&self) -> &str {
        &self.publication.name
    }

    /// The record, where there is exactly one.
    pub fn record(&self) -> Option<&Record> {
        self.publication.record()
    }

    /// Lookups of all its terms.
    pub fn lookups(&self) -> usize {
        self.terms.iter().map(|term| term.lookups).sum()
    }

    /// Void lookups of all its terms, for IPv4 and for IPv6.
    pub fn voids(&self) -> (Voids, Voids) {
        let (mut ipv4, mut ipv6) = (Voids::default(), Voids::default());
        self.each_term(&mut |_, term| {
            ipv4.add(term.voids.ipv4);
            ipv6.add(term.voids.ipv6);
        });
        (ipv4, ipv6)
    }

    /// Levels of records: 1 for a record that leads to no other.
    pub fn depth(&self) -> usize {
        1 + self.children().map(|(_, child)| child.depth()).max().unwrap_or(0)
    }

    /// Records that its terms lead to.
    pub fn children(&self) -> impl Iterator<Item = (&TermNode, &Self)> {
        self.terms.iter().filter_map(|term| Some((term, term.child()?)))
    }

    /// Calls back with every record of the tree, itself first.
    pub fn each_node<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        self.children().for_each(|(_, child)| child.each_node(visit));
    }

    /// Calls back with every term of the tree and the record it is of, in the order of evaluation.
    pub fn each_term<'a>(&'a self, visit: &mut impl FnMut(&'a Self, &'a TermNode)) {
        for term in &self.terms {
            visit(self, term);
            if let Some(child) = term.child() {
                child.each_term(visit);
            }
        }
    }

    /// What becomes of a sender that no mechanism matches: the qualifier of `all`, here or where `redirect` leads.
    /// `None` where there is neither, or where it could not be followed.
    pub fn all(&self) -> Option<Qualifier> {
        let own = self.record()?.all().map(|(_, qualifier)| qualifier);
        own.or_else(|| self.terms.iter().find(|term| term.is_redirect)?.child()?.all())
    }

    /// The record with `+all` that makes it pass every sender.
    pub fn passes_all(&self) -> Option<&Self> {
        if let Some((_, Qualifier::Pass)) = self.record()?.all() {
            return Some(self);
        }
        let mut passing = self.children().filter(|(term, _)| term.is_redirect || term.qualifier == Qualifier::Pass);
        passing.find_map(|(_, child)| child.passes_all())
    }

    /// Pass mechanisms that take a network of a prefix of /8 and shorter, with the prefix length.
    pub fn wide_networks(&self) -> Vec<(&str, u8)> {
        let Some(record) = self.record() else { return Vec::new() };
        let wide = record.live_directives().filter(|(_, qualifier, _)| *qualifier == Qualifier::Pass);
        let wide = wide.filter_map(|(term, _, mechanism)| {
            let prefix = match mechanism {
                Mechanism::Ip4 { prefix, .. } | Mechanism::Ip6 { prefix, .. } => *prefix,
                Mechanism::A { prefixes, .. } | Mechanism::Mx { prefixes, .. } => prefixes.ip4.min(prefixes.ip6),
                _ => return None,
            };
            (prefix <= 8).then_some((term.text.as_str(), prefix))
        });
        wide.take(16).collect()
    }
}

impl TermNode {
    /// The record that it leads to.
    pub fn child(&self) -> Option<&Node> {
        match &self.target {
            Target::Record(node) => Some(node),
            _ => None,
        }
    }

    /// Terms of the record that it leads to.
    pub fn children(&self) -> &[Self] {
        self.child().map_or(&[], |node| &node.terms)
    }

    /// Why the record that it leads to makes a permerror (RFC 7208, sections 5.2 and 6.1).
    pub fn broken(&self) -> Option<Broken> {
        match &self.target {
            Target::Loop(_) => Some(Broken::Loop),
            Target::NoName(_) if self.is_redirect || self.is_include() => Some(Broken::Name),
            Target::Record(node) => match node.publication.published {
                Published::NoName => Some(Broken::NoName),
                Published::NoRecord { .. } => Some(Broken::NoRecord),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_include(&self) -> bool {
        let mechanism = self.text.trim_start_matches(['+', '-', '~', '?']);
        mechanism.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("include:"))
    }
}

/// Why an `include` or a `redirect` leads to no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// NXDOMAIN.
    #[error("the name does not exist")]
    NoName,
    /// The name has other records only.
    #[error("the name has no SPF record")]
    NoRecord,
    /// An evaluation never ends, but by the limit of lookups.
    #[error("it leads back to a record that it is part of")]
    Loop,
    /// Its domain cannot be asked for.
    #[error("it is no domain name")]
    Name,
}

impl Voids {
    fn add(&mut self, queries: usize) {
        self.terms += usize::from(queries > 0);
        self.queries += queries;
    }
}
