//! The part of a conversation that concerns the PROXY header: sending it, and hearing of it from a server that expects none.
//!
//! Such a server takes the header for a command and refuses it. Its refusal comes before the answer to the first command of ours,
//! perhaps even before the command is written, or in place of the greeting.

use std::time::Instant;

use tokio::time::Instant as Deadline;

use super::{Driver, Lost, PATIENCE};
use crate::{
    phase::Phase,
    proxy_header::ProxyHeader,
    report::{Failure, FailureKind, journal::Event},
    smtp::Reply,
};

impl Driver {
    pub(super) async fn send_proxy_header(&mut self, header: &ProxyHeader) -> Result<(), Failure> {
        let unsupported = |error| Failure::new(Phase::Proxy, FailureKind::Unsupported, error);
        let (local, peer) = self.stream.ends().map_err(|error| Lost::from(error).failure(Phase::Proxy))?;
        let octets = header.encode(local, peer).map_err(unsupported)?;
        self.journal.note(Instant::now(), Event::Sent(shown(&octets)));
        self.write(&octets).await.map_err(|lost| lost.failure(Phase::Proxy))
    }

    /// Whether this reply, in place of the greeting, finds fault with a command (RFC 5321, section 4.2.2): the header is all that the
    /// server has heard.
    pub(super) fn refuses_header(&self, phase: Phase, reply: &Reply) -> bool {
        self.check.proxy.is_some() && phase == Phase::Banner && (500..=504).contains(&reply.code().value())
    }

    /// Whether this reply may be the header's, coming where the answer to our first command is expected, or before.
    pub(super) fn may_refuse_header(&self, phase: Phase, reply: &Reply) -> bool {
        let first = if self.check.script.stop_after == Some(Phase::Banner) { Phase::Quit } else { Phase::Ehlo };
        self.check.proxy.is_some() && phase == first && reply.code().is_negative()
    }

    /// Whether this reply, where the answer to our first command is expected, leaves it open which of the two it is for. 421 does not: the
    /// server closes the connection behind it (RFC 5321, section 3.8), so that there is no other.
    pub(super) fn is_ambiguous(&self, phase: Phase, reply: &Reply) -> bool {
        self.may_refuse_header(phase, reply) && reply.code().value() != 421
    }

    /// The reply behind one that may be the header's. If there is one, the first was the header's.
    ///
    /// # Errors
    /// What comes behind the first is no reply.
    pub(super) async fn second_reply(&mut self) -> Result<Option<Reply>, Lost> {
        let by = self.deadline.min(Deadline::now() + PATIENCE);
        match self.hear(by).await {
            Ok(reply) => Ok(Some(reply)),
            Err(Lost::TimedOut | Lost::Closed) => Ok(None),
            Err(lost) => Err(lost),
        }
    }

    pub(super) fn header_refused(&self, reply: &Reply) -> Failure {
        Failure::rejected(Phase::Proxy, &reply.masked(&self.mask))
    }
}

/// A PROXY header in a transcript: version 1 is a line, version 2 is shown in hexadecimal digits.
fn shown(header: &[u8]) -> String {
    match std::str::from_utf8(header) {
        Ok(line) if line.starts_with("PROXY ") => line.trim_end().to_owned(),
        _ => {
            let digits: String = header.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("(PROXY header, version 2: {digits})")
        }
    }
}
