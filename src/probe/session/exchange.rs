//! Commands on their way to the server, and replies on their way back, with the instants at which they left and
//! arrived.

use tokio::time::Instant as Deadline;

use super::{Session, error::ReadError};
use crate::{
    phase::Phase,
    report::{Failure, journal::Event},
    smtp::{Command, Reply, ReplyError, reply::excerpt},
    tls::ClientAuth,
};

impl Session<'_> {
    /// Sends a command; `event`, if any, is noted with the instant at which it leaves. A 421 that came before, from a
    /// server that closed the connection, is returned.
    pub(super) async fn send(
        &mut self,
        phase: Phase,
        command: &Command,
        event: Option<Event>,
    ) -> Result<Option<Reply>, Failure> {
        self.mask_from(command);
        let octets = command.to_wire();
        let shown = self.check.transcript.then(|| self.mask.apply(&command.to_string()));
        let events = event.into_iter().chain(shown.map(Event::Sent));
        let Err(error) = self.write(&octets, events).await else { return Ok(None) };
        self.in_sync = false;
        match command {
            // A message may be refused before all of it is written. The refusal is read next, as its reply.
            Command::Body(_) if self.stream.has_more().await => Ok(None),
            // A server that closed the connection may have sent a reason before.
            _ => match Box::pin(self.expect_silence(phase, command)).await? {
                Some(closing) => Ok(Some(closing)),
                None => Err(error.failure(phase)),
            },
        }
    }

    /// Writes all of `octets`; notes `events` with the instant at which the first of them leaves.
    pub(super) async fn write(
        &mut self,
        octets: &[u8],
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), ReadError> {
        let journal = &mut *self.journal;
        let write = self.stream.write(octets, |sent| events.into_iter().for_each(|event| journal.note(sent, event)));
        let written = self.timer.limit(self.deadline, write).await?;
        if written.map_err(|error| ReadError::of(&error, self.client_auth))? {
            Ok(())
        } else {
            Err(ReadError::OutOfTurn)
        }
    }

    /// The next reply, noted in the journal with the instant at which its last byte arrived.
    pub(super) async fn read_reply(&mut self, by: Deadline) -> Result<Reply, ReadError> {
        loop {
            let mut unread = self.stream.unread();
            let octets = unread.len();
            let parsed = self.parser.parse(&mut unread);
            let taken = octets - unread.len();
            self.stream.take(taken);
            if let Some(reply) = parsed.map_err(|error| error.masked(&self.mask))? {
                let shown = self.shown(&reply);
                self.journal.note(self.stream.arrived(), Event::Received(shown));
                self.client_auth = ClientAuth::NotAsked;
                return Ok(reply);
            }
            if taken > 0 {
                self.stream.acknowledge_at_once();
            }
            // With a server that sends without a pause, the timeout below is never polled.
            if self.stream.read_at() >= by.into_std() {
                return Err(ReadError::TimedOut);
            }
            let read = self.timer.limit(by, self.stream.read()).await?;
            if !read.map_err(|error| ReadError::of(&error, self.client_auth))? {
                return Err(ReadError::closed(self.client_auth));
            }
        }
    }

    /// The failure of a phase whose reply did not come whole, with what did come of it.
    pub(super) fn read_failure(&mut self, error: &ReadError, phase: Phase) -> Failure {
        let partial = self.partial_reply();
        if phase == Phase::Banner
            && !self.check.script.implicit_tls
            && let Some(failure) = error.of_clear_text_to_tls(&partial, self.check.port)
        {
            return failure;
        }
        match error {
            ReadError::TimedOut | ReadError::Closed | ReadError::Tls(_) if !partial.is_empty() => {
                Failure::new(phase, error.kind(), format_args!("{error} after {partial:?}"))
            }
            ReadError::Garbled(ReplyError::CodeChanged { .. }) => {
                Failure::new(phase, error.kind(), format_args!("{error}, in {partial:?}"))
            }
            _ => error.failure(phase),
        }
    }

    /// The beginning of the last line of an unfinished reply. The transcript gets all of its lines.
    pub(super) fn partial_reply(&mut self) -> String {
        let lines = self.shown_lines(&self.parser.partial_reply());
        let last = excerpt(lines.lines().last().unwrap_or_default()).to_owned();
        if self.check.transcript {
            self.journal.note(self.stream.arrived(), Event::PartialReply(lines));
        }
        last
    }
}
