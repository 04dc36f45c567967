//! AUTH in a session: the work of a mechanism, and what of the exchange is shown.

use std::sync::Mutex;

use tokio::time::timeout_at;

use super::Session;
use crate::{
    phase::Phase,
    report::{Failure, FailureKind},
    smtp::{Action, Command, Dialogue, Reply, sasl::exchange::Work},
    thread::run_blocking,
};

/// The code of a challenge (RFC 4954, section 4).
const CHALLENGE: u16 = 334;

impl Session<'_> {
    /// Does the work of a mechanism in a thread of its own: it would hold up all other checks for its time. A thread whose
    /// check has ended goes on until the work is done, which takes a second at most.
    pub(super) async fn compute(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        phase: Phase,
        work: Box<Work>,
    ) -> Result<Action, Failure> {
        let work = Mutex::new(Some(work));
        let run = move || work.lock().ok()?.take()?.run();
        // Boxed: few checks have such a future.
        let computed = timeout_at(self.deadline, Box::pin(run_blocking("sasl", run))).await;
        let computed = computed.map_err(|_| {
            let message = "no time left for the iterations of PBKDF2 that the server asked for";
            Failure::new(phase, FailureKind::Timeout, message)
        })?;
        let judged = dialogue.computed(computed.flatten());
        Ok(self.apply(phase, judged))
    }

    /// Masks what a SASL response bears from the moment that it is sent, when the server can echo it.
    pub(super) fn mask_from(&mut self, command: &Command) {
        if let Some(response) = command.response() {
            self.mask = std::mem::take(&mut self.mask).and(response.mask());
            self.hides_challenges |= response.hides_challenges();
        }
    }

    /// The reply without secrets.
    pub(super) fn shown(&self, reply: &Reply) -> Reply {
        if self.hides_challenges && reply.code().value() == CHALLENGE {
            return reply.by_size();
        }
        reply.masked(&self.mask)
    }

    /// The lines of an unfinished reply without secrets.
    pub(super) fn shown_lines(&self, lines: &str) -> String {
        if self.hides_challenges && lines.lines().any(|line| line.starts_with("334")) {
            return format!("334 ({} octets)", lines.len());
        }
        self.mask.apply(lines)
    }
}
