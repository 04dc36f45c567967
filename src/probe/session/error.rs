//! [`ReadError`]: why a reply did not come.

use std::io;

use crate::{
    phase::Phase,
    report::{Failure, FailureKind},
    smtp::ReplyError,
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
    #[error("the TLS session broke: {0}")]
    Tls(io::Error),
}

impl ReadError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::TimedOut => FailureKind::Timeout,
            Self::Closed => FailureKind::Closed,
            Self::OutOfTurn | Self::Garbled(_) => FailureKind::Protocol,
            Self::Tls(_) => FailureKind::Tls,
        }
    }

    pub(super) fn failure(&self, phase: Phase) -> Failure {
        Failure::new(phase, self.kind(), self)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // rustls reports alerts and broken records as invalid data.
            io::ErrorKind::InvalidData => Self::Tls(error),
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Closed,
        }
    }
}
