//! What was said: by the server, with the code of its reply, or by us.

use std::{
    fmt::{self, Display, Formatter},
    iter,
};

use crate::{
    escape::Escaped,
    phase::Phase,
    report::{Failure, PhaseReport},
};

/// What was said at a phase, or of a failure. It shows in one line: of several lines, the first.
pub(super) struct Words<'a> {
    code: Option<u16>,
    enhanced: Option<&'a str>,
    text: &'a str,
}

impl<'a> From<&'a Failure> for Words<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self { code: failure.code, enhanced: failure.enhanced_code.as_deref(), text: &failure.message }
    }
}

impl<'a> From<&'a PhaseReport> for Words<'a> {
    fn from(phase: &'a PhaseReport) -> Self {
        let text = phase.message.as_deref().unwrap_or_default();
        Self { code: phase.code, enhanced: phase.enhanced_code.as_deref(), text }
    }
}

impl<'a> Words<'a> {
    /// All of it, line by line, harmful characters escaped. The code stands in front of the first.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + use<'a> {
        let code = self.code.map(|code| format!("{code} ")).unwrap_or_default();
        let enhanced = self.enhanced.map(|enhanced| format!("{enhanced} ")).unwrap_or_default();
        let in_front = iter::once(code + &enhanced).chain(iter::repeat(String::new()));
        in_front.zip(self.text.split('\n')).map(|(code, line)| format!("{code}{}", Escaped(line)))
    }
}

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines().next().unwrap_or_default())?;
        match self.text.matches('\n').count() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// Where a check failed, and how; in one word, where both have the same.
pub(super) fn place(phase: Phase, kind: &str) -> String {
    if phase.name() == kind { kind.to_owned() } else { format!("{kind} at {phase}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_all_there_or_in_one_line() {
        let words = Words { code: Some(550), enhanced: Some("5.7.1"), text: "blocked\nsee \u{1b}[2J\nbye" };
        assert_eq!(words.lines().collect::<Vec<_>>(), ["550 5.7.1 blocked", "see \\u{1b}[2J", "bye"]);
        assert_eq!(words.to_string(), "550 5.7.1 blocked (and 2 more)");
        let words = Words { code: None, enhanced: None, text: "" };
        assert_eq!((words.lines().count(), words.to_string()), (1, String::new()));
    }

    #[test]
    fn a_place_is_said_once() {
        assert_eq!(place(Phase::RcptTo, "rejected"), "rejected at rcptto");
        assert_eq!(place(Phase::Dns, "dns"), "dns");
    }
}
