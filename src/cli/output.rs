//! Output: reports and documents go to stdout, errors to stderr.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    escape::{Escaped, escape_json},
    os_error,
    report::Report,
};

/// Prints to stdout; false if nobody reads it any more, or if it cannot be written, which stderr then says.
pub(super) fn print(text: impl Display) -> bool {
    let mut stdout = io::stdout().lock();
    let printed = write!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = &printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(format_args!("stdout cannot be written: {}", os_error::of_system(error)));
    }
    printed.is_ok()
}

/// Prints what the program was asked for. A reader that goes away early, as `head` does, is no failure.
pub(super) fn print_result(text: impl Display) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failure(format_args!("stdout cannot be written: {}", os_error::of_system(&error)))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints an error to stderr, what it quotes escaped.
pub(super) fn complain(message: impl Display) {
    writeln!(io::stderr(), "error: {}", Escaped(&message.to_string())).ok();
}

/// Prints a warning to stderr, what it quotes escaped.
pub(super) fn warn(message: impl Display) {
    writeln!(io::stderr(), "warning: {}", Escaped(&message.to_string())).ok();
}

/// Prints an error, and gives the exit code 1.
pub(super) fn failure(message: impl Display) -> ExitCode {
    complain(message);
    ExitCode::FAILURE
}

/// The report as one line of JSON.
pub(super) fn json_line(report: &Report) -> String {
    escape_json(serde_json::to_string(report).unwrap_or_default()) + "\n"
}

/// The report as JSON, for people to read.
pub(super) fn json(report: &impl Serialize) -> String {
    escape_json(serde_json::to_string_pretty(report).unwrap_or_default()) + "\n"
}
