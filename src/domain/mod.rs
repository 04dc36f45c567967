//! The check of a domain: what it publishes, and a session with every address of its mail exchangers.
//!
//! - [`domain_probe`] builds the stack: tower's generic layers around one function.
//! - [`survey`]: that function: records and sessions side by side, then the report.
//! - [`lookups`]: asks what the walks of [`crate::mail_dns`] want to know.
//! - [`exchangers`]: the mail exchangers, their addresses, and the sessions with these.
//! - [`dane`]: their TLSA records. [`senders`]: the addresses that send mail.
//! - [`policy_fetch`]: the MTA-STS policy over HTTPS.
//! - [`views`]: what each kind of sender makes of what was seen. [`differences`]: in what the addresses differ.
//! - [`known`]: all that is known in the end. [`findings`]: what an operator should know of it.
//! - [`size`]: what is left out of a report that is too large.
//!
//! A domain that fails is an answer: a [`DomainReport`]. A check that did not run is an error: a [`Refusal`].

mod dane;
mod differences;
mod exchangers;
mod findings;
mod known;
mod lookups;
mod policy_fetch;
mod records;
mod senders;
mod size;
mod survey;
mod views;

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::trace::SpanContext;
use tower::{
    Service, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, service_fn,
    timeout::TimeoutLayer, util::BoxCloneSyncService,
};
use uuid::Uuid;

pub use survey::Surveyor;

use crate::{
    check::DomainCheck,
    clock,
    probe::{Probe, Refusal},
    report::domain::{AddressReport, DomainReport},
};

/// Runs checks of domains. Clones share their limits.
pub type DomainProbe = BoxCloneSyncService<DomainJob, DomainReport, Refusal>;

/// Checks of domains at a time, unless the operator sets another number.
pub const DEFAULT_MAX_DOMAIN_CHECKS: usize = 64;

/// How long after its deadline a check is dropped that has not ended by itself.
const BACKSTOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A check of a domain to be run now.
#[derive(Clone, Debug)]
pub struct DomainJob {
    /// The id that the report will bear.
    pub id: Uuid,
    /// What to check.
    pub check: Arc<DomainCheck>,
    /// The name of the caller, for the log; `None` where callers have no names.
    pub caller: Option<Arc<str>>,
    /// The parent of the spans of the sessions, where traces are collected.
    pub parent: Option<SpanContext>,
    /// Receives what is known, as soon as it is.
    pub listener: Option<DomainListener>,
    /// Holds the sessions in place of the surveyor's own probe: one that counts the memory of this check, for example.
    pub probe: Option<Probe>,
}

impl DomainJob {
    /// A job with a new id (UUID version 7), without caller, parent, listener or probe.
    pub fn new(check: DomainCheck) -> Self {
        Self { id: clock::new_id(), check: Arc::new(check), caller: None, parent: None, listener: None, probe: None }
    }

    fn tell(&self, event: impl FnOnce() -> DomainEvent) {
        if let Some(listener) = &self.listener {
            (listener.0)(event());
        }
    }
}

/// What is known of a domain while its check runs.
#[derive(Clone, Debug)]
pub enum DomainEvent {
    /// A member of the report's `dns` is known.
    Record {
        /// The name of the member.
        name: &'static str,
        /// Its value, as JSON.
        value: serde_json::Value,
    },
    /// The session with an address is over.
    Server {
        /// The mail exchanger.
        host: String,
        /// The element of the report's `addresses`, without the views of the policies that are not known yet.
        address: Box<AddressReport>,
    },
}

/// Receives the events of one check.
#[derive(Clone)]
pub struct DomainListener(Arc<dyn Fn(DomainEvent) + Send + Sync>);

impl DomainListener {
    /// A listener that calls this function, which must not block.
    pub fn new(listen: impl Fn(DomainEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listen))
    }
}

impl fmt::Debug for DomainListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainListener")
    }
}

/// Builds the service: at most `max_checks` at a time, none longer than `max_timeout`.
pub fn domain_probe(max_checks: usize, max_timeout: Duration, surveyor: Surveyor) -> DomainProbe {
    let surveyor = Arc::new(surveyor);
    let run = service_fn(move |job| {
        let surveyor = Arc::clone(&surveyor);
        // Boxed: the future is large, and each layer would move it into the future of its own.
        Box::pin(async move {
            let mut report = surveyor.run(job).await?;
            size::limit(&mut report);
            Ok(report)
        })
    });
    BoxCloneSyncService::new(with_limits(max_checks, max_timeout, run))
}

/// What bounds every check. The first layer is the outermost.
fn with_limits<S>(
    max_checks: usize,
    max_timeout: Duration,
    run: S,
) -> impl Service<DomainJob, Response = DomainReport, Error = Refusal, Future: Send> + Clone + Send + Sync
where
    S: Service<DomainJob, Response = DomainReport, Error = Refusal, Future: Send> + Clone + Send + Sync,
{
    ServiceBuilder::new()
        .map_err(Refusal::from)
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(max_checks))
        .layer(TimeoutLayer::new(max_timeout + BACKSTOP_TIMEOUT))
        .service(run)
}
