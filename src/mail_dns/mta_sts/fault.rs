//! What is wrong, or odd, in a policy (RFC 8461, section 3.2).

use super::PatternFault;

/// Why a policy is invalid. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than [`MAX_POLICY_SIZE`](super::MAX_POLICY_SIZE).
    #[error("it has {0} octets; at most 65,536 are read")]
    TooLarge(usize),
    /// Many senders do not know the first key then.
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    /// The key is required.
    #[error("no line \"version: STSv1\"")]
    NoVersion,
    /// The key is required.
    #[error("no line \"mode\"")]
    NoMode,
    /// The key is required.
    #[error("no line \"max_age\"")]
    NoMaxAge,
    /// The key is required, but for mode none.
    #[error("no line \"mx\"")]
    NoMx,
    /// Another version.
    #[error("line {line}: version \"{value}\" instead of \"STSv1\"")]
    Version {
        /// Counted from 1.
        line: usize,
        /// The value, shortened.
        value: String,
    },
    /// Another mode, or another case.
    #[error("line {line}: mode \"{value}\" is none of enforce, testing, none")]
    Mode {
        /// Counted from 1.
        line: usize,
        /// The value, shortened.
        value: String,
    },
    /// Not 1 to 10 digits.
    #[error("line {line}: max_age \"{value}\" is no number of seconds")]
    MaxAge {
        /// Counted from 1.
        line: usize,
        /// The value, shortened.
        value: String,
    },
    /// More than [`MAX_AGE`](super::MAX_AGE).
    #[error("line {line}: max_age {value} is more than 31557600, one year")]
    MaxAgeTooLarge {
        /// Counted from 1.
        line: usize,
        /// In seconds.
        value: u64,
    },
    /// A pattern that is none.
    #[error("line {line}: mx \"{value}\": {fault}")]
    Mx {
        /// Counted from 1.
        line: usize,
        /// The value, shortened.
        value: String,
        /// Why it is no pattern.
        fault: PatternFault,
    },
    /// Not a line of the grammar.
    #[error("line {line} is not \"key: value\": \"{text}\"")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// The line, shortened.
        text: String,
    },
}

/// Something that senders ignore.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// Perhaps mistyped.
    #[error("line {line}: unknown key \"{key}\"")]
    UnknownKey {
        /// Counted from 1.
        line: usize,
        /// The key, shortened.
        key: String,
    },
    /// All but the first are ignored (RFC 8461, section 3.2).
    #[error("line {line}: \"{key}\" again")]
    Duplicate {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// The grammar has none, and senders skip them.
    #[error("line {0} is empty")]
    EmptyLine(usize),
}
