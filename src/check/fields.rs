//! Reading JSON fields one by one, so that every wrong one is reported and none is ignored.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use serde_json::Value;

use super::Invalid;
use crate::suggest::nearest;

/// So many unknown fields are reported; a body full of them needs no longer answer.
const UNKNOWN_LIMIT: usize = 32;
/// How much of an unknown field's name is repeated, in characters.
const NAME_LIMIT: usize = 64;

/// The fields of one JSON object. Asking for a name makes it known; [`Fields::finish`] refuses what was never asked for.
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

    /// A whole number, or the same in a string, as Circonus exports it.
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

    /// A boolean, or one of the strings that Circonus exports for it.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let flag = match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            Value::String(word) => match word.as_str() {
                "true" | "on" => Some(true),
                "false" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.or_else(|| self.wrong(name, "must be true or false (the strings true, false, on and off will do)"))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let given = self.take(name)?;
        let chosen = choices.iter().find(|(word, _)| given.as_str() == Some(word));
        match chosen {
            Some((_, choice)) => Some(*choice),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                self.wrong(name, format_args!("must be one of {}", words.join(", ")))
            }
        }
    }

    /// A string of some form.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        self.invalid.take(name, text.parse())
    }

    /// Refuses what is left, and hands over all that was wrong.
    pub(super) fn finish(mut self) -> Invalid {
        for (name, _) in self.given.iter().take(UNKNOWN_LIMIT) {
            let shown: String = name.chars().take(NAME_LIMIT).collect();
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

    /// Takes the field out. `null` stands for an absent field.
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

/// `25.0` is an integer to JSON Schema.
fn whole(number: f64) -> Option<u64> {
    // All numbers that a parameter takes are far below 2^53, up to which each whole f64 is exact.
    let is_exact = number.fract() == 0.0 && (0.0..9e15).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in the line above")]
    is_exact.then_some(number as u64)
}
