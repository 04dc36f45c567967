//! The end of a session: RSET where no mail is to be sent, and QUIT.

use std::time::Duration;

use tokio::time::Instant as Deadline;

use super::Session;
use crate::{
    phase::Phase,
    report::journal::Event,
    smtp::{Command, Dialogue},
};

/// How long to wait for the reply to QUIT, and to RSET before it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Sends RSET, if the session is in sync, and waits for the reply. It has its time together with QUIT, and cannot
    /// fail the check either.
    pub(super) async fn reset(&mut self) {
        self.deadline = self.deadline.min(Deadline::now() + QUIT_TIMEOUT);
        let is_silent = matches!(self.expect_silence(Phase::Quit, &Command::Rset).await, Ok(None));
        let is_sent = is_silent && matches!(self.send(Phase::Quit, &Command::Rset, None).await, Ok(None));
        self.in_sync = is_sent && self.read_reply(self.deadline).await.is_ok();
    }

    /// Sends QUIT, if the session is in sync, and waits for the reply. Neither can fail the check.
    pub(super) async fn quit(&mut self, dialogue: &mut Dialogue<'_>) {
        self.deadline = self.deadline.min(Deadline::now() + QUIT_TIMEOUT);
        if !self.in_sync {
            return;
        }
        let mut silence = self.expect_silence(Phase::Quit, &Command::Quit).await;
        // Only now is it seen that the PROXY header was refused, and that does fail the check.
        if let Err(failure) = &silence
            && failure.phase == Phase::Proxy
        {
            self.fail(failure.clone());
            silence = self.expect_silence(Phase::Quit, &Command::Quit).await;
        }
        if matches!(silence, Ok(None))
            && let Ok(closing) = self.send(Phase::Quit, &Command::Quit, Some(Event::Began(Phase::Quit))).await
        {
            drop(self.reply_to(dialogue, Phase::Quit, &Command::Quit, closing).await);
        }
    }
}
