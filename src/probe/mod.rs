//! The probe: a [`tower::Service`] from a [`Check`] to its [`Report`].
//!
//! A check that failed is an answer, and so a `Report`; a check that was not run is an error, a [`Refusal`].

mod deadline;
mod failover;
mod in_flight;
mod per_target;
mod refusal;
mod resolve;
mod session;
mod traced;

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SdkTracer;
// An `Instant` is std's in this room, and by when something is to be done a `Deadline`.
use tokio::time::Instant as Deadline;
use tower::{
    Service, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, timeout::TimeoutLayer,
    util::BoxCloneSyncService,
};
use uuid::Uuid;

pub use refusal::Refusal;

use crate::{
    check::Check,
    destination::policy::{Admitted, TargetPolicy},
    net::resolve::Resolver,
    report::{Attempt, Failure, Journal, PhaseListener, Report},
    tls::TlsClient,
};

/// Runs checks. A clone shares its limits.
pub type Probe = BoxCloneSyncService<CheckJob, Report, Refusal>;

/// A check to be run now.
#[derive(Clone, Debug)]
pub struct CheckJob {
    /// The id that the report will bear.
    pub id: Uuid,
    /// What to check.
    pub check: Arc<Check>,
    /// Who asked, for the log; `None` where nobody needs a name.
    pub caller: Option<String>,
    /// Who is told of each phase as it begins and as it ends.
    pub listener: Option<PhaseListener>,
    /// The span that the check's own belongs to, where traces are collected.
    pub parent: Option<SpanContext>,
}

impl CheckJob {
    /// An order of nobody's with a new id (UUID version 7), that nobody listens to.
    pub fn new(check: Check) -> Self {
        Self { id: Uuid::now_v7(), check: Arc::new(check), caller: None, listener: None, parent: None }
    }

    /// The same order, and `listener` is told of each phase as it begins and as it ends.
    #[must_use]
    pub fn with_observer(self, listener: PhaseListener) -> Self {
        Self { listener: Some(listener), ..self }
    }
}

/// How much of it at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Checks in flight.
    pub checks: usize,
    /// Checks in flight to one address.
    pub checks_per_target: usize,
    /// The longest time that a check may ask for.
    pub max_timeout: Duration,
}

impl Limits {
    /// Checks in flight whose names are being resolved: half of the house. However many names wait for silent servers, those that
    /// need no resolution, or have it behind them, find room.
    fn resolutions(self) -> usize {
        (self.checks / 2).max(1)
    }
}

/// How long after its deadline a check that does not heed it is cut down.
const AXE: Duration = Duration::from_secs(5);

/// Composes the probe.
pub fn probe(limits: Limits, resolver: Resolver, policy: Arc<TargetPolicy>, tls: TlsClient) -> Probe {
    around(session::Conversation::new(tls), limits, resolver, policy)
}

/// The probe with spans for each check, one that is refused included.
pub fn traced(probe: Probe, tracer: SdkTracer) -> Probe {
    BoxCloneSyncService::new(traced::Traced::new(tracer, probe))
}

/// The layers, around what holds the conversation.
fn around<S>(conversation: S, limits: Limits, resolver: Resolver, policy: Arc<TargetPolicy>) -> Probe
where
    S: Service<Visit, Response = Visited, Error = Refusal, Future: Send + 'static> + Clone + Send + Sync + 'static,
{
    let service = ServiceBuilder::new()
        // Errors of tower's layers become ours.
        .map_err(Refusal::from)
        // One check more than the house holds is refused at once: a queue would be measured as a slow mail server.
        .layer(LoadShedLayer::new())
        // One semaphore for all clones; a ConcurrencyLimitLayer would give each its own.
        .layer(GlobalConcurrencyLimitLayer::new(limits.checks))
        // A backstop only. It drops the half-made report, so every wait below heeds the deadline itself.
        .layer(TimeoutLayer::new(limits.max_timeout + AXE))
        // The clock starts once the check is admitted, and runs for all that follows.
        .layer_fn(deadline::Deadline::new)
        // Names become addresses, and addresses permissions.
        .layer_fn(move |inner| resolve::Resolve::new(resolver.clone(), Arc::clone(&policy), limits, inner))
        // Address after address, until one is reached.
        .layer_fn(failover::Failover::new)
        // Below the resolution, since the key is the address that is dialled.
        .layer(per_target::PerTargetLayer::new(limits.checks_per_target))
        .service(conversation);
    BoxCloneSyncService::new(service)
}

/// A check under way: its journal and its deadline go with it from layer to layer, and the journal comes back.
#[derive(Debug)]
struct CheckContext {
    check: Arc<Check>,
    caller: Option<String>,
    journal: Journal,
    deadline: Deadline,
}

/// A check with the addresses that it may try, in order; in place of those that it may not or cannot, why.
#[derive(Debug)]
struct Routed {
    underway: CheckContext,
    routes: Vec<Result<Route, Attempt>>,
}

/// One address to try.
#[derive(Clone, Debug)]
struct Route {
    host: String,
    address: Admitted,
}

/// One attempt at a check: to connect to this address, by this instant.
#[derive(Debug)]
struct Visit {
    underway: CheckContext,
    route: Route,
    connect_by: Deadline,
}

/// What came of a [`Visit`].
#[derive(Debug)]
enum Visited {
    /// The server was reached, and the check is over.
    Over(Journal),
    /// There was no connection.
    Unreached(CheckContext, Unreached),
}

/// A connection that did not come about.
#[derive(Debug)]
struct Unreached {
    began: Instant,
    /// When the attempt was answered in the negative; `None` when nothing came back.
    answered: Option<Instant>,
    failure: Failure,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[cfg(test)]
pub(crate) mod tests;
