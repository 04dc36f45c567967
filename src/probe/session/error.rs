//! [`ReadError`]: why a reply did not come.

use std::io;

use crate::{
    phase::Phase,
    report::{Failure, FailureKind},
    smtp::ReplyError,
    tls::SessionError,
};

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
    #[error(
        "the server closed the connection right after the TLS handshake, in which it had asked for a client \
         certificate, which this client does not have"
    )]
    ClosedWithoutCertificate,
}

impl ReadError {
    /// What an error of the connection means. `certificate_asked` is whether the server asked for a client certificate
    /// in the TLS handshake, and has not replied since.
    pub(super) fn of(error: &io::Error, certificate_asked: bool) -> Self {
        match SessionError::of(error, certificate_asked) {
            Some(error) => Self::Tls(error),
            None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            None => Self::closed(certificate_asked),
        }
    }

    /// The server closed the connection.
    pub(super) fn closed(certificate_asked: bool) -> Self {
        if certificate_asked { Self::ClosedWithoutCertificate } else { Self::Closed }
    }

    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::TimedOut => FailureKind::Timeout,
            Self::Closed | Self::ClosedWithoutCertificate => FailureKind::Closed,
            Self::OutOfTurn | Self::Garbled(_) => FailureKind::Protocol,
            Self::Tls(_) => FailureKind::Tls,
        }
    }

    pub(super) fn failure(&self, phase: Phase) -> Failure {
        Failure::new(phase, self.kind(), self)
    }
}
