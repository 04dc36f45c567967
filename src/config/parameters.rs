//! The flags of `run` and `domain` for the parameters of a check: one flag each, made from the JSON schema of the HTTP
//! body.
//!
//! Their values go as text to the parser of HTTP bodies, so that both interfaces accept the same values and give the
//! same errors.

use std::{fmt, iter};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource};
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::check::{CheckRequest, DomainRequest, with_quotations};

/// The heading under which `--help` lists them.
const HEADING: &str = "Parameters of the check";

/// The one parameter that the environment may give: every user of a machine can read its command lines.
const FROM_ENVIRONMENT: (&str, &str) = ("sasl_password", "SMTP_CHECK_SASL_PASSWORD");

/// The value of a switch without one.
const TRUE: &str = "true";

/// The parameters that `run` can read from a file.
pub const FROM_FILE: [&str; 3] = ["payload", "expect", "message"];

/// The parameters that were given to `run`, by their names in the HTTP body.
#[derive(Clone, PartialEq)]
pub struct Parameters(pub Map<String, Value>);

/// By their names alone: a value may be the password.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The parameters that were given to `domain`, by their names in the HTTP body. The first one is no flag: it is the
/// domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainParameters(pub Map<String, Value>);

/// The parameter of `domain` that has no flag.
const POSITIONAL: &str = "domain";

impl Args for DomainParameters {
    fn augment_args(command: Command) -> Command {
        command.args(of_a_domain().iter().map(|parameter| {
            if parameter.name == POSITIONAL {
                Arg::new(POSITIONAL).value_name("DOMAIN").help(&parameter.help).required(true)
            } else {
                parameter.flag()
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DomainParameters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(given(of_a_domain(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Parameters {
    fn augment_args(command: Command) -> Command {
        command.args(of_a_check().iter().map(Parameter::flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Parameters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(given(of_a_check(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The values of those parameters that were given.
fn given(mut parameters: Vec<Parameter>, matches: &ArgMatches) -> Map<String, Value> {
    parameters.retain(|Parameter { name, .. }| {
        matches!(matches.value_source(name), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    });
    let given = parameters.into_iter().filter_map(|parameter| {
        let value = parameter.value(matches)?;
        Some((parameter.name, value))
    });
    given.collect()
}

/// The flag of a parameter or a setting.
pub fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// Whether this argument of `run` is a parameter of the check.
pub(super) fn is_flag_of_parameter(argument: &Arg) -> bool {
    argument.get_help_heading() == Some(HEADING)
}

/// Whether a check, of a server or a domain, has a parameter of this name.
pub(super) fn is_parameter(name: &str) -> bool {
    of_a_check().iter().chain(&of_a_domain()).any(|parameter| parameter.name == name)
}

/// A text about the parameters, with each one's flag in place of what the HTTP body has: `starttls` and
/// `starttls: true` become `--starttls`, and `proxy_version: 2` becomes `--proxy-version 2`.
pub fn in_flags(text: &str) -> String {
    by_sources(text, flag_of)
}

/// The same, with what gave each parameter its value in place of its flag.
pub fn by_sources(text: &str, source_of: impl Fn(&str) -> String) -> String {
    let parameters = of_a_check();
    with_quotations(text, |quoted| {
        let (name, value) = quoted.split_once(": ").unwrap_or((quoted, "true"));
        match parameters.iter().any(|parameter| parameter.name == name) {
            true if value == "true" => source_of(name),
            true => format!("{} {value}", source_of(name)),
            false => quoted.to_owned(),
        }
    })
}

struct Parameter {
    name: String,
    help: String,
    kind: Kind,
}

enum Kind {
    Switch,
    /// A switch that may be given a word.
    SwitchOr(String),
    Number,
    Choice(Vec<String>),
    /// Texts, with commas between them.
    List,
    /// An object as JSON.
    Object,
    Text,
}

/// The parameters of the check of a server.
fn of_a_check() -> Vec<Parameter> {
    of_schema::<CheckRequest>()
}

/// The parameters of the check of a domain.
fn of_a_domain() -> Vec<Parameter> {
    of_schema::<DomainRequest>()
}

/// The parameters in the schema of a request, in its order.
fn of_schema<R: ToSchema>() -> Vec<Parameter> {
    let mut named = Vec::new();
    R::schemas(&mut named);
    let named: Map<_, _> = named.into_iter().map(|(name, schema)| (name, json(&schema))).collect();
    let RefOr::T(Schema::Object(request)) = R::schema() else { return Vec::new() };
    request.properties.iter().map(|(name, schema)| Parameter::new(name, &json(schema), &named)).collect()
}

impl Parameter {
    /// `schema` is the property's own; it may point to one of the `named`.
    fn new(name: &str, schema: &Value, named: &Map<String, Value>) -> Self {
        // An optional property of a named type is `oneOf` that type and null.
        let alternatives = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let schemas: Vec<&Value> = iter::once(schema).chain(alternatives).collect();
        let text = |key: &str| schemas.iter().find_map(|schema| schema.get(key)).and_then(Value::as_str);
        let choices = text("$ref").and_then(|path| named.get(path.rsplit('/').next()?)?.get("enum")?.as_array());
        let kind = match choices {
            Some(choices) => Kind::Choice(choices.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            None if has_type(schema, "boolean") => match word_beside_boolean(schema) {
                Some(word) => Kind::SwitchOr(word),
                None => Kind::Switch,
            },
            None if has_type(schema, "integer") => Kind::Number,
            None if has_type(schema, "array") => Kind::List,
            None if text("$ref").is_some() => Kind::Object,
            None => Kind::Text,
        };
        let mut help = text("description").unwrap_or_default().replace('\n', " ");
        if FROM_FILE.contains(&name) {
            help += " `@FILE` is the content of a file, `-` that of stdin.";
        }
        match schema.get("default") {
            Some(Value::String(default)) if !default.is_empty() => help += &format!(" [default: {default}]"),
            Some(Value::Number(default)) => help += &format!(" [default: {default}]"),
            _ => {}
        }
        Self { name: name.to_owned(), help, kind }
    }

    fn flag(&self) -> Arg {
        let flag = Arg::new(self.name.clone()).long(self.name.replace('_', "-")).help(&self.help).help_heading(HEADING);
        let flag = match &self.kind {
            Kind::Switch => return flag.action(ArgAction::SetTrue),
            Kind::SwitchOr(word) => {
                // Without the equals sign, the next argument would be taken for the word.
                let flag = flag.action(ArgAction::Set).num_args(0..=1).require_equals(true);
                return flag.default_missing_value(TRUE).value_name(word.clone());
            }
            Kind::Number => flag.value_name("N"),
            Kind::Choice(choices) => flag.value_name(choices.join("|")),
            Kind::List => flag.value_name("TEXT").value_delimiter(','),
            Kind::Object => flag.value_name("JSON"),
            Kind::Text => flag.value_name("TEXT"),
        };
        // A payload may begin with a dash, and a negative number gets its error from the check's own parser.
        let flag = flag.action(ArgAction::Set).allow_hyphen_values(true);
        match FROM_ENVIRONMENT {
            (parameter, variable) if parameter == self.name => flag.env(variable).hide_env_values(true),
            _ => flag,
        }
    }

    fn value(&self, matches: &ArgMatches) -> Option<Value> {
        match self.kind {
            Kind::Switch => Some(Value::Bool(matches.get_flag(&self.name))),
            Kind::SwitchOr(_) => matches.get_one::<String>(&self.name).map(|word| match word.as_str() {
                TRUE => Value::Bool(true),
                word => Value::String(word.to_owned()),
            }),
            Kind::List => {
                let texts = matches.get_many::<String>(&self.name)?;
                Some(Value::Array(texts.map(|text| Value::String(text.trim().to_owned())).collect()))
            }
            _ => matches.get_one::<String>(&self.name).cloned().map(Value::String),
        }
    }
}

fn json(schema: &RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// The word that a schema allows beside a boolean: its examples have one.
fn word_beside_boolean(schema: &Value) -> Option<String> {
    let mut examples = schema.get("examples")?.as_array()?.iter();
    examples.find_map(Value::as_str).map(str::to_owned)
}

/// Whether `type` is, or lists, the given one: an optional property's is `["boolean", "null"]`.
fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}
