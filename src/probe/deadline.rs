//! The clock of a check: opens its journal, stamps its deadline, and folds the journal at its end.
//!
//! The deadline is data: a timeout that dropped the check would drop all that was measured along with it.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use time::OffsetDateTime;
use tower::Service;
use tracing::Instrument;
use uuid::Uuid;

use super::{BoxFuture, CheckContext, CheckJob, Refusal};
use crate::{
    destination::Target,
    report::{
        Journal, Report, Via,
        fold::{fold, ms},
        journal::Heading,
    },
};

/// From a [`CheckJob`] to a [`Report`], by a service that keeps the journal of a check [`CheckContext`].
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
}

impl<S> Deadline<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<CheckJob> for Deadline<S>
where
    S: Service<CheckContext, Response = Journal, Error = Refusal, Future: Send + 'static>,
{
    type Response = Report;
    type Error = Refusal;
    type Future = BoxFuture<Result<Report, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, order: CheckJob) -> Self::Future {
        let started = tokio::time::Instant::now();
        let deadline = started + order.check.timeout;
        let heading = heading(&order, started.into_std());
        let mut departure = Departure::watch(&heading, order.caller.clone());
        let journal = Journal::new(heading).with_observer(order.listener);
        let underway = CheckContext { check: order.check, caller: order.caller.clone(), journal, deadline };
        let call = self.inner.call(underway);
        // Whatever is logged in the course of the check bears its id: a panic has no other way to tell whose it is.
        let span = tracing::error_span!("check", id = %order.id);
        let report = async move {
            let answer = call.await;
            departure.call_off();
            let (journal, ended) = (answer?, Instant::now());
            journal.close();
            Ok(fold(journal, ended))
        };
        let report = report.instrument(span);
        Box::pin(async move { report.await.inspect(|report| log(report, order.caller.as_deref())) })
    }
}

/// The line of a check that ended without a report: nobody is to ask a mail server anything and leave no trace.
struct Departure {
    id: Uuid,
    caller: Option<String>,
    host: String,
    port: u16,
    started: Instant,
    over: bool,
}

impl Departure {
    fn watch(heading: &Heading, caller: Option<String>) -> Self {
        let Heading { id, ref host, port, started, .. } = *heading;
        Self { id, caller, host: host.clone(), port, started, over: false }
    }

    fn call_off(&mut self) {
        self.over = true;
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        tracing::info!(
            id = %self.id,
            caller = self.caller.as_deref(),
            host = %self.host,
            port = self.port,
            outcome = "abandoned",
            ms = ms(self.started.elapsed()),
            "checked"
        );
    }
}

/// One line per check that has a report.
fn log(report: &Report, caller: Option<&str>) {
    let failure = report.failure.as_ref();
    tracing::info!(
        id = %report.id,
        caller,
        host = %report.target.host,
        address = report.target.address.map(tracing::field::display),
        port = report.target.port,
        outcome = report.outcome.name(),
        phase = failure.map(|failure| failure.phase.name()),
        kind = failure.map(|failure| failure.kind.name()),
        code = failure.and_then(|failure| failure.code),
        ms = report.metrics.duration,
        "checked"
    );
}

fn heading(order: &CheckJob, started: Instant) -> Heading {
    let check = &order.check;
    let (host, via) = match &check.target {
        Target::Host(name) => (name.to_string(), Via::Request),
        Target::Address(address) => (address.to_string(), Via::Request),
        Target::MxOf(domain) => (domain.to_string(), Via::Mx),
    };
    let (id, port, transcript) = (order.id, check.port, check.transcript);
    Heading { id, started_at: OffsetDateTime::now_utc(), started, host, port, via, transcript }
}
