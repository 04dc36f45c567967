//! The parameters of a check: [`CheckRequest`] as a caller gives them, and [`Check`], which is valid by construction.
//!
//! [`Check::parse`] makes the one of the other. It reports every violation at once, as [`Invalid`]; nothing is
//! validated again later. [`Modules`] are requests in the operator's settings, to which a caller of `/probe` adds the
//! target. [`CheckSettings`] is what the operator's settings let all of them use.

mod client_certificate;
mod dkim;
pub mod domain;
mod expect;
mod fields;
mod given;
mod invalid;
mod message;
mod module;
mod no_effect;
pub mod request;
mod rules;
mod sasl;
mod settings;
mod source_address;

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde_json::Value;

pub use client_certificate::ClientCertificate;
pub use dkim::{DkimAlgorithm, DkimKey, InvalidDkimName};
pub use domain::{DomainCheck, DomainExpectations, DomainRequest};
pub use given::Given;
pub use invalid::{Invalid, Violation, with_quotations};
pub use message::{HeaderAddress, InvalidHeaderAddress, Message, MessageRequest};
pub use module::{InvalidModule, Module, ModuleRequest, Modules};
pub use no_effect::NoEffect;
pub use request::{CheckRequest, TlsVerify, TlsVersion};
pub use settings::{CheckSettings, Named};
pub use source_address::SourceAddresses;

use crate::{
    destination::{IpFamily, Target},
    proxy_header::ProxyHeader,
    smtp::{Payload, Script},
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
    /// The address to connect from, of this IP version; `None` for the system's choice.
    pub source_address: Option<IpAddr>,
    /// The time limit of the whole check, including name resolution.
    pub timeout: Duration,
    /// The PROXY header to send before anything else.
    pub proxy: Option<ProxyHeader>,
    /// What an invalid certificate does.
    pub tls_verify: TlsVerify,
    /// The name for SNI, which the certificate must bear; `None` for the name of the server.
    pub tls_server_name: Option<String>,
    /// The TLS versions to offer.
    pub tls_version: TlsVersion,
    /// Shown to a server that asks for a client certificate.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The SMTP session.
    pub script: Script,
    /// The message to build, which takes the place of the script's.
    pub message: Option<Box<Message>>,
    /// The key that signs the message.
    pub dkim: Option<Arc<DkimKey>>,
    /// Whether the report has a transcript.
    pub transcript: bool,
    /// Whether the report keeps the server's certificates as they were sent, for those who match them with DNS.
    pub keeps_certificates: bool,
    /// The parameters that were given and can have no effect.
    pub no_effect: Vec<NoEffect>,
    /// Those that have none if the server offers no STARTTLS and the check goes on without it.
    pub no_effect_without_tls: Vec<NoEffect>,
    /// The parameters as they were given.
    pub given: Given,
}

impl Check {
    /// Makes a check of the fields of a JSON object.
    ///
    /// # Errors
    /// Every violation of the rules that `openapi/openapi.json` has for the parameters, each with its JSON pointer.
    pub fn parse(fields: Vec<(String, Value)>, settings: &CheckSettings) -> Result<Self, Invalid> {
        let (request, invalid) = CheckRequest::read(fields, settings.max_timeout);
        rules::check(request, invalid, settings)
    }

    /// The same check with another message.
    #[must_use]
    pub fn with_payload(&self, payload: Payload) -> Self {
        Self { script: Script { payload, ..self.script.clone() }, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
