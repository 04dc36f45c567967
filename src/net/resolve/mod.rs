//! Name resolution: from a [`Target`] to addresses, in the order in which a sending mail server tries them (RFC 5321,
//! section 5.1). None of them is admitted yet.
//!
//! Every check asks anew: a cached answer would be measured as a fast one. Names are absolute, there is no search list.

mod error;
mod servers;

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::rr::{Name, RData, RecordType, rdata::MX};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use self::servers::Servers;
use crate::destination::{HostName, IpFamily, Target};

pub use self::error::{ResolveError, UnusableConfiguration};

/// A host that may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name that was asked, or the literal address.
    pub host: String,
    /// Its addresses, at least one, IPv4 first; or why there is none.
    pub addresses: Result<Vec<IpAddr>, ResolveError>,
}

impl Candidate {
    fn found(host: String, addresses: Vec<IpAddr>) -> Self {
        Self { host, addresses: Ok(addresses) }
    }

    fn silent(host: String) -> Self {
        let addresses = Err(ResolveError::Timeout { name: host.clone() });
        Self { host, addresses }
    }
}

/// Why none of the candidates has an address; `None` if one has.
///
/// A lasting error counts only where all errors are: a mail server would try the others again later.
pub fn failure(candidates: &[Candidate]) -> Option<&ResolveError> {
    let errors: Option<Vec<_>> = candidates.iter().map(|candidate| candidate.addresses.as_ref().err()).collect();
    let errors = errors?;
    let temporary = errors.iter().find(|error| error.is_temporary());
    temporary.or(errors.first()).copied()
}

/// Asks DNS. A clone asks the same servers.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Arc<Servers>,
}

impl Resolver {
    /// A resolver by the system's configuration, read now: the name servers of `/etc/resolv.conf` and, for host targets, the
    /// addresses in `/etc/hosts`. Where the system names no server, it knows literals, the hosts file and `localhost`, and fails
    /// for other names with [`ResolveError::NoResolver`].
    ///
    /// # Errors
    /// The resolver cannot be built.
    pub fn system() -> Result<Self, UnusableConfiguration> {
        Ok(Self { servers: Arc::new(Servers::system(PATIENCE)?) })
    }

    /// A resolver that asks these servers, by UDP and, where an answer is too long for it, TCP. It reads no hosts file.
    ///
    /// # Errors
    /// The resolver cannot be built.
    pub fn with_servers(servers: &[SocketAddr]) -> Result<Self, UnusableConfiguration> {
        Self::with_patience(servers, PATIENCE)
    }

    fn with_patience(servers: &[SocketAddr], patience: Duration) -> Result<Self, UnusableConfiguration> {
        Ok(Self { servers: Arc::new(Servers::new(servers, patience)?) })
    }

    /// The hosts to try and their addresses, in order. [`failure`] tells whether any has one.
    ///
    /// Where there are several hosts, the addresses of each are waited for no longer than half of the time that is left until
    /// `deadline`; and once there are addresses to begin with, the others are waited for a second at the most.
    ///
    /// # Errors
    /// There is no host to try: the target's own name could not be resolved, or its domain takes no mail.
    pub async fn resolve(
        &self,
        target: &Target,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<Candidate>, ResolveError> {
        let mut candidates = match target {
            Target::Address(address) => {
                let host = address.to_string();
                let addresses = usable(&host, family, [*address])?;
                vec![Candidate::found(host, addresses)]
            }
            Target::Host(host) => {
                let addresses = self.addresses_of_host(host, family, deadline).await?;
                vec![Candidate::found(host.to_string(), addresses)]
            }
            Target::MxOf(domain) => self.mail_exchangers(domain, family, deadline).await?,
        };
        limit(&mut candidates);
        Ok(candidates)
    }

    async fn addresses_of_host(
        &self,
        host: &HostName,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let from_file = self.servers.hosts_file(host);
        if let Ok(addresses) = usable(host.as_str(), family, from_file) {
            return Ok(addresses);
        }
        self.addresses(host, family, deadline, Others::None).await
    }

    async fn mail_exchangers(
        &self,
        domain: &HostName,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<Candidate>, ResolveError> {
        let answer = self.servers.ask(domain, RecordType::MX).await?;
        let records: Vec<MX> = answer
            .into_iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some(mx),
                _ => None,
            })
            .collect();
        if records.is_empty() {
            // RFC 5321, section 5.1: the domain is its own, implicit MX.
            let addresses = self.addresses(domain, family, deadline, Others::None);
            return Ok(vec![Candidate::found(domain.to_string(), addresses.await?)]);
        }
        let exchanges = in_order_of_trial(records);
        let others = match exchanges.len() {
            // RFC 7505: "." says that there is no mail server.
            0 => {
                return Err(ResolveError::NullMx { domain: domain.to_string() });
            }
            1 => Others::None,
            _ => Others::Some,
        };
        let mut found: Vec<_> = exchanges.iter().map(|exchange| Candidate::silent(exchange.clone())).collect();
        let mut lookups = JoinSet::new();
        for (place, exchange) in exchanges.into_iter().enumerate() {
            let resolver = self.clone();
            lookups.spawn(async move { (place, resolver.exchange(exchange, family, deadline, others).await) });
        }
        let mut enough = deadline;
        while let Ok(Some(Ok((place, candidate)))) = timeout_at(enough, lookups.join_next()).await {
            // The others are for the case that the first cannot be connected to.
            if place == 0 && candidate.addresses.is_ok() {
                enough = enough.min(complement_by(deadline));
            }
            found[place] = candidate;
        }
        Ok(found)
    }

    async fn exchange(&self, exchange: String, family: IpFamily, deadline: Instant, others: Others) -> Candidate {
        let addresses = match exchange.parse() {
            Ok(host) => self.addresses(&host, family, deadline, others).await,
            Err(_) => Err(ResolveError::NotAHostName { exchange: exchange.clone() }),
        };
        Candidate { host: exchange, addresses }
    }

    /// Asks for A and AAAA at the same time, as far as the family wants them.
    async fn addresses(
        &self,
        host: &HostName,
        family: IpFamily,
        deadline: Instant,
        others: Others,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let now = Instant::now();
        let mut enough = match others {
            Others::None => deadline,
            Others::Some => now + deadline.saturating_duration_since(now) / 2,
        };
        let mut ipv4 = pin!(self.servers.ask(host, RecordType::A));
        let mut ipv6 = pin!(self.servers.ask(host, RecordType::AAAA));
        let nothing_if_only = |other| (family == other).then(|| Ok(Vec::new()));
        let mut ipv4_answer = nothing_if_only(IpFamily::Ipv6);
        let mut ipv6_answer = nothing_if_only(IpFamily::Ipv4);
        while ipv4_answer.is_none() || ipv6_answer.is_none() {
            let answer = tokio::select! {
                answer = &mut ipv4, if ipv4_answer.is_none() => ipv4_answer.insert(answer),
                answer = &mut ipv6, if ipv6_answer.is_none() => ipv6_answer.insert(answer),
                () = sleep_until(enough) => break,
            };
            if matches!(answer, Ok(records) if !records.is_empty()) {
                enough = enough.min(complement_by(deadline));
            }
        }
        let answers = [ipv4_answer, ipv6_answer]
            .map(|answer| answer.unwrap_or_else(|| Err(ResolveError::Timeout { name: host.to_string() })));
        combine(host, family, answers)
    }
}

/// How long one server is asked alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long further addresses are waited for once there are some to begin with: a server that drops questions for AAAA, or a dead one
/// that a lesser mail exchanger's name depends on, is not to be measured as a slow one.
const COMPLEMENT: Duration = Duration::from_secs(1);

/// Until when further addresses are waited for, now that there are some; half of the time left is for trying these.
fn complement_by(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + COMPLEMENT.min(deadline.saturating_duration_since(now) / 2)
}

/// Bounds on what a domain may make a check try. More is not worth trying, and a hostile answer may hold thousands.
const MAX_EXCHANGES: usize = 16;
const MAX_ADDRESSES: usize = 64;

/// Whether there are other hosts to try than the one that is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

/// The names of the mail exchangers: by preference, equal ones in random order (RFC 5321, section 5.1), each once. The null MX is
/// no host.
fn in_order_of_trial(mut records: Vec<MX>) -> Vec<String> {
    fastrand::shuffle(&mut records);
    records.sort_by_key(|mx| mx.preference);
    let mut seen = HashSet::new();
    records
        .iter()
        .filter(|mx| !mx.exchange.is_root())
        .map(|mx| spelled(&mx.exchange))
        .filter(|exchange| seen.insert(exchange.clone()))
        .take(MAX_EXCHANGES)
        .collect()
}

/// The name as it is written, whatever octets it is made of: odd ones are escaped.
fn spelled(name: &Name) -> String {
    let mut text = name.to_lowercase().to_ascii();
    if name.is_fqdn() {
        text.pop();
    }
    text
}

fn combine(
    host: &HostName,
    family: IpFamily,
    answers: [Result<Vec<RData>, ResolveError>; 2],
) -> Result<Vec<IpAddr>, ResolveError> {
    let (found, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let addresses = found.into_iter().flatten().flatten().filter_map(|data| data.ip_addr());
    usable(host.as_str(), family, addresses).map_err(|no_address| {
        // Without the answer that failed it is not known whether there is an address.
        let mut errors: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(|error| !error.is_temporary());
        errors.into_iter().next().unwrap_or(no_address)
    })
}

/// The addresses that the family admits, in canonical form, IPv4 first, each once.
fn usable(
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

fn limit(candidates: &mut Vec<Candidate>) {
    let mut left = MAX_ADDRESSES;
    for addresses in candidates.iter_mut().filter_map(|candidate| candidate.addresses.as_mut().ok()) {
        addresses.truncate(left);
        left -= addresses.len();
    }
    candidates.retain(|candidate| candidate.addresses.as_ref().map_or(true, |addresses| !addresses.is_empty()));
}

#[cfg(test)]
mod tests;
