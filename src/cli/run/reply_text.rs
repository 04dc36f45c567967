//! Text of a reply with its code, or of a failure, for people.

use std::{
    fmt::{self, Display, Formatter},
    iter,
};

use crate::{
    escape::Escaped,
    phase::Phase,
    report::{Failure, PhaseReport},
};

/// The reply at a phase, or the message of a failure. Displayed, it is one line: of several lines, the first.
pub(super) struct ReplyText<'a> {
    code: Option<u16>,
    enhanced: Option<&'a str>,
    text: &'a str,
}

impl<'a> From<&'a Failure> for ReplyText<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self { code: failure.code, enhanced: failure.enhanced_code.as_deref(), text: &failure.message }
    }
}

impl<'a> From<&'a PhaseReport> for ReplyText<'a> {
    fn from(phase: &'a PhaseReport) -> Self {
        let text = phase.message.as_deref().unwrap_or_default();
        Self { code: phase.code, enhanced: phase.enhanced_code.as_deref(), text }
    }
}

impl<'a> ReplyText<'a> {
    /// All lines, harmful characters escaped. The code stands before the first.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + use<'a> {
        let code = self.code.map(|code| format!("{code} ")).unwrap_or_default();
        let enhanced = self.enhanced.map(|enhanced| format!("{enhanced} ")).unwrap_or_default();
        let prefixes = iter::once(code + &enhanced).chain(iter::repeat(String::new()));
        prefixes.zip(self.text.split('\n')).map(|(prefix, line)| format!("{prefix}{}", Escaped(line)))
    }
}

impl Display for ReplyText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines().next().unwrap_or_default())?;
        match self.text.matches('\n').count() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// Where a check failed, and how; one word if both are the same.
pub(super) fn place(phase: Phase, kind: &str) -> String {
    if phase.name() == kind { kind.to_owned() } else { format!("{kind} at {phase}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_all_lines_or_is_one_line() {
        let text = ReplyText { code: Some(550), enhanced: Some("5.7.1"), text: "blocked\nsee \u{1b}[2J\nbye" };
        assert_eq!(text.lines().collect::<Vec<_>>(), ["550 5.7.1 blocked", "see \\u{1b}[2J", "bye"]);
        assert_eq!(text.to_string(), "550 5.7.1 blocked (and 2 more)");
        let text = ReplyText { code: None, enhanced: None, text: "" };
        assert_eq!((text.lines().count(), text.to_string()), (1, String::new()));
    }

    #[test]
    fn a_place_is_named_once() {
        assert_eq!(place(Phase::RcptTo, "rejected"), "rejected at rcptto");
        assert_eq!(place(Phase::Dns, "dns"), "dns");
    }
}
