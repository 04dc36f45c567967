//! Escaping of text from strangers, before a log, a report or a terminal shows it.

use std::fmt::{self, Display, Formatter, Write};

/// Whether the character could disguise text on a terminal or in a log. By Unicode, these are control and format
/// characters (Cc, Cf), line and paragraph separators (Zl, Zp), private use (Co), and all that is shown as nothing
/// (Default_Ignorable_Code_Point).
///
/// The last are the two joiners (U+200C, U+200D) and the variation selectors, too, which belong to the spelling of some
/// words and emoji. But two host names or replies that differ in one look the same, and an operator has to see that
/// they differ. In JSON, an escape is another spelling of the same character.
pub fn is_harmful(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

/// A text with its harmful characters escaped, as in a Rust string: it stays on one line, and does not move the cursor.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_harmful(character) { write!(f, "{}", character.escape_default()) } else { f.write_char(character) }
        })
    }
}

/// Whether a string of JSON escapes nothing of an octet of text, and it is ASCII.
const IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut octet = b' ';
    while octet < 0x7f {
        is_plain[octet as usize] = octet != b'"' && octet != b'\\';
        octet += 1;
    }
    is_plain
};

/// Octets that a test without a way out in between looks at together.
const CHUNK_SIZE: usize = 16;

/// Whether the text is ASCII of which a string of JSON escapes nothing.
pub fn is_plain(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<CHUNK_SIZE>();
    let is_plain_chunk = |chunk: &[u8; CHUNK_SIZE]| {
        let is_plain = |octet: u8| (b' '..0x7f).contains(&octet) & (octet != b'"') & (octet != b'\\');
        chunk.iter().fold(true, |all, octet| all & is_plain(*octet))
    };
    chunks.iter().all(is_plain_chunk) && plain_prefix(rest) == rest.len()
}

/// The length of the longest prefix that [`is_plain`].
fn plain_prefix(text: &[u8]) -> usize {
    text.iter().position(|octet| !IS_PLAIN[usize::from(*octet)]).unwrap_or(text.len())
}

/// Whether all of it is ASCII without DEL.
fn is_below_del(text: &[u8]) -> bool {
    text.iter().fold(true, |is_below, octet| is_below & (*octet < 0x7f))
}

/// Writes text into a string of JSON, whose quotation marks the caller writes: it escapes what JSON requires, and
/// harmful characters.
#[derive(Debug)]
pub struct JsonText<'s>(pub &'s mut String);

impl Write for JsonText<'_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        loop {
            let plain = plain_prefix(text.as_bytes());
            self.0.push_str(&text[..plain]);
            let mut others = text[plain..].chars();
            let Some(character) = others.next() else { return Ok(()) };
            text = others.as_str();
            match character {
                '"' => self.0.push_str(r#"\""#),
                '\\' => self.0.push_str(r"\\"),
                '\n' => self.0.push_str(r"\n"),
                '\r' => self.0.push_str(r"\r"),
                '\t' => self.0.push_str(r"\t"),
                '\u{8}' => self.0.push_str(r"\b"),
                '\u{c}' => self.0.push_str(r"\f"),
                _ if is_harmful(character) => push_unicode_escape(self.0, character),
                _ => self.0.push(character),
            }
        }
    }
}

fn push_unicode_escape(json: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a `String` cannot fail.
        let _ = write!(json, "\\u{unit:04x}");
    }
}

/// A JSON document with its harmful characters as `\u` escapes: another spelling of the same values (RFC 8259, section
/// 7). Line ends between the values stay. Nearly all documents have none, and are returned as they are.
pub fn escape_json(document: String) -> String {
    // serde_json has escaped C0 in the values. Everything else is DEL or beyond ASCII.
    if is_below_del(document.as_bytes()) {
        return document;
    }
    let mut escaped = String::with_capacity(document.len());
    for character in document.chars() {
        if character == '\n' || !is_harmful(character) {
            escaped.push(character);
        } else {
            push_unicode_escape(&mut escaped, character);
        }
    }
    escaped
}

/// Bytes of a character in a string of JSON, once [`escape_json`] has escaped it.
pub fn json_character_size(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        _ if is_harmful(character) => r"\u0000".len() * character.len_utf16(),
        _ => character.len_utf8(),
    }
}

/// Bytes of a piece of a JSON document, of whole characters, once [`escape_json`] has escaped it.
pub fn escaped_json_size(piece: &[u8]) -> usize {
    if is_below_del(piece) {
        return piece.len();
    }
    let size = |character: char| if character < '\u{7f}' { 1 } else { json_character_size(character) };
    String::from_utf8_lossy(piece).chars().map(size).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escaped_json_has_the_same_values_and_no_harmful_character() {
        let text = "\u{9b}31m\u{7f}\u{2028}\u{61c}\u{202e}\u{e0041} é\n\u{1b}\u{8}\u{c}\r\t\"\\";
        let size: usize = text.chars().map(json_character_size).sum();
        assert_eq!(escape_json(serde_json::to_string(text).expect("JSON")).len(), size + 2);
        let value = serde_json::json!({"a": text});
        let document = serde_json::to_string(&value).expect("JSON");
        let size = escaped_json_size(document.as_bytes());
        let escaped = escape_json(document);
        assert_eq!(escaped.len(), size);
        assert!(escaped.chars().all(|character| !is_harmful(character)), "{escaped:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
        let mut written = String::from('"');
        JsonText(&mut written).write_str(text).expect("a `String`");
        written.push('"');
        assert_eq!(serde_json::from_str::<String>(&written).expect("JSON"), text);
        assert!(written.chars().all(|character| !is_harmful(character)), "{written:?}");
    }

    #[test]
    fn what_moves_a_cursor_or_turns_a_line() {
        for character in [
            '\n',
            '\r',
            '\u{1b}',
            '\u{9b}',
            '\u{2028}',
            '\u{202e}',
            '\u{2067}',
            '\u{feff}',
            '\u{61c}',
            '\u{200b}',
            '\u{2060}',
            '\u{7f}',
            '\u{e0041}',
            '\u{ad}',
            '\u{200c}',
            '\u{200d}',
            '\u{115f}',
            '\u{3164}',
            '\u{180b}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{e000}',
            '\u{10fffd}',
        ] {
            assert!(is_harmful(character), "{character:?}");
        }
        for character in ['a', 'é', ' ', '\u{5d0}', '漢', '\u{301}', '\u{1f600}', '\u{fffd}'] {
            assert!(!is_harmful(character), "{character:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_is_not_shown_is_harmful(
            character in r"[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]",
            shown in r"[\p{L}\p{N}\p{M}\p{P}\p{S}\p{Zs}--\p{Default_Ignorable_Code_Point}]",
        ) {
            prop_assert!(character.chars().all(is_harmful), "{character:?}");
            prop_assert!(!shown.chars().any(is_harmful), "{shown:?}");
        }
    }

    #[test]
    fn only_what_is_harmful_is_escaped() {
        let escaped = Escaped("a \u{1b}[2J\r\nb\u{202e}é \"\\").to_string();
        assert_eq!(escaped, "a \\u{1b}[2J\\r\\nb\\u{202e}é \"\\");
    }
}
