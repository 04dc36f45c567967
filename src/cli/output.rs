//! Output: reports and documents go to stdout, errors to stderr.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use crate::report::Report;

/// Prints to stdout; false if nobody reads it any more.
pub(super) fn print(text: impl Display) -> bool {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).is_ok()
}

/// Prints an error to stderr.
pub(super) fn complain(message: impl Display) {
    writeln!(io::stderr(), "error: {message}").ok();
}

/// Prints a warning to stderr.
pub(super) fn warn(message: impl Display) {
    writeln!(io::stderr(), "warning: {message}").ok();
}

/// Prints an error, and gives the exit code 1.
pub(super) fn failure(message: impl Display) -> ExitCode {
    complain(message);
    ExitCode::FAILURE
}

/// The report as JSON, for people to read.
pub(super) fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
