//! The mail exchangers of a domain: their addresses, and a session with each of these.

use std::{net::IpAddr, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use tower::ServiceExt;

use super::{
    DomainEvent, DomainJob, dane,
    lookups::Lookups,
    views::{self, Asked},
};
use crate::{
    check::DomainCheck,
    destination::{HostName, IpFamily, policy::TargetPolicy},
    mail_dns::{
        Question, RecordKind,
        mx::{AddressState, HostAddresses, HostKind, MxHost},
        tlsa::TlsaOutcome,
    },
    permits::{KeyedLimit, Permit},
    probe::{CheckJob, Probe, Refusal},
    report::{
        Report,
        domain::{AddressReport, Views},
    },
};

/// Sessions of one check at a time.
const MAX_SESSIONS: usize = 16;
/// Sessions with one address at a time, of all checks of domains together: many servers refuse more.
pub(super) const MAX_SESSIONS_PER_ADDRESS: usize = 2;
/// How long a session that found no place waits before it tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// A session that has less time is not begun.
const MIN_SESSION_TIME: Duration = Duration::from_millis(100);
/// Time that is kept for the end of a session and for the report.
const REPORT_TIME: Duration = Duration::from_millis(100);

/// What was seen of a mail exchanger.
#[derive(Clone, Debug)]
pub(super) struct Surveyed {
    pub(super) host: MxHost,
    /// Why there are no addresses.
    pub(super) reason: Option<NoAddresses>,
    pub(super) addresses: HostAddresses,
    pub(super) tlsa: TlsaOutcome,
    /// Addresses beyond the limit.
    pub(super) left_out: usize,
    pub(super) sessions: Vec<AddressReport>,
}

/// Why a mail exchanger was not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAddresses {
    #[error("the MX record holds an address instead of a name")]
    Literal,
    #[error("the name is that of each machine itself")]
    Localhost,
    #[error("the name is no host name")]
    NotAHostName,
    #[error("the name does not exist")]
    NoName,
    #[error("the name has no address")]
    None,
    #[error("its addresses could not be looked up: {0}")]
    Inconclusive(crate::mail_dns::LookupFailure),
    #[error("the operator of this service forbids the name")]
    Forbidden,
}

/// Surveys the mail exchangers of one domain.
#[derive(Debug)]
pub(super) struct Exchangers<'a> {
    pub(super) job: &'a DomainJob,
    pub(super) probe: &'a Probe,
    pub(super) policy: &'a TargetPolicy,
    pub(super) per_address: &'a KeyedLimit<IpAddr>,
    pub(super) lookups: &'a Lookups,
    pub(super) deadline: Instant,
}

impl Exchangers<'_> {
    /// Looks at all of them, side by side.
    pub(super) async fn survey(&self, hosts: &[MxHost]) -> Vec<Surveyed> {
        let places = Semaphore::new(MAX_SESSIONS);
        join_all(hosts.iter().map(|host| self.host(host, &places))).await
    }

    async fn host(&self, host: &MxHost, places: &Semaphore) -> Surveyed {
        let nowhere = |reason, addresses| Surveyed {
            host: host.clone(),
            reason: Some(reason),
            addresses,
            tlsa: TlsaOutcome::NotAsked,
            left_out: 0,
            sessions: Vec::new(),
        };
        let not_asked = || HostAddresses::read(&[]);
        match host.kind {
            HostKind::Address(_) => return nowhere(NoAddresses::Literal, not_asked()),
            HostKind::Localhost => return nowhere(NoAddresses::Localhost, not_asked()),
            HostKind::Name => {}
        }
        let Ok(name) = host.name.parse::<HostName>() else { return nowhere(NoAddresses::NotAHostName, not_asked()) };
        if self.policy.admit_exchange(&self.job.check.domain, &name).is_err() {
            return nowhere(NoAddresses::Forbidden, not_asked());
        }
        let found = self.addresses(&host.name).await;
        let reason = match found.state {
            AddressState::Found => None,
            AddressState::NoName => Some(NoAddresses::NoName),
            AddressState::NoAddress | AddressState::NotAsked => Some(NoAddresses::None),
            AddressState::Inconclusive(failure) => Some(NoAddresses::Inconclusive(failure)),
        };
        if let Some(reason) = reason {
            return nowhere(reason, found);
        }
        let (chosen, left_out) = chosen(&found.addresses, self.job.check.addresses_per_host);
        let sessions = join_all(chosen.into_iter().map(|address| self.address(&name, address, places)));
        let tlsa = dane::search(&host.name, self.job.check.port(), &found, self.lookups);
        let (sessions, tlsa) = tokio::join!(sessions, tlsa);
        Surveyed { host: host.clone(), reason: None, addresses: found, tlsa, left_out, sessions }
    }

    async fn addresses(&self, name: &str) -> HostAddresses {
        let family = self.job.check.ip_family;
        let ask = |other: IpFamily, kind| async move {
            if family == other {
                return None;
            }
            Some(self.lookups.ask(&Question::new(name, kind)).await)
        };
        let (ipv4, ipv6) = tokio::join!(ask(IpFamily::Ipv6, RecordKind::A), ask(IpFamily::Ipv4, RecordKind::Aaaa));
        HostAddresses::read(&[ipv4, ipv6].into_iter().flatten().collect::<Vec<_>>())
    }

    /// The session with one address.
    async fn address(&self, host: &HostName, address: IpAddr, places: &Semaphore) -> AddressReport {
        let (report, refusal) = match self.session(host, address, places).await {
            Ok(report) => (Some(Box::new(report)), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let seen = AddressReport { address, report, refusal, views: Views::INCONCLUSIVE };
        self.job.tell(|| {
            let asked = Asked { has_recipient: self.job.check.has_recipient };
            // What the policies make of it is known once they are.
            let opportunistic = views::opportunistic(seen.report.as_deref(), asked);
            let views = Views { opportunistic, ..Views::INCONCLUSIVE };
            DomainEvent::Server { host: host.to_string(), address: Box::new(AddressReport { views, ..seen.clone() }) }
        });
        seen
    }

    /// The report of the session with one address, or why there was none.
    async fn session(&self, host: &HostName, address: IpAddr, places: &Semaphore) -> Result<Report, String> {
        let busy = || "busy".to_owned();
        let _place = timeout_at(self.deadline, places.acquire()).await.map_err(|_| busy())?;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(REPORT_TIME);
            if left < MIN_SESSION_TIME {
                return Err(busy());
            }
            if let Some(permit) = self.per_address.try_acquire(address) {
                match self.run(host, address, left, permit).await {
                    Ok(report) => return Ok(report),
                    // Another caller's check has its place: it will be free again.
                    Err(Refusal::TargetBusy | Refusal::Overloaded) => {}
                    Err(refusal) => return Err(refusal.to_string()),
                }
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn run(
        &self,
        host: &HostName,
        address: IpAddr,
        timeout: Duration,
        _permit: Permit<IpAddr>,
    ) -> Result<Report, Refusal> {
        let check: &DomainCheck = &self.job.check;
        let job = CheckJob {
            caller: self.job.caller.clone(),
            ..CheckJob::new(check.of_address(host, address, timeout)).with_parent(self.job.parent.clone())
        };
        self.job.probe.as_ref().unwrap_or(self.probe).clone().oneshot(job).await
    }
}

/// The addresses to converse with, both families in turn, and how many are left out.
fn chosen(addresses: &[IpAddr], limit: usize) -> (Vec<IpAddr>, usize) {
    let (ipv4, ipv6): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(IpAddr::is_ipv4);
    let longest = ipv4.len().max(ipv6.len());
    let in_turn = (0..longest).flat_map(|index| [ipv4.get(index), ipv6.get(index)]).flatten().copied();
    let chosen: Vec<IpAddr> = in_turn.take(limit).collect();
    let left_out = addresses.len() - chosen.len();
    (chosen, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_among_the_chosen_addresses() {
        let parse = |text: &[&str]| text.iter().map(|text| text.parse().expect("an address")).collect::<Vec<IpAddr>>();
        let all = parse(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
        assert_eq!(chosen(&all, 2), (parse(&["192.0.2.1", "2001:db8::1"]), 2));
        assert_eq!(chosen(&all, 8), (parse(&["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]), 0));
        assert_eq!(chosen(&all[3..], 1), (parse(&["2001:db8::1"]), 0));
    }
}
