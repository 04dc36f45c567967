//! The flags of `run`: one for each parameter of a check, made from the JSON schema that the HTTP door publishes.
//!
//! Their values go as text to the parser that HTTP bodies go through, so that both doors take the same words and complain alike.

use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};
use serde_json::{Map, Value};

/// The heading under which `run --help` lists them.
const HEADING: &str = "Parameters of the check";

/// The one parameter that the environment may give: command lines can be read by every user of the machine.
const FROM_ENVIRONMENT: (&str, &str) = ("sasl_password", "SMTP_CHECK_SASL_PASSWORD");

/// One flag per property of the schema.
pub(super) fn flags(request: &Value) -> Vec<Arg> {
    properties(request).map(|(name, schema)| flag(name, schema)).collect()
}

/// The parameters that were given, by their names in the schema.
pub(super) fn given(request: &Value, matches: &ArgMatches) -> Map<String, Value> {
    properties(request)
        .filter(|(name, _)| {
            matches!(matches.value_source(name), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        })
        .filter_map(|(name, schema)| {
            let value = if is_boolean(schema) {
                Value::Bool(matches.get_flag(name))
            } else {
                Value::String(matches.get_one::<String>(name)?.clone())
            };
            Some((name.clone(), value))
        })
        .collect()
}

/// The flag that gives a parameter.
pub fn flag_of(parameter: &str) -> String {
    format!("--{}", parameter.replace('_', "-"))
}

fn properties(request: &Value) -> impl Iterator<Item = (&String, &Value)> {
    request.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn flag(name: &str, schema: &Value) -> Arg {
    let help = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let flag = Arg::new(name.to_owned()).long(name.replace('_', "-")).help(help.to_owned()).help_heading(HEADING);
    let flag = if is_boolean(schema) {
        flag.action(ArgAction::SetTrue)
    } else {
        // A value may begin with a dash: a payload does as it likes, and a wrong number is for the check's own parser to name.
        flag.action(ArgAction::Set).value_name(value_name(schema)).allow_hyphen_values(true)
    };
    match FROM_ENVIRONMENT {
        (parameter, variable) if parameter == name => flag.env(variable).hide_env_values(true),
        _ => flag,
    }
}

fn is_boolean(schema: &Value) -> bool {
    has_type(schema, "boolean")
}

fn value_name(schema: &Value) -> &'static str {
    if has_type(schema, "integer") { "N" } else { "TEXT" }
}

/// Whether `type` is, or lists, the given one: an optional property's is `["boolean", "null"]`.
fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}
