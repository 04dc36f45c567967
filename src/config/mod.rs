//! Command line and settings: every flag, environment variable and key of the settings file, read in one place.
//!
//! A flag wins over the environment, the environment over the file, the file over the default. The file's values are
//! given to the parser of the command line as defaults ([`mod@file`]), so that one parser checks all four layers and
//! words every error.
//!
//! Each subcommand has the [`settings`] that it uses. Only [`crate::cli`] reads these types; every layer below gets
//! smaller settings of its own.

mod domain;
mod environment;
mod file;
mod named;
mod parameters;
mod reason;
mod run;
mod settings;
mod subcommand;
mod usage_errors;
mod values;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{Error, ErrorKind},
};

use crate::{escape::Escaped, http::TokenName};

pub use domain::Domain;
pub use environment::UnknownVariable;
pub use parameters::{FROM_FILE, Parameters, by_sources, flag_of, in_flags};
pub use reason::reason;
pub use run::{Limit, Run, Thresholds};
pub use settings::{ConfigFile, ListenSettings, ServeSettings, TargetSettings, TelemetrySettings};

use named::NamedTables;
use usage_errors::FromVariables;

const OPENAPI_HELP: &str = "It uses no setting, variable or file: the document is part of the program, and goes to \
    stdout.\nExit code 0, or 1 if it cannot be written.\n\n  smtp-check openapi > openapi.json";
const TOKEN_HELP: &str = "It uses no setting, variable or file, and stores nothing. On a terminal the output is \
    explained; elsewhere the\nfirst line is the token, and the second its line for --tokens-file.\n\n  \
    smtp-check token monitoring | { read -r token; cat >> tokens; }";

/// The subcommand and its settings, all layers merged.
#[derive(Debug, Parser)]
#[command(name = "smtp-check", version, about, override_usage = "smtp-check [COMMAND] [OPTIONS]")]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Environment variables that look like settings, but are none.
    #[arg(skip)]
    pub unknown_variables: Vec<UnknownVariable>,
    /// The flags whose values are from the environment, each with its variable.
    #[arg(skip)]
    from_variables: FromVariables,
}

/// The subcommands.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Serve checks over HTTP (the default command)
    Serve(Box<ServeSettings>),
    /// Run a check and print its report: exit code 0 success, 1 failed check, 2 bad usage. Without --stop-after the
    /// check delivers a real message
    Run(Box<Run>),
    /// Check what a domain publishes and every address of its mail servers, and print a report. No mail is sent. Exit
    /// code 0 no error, 1 errors, 2 bad usage, 3 inconclusive
    Domain(Box<Domain>),
    /// Serve together with a built-in sandbox mail server, and run a first check against it
    Demo(Box<ServeSettings>),
    /// Print the OpenAPI document
    #[command(after_help = OPENAPI_HELP)]
    Openapi,
    /// Ask the service at --listen whether it is alive: exit code 0 yes, 1 no
    Healthcheck(Healthcheck),
    /// Make a bearer token: print it, and its line for --tokens-file
    #[command(after_help = TOKEN_HELP)]
    Token(Token),
}

/// Settings of `healthcheck`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Healthcheck {
    /// The settings file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Where the service listens.
    #[command(flatten)]
    pub service: ListenSettings,
}

/// Arguments of `token`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Token {
    /// Name of the token's holder in the log
    pub name: TokenName,
}

impl CommandLine {
    /// Reads the command line, the environment and the settings file.
    ///
    /// # Errors
    /// The parser's own error, with its exit code: 0 for `--help` and `--version`, 2 for a mistake, which it names.
    pub fn parse_from<I>(arguments: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let command = Self::command();
        let unknown_variables = environment::unknown(&command);
        let command = command.mut_subcommands(|subcommand| subcommand.mut_args(environment::without_empty));
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let line = Self::parse(command.clone(), arguments.clone()).map_err(|error| {
            // The parser repeats an argument as it is, and it may move the cursor.
            let shown = arguments.into_iter().map(usage_errors::escaped).collect();
            Self::parse(command, shown).err().unwrap_or(error)
        })?;
        Ok(Self { unknown_variables, ..line })
    }

    /// What gave this parameter or setting its value: its flag, or the variable.
    pub fn source_of(&self, name: &str) -> String {
        self.from_variables.source_of(&flag_of(name))
    }

    /// An error that shows only now, with the variable that gave the value, if it was one.
    pub fn blamed(&self, error: Error) -> Error {
        self.from_variables.blamed(error)
    }

    fn parse(command: clap::Command, arguments: Vec<OsString>) -> Result<Self, Error> {
        let arguments = subcommand::moved_to_front(&command, arguments);
        let parsed = command.clone().try_get_matches_from(&arguments);
        let matches = parsed.map_err(|error| usage_errors::explained(&command, &arguments, error))?;
        let from_variables = FromVariables::of(&command, &matches);
        let line = Self::complete(command, arguments, matches).map_err(|error| from_variables.blamed(error))?;
        Ok(Self { from_variables, ..line })
    }

    /// The settings of all layers, given what the first pass read.
    fn complete(
        mut command: clap::Command,
        arguments: Vec<OsString>,
        mut matches: clap::ArgMatches,
    ) -> Result<Self, Error> {
        let mut named = NamedTables::default();
        let subcommand = matches.subcommand();
        if let Some(Ok(Some(path))) = subcommand.map(|(_, matches)| matches.try_get_one::<PathBuf>("config")) {
            // Parsed again: only the first pass tells which file to read.
            (command, named) = file::with_defaults_of(command, path)?;
            matches = command.try_get_matches_from_mut(arguments)?;
        }
        let mut line = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match &mut line.command {
            Command::Serve(settings) | Command::Demo(settings) => settings.complete(named)?,
            Command::Run(run) => run.complete(named)?,
            Command::Domain(domain) => domain.complete(),
            Command::Openapi | Command::Healthcheck(_) | Command::Token(_) => {}
        }
        Ok(line)
    }
}

/// An error in the parser's own form, with its exit code 2. What it quotes is escaped.
pub fn invalid(message: &str) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{}\n", Escaped(message)))
}

#[cfg(test)]
mod tests;
