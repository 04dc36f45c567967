//! Live events: the phases of a check, reported while it runs.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    PhaseReport,
    fold::{ms, phases::OpenPhases},
    journal::{Ending, Observer},
};
use crate::{
    phase::{Clock, Phase},
    smtp::Reply,
};

/// An event of a running check.
#[derive(Clone, Debug, PartialEq)]
pub enum PhaseEvent {
    /// A phase is under way.
    Began(PhaseStart),
    /// A phase ended, and is in the report like this; or the check is over, and the phase never ended.
    Ended(PhaseReport),
}

/// A phase that is under way. The report may leave it out: if no address can be connected to, it has only the last
/// attempt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct PhaseStart {
    /// The name of the phase.
    pub name: Phase,
    /// When it began, in milliseconds from the start of the check.
    #[schema(example = 0.8)]
    pub started_ms: f64,
}

/// Gives the events of one check to a callback, in order: at most two for each phase, and one more for each address
/// that is tried.
///
/// The callback runs while the check is being timed, so it must return at once.
#[derive(Clone)]
pub struct PhaseListener {
    callback: Arc<dyn Fn(PhaseEvent) + Send + Sync>,
    open: OpenPhases,
    last_began: Option<(Phase, Duration)>,
}

impl PhaseListener {
    /// Calls `callback` with each event.
    pub fn new(callback: impl Fn(PhaseEvent) + Send + Sync + 'static) -> Self {
        Self { callback: Arc::new(callback), open: OpenPhases::default(), last_began: None }
    }

    /// Calls the callback with `event`.
    pub fn tell(&self, event: PhaseEvent) {
        (self.callback)(event);
    }
}

impl Observer for PhaseListener {
    fn phase_announced(&mut self, phase: Phase, at: Duration) {
        // The journal may note the beginning as well, with the same instant.
        if self.last_began.replace((phase, at)) != Some((phase, at)) {
            self.tell(PhaseEvent::Began(PhaseStart { name: phase, started_ms: ms(at) }));
        }
    }

    fn phase_began(&mut self, phase: Phase, at: Duration) {
        self.phase_announced(phase, at);
        self.open.begin(phase, at);
    }

    fn phase_ended(&mut self, phase: Phase, at: Duration, clock: Clock, ending: Ending, last_reply: Option<&Reply>) {
        let has_begun = self.open.contains(phase);
        if let Some(ended) = self.open.end(phase, at, clock, ending, last_reply) {
            if !has_begun {
                self.phase_announced(phase, at);
            }
            self.tell(PhaseEvent::Ended(ended));
        }
    }

    fn closed(&self) {
        self.open.never_ended().for_each(|phase| self.tell(PhaseEvent::Ended(phase)));
    }
}

impl fmt::Debug for PhaseListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhaseListener")
    }
}
