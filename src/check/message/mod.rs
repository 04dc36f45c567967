//! The parameters `message` and `dkim`: a message that the check builds, and the key that signs it.

mod address;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use address::{HeaderAddress, InvalidHeaderAddress};

use super::{Check, CheckRequest, CheckSettings, DkimKey, Invalid, fields::Fields};
use crate::{
    phase::Phase,
    smtp::{Mailbox, Payload, payload::has_header},
};

/// Longest name of a header field, in octets.
const MAX_NAME_SIZE: usize = 64;
/// Longest word of a header field, in octets, with the white space around it: name and word together are a line of 998
/// octets at most (RFC 5322, section 2.1.1).
const MAX_WORD_SIZE: usize = 900;

/// The header fields that the message sets itself, with the member of `message` that gives the value, if one does.
const OWN_HEADERS: [(&str, Option<&str>); 10] = [
    ("From", Some("from")),
    ("To", Some("to")),
    ("Reply-To", Some("reply_to")),
    ("Subject", Some("subject")),
    ("Date", None),
    ("Message-ID", None),
    ("MIME-Version", None),
    ("Content-Type", None),
    ("Content-Transfer-Encoding", None),
    ("X-Smtp-Check-Id", None),
];
/// The header field of the signature.
const SIGNATURE: &str = "DKIM-Signature";

/// A message that is built for the check, with Date, Message-ID, MIME-Version and `X-Smtp-Check-Id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Message)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The subject. No control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "A test of our mail")]
    pub subject: Option<String>,
    /// The text. One of `text` and `html` is required; with both, the message has both as alternatives. Lines end in LF
    /// or CR LF; of the other control characters only TAB is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Hello,\n\nthis message is a test.\n")]
    pub text: Option<String>,
    /// The text as HTML. See `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The address in the header field From, with a display name if wanted. Left out: the envelope sender, which must
    /// not be empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "Monitoring <probe@example.com>")]
    pub from: Option<HeaderAddress>,
    /// The address in the header field To. Left out: the recipient; there is no To if that has no domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub to: Option<HeaderAddress>,
    /// The address in the header field Reply-To.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reply_to: Option<HeaderAddress>,
    /// More header fields, by name. Not those that the message sets itself; no control characters, line ends included.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>, example = json!({"X-Purpose": "monitoring"}))]
    pub headers: IndexMap<String, String>,
}

/// A message that can be built: what was given, and the addresses that are in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What was given.
    pub given: MessageRequest,
    /// The address of From.
    pub from: HeaderAddress,
    /// The address of To.
    pub to: Option<HeaderAddress>,
}

impl Check {
    /// Whether a message is built, or a payload signed, before the session begins.
    pub fn composes(&self) -> bool {
        (self.message.is_some() || self.dkim.is_some()) && self.script.has_phase(Phase::Body)
    }
}

/// Reads the parameter `message`.
pub(super) fn read(fields: &mut Fields) -> Option<MessageRequest> {
    let mut members = fields.object("message")?;
    if !members.has("text") && !members.has("html") {
        fields.refuse("message", "must have `text` or `html`, or both");
    }
    let request = MessageRequest {
        subject: text(&mut members, "subject", false),
        text: text(&mut members, "text", true),
        html: text(&mut members, "html", true),
        from: address(&mut members, "from"),
        to: address(&mut members, "to"),
        reply_to: address(&mut members, "reply_to"),
        headers: headers(&mut members),
    };
    fields.close("message", members);
    Some(request)
}

fn text(members: &mut Fields, name: &'static str, has_lines: bool) -> Option<String> {
    let text = members.text(name)?;
    if !has_lines && text.contains(char::is_control) {
        members.refuse(name, "must not contain control characters, line ends included");
    }
    if has_lines && text.replace("\r\n", "\n").contains(|c: char| c.is_control() && !"\n\t".contains(c)) {
        members.refuse(name, "must not contain control characters other than LF, CR LF and TAB");
    }
    Some(text)
}

fn address(members: &mut Fields, name: &'static str) -> Option<HeaderAddress> {
    let text = members.text(name)?;
    members.parsed(name, text.parse())
}

fn headers(members: &mut Fields) -> IndexMap<String, String> {
    let mut headers = IndexMap::new();
    let Some(given) = members.members("headers") else { return headers };
    let mut invalid = Invalid::default();
    for (name, value) in given {
        invalid.parsed(&name, check_header_name(&name));
        match value {
            Value::String(value) => {
                invalid.parsed(&name, check_header_value(&value));
                headers.insert(name, value);
            }
            _ => invalid.add(&name, "must be a string"),
        }
    }
    members.refuse_within("headers", invalid);
    headers
}

fn check_header_name(name: &str) -> Result<(), String> {
    let is_ftext = |byte: u8| matches!(byte, 33..=57 | 59..=126);
    if !(1..=MAX_NAME_SIZE).contains(&name.len()) || !name.bytes().all(is_ftext) {
        let rule = "must be 1 to {} printable ASCII characters without space and colon (RFC 5322, section 3.6.8)";
        return Err(format!("the name of a header field {}", rule.replace("{}", &MAX_NAME_SIZE.to_string())));
    }
    match OWN_HEADERS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
        Some((_, None)) => Err("is set by the message itself".to_owned()),
        Some((_, Some(member))) => Err(format!("is set by the message itself: give `{member}` beside `headers`")),
        None => Ok(()),
    }
}

fn check_header_value(value: &str) -> Result<(), String> {
    if value.contains(char::is_control) {
        return Err("must not contain control characters, line ends included".to_owned());
    }
    // A text beyond ASCII is sent as encoded words, which can be folded anywhere.
    if value.is_ascii() && longest_word(value) > MAX_WORD_SIZE {
        let detail = "has a word that does not fit into a line (RFC 5322, section 2.1.1): at most";
        return Err(format!("{detail} {MAX_WORD_SIZE} octets can be without white space between them"));
    }
    Ok(())
}

/// Octets of the longest word with the white space before and after it: a line is folded before white space only.
fn longest_word(value: &str) -> usize {
    let (mut longest, mut current, mut is_in_word) = (0, 0, false);
    for byte in value.bytes() {
        if byte == b' ' && is_in_word {
            current = 0;
        }
        is_in_word = byte != b' ';
        current += 1;
        longest = longest.max(current);
    }
    // White space at the end goes into the line of the last word.
    let trailing = value.len() - value.trim_end_matches(' ').len();
    if trailing > 0 { longest.max(longest + trailing) } else { longest }
}

/// The message of a request, with the addresses of the envelope where it has none.
pub(super) fn message(
    request: &CheckRequest,
    from: Option<&Mailbox>,
    to: Option<&Mailbox>,
    invalid: &mut Invalid,
) -> Option<Box<Message>> {
    let given = request.message.as_ref()?;
    if request.payload.is_some() {
        invalid.add("message", "must not be given together with `payload`");
    }
    let mut members = Invalid::default();
    let from = given.from.clone().or_else(|| HeaderAddress::of_envelope(from?));
    if from.is_none() && !invalid.has_pointer("/message/from") && !invalid.is_about("from") {
        members.add("from", "is required: the envelope sender, which takes its place, is empty or no header address");
    }
    if request.dkim.is_some() {
        let mut headers = Invalid::default();
        for name in given.headers.keys().filter(|name| name.eq_ignore_ascii_case(SIGNATURE)) {
            headers.add(name, "is set by the message itself, because `dkim` is given");
        }
        members.add_within("headers", headers);
    }
    invalid.add_within("message", members);
    let to = given.to.clone().or_else(|| HeaderAddress::of_envelope(to?));
    Some(Box::new(Message { given: given.clone(), from: from?, to }))
}

/// The key that signs. What it signs must be a message that the receiver holds as it was signed, with a From.
pub(super) fn dkim(
    request: &CheckRequest,
    payload: Option<&Payload>,
    settings: &CheckSettings,
    invalid: &mut Invalid,
) -> Option<Arc<DkimKey>> {
    let name = request.dkim.as_deref()?;
    let key = invalid.parsed("dkim", settings.dkim.get(name))?;
    if request.message.is_some() || invalid.is_about("message") {
        return Some(key);
    }
    match payload {
        _ if request.payload.is_none() && !invalid.is_about("payload") => {
            invalid.add("dkim", "needs `message`, or a `payload` with a header field From");
        }
        Some(payload) if !has_header(&payload.text(), "From") => {
            invalid.add("dkim", "needs a header field From (RFC 6376, section 5.4), and `payload` has none");
        }
        _ => {}
    }
    if let Some(line) = payload.and_then(Payload::first_line_with_leading_dot) {
        invalid.add(
            "payload",
            format_args!(
                "has a dot at the start of line {line}, which the server removes (RFC 5321, section 4.5.2): the signature \
                 would not be of the text that arrives"
            ),
        );
    }
    Some(key)
}
