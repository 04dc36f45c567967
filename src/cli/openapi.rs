//! `openapi`: the OpenAPI document of the service.

use std::process::ExitCode;

use super::output::{failure, print_result};
use crate::http;

/// Prints the document.
pub(super) fn print_document() -> ExitCode {
    match http::document().to_pretty_json() {
        Ok(document) => print_result(document + "\n"),
        Err(error) => failure(format_args!("the document cannot be written: {error}")),
    }
}
