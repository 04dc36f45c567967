//! How a value is read before it is known what it means.

use std::ffi::OsStr;

use clap::{Arg, Command, builder::TypedValueParser, error::Error};

use super::invalid;

/// Reads an element of a list without the spaces around it: people write them behind commas.
#[derive(Clone, Debug)]
pub(super) struct Element<P>(pub P);

impl<P: TypedValueParser> TypedValueParser for Element<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.0.parse_ref(command, argument, value.to_str().map_or(value, |text| OsStr::new(text.trim())))
    }
}

/// Refuses a value without repeating it, as the library's own complaint would: it may hold a secret.
#[derive(Clone, Debug)]
pub(super) struct Unrepeated<F>(pub F);

impl<F, T> TypedValueParser for Unrepeated<F>
where
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, _: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().ok_or_else(|| "not UTF-8".to_owned()).and_then(&self.0);
        let argument = argument.map(ToString::to_string).unwrap_or_default();
        parsed.map_err(|reason| invalid(&format!("invalid value for '{argument}': {reason}")))
    }
}
