//! From the target of a check to the addresses that may be dialled: the resolver's answer, judged by the policy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use super::{
    Limits, Refusal,
    job::{CheckContext, Stop},
    log,
};
use crate::{
    destination::{
        Target,
        policy::{Admitted, AdmittedHost, Forbidden, TargetPolicy},
    },
    net::resolve::{Candidate, ResolveError, Resolver, failure},
    permits::{KeyedLimit, Permit},
    phase::Phase,
    report::{
        Attempt, Cause, Failure, FailureKind,
        journal::{Ending, Event},
    },
};

/// One address to try.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) host: String,
    pub(super) address: Admitted,
}

/// Resolves targets, within limits, and asks the policy for permission.
#[derive(Debug)]
pub(super) struct Resolution {
    resolver: Resolver,
    policy: Arc<TargetPolicy>,
    /// Checks whose name is being resolved, by name: before there is an address to count by, the name counts.
    per_name: KeyedLimit<Target>,
    /// Checks whose name is being resolved, all together: a zone with silent name servers can have any number of names.
    all_names: Arc<Semaphore>,
}

impl Resolution {
    pub(super) fn new(limits: Limits, resolver: Resolver, policy: Arc<TargetPolicy>) -> Self {
        // Half of the checks in flight: however many names wait for silent name servers, checks that need no
        // resolution, or have it behind them, can run.
        let all_names = Arc::new(Semaphore::new((limits.checks / 2).max(1)));
        Self { resolver, policy, per_name: KeyedLimit::new(limits.checks_per_target), all_names }
    }

    /// The addresses to try, in order, and in place of those that cannot or may not be used the reason. At least one of
    /// them can be tried.
    pub(super) async fn routes(&self, check: &mut CheckContext) -> Result<Vec<Result<Route, Attempt>>, Stop> {
        // A forbidden name or port is refused before DNS is asked, so that the answer does not tell whether the name
        // exists.
        if let Err(rule) = self.policy.admit_target(&check.check.target, check.check.port) {
            check.identity().forbidden(None, check.check.target.address(), &rule);
            return Err(rule.into());
        }
        let permits = self.permits(&check.check.target)?;
        // Boxed: the future is large and short-lived, and the session that follows is long.
        let candidates = Box::pin(self.candidates(check)).await.map_err(Stop::Failed)?;
        drop(permits);
        Ok(self.admit(check, candidates)?)
    }

    /// The permits to resolve this target; an address needs none.
    fn permits(&self, target: &Target) -> Result<Option<(Permit<Target>, OwnedSemaphorePermit)>, Refusal> {
        if target.address().is_some() {
            return Ok(None);
        }
        let of_name = self.per_name.try_acquire(target.clone()).ok_or(Refusal::TargetBusy)?;
        // Not `TargetBusy`: the service is at its limit, whatever the name.
        let of_all = Arc::clone(&self.all_names).try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
        Ok(Some((of_name, of_all)))
    }

    /// The hosts to try, at least one with an address unless one is forbidden. The journal gets the phase `dns`.
    async fn candidates(&self, check: &mut CheckContext) -> Result<Vec<Candidate>, Failure> {
        let target = check.check.target.clone();
        let resolution = self.resolver.resolve(&target, check.check.ip_family, check.deadline);
        if target.address().is_some() {
            // An address needs no resolution, and so has no such phase.
            return resolution.await.map_err(|error| dns_failure(&error));
        }
        check.note(Event::Began(Phase::Dns));
        let Ok(resolved) = timeout_at(check.deadline, resolution).await else {
            let failure = Failure::new(Phase::Dns, FailureKind::Timeout, "the name was not resolved in time");
            return Err(failure.with_cause(Some(Cause::NoDnsAnswer)));
        };
        let now = Instant::now();
        let candidates = match resolved {
            // Whether a forbidden name has an address is not told to the caller.
            Ok(candidates) if candidates.iter().any(|one| self.admit_name(&target, one).is_err()) => Ok(candidates),
            Ok(candidates) => match failure(&candidates).map(dns_failure) {
                None => Ok(candidates),
                Some(failure) => {
                    for attempt in candidates.iter().filter_map(unresolved) {
                        check.journal.note(now, Event::Attempted(attempt));
                    }
                    Err(failure)
                }
            },
            Err(error) => Err(dns_failure(&error)),
        };
        match &candidates {
            Ok(_) => check.journal.note(now, Event::Ended(Phase::Dns, Ending::Done)),
            Err(failure) if failure.kind == FailureKind::Dns => {
                check.journal.note(now, Event::Ended(Phase::Dns, Ending::Failed));
            }
            // The resolver did not answer: the phase never ended.
            Err(_) => {}
        }
        candidates
    }

    /// The addresses that may be dialled, in order, and in place of the others the reason.
    fn admit(
        &self,
        check: &CheckContext,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Result<Route, Attempt>>, Forbidden> {
        let (target, port) = (&check.check.target, check.check.port);
        let mut routes = Vec::new();
        let mut first = None;
        let mut skip = |host: &str, address: Option<IpAddr>, rule: Forbidden| {
            log::skipped(check.id(), host, address, &rule);
            let error = rule.to_string();
            first.get_or_insert_with(|| (host.to_owned(), address, rule));
            // Without the address: what a name resolves to inside of this network is not told to the caller.
            Err(Attempt { host: host.to_owned(), address: None, error })
        };
        for candidate in candidates {
            let permission = match self.admit_name(target, &candidate) {
                Ok(permission) => permission,
                Err(rule) => {
                    routes.push(skip(&candidate.host, None, rule));
                    continue;
                }
            };
            routes.extend(unresolved(&candidate).map(Err));
            let Candidate { host, addresses } = candidate;
            for address in addresses.into_iter().flatten() {
                routes.push(match permission.address(SocketAddr::new(address, port)) {
                    Ok(address) => Ok(Route { host: host.clone(), address }),
                    Err(rule) => skip(&host, Some(address), rule),
                });
            }
        }
        match first {
            Some((host, address, rule)) if routes.iter().all(Result::is_err) => {
                check.identity().forbidden(Some(&host), address, &rule);
                Err(rule)
            }
            _ => Ok(routes),
        }
    }

    /// The permission for the name of a candidate.
    fn admit_name(&self, target: &Target, candidate: &Candidate) -> Result<AdmittedHost<'_>, Forbidden> {
        match target {
            Target::Host(name) => self.policy.admit_host(name),
            Target::MxOf(domain) => match candidate.host.parse() {
                Ok(exchanger) => self.policy.admit_exchange(domain, &exchanger),
                // Not a host name: such an MX record has no address that the permission could be for.
                Err(_) => Ok(self.policy.admit_literal()),
            },
            Target::Exchange(exchange) => self.policy.admit_exchange(&exchange.domain, &exchange.host),
            Target::Address(_) => Ok(self.policy.admit_literal()),
        }
    }
}

fn dns_failure(error: &ResolveError) -> Failure {
    let kind = match error {
        ResolveError::Timeout { .. } => FailureKind::Timeout,
        _ => FailureKind::Dns,
    };
    let cause = match error.clone() {
        ResolveError::NoSuchDomain { name } => Cause::NoSuchDomain { name },
        ResolveError::NoAddress { name, family } => Cause::NoAddress { name, family },
        ResolveError::NullMx { domain } => Cause::NullMx { domain },
        ResolveError::NotAHostName { exchange } => Cause::NotAHostName { exchange },
        _ => Cause::NoDnsAnswer,
    };
    Failure { temporary: error.is_temporary(), ..Failure::new(Phase::Dns, kind, error).with_cause(Some(cause)) }
}

fn unresolved(candidate: &Candidate) -> Option<Attempt> {
    let error = candidate.addresses.as_ref().err()?;
    Some(Attempt { host: candidate.host.clone(), address: None, error: error.to_string() })
}
