//! [`CheckJob`]: what to run; [`CheckContext`]: a check that is running.

use std::{sync::Arc, time::Instant};

use opentelemetry::trace::SpanContext;
// `Instant` is std's throughout the probe; an instant of tokio's clock is a `Deadline`.
use tokio::time::Instant as Deadline;
use tracing::Span;
use uuid::Uuid;

use super::{
    Refusal,
    log::{self, Identity, TraceSlot, Unfinished, host_of},
};
use crate::{
    check::Check,
    clock,
    destination::Target,
    findings,
    message::Composed,
    report::{
        Failure, Journal, PhaseListener, Report, Via,
        fold::fold_with,
        journal::{Event, Heading},
    },
    reproduce,
};

/// A check to be run now.
#[derive(Clone, Debug)]
pub struct CheckJob {
    /// The id that the report will bear.
    pub id: Uuid,
    /// What to check.
    pub check: Arc<Check>,
    /// The name of the caller, for the log; `None` where callers have no names.
    pub caller: Option<Arc<str>>,
    /// Receives an event when a phase begins and when it ends.
    pub listener: Option<PhaseListener>,
    /// The parent of the check's span, where traces are collected.
    pub parent: Option<SpanContext>,
    /// The trace of the check, for the log.
    pub trace: TraceSlot,
}

impl CheckJob {
    /// A job with a new id (UUID version 7), without caller, listener or parent.
    pub fn new(check: Check) -> Self {
        Self {
            id: clock::new_id(),
            check: Arc::new(check),
            caller: None,
            listener: None,
            parent: None,
            trace: TraceSlot::default(),
        }
    }

    /// The same job as a part of this trace.
    #[must_use]
    pub fn with_parent(self, parent: Option<SpanContext>) -> Self {
        if let Some(parent) = &parent {
            self.trace.set(parent.trace_id()).ok();
        }
        Self { parent, ..self }
    }

    /// The same job with this listener.
    #[must_use]
    pub fn with_observer(self, listener: PhaseListener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// What the lines of the log say of the check, also once the job is gone.
    pub(super) fn identity(&self) -> Identity {
        let Self { id, check, caller, trace, .. } = self;
        Identity { id: *id, caller: caller.clone(), check: Arc::clone(check), trace: trace.clone() }
    }
}

/// Why a running check ends before its session.
#[derive(Debug)]
pub(super) enum Stop {
    /// It was not run: there is no report.
    Refused(Refusal),
    /// It failed: that is the report.
    Failed(Failure),
}

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

/// A running check: what is asked, what happened so far, and until when it may go on.
///
/// The deadline is data: a timeout that dropped the check would drop what was measured along with it.
#[derive(Debug)]
pub(super) struct CheckContext {
    /// With the message that is sent.
    pub(super) check: Arc<Check>,
    pub(super) journal: Journal,
    pub(super) deadline: Deadline,
    /// Logs that the check was abandoned, should it be dropped.
    unfinished: Unfinished,
}

impl CheckContext {
    /// Starts the clock.
    pub(super) fn start(job: CheckJob) -> Self {
        let started = Deadline::now();
        let identity = job.identity();
        let CheckJob { id, check, listener, .. } = job;
        let via = if let Target::MxOf(_) | Target::Exchange(_) = check.target { Via::Mx } else { Via::Request };
        let heading = Heading {
            id,
            started_at: clock::now(),
            is_clock_set: clock::is_in_range(),
            started: started.into_std(),
            host: host_of(&check.target),
            port: check.port,
            via,
            mechanism: check.script.credentials.as_ref().and_then(|credentials| credentials.mechanism.named()),
            transcript: check.transcript,
        };
        let unfinished = Unfinished::watch(identity, started.into_std());
        let mut journal = Journal::new(heading).with_observer(listener);
        for no_effect in &check.no_effect {
            journal.note(started.into_std(), Event::Warned(no_effect.to_string()));
        }
        Self { deadline: started + check.timeout, check, journal, unfinished }
    }

    /// The same check with this message.
    #[must_use]
    pub(super) fn with_message(mut self, message: Composed) -> Self {
        let Composed { payload, report } = message;
        self.note(Event::Composed(report));
        self.check = Arc::new(self.check.with_payload(payload));
        self
    }

    /// The span of all that the check logs.
    pub(super) fn span(&self) -> Span {
        self.unfinished.span()
    }

    pub(super) fn id(&self) -> Uuid {
        self.identity().id
    }

    pub(super) fn identity(&self) -> &Identity {
        self.unfinished.identity()
    }

    /// Notes that `event` happens now.
    pub(super) fn note(&mut self, event: Event) {
        self.journal.note(Instant::now(), event);
    }

    /// Ends the check: its report, logged.
    pub(super) fn end(mut self, outcome: Result<(), Stop>) -> Result<Report, Refusal> {
        self.unfinished.disarm();
        match outcome {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => self.note(Event::Failed(failure)),
            Err(Stop::Refused(refusal)) => return Err(refusal),
        }
        let ended = Instant::now();
        self.journal.close();
        // As it was asked for, without a message that was made of it.
        let asked = Arc::clone(&self.unfinished.identity().check);
        let report = fold_with(self.journal, ended, |report| {
            findings::complete(report, &self.check.script);
            report.reproduce = reproduce::command_lines(&asked, report);
        });
        log::checked(&report, self.unfinished.identity());
        Ok(report)
    }
}
