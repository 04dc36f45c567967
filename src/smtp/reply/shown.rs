//! What is shown of a reply: its text without secrets, or only its size.

use super::{Reply, ReplyError, text_of};
use crate::secret::Mask;

impl Reply {
    /// The reply with its size in the place of its text.
    #[must_use]
    pub fn by_size(&self) -> Self {
        let text = format!("({} octets)", self.text.len() + self.left_out).into_bytes();
        Self { code: self.code, text, line_codes: Vec::new(), left_out: 0, is_cut: false, whole: Vec::new() }
    }

    /// The reply with the secrets of `mask` masked in its text, without what is left out of it.
    #[must_use]
    pub fn masked(&self, mask: &Mask) -> Self {
        let text = if mask.is_empty() { self.text.clone() } else { mask.apply(&text_of(&self.text)).into_bytes() };
        Self { code: self.code, text, line_codes: self.line_codes.clone(), whole: Vec::new(), ..*self }
    }
}

impl ReplyError {
    /// The error with the secrets of `mask` masked in what it quotes.
    #[must_use]
    pub fn masked(self, mask: &Mask) -> Self {
        match self {
            Self::NotAReply { line } => Self::NotAReply { line: mask.apply(&line) },
            other => other,
        }
    }
}
