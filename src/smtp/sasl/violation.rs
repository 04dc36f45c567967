//! [`Violation`]: how a server can break the rules of a mechanism.

use super::scram::MAX_ITERATIONS;

/// What a server did against the rules of the mechanism. It quotes nothing that the server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A 334 reply whose text cannot be decoded.
    #[error("the server's challenge is not base64 (RFC 4954, section 4)")]
    NotBase64,
    /// A 334 reply that is not kept whole.
    #[error("the server's challenge is longer than what is kept of a reply")]
    TooLong,
    /// A message that the mechanism does not know.
    #[error("the server's challenge is no message of {0}")]
    Malformed(&'static str),
    /// The nonce of SCRAM's server-first-message.
    #[error("the server's nonce does not begin with the client's (RFC 5802, section 5.1)")]
    ForeignNonce,
    /// The iteration count of SCRAM's server-first-message; [`u64::MAX`] for any that is larger.
    #[error("the server asks for {} iterations of PBKDF2, and more than {MAX_ITERATIONS} are not computed", number(*.0))]
    TooManyIterations(u64),
    /// SCRAM's server-final-message.
    #[error("the server's signature is wrong: it has not proved that it knows the password (RFC 5802, section 3)")]
    WrongSignature,
    /// No server-final-message before 235, or an empty one.
    #[error("the server sent no signature: it has not proved that it knows the password (RFC 5802, section 3)")]
    MissingSignature,
    /// 235 after the document by which the token was refused.
    #[error("the server accepted AUTH (235) after it had refused the token")]
    AcceptedAfterRefusal,
    /// The mechanism cannot send these credentials. The rules for parameters exclude them.
    #[error("the credentials cannot be sent with {0}")]
    Unsendable(&'static str),
}

/// The count, or what is known of one that no `u64` holds.
fn number(count: u64) -> String {
    if count == u64::MAX { format!("more than {MAX_ITERATIONS}") } else { count.to_string() }
}
