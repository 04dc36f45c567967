//! [`CommandLine`]: a command line of which bash makes the words that it was made of.

use std::fmt::{Display, Write};

use crate::escape::is_harmful;

/// A command line for bash under construction.
#[derive(Clone, Debug)]
pub(super) struct CommandLine(String);

impl CommandLine {
    /// A command line that begins with these words, which are part of this program and need no quotes.
    pub(super) fn new(start: &str) -> Self {
        let mut line = String::with_capacity(256);
        line.push_str(start);
        Self(line)
    }

    /// Adds words that are part of this program and need no quotes.
    pub(super) fn literal(mut self, words: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(words);
        self
    }

    /// Adds a word, quoted as it needs.
    pub(super) fn word(mut self, word: &str) -> Self {
        self.0.push(' ');
        quote(&mut self.0, word);
        self
    }

    /// Adds a flag with a value. A value that begins with a dash is joined to it, where it cannot be taken for a flag.
    pub(super) fn flag(mut self, name: &str, value: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push(if value.starts_with('-') { '=' } else { ' ' });
        quote(&mut self.0, value);
        self
    }

    /// Adds to the last word what is part of this program.
    pub(super) fn joined(mut self, part: &str) -> Self {
        self.0.push_str(part);
        self
    }

    /// Adds a flag with a number and its unit.
    pub(super) fn number(mut self, name: &str, number: impl Display, unit: &str) -> Self {
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, " {name} {number}{unit}");
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

    pub(super) fn finish(mut self) -> String {
        self.0.shrink_to_fit();
        self.0
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
