//! `run`: a check from the shell, once or again and again, for people, for programs and for Nagios.
//!
//! - [`screen`]: a terminal, on which the [`waterfall`] of a running check is drawn.
//! - [`readable`]: the report in words.
//! - [`look`], [`words`], [`expiry`]: how text looks, what a server says, and when its certificate expires, for all of them.
//! - [`watch`]: check after check, and what they come to.
//! - [`nagios`]: one line, by the Monitoring Plugins' guidelines.

mod expiry;
mod look;
mod nagios;
mod readable;
#[cfg(test)]
mod reports;
mod screen;
mod watch;
mod waterfall;
mod words;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::Error;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, interval},
};
use tower::ServiceExt;

use super::{complain, json, make_probe, print, traces, trust_anchors};
use crate::{
    check::Check,
    config::{Run, Settings, flag_of},
    destination::policy::Forbidden,
    probe::{CheckJob, Probe, Refusal},
    report::{PhaseEvent, PhaseListener, Report},
};
use nagios::Status;
use readable::Readable;
use screen::Screen;
use waterfall::Waterfall;

/// Something is wrong with the command line or the settings.
const BAD_USAGE: u8 = 2;
/// How often the bar of a phase under way grows.
const TICK: Duration = Duration::from_millis(100);

/// Does what `run` was asked to do.
pub(super) async fn run(run: &Run, settings: &Settings) -> Result<ExitCode, Error> {
    let check = match Check::parse(run.parameters.clone().into_iter().collect(), settings.max_timeout) {
        Ok(check) => check,
        Err(invalid) => {
            let complaints = invalid.violations().iter();
            let complaints =
                complaints.map(|violation| format!("{}: {}", flag_of(&violation.parameter()), violation.detail));
            return Ok(refuse(complaints.collect(), run.nagios));
        }
    };
    let traces = traces(settings)?;
    let probe = make_probe(settings, trust_anchors(settings)?, traces.as_ref())?;
    let code = check_with(probe, check, run).await;
    if let Some(traces) = traces {
        traces.flush().await;
    }
    Ok(code)
}

async fn check_with(probe: Probe, check: Check, run: &Run) -> ExitCode {
    let for_people = io::stdout().is_terminal() && !run.json && !run.nagios;
    if let Some(every) = run.watch {
        return watch::watch(probe, check, every, for_people.then(Screen::new)).await;
    }
    let report = if for_people {
        let mut screen = Screen::new();
        let report = draw(probe, check, &mut screen).await;
        report.inspect(|report| print(Readable { report, look: screen.look() }))
    } else {
        probe.oneshot(CheckJob::new(check)).await
    };
    match report {
        Ok(report) if run.nagios => {
            let (status, line) = nagios::judge(&report, &run.thresholds);
            print(line);
            status.into()
        }
        Ok(report) => {
            if !for_people {
                print(json(&report));
            }
            if report.success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(refusal) => refuse(vec![complaint(&refusal)], run.nagios),
    }
}

/// Says that the command line is of no use, in the way that whoever wrote it expects: a plugin's own is one line on stdout and
/// exit code 3. What was asked for, such as `--help`, is no error; but by the plugins' guidelines nothing is known then either.
pub fn refuse_usage(error: &Error, arguments: &[OsString]) -> ExitCode {
    if !arguments.iter().any(|argument| argument == "--nagios") {
        error.exit();
    }
    if !error.use_stderr() {
        print(error);
        return Status::Unknown.into();
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    refuse(vec![first.trim_start_matches("error: ").to_owned()], true)
}

/// Why a check was not run, and with which setting it would be, which is in the hand of whoever has a shell.
fn complaint(refusal: &Refusal) -> String {
    let Refusal::Forbidden(forbidden) = refusal else { return refusal.to_string() };
    let setting = match forbidden {
        Forbidden::Address { .. } | Forbidden::Embedded { .. } | Forbidden::Nameless => "target_allow",
        Forbidden::Host { .. } | Forbidden::Unlisted => "target_allow_host",
        Forbidden::Port { .. } => "target_ports",
    };
    format!("{refusal} (allow it with {})", flag_of(setting))
}

/// No check was run.
fn refuse(complaints: Vec<String>, as_plugin: bool) -> ExitCode {
    if as_plugin {
        print(nagios::line(Status::Unknown, &complaints.join("; "), &[]));
        return Status::Unknown.into();
    }
    complaints.into_iter().for_each(complain);
    ExitCode::from(BAD_USAGE)
}

/// Runs a check in a task of its own, so that a slow terminal doesn't slow it down, and draws it meanwhile.
async fn draw(probe: Probe, check: Check, screen: &mut Screen) -> Result<Report, Refusal> {
    let (sender, mut heard) = mpsc::unbounded_channel();
    // Nobody listens any more only when the check is about to be aborted.
    let order = CheckJob::new(check).with_observer(PhaseListener::new(move |news| drop(sender.send(news))));
    let mut task = tokio::spawn(probe.oneshot(order));
    let _aborted = AbortOnDrop(task.abort_handle());
    let (mut waterfall, mut tick, began) = (Waterfall::default(), interval(TICK), Instant::now());
    screen.begin();
    let mut report = None;
    loop {
        tokio::select! {
            report_or_refusal = &mut task, if report.is_none() => {
                report = Some(report_or_refusal.unwrap_or(Err(Refusal::Internal))?);
            }
            news = heard.recv() => match news {
                Some(news) => {
                    if let PhaseEvent::Ended(phase) = &news {
                        screen.append(phase);
                    }
                    waterfall.hear(news);
                }
                // The check is over, and so are its news.
                None => if let Some(report) = report {
                    screen.show(&waterfall, report.metrics.duration);
                    return Ok(report);
                },
            },
            _ = tick.tick() => {}
        }
        screen.show(&waterfall, began.elapsed().as_secs_f64() * 1000.0);
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
