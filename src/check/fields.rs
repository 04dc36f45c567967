//! [`Fields`]: the fields of a JSON object, read one by one: every wrong one is reported, and none is ignored.

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::{Map, Value};
use strum::VariantArray;

use super::Invalid;
use crate::{smtp::StartTls, suggest::nearest};

/// Most unknown fields that are reported: an answer to a body full of them stays short.
const MAX_UNKNOWN_FIELDS: usize = 32;
/// Most characters of an unknown field's name that are repeated.
const MAX_NAME_SIZE: usize = 64;

/// No object has more fields that are known.
const MAX_FIELDS: usize = 40;

/// What `starttls` may be besides a boolean.
pub(super) const OPPORTUNISTIC: &str = "opportunistic";

/// The fields of one JSON object. Each method reads one field; a field that none has read is unknown, and refused at
/// the end.
pub(super) struct Fields {
    given: Vec<(String, Value)>,
    known: Vec<&'static str>,
    invalid: Invalid,
}

impl Fields {
    pub(super) fn new(given: Vec<(String, Value)>) -> Self {
        Self { given, known: Vec::with_capacity(MAX_FIELDS), invalid: Invalid::default() }
    }

    /// A string.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.wrong(name, "must be a string"),
        }
    }

    /// A whole number, or a string of digits, as Circonus exports it.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        let number = match self.take(name)? {
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            Value::String(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)).map(T::try_from) {
            Some(Ok(number)) => Some(number),
            _ => self.wrong(name, format_args!("must be a whole number from {} to {}", range.start(), range.end())),
        }
    }

    /// A boolean, or one of the strings by which Circonus exports it.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let given = self.take(name)?;
        flag(&given).or_else(|| self.wrong(name, "must be true or false (the strings true, false, on and off will do)"))
    }

    /// A boolean as for [`Self::flag`], or the word of the opportunistic STARTTLS.
    pub(super) fn start_tls(&mut self, name: &'static str) -> Option<StartTls> {
        let given = self.take(name)?;
        if given == OPPORTUNISTIC {
            return Some(StartTls::Opportunistic);
        }
        match flag(&given) {
            Some(true) => Some(StartTls::Required),
            Some(false) => Some(StartTls::Off),
            None => self.wrong(
                name,
                format_args!("must be true, false or {OPPORTUNISTIC} (the strings true, false, on and off will do)"),
            ),
        }
    }

    /// A list of strings; a string or a number alone counts as a list of one.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let texts = match self.take(name)? {
            Value::Array(elements) => elements.into_iter().map(text_of).collect(),
            one => text_of(one).map(|text| vec![text]),
        };
        texts.or_else(|| self.wrong(name, "must be a string or a list of strings"))
    }

    /// The fields of an object, or of a string that is the JSON of one: a flag, for example. Give them back to
    /// [`Self::close`].
    pub(super) fn object(&mut self, name: &'static str) -> Option<Self> {
        match self.take(name)? {
            Value::Object(object) => Some(Self::new(object.into_iter().collect())),
            Value::String(text) => match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(object) => Some(Self::new(object.into_iter().collect())),
                // Without serde's own text, which may repeat the value.
                Err(error) if error.is_data() => self.wrong(name, "must be an object"),
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    self.wrong(name, format_args!("is not JSON: see line {line}, column {column}"))
                }
            },
            _ => self.wrong(name, "must be an object"),
        }
    }

    /// The members of an object, whose names are the caller's.
    pub(super) fn members(&mut self, name: &'static str) -> Option<Vec<(String, Value)>> {
        let fields = self.object(name)?;
        Some(fields.given.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }

    /// Whether the field is given, valid or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, value)| given == name && !value.is_null())
    }

    /// Adds violations by the members of an object.
    pub(super) fn refuse_within(&mut self, name: &'static str, members: Invalid) {
        self.invalid.add_within(name, members);
    }

    /// Takes over the violations of an object's fields. Returns whether there are none.
    pub(super) fn close(&mut self, name: &'static str, fields: Self) -> bool {
        let violations = fields.finish();
        let is_valid = violations.is_empty();
        self.invalid.add_within(name, violations);
        is_valid
    }

    /// Adds a violation by a field.
    pub(super) fn refuse(&mut self, name: &str, rule: impl Display) {
        self.invalid.add(name, rule);
    }

    /// The value, or a violation by the field `name`.
    pub(super) fn parsed<T, E: Display>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        self.invalid.parsed(name, parsed)
    }

    /// The name of a variant.
    pub(super) fn choice<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: VariantArray + Copy + Into<&'static str>,
    {
        let given = self.take(name)?;
        let chosen = T::VARIANTS.iter().copied().find(|choice| given == Into::<&str>::into(*choice));
        chosen.or_else(|| {
            let names: Vec<&str> = T::VARIANTS.iter().map(|choice| (*choice).into()).collect();
            let number = given.as_number().map(ToString::to_string).filter(|number| names.contains(&number.as_str()));
            match number {
                Some(number) => self.wrong(name, format_args!("must be a text, in quotes: \"{number}\"")),
                None => self.wrong(name, format_args!("must be one of {}", names.join(", "))),
            }
        })
    }

    /// Every violation, the unknown fields included.
    pub(super) fn finish(mut self) -> Invalid {
        for (name, _) in self.given.iter().take(MAX_UNKNOWN_FIELDS) {
            let shown: String = name.chars().take(MAX_NAME_SIZE).collect();
            if self.known.contains(&name.as_str()) {
                self.invalid.add(&shown, "is given twice");
                continue;
            }
            match nearest(&shown, self.known.iter().copied()) {
                Some(known) => self.invalid.add(&shown, format_args!("is no parameter; did you mean `{known}`?")),
                None => self.invalid.add(&shown, "is no parameter"),
            }
        }
        self.invalid
    }

    /// Removes the field. `null` counts as absent.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let at = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(at).1).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self, name: &str, rule: impl Display) -> Option<T> {
        self.invalid.add(name, rule);
        None
    }
}

fn flag(given: &Value) -> Option<bool> {
    match given {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => match word.as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A reply code may be given as a number.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `25.0` is an integer to JSON Schema.
fn whole(number: f64) -> Option<u64> {
    // Below 2^53, every whole number is exact in an f64. No parameter takes a larger one.
    let is_exact = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in the line above")]
    is_exact.then_some(number as u64)
}
