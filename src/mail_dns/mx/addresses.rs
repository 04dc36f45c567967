//! Addresses of one host, and whether the Internet can reach them.

use std::{fmt, net::IpAddr};

use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, RecordData};

/// What the answers for A and AAAA records of a host say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddresses {
    /// What is known, in one word.
    pub state: AddressState,
    /// Each once, in the order of the answers.
    pub addresses: Vec<IpAddr>,
    /// Names that the host is an alias of, in their order. An MX host must not be an alias (RFC 2181, section 10.3;
    /// RFC 5321, section 5.1).
    pub aliases: Vec<String>,
    /// Whether the answers were led to different names.
    pub aliases_differ: bool,
    /// The weakest of the answers: DANE needs all of them (RFC 7672, section 2.2.2).
    pub proof: Proof,
    /// The first failure, even if the other address family has addresses.
    pub failure: Option<LookupFailure>,
}

/// Whether a host has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// There is an address.
    Found,
    /// The host's name does not exist.
    NoName,
    /// The name exists, without an address of a family that was asked for.
    NoAddress,
    /// No address is known, and a lookup failed.
    Inconclusive(LookupFailure),
    /// No answer was given.
    NotAsked,
}

impl HostAddresses {
    /// Judges the answers for A and AAAA, or the one that was asked for.
    pub fn read(answers: &[Answer]) -> Self {
        let mut addresses = Vec::new();
        let records = answers.iter().filter_map(|answer| match &answer.outcome {
            Outcome::Records(records) => Some(records),
            _ => None,
        });
        for record in records.flatten() {
            match record {
                RecordData::Address(address) if !addresses.contains(address) => addresses.push(*address),
                _ => {}
            }
        }
        let failure = answers.iter().find_map(|answer| match answer.outcome {
            Outcome::Failed(failure) => Some(failure),
            _ if answer.is_bogus() => Some(LookupFailure::Bogus),
            _ => None,
        });
        let state = match failure {
            _ if !addresses.is_empty() => AddressState::Found,
            _ if answers.is_empty() => AddressState::NotAsked,
            Some(failure) => AddressState::Inconclusive(failure),
            None if answers.iter().all(|answer| answer.outcome == Outcome::NoName) => AddressState::NoName,
            None => AddressState::NoAddress,
        };
        // A lookup that failed shows no aliases, or not all.
        let mut chains = answers.iter().filter(|answer| !matches!(answer.outcome, Outcome::Failed(_)));
        let aliases: Vec<_> = chains.next().map(|answer| answer.aliases.clone()).unwrap_or_default();
        Self {
            state,
            aliases_differ: chains.any(|answer| answer.aliases.last() != aliases.last()),
            aliases,
            proof: weakest(answers),
            addresses,
            failure,
        }
    }

    /// Whether there is an IPv4 address.
    pub fn has_ipv4(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv4)
    }

    /// Whether there is an IPv6 address.
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }
}

/// The proof that holds for all answers. A lookup that failed proves nothing.
fn weakest(answers: &[Answer]) -> Proof {
    let proofs = answers.iter().map(|answer| match answer.outcome {
        _ if answer.is_bogus() => Proof::Bogus,
        Outcome::Failed(_) => Proof::Indeterminate,
        _ => answer.proof,
    });
    let rank = |proof: &Proof| match proof {
        Proof::Secure => 0,
        Proof::Insecure => 1,
        Proof::Indeterminate => 2,
        Proof::Bogus => 3,
    };
    proofs.max_by_key(rank).unwrap_or(Proof::Indeterminate)
}

/// Why nobody else can reach an address (RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918, RFC 4193, and the shared addresses of RFC 6598.
    Private,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// `0.0.0.0/8`, `::`.
    Unspecified,
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Unspecified => "unspecified",
        })
    }
}

/// The special use of an address; `None` if it is one that a sender may reach. Mapped addresses count as IPv4.
pub fn special_use(address: IpAddr) -> Option<SpecialUse> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            match address {
                _ if address.is_loopback() => Some(SpecialUse::Loopback),
                _ if address.is_private() || is_shared => Some(SpecialUse::Private),
                _ if address.is_link_local() => Some(SpecialUse::LinkLocal),
                _ if address.octets()[0] == 0 => Some(SpecialUse::Unspecified),
                _ => None,
            }
        }
        IpAddr::V6(address) => match address {
            _ if address.is_loopback() => Some(SpecialUse::Loopback),
            _ if address.is_unique_local() => Some(SpecialUse::Private),
            _ if address.is_unicast_link_local() => Some(SpecialUse::LinkLocal),
            _ if address.is_unspecified() => Some(SpecialUse::Unspecified),
            _ => None,
        },
    }
}
