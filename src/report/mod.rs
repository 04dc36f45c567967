//! The result of a check: [`Report`], the public contract.
//!
//! - [`journal`]: the log of a check, written while it runs.
//! - [`fold`]: journal → report, a pure function.
//! - [`live`]: the phases as events, while the check runs.
//! - [`metrics`]: the metrics of the report, named as in Circonus.
//! - [`sasl`]: how the check authenticated.
//! - [`message`]: what the report says of the message.
//! - [`domain`]: the result of the check of a domain.
//! - [`mod@exposition`]: the report in Prometheus' text format.
//! - [`cause`]: what is known beside the report, as data. [`finding`]: what [`crate::findings`] makes of both.

pub mod cause;
pub mod domain;
pub mod exposition;
pub mod finding;
pub mod fold;
pub mod journal;
pub mod live;
pub mod message;
pub mod metrics;
pub mod sasl;
mod tls;

use std::net::IpAddr;

use serde::{Serialize, Serializer};
use strum::{IntoStaticStr, VariantArray};
use time::{OffsetDateTime, UtcOffset};
use utoipa::ToSchema;
use uuid::Uuid;

pub use cause::{AuthEnded, Cause, Fact, Facts, Unreached};
pub use exposition::{domain_exposition, exposition};
pub use finding::{Finding, Reproduction, Scope, Severity};
pub use journal::Journal;
pub use live::{PhaseEvent, PhaseListener, PhaseStart};
pub use message::{DkimReport, MessageReport};
pub use metrics::Metrics;
pub use sasl::SaslReport;
pub use tls::{ReportedClientCertificate, TlsReport};

use crate::{
    decimal,
    phase::{Clock, Phase},
    smtp::{Capabilities, Reply},
};

/// Bytes of a report as JSON. What is left out of a longer one is told by a warning.
pub const MAX_REPORT_SIZE: usize = 64 * 1024;

/// The result of a check that ran, whether it succeeded or failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// The check's own id (UUID version 7).
    pub id: Uuid,
    /// When the check began, to the microsecond.
    #[serde(serialize_with = "in_micros")]
    pub started_at: OffsetDateTime,
    /// Whether the check succeeded: `outcome` is not `failed`.
    pub success: bool,
    /// How the check ended.
    pub outcome: Outcome,
    /// The server that was checked.
    pub target: ReportedTarget,
    /// Why the check failed; `null` when it succeeded.
    #[schema(required)]
    pub failure: Option<Failure>,
    /// The metrics.
    pub metrics: Metrics,
    /// The phases of the check, in the order in which they ended; a phase that began and never ended comes last.
    pub phases: Vec<PhaseReport>,
    /// The extensions that the server offers.
    pub capabilities: ReportedCapabilities,
    /// The TLS session and the certificates; `null` when the server sent no certificate.
    #[schema(required)]
    pub tls: Option<TlsReport>,
    /// The AUTH command; `null` when none was sent.
    #[schema(required)]
    pub sasl: Option<SaslReport>,
    /// The queue id in the reply to the message; `null` when the reply has no known form, or there was none.
    #[schema(required, example = "4XyZ12abcd")]
    pub queue_id: Option<String>,
    /// The message that the check built or signed; `null` when it sends its payload as it stands, or no message.
    #[schema(required)]
    pub message: Option<MessageReport>,
    /// Warnings for the operator. They did not fail the check.
    pub warnings: Vec<String>,
    /// What an operator should know about the server, the severest first. They did not fail the check.
    pub findings: Vec<Finding>,
    /// The same check as command lines for bash, with the password as the shell variable `SASL_PASSWORD`.
    pub reproduce: Reproduction,
    /// The lines of the SMTP session, secrets masked; `null` unless asked for.
    #[schema(required)]
    pub transcript: Option<Vec<TranscriptLine>>,
    /// What is known beside all this.
    #[serde(skip)]
    pub facts: Facts,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The server accepted responsibility for the message.
    Delivered,
    /// The check ended after the phase `stop_after`.
    Completed,
    /// The check failed.
    Failed,
}

impl Outcome {
    /// The name that callers see.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The server that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedTarget {
    /// The host name, or the address if the target was an address.
    #[schema(example = "mx1.example.com")]
    pub host: String,
    /// The address of the connection; `null` when there was no connection.
    #[schema(required, value_type = Option<String>, example = "203.0.113.7")]
    pub address: Option<IpAddr>,
    /// The TCP port.
    pub port: u16,
    /// Where the host came from.
    pub via: Via,
    /// The hosts and addresses that could not be connected to. Left out when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub attempts: Vec<Attempt>,
}

/// Where the host came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The request.
    Request,
    /// The MX lookup of the recipient's domain.
    Mx,
}

/// A host or address that could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attempt {
    /// The host.
    pub host: String,
    /// The address; `null` when the host has none.
    #[schema(required, value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The reason.
    pub error: String,
}

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// The phase that failed.
    pub phase: Phase,
    /// The kind of failure.
    pub kind: FailureKind,
    /// Whether the same check may succeed later.
    pub temporary: bool,
    /// The code of the reply that is the reason; `null` when no reply is.
    #[schema(required, example = 550)]
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463) of that reply; `null` when it has none.
    #[schema(required, example = "5.1.1")]
    pub enhanced_code: Option<String>,
    /// The text of that reply; or a description of the failure, if no reply is the reason.
    pub message: String,
    /// What it most likely means, and what to do; `null` when there is nothing to say beyond the facts.
    #[schema(required)]
    pub explanation: Option<String>,
    /// Why, as data.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

impl Failure {
    /// A failure without a reply. Its kind tells whether it is temporary.
    pub fn new(phase: Phase, kind: FailureKind, message: impl ToString) -> Self {
        let (temporary, message) = (kind.is_temporary(), message.to_string());
        Self { phase, kind, temporary, code: None, enhanced_code: None, message, explanation: None, cause: None }
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn with_cause(self, cause: Option<Cause>) -> Self {
        Self { cause, ..self }
    }

    /// A failure by a reply that does not let the session go on.
    pub fn rejected(phase: Phase, reply: &Reply) -> Self {
        Self::by_reply(phase, FailureKind::Rejected, reply)
    }

    /// A failure by a reply other than the one that the check expects.
    pub fn unexpected(phase: Phase, reply: &Reply) -> Self {
        Self::by_reply(phase, FailureKind::Unexpected, reply)
    }

    fn by_reply(phase: Phase, kind: FailureKind, reply: &Reply) -> Self {
        Self {
            phase,
            kind,
            temporary: reply.code().is_transient_negative(),
            code: Some(reply.code().value()),
            enhanced_code: reply.enhanced_code().map(|code| code.to_string()),
            message: reply.message(),
            explanation: None,
            cause: None,
        }
    }
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// The name has no mail server or no address, or the resolver failed.
    Dns,
    /// The connection was refused.
    Refused,
    /// No route to the address.
    Unreachable,
    /// The time limit of the check was reached.
    Timeout,
    /// The server closed the connection.
    Closed,
    /// The server does not speak SMTP, sent more than a limit allows, or sent something out of turn.
    Protocol,
    /// A reply other than the expected one.
    Rejected,
    /// The TLS handshake failed.
    Tls,
    /// The certificate does not meet the requirements of the check.
    Certificate,
    /// The server does not support something that the check needs.
    Unsupported,
    /// A reply other than the one that the check expects by `expect`.
    Unexpected,
}

impl FailureKind {
    /// The name that callers see.
    pub fn name(self) -> &'static str {
        self.into()
    }

    fn is_temporary(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable | Self::Timeout | Self::Closed)
    }
}

/// One phase of the check.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PhaseReport {
    /// The name of the phase.
    pub name: Phase,
    /// When it began, in milliseconds from the start of the check.
    #[schema(example = 0.8)]
    pub started_ms: f64,
    /// How long it took, in milliseconds with a resolution of one microsecond; `null` when it never ended, or when its
    /// reply came before its command.
    #[schema(required, example = 12.345)]
    pub time_ms: Option<f64>,
    /// The clock that took the time. Always `process` for `dns`, `connect` and `tls`, and where there is no time.
    pub clock: Clock,
    /// Whether it ended successfully.
    pub ok: bool,
    /// Whether the reply is the one that the check expects of this phase; `null` if it expects none in particular, or
    /// there was no reply.
    #[schema(required)]
    pub expected: Option<bool>,
    /// The code of the reply; `null` when there was none.
    #[schema(required, example = 220)]
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463) of the reply; `null` when there was none.
    #[schema(required)]
    pub enhanced_code: Option<String>,
    /// The text of the reply: its lines without the codes, joined by LF; `null` when there was none.
    #[schema(required, example = "mx1.example.com ESMTP")]
    pub message: Option<String>,
}

/// The extensions that the server offered in its replies to EHLO, before and after the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedCapabilities {
    /// Keywords and parameters outside TLS; `null` when there was no such reply.
    #[schema(required)]
    pub before_tls: Option<Capabilities>,
    /// Keywords and parameters inside TLS; `null` when there was no such reply.
    #[schema(required)]
    pub after_tls: Option<Capabilities>,
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TranscriptLine {
    /// When it was sent or had arrived, in milliseconds from the start of the check.
    pub at_ms: f64,
    /// The sender.
    pub from: Speaker,
    /// The line, without CR LF.
    pub text: String,
}

/// The sender of a line of the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// smtp-check.
    Client,
    /// The mail server.
    Server,
    /// Neither: the line stands for a completed TLS handshake.
    Tls,
}

/// A date and time as RFC 3339 has it, in UTC, always with six digits after the point: some parsers accept no other
/// number of digits.
pub(crate) fn timestamp(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second, micros) = moment.to_hms_micro();
    let mut text = String::with_capacity("2026-11-22T12:00:00.000000Z".len());
    let mut push = |value: u32, width: usize, end| {
        decimal::push_digits(&mut text, value.into(), width);
        text.push(end);
    };
    push(year.unsigned_abs(), 4, '-');
    push(u8::from(month).into(), 2, '-');
    push(day.into(), 2, 'T');
    push(hour.into(), 2, ':');
    push(minute.into(), 2, ':');
    push(second.into(), 2, '.');
    push(micros, 6, 'Z');
    text
}

fn in_micros<S: Serializer>(moment: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*moment))
}
