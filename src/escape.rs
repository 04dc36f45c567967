//! Escaping of text from strangers, before a log, a report or a terminal shows it.

use std::fmt::{self, Display, Formatter, Write};

/// Whether the character could disguise text on a terminal or in a log: control characters, line separators, and marks
/// that change the direction of text.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_a_line() {
        for character in ['\n', '\r', '\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2067}', '\u{feff}'] {
            assert!(is_harmful(character), "{character:?}");
        }
        for character in ['a', 'é', ' ', '\u{5d0}', '漢', '\u{200d}'] {
            assert!(!is_harmful(character), "{character:?}");
        }
    }

    #[test]
    fn only_what_is_harmful_is_escaped() {
        let escaped = Escaped("a \u{1b}[2J\r\nb\u{202e}é \"\\").to_string();
        assert_eq!(escaped, "a \\u{1b}[2J\\r\\nb\\u{202e}é \"\\");
    }
}
