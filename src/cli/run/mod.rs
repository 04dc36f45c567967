//! `run`: a check from the shell, once or repeatedly, for people, for programs and for Nagios.
//!
//! - [`screen`]: a terminal, which shows the [`waterfall`] of a running check.
//! - [`readable`]: the report as text.
//! - [`reply_text`], [`expiry`]: replies in text, and the expiry of a certificate; the others use them.
//! - [`payload`]: parameters from a file.
//! - [`watch`]: check after check, and a summary.
//! - [`nagios`]: one line, by the Monitoring Plugins' guidelines.

mod expiry;
mod nagios;
mod payload;
mod readable;
mod reply_text;
#[cfg(test)]
mod samples;
mod screen;
mod watch;
mod waterfall;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use super::{
    build,
    output::{complain, json, print, print_result, warn},
};
use crate::{
    check::Check,
    config::{Run, flag_of, in_flags, reason},
    destination::policy::Forbidden,
    probe::{CheckJob, Limits, Probe, Refusal},
    report::{PhaseEvent, PhaseListener, Report},
};
use nagios::Status;
use readable::Readable;
use screen::Screen;
use waterfall::Waterfall;

/// Exit code for a bad command line or setting.
pub(super) const BAD_USAGE: u8 = 2;
/// How often the picture of a running check is drawn again.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the check, or with `--watch` one after the other. `source_of` names what gave a parameter.
pub(super) async fn run(settings: &Run, source_of: &dyn Fn(&str) -> String) -> Result<ExitCode, Error> {
    let max_timeout = settings.target.max_timeout;
    let mut parameters = settings.parameters.0.clone();
    if let Err(error) = payload::read_in(&mut parameters) {
        return Ok(refuse(vec![error], settings.nagios));
    }
    let check = match Check::parse(parameters.into_iter().collect(), &settings.check) {
        Ok(check) => check,
        Err(invalid) => {
            let violations = invalid.violations().iter();
            let messages = violations
                .map(|violation| (source_of(&violation.parameter()) + violation.within(), in_flags(&violation.detail)))
                .map(|(place, detail)| format!("{place}: {detail}"));
            return Ok(refuse(messages.collect(), settings.nagios));
        }
    };
    check.no_effect.iter().for_each(|no_effect| warn(no_effect.text(source_of)));
    let traces = build::traces(&settings.telemetry)?;
    let limits = Limits { checks: 1, checks_per_target: 1, max_timeout };
    let anchors = build::trust_anchors(&settings.target)?;
    let resolver = build::resolver(&settings.target);
    let (probe, _) = build::probe(&settings.target, resolver, limits, anchors, traces.as_ref())?;
    let code = check_with(probe, check, settings, source_of).await;
    if let Some(traces) = traces {
        traces.flush().await;
    }
    Ok(code)
}

async fn check_with(probe: Probe, check: Check, settings: &Run, source_of: &dyn Fn(&str) -> String) -> ExitCode {
    let for_people = io::stdout().is_terminal() && !settings.json && !settings.nagios;
    if let Some(every) = settings.watch {
        return watch::watch(probe, check, every, for_people.then(Screen::new)).await;
    }
    let report = if for_people {
        let mut screen = Screen::new();
        let report = draw(probe, check, &mut screen).await;
        report.inspect(|report| {
            print(Readable { report, style: screen.style(), source_of });
        })
    } else {
        probe.oneshot(CheckJob::new(check)).await
    };
    match report {
        Ok(report) if settings.nagios => {
            let (status, line) = nagios::judge(&report, &settings.thresholds);
            print(line);
            status.into()
        }
        Ok(report) => {
            let printed = if for_people { ExitCode::SUCCESS } else { print_result(json(&report)) };
            if report.success { printed } else { ExitCode::FAILURE }
        }
        Err(refusal) => refuse(vec![refusal_text(&refusal)], settings.nagios),
    }
}

/// Reports an error of the command line, or prints what `--help` and `--version` ask for. With `--nagios`, by the
/// plugins' guidelines: an error is one line on stdout, and the exit code is 3 (UNKNOWN), after `--help` too.
pub fn refuse_usage(error: &Error, arguments: &[OsString]) -> ExitCode {
    if !arguments.iter().any(|argument| argument == "--nagios") {
        error.exit();
    }
    if !error.use_stderr() {
        print(error);
        return Status::Unknown.into();
    }
    refuse(vec![reason(error)], true)
}

/// Why a check was not run, and which flag is about that: a user of the shell can change it.
pub(super) fn refusal_text(refusal: &Refusal) -> String {
    let forbidden = match refusal {
        Refusal::Forbidden(forbidden) => forbidden,
        Refusal::NoSourceAddress => return format!("{}: {refusal}", flag_of("source_address")),
        Refusal::Overloaded | Refusal::TargetBusy | Refusal::Internal => return refusal.to_string(),
    };
    let setting = match forbidden {
        Forbidden::Address { .. } | Forbidden::Embedded { .. } | Forbidden::Nameless => "target_allow",
        Forbidden::Host { .. } | Forbidden::Unlisted => "target_allow_host",
        Forbidden::Port { .. } => "target_ports",
    };
    format!("{refusal} (allow it with {})", flag_of(setting))
}

/// Prints why no check was run, and gives the exit code.
fn refuse(messages: Vec<String>, as_plugin: bool) -> ExitCode {
    if as_plugin {
        print(nagios::line(Status::Unknown, &messages.join("; "), &[]));
        return Status::Unknown.into();
    }
    messages.into_iter().for_each(complain);
    ExitCode::from(BAD_USAGE)
}

/// Runs a check and draws it meanwhile. The check has a task of its own, so that a slow terminal does not slow it down.
async fn draw(probe: Probe, check: Check, screen: &mut Screen) -> Result<Report, Refusal> {
    let (sender, mut events) = mpsc::unbounded_channel();
    // The receiver is gone only if the check is about to be aborted.
    let job = CheckJob::new(check).with_observer(PhaseListener::new(move |event| drop(sender.send(event))));
    let mut task = AbortOnDropHandle::new(tokio::spawn(probe.oneshot(job)));
    let (mut waterfall, mut redraw, began) = (Waterfall::default(), interval(REDRAW_INTERVAL), Instant::now());
    screen.begin();
    let mut report = None;
    loop {
        tokio::select! {
            result = &mut task, if report.is_none() => {
                report = Some(result.unwrap_or(Err(Refusal::Internal))?);
            }
            event = events.recv() => match event {
                Some(event) => {
                    if let PhaseEvent::Ended(phase) = &event {
                        screen.append(phase);
                    }
                    waterfall.update(event);
                }
                // The check has ended, and all its events are drawn.
                None => if let Some(report) = report {
                    screen.show(&waterfall, report.metrics.duration);
                    return Ok(report);
                },
            },
            _ = redraw.tick() => {}
        }
        screen.show(&waterfall, began.elapsed().as_secs_f64() * 1000.0);
    }
}
