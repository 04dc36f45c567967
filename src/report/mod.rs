//! What a check found out: [`Report`], the public contract.
//!
//! - [`journal`]: what happened and when, written down while the check runs.
//! - [`fold`]: the journal as a report, a pure function.
//! - [`live`]: the news of the phases while the journal is being written.
//! - [`metrics`]: the figures, under the names that Circonus gave them.
//! - [`mod@exposition`]: the report as Prometheus reads it.

pub mod exposition;
pub mod fold;
pub mod journal;
pub mod live;
pub mod metrics;

use std::net::IpAddr;

use serde::{Serialize, Serializer, ser::Error};
use strum::{IntoStaticStr, VariantArray};
use time::{OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description};
use utoipa::ToSchema;
use uuid::Uuid;

pub use exposition::exposition;
pub use journal::Journal;
pub use live::{PhaseEvent, PhaseListener, PhaseStart};
pub use metrics::Metrics;

use crate::{
    phase::Phase,
    smtp::{Capabilities, Reply},
    x509::{CertificateFacts, problem::CertificateErrorKind},
};

/// The answer to a check that ran, whether the mail server did well or not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// The check's own id (UUID version 7).
    pub id: Uuid,
    /// When the check began, to the microsecond.
    #[serde(serialize_with = "in_micros")]
    pub started_at: OffsetDateTime,
    /// Not failed.
    pub success: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// Which server was spoken to.
    pub target: ReportedTarget,
    /// Why the check failed.
    #[schema(required)]
    pub failure: Option<Failure>,
    /// The figures.
    pub metrics: Metrics,
    /// What happened, in the order in which it ended; a phase that began and never ended comes last.
    pub phases: Vec<PhaseReport>,
    /// What the server offers.
    pub capabilities: ReportedCapabilities,
    /// The TLS session and the certificates; `null` where the server showed none.
    #[schema(required)]
    pub tls: Option<TlsReport>,
    /// Under which name the server queued the message, where its answer has a known form.
    #[schema(required, example = "4XyZ12abcd")]
    pub queue_id: Option<String>,
    /// What an operator should know, though it did not fail the check.
    pub warnings: Vec<String>,
    /// The dialogue, secrets masked; `null` unless asked for.
    #[schema(required)]
    pub transcript: Option<Vec<TranscriptLine>>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The server took responsibility for the message.
    Delivered,
    /// The check ended where `stop_after` said.
    Completed,
    /// It did not get that far.
    Failed,
}

impl Outcome {
    /// The name that callers see.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The server that was spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedTarget {
    /// Its host name, or its address where no name was given.
    #[schema(example = "mx1.example.com")]
    pub host: String,
    /// The address that was connected to; `null` when none was reached.
    #[schema(required, value_type = Option<String>, example = "203.0.113.7")]
    pub address: Option<IpAddr>,
    /// The TCP port.
    pub port: u16,
    /// Where the host came from.
    pub via: Via,
    /// Hosts and addresses that were tried before, or all of them when none was reached. Left out when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub attempts: Vec<Attempt>,
}

/// Where the target came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The caller named it.
    Request,
    /// MX lookup of the recipient's domain.
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
    /// What went wrong.
    pub error: String,
}

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// In which phase.
    pub phase: Phase,
    /// In which way.
    pub kind: FailureKind,
    /// Whether the same check may succeed later.
    pub temporary: bool,
    /// The reply's code, where a reply is the reason.
    #[schema(required, example = 550)]
    pub code: Option<u16>,
    /// The reply's enhanced status code (RFC 3463).
    #[schema(required, example = "5.1.1")]
    pub enhanced_code: Option<String>,
    /// The server's own words, or ours where it had none.
    pub message: String,
}

impl Failure {
    /// A failure other than by a reply; `temporary` is what its kind says.
    pub fn new(phase: Phase, kind: FailureKind, message: impl ToString) -> Self {
        let (code, enhanced_code) = (None, None);
        Self { phase, kind, temporary: kind.is_temporary(), code, enhanced_code, message: message.to_string() }
    }

    /// A reply other than the expected one.
    pub fn rejected(phase: Phase, reply: &Reply) -> Self {
        Self {
            phase,
            kind: FailureKind::Rejected,
            temporary: reply.code().is_transient_negative(),
            code: Some(reply.code().value()),
            enhanced_code: reply.enhanced_code().map(|code| code.to_string()),
            message: reply.message(),
        }
    }
}

/// The ways in which a check fails.
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
    /// Time ran out.
    Timeout,
    /// The server hung up.
    Closed,
    /// The server does not speak SMTP, said more than a limit allows, or spoke out of turn.
    Protocol,
    /// A reply other than the expected one.
    Rejected,
    /// The TLS handshake failed.
    Tls,
    /// The certificate is not good enough for what was asked.
    Certificate,
    /// Something that the check needs is not to be had.
    Unsupported,
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
    /// Its name.
    pub name: Phase,
    /// When it began, in milliseconds from the start of the check.
    #[schema(example = 0.8)]
    pub started_ms: f64,
    /// How long it took, in milliseconds with a resolution of one microsecond; `null` when it never ended.
    #[schema(required, example = 12.345)]
    pub time_ms: Option<f64>,
    /// Whether it ended as it should.
    pub ok: bool,
    /// The reply's code; `null` where there was none.
    #[schema(required, example = 220)]
    pub code: Option<u16>,
    /// The reply's enhanced status code (RFC 3463).
    #[schema(required)]
    pub enhanced_code: Option<String>,
    /// The server's words; the lines of a reply are joined by LF, their enhanced status code taken off.
    #[schema(required, example = "mx1.example.com ESMTP")]
    pub message: Option<String>,
}

/// What the server offered in answer to EHLO, on either side of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedCapabilities {
    /// Keywords and parameters in clear text.
    #[schema(required)]
    pub before_tls: Option<Capabilities>,
    /// Keywords and parameters inside TLS.
    #[schema(required)]
    pub after_tls: Option<Capabilities>,
}

/// The TLS session, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TlsReport {
    /// The protocol version; `null` when the handshake failed before the server had signed anything.
    #[schema(required, example = "TLSv1.3")]
    pub version: Option<String>,
    /// The cipher suite by its IANA name; `null` when the handshake failed, for whatever reason.
    #[schema(required, example = "TLS_AES_256_GCM_SHA384")]
    pub cipher: Option<String>,
    /// The name that was asked for by SNI, and looked for in the certificate.
    pub server_name: String,
    /// Whether the handshake came to its end and the certificate has none of the errors below. `false` without any error: the
    /// handshake failed for another reason than the certificate, and `failure` says why.
    pub verified: bool,
    /// Everything that is wrong with the certificate, each kind once; `metrics.cert_error` has it in words. Found also where the
    /// handshake failed after the certificate had come.
    pub errors: Vec<CertificateErrorKind>,
    /// The certificates in the order in which the server sent them, its own first; also those of a handshake that failed. Empty when
    /// its own can't be read.
    pub chain: Vec<CertificateFacts>,
}

/// One line of the dialogue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TranscriptLine {
    /// When it was written or had arrived, in milliseconds from the start of the check.
    pub at_ms: f64,
    /// Who said it.
    pub from: Speaker,
    /// The line, without its end.
    pub text: String,
}

/// Who speaks in a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// smtp-check.
    Client,
    /// The mail server.
    Server,
    /// Nobody: the handshake took place here.
    Tls,
}

/// RFC 3339 with all six digits: some readers take no other number of them, and a trailing zero is a digit, too.
fn in_micros<S: Serializer>(moment: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    const FORM: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let text = moment.to_offset(UtcOffset::UTC).format(FORM).map_err(S::Error::custom)?;
    serializer.serialize_str(&text)
}
