//! The document by which a server refuses a token (RFC 7628, section 3.2.2; XOAUTH2 has the same).

use serde_json::{Map, Value};

use crate::{escape::escape_json, secret::Mask};

/// Most octets of a document that are shown.
const MAX_DOCUMENT_SIZE: usize = 1024;

/// The JSON document with the token masked, for people; `None` if it is not one.
///
/// The texts in it are masked one by one: an escape of JSON would hide a token from the mask.
pub(super) fn shown(document: &[u8], mask: &Mask) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    if !document.is_object() {
        return None;
    }
    let mut shown = escape_json(mask.apply(&masked(document, mask).to_string()));
    if shown.len() > MAX_DOCUMENT_SIZE {
        let end = shown.floor_char_boundary(MAX_DOCUMENT_SIZE - '…'.len_utf8());
        shown.truncate(end);
        shown.push('…');
    }
    Some(shown)
}

fn masked(value: Value, mask: &Mask) -> Value {
    match value {
        Value::String(text) => Value::String(mask.apply(&text)),
        Value::Array(values) => values.into_iter().map(|value| masked(value, mask)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (mask.apply(&name), masked(value, mask)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_document_is_shown_without_the_token() {
        let mask = Mask::of(&Secret::new("ya29.secret\"1".to_owned()));
        for (document, expected) in [
            (r#"{"status":"invalid_token", "scope":"mail"}"#, Some(r#"{"status":"invalid_token","scope":"mail"}"#)),
            (r#"{"status":"bad ya29.secret\"1!"}"#, Some(r#"{"status":"bad ***!"}"#)),
            (r#"{"a":[{"\u0079a29.s\u0065cret\"1":1}]}"#, Some(r#"{"a":[{"***":1}]}"#)),
            (r#"{"a":"eWEyOS5zZWNyZXQiMQ=="}"#, Some(r#"{"a":"***"}"#)),
            ("[]", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(shown(document.as_bytes(), &mask).as_deref(), expected, "{document}");
        }
    }

    #[test]
    fn a_long_document_is_cut_after_it_was_masked() {
        let mask = Mask::of(&Secret::new("ya29.secret".to_owned()));
        for padding in 1000..1030 {
            let document = format!(r#"{{"a":"{}ya29.secret"}}"#, "ä".repeat(padding / 2));
            let shown = shown(document.as_bytes(), &mask).expect("a document");
            assert!(shown.len() <= MAX_DOCUMENT_SIZE && !shown.contains("ya29"), "{shown}");
        }
    }
}
