//! [`ReplyError`]: why octets are no reply.

use super::{Code, MAX_DIALOGUE_SIZE, MAX_LINE_SIZE, MAX_REPLY_SIZE};

/// Longest quotation of a line in an error, in octets.
const MAX_EXCERPT_SIZE: usize = 120;

/// What the server sent is not a reply, or is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line that does not begin with a code of 200 to 599.
    #[error("not an SMTP reply: {:?}", excerpt(.line))]
    NotAReply {
        /// The whole line, in which a secret can be found. `Display` shows an [`excerpt`].
        line: String,
    },
    /// A line with another code than the first (RFC 5321, section 4.2.1), and no 4yz or 5yz code in the last line.
    #[error("the lines of one reply have different codes: {first}, then {then}")]
    CodeChanged {
        /// The code of the first line.
        first: Code,
        /// The code that differs.
        then: Code,
    },
    /// More than [`MAX_LINE_SIZE`].
    #[error("a line of more than {MAX_LINE_SIZE} octets")]
    LineTooLong,
    /// More than [`MAX_REPLY_SIZE`].
    #[error("a reply of more than {MAX_REPLY_SIZE} octets")]
    ReplyTooLong,
    /// More than [`MAX_DIALOGUE_SIZE`].
    #[error("a dialogue of more than {MAX_DIALOGUE_SIZE} octets")]
    DialogueTooLong,
}

/// The beginning of a line, up to [`MAX_EXCERPT_SIZE`].
pub fn excerpt(line: &str) -> &str {
    &line[..line.floor_char_boundary(MAX_EXCERPT_SIZE)]
}
