//! [`ReadError`]: why a reply did not come.

use std::io;

use super::facts;
use crate::{
    phase::Phase,
    report::{Cause, Failure, FailureKind},
    smtp::ReplyError,
    tls::{ClientAuth, SessionError},
};

/// The port with TLS from the first byte (RFC 8314, section 7.3): in clear text no later check gets a greeting there.
const SUBMISSIONS_PORT: u16 = 465;

/// Why a reply did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("no reply in time")]
    TimedOut,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server spoke before all was sent")]
    OutOfTurn,
    #[error(transparent)]
    Garbled(#[from] ReplyError),
    #[error(transparent)]
    Tls(SessionError),
    #[error("the server closed the connection right after the TLS handshake, in which it had {0}")]
    ClosedAfterAsking(ClientAuth),
}

impl ReadError {
    /// What an error of the connection means. `client_auth` is that of the TLS handshake, if the server has not replied
    /// since.
    pub(super) fn of(error: &io::Error, client_auth: ClientAuth) -> Self {
        match SessionError::of(error, client_auth) {
            Some(error) => Self::Tls(error),
            None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            None => Self::closed(client_auth),
        }
    }

    /// The server closed the connection.
    pub(super) fn closed(client_auth: ClientAuth) -> Self {
        if client_auth.is_asked() { Self::ClosedAfterAsking(client_auth) } else { Self::Closed }
    }

    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::TimedOut => FailureKind::Timeout,
            Self::Closed | Self::ClosedAfterAsking(_) => FailureKind::Closed,
            Self::OutOfTurn | Self::Garbled(_) => FailureKind::Protocol,
            Self::Tls(_) => FailureKind::Tls,
        }
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        match self {
            Self::ClosedAfterAsking(client_auth) => Some(facts::of_client_auth(*client_auth)),
            Self::Tls(SessionError::ClientAuth(refused)) => Some(facts::of_client_auth(refused.client_auth)),
            _ => None,
        }
    }

    /// The failure of a check in clear text that may have met a server that expects TLS from the first byte. `received`
    /// is what came in place of the greeting.
    pub(super) fn of_clear_text_to_tls(&self, received: &str, port: u16) -> Option<Failure> {
        // A TLS alert, for a PROXY header or for a ClientHello that did not come (RFC 8446, section 5.1).
        if received.starts_with("\u{15}\u{3}") {
            let message =
                "the server sent a TLS alert in place of a greeting: it expects TLS from the first byte (implicit_tls)";
            let failure = Failure::new(Phase::Banner, FailureKind::Protocol, message);
            return Some(failure.with_cause(Some(Cause::TlsExpected)));
        }
        if !matches!(self, Self::TimedOut) || !received.is_empty() {
            return None;
        }
        let message =
            "no greeting in time; a server that expects TLS from the first byte (implicit_tls) sends none either";
        let failure = Failure::new(Phase::Banner, FailureKind::Timeout, message).with_cause(Some(Cause::Silence));
        Some(Failure { temporary: port != SUBMISSIONS_PORT, ..failure })
    }

    pub(super) fn failure(&self, phase: Phase) -> Failure {
        Failure::new(phase, self.kind(), self).with_cause(self.cause())
    }
}
