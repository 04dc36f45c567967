//! A message as text (RFC 5322, RFC 2045), by mail-builder.

use std::borrow::Cow;

use mail_builder::{
    MessageBuilder,
    headers::{HeaderType, address::Address, date::Date, message_id::MessageId, raw::Raw, text::Text},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::check::{HeaderAddress, Message};

/// A built message.
pub(super) struct Built {
    /// Its lines end in CR LF.
    pub(super) text: String,
    /// With the angle brackets.
    pub(super) message_id: String,
}

/// Builds the message of the check with this id.
pub(super) fn build(message: &Message, id: Uuid, now: OffsetDateTime) -> Built {
    let Message { given, from, to } = message;
    let message_id = format!("{id}@{}", from.domain());
    let mut builder = MessageBuilder::new().header("From", address(from));
    for (name, of) in [("To", to), ("Reply-To", &given.reply_to)] {
        builder = of.iter().fold(builder, |builder, of| builder.header(name, address(of)));
    }
    if let Some(subject) = &given.subject {
        builder = builder.header("Subject", Text::new(subject.as_str()));
    }
    builder = builder
        // The library's own default reads another clock.
        .header("Date", Date::new(now.unix_timestamp()))
        .header("Message-ID", MessageId::new(message_id.as_str()))
        .header("MIME-Version", Raw::new("1.0"))
        .header("X-Smtp-Check-Id", Raw::new(id.to_string()));
    for (name, value) in &given.headers {
        builder = builder.header(name.as_str(), unstructured(value));
    }
    if let Some(text) = &given.text {
        builder = builder.text_body(with_crlf(text));
    }
    if let Some(html) = &given.html {
        builder = builder.html_body(with_crlf(html));
    }
    let mut octets = Vec::new();
    builder.serialize(&mut octets);
    // All that it is made of is UTF-8.
    let text = String::from_utf8(octets).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Built { text, message_id: format!("<{message_id}>") }
}

fn address(address: &HeaderAddress) -> Address<'_> {
    Address::new_address(address.name(), address.address())
}

/// A value in ASCII as it stands, folded at white space: it may be a structured one, where an encoded word means
/// nothing (RFC 2047, section 5).
fn unstructured(value: &str) -> HeaderType<'_> {
    if value.is_ascii() { Raw::new(value).into() } else { Text::new(value).into() }
}

/// The library encodes line ends as they are, and in base64 they must be CR LF too (RFC 2046, section 4.1.1).
fn with_crlf(text: &str) -> Cow<'_, str> {
    if text.contains('\n') { text.replace("\r\n", "\n").replace('\n', "\r\n").into() } else { text.into() }
}
