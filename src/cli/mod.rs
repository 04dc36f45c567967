//! The subcommands: one file each, except `run`, which is a module.
//!
//! [`build`] makes the parts of the service from the settings; [`output`] writes to stdout and stderr, in a [`style`].
//! `run` uses the same probe and report as the HTTP interface. `demo` is `serve` with a mail server of its own.

mod build;
mod demo;
mod domain;
mod healthcheck;
mod open_files;
mod openapi;
mod output;
mod run;
mod serve;
mod signals;
mod style;
mod token;

use std::process::ExitCode;

use clap::Error;

use crate::{
    config::{Command, CommandLine, ServeSettings, TelemetrySettings, Token, UnknownVariable, invalid},
    os_error,
    telemetry::{self, WorkerGuard},
};
pub use run::refuse_usage;
pub use signals::block_signals;

/// The levels of the log if `RUST_LOG` does not set them. A report tells what the resolver would warn of.
const LEVELS: &str = "info,hickory_net=error,hickory_proto=error,hickory_resolver=error";
/// The same for `run`, whose user waits for a report.
const QUIET_LEVELS: &str = "error";

/// Runs the subcommand.
///
/// # Errors
/// A setting is bad, which shows only now: for example, a file that it names is missing. No port is bound then.
pub async fn execute(line: &CommandLine) -> Result<ExitCode, Error> {
    run_subcommand(line).await.map_err(|error| line.blamed(error))
}

async fn run_subcommand(line: &CommandLine) -> Result<ExitCode, Error> {
    let hangup = |settings: &ServeSettings| {
        signals::hangup(settings)
            .map_err(|error| invalid(&format!("cannot wait for SIGHUP: {}", os_error::of_system(&error))))
    };
    if !matches!(line.command, Command::Serve(_) | Command::Demo(_)) {
        signals::unblock();
    }
    let log = |settings, levels| start_log(settings, levels, &line.unknown_variables);
    match &line.command {
        Command::Serve(settings) => {
            let hangup = hangup(settings)?;
            serve::serve(settings, &log(&settings.telemetry, LEVELS)?, hangup).await
        }
        Command::Run(settings) => {
            let _log = log(&settings.telemetry, QUIET_LEVELS)?;
            run::run(settings, &|name| line.source_of(name)).await
        }
        Command::Domain(settings) => {
            let _log = log(&settings.telemetry, QUIET_LEVELS)?;
            domain::domain(settings, &|name| line.source_of(name)).await
        }
        Command::Demo(settings) => {
            let hangup = hangup(settings)?;
            demo::demo(settings, &log(&settings.telemetry, LEVELS)?, hangup).await
        }
        Command::Openapi => Ok(openapi::print_document()),
        Command::Healthcheck(settings) => Ok(healthcheck::healthcheck(&settings.service).await),
        Command::Token(Token { name }) => Ok(token::print_new(name)),
    }
}

fn start_log(settings: &TelemetrySettings, levels: &str, unknown: &[UnknownVariable]) -> Result<WorkerGuard, Error> {
    let log = telemetry::start(settings.log_format, levels).map_err(|error| invalid(&error.to_string()))?;
    for UnknownVariable { name, nearest } in unknown {
        tracing::warn!(variable = name, nearest, "unknown variable, ignored");
    }
    Ok(log)
}
