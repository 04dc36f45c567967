//! [`Finding`]: something about the mail server that an operator should know. [`Reproduction`]: the check as command
//! lines. The rules are in [`crate::findings`], the command lines in [`crate::reproduce`].

use std::borrow::Cow;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::phase::Phase;

/// Something about the mail server that an operator should know, by a rule of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The rule. `/docs/findings` has a section for each.
    #[schema(value_type = String, example = "starttls.not_offered")]
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub scope: Scope,
    /// Which one: host and address.
    #[schema(example = "mx1.example.com [203.0.113.7]")]
    pub subject: String,
    /// The phase that showed it; `null` when no phase did.
    #[schema(required)]
    pub phase: Option<Phase>,
    /// What was found.
    pub message: String,
    /// What shows it: replies, parts of certificates, errors of the connection.
    pub evidence: Vec<String>,
    /// What to do.
    #[schema(value_type = String)]
    pub remedy: Cow<'static, str>,
    /// The standard with its section; `null` when there is none.
    #[schema(required, value_type = Option<String>, example = "RFC 3207, section 2")]
    pub reference: Option<&'static str>,
}

/// How much a finding matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// Mail of some senders is lost, or a requirement of a standard is not met.
    Error,
    /// Likely harm, or a recommendation of a standard is not met.
    Warning,
    /// Advice.
    Notice,
    /// A fact.
    Info,
    /// The check could not tell; the message gives the reason.
    Inconclusive,
}

impl Severity {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    /// A domain.
    Domain,
    /// A host.
    Host,
    /// One address of a host.
    Address,
    /// A DNS record.
    Record,
}

impl Scope {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The check as command lines for bash. The password is the shell variable `SASL_PASSWORD`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reproduction {
    /// This program; `null` when the parameters are too long for a command line.
    #[schema(required, example = "smtp-check run --to probe@example.com --starttls")]
    pub smtp_check: Option<String>,
    /// swaks; `null` when it cannot do the same.
    #[schema(required)]
    pub swaks: Option<String>,
    /// openssl: the TLS handshake and what the server shows in it; `null` when the check has none.
    #[schema(required)]
    pub openssl: Option<String>,
    /// curl; `null` when it cannot do the same.
    #[schema(required)]
    pub curl: Option<String>,
}
