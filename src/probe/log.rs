//! The log lines of a check: one when it ends, however it ends, and one if it is refused.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use opentelemetry::trace::TraceId;
use tracing::Span;
use uuid::Uuid;

use super::Refusal;
use crate::{
    destination::policy::Forbidden,
    report::{Report, fold::ms, journal::Heading},
};

/// The id of a check's trace, once it is known: the parent's, or that of the check's own span.
pub type TraceSlot = Arc<OnceLock<TraceId>>;

tokio::task_local! {
    pub(super) static CURRENT_CHECK: Uuid;
}

/// The id of the check that this thread is running, if it is: for the line of a panic. A span would tell it, too, but
/// costs more than the rest of the log.
pub fn current_check() -> Option<Uuid> {
    CURRENT_CHECK.try_with(|id| *id).ok()
}

/// A check that has a report.
pub(super) fn checked(report: &Report, caller: Option<&str>, trace: &TraceSlot) {
    let failure = report.failure.as_ref();
    tracing::info!(
        id = %report.id,
        trace = trace.get().map(tracing::field::display),
        caller,
        target = %report.target.host,
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

/// Logs a check that is dropped before its end: no mail server is contacted without a trace in the log.
#[derive(Debug)]
pub(super) struct Unfinished {
    id: Uuid,
    caller: Option<String>,
    trace: TraceSlot,
    host: String,
    port: u16,
    started: Instant,
    /// The span of all that the check logs.
    span: Span,
    armed: bool,
}

impl Unfinished {
    pub(super) fn watch(heading: &Heading, caller: Option<String>, trace: TraceSlot) -> Self {
        let Heading { id, ref host, port, started, .. } = *heading;
        let span = tracing::debug_span!("check", %id);
        Self { id, caller, trace, host: host.clone(), port, started, span, armed: true }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The check has come to its end.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.armed {
            let _entered = self.span.enter();
            tracing::info!(
                id = %self.id,
                trace = self.trace.get().map(tracing::field::display),
                caller = self.caller.as_deref(),
                target = %self.host,
                host = %self.host,
                port = self.port,
                outcome = "abandoned",
                ms = ms(self.started.elapsed()),
                "checked"
            );
        }
    }
}

/// A check that the policy forbids: one line, however many addresses its target has.
pub(super) fn refused(heading: &Heading, caller: Option<&str>, host: &str, address: Option<IpAddr>, rule: &Forbidden) {
    tracing::warn!(
        id = %heading.id,
        caller,
        target = heading.host,
        asked = heading.host,
        host,
        address = address.map(tracing::field::display),
        port = heading.port,
        %rule,
        "refused"
    );
}

/// One of several hosts or addresses, which the policy forbids.
pub(super) fn skipped(id: Uuid, host: &str, address: Option<IpAddr>, rule: &Forbidden) {
    tracing::debug!(%id, target = host, host, address = address.map(tracing::field::display), %rule, "skipped");
}

/// An address that has its fill of checks, while others are left.
pub(super) fn busy(id: Uuid, host: &str, address: IpAddr) {
    tracing::debug!(%id, target = host, host, %address, reason = %Refusal::TargetBusy, "skipped");
}

/// What the line of a check that a limit refuses says. The check may be gone by then, or not have begun.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: Uuid,
    pub(super) caller: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Identity {
    /// Logs a refusal. One by the policy has its line already, with the rule.
    pub(super) fn refused(&self, refusal: &Refusal) {
        if matches!(refusal, Refusal::Forbidden(_)) {
            return;
        }
        let Self { id, caller, host, port } = self;
        tracing::warn!(%id, caller = caller.as_deref(), target = host, asked = host, port, reason = %refusal, "refused");
    }
}
