//! The flags of `run`: one for each parameter of a check, made from the schema that the HTTP door publishes.
//!
//! Their values go as text to the parser that HTTP bodies go through, so that both doors take the same words and complain alike.

use std::iter;

use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::check::CheckRequest;

/// The heading under which `run --help` lists them.
const HEADING: &str = "Parameters of the check";

/// The one parameter that the environment may give: command lines can be read by every user of the machine.
const FROM_ENVIRONMENT: (&str, &str) = ("sasl_password", "SMTP_CHECK_SASL_PASSWORD");

/// The parameters of a check, in the order of the schema.
pub(super) struct Parameters(Vec<Parameter>);

struct Parameter {
    name: String,
    help: String,
    kind: Kind,
}

enum Kind {
    Switch,
    Number,
    Choice(Vec<String>),
    Text,
}

impl Parameters {
    /// Reads the schema of [`CheckRequest`].
    pub(super) fn of_a_check() -> Self {
        let mut named = Vec::new();
        CheckRequest::schemas(&mut named);
        let named: Map<_, _> = named.into_iter().map(|(name, schema)| (name, json(&schema))).collect();
        let RefOr::T(Schema::Object(request)) = CheckRequest::schema() else { return Self(Vec::new()) };
        Self(request.properties.iter().map(|(name, schema)| Parameter::new(name, &json(schema), &named)).collect())
    }

    /// One flag for each.
    pub(super) fn flags(&self) -> impl Iterator<Item = Arg> {
        self.0.iter().map(Parameter::flag)
    }

    /// Those that were given, by their names in the schema.
    pub(super) fn given(&self, matches: &ArgMatches) -> Map<String, Value> {
        let given = self.0.iter().filter(|Parameter { name, .. }| {
            matches!(matches.value_source(name), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        });
        given.filter_map(|parameter| Some((parameter.name.clone(), parameter.value(matches)?))).collect()
    }
}

/// The flag that gives a parameter.
pub fn flag_of(parameter: &str) -> String {
    format!("--{}", parameter.replace('_', "-"))
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
            None if has_type(schema, "boolean") => Kind::Switch,
            None if has_type(schema, "integer") => Kind::Number,
            None => Kind::Text,
        };
        let mut help = text("description").unwrap_or_default().replace('\n', " ");
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
            Kind::Number => flag.value_name("N"),
            Kind::Choice(choices) => flag.value_name(choices.join("|")),
            Kind::Text => flag.value_name("TEXT"),
        };
        // A value may begin with a dash: a payload does as it likes, and a wrong number is for the check's own parser to name.
        let flag = flag.action(ArgAction::Set).allow_hyphen_values(true);
        match FROM_ENVIRONMENT {
            (parameter, variable) if parameter == self.name => flag.env(variable).hide_env_values(true),
            _ => flag,
        }
    }

    fn value(&self, matches: &ArgMatches) -> Option<Value> {
        match self.kind {
            Kind::Switch => Some(Value::Bool(matches.get_flag(&self.name))),
            _ => matches.get_one::<String>(&self.name).cloned().map(Value::String),
        }
    }
}

fn json(schema: &RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// Whether `type` is, or lists, the given one: an optional property's is `["boolean", "null"]`.
fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}
