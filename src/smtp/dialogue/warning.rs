//! [`Warning`] and [`Unsupported`]: what an operator should know of a session, and why it cannot go on.

use super::super::{Code, Mechanism, sasl::exchange::Refusal};

/// Longest line of a command, its CR LF included (RFC 5321, section 4.5.3.1.4).
pub(super) const MAX_COMMAND_LINE_SIZE: usize = 512;

/// Something that an operator should know, but that does not fail the check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// An opportunistic STARTTLS that is left out.
    #[error("the server does not offer STARTTLS: the session went on in clear text")]
    StartTlsNotOffered,
    /// AUTH without TLS.
    #[error("the credentials were sent in clear text, without TLS")]
    ClearTextCredentials,
    /// 235 before the server asked for the password.
    #[error("the server accepted AUTH (235) before it asked for the password, so the password was not checked")]
    AcceptedWithoutPassword,
    /// A reply that ends AUTH before any response was sent.
    #[error(
        "the server ended AUTH ({code}) before it asked for user name or password: no credential was sent, so the reply \
         tells nothing about them{}",
        if *.could_be_initial { "; `sasl_initial_response` sends the first response with AUTH" } else { "" }
    )]
    EndedBeforeCredentials {
        /// The code of the reply.
        code: Code,
        /// The mechanism has an initial response, which was not asked for.
        could_be_initial: bool,
    },
    /// A reply that ends AUTH after the user name and before the password was sent.
    #[error(
        "the server ended AUTH ({0}) after the user name and before it asked for the password: the password was not sent, so \
         the reply tells nothing about it"
    )]
    EndedBeforePassword(Code),
    /// 334 after the last response.
    #[error("the server sent one challenge more than the mechanism has responses, and got no answer to it")]
    ExtraChallenge,
    /// A challenge by which the server refuses the credentials.
    #[error(transparent)]
    Refused(Refusal),
    /// An AUTH command that is too long.
    #[error(
        "with the initial response the AUTH command is a line of {0} octets, and a server need not take more than \
         {MAX_COMMAND_LINE_SIZE} (RFC 4954, section 4); it was sent as it is"
    )]
    LongAuthCommand(usize),
    /// The mechanism that was chosen cannot send the authorization identity.
    #[error("`sasl_auth_id` has no effect: {0}, which was chosen, has no authorization identity")]
    NoAuthorizationId(&'static str),
    /// The mechanism that was chosen has no initial response.
    #[error("`sasl_initial_response` has no effect: {0}, which was chosen, has no initial response")]
    NoInitialResponse(&'static str),
    /// An 8-bit message to a server without 8BITMIME.
    #[error("the payload has characters beyond ASCII, and the server does not offer 8BITMIME; it was sent as it is")]
    EightBitNotOffered,
    /// A line that begins with a dot: the payload is sent as it is, without dot-stuffing.
    #[error("line {0} of the payload begins with a dot, which the server will remove (RFC 5321, section 4.5.2)")]
    LeadingDot(usize),
}

/// A service extension that the check needs and the server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// SMTPUTF8 (RFC 6531).
    #[error("an address has characters beyond ASCII, and the server does not offer SMTPUTF8")]
    SmtpUtf8,
    /// STARTTLS (RFC 3207), where the mechanism of AUTH would show the password.
    #[error("no credential is sent in clear text: the server does not offer STARTTLS, and AUTH {} shows the password", .0.name())]
    StartTls(Mechanism),
    /// None of the mechanisms from which the check may choose.
    #[error("the server offers none of SCRAM-SHA-256, CRAM-MD5, PLAIN and LOGIN")]
    Mechanism,
    /// None of those that do not show the password, without TLS.
    #[error(
        "the server offers neither SCRAM-SHA-256 nor CRAM-MD5, and without TLS no other mechanism is chosen: it would \
         show the password"
    )]
    MechanismInClear,
}
