//! The settings file: TOML. Its keys are the settings' names with underscores; the tables below some other keys have
//! names of the operator's choice ([`super::named`]).

use std::{fs, path::Path};

use clap::{Arg, Command, CommandFactory, Error, builder::Resettable};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{
    CommandLine, invalid,
    named::{KEYS, MODULES, NamedTables, Tables},
    parameters::{is_flag_of_parameter, is_parameter},
    reason::value_error,
};
use crate::{os_error, suggest::nearest};

/// The command, with the file's values as the defaults of all subcommands, and the file's tables with names. One file
/// may serve all subcommands: a setting that a subcommand does not have is checked, and otherwise ignored.
///
/// # Errors
/// Each names the file, and the key if it is about one.
pub(super) fn with_defaults_of(command: Command, path: &Path) -> Result<(Command, NamedTables), Error> {
    let file = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| invalid(&format!("--config: cannot read {file}: {}", os_error::of_system(&error))))?;
    let mut table = text.parse::<Table>().map_err(|error| {
        let line = 1 + text.bytes().take(error.span().unwrap_or_default().start).filter(|byte| *byte == b'\n').count();
        // Without the line itself, which toml's own error shows: it may hold a password.
        invalid(&format!("--config: {file} is not TOML: line {line}: {}", error.message().replace('\n', ", ")))
    })?;
    let in_file = |message: String| invalid(&format!("{file}: {message}"));
    let mut named = NamedTables::default();
    for key in KEYS {
        *named.below(key) = tables(key, table.remove(key)).map_err(in_file)?;
    }
    let command = table.iter().try_fold(command, with_default).map_err(in_file)?;
    Ok((command, named))
}

/// The tables with names, of a file that must be as at a start.
pub(super) fn tables_of(path: &Path) -> Result<NamedTables, Error> {
    // To read a pipe a second time would wait without end.
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(invalid(&format!("--config: {} is no regular file", path.display())));
    }
    with_defaults_of(CommandLine::command(), path).map(|(_, named)| named)
}

fn tables(below: &str, value: Option<Value>) -> Result<Tables, String> {
    let table = |key: String, value| match value {
        Value::Table(table) => Ok(table),
        other => Err(wrong_type(&key, "a table", &other)),
    };
    let named = value.map_or(Ok(Table::new()), |value| table(below.to_owned(), value))?;
    let tables = named.into_iter().map(|(name, value)| {
        let parameters = table(format!("{below}.{name}"), value)?;
        Ok((name, parameters.into_iter().map(|(key, value)| (key, json(value))).collect()))
    });
    tables.collect()
}

fn wrong_type(key: &str, expected: &str, found: &Value) -> String {
    format!("key `{key}`: must be {expected}, found {}", found.type_str())
}

/// The value as the parser of a check's parameters takes it. No parameter is a date: that parser refuses an array of
/// arrays.
fn json(value: Value) -> Json {
    match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Boolean(on) => on.into(),
        // JSON has no NaN, and `null` would mean an absent parameter.
        Value::Float(number) => serde_json::Number::from_f64(number).map_or_else(nothing, Json::Number),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
        Value::Datetime(_) => nothing(),
    }
}

/// A value that no parameter takes.
fn nothing() -> Json {
    Json::Array(vec![Json::Array(Vec::new())])
}

fn with_default(command: Command, (key, value): (&String, &Value)) -> Result<Command, String> {
    let Some(setting) = settings(&command).find(|setting| setting.get_id() == key.as_str()) else {
        let known = settings(&command).map(|setting| setting.get_id().as_str()).chain(KEYS);
        let nearest = nearest(key, known);
        let hint = match nearest {
            _ if is_parameter(key) => format!(": parameters of a check go into a table `[{MODULES}.NAME]`"),
            Some(known) if KEYS.contains(&known) => format!(", did you mean `[{known}.NAME]`?"),
            Some(known) => format!(", did you mean `{known}`?"),
            None => String::new(),
        };
        return Err(format!("unknown key `{key}`{hint}"));
    };
    let values = texts(setting, value).map_err(|expected| wrong_type(key, expected, value))?;
    // Parsed alone: a bad value is found even if a stronger layer hides it, and the error is surely about this key.
    let setting = setting.clone().env(Resettable::Reset).default_values(values.clone());
    if let Err(error) = Command::new("smtp-check").arg(&setting).try_get_matches_from(["smtp-check"]) {
        return Err(format!("key `{key}`: {}", value_error(&error)));
    }
    // A parameter of `run` may have the name of a setting, and is none.
    let is_it = |argument: &Arg| argument.get_id() == key.as_str() && !is_flag_of_parameter(argument);
    let with_value = |argument: Arg| if is_it(&argument) { argument.default_values(values.clone()) } else { argument };
    Ok(command.mut_subcommands(|subcommand| subcommand.mut_args(with_value)))
}

/// What a file may set: the options of the service, except `--config` itself.
pub(super) fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    let service = command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments);
    service.filter(|argument| !["config", "help"].contains(&argument.get_id().as_str()))
}

/// The value as the command line would write it, or what it should have been.
fn texts(setting: &Arg, value: &Value) -> Result<Vec<String>, &'static str> {
    let is_flag = !setting.get_action().takes_values();
    let is_list = setting.get_value_delimiter().is_some();
    match value {
        Value::Boolean(on) if is_flag => Ok(vec![on.to_string()]),
        _ if is_flag => Err("true or false"),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Integer(number) => Ok(vec![number.to_string()]),
        Value::Array(elements) if is_list => elements
            .iter()
            .map(|element| match element {
                Value::String(text) => Ok(text.clone()),
                Value::Integer(number) => Ok(number.to_string()),
                _ => Err("a list of strings or numbers"),
            })
            .collect(),
        _ if is_list => Err("a string, a number or a list of them"),
        _ => Err("a string or a number"),
    }
}
