//! Names to addresses, and addresses to permissions: the layer that asks the resolver and then the policy.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::timeout_at;
use tower::{Service, ServiceExt};

use super::{BoxFuture, Refusal, Route, Routed, Running};
use crate::{
    net::resolve::{Candidate, ResolveError, Resolver, failure},
    phase::Phase,
    report::{
        Attempt, Failure, FailureKind, Journal,
        journal::{Ending, Event},
    },
    target::{
        Target,
        policy::{AddressPolicy, Forbidden},
    },
};

/// From a [`Running`] check to a [`Routed`] one.
#[derive(Clone, Debug)]
pub(super) struct Resolve<S> {
    resolver: Resolver,
    policy: Arc<AddressPolicy>,
    inner: S,
}

impl<S> Resolve<S> {
    pub(super) fn new(resolver: Resolver, policy: Arc<AddressPolicy>, inner: S) -> Self {
        Self { resolver, policy, inner }
    }
}

impl<S> Service<Running> for Resolve<S>
where
    S: Service<Routed, Response = Journal, Error = Refusal, Future: Send> + Clone + Send + 'static,
{
    type Response = Journal;
    type Error = Refusal;
    type Future = BoxFuture<Result<Journal, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut running: Running) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (resolver, policy) = (self.resolver.clone(), Arc::clone(&self.policy));
        Box::pin(async move {
            // A forbidden port is forbidden whether the name has an address or not, and needs no question to DNS.
            policy.admit_port(running.check.port)?;
            // Boxed, for it is large and soon over, and the conversation that follows is long.
            let candidates = match Box::pin(candidates(&resolver, &mut running)).await {
                Ok(candidates) => candidates,
                Err(failure) => {
                    running.journal.note(Instant::now(), Event::Failed(failure));
                    return Ok(running.journal);
                }
            };
            let routes = admit(&policy, running.check.port, candidates)?;
            inner.ready().await?.call(Routed { running, routes }).await
        })
    }
}

/// The hosts to try, at least one with an address; the time that it took to find them is in the journal.
async fn candidates(resolver: &Resolver, running: &mut Running) -> Result<Vec<Candidate>, Failure> {
    let (check, journal) = (&running.check, &mut running.journal);
    let resolution = resolver.resolve(&check.target, check.ip_family, running.deadline);
    if matches!(check.target, Target::Address(_)) {
        // An address needs no resolution, and so has no such phase.
        return resolution.await.map_err(|error| dns_failure(&error));
    }
    journal.note(Instant::now(), Event::Began(Phase::Dns));
    let Ok(resolved) = timeout_at(running.deadline, resolution).await else {
        return Err(Failure::new(Phase::Dns, FailureKind::Timeout, "the name was not resolved in time"));
    };
    let now = Instant::now();
    let candidates = match resolved {
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
    policy: &AddressPolicy,
    port: u16,
    candidates: Vec<Candidate>,
) -> Result<Vec<Result<Route, Attempt>>, Forbidden> {
    let mut routes = Vec::new();
    let mut forbidden = None;
    for candidate in candidates {
        routes.extend(unresolved(&candidate).map(Err));
        for address in candidate.addresses.into_iter().flatten() {
            let host = candidate.host.clone();
            routes.push(match policy.admit(SocketAddr::new(address, port)) {
                Ok(address) => Ok(Route { host, address }),
                Err(rule) => {
                    forbidden = Some(rule);
                    // Not the address: what a name means inside of this network is not the caller's to learn.
                    Err(Attempt { host, address: None, error: rule.to_string() })
                }
            });
        }
    }
    match forbidden {
        Some(rule) if routes.iter().all(Result::is_err) => Err(rule),
        _ => Ok(routes),
    }
}
