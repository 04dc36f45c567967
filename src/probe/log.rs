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
    check::Check,
    destination::{Target, address_text, policy::Forbidden},
    report::{Report, fold::ms},
};

/// The id of a check's trace, once it is known: the parent's, or that of the check's own span.
pub type TraceSlot = Arc<OnceLock<TraceId>>;

/// What the lines of a check say of it.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) id: Uuid,
    pub(super) caller: Option<Arc<str>>,
    pub(super) check: Arc<Check>,
    pub(super) trace: TraceSlot,
}

/// The name or address that was asked for.
pub(super) fn host_of(target: &Target) -> String {
    match target {
        Target::Host(name) | Target::MxOf(name) => name.to_string(),
        Target::Exchange(exchange) => exchange.host.to_string(),
        Target::Address(address) => address_text(*address),
    }
}

tokio::task_local! {
    pub(super) static CURRENT_CHECK: Uuid;
}

/// The id of the check that this thread is running, if it is: for the line of a panic. A span would tell it, too, but
/// costs more than the rest of the log.
pub fn current_check() -> Option<Uuid> {
    CURRENT_CHECK.try_with(|id| *id).ok()
}

/// A check that has a report.
pub(super) fn checked(report: &Report, identity: &Identity) {
    let failure = report.failure.as_ref();
    tracing::info!(
        id = %report.id,
        trace = identity.trace.get().map(tracing::field::display),
        caller = identity.caller.as_deref(),
        target = report.target.host.as_str(),
        host = report.target.host.as_str(),
        address = report.target.address.map(address_text).as_deref(),
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
    identity: Identity,
    started: Instant,
    /// The span of all that the check logs.
    span: Span,
    armed: bool,
}

impl Unfinished {
    pub(super) fn watch(identity: Identity, started: Instant) -> Self {
        let span = tracing::debug_span!("check", id = %identity.id);
        Self { identity, started, span, armed: true }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
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
            let Identity { id, caller, check, trace } = &self.identity;
            let host = host_of(&check.target);
            tracing::info!(
                %id,
                trace = trace.get().map(tracing::field::display),
                caller = caller.as_deref(),
                target = host,
                host,
                port = check.port,
                outcome = "abandoned",
                ms = ms(self.started.elapsed()),
                "checked"
            );
        }
    }
}

/// One of several hosts or addresses, which the policy forbids.
pub(super) fn skipped(id: Uuid, host: &str, address: Option<IpAddr>, rule: &Forbidden) {
    tracing::debug!(%id, target = host, host, address = address.map(tracing::field::display), %rule, "skipped");
}

/// An address that has its fill of checks, while others are left.
pub(super) fn busy(id: Uuid, host: &str, address: IpAddr) {
    tracing::debug!(%id, target = host, host, %address, reason = %Refusal::TargetBusy, "skipped");
}

impl Identity {
    /// Logs a check that the policy forbids: one line, however many addresses its target has. `host` is one of its
    /// hosts; `None` if the target itself is forbidden.
    pub(super) fn forbidden(&self, host: Option<&str>, address: Option<IpAddr>, rule: &Forbidden) {
        let Self { id, caller, check, trace } = self;
        let asked = host_of(&check.target);
        tracing::warn!(
            %id,
            trace = trace.get().map(tracing::field::display),
            caller = caller.as_deref(),
            target = asked,
            asked,
            host = host.unwrap_or(&asked),
            address = address.map(tracing::field::display),
            port = check.port,
            %rule,
            "refused"
        );
    }

    /// Logs a refusal. One by the policy has its line already, with the rule.
    pub(super) fn refused(&self, refusal: &Refusal) {
        if matches!(refusal, Refusal::Forbidden(_)) {
            return;
        }
        let Self { id, caller, check, trace } = self;
        let asked = host_of(&check.target);
        tracing::warn!(
            %id,
            trace = trace.get().map(tracing::field::display),
            caller = caller.as_deref(),
            target = asked,
            asked,
            port = check.port,
            reason = %refusal,
            "refused"
        );
    }
}
