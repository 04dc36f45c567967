//! How a value is read before it is known what it means.

use std::ffi::OsStr;

use clap::{Arg, Command, builder::TypedValueParser, error::Error};

/// Reads an element of a list without the spaces around it: people write them behind commas.
#[derive(Clone, Debug)]
pub(super) struct Element<P>(pub P);

impl<P: TypedValueParser> TypedValueParser for Element<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.0.parse_ref(command, argument, value.to_str().map_or(value, |text| OsStr::new(text.trim())))
    }
}
