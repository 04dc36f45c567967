//! Errors of the command line that say what was probably meant, and which source of a value is wrong.

use std::ffi::OsString;

use clap::{
    Arg, ArgMatches, Command,
    builder::Resettable,
    error::{ContextKind, ContextValue, Error, ErrorKind},
    parser::ValueSource,
};

use super::{
    file, flag_of, invalid,
    reason::{reason, value_error},
    values::switch,
};
use crate::escape::{Escaped, is_harmful};

/// The error in better words, where there are some.
pub(super) fn explained(command: &Command, arguments: &[OsString], error: Error) -> Error {
    let subcommand = arguments.get(1).map(|name| name.to_string_lossy()).unwrap_or_default();
    let better = match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => of_a_variable(command, arguments),
        ErrorKind::UnknownArgument => unknown_argument(command, &subcommand, arguments, &error),
        ErrorKind::TooManyValues => match (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue)) {
            (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) => value_of_switch(flag, value),
            _ => None,
        },
        ErrorKind::InvalidSubcommand => recipient(&subcommand).map(|to| {
            let message = format!("`{subcommand}` is no subcommand; to check it: smtp-check run {to}");
            invalid(&message)
        }),
        _ => None,
    };
    better.unwrap_or(error)
}

/// The argument, safe to show.
pub(super) fn escaped(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.contains(is_harmful) => Escaped(text).to_string().into(),
        _ => argument,
    }
}

/// The flags whose values are from the environment, each with its variable.
#[derive(Clone, Debug, Default)]
pub(super) struct FromVariables(Vec<(String, String)>);

impl FromVariables {
    pub(super) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let Some((name, matches)) = matches.subcommand() else { return Self::default() };
        let arguments = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
        let given = arguments.filter_map(|argument| {
            let (id, variable) = (argument.get_id().as_str(), argument.get_env()?);
            let is_given = matches.value_source(id) == Some(ValueSource::EnvVariable);
            is_given.then(|| (flag_of(id), variable.to_string_lossy().into_owned()))
        });
        Self(given.collect())
    }

    /// The flag, or the variable that gave its value.
    pub(super) fn source_of(&self, flag: &str) -> String {
        match self.0.iter().find(|(of_variable, _)| of_variable == flag) {
            Some((_, variable)) => format!("{variable} ({flag})"),
            None => flag.to_owned(),
        }
    }

    /// The error; if it begins with the flag of a value that a variable gave, it begins with the variable instead.
    pub(super) fn blamed(&self, error: Error) -> Error {
        let text = reason(&error);
        let blamed = self.0.iter().find_map(|(flag, _)| {
            let rest = text.strip_prefix(flag.as_str())?;
            let is_whole = rest.starts_with([':', ' ']);
            is_whole.then(|| invalid(&format!("{}{rest}", self.source_of(flag))))
        });
        blamed.unwrap_or(error)
    }
}

/// The error of the first variable with a bad value, if the command line by itself is good.
fn of_a_variable(command: &Command, arguments: &[OsString]) -> Option<Error> {
    let without = command
        .clone()
        .mut_subcommands(|subcommand| subcommand.mut_args(|argument| argument.env(Resettable::Reset)))
        .try_get_matches_from(arguments);
    without.ok()?;
    let subcommand = command.find_subcommand(arguments.get(1)?)?;
    subcommand.get_arguments().find_map(|argument| {
        let variable = argument.get_env()?.to_string_lossy();
        let error = alone(argument.clone())?;
        let flag = flag_of(argument.get_id().as_str());
        Some(invalid(&format!("{variable} ({flag}): {}", value_error(&error))))
    })
}

/// The error of this argument, if nothing else is given.
fn alone(argument: Arg) -> Option<Error> {
    // What it requires or conflicts with is not defined here.
    let alone = Command::new("smtp-check").arg(argument.required(false));
    alone.try_get_matches_from(["smtp-check"]).err()
}

fn unknown_argument(command: &Command, subcommand: &str, arguments: &[OsString], error: &Error) -> Option<Error> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    let has = |name: &str| {
        let arguments = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
        arguments.map(|argument| flag_of(argument.get_id().as_str())).any(|flag| flag == *given)
    };
    let message = if !given.starts_with('-') {
        let before = arguments.windows(2).find(|pair| pair[1].to_str() == Some(given.as_str()));
        let switch = before.and_then(|pair| pair[0].to_str()).filter(|flag| flag.starts_with("--"));
        let is_of_flag = |flag: &&str| {
            let arguments = command.find_subcommand(subcommand).into_iter().flat_map(Command::get_arguments);
            arguments
                .filter(|argument| argument.is_require_equals_set())
                .any(|argument| flag_of(argument.get_id().as_str()) == **flag)
        };
        if let Some(flag) = switch.filter(is_of_flag).filter(|_| switch_or_mode(given)) {
            return Some(invalid(&format!("{flag} and its value are one word: {flag}={given}")));
        }
        if let Some(error) = switch.and_then(|flag| value_of_switch(flag, given)) {
            return Some(error);
        }
        stray_word(subcommand, given)?
    } else if file::settings(command).any(|setting| flag_of(setting.get_id().as_str()) == *given) {
        format!("{given} is a setting of the service, which `{subcommand}` does not use")
    } else if subcommand != "run" && has("run") {
        format!("{given} is a flag of `run`, which `{subcommand}` does not have")
    } else {
        return value_with_a_dash(command, subcommand, arguments, given);
    };
    Some(invalid(&message))
}

/// The error of a value that begins with a dash, such as a negative number: the parser takes it for flags of one
/// letter, of which `letter` is the first.
fn value_with_a_dash(command: &Command, subcommand: &str, arguments: &[OsString], letter: &str) -> Option<Error> {
    let is_it =
        |value: &OsString| value.to_str().is_some_and(|value| value.starts_with(letter) && !value.starts_with("--"));
    let index = arguments.windows(2).position(|pair| is_it(&pair[1]))?;
    let (flag, value) = (arguments[index].to_str()?, arguments[index + 1].to_str()?);
    let mut of_subcommand = command.find_subcommand(subcommand)?.get_arguments();
    of_subcommand
        .find(|argument| argument.get_action().takes_values() && flag_of(argument.get_id().as_str()) == flag)?;
    let in_one_word = format!("{flag}={value}");
    let mut arguments = arguments.to_vec();
    arguments.splice(index..=index + 1, [OsString::from(&in_one_word)]);
    let error = command.clone().try_get_matches_from(&arguments).err();
    Some(error.map_or_else(
        || invalid(&format!("{flag} and a value with a dash in front are one word: {in_one_word}")),
        |error| explained(command, &arguments, error),
    ))
}

/// Whether a word behind a flag looks like its value.
fn switch_or_mode(word: &str) -> bool {
    switch(word).is_ok() || word == "opportunistic"
}

/// The error of a flag that is on where it stands, and that was given a value.
fn value_of_switch(flag: &str, value: &str) -> Option<Error> {
    let hint = if switch(value).ok()? { "the flag alone is enough" } else { "leave it out to have it off" };
    Some(invalid(&format!("{flag} takes no value such as `{value}`: {hint}")))
}

/// The flag that a word without one probably belongs to.
fn stray_word(subcommand: &str, word: &str) -> Option<String> {
    let flag = match subcommand {
        "run" => recipient(word).unwrap_or_else(|| format!("--target {word}")),
        "serve" | "demo" | "healthcheck" => format!("--listen {word}"),
        _ => return None,
    };
    Some(format!("`{word}` needs a flag in front of it, such as `{flag}`"))
}

/// The flag for a word that looks like a mailbox.
fn recipient(word: &str) -> Option<String> {
    word.contains('@').then(|| format!("--to {word}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::{CommandLine, in_flags};

    /// Parses without the environment, which is that of the test run.
    fn parse(arguments: &[&str]) -> Result<CommandLine, Error> {
        let without_environment = |argument: Arg| argument.env(Resettable::Reset);
        let command = CommandLine::command().mut_subcommands(|subcommand| subcommand.mut_args(without_environment));
        CommandLine::parse(command, ["smtp-check"].iter().chain(arguments).map(OsString::from).collect())
    }

    /// Each error names what was given, in words about that, and says what would be right.
    #[test]
    fn a_mistake_is_named_with_what_was_probably_meant() {
        for (arguments, expected) in [
            (&["--listen=localhost:2599"][..], &["'--listen", "an IP address and a port, such as 127.0.0.1:2599"][..]),
            (&["--listen=2580"], &["such as 127.0.0.1:2580"]),
            (&["--listen=:80"], &["such as 127.0.0.1:80"]),
            (&["--listen=::1"], &["such as [::1]:2580"]),
            (&["--listen=::1:2580"], &["such as [::1]:2580"]),
            (&["--listen=2001:db8::1:443"], &["such as [2001:db8::1]:443"]),
            (&["--listen=1:2:3:4:5:6:7:8:25"], &["such as [1:2:3:4:5:6:7:8]:25"]),
            (&["--listen=2001:db8::1"], &["such as [2001:db8::1]:2580"]),
            (&["--listen=fe80::ab:cd"], &["such as [fe80::ab:cd]:2580"]),
            (&["--listen=10.0.0.1"], &["such as 10.0.0.1:2580"]),
            (&["--listen=mx.test:25"], &["such as 127.0.0.1:2580 or [::1]:2580"]),
            (&["run", "--to=a@b.test", "--watch=5"], &["'--watch", "needs a unit: 5s or 5ms"]),
            (&["--header-timeout=1.5"], &["needs a unit: 1.5s"]),
            (&["--header-timeout=soon"], &["a whole number and a unit, such as 500ms, 30s or 5m"]),
            (&["--max-body=1Mo"], &["a number and a unit, such as 1MiB or 500KiB"]),
            (&["--max-checks=abc"], &["a whole number from 1 to 1000000"]),
            (&["--max-connections=1e3"], &["a whole number from 1 to 4000000"]),
            (&["--target-ports=smtp"], &["a whole number from 1 to 65535"]),
            (&["run", "--to=a@b.test", "--nagios", "--cert-warning=-1"], &["a whole number from 0 to"]),
            (&["--max-checks", "-1"], &["'--max-checks", "a whole number from 1 to 1000000"]),
            (&["serve", "--max-checks", "-1"], &["'--max-checks", "a whole number from 1 to 1000000"]),
            (&["serve", "--max-body", "-1Mo"], &["'--max-body", "a number and a unit, such as 1MiB or 500KiB"]),
            (&["serve", "--max-checks", "-1", "--max-body", "-1"], &["'--max-checks", "a whole number from 1"]),
            (&["serve", "--target-ports", "-25,26"], &["'--target-ports", "a whole number from 1 to 65535"]),
            (&["--listen", "-1"], &["'--listen", "an IP address and a port"]),
            (&["run", "--to=a@b.test", "--watch", "-5s"], &["'--watch", "a whole number and a unit"]),
            (&["run", "--to=a@b.test", "--nagios", "--cert-warning", "-1"], &["'--cert-warning", "from 0 to"]),
            (&["serve", "--tokens-file", "-x"], &["one word: --tokens-file=-x"]),
            (&["serve", "--max-checks", "1", "-x"], &["unexpected argument '-x'"]),
            (&["run", "a@b.test"], &["`--to a@b.test`"]),
            (&["run", "mx.test"], &["`--target mx.test`"]),
            (
                &["run", "--to=a@b.test", "--implicit-tls", "true"],
                &["--implicit-tls takes no value", "alone is enough"],
            ),
            (&["run", "--implicit-tls", "off", "--to=a@b.test"], &["--implicit-tls takes no value", "leave it out"]),
            (&["run", "--implicit-tls=true"], &["--implicit-tls takes no value"]),
            (&["run", "--starttls", "off", "--to=a@b.test"], &["one word: --starttls=off"]),
            (&["run", "--starttls", "opportunistic"], &["one word: --starttls=opportunistic"]),
            (&["run", "--json=no"], &["--json takes no value", "leave it out"]),
            (&["serve", "--allow-unauthenticated", "yes"], &["--allow-unauthenticated takes no value"]),
            (&["run", "--starttls", "mx.test"], &["`--target mx.test`"]),
            (&["serve", "0.0.0.0:80"], &["`--listen 0.0.0.0:80`"]),
            (&["healthcheck", "127.0.0.1:80"], &["`--listen 127.0.0.1:80`"]),
            (&["a@b.test"], &["smtp-check run --to a@b.test"]),
            (&["serve", "--to=a@b.test"], &["--to is a flag of `run`"]),
            (&["--starttls"], &["--starttls is a flag of `run`"]),
        ] {
            let error = parse(arguments).expect_err("a mistake");
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            for part in expected {
                assert!(error.to_string().contains(part), "{arguments:?}: {error} should say {part}");
            }
            assert!(!error.to_string().contains("invalid digit"), "{error}");
        }
    }

    #[test]
    fn text_about_parameters_names_their_flags() {
        let text = in_flags("is required unless `sasl_authentication` is `off`, as `to` and `no_such`");
        assert_eq!(text, "is required unless `--sasl-authentication` is `off`, as `--to` and `no_such`");
        let text = in_flags("give `starttls: true`, `proxy_version: 2` or `no_such: 1`; a lone ` is `to");
        assert_eq!(text, "give `--starttls`, `--proxy-version 2` or `no_such: 1`; a lone ` is `to");
    }

    #[test]
    fn a_reason_is_one_line_with_the_possible_values() {
        let error = parse(&["--log-format=xml"]).expect_err("no such format");
        assert_eq!(reason(&error), "invalid value 'xml' for '--log-format <FORMAT>' [possible values: text, json]");
    }
}
