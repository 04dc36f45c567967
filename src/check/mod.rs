//! What is to be checked: [`CheckRequest`] as callers write it, and [`Check`], which is valid by construction.
//!
//! [`Check::parse`] is the only door between the two. It reports every violation at once, as [`Invalid`]; past it nothing is checked
//! again. [`Modules`] are requests that the operator has written, but for whom to check.

mod fields;
mod invalid;
mod module;
pub mod request;
mod rules;

use std::time::Duration;

use serde_json::Value;

pub use invalid::{Invalid, Violation};
pub use module::{InvalidModule, Module, ModuleRequest, Modules};
pub use request::{CheckRequest, TlsVerify};

use crate::{
    destination::{IpFamily, Target},
    proxy_header::ProxyHeader,
    smtp::Script,
};

/// Time for a whole check when the caller says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// One check, ready to be run.
#[derive(Clone, Debug)]
pub struct Check {
    /// Whom to connect to.
    pub target: Target,
    /// The TCP port.
    pub port: u16,
    /// The IP version to keep to.
    pub ip_family: IpFamily,
    /// For the whole check, name resolution included.
    pub timeout: Duration,
    /// The PROXY header to send before anything else.
    pub proxy: Option<ProxyHeader>,
    /// What an invalid certificate does.
    pub tls_verify: TlsVerify,
    /// The name for SNI and certificate, where it is not the target's own.
    pub tls_server_name: Option<String>,
    /// What is said to the server.
    pub script: Script,
    /// Whether the dialogue goes into the report.
    pub transcript: bool,
}

impl Check {
    /// Makes a check of the fields of a JSON object, or says everything that is wrong with them.
    ///
    /// `max_timeout` is the operator's; a default timeout is clamped to it, a given one above it refused.
    ///
    /// # Errors
    /// Every violation of the rules that `openapi/openapi.json` has for the parameters, each with its JSON pointer.
    pub fn parse(fields: Vec<(String, Value)>, max_timeout: Duration) -> Result<Self, Invalid> {
        let (request, invalid) = CheckRequest::read(fields, max_timeout);
        rules::Rules::new(invalid).check(request, max_timeout)
    }
}

#[cfg(test)]
mod tests;
