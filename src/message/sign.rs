//! DKIM signatures (RFC 6376, RFC 8463), by mail-auth.

use mail_auth::{common::headers::HeaderWriter, dkim::DkimSigner};

use super::key::signing_key;
use crate::{check::DkimKey, smtp::payload::has_header};

/// The header fields that are signed, as far as the message has them (RFC 6376, section 5.4.1).
const SIGNED: [&str; 19] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "X-Smtp-Check-Id",
];

/// The header field DKIM-Signature for this text, its line ends included. Both parts are canonicalized as `relaxed`: a
/// server on the way may fold lines again.
///
/// # Errors
/// The key cannot sign, or the text has no header field to sign.
pub(super) fn signature(key: &DkimKey, text: &str) -> Result<String, mail_auth::Error> {
    let signer = DkimSigner::from_key(signing_key(key)?)
        .domain(key.domain())
        .selector(key.selector())
        .headers(SIGNED.into_iter().filter(|name| has_header(text, name)));
    Ok(signer.sign(text.as_bytes())?.to_header())
}
