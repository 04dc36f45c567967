//! The PROXY header of a session: sending it, and recognizing a server that does not expect one.
//!
//! Such a server takes the header for a command and refuses it. The refusal comes before the reply to our first
//! command, perhaps even before that command is sent, or in place of the greeting.

use tokio::time::Instant as Deadline;

use super::{OPTIONAL_REPLY_TIMEOUT, ReadError, Session};
use crate::{
    phase::Phase,
    proxy_header::ProxyHeader,
    report::{Failure, FailureKind, journal::Event},
    smtp::Reply,
    tls::ClientAuth,
};

impl Session<'_> {
    pub(super) async fn send_proxy_header(&mut self, header: &ProxyHeader) -> Result<(), Failure> {
        let unsupported = |error| Failure::new(Phase::Proxy, FailureKind::Unsupported, error);
        let (local, peer) =
            self.stream.ends().map_err(|error| ReadError::of(&error, ClientAuth::NotAsked).failure(Phase::Proxy))?;
        let octets = header.encode(local, peer).map_err(unsupported)?;
        self.write(&octets, [Event::Sent(shown(&octets))]).await.map_err(|error| error.failure(Phase::Proxy))
    }

    /// Whether this reply comes in place of the greeting and is for a command (RFC 5321, section 4.2.2): the server has
    /// received nothing but the header.
    pub(super) fn refuses_header(&self, phase: Phase, reply: &Reply) -> bool {
        self.check.proxy.is_some() && phase == Phase::Banner && (500..=504).contains(&reply.code().value())
    }

    /// Whether this reply may be for the header: it comes with the reply to our first command, or before.
    pub(super) fn may_refuse_header(&self, phase: Phase, reply: &Reply) -> bool {
        let first = if self.check.script.stop_after == Some(Phase::Banner) { Phase::Quit } else { Phase::Ehlo };
        self.check.proxy.is_some() && phase == first && reply.code().is_negative()
    }

    /// Whether this reply to our first command may be for the header instead. 421 is not ambiguous: the server closes
    /// the connection after it (RFC 5321, section 3.8), and no other reply comes.
    pub(super) fn is_ambiguous(&self, phase: Phase, reply: &Reply) -> bool {
        self.may_refuse_header(phase, reply) && reply.code().value() != 421
    }

    /// The reply after one that may be for the header. If there is one, the first was for the header.
    ///
    /// # Errors
    /// What follows is not a reply.
    pub(super) async fn second_reply(&mut self) -> Result<Option<Reply>, ReadError> {
        let by = self.deadline.min(Deadline::now() + OPTIONAL_REPLY_TIMEOUT);
        match self.read_reply(by).await {
            Ok(reply) => Ok(Some(reply)),
            Err(ReadError::TimedOut | ReadError::Closed | ReadError::ClosedAfterAsking(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn header_refused(&self, reply: &Reply) -> Failure {
        Failure::rejected(Phase::Proxy, &reply.masked(&self.mask))
    }
}

/// The header as the transcript shows it: version 1 is a line, version 2 is shown in hexadecimal digits.
fn shown(header: &[u8]) -> String {
    match std::str::from_utf8(header) {
        Ok(line) if line.starts_with("PROXY ") => line.trim_end().to_owned(),
        _ => {
            let digits: String = header.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("(PROXY header, version 2: {digits})")
        }
    }
}
