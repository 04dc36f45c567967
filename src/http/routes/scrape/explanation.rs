//! The response to `debug=true`: everything about one check, to explain its metrics.

use std::{fmt, time::Duration};

use crate::{
    check::Module,
    escape::{Escaped, escape_json},
    report::{Report, Speaker},
};

/// A check in text for people. The module is shown without its password, and a report has no secrets.
pub(super) struct Explanation<'a> {
    pub(super) module: &'a Module,
    pub(super) timeout: Duration,
    pub(super) report: &'a Report,
    pub(super) metrics: &'a str,
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, timeout, report, metrics } = self;
        writeln!(f, "# Phases: start and duration of each in milliseconds; timeout {timeout:?}")?;
        self.phases(f)?;
        writeln!(f, "\n# Transcript")?;
        for line in report.transcript.iter().flatten() {
            let speaker = match line.from {
                Speaker::Client => "C:",
                Speaker::Server => "S:",
                Speaker::Tls => "--",
            };
            writeln!(f, "{:10.3}  {speaker} {}", line.at_ms, Escaped(&line.text))?;
        }
        writeln!(f, "\n# Report\n{}", pretty(report))?;
        writeln!(f, "\n# Metrics that would have been returned")?;
        metrics.lines().try_for_each(|line| writeln!(f, "{}", Escaped(line)))?;
        writeln!(f)?;
        writeln!(f, "# Module `{}`\n{}", module.name(), pretty(module.parameters()))
    }
}

impl Explanation<'_> {
    fn phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.report.phases {
            let mark = if phase.ok { ' ' } else { '!' };
            write!(f, "{:10.3} {mark} {:<9}", phase.started_ms, phase.name.name())?;
            match phase.time_ms {
                Some(ms) => write!(f, " {ms:10.3}")?,
                None => write!(f, " {:>10}", "never")?,
            }
            if let Some(code) = phase.code {
                let message = phase.message.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
                write!(f, "  {code} {}", Escaped(message))?;
            }
            writeln!(f)?;
        }
        match &self.report.failure {
            None => writeln!(f, "{}", self.report.outcome.name()),
            Some(failure) => {
                let (phase, kind) = (failure.phase, failure.kind.name());
                writeln!(f, "failed in {phase}, {kind}: {}", Escaped(&failure.message))
            }
        }
    }
}

pub(super) fn pretty(value: &impl serde::Serialize) -> String {
    escape_json(serde_json::to_string_pretty(value).unwrap_or_default())
}
