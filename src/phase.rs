//! The phases of a check: the one list that the dialogue, the journal and the report share.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// A span of a check that is timed on its own.
///
/// `banner` to `quit` are the phases of the SMTP conversation (RFC 5321, section 3); `dns`, `connect`, `proxy` and `tls` lie before
/// and between them, and `ehlo_tls` is the second EHLO, which RFC 3207, section 4.2 asks for after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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
    /// STARTTLS, up to the server's answer.
    #[serde(rename = "starttls")]
    StartTls,
    /// The TLS handshake.
    Tls,
    /// The EHLO inside TLS.
    EhloTls,
    /// AUTH with all its challenges.
    SaslAuth,
    /// MAIL FROM.
    #[serde(rename = "mailfrom")]
    MailFrom,
    /// RCPT TO.
    #[serde(rename = "rcptto")]
    RcptTo,
    /// DATA, up to the server's 354.
    Data,
    /// The message itself.
    Body,
    /// QUIT.
    Quit,
}

impl Phase {
    /// Every phase, in the order in which a check passes them.
    pub const ALL: [Self; 14] = [
        Self::Dns,
        Self::Connect,
        Self::Proxy,
        Self::Banner,
        Self::Ehlo,
        Self::StartTls,
        Self::Tls,
        Self::EhloTls,
        Self::SaslAuth,
        Self::MailFrom,
        Self::RcptTo,
        Self::Data,
        Self::Body,
        Self::Quit,
    ];

    /// The name that callers see: in `phases`, in `failure.phase` and, with `_time` behind it, as a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::EhloTls => "ehlo_tls",
            Self::SaslAuth => "sasl_auth",
            Self::MailFrom => "mailfrom",
            Self::RcptTo => "rcptto",
            Self::Data => "data",
            Self::Body => "body",
            Self::Quit => "quit",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_writes() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).ok(), Some(phase.name().into()));
        }
    }
}
