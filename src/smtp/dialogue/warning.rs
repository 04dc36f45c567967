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
    /// AUTH that ended before the password was sent.
    #[error(transparent)]
    EndedEarly(EarlyEnd),
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

/// Where AUTH was when it ended before the password, the token or a proof of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct EarlyEnd {
    /// What ended it.
    pub by: EndedBy,
    /// What was seen last.
    pub after: AuthStep,
    /// The user name was sent.
    pub has_user_name: bool,
    /// The mechanism has an initial response, which was not asked for and may be what the server waits for.
    pub could_be_initial: bool,
}

/// What ended an AUTH exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// A reply with this code.
    Reply(Code),
    /// The server, which closed the connection.
    Close,
    /// A time limit, or something that is no reply to AUTH.
    Other,
}

/// The last step of an AUTH exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStep {
    /// None: the command was not sent.
    None,
    /// The client sent the command or a response.
    Sent,
    /// The server sent a challenge.
    Challenged,
}

impl EarlyEnd {
    fn describe(&self) -> String {
        let Self { by, after, has_user_name, could_be_initial } = *self;
        let what = if after == AuthStep::None { "the session" } else { "AUTH" };
        let (ended, server, this) = match by {
            EndedBy::Reply(code) => (format!("the server ended {what} ({code})"), "it", "the reply"),
            EndedBy::Close => ("the server closed the connection".to_owned(), "it", "that"),
            EndedBy::Other => (format!("{what} broke off"), "the server", "that"),
        };
        let when = match (after, has_user_name) {
            (AuthStep::None, _) => "before AUTH was sent".to_owned(),
            (AuthStep::Sent, false) => format!("before {server} asked for user name or password"),
            (AuthStep::Sent, true) => format!("after the user name and before {server} asked for the password"),
            (AuthStep::Challenged, false) => "before the challenge was answered".to_owned(),
            (AuthStep::Challenged, true) => "after the user name and before the next challenge was answered".to_owned(),
        };
        let (unsent, it) = if has_user_name { ("the password", "it") } else { ("no credential", "them") };
        let was = if has_user_name { "was not sent" } else { "was sent" };
        let hint = if could_be_initial { "; `sasl_initial_response` sends the first response with AUTH" } else { "" };
        format!("{ended} {when}: {unsent} {was}, so {this} tells nothing about {it}{hint}")
    }
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
