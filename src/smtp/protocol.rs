//! [`Protocol`], SMTP or LMTP, and [`StartTls`], what a session does about STARTTLS.

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The protocol of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Protocol {
    /// SMTP (RFC 5321).
    #[default]
    Smtp,
    /// LMTP (RFC 2033): LHLO in place of EHLO, and after the message one reply for each accepted recipient. A check has
    /// one recipient.
    Lmtp,
}

impl Protocol {
    /// The port of a check that is given none. LMTP has no port of its own, and must not use 25 (RFC 2033, section 1);
    /// Dovecot and Postfix use 24.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Lmtp => 24,
        }
    }

    /// The command that begins a session (RFC 2033, section 4.1).
    pub fn hello(self) -> &'static str {
        match self {
            Self::Smtp => "EHLO",
            Self::Lmtp => "LHLO",
        }
    }
}

/// What a session does about STARTTLS (RFC 3207).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// It is not sent.
    #[default]
    Off,
    /// It is sent if the reply to EHLO offers it, as mail servers do among each other (RFC 7435); else the session goes
    /// on in clear text. Once sent, it must succeed.
    Opportunistic,
    /// It is sent, offered or not, and must succeed.
    Required,
}
