//! What was said: by the server, with the code of its reply, or by us.

use std::fmt::{self, Display, Formatter};

use crate::{
    printable::Escaped,
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

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        let mut lines = self.text.split('\n');
        write!(f, "{}", Escaped(lines.next().unwrap_or_default()))?;
        match lines.count() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}
