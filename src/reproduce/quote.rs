//! [`CommandLine`]: a command line of which bash makes the words that it was made of.

use std::fmt::{Display, Write};

use crate::{escape::is_harmful, secret::Mask};

/// Bytes that most lines fit into.
const LINE_SIZE: usize = 512;

/// A command line for bash under construction.
#[derive(Clone, Debug)]
pub(super) struct CommandLine {
    line: String,
    /// The values in it without their quotes, to look for secrets in.
    values: String,
}

impl CommandLine {
    /// A command line that begins with these words, which are part of this program and need no quotes.
    pub(super) fn new(start: &str) -> Self {
        let mut line = String::with_capacity(LINE_SIZE);
        line.push_str(start);
        Self { line, values: String::with_capacity(LINE_SIZE) }
    }

    /// Adds words that are part of this program and need no quotes.
    pub(super) fn literal(mut self, words: &str) -> Self {
        self.line.push(' ');
        self.line.push_str(words);
        self
    }

    /// Adds a word, quoted as it needs.
    pub(super) fn word(mut self, word: &str) -> Self {
        self.line.push(' ');
        self.quoted(word)
    }

    /// Adds a flag and its value as two words, for programs that take the word behind the flag whatever it is.
    pub(super) fn flag(self, name: &str, value: &str) -> Self {
        self.literal(name).word(value)
    }

    /// Adds a flag with a value. A value that begins with a dash is joined to it, where it cannot be taken for a flag.
    pub(super) fn assigned(self, name: &str, value: &str) -> Self {
        match value.starts_with('-') {
            true => self.literal(name).joined("=").quoted(value),
            false => self.flag(name, value),
        }
    }

    fn quoted(mut self, value: &str) -> Self {
        quote(&mut self.line, value);
        self.values.push_str(value);
        self.values.push('\n');
        self
    }

    /// Adds to the last word what is part of this program.
    pub(super) fn joined(mut self, part: &str) -> Self {
        self.line.push_str(part);
        self
    }

    /// Adds a flag with a number and its unit.
    pub(super) fn number(mut self, name: &str, number: impl Display, unit: &str) -> Self {
        // Writing to a `String` cannot fail.
        let _ = write!(self.line, " {name} {number}{unit}");
        self
    }

    /// Adds the flag with the value, if there is one.
    pub(super) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.flag(name, value),
            None => self,
        }
    }

    /// Adds these words, if `applies`.
    pub(super) fn literal_if(self, applies: bool, words: &str) -> Self {
        if applies { self.literal(words) } else { self }
    }

    /// The line; `None` where one of its values has a secret in it.
    pub(super) fn finish(mut self, secrets: &[Mask]) -> Option<String> {
        if secrets.iter().any(|mask| mask.is_in(&self.values)) {
            return None;
        }
        self.line.shrink_to_fit();
        Some(self.line)
    }
}

/// Writes a word for bash: bare where nothing in it is special, else in single quotes. A word with characters that
/// could disguise the line, on a terminal too, has escapes in its quotes.
fn quote(line: &mut String, word: &str) {
    let is_plain =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'@' | b'%' | b'+'..=b':' | b'=' | b'_');
    if !word.is_empty() && word.bytes().all(is_plain) {
        return line.push_str(word);
    }
    if word.chars().any(is_harmful) {
        return escape(line, word);
    }
    line.push('\'');
    for (index, part) in word.split('\'').enumerate() {
        if index > 0 {
            line.push_str(r"'\''");
        }
        line.push_str(part);
    }
    line.push('\'');
}

/// Writes a word in `$'…'`. The octets of a character are written one by one: what `\u` means depends on the locale. A
/// quotation mark and an exclamation mark have escapes as well: the history of an interactive shell reads the line
/// before bash does, and does not know these quotes.
fn escape(line: &mut String, word: &str) {
    line.push_str("$'");
    for character in word.chars() {
        match character {
            '\n' => line.push_str(r"\n"),
            '\r' => line.push_str(r"\r"),
            '\t' => line.push_str(r"\t"),
            '\\' => line.push_str(r"\\"),
            '\'' | '!' => push_octets(line, character),
            _ if is_harmful(character) => push_octets(line, character),
            _ => line.push(character),
        }
    }
    line.push('\'');
}

fn push_octets(line: &mut String, character: char) {
    for octet in character.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a `String` cannot fail.
        let _ = write!(line, r"\x{octet:02x}");
    }
}
