//! [`Resolver`]: from a [`Target`] to addresses, in the order in which a sending mail server tries them (RFC 5321,
//! section 5.1). None of them is admitted yet.
//!
//! There is no cache: a cached answer would count as a fast one. Names are absolute, there is no search list.
//!
//! - [`servers`]: the name servers, one after the other; [`health`]: those that are dead come last; [`edns`]: those
//!   that do not answer queries with EDNS are asked without it.
//! - [`exchange`]: one question to one server; [`message`]: its octets, and what a response says.
//! - [`choice`]: which of the hosts and addresses are tried, and in which order.
//! - [`special`]: names that no server is asked for.
//! - [`system`]: the system's name servers and its hosts file.

mod choice;
mod edns;
mod error;
mod exchange;
mod health;
mod message;
mod servers;
mod special;
mod system;

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::{
    op::Message,
    rr::{Name, RData, RecordType, rdata::MX},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use self::{
    choice::{by_preference, limit_addresses, usable},
    servers::{NameServers, Options},
    system::{HostsFile, SystemFiles},
};
use crate::destination::{HostName, IpFamily, Target, address_text};

pub use self::error::ResolveError;
pub(super) use self::message::QueryFlags;
#[doc(hidden)]
pub use self::{
    message::answer,
    system::{host_addresses, name_servers},
};

/// A host that a check may connect to: the target itself, or one of its mail exchangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name of the query, or the literal address.
    pub host: String,
    /// Its addresses, at least one, IPv4 first; or why there is none.
    pub addresses: Result<Vec<IpAddr>, ResolveError>,
}

impl Candidate {
    fn found(host: String, addresses: Vec<IpAddr>) -> Self {
        Self { host, addresses: Ok(addresses) }
    }

    fn timed_out(host: String) -> Self {
        let addresses = Err(ResolveError::Timeout { name: host.clone() });
        Self { host, addresses }
    }
}

/// Why none of the candidates has an address; `None` if one has.
///
/// A permanent error counts only if all errors are permanent: a sending mail server would try the other hosts again
/// later.
pub fn failure(candidates: &[Candidate]) -> Option<&ResolveError> {
    let errors: Option<Vec<_>> = candidates.iter().map(|candidate| candidate.addresses.as_ref().err()).collect();
    let errors = errors?;
    let temporary = errors.iter().find(|error| error.is_temporary());
    temporary.or(errors.first()).copied()
}

/// A DNS client. A clone uses the same servers.
#[derive(Clone, Debug)]
pub struct Resolver {
    source: Source,
    spare_sockets: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
enum Source {
    Given(Arc<Configuration>),
    System(Arc<SystemFiles>),
}

/// What a resolution goes by, from its beginning to its end.
#[derive(Debug, Default)]
struct Configuration {
    servers: Arc<NameServers>,
    hosts: Arc<HostsFile>,
}

impl Resolver {
    /// A resolver with the system's configuration: the name servers of `/etc/resolv.conf` and, for host targets, the
    /// addresses in `/etc/hosts`. Both are read again when they change.
    pub fn system() -> Self {
        Self::from_source(Source::System(Arc::new(SystemFiles::open(Options::DEFAULT))))
    }

    /// A resolver with these servers, by UDP and, for answers that are too long for it, by TCP. It reads no hosts file.
    /// Without any server it resolves literals and `localhost`, and fails for other names with
    /// [`ResolveError::NoResolver`].
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        Self::with_options(servers, Options::DEFAULT)
    }

    fn with_options(servers: &[SocketAddr], options: Options) -> Self {
        let servers = Arc::new(NameServers::new(servers, options));
        Self::from_source(Source::Given(Arc::new(Configuration { servers, hosts: Arc::default() })))
    }

    fn from_source(source: Source) -> Self {
        Self { source, spare_sockets: Arc::new(Semaphore::new(DEFAULT_SPARE_SOCKETS)) }
    }

    /// Reads the system's files again, also where they were read a moment ago. It blocks. `None` if this resolver uses
    /// none.
    pub fn reload(&self) -> Option<impl Fn() + Send + Sync + use<>> {
        match self.source.clone() {
            Source::Given(_) => None,
            Source::System(files) => Some(move || files.reload()),
        }
    }

    /// Limits the sockets of all resolutions together that are beyond the [`OWN_SOCKETS`] of each.
    #[must_use]
    pub fn with_spare_sockets(self, sockets: usize) -> Self {
        Self { spare_sockets: Arc::new(Semaphore::new(sockets)), ..self }
    }

    /// The hosts to try and their addresses, in order. [`failure`] tells whether none of them has one.
    ///
    /// If there are several hosts, the wait for the addresses of each is at most half of the time that is left until
    /// `deadline`. Once there are addresses to begin with, the wait for the others is at most a second.
    ///
    /// # Errors
    /// There is no host to try: the target's own name could not be resolved, or its domain accepts no mail.
    pub async fn resolve(
        &self,
        target: &Target,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<Candidate>, ResolveError> {
        let configuration = self.configuration().await;
        let spare = self.take_spare_sockets();
        let sockets = OWN_SOCKETS + spare.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lookup = Lookup { configuration, sockets: Arc::new(Semaphore::new(sockets)) };
        lookup.candidates(target, family, deadline).await
    }

    /// The response of the first server that has one, as it stands: its code is NOERROR or NXDOMAIN. Each exchange with
    /// a server takes a permit of `sockets`.
    ///
    /// # Errors
    /// No server gave an answer.
    pub(super) async fn message(
        &self,
        name: &Name,
        record_type: RecordType,
        flags: QueryFlags,
        sockets: &Arc<Semaphore>,
    ) -> Result<Message, ResolveError> {
        self.configuration().await.servers.message(name, record_type, flags, sockets).await
    }

    async fn configuration(&self) -> Arc<Configuration> {
        match &self.source {
            Source::Given(configuration) => configuration.clone(),
            Source::System(files) => files.clone().configuration().await,
        }
    }

    /// As many as there are; none if another resolution takes them at the same moment.
    fn take_spare_sockets(&self) -> Option<OwnedSemaphorePermit> {
        let wanted = self.spare_sockets.available_permits().min(MAX_SOCKETS - OWN_SOCKETS);
        self.spare_sockets.clone().try_acquire_many_owned(u32::try_from(wanted).ok()?).ok()
    }
}

/// One resolution.
#[derive(Clone, Debug)]
struct Lookup {
    configuration: Arc<Configuration>,
    /// Limits the questions that are asked at the same time.
    sockets: Arc<Semaphore>,
}

impl Lookup {
    async fn candidates(
        &self,
        target: &Target,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<Candidate>, ResolveError> {
        let mut candidates = match target {
            Target::Address(address) => {
                let host = address_text(*address);
                let addresses = usable(&host, family, [*address])?;
                vec![Candidate::found(host, addresses)]
            }
            Target::Exchange(exchange) => {
                let host = exchange.host.to_string();
                let addresses = usable(&host, family, [exchange.address])?;
                vec![Candidate::found(host, addresses)]
            }
            Target::Host(host) => {
                let addresses = self.addresses_of_host(host, family, deadline).await?;
                vec![Candidate::found(host.to_string(), addresses)]
            }
            Target::MxOf(domain) => self.mail_exchangers(domain, family, deadline).await?,
        };
        limit_addresses(&mut candidates);
        Ok(candidates)
    }

    async fn query(&self, name: &HostName, record_type: RecordType) -> Result<Vec<RData>, ResolveError> {
        self.configuration.servers.query(name, record_type, &self.sockets).await
    }

    async fn addresses_of_host(
        &self,
        host: &HostName,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let from_file = self.configuration.hosts.addresses(host.as_str());
        let is_in_file = !from_file.is_empty();
        let no_address = match usable(host.as_str(), family, from_file) {
            Ok(addresses) => return Ok(addresses),
            Err(no_address) => no_address,
        };
        self.addresses(host, family, deadline, deadline).await.map_err(|error| match error {
            // DNS does not know the name, and the file has an address of the other family for it.
            ResolveError::NoSuchDomain { .. } if is_in_file => no_address,
            error => error,
        })
    }

    async fn mail_exchangers(
        &self,
        domain: &HostName,
        family: IpFamily,
        deadline: Instant,
    ) -> Result<Vec<Candidate>, ResolveError> {
        let answer = self.query(domain, RecordType::MX).await?;
        let records: Vec<MX> = answer
            .into_iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some(mx),
                _ => None,
            })
            .collect();
        if records.is_empty() {
            // RFC 5321, section 5.1: the domain is its own, implicit MX.
            let addresses = self.addresses(domain, family, deadline, deadline);
            return Ok(vec![Candidate::found(domain.to_string(), addresses.await?)]);
        }
        let exchanges = by_preference(records);
        let answers_by = match exchanges.len() {
            0 => return Err(ResolveError::NullMx { domain: domain.to_string() }),
            1 => deadline,
            _ => halfway_to(deadline),
        };
        let mut found: Vec<_> = exchanges.iter().map(|exchange| Candidate::timed_out(exchange.clone())).collect();
        let mut lookups = JoinSet::new();
        for (index, exchange) in exchanges.into_iter().enumerate() {
            let lookup = self.clone();
            lookups.spawn(async move { (index, lookup.exchange(exchange, family, answers_by, deadline).await) });
        }
        let mut wait_until = deadline;
        while let Ok(Some(Ok((index, candidate)))) = timeout_at(wait_until, lookups.join_next()).await {
            // The others are only needed if the first cannot be connected to.
            if index == 0 && candidate.addresses.is_ok() {
                wait_until = wait_until.min(remaining_answers_by(deadline));
            }
            found[index] = candidate;
        }
        Ok(found)
    }

    async fn exchange(&self, exchange: String, family: IpFamily, answers_by: Instant, deadline: Instant) -> Candidate {
        let addresses = match exchange.parse() {
            Ok(host) => self.addresses(&host, family, answers_by, deadline).await,
            Err(_) => Err(ResolveError::NotAHostName { exchange: exchange.clone() }),
        };
        Candidate { host: exchange, addresses }
    }

    /// Queries A and AAAA at the same time, as far as they are of the family, and waits for the answers until
    /// `answers_by`.
    async fn addresses(
        &self,
        host: &HostName,
        family: IpFamily,
        answers_by: Instant,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let mut wait_until = answers_by;
        let mut ipv4 = pin!(self.query(host, RecordType::A));
        let mut ipv6 = pin!(self.query(host, RecordType::AAAA));
        let no_records_if_only = |other| (family == other).then(|| Ok(Vec::new()));
        let mut ipv4_answer = no_records_if_only(IpFamily::Ipv6);
        let mut ipv6_answer = no_records_if_only(IpFamily::Ipv4);
        while ipv4_answer.is_none() || ipv6_answer.is_none() {
            let answer = tokio::select! {
                answer = &mut ipv4, if ipv4_answer.is_none() => ipv4_answer.insert(answer),
                answer = &mut ipv6, if ipv6_answer.is_none() => ipv6_answer.insert(answer),
                () = sleep_until(wait_until) => break,
            };
            if matches!(answer, Ok(records) if !records.is_empty()) {
                wait_until = wait_until.min(remaining_answers_by(deadline));
            }
        }
        let answers = [ipv4_answer, ipv6_answer]
            .map(|answer| answer.unwrap_or_else(|| Err(ResolveError::Timeout { name: host.to_string() })));
        combine(host, family, answers)
    }
}

/// Sockets of one resolution at the same time: enough to ask for the addresses of five mail exchangers side by side.
/// Nearly no domain has more; a hostile answer has any number.
pub const MAX_SOCKETS: usize = 10;

/// Sockets that each resolution has, whatever the others do. The further ones come from a number that all share.
pub const OWN_SOCKETS: usize = 2;

/// Spare sockets of a resolver that was not told how many there are.
const DEFAULT_SPARE_SOCKETS: usize = 64;

/// How long to wait for further addresses once there are some: a server that drops AAAA queries, or a dead server for
/// the name of a backup mail exchanger, is not to count as a slow one.
const REMAINING_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Until when to wait for further addresses, now that there are some; half of the time left is for connecting to these.
fn remaining_answers_by(deadline: Instant) -> Instant {
    halfway_to(deadline).min(Instant::now() + REMAINING_ANSWERS_TIMEOUT)
}

fn halfway_to(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

/// The name in presentation format (RFC 1035, section 5.1): unusual octets are escaped. Lower case, no dot at the end.
pub(super) fn to_text(name: &Name) -> String {
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
        // There may be an address in the answer that failed.
        let mut errors: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(|error| !error.is_temporary());
        errors.into_iter().next().unwrap_or(no_address)
    })
}

#[cfg(test)]
mod tests;
