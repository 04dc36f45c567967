//! The parameters of a check: [`CheckRequest`] as a caller gives them, and [`Check`], which is valid by construction.
//!
//! [`Check::parse`] makes the one of the other. It reports every violation at once, as [`Invalid`]; nothing is
//! validated again later. [`Modules`] are requests in the operator's settings, to which a caller of `/probe` adds the
//! target.

mod expect;
mod fields;
mod invalid;
mod module;
mod no_effect;
pub mod request;
mod rules;

use std::time::Duration;

use serde_json::Value;

pub use invalid::{Invalid, Violation};
pub use module::{InvalidModule, Module, ModuleRequest, Modules};
pub use no_effect::NoEffect;
pub use request::{CheckRequest, TlsVerify};

use crate::{
    destination::{IpFamily, Target},
    proxy_header::ProxyHeader,
    smtp::Script,
};

/// The timeout of a check that is given none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// One check, ready to be run.
#[derive(Clone, Debug)]
pub struct Check {
    /// The server to connect to.
    pub target: Target,
    /// The TCP port.
    pub port: u16,
    /// The IP version to use.
    pub ip_family: IpFamily,
    /// The time limit of the whole check, including name resolution.
    pub timeout: Duration,
    /// The PROXY header to send before anything else.
    pub proxy: Option<ProxyHeader>,
    /// What an invalid certificate does.
    pub tls_verify: TlsVerify,
    /// The name for SNI, which the certificate must bear; `None` for the name of the server.
    pub tls_server_name: Option<String>,
    /// The SMTP session.
    pub script: Script,
    /// Whether the report has a transcript.
    pub transcript: bool,
    /// The parameters that were given and can have no effect.
    pub no_effect: Vec<NoEffect>,
}

impl Check {
    /// Makes a check of the fields of a JSON object.
    ///
    /// `max_timeout` is the operator's. The default timeout is clamped to it; a given one above it is refused.
    ///
    /// # Errors
    /// Every violation of the rules that `openapi/openapi.json` has for the parameters, each with its JSON pointer.
    pub fn parse(fields: Vec<(String, Value)>, max_timeout: Duration) -> Result<Self, Invalid> {
        let (request, invalid) = CheckRequest::read(fields, max_timeout);
        rules::check(request, invalid, max_timeout)
    }
}

#[cfg(test)]
mod tests;
