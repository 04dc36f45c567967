//! Which of the hosts and addresses of an answer are tried, and in which order.

use std::{collections::HashSet, net::IpAddr};

use hickory_resolver::proto::rr::rdata::MX;

use super::{Candidate, ResolveError, to_text};
use crate::destination::IpFamily;

/// Most mail exchangers of a domain that are tried: more are of no use, and a hostile answer may contain thousands.
pub(super) const MAX_EXCHANGES: usize = 16;
/// Most addresses of a target that are tried, for the same reason.
pub(super) const MAX_ADDRESSES: usize = 64;

/// The names of the mail exchangers: by preference, equal ones in random order (RFC 5321, section 5.1), each once. None
/// if all that there is is the null MX (RFC 7505).
pub(super) fn by_preference(mut records: Vec<MX>) -> Vec<String> {
    fastrand::shuffle(&mut records);
    records.sort_by_key(|mx| mx.preference);
    let mut seen = HashSet::new();
    records
        .iter()
        .filter(|mx| !mx.exchange.is_root())
        .map(|mx| to_text(&mx.exchange))
        .filter(|exchange| seen.insert(exchange.clone()))
        .take(MAX_EXCHANGES)
        .collect()
}

/// The addresses that the family admits, in canonical form, IPv4 first, each once.
pub(super) fn usable(
    host: &str,
    family: IpFamily,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut seen = HashSet::new();
    let mut usable: Vec<_> = addresses
        .into_iter()
        .map(|address| address.to_canonical())
        .filter(|address| family.admits(*address) && seen.insert(*address))
        .collect();
    if usable.is_empty() {
        return Err(ResolveError::NoAddress { name: host.to_owned(), family });
    }
    usable.sort_by_key(IpAddr::is_ipv6);
    Ok(usable)
}

pub(super) fn limit_addresses(candidates: &mut Vec<Candidate>) {
    let mut left = MAX_ADDRESSES;
    for addresses in candidates.iter_mut().filter_map(|candidate| candidate.addresses.as_mut().ok()) {
        addresses.truncate(left);
        left -= addresses.len();
    }
    candidates.retain(|candidate| candidate.addresses.as_ref().map_or(true, |addresses| !addresses.is_empty()));
}
