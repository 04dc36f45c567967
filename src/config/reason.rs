//! The text of an error of the command line, for places that have a form of their own.

use clap::error::Error;

/// What the error says, on one line, without `error:` and the advice to try `--help`.
pub fn reason(error: &Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}

/// What is wrong with the value, without the flag: another source gave it.
pub(super) fn value_error(error: &Error) -> String {
    let reason = reason(error);
    let without_flag = reason.split_once(" for '--").and_then(|(before, rest)| {
        let (_, after) = rest.split_once('\'')?;
        Some(format!("{before}{after}"))
    });
    without_flag.unwrap_or(reason)
}
