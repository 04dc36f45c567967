//! A check as it runs: the news of its phases, for whoever does not want to wait for the report.

use std::{fmt, sync::Arc, time::Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    PhaseReport,
    fold::{ms, phases::Phases},
    journal::{Entry, Event},
};
use crate::phase::Phase;

/// What is told of a running check.
#[derive(Clone, Debug, PartialEq)]
pub enum PhaseEvent {
    /// A phase is under way.
    Began(PhaseStart),
    /// A phase is over, and stands so in the report; or the check is over, and the phase never ended.
    Ended(PhaseReport),
}

/// A phase that is under way. It need not be one of the report: of several addresses that are tried in vain, only the last attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct PhaseStart {
    /// Its name.
    pub name: Phase,
    /// When it began, in milliseconds from the start of the check.
    #[schema(example = 0.8)]
    pub started_ms: f64,
}

/// Hears the news of one check, in their order: at most two for each phase, and one more for each address that is tried.
///
/// It is called while the clock of the check runs, so it only puts the news where somebody else takes them.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(PhaseEvent) + Send + Sync>);

impl Listener {
    /// Calls `hear` with each of the news.
    pub fn new(hear: impl Fn(PhaseEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// Tells one of the news.
    pub fn tell(&self, news: PhaseEvent) {
        (self.0)(news);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Reads a journal while it is written, and tells the news in it.
#[derive(Debug)]
pub(super) struct Live {
    started: Instant,
    phases: Phases,
    /// The last phase that was said to be under way.
    announced: Option<(Phase, Instant)>,
    listener: Listener,
}

impl Live {
    pub(super) fn new(started: Instant, listener: Listener) -> Self {
        Self { started, phases: Phases::new(started), announced: None, listener }
    }

    /// Reads the last of the entries.
    pub(super) fn read_last(&mut self, entries: &[Entry]) {
        let Some(Entry { at, event }) = entries.last() else { return };
        if let Event::Began(phase) = event {
            self.announce(*phase, *at);
        }
        if let Some(phase) = self.phases.read(entries, entries.len() - 1) {
            self.listener.tell(PhaseEvent::Ended(phase));
        }
    }

    /// Says that a phase is under way, once.
    pub(super) fn announce(&mut self, phase: Phase, at: Instant) {
        if self.announced.replace((phase, at)) != Some((phase, at)) {
            let started_ms = ms(at.saturating_duration_since(self.started));
            self.listener.tell(PhaseEvent::Began(PhaseStart { name: phase, started_ms }));
        }
    }

    /// Tells of the phases that never ended.
    pub(super) fn close(&self) {
        self.phases.never_ended().for_each(|phase| self.listener.tell(PhaseEvent::Ended(phase)));
    }
}
