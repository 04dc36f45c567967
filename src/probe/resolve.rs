//! Names to addresses, and addresses to permissions: the layer that asks the resolver and then the policy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{sync::Semaphore, time::timeout_at};
use tower::{Service, ServiceExt};

use super::{BoxFuture, CheckContext, Limits, Refusal, Route, Routed, in_flight::InFlight};
use crate::{
    destination::{
        Target,
        policy::{AdmittedHost, Forbidden, TargetPolicy},
    },
    net::resolve::{Candidate, ResolveError, Resolver, failure},
    phase::Phase,
    report::{
        Attempt, Failure, FailureKind, Journal,
        journal::{Ending, Event},
    },
};

/// From a check [`CheckContext`] to a [`Routed`] one.
#[derive(Clone, Debug)]
pub(super) struct Resolve<S> {
    resolver: Resolver,
    policy: Arc<TargetPolicy>,
    /// Names that are being resolved. As long as there is no address to count by, a name whose servers are silent counts itself.
    names: InFlight<Target>,
    /// Room for names of any kind: a zone whose servers are silent has as many names as one likes.
    room: Arc<Semaphore>,
    per_name: usize,
    inner: S,
}

impl<S> Resolve<S> {
    pub(super) fn new(resolver: Resolver, policy: Arc<TargetPolicy>, limits: Limits, inner: S) -> Self {
        let room = Arc::new(Semaphore::new(limits.resolutions()));
        Self { resolver, policy, names: InFlight::default(), room, per_name: limits.checks_per_target, inner }
    }
}

impl<S> Service<CheckContext> for Resolve<S>
where
    S: Service<Routed, Response = Journal, Error = Refusal, Future: Send> + Clone + Send + 'static,
{
    type Response = Journal;
    type Error = Refusal;
    type Future = BoxFuture<Result<Journal, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut underway: CheckContext) -> Self::Future {
        // The one to call is the one that was asked whether it is ready; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (resolver, policy) = (self.resolver.clone(), Arc::clone(&self.policy));
        let (names, room, per_name) = (self.names.clone(), Arc::clone(&self.room), self.per_name);
        Box::pin(async move {
            // What is forbidden by its name or port is so whether the name has an address or not, and needs no question to DNS.
            let (target, port) = (&underway.check.target, underway.check.port);
            if let Err(rule) = policy.admit_target(target, port) {
                let host = underway.journal.heading().host.clone();
                let address = if let Target::Address(address) = target { Some(*address) } else { None };
                return Err(refuse(&underway, Skipped { host, address, rule }).into());
            }
            let enter = || {
                let slot = names.enter(target.clone(), per_name).ok_or(Refusal::TargetBusy)?;
                // Not `TargetBusy`: nothing may be amiss with this name, and it is the house that has no room for it.
                let room = room.try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
                Ok::<_, Refusal>((slot, room))
            };
            let is_name = !matches!(target, Target::Address(_));
            let slot = is_name.then(enter).transpose()?;
            // Boxed, for it is large and soon over, and the conversation that follows is long.
            let candidates = match Box::pin(candidates(&resolver, &policy, &mut underway)).await {
                Ok(candidates) => candidates,
                Err(failure) => {
                    underway.journal.note(Instant::now(), Event::Failed(failure));
                    return Ok(underway.journal);
                }
            };
            drop(slot);
            let routes = admit(&policy, &underway, candidates)?;
            inner.ready().await?.call(Routed { underway, routes }).await
        })
    }
}

/// The hosts to try, at least one with an address unless one is forbidden; the time that it took to find them is in the journal.
async fn candidates(
    resolver: &Resolver,
    policy: &TargetPolicy,
    underway: &mut CheckContext,
) -> Result<Vec<Candidate>, Failure> {
    let (check, journal) = (&underway.check, &mut underway.journal);
    let resolution = resolver.resolve(&check.target, check.ip_family, underway.deadline);
    if matches!(check.target, Target::Address(_)) {
        // An address needs no resolution, and so has no such phase.
        return resolution.await.map_err(|error| dns_failure(&error));
    }
    journal.note(Instant::now(), Event::Began(Phase::Dns));
    let Ok(resolved) = timeout_at(underway.deadline, resolution).await else {
        return Err(Failure::new(Phase::Dns, FailureKind::Timeout, "the name was not resolved in time"));
    };
    let now = Instant::now();
    let candidates = match resolved {
        // Whether a forbidden name has an address is not the caller's to learn.
        Ok(candidates) if candidates.iter().any(|one| admit_name(policy, &check.target, one).is_err()) => {
            Ok(candidates)
        }
        Ok(candidates) => match failure(&candidates).map(dns_failure) {
            None => Ok(candidates),
            Some(failure) => {
                let attempts = candidates.into_iter().filter_map(|candidate| unresolved(&candidate));
                attempts.for_each(|attempt| journal.note(now, Event::Attempted(attempt)));
                Err(failure)
            }
        },
        Err(error) => Err(dns_failure(&error)),
    };
    match &candidates {
        Ok(_) => journal.note(now, Event::Ended(Phase::Dns, Ending::Done)),
        Err(failure) if failure.kind == FailureKind::Dns => {
            journal.note(now, Event::Ended(Phase::Dns, Ending::Failed));
        }
        // A silent resolver: the phase never ended.
        Err(_) => {}
    }
    candidates
}

fn dns_failure(error: &ResolveError) -> Failure {
    let kind = match error {
        ResolveError::Timeout { .. } => FailureKind::Timeout,
        _ => FailureKind::Dns,
    };
    Failure { temporary: error.is_temporary(), ..Failure::new(Phase::Dns, kind, error) }
}

fn unresolved(candidate: &Candidate) -> Option<Attempt> {
    let error = candidate.addresses.as_ref().err()?;
    Some(Attempt { host: candidate.host.clone(), address: None, error: error.to_string() })
}

/// The addresses that may be dialled, in order, and in place of the others why not.
fn admit(
    policy: &TargetPolicy,
    underway: &CheckContext,
    candidates: Vec<Candidate>,
) -> Result<Vec<Result<Route, Attempt>>, Forbidden> {
    let CheckContext { check, journal, .. } = underway;
    let mut routes = Vec::new();
    let mut first = None;
    let mut skip = |skipped: Skipped| {
        tracing::debug!(
            id = %journal.heading().id,
            host = skipped.host,
            address = skipped.address.map(tracing::field::display),
            rule = %skipped.rule,
            "skipped"
        );
        let attempt = skipped.attempt();
        first.get_or_insert(skipped);
        Err(attempt)
    };
    for candidate in candidates {
        let host = candidate.host.clone();
        let permission = match admit_name(policy, &check.target, &candidate) {
            Ok(permission) => permission,
            Err(rule) => {
                routes.push(skip(Skipped { host, address: None, rule }));
                continue;
            }
        };
        routes.extend(unresolved(&candidate).map(Err));
        for address in candidate.addresses.into_iter().flatten() {
            let host = host.clone();
            routes.push(match permission.address(SocketAddr::new(address, check.port)) {
                Ok(address) => Ok(Route { host, address }),
                Err(rule) => skip(Skipped { host, address: Some(address), rule }),
            });
        }
    }
    match first {
        Some(skipped) if routes.iter().all(Result::is_err) => Err(refuse(underway, skipped)),
        _ => Ok(routes),
    }
}

/// The permission that goes with the name which a candidate has.
fn admit_name<'p>(
    policy: &'p TargetPolicy,
    target: &Target,
    candidate: &Candidate,
) -> Result<AdmittedHost<'p>, Forbidden> {
    match target {
        Target::Host(name) => policy.admit_host(name),
        Target::MxOf(domain) => match candidate.host.parse() {
            Ok(exchange) => policy.admit_exchange(domain, &exchange),
            // An MX record of something else: there is no address that the permission could be for.
            Err(_) => Ok(policy.admit_literal()),
        },
        Target::Address(_) => Ok(policy.admit_literal()),
    }
}

/// A host, or one of its addresses, that must not be connected to.
struct Skipped {
    host: String,
    address: Option<IpAddr>,
    rule: Forbidden,
}

impl Skipped {
    /// Without the address: what a name means inside of this network is not the caller's to learn.
    fn attempt(&self) -> Attempt {
        Attempt { host: self.host.clone(), address: None, error: self.rule.to_string() }
    }
}

/// One line for each refused check, however many addresses its target has.
fn refuse(underway: &CheckContext, Skipped { host, address, rule }: Skipped) -> Forbidden {
    let heading = underway.journal.heading();
    tracing::warn!(
        id = %heading.id,
        caller = underway.caller.as_deref(),
        asked = heading.host,
        host,
        address = address.map(tracing::field::display),
        port = heading.port,
        rule = %rule,
        "refused"
    );
    rule
}
