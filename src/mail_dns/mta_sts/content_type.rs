//! The media type of a policy.

use crate::mail_dns::txt::shorten;

/// Why the media type of a policy is not the one it should have (RFC 8461, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeFault {
    /// The response has no such field.
    #[error("no Content-Type instead of text/plain")]
    Missing,
    /// Another media type.
    #[error("Content-Type \"{0}\" instead of text/plain")]
    Other(String),
}

/// Judges the value of a Content-Type field. Parameters do not matter.
///
/// # Errors
/// Where the media type is not text/plain.
pub fn check_content_type(value: Option<&str>) -> Result<(), ContentTypeFault> {
    let value = value.ok_or(ContentTypeFault::Missing)?;
    let media_type = value.split(';').next().unwrap_or_default().trim_ascii();
    match media_type.eq_ignore_ascii_case("text/plain") {
        true => Ok(()),
        false => Err(ContentTypeFault::Other(shorten(value))),
    }
}
