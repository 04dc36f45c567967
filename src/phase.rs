//! [`Phase`]: the phases of a check, as dialogue, journal and report name them; and [`Stamp`]: when one begins or ends.

use std::time::Instant;

use serde::Serialize;
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// A part of a check that is timed on its own.
///
/// `banner` to `quit` are the phases of the SMTP session (RFC 5321, section 3); `dns`, `connect`, `proxy` and `tls` are
/// before and between them, and `ehlo_tls` is the second EHLO, which RFC 3207, section 4.2 requires after the
/// handshake.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, IntoStaticStr, VariantArray, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Name resolution: MX, A and AAAA.
    Dns,
    /// The TCP handshake.
    Connect,
    /// Sending the PROXY protocol header.
    Proxy,
    /// From the start of the TCP connect to the greeting.
    Banner,
    /// EHLO.
    Ehlo,
    /// STARTTLS, up to the reply.
    #[serde(rename = "starttls")]
    #[strum(serialize = "starttls")]
    StartTls,
    /// The TLS handshake.
    Tls,
    /// The EHLO inside TLS.
    EhloTls,
    /// AUTH with all its challenges.
    SaslAuth,
    /// MAIL FROM.
    #[serde(rename = "mailfrom")]
    #[strum(serialize = "mailfrom")]
    MailFrom,
    /// RCPT TO.
    #[serde(rename = "rcptto")]
    #[strum(serialize = "rcptto")]
    RcptTo,
    /// DATA, up to the server's 354.
    Data,
    /// The message.
    Body,
    /// QUIT.
    Quit,
}

impl Phase {
    /// All phases, in the order of a check.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in the report (`phases`, `failure.phase`) and, with `_time` appended, of the metric.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The clock that took the time of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Clock {
    /// The kernel's: the phase ended when the last segment of the reply arrived at this machine.
    Kernel,
    /// The process's: the phase ended when the process knew. On a busy machine, that is after a wait for a core.
    Process,
}

impl Clock {
    /// The name in the report (`phases[].clock`) and in the label of `probe_smtp_clock_info`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// An instant, and the clock that took it. An instant of the kernel's clock is converted to the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The instant.
    pub at: Instant,
    /// Its clock.
    pub clock: Clock,
}

impl From<Instant> for Stamp {
    /// An instant of the process's clock.
    fn from(at: Instant) -> Self {
        Self { at, clock: Clock::Process }
    }
}
