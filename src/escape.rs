//! What may be shown to people as it is: strangers choose many of the words in logs, certificates and reports.

use std::fmt::{self, Display, Formatter, Write};

/// Control characters, line separators, and the marks that turn the direction of text round: on a terminal, or in a log, they make
/// the words of one look like those of another.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with its harmful characters escaped, as Rust writes them: it stays in its line, and moves no cursor.
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
