//! The signals of the service: SIGTERM, SIGINT and SIGQUIT end it, SIGHUP makes it read its files again, and no other
//! one has an effect.

use std::io::{self, IsTerminal};

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::ServeSettings;

/// Signals that are never blocked: those that stop the service, those of job control, and those that the system sends
/// for a fault of the program itself.
const NOT_BLOCKED: [Number; 14] = [
    Number::SIGTERM,
    Number::SIGINT,
    Number::SIGQUIT,
    Number::SIGTSTP,
    Number::SIGTTIN,
    Number::SIGTTOU,
    Number::SIGCONT,
    Number::SIGABRT,
    Number::SIGBUS,
    Number::SIGFPE,
    Number::SIGILL,
    Number::SIGSEGV,
    Number::SIGSYS,
    Number::SIGTRAP,
];

/// Blocks the signals that would end the service by default, real-time signals too. To be called first in `main`: a
/// signal can come at once, and every thread inherits the mask of the one that starts it. So would other programs, but
/// this one starts none.
pub fn block_signals() {
    let mut blocked = SigSet::all();
    NOT_BLOCKED.into_iter().for_each(|number| blocked.remove(number));
    // It cannot fail: the arguments are valid.
    blocked.thread_block().ok();
}

/// For a subcommand that is no service: every signal has its usual effect again. One thread without a mask is enough.
pub(super) fn unblock() {
    SigSet::all().thread_unblock().ok();
}

/// SIGHUP, which was blocked until now. To be called in the first thread.
///
/// None where the settings name no file to read again and standard error is a terminal. There, the signal ends the
/// program, as it does by default: the terminal is gone, and nobody could end the program from it.
///
/// # Errors
/// The system's own error.
pub(super) fn hangup(settings: &ServeSettings) -> io::Result<Option<Signal>> {
    let has_files = settings.tokens_file.is_some() || settings.service.tls_cert.is_some();
    let waits = has_files || !io::stderr().is_terminal();
    let hangup = waits.then(|| signal(SignalKind::hangup())).transpose()?;
    SigSet::from(Number::SIGHUP).thread_unblock()?;
    Ok(hangup)
}

/// SIGTERM, SIGINT and SIGQUIT as a sequence. Two signals before a call of [`Signals::next`] count as one.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Ctrl-\ on a terminal, and what some supervisors send for an orderly end.
    quit: Signal,
}

impl Signals {
    /// From now on, the signals do not end the program by themselves.
    ///
    /// # Errors
    /// The system's own error.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}
