//! [`Fragments`]: masks parts of a secret, which a server may have cut off or wrapped over several lines.
//!
//! Only parts are masked that are too long to be a coincidence. A mask reveals something too: in place of an ordinary
//! word it tells that the word is in the secret.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::MASK;

/// Shortest part of the base64 that is masked, in characters: other text does not have this many in a row.
const MIN_BASE64_LENGTH: usize = 8;
/// Shortest part of the secret's text that is masked, in characters, if one of them is not a letter.
const MIN_TEXT_LENGTH: usize = 6;
/// Shortest part of it that is masked, in characters, if all of them are letters: it could be a word.
const MIN_LETTERS_LENGTH: usize = 12;
/// Longest text of a secret of which parts are masked, in characters; the rest is only masked as a whole. A password
/// for PLAIN has at most 255 octets (RFC 4616, section 2), an access token often has more than a thousand.
const MAX_SECRET_LENGTH: usize = 4096;

/// The texts of secrets and their base64, without white space.
#[derive(Clone, Default)]
pub(super) struct Fragments {
    texts: Vec<Zeroizing<Vec<char>>>,
    base64: Vec<Zeroizing<Vec<char>>>,
}

impl Fragments {
    pub(super) fn of(secret: &str) -> Self {
        let text = secret.chars().filter(|c| !c.is_whitespace()).take(MAX_SECRET_LENGTH).collect();
        Self { texts: vec![Zeroizing::new(text)], base64: Vec::new() }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.texts.extend(other.texts.iter().cloned());
        self.base64.extend(other.base64.iter().cloned());
    }

    pub(super) fn add_base64(&mut self, encoded: &str) {
        let encoded = encoded.trim_end_matches('=').chars().take(2 * MAX_SECRET_LENGTH).collect();
        self.base64.push(Zeroizing::new(encoded));
    }

    /// The text with [`MASK`] in place of each part. A part that goes over several lines is masked in each of them.
    pub(super) fn masked(&self, text: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let mut hidden = vec![false; characters.len()];
        // What looks like the codes of a reply line may be between two parts, or belong to one.
        for keep_codes in [true, false] {
            self.hide(&Condensed::of(&characters, keep_codes), &characters, &mut hidden);
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

    fn hide(&self, condensed: &Condensed, text: &[char], hidden: &mut [bool]) {
        let texts: Vec<&[char]> = self.texts.iter().map(|text| text.as_slice()).collect();
        for (from, to) in matching_runs(&condensed.characters, &texts, MIN_TEXT_LENGTH) {
            let part = &condensed.characters[from..to];
            if part.len() >= MIN_LETTERS_LENGTH || part.iter().any(|c| !c.is_alphabetic()) {
                condensed.hide(from, to, text, hidden);
            }
        }
        // The URL-safe alphabet (RFC 4648, section 5) has `-` and `_` instead of `+` and `/`.
        let standard = |c: &char| match *c {
            '-' => '+',
            '_' => '/',
            other => other,
        };
        let characters: Vec<char> = condensed.characters.iter().map(standard).collect();
        let base64: Vec<&[char]> = self.base64.iter().map(|encoded| encoded.as_slice()).collect();
        for (from, to) in matching_runs(&characters, &base64, MIN_BASE64_LENGTH) {
            let padding = characters[to..].iter().take_while(|c| **c == '=').count();
            condensed.hide(from, to + padding, text, hidden);
        }
    }
}

/// The start and end of each run of `text` that is a part of one of the `secrets`, of this length or longer.
fn matching_runs(text: &[char], secrets: &[&[char]], shortest: usize) -> Vec<(usize, usize)> {
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

/// The characters of a text that are not white space.
struct Condensed {
    characters: Vec<char>,
    /// The index of each of them in the text.
    positions: Vec<usize>,
}

impl Condensed {
    fn of(text: &[char], keep_codes: bool) -> Self {
        let (mut characters, mut positions, mut line_begin) = (Vec::new(), Vec::new(), 0);
        for line in text.split_inclusive(|c| *c == '\n') {
            let skipped = if keep_codes { 0 } else { codes_length(line) };
            for (at, character) in line.iter().enumerate().skip(skipped).filter(|(_, c)| !c.is_whitespace()) {
                characters.push(*character);
                positions.push(line_begin + at);
            }
            line_begin += line.len();
        }
        Self { characters, positions }
    }

    /// Hides a run and the white space in it, except around the end of a line.
    fn hide(&self, from: usize, to: usize, text: &[char], hidden: &mut [bool]) {
        let positions = &self.positions[from..to];
        positions.iter().for_each(|position| hidden[*position] = true);
        for pair in positions.windows(2) {
            let between = pair[0] + 1..pair[1];
            if !text[between.clone()].contains(&'\n') {
                hidden[between].fill(true);
            }
        }
    }
}

/// How many characters at the start of a line may be codes: `5.7.8 `, `535-5.7.8 `, `535-` or `535 5.7.8 `.
fn codes_length(line: &[char]) -> usize {
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
    fn other_text_is_kept() {
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
    fn a_long_text_and_a_long_secret() {
        let mut fragments = Fragments::of(&"a1".repeat(MAX_SECRET_LENGTH));
        fragments.add_base64(&"YTE".repeat(MAX_SECRET_LENGTH));
        let text = "a1YTE a1a1a1 YTEYTEYTE\n".repeat(3000);
        assert_eq!(fragments.masked(&text), "a1YTE *** ***\n".repeat(3000));
    }
}
