//! The probe: a [`tower::Service`] that runs one check and answers with its [`Report`].
//!
//! - [`probe`] builds the stack: tower's generic layers around one function.
//! - [`run`]: that function, `CheckRunner::run`: resolve, connect, session, fold.
//! - [`resolve`]: from the target to the addresses that may be dialled.
//! - [`session`]: the SMTP session over one connection.
//! - [`job`]: [`CheckJob`], what to run, and `CheckContext`, a check that is running.
//! - [`log`]: the log lines of a check. [`mod@trace`]: its spans.
//!
//! A check that failed is an answer: a `Report`. A check that did not run is an error: a [`Refusal`].

mod job;
mod log;
mod refusal;
mod resolve;
mod run;
mod session;
mod trace;

use std::{sync::Arc, time::Duration};

use tower::{
    Service, ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, service_fn,
    timeout::TimeoutLayer, util::BoxCloneSyncService,
};

pub use job::CheckJob;
pub use log::{TraceSlot, current_check};
pub use refusal::Refusal;
pub use trace::traced;

use crate::{destination::policy::TargetPolicy, net::resolve::Resolver, report::Report, tls::TlsClient};
use run::CheckRunner;

/// Runs checks. Clones share their limits.
pub type Probe = BoxCloneSyncService<CheckJob, Report, Refusal>;

/// How many checks may run at once, and how long each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Checks in flight.
    pub checks: usize,
    /// Checks in flight to one address.
    pub checks_per_target: usize,
    /// The longest timeout that a check may ask for.
    pub max_timeout: Duration,
}

/// How long after its deadline a check is dropped that has not ended by itself.
const BACKSTOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the probe.
pub fn probe(limits: Limits, resolver: Resolver, policy: Arc<TargetPolicy>, tls: TlsClient) -> Probe {
    let runner = Arc::new(CheckRunner::new(limits, resolver, policy, tls));
    let run = service_fn(move |job| {
        let runner = Arc::clone(&runner);
        // Boxed: the future is large, and each layer would move it into the future of its own.
        Box::pin(async move { runner.run(job).await })
    });
    BoxCloneSyncService::new(logged(with_limits(limits, run)))
}

/// Around all limits, so that the log has a line for each check that one of them refuses.
fn logged<S>(stack: S) -> impl Service<CheckJob, Response = Report, Error = Refusal, Future: Send> + Clone + Send + Sync
where
    S: Service<CheckJob, Response = Report, Error = Refusal, Future: Send> + Clone + Send + Sync,
{
    service_fn(move |job: CheckJob| {
        let identity = job.identity();
        // A clone for each job: the layers below reserve their permit when they are asked whether they are ready.
        let checked = stack.clone().oneshot(job);
        async move { checked.await.inspect_err(|refusal| identity.refused(refusal)) }
    })
}

/// What bounds every check. The first layer is the outermost.
fn with_limits<S>(
    limits: Limits,
    run: S,
) -> impl Service<CheckJob, Response = Report, Error = Refusal, Future: Send> + Clone + Send + Sync
where
    S: Service<CheckJob, Response = Report, Error = Refusal, Future: Send> + Clone + Send + Sync,
{
    ServiceBuilder::new()
        // The errors of tower's layers become refusals.
        .map_err(Refusal::from)
        // A check beyond the limit is refused at once: time in a queue would be measured as a slow mail server.
        .layer(LoadShedLayer::new())
        // Global: one semaphore for all clones. A `ConcurrencyLimitLayer` gives each its own.
        .layer(GlobalConcurrencyLimitLayer::new(limits.checks))
        // A backstop: it drops the check with all that was measured, so every wait inside keeps the deadline itself.
        .layer(TimeoutLayer::new(limits.max_timeout + BACKSTOP_TIMEOUT))
        .service(run)
}

#[cfg(test)]
pub(crate) mod tests;
