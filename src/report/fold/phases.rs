//! The phases of a check, for the report and for live events: one source, so that the two cannot differ.

use std::time::Duration;

use super::ms;
use crate::{
    phase::{Clock, Phase},
    report::{PhaseReport, journal::Ending},
    smtp::Reply,
};

/// The phases that began and have not ended, in the order in which they began. Instants are durations since the start
/// of the check.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct OpenPhases(Vec<(Phase, Duration)>);

impl OpenPhases {
    pub(in crate::report) fn begin(&mut self, phase: Phase, at: Duration) {
        self.0.push((phase, at));
    }

    /// Closes the phase, and reports it as it will stay. `None` if it is not open, and no certain reply was expected of
    /// it: a 421 can come before the command of the phase (RFC 5321, section 3.8).
    pub(in crate::report) fn end(
        &mut self,
        phase: Phase,
        at: Duration,
        clock: Clock,
        ending: Ending,
        last_reply: Option<&Reply>,
    ) -> Option<PhaseReport> {
        let index = self.0.iter().rposition(|(open, _)| *open == phase);
        let open = index.map(|index| self.0.remove(index).1);
        let began = open.or_else(|| ending.is_expected().map(|_| at))?;
        // A reply that came before its command has no time.
        let time = open.and_then(|began| at.checked_sub(began));
        let reply = last_reply.filter(|_| ending.is_by_reply());
        let (enhanced_code, message) = reply.map(Reply::code_and_message).unzip();
        Some(PhaseReport {
            name: phase,
            started_ms: ms(began),
            time_ms: time.map(ms),
            clock: time.map_or(Clock::Process, |_| clock),
            ok: ending.is_ok(),
            expected: ending.is_expected(),
            code: reply.map(|reply| reply.code().value()),
            enhanced_code: enhanced_code.flatten().map(|code| code.to_string()),
            message,
        })
    }

    pub(in crate::report) fn contains(&self, phase: Phase) -> bool {
        self.0.iter().any(|(open, _)| *open == phase)
    }

    /// The open phase that began last.
    pub(in crate::report) fn current(&self) -> Option<Phase> {
        self.0.last().map(|(phase, _)| *phase)
    }

    pub(in crate::report) fn never_ended(&self) -> impl Iterator<Item = PhaseReport> {
        self.0.iter().map(|(phase, began)| PhaseReport {
            name: *phase,
            started_ms: ms(*began),
            time_ms: None,
            clock: Clock::Process,
            ok: false,
            expected: None,
            code: None,
            enhanced_code: None,
            message: None,
        })
    }
}
