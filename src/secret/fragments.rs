//! Parts of a secret in a text: cut short, or wrapped from line to line.
//!
//! A part counts only if it is long enough to be no accident, for a mask tells, too: where it stands for an ordinary word, that word is
//! known to be in the secret.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::MASK;

/// Shortest part of base64 that counts, in characters: no text has so many of them in a row by accident.
const OF_BASE64: usize = 8;
/// Shortest part of the secret's own text that counts, in characters, a digit or a sign among them.
const OF_TEXT: usize = 6;
/// Shortest part of it that counts where it is all letters, and could be a word.
const OF_LETTERS: usize = 12;
/// Of a secret that is longer, in characters, the rest is not looked for in parts. PLAIN has at most 255 octets for a password (RFC 4616,
/// section 2).
const LIMIT: usize = 1024;

/// What the parts are parts of, without white space.
#[derive(Clone, Default)]
pub(super) struct Fragments {
    text: Zeroizing<Vec<char>>,
    base64: Vec<Zeroizing<Vec<char>>>,
}

impl Fragments {
    pub(super) fn of(secret: &str) -> Self {
        let text = secret.chars().filter(|c| !c.is_whitespace()).take(LIMIT).collect();
        Self { text: Zeroizing::new(text), base64: Vec::new() }
    }

    pub(super) fn add_base64(&mut self, encoded: &str) {
        let encoded = encoded.trim_end_matches('=').chars().take(2 * LIMIT).collect();
        self.base64.push(Zeroizing::new(encoded));
    }

    /// The text with [`MASK`] in place of each part; of one that goes over several lines, in each of them.
    pub(super) fn masked(&self, text: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let mut hidden = vec![false; characters.len()];
        // What looks like the codes of a line may lie between two parts, or be in one.
        for with_codes in [true, false] {
            self.hide(&Dense::of(&characters, with_codes), &characters, &mut hidden);
        }
        let mut masked = String::with_capacity(text.len());
        let mut before = false;
        for (character, is_hidden) in characters.into_iter().zip(hidden) {
            match (before, is_hidden) {
                (_, false) => masked.push(character),
                (false, true) => masked.push_str(MASK),
                (true, true) => {}
            }
            before = is_hidden;
        }
        masked
    }

    fn hide(&self, dense: &Dense, text: &[char], hidden: &mut [bool]) {
        for (from, to) in shared(&dense.characters, &[&self.text], OF_TEXT) {
            let part = &dense.characters[from..to];
            if part.len() >= OF_LETTERS || part.iter().any(|c| !c.is_alphabetic()) {
                dense.hide(from, to, text, hidden);
            }
        }
        // The alphabet for URLs (RFC 4648, section 5) has two signs of its own.
        let standard = |c: &char| {
            if *c == '-' {
                '+'
            } else if *c == '_' {
                '/'
            } else {
                *c
            }
        };
        let characters: Vec<char> = dense.characters.iter().map(standard).collect();
        let base64: Vec<&[char]> = self.base64.iter().map(|encoded| encoded.as_slice()).collect();
        for (from, to) in shared(&characters, &base64, OF_BASE64) {
            let padding = characters[to..].iter().take_while(|c| **c == '=').count();
            dense.hide(from, to + padding, text, hidden);
        }
    }
}

/// The runs of `text` that are parts of one of `secrets`, so long or longer, by their beginning and end.
fn shared(text: &[char], secrets: &[&[char]], shortest: usize) -> Vec<(usize, usize)> {
    let parts: HashSet<&[char]> = secrets.iter().flat_map(|secret| secret.windows(shortest)).collect();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (from, _) in text.windows(shortest).enumerate().filter(|(_, window)| parts.contains(window)) {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == from + shortest => *to += 1,
            _ => runs.push((from, from + shortest)),
        }
    }
    runs
}

/// A text without its white space.
struct Dense {
    characters: Vec<char>,
    /// Where each of them stands in the text.
    places: Vec<usize>,
}

impl Dense {
    fn of(text: &[char], with_codes: bool) -> Self {
        let (mut characters, mut places, mut line_begin) = (Vec::new(), Vec::new(), 0);
        for line in text.split_inclusive(|c| *c == '\n') {
            let skipped = if with_codes { 0 } else { codes(line) };
            for (at, character) in line.iter().enumerate().skip(skipped).filter(|(_, c)| !c.is_whitespace()) {
                characters.push(*character);
                places.push(line_begin + at);
            }
            line_begin += line.len();
        }
        Self { characters, places }
    }

    /// Hides a run and the white space in it, but for that around an end of line.
    fn hide(&self, from: usize, to: usize, text: &[char], hidden: &mut [bool]) {
        let places = &self.places[from..to];
        places.iter().for_each(|place| hidden[*place] = true);
        for pair in places.windows(2) {
            let between = pair[0] + 1..pair[1];
            if !text[between.clone()].contains(&'\n') {
                hidden[between].fill(true);
            }
        }
    }
}

/// How many characters at the start of a line may be its codes: `5.7.8 `, `535-5.7.8 `, `535-` or `535 5.7.8 `.
fn codes(line: &[char]) -> usize {
    let word = |from: usize| line[from..].iter().take_while(|c| c.is_ascii_digit() || ".-:".contains(**c)).count();
    let (mut end, mut codes) = (word(0), 0);
    while end > codes && line.get(end) == Some(&' ') {
        codes = end + 1;
        end = codes + word(codes);
    }
    if codes == 0 && end > 3 && line[3] == '-' { 4 } else { codes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut fragments = Fragments::of("S3cret-pa55 wordless");
        fragments.add_base64("AGJvYgBTM2NyZXQtcGE1NQ==");
        fragments.masked(text)
    }

    #[test]
    fn parts_are_hidden() {
        for (text, shown) in [
            ("bad AGJvYgBTM2NyZXQt", "bad ***"),
            ("bad AGJvYgBTM2NyZXQtcGE1NQ==!", "bad ***!"),
            ("bad BTM2NyZXQtcGE1NQ", "bad ***"),
            ("bad BTM2NyZXQtcG-x", "bad ***-x"),
            ("bad AGJvYgBTM2\nNyZXQtcGE1NQ==", "bad ***\n***"),
            ("bad AGJvY\r\n  gBTM2\r\n NyZXQ\r\ntcGE1NQ==", "bad ***\r\n  ***\r\n ***\r\n***"),
            ("5.7.8 bad AGJv\n5.7.8 YgBT\n5.7.8: M2Ny", "5.7.8 bad ***\n5.7.8 ***\n5.7.8: ***"),
            (
                "535-bad AGJv\n535-YgBT\n535-5.7.8 M2Ny\n535 5.7.8 ZXQt",
                "535-bad ***\n535-***\n535-5.7.8 ***\n535 5.7.8 ***",
            ),
            ("bad AGJv YgBT M2Ny.", "bad ***."),
            ("bad S3cret-", "bad ***"),
            ("bad \"S3cret\"", "bad \"***\""),
            ("bad S3cr\n5.7.8 et-p", "bad ***\n5.7.8 ***"),
            ("bad cret-pa55 word", "bad ***"),
        ] {
            assert_eq!(masked(text), shown, "{text:?}");
        }
    }

    #[test]
    fn honest_text_is_left_alone() {
        for text in [
            "the wordless secret",
            "my word-less S3cre",
            "AGJvYgB XM3NyZXQ",
            "535 5.7.8 Authentication credentials invalid",
            "",
            "\n \n",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_long_text_and_a_long_secret_are_no_trouble() {
        let mut fragments = Fragments::of(&"a1".repeat(LIMIT));
        fragments.add_base64(&"YTE".repeat(LIMIT));
        let text = "a1YTE a1a1a1 YTEYTEYTE\n".repeat(3000);
        assert_eq!(fragments.masked(&text), "a1YTE *** ***\n".repeat(3000));
    }
}
