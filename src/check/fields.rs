//! [`Fields`]: the fields of a JSON object, read one by one: every wrong one is reported, and none is ignored.

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::Value;
use strum::VariantArray;

use super::Invalid;
use crate::{smtp::StartTls, suggest::nearest};

/// Most unknown fields that are reported: an answer to a body full of them stays short.
const MAX_UNKNOWN_FIELDS: usize = 32;
/// Most characters of an unknown field's name that are repeated.
const MAX_NAME_SIZE: usize = 64;

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
        Self { given, known: Vec::new(), invalid: Invalid::default() }
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

    /// The name of a variant.
    pub(super) fn choice<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: VariantArray + Copy + Into<&'static str>,
    {
        let given = self.take(name)?;
        let chosen = T::VARIANTS.iter().copied().find(|choice| given == Into::<&str>::into(*choice));
        chosen.or_else(|| {
            let names: Vec<&str> = T::VARIANTS.iter().map(|choice| (*choice).into()).collect();
            self.wrong(name, format_args!("must be one of {}", names.join(", ")))
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

/// `25.0` is an integer to JSON Schema.
fn whole(number: f64) -> Option<u64> {
    // Below 2^53, every whole number is exact in an f64. No parameter takes a larger one.
    let is_exact = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in the line above")]
    is_exact.then_some(number as u64)
}
