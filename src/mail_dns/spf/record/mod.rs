//! SPF record, read by the grammar of RFC 7208, section 12.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

use super::macros::{MacroFault, MacroString};

mod term;
#[cfg(test)]
mod tests;

/// Terms that are read of one record.
pub(super) const MAX_TERMS: usize = 2048;
/// Faults that are kept of one record.
const MAX_FAULTS: usize = 16;

const VERSION: &str = "v=spf1";

/// One record `v=spf1 …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As it is published. Octets that are no UTF-8 are replaced.
    pub text: String,
    /// Terms in their order, but for those that cannot be read.
    pub terms: Vec<Term>,
    /// Any makes the record a permerror (RFC 7208, section 4.6).
    pub faults: Vec<SyntaxFault>,
    /// It has more than [`MAX_TERMS`] terms: nothing can be said about the rest.
    pub is_cut: bool,
}

/// A directive or a modifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Octets before it, from the start of the record.
    pub position: usize,
    /// As it is spelled.
    pub text: String,
    /// What is wrong.
    pub kind: TermKind,
}

/// What a term is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// A mechanism, and what its match means.
    Directive(Qualifier, Mechanism),
    /// `redirect=`: the record that applies where nothing matches.
    Redirect(MacroString),
    /// `exp=`: where the text for a rejection is. It costs no lookup.
    Explanation(MacroString),
    /// A modifier that is not known, and is ignored (RFC 7208, section 6). `include=example.com` is one.
    UnknownModifier(String),
}

/// What a match of a mechanism means (RFC 7208, section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Qualifier {
    /// `+`, or none.
    Pass,
    /// `-`.
    Fail,
    /// `~`.
    SoftFail,
    /// `?`.
    Neutral,
}

/// RFC 7208, section 5. A domain that is not given is the one of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Every client.
    All,
    /// Clients that another record passes.
    Include(MacroString),
    /// Addresses of a host.
    A {
        /// The domain, where one is given.
        domain: Option<MacroString>,
        /// Lengths of the prefixes of the networks of its addresses.
        prefixes: Prefixes,
    },
    /// Addresses of a domain's MX hosts.
    Mx {
        /// The domain, where one is given.
        domain: Option<MacroString>,
        /// Lengths of the prefixes of the networks of its addresses.
        prefixes: Prefixes,
    },
    /// Clients with a name of a domain.
    Ptr(Option<MacroString>),
    /// An IPv4 network.
    Ip4 {
        /// An address of the network.
        network: Ipv4Addr,
        /// Length of the prefix.
        prefix: u8,
    },
    /// An IPv6 network.
    Ip6 {
        /// An address of the network.
        network: Ipv6Addr,
        /// Length of the prefix.
        prefix: u8,
    },
    /// Every client for which a name has an address.
    Exists(MacroString),
}

/// Lengths of the two prefixes of `a` and `mx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// 0 to 32.
    pub ip4: u8,
    /// 0 to 128.
    pub ip6: u8,
}

/// Something in a record that the grammar does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} in \"{term}\" at octet {position}")]
pub struct SyntaxFault {
    /// Octets before it, from the start of the record.
    pub position: usize,
    /// The term it is in, at most 256 octets of it.
    pub term: String,
    /// What is wrong.
    pub kind: SyntaxFaultKind,
}

/// What the grammar does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFaultKind {
    /// No mechanism of RFC 7208, section 5, and no modifier.
    #[error("unknown mechanism")]
    UnknownMechanism,
    /// Modifiers have no qualifier.
    #[error("a qualifier before a modifier")]
    QualifierOfModifier,
    /// A term that needs a domain has none.
    #[error("no domain")]
    NoDomain,
    /// `all` takes no value.
    #[error("a mechanism that takes no value has one")]
    UnexpectedValue,
    /// The end of a domain is neither `.toplabel` nor a macro (RFC 7208, section 7.1).
    #[error("a name that ends neither in a top-level label nor in a macro")]
    TopLabel,
    /// The network of `ip4` is no address.
    #[error("no IPv4 address")]
    Ip4,
    /// The network of `ip6` is no address.
    #[error("no IPv6 address")]
    Ip6,
    /// A length that is out of range, empty, or has a leading zero.
    #[error("a prefix length that is no number up to 32 for IPv4, 128 for IPv6")]
    Prefix,
    /// `redirect` and `exp` must not be there twice (RFC 7208, section 6).
    #[error("a modifier that was there before")]
    DuplicateModifier,
    /// A macro is malformed.
    #[error("{0}")]
    Macro(MacroFault),
    /// An octet that is no visible ASCII character.
    #[error("octet 0x{0:02x}")]
    Octet(u8),
}

/// Whether a TXT record is an SPF record: its version is exactly `v=spf1` (RFC 7208, section 4.5).
pub(super) fn is_record(octets: &[u8]) -> bool {
    octets.get(..VERSION.len()).is_some_and(|version| version.eq_ignore_ascii_case(VERSION.as_bytes()))
        && octets.get(VERSION.len()).is_none_or(|&octet| octet == b' ')
}

impl Record {
    /// Reads a TXT record for which [`is_record`] holds.
    pub fn parse(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets).into_owned();
        let mut record = Self { text, terms: Vec::new(), faults: Vec::new(), is_cut: false };
        let mut position = VERSION.len();
        for (count, term) in octets.get(position..).unwrap_or_default().split(|&octet| octet == b' ').enumerate() {
            if count > 0 && !term.is_empty() {
                if record.terms.len() + record.faults.len() >= MAX_TERMS {
                    record.is_cut = true;
                    break;
                }
                record.read(term, position);
            }
            position += term.len() + 1;
        }
        record
    }

    fn read(&mut self, octets: &[u8], position: usize) {
        let text = String::from_utf8_lossy(octets);
        let kind = match octets.iter().position(|octet| !octet.is_ascii_graphic()) {
            Some(at) => Err((at, SyntaxFaultKind::Octet(octets[at]))),
            None => term::parse(&text),
        };
        match kind {
            Ok(kind) if self.has_modifier(&kind) => self.fault(position, &text, SyntaxFaultKind::DuplicateModifier),
            Ok(kind) => self.terms.push(Term { position, text: text.into_owned(), kind }),
            Err((at, kind)) => self.fault(position + at, &text, kind),
        }
    }

    /// Whether this modifier, which must not be there more than once (RFC 7208, section 6), is there.
    fn has_modifier(&self, kind: &TermKind) -> bool {
        match kind {
            TermKind::Redirect(_) => self.redirect().is_some(),
            TermKind::Explanation(_) => self.terms.iter().any(|term| matches!(term.kind, TermKind::Explanation(_))),
            TermKind::Directive(..) | TermKind::UnknownModifier(_) => false,
        }
    }

    fn fault(&mut self, position: usize, term: &str, kind: SyntaxFaultKind) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(SyntaxFault { position, term: term.chars().take(256).collect(), kind });
        }
    }

    /// The first `all`, and where it is among the terms.
    pub fn all(&self) -> Option<(usize, Qualifier)> {
        self.terms.iter().enumerate().find_map(|(index, term)| match term.kind {
            TermKind::Directive(qualifier, Mechanism::All) => Some((index, qualifier)),
            _ => None,
        })
    }

    /// Whether no client passes: it is `v=spf1 -all`, as domains publish that send no mail.
    pub fn is_deny_all(&self) -> bool {
        let is_only = self.terms.len() == 1 && self.faults.is_empty();
        is_only && matches!(self.all(), Some((0, Qualifier::Fail)))
    }

    /// The term `redirect=`, and the domain it leads to.
    pub fn redirect(&self) -> Option<(&Term, &MacroString)> {
        self.terms.iter().find_map(|term| match &term.kind {
            TermKind::Redirect(domain) => Some((term, domain)),
            _ => None,
        })
    }

    /// Directives that can have an effect: up to the first `all` (RFC 7208, section 5.1).
    pub fn live_directives(&self) -> impl Iterator<Item = (&Term, Qualifier, &Mechanism)> {
        let end = self.all().map_or(self.terms.len(), |(index, _)| index + 1);
        self.terms[..end].iter().filter_map(|term| match &term.kind {
            TermKind::Directive(qualifier, mechanism) => Some((term, *qualifier, mechanism)),
            _ => None,
        })
    }

    /// Mechanisms after the first `all`: they are never looked at.
    pub fn dead_directives(&self) -> impl Iterator<Item = &Term> {
        let start = self.all().map_or(self.terms.len(), |(index, _)| index + 1);
        self.terms[start..].iter().filter(|term| matches!(term.kind, TermKind::Directive(..)))
    }
}

impl Mechanism {
    /// Whether it counts against the limit of lookups (RFC 7208, section 4.6.4).
    pub fn is_lookup(&self) -> bool {
        !matches!(self, Self::All | Self::Ip4 { .. } | Self::Ip6 { .. })
    }

    /// Whether its own network, of `ip4` or `ip6`, holds this address.
    pub(crate) fn network_holds(&self, ip: IpAddr) -> bool {
        match (self, ip) {
            (Self::Ip4 { network, prefix }, IpAddr::V4(ip)) => {
                Prefixes { ip4: *prefix, ip6: 128 }.hold((*network).into(), ip.into())
            }
            (Self::Ip6 { network, prefix }, IpAddr::V6(ip)) => {
                Prefixes { ip4: 32, ip6: *prefix }.hold((*network).into(), ip.into())
            }
            _ => false,
        }
    }
}

impl Prefixes {
    /// Whether both addresses are of one network.
    pub(crate) fn hold(self, network: IpAddr, ip: IpAddr) -> bool {
        match (network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.ip4.min(32))).unwrap_or(0);
                network.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.ip6.min(128))).unwrap_or(0);
                network.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.terms.iter().try_for_each(|term| write!(f, " {}", term.text))
    }
}
