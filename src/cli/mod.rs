//! The subcommands: settings become the parts of the service, and the parts are put to work.
//!
//! `run` is the same probe and the same report as the HTTP door; `demo` is `serve` with a mail server of its own.

mod demo;
mod healthcheck;
mod run;
mod serve;
mod signals;
mod token;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Error;

use crate::{
    config::{Command, CommandLine, LogFormat, Settings, Token, UnknownVariable, invalid},
    destination::policy::{HostRules, TargetPolicy},
    http,
    net::resolve::Resolver,
    probe::{Limits, Probe, probe, traced},
    report::Report,
    telemetry::{self, Log, LogForm, Traces},
    tls::{TlsClient, TrustAnchors},
};
pub use run::refuse_usage;

/// The levels of the log where `RUST_LOG` does not set them. The resolver warns of what a report says anyway.
const LEVELS: &str = "info,hickory_net=error,hickory_proto=error,hickory_resolver=error";
/// The same for `run`, whose user waits for a report.
const QUIET_LEVELS: &str = "error";

/// Does what the command line says.
///
/// # Errors
/// A setting is bad, which shows only here: a file that it names, for example. No port is bound then.
pub async fn execute(line: &CommandLine) -> Result<ExitCode, Error> {
    let settings = &line.settings;
    match line.subcommand() {
        Command::Serve => {
            let log = start_log(line, LEVELS)?;
            Ok(serve::serve(serve::Parts::new(settings, trust_anchors(settings)?, &log)?).await)
        }
        Command::Run(run) => {
            let _log = start_log(line, QUIET_LEVELS)?;
            run::run(run, settings).await
        }
        Command::Demo => {
            let log = start_log(line, LEVELS)?;
            demo::demo(settings, &log).await
        }
        Command::Openapi => Ok(print_document()),
        Command::Token(Token { name }) => Ok(token::print_new(name)),
        Command::Healthcheck => Ok(match healthcheck::ask(settings.listen, settings.tls_cert.is_some()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure(format_args!("the service on {} is not alive: {error}", settings.listen)),
        }),
    }
}

fn start_log(line: &CommandLine, levels: &str) -> Result<Log, Error> {
    let form = match line.settings.log_format {
        Some(LogFormat::Json) => LogForm::Json,
        Some(LogFormat::Text) => LogForm::Text { colours: io::stderr().is_terminal() },
        None => LogForm::for_stderr(),
    };
    let log = telemetry::start(form, levels).map_err(|error| invalid(&error.to_string()))?;
    for UnknownVariable { name, nearest } in &line.unknown_variables {
        tracing::warn!(variable = name, nearest, "unknown variable, ignored");
    }
    Ok(log)
}

fn print_document() -> ExitCode {
    match http::document().to_pretty_json() {
        Ok(document) => {
            print(document + "\n");
            ExitCode::SUCCESS
        }
        Err(error) => failure(format_args!("the document cannot be written: {error}")),
    }
}

fn trust_anchors(settings: &Settings) -> Result<TrustAnchors, Error> {
    TrustAnchors::load(settings.ca_file.as_deref()).map_err(|error| invalid(&format!("--ca-file: {error}")))
}

fn traces(settings: &Settings) -> Result<Option<Traces>, Error> {
    let traces = settings.otlp_endpoint.as_ref().map(Traces::to).transpose();
    traces.map_err(|error| invalid(&format!("--otlp-endpoint: {error}")))
}

fn make_probe(settings: &Settings, anchors: TrustAnchors, traces: Option<&Traces>) -> Result<Probe, Error> {
    let resolver = match settings.dns_server.as_slice() {
        [] => Resolver::system().map_err(|error| {
            invalid(&format!("--dns-server is not given, and the system's configuration is of no use: {error}"))
        })?,
        servers => Resolver::with_servers(servers).map_err(|error| invalid(&format!("--dns-server: {error}")))?,
    };
    let policy = TargetPolicy::new(
        settings.target_deny.iter().copied(),
        settings.target_allow.iter().copied(),
        settings.target_ports.iter().copied(),
    );
    let hosts = HostRules::new(settings.target_deny_host.iter().cloned(), settings.target_allow_host.iter().cloned());
    let policy = policy.with_hosts(hosts);
    let limits = Limits {
        checks: settings.max_checks as usize,
        checks_per_target: settings.max_checks_per_target as usize,
        max_timeout: settings.max_timeout,
    };
    let probe = probe(limits, resolver, Arc::new(policy), TlsClient::new(anchors));
    Ok(match traces {
        Some(traces) => traced(probe, traces.tracer()),
        None => probe,
    })
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}

/// Prints to stdout. Whoever closes the pipe early has read enough.
fn print(text: impl Display) {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
}

fn complain(message: impl Display) {
    writeln!(io::stderr(), "error: {message}").ok();
}

fn failure(message: impl Display) -> ExitCode {
    complain(message);
    ExitCode::FAILURE
}
