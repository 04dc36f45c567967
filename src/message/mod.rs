//! The message of a check: built, or signed, or both, before its session begins.
//!
//! - [`build`]: a [`Message`](crate::check::Message) as text, by mail-builder.
//! - [`sign`]: a DKIM signature of a text, by mail-auth.
//! - [`key`]: [`dkim_key`] reads a private key.
//!
//! An RSA signature takes a core for milliseconds, and a large message takes as long to encode and to hash. So this is
//! work for a thread of its own ([`crate::thread`]): on a thread of the runtime it would show in the figures of other
//! checks.

mod build;
mod key;
mod sign;
#[cfg(test)]
mod tests;

use time::OffsetDateTime;
use uuid::Uuid;

use build::Built;
pub use key::{DkimKeyError, dkim_key};

use crate::{
    check::Check,
    report::{DkimReport, MessageReport},
    smtp::{InvalidPayload, Payload, payload::header},
};

/// Longest Message-ID of a payload that is repeated, in octets: a line has no more (RFC 5322, section 2.1.1).
const MAX_MESSAGE_ID_SIZE: usize = 998;

/// A message that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// What is sent.
    pub payload: Payload,
    /// What the report says of it.
    pub report: MessageReport,
}

/// Why a message cannot be made. Neither should happen: a check has valid parameters, and its key was tried.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The key cannot sign.
    #[error("no DKIM signature: {0}")]
    Sign(mail_auth::Error),
    /// The message cannot be sent.
    #[error("the message cannot be sent: {0}")]
    Payload(#[from] InvalidPayload),
}

/// Builds the message of the check, or takes its payload, and signs it if the check has a key. `id` is the check's.
///
/// # Errors
/// The key cannot sign, or the message cannot be sent.
pub fn compose(check: &Check, id: Uuid, now: OffsetDateTime) -> Result<Composed, ComposeError> {
    let (text, built_id) = match &check.message {
        Some(message) => {
            let Built { text, message_id } = build::build(message, id, now);
            (text, Some(message_id))
        }
        // The receiver holds the line end that is sent with the final dot, too.
        None => (format!("{}\r\n", check.script.payload.text()), None),
    };
    let signed = match &check.dkim {
        Some(key) => sign::signature(key, &text).map_err(ComposeError::Sign)? + &text,
        None => text,
    };
    let (payload, message_id) = if built_id.is_some() {
        (Payload::of_message(&signed)?, built_id)
    } else {
        let given_id = header(&signed, "Message-ID").filter(|id| id.len() <= MAX_MESSAGE_ID_SIZE);
        (Payload::parse(signed.strip_suffix("\r\n").unwrap_or(&signed))?, given_id.map(str::to_owned))
    };
    let dkim = check.dkim.as_ref().map(|key| DkimReport {
        domain: key.domain().to_owned(),
        selector: key.selector().to_owned(),
        algorithm: key.algorithm().name(),
    });
    let octets = payload.received_len() as u64;
    Ok(Composed { payload, report: MessageReport { message_id, octets, dkim } })
}
