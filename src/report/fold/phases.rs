//! The phases of a journal, one by one. The list in the report and what is told of a running check both come from here, and so they
//! cannot differ.

use std::time::Instant;

use super::ms;
use crate::{
    phase::Phase,
    report::{
        PhaseReport,
        journal::{Ending, Entry, Event},
    },
    smtp::Reply,
};

/// Reads a journal's entries in their order. An end is the last word on a phase: nothing that is written later changes it.
#[derive(Debug)]
pub(in crate::report) struct Phases {
    started: Instant,
    open: Vec<(Phase, Instant)>,
    /// The entry with the last reply.
    last_reply: Option<usize>,
}

impl Phases {
    /// For a check that was `started` then.
    pub(in crate::report) fn new(started: Instant) -> Self {
        Self { started, open: Vec::new(), last_reply: None }
    }

    /// Reads the entry at `index`, the one behind that of the last call; the phase that it ends, if any.
    pub(in crate::report) fn read(&mut self, entries: &[Entry], index: usize) -> Option<PhaseReport> {
        let Entry { at, event } = entries.get(index)?;
        match event {
            Event::Began(phase) => self.open.push((*phase, *at)),
            Event::Received(_) => self.last_reply = Some(index),
            Event::Ended(phase, ending) => {
                let open = self.open.iter().rposition(|(open, _)| open == phase)?;
                let (_, began) = self.open.remove(open);
                let reply = self.last_reply.and_then(|index| match &entries[index].event {
                    Event::Received(reply) => Some(reply),
                    _ => None,
                });
                return Some(self.ended(*phase, began, *at, *ending, reply));
            }
            _ => {}
        }
        None
    }

    /// The phase that began last, of those that have not ended.
    pub(in crate::report) fn current(&self) -> Option<Phase> {
        self.open.last().map(|(phase, _)| *phase)
    }

    /// The phases that began and have not ended, in the order in which they began.
    pub(in crate::report) fn never_ended(&self) -> impl Iterator<Item = PhaseReport> {
        self.open.iter().map(|(phase, began)| PhaseReport {
            name: *phase,
            started_ms: ms(began.saturating_duration_since(self.started)),
            time_ms: None,
            ok: false,
            code: None,
            enhanced_code: None,
            message: None,
        })
    }

    fn ended(&self, name: Phase, began: Instant, at: Instant, ending: Ending, last: Option<&Reply>) -> PhaseReport {
        let reply = last.filter(|_| ending.is_by_reply());
        PhaseReport {
            name,
            started_ms: ms(began.saturating_duration_since(self.started)),
            time_ms: Some(ms(at.saturating_duration_since(began))),
            ok: ending.is_ok(),
            code: reply.map(|reply| reply.code().value()),
            enhanced_code: reply.and_then(Reply::enhanced_code).map(|code| code.to_string()),
            message: reply.map(Reply::message),
        }
    }
}
