//! The probe: a [`tower::Service`] from a [`Check`] to its [`Report`].
//!
//! A check that failed is an answer, and so a `Report`; a check that was not run is an error, a [`Refusal`].

mod conversation;
mod deadline;
mod failover;
mod per_target;
mod refusal;
mod resolve;
mod traced;

use std::{pin::Pin, sync::Arc, time::Duration};

use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SdkTracer;
use tokio::time::Instant;
use tower::{
    ServiceBuilder, layer::layer_fn, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer, util::BoxCloneSyncService,
};
use uuid::Uuid;

pub use refusal::Refusal;

use crate::{
    check::Check,
    net::resolve::Resolver,
    report::{Attempt, Failure, Journal, Report},
    target::policy::{AddressPolicy, Admitted},
    tls::TlsClient,
};

/// Runs checks. A clone shares its limits.
pub type Probe = BoxCloneSyncService<Order, Report, Refusal>;

/// A check to be run now.
#[derive(Clone, Debug)]
pub struct Order {
    /// The id that the report will bear.
    pub id: Uuid,
    /// What to check.
    pub check: Arc<Check>,
    /// The span that the check's own belongs to, where traces are collected.
    pub parent: Option<SpanContext>,
}

impl Order {
    /// An order with a new id (UUID version 7).
    pub fn new(check: Check) -> Self {
        Self { id: Uuid::now_v7(), check: Arc::new(check), parent: None }
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

/// How long after its deadline a check that does not heed it is cut down.
const AXE: Duration = Duration::from_secs(5);

/// Composes the probe. With a `tracer`, every check leaves spans.
pub fn probe(
    limits: Limits,
    resolver: Resolver,
    policy: Arc<AddressPolicy>,
    tls: TlsClient,
    tracer: Option<SdkTracer>,
) -> Probe {
    let service = ServiceBuilder::new()
        // Around all others, so that a check that is refused has its span as well.
        .option_layer(tracer.map(|tracer| layer_fn(move |inner| traced::Traced::new(tracer.clone(), inner))))
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
        .layer_fn(move |inner| resolve::Resolve::new(resolver.clone(), Arc::clone(&policy), inner))
        // Address after address, until one is reached.
        .layer_fn(failover::Failover::new)
        // Below the resolution, since the key is the address that is dialled.
        .layer(per_target::PerTargetLayer::new(limits.checks_per_target))
        .service(conversation::Conversation::new(tls));
    BoxCloneSyncService::new(service)
}

/// A check under way: its journal and its deadline go with it from layer to layer, and the journal comes back.
#[derive(Debug)]
struct Running {
    check: Arc<Check>,
    journal: Journal,
    deadline: Instant,
}

/// A check with the addresses that it may try, in order; in place of those that it may not or cannot, why.
#[derive(Debug)]
struct Routed {
    running: Running,
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
    running: Running,
    route: Route,
    connect_by: Instant,
}

/// What came of a [`Visit`].
#[derive(Debug)]
enum Visited {
    /// The server was reached, and the check is over.
    Over(Journal),
    /// There was no connection.
    Unreached(Running, Unreached),
}

/// A connection that did not come about.
#[derive(Debug)]
struct Unreached {
    began: std::time::Instant,
    /// When the attempt was answered in the negative; `None` when nothing came back.
    answered: Option<std::time::Instant>,
    failure: Failure,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[cfg(test)]
mod tests;
