//! `--watch`: check after check, and a summary at the end.

use std::{collections::BTreeMap, fmt::Write, io, process::ExitCode, time::Duration};

use time::macros::format_description;
use tokio::time::{MissedTickBehavior, interval};
use tower::ServiceExt;

use super::{
    BAD_USAGE, draw, refusal_text,
    reply_text::{ReplyText, place},
    screen::Screen,
};
use crate::{
    check::Check,
    cli::style::{BAD, GOOD, TextStyle},
    cli::{
        output::{complain, failure, json_line, print},
        signals::Signals,
    },
    os_error,
    phase::Phase,
    probe::{CheckJob, Probe},
    report::{Outcome, Report},
};

/// Where the further rows of a line begin, in columns: below the outcome.
const INDENT: usize = 11;

/// Runs the check at this interval until SIGTERM, SIGINT or SIGQUIT. On a screen, each check is drawn, and its picture
/// then becomes one line. Otherwise each is a line of JSON, and the summary goes to stderr. A check that takes longer
/// than the interval delays the next.
pub(super) async fn watch(probe: Probe, check: Check, every: Duration, mut screen: Option<Screen>) -> ExitCode {
    let mut stop = match Signals::new() {
        Ok(stop) => stop,
        Err(error) => return failure(format_args!("cannot wait for signals: {}", os_error::of_system(&error))),
    };
    let mut tally = Tally::default();
    let refused = tokio::select! {
        refused = repeat(probe, check, every, screen.as_mut(), &mut tally) => refused,
        // A running check is not counted.
        () = stop.next() => None,
    };
    match &mut screen {
        Some(screen) => drop(screen.replace(&format!("\n{}", tally.summary(screen.style())), 0)),
        None => drop(io::Write::write_all(&mut io::stderr(), tally.summary(TextStyle::PLAIN).as_bytes())),
    }
    match refused {
        Some(refusal) => {
            complain(refusal);
            ExitCode::from(BAD_USAGE)
        }
        // No completed check is no success: the server may hang.
        None if tally.checks == 0 || tally.failed() > 0 => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}

/// Ends when a check is refused, with the reason, or when nobody reads stdout any more.
async fn repeat(
    probe: Probe,
    check: Check,
    every: Duration,
    mut screen: Option<&mut Screen>,
    tally: &mut Tally,
) -> Option<String> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = match &mut screen {
            Some(screen) => draw(probe.clone(), check.clone(), screen).await,
            None => probe.clone().oneshot(CheckJob::new(check.clone())).await,
        };
        let report = match report {
            Ok(report) => report,
            Err(refusal) => return Some(refusal_text(&refusal)),
        };
        let is_read = match &mut screen {
            Some(screen) => {
                let line = line(&report, screen.style());
                screen.replace(&line, INDENT)
            }
            None => print(json_line(&report)),
        };
        tally.count(&report);
        if !is_read {
            return None;
        }
    }
}

/// A check in one line.
fn line(report: &Report, style: TextStyle) -> String {
    let form = format_description!("[hour]:[minute]:[second]Z");
    let at = report.started_at.format(form).unwrap_or_default();
    let colour = if report.outcome == Outcome::Failed { BAD } else { GOOD };
    let outcome = style.paint(colour, &format!("{:9}", report.outcome.name()));
    let mut line = format!("{at}  {outcome}  {:>10.3} ms", report.metrics.duration);
    if let Some(failure) = &report.failure {
        let _ = write!(line, "  {}: {}", place(failure.phase, failure.kind.name()), ReplyText::from(failure));
    }
    line.push('\n');
    line
}

/// Counts and times of many checks. It keeps a float for each phase of each check: at one check a second, at most 10 MB
/// a day.
#[derive(Debug, Default)]
struct Tally {
    checks: usize,
    durations: Vec<f64>,
    phases: BTreeMap<Phase, Vec<f64>>,
    failures: BTreeMap<(Phase, &'static str), usize>,
}

impl Tally {
    fn count(&mut self, report: &Report) {
        self.checks += 1;
        self.durations.push(report.metrics.duration);
        for phase in &report.phases {
            self.phases.entry(phase.name).or_default().extend(phase.time_ms);
        }
        if let Some(failure) = &report.failure {
            *self.failures.entry((failure.phase, failure.kind.name())).or_default() += 1;
        }
    }

    fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    fn summary(&self, style: TextStyle) -> String {
        let mut text = match self.failed() {
            _ if self.checks == 0 => "no check was completed\n".to_owned(),
            0 => format!("{} checks, none failed\n", self.checks),
            failed => format!("{} checks, {}\n", self.checks, style.paint(BAD, &format!("{failed} failed"))),
        };
        for ((phase, kind), count) in &self.failures {
            let _ = writeln!(text, "  {count:>6}  {}", place(*phase, kind));
        }
        let rows = self.phases.iter().map(|(phase, times)| (phase.name(), times));
        let rows = rows.chain([("duration", &self.durations)]).filter(|(_, times)| !times.is_empty());
        for (index, (name, times)) in rows.enumerate() {
            if index == 0 {
                let _ = writeln!(text, "  {:9}  {:>6}  {:>11}  {:>11}  {:>11}", "ms", "n", "min", "median", "max");
            }
            let (min, median, max) = spread(times);
            let _ = writeln!(text, "  {name:9}  {:>6}  {min:>11.3}  {median:>11.3}  {max:>11.3}", times.len());
        }
        text
    }
}

/// Minimum, median and maximum of at least one figure.
fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
    (sorted[0], median, sorted[sorted.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::samples::{Sample, report};

    #[test]
    fn a_spread_has_its_median() {
        assert_eq!(spread(&[3.0]), (3.0, 3.0, 3.0));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
    }

    #[test]
    fn a_summary_has_every_phase_and_every_failure() {
        let mut tally = Tally::default();
        assert_eq!(tally.summary(TextStyle::PLAIN), "no check was completed\n");
        tally.count(&report(Sample::Delivered { banner_ms: 10 }));
        tally.count(&report(Sample::Delivered { banner_ms: 30 }));
        assert_eq!(
            tally.summary(TextStyle::PLAIN),
            "2 checks, none failed\n  ms              n          min       median          max\n  \
             banner          2       10.000       20.000       30.000\n  \
             duration        2       10.000       20.000       30.000\n"
        );
        tally.count(&report(Sample::Rejected { message: "no" }));
        let summary = tally.summary(TextStyle::PLAIN);
        assert!(summary.starts_with("3 checks, 1 failed\n       1  rejected at rcptto\n"), "{summary}");
        assert!(summary.contains("\n  rcptto          1        5.000        5.000        5.000\n"), "{summary}");
    }

    #[test]
    fn a_check_is_one_line() {
        let delivered = line(&report(Sample::Delivered { banner_ms: 10 }), TextStyle::PLAIN);
        assert_eq!(delivered, "00:00:00Z  delivered      10.000 ms\n");
        let rejected = line(&report(Sample::Rejected { message: "no\nway" }), TextStyle::PLAIN);
        assert_eq!(rejected, "00:00:00Z  failed          5.000 ms  rejected at rcptto: 550 no (and 1 more)\n");
    }
}
