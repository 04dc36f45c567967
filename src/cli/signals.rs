//! The signals of the service: SIGTERM and SIGINT end it, SIGHUP makes it read its files again.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::ServeSettings;

/// SIGHUP, which ends the program no more from now on. To be called before anything slow: a file can change at once
/// after the start.
///
/// None where there is nothing to read again and standard error is a terminal. There, the signal ends the program, as
/// it does by default: the terminal is gone, and nobody could end the program from it.
///
/// # Errors
/// The system's own error.
pub(super) fn hangup(settings: &ServeSettings) -> io::Result<Option<Signal>> {
    let has_files = settings.tokens_file.is_some() || settings.service.tls_cert.is_some();
    let waits = has_files || !io::stderr().is_terminal();
    waits.then(|| signal(SignalKind::hangup())).transpose()
}

/// SIGTERM and SIGINT as a sequence. Two signals before a call of [`Signals::next`] count as one.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on, the signals do not end the program by themselves.
    ///
    /// # Errors
    /// The system's own error.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
