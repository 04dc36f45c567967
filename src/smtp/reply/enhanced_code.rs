//! [`EnhancedCode`]: enhanced status codes (RFC 3463), in the spellings of real servers.

use std::fmt;

use super::Code;
use crate::decimal;

/// An enhanced status code such as `5.1.1` (RFC 3463, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedCode {
    class: u8,
    subject: u16,
    detail: u16,
}

/// What separates the code from the text: a space, and in a few servers a tab, or several.
const BLANK: [char; 2] = [' ', '\t'];

impl EnhancedCode {
    /// The code in a line of a reply with the code `reply`, and the line without it. A code whose class is not the
    /// reply's (RFC 2034, section 4) is none, and stays in the text.
    ///
    /// | server | spelling |
    /// |---|---|
    /// | most | `5.1.1 text` |
    /// | OpenSMTPD | `5.1.1: text` |
    /// | Cisco ESA | `#5.1.1 text`, also as `#5.1.1.` |
    /// | qmail | `text (#5.1.1)` |
    /// | chkuser | `text (#5.1.1 - chkuser)`, of which the text stays whole |
    pub(super) fn find(reply: Code, line: &str) -> Option<(Self, &str)> {
        let of_class = |found: &(Self, &str)| u16::from(found.0.class) == reply.value() / 100;
        Self::at_the_start(line).filter(of_class).or_else(|| Self::at_the_end(line).filter(of_class))
    }

    fn at_the_start(line: &str) -> Option<(Self, &str)> {
        let line = line.trim_start_matches(BLANK);
        // Most lines are text alone.
        if !matches!(line.as_bytes(), [b'2' | b'4' | b'5' | b'#' | b'(', ..]) {
            return None;
        }
        let (word, rest) = line.split_once(BLANK).unwrap_or((line, ""));
        let word = word.strip_suffix([':', '.', ',']).unwrap_or(word);
        let in_brackets = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
        let code = match in_brackets {
            Some(word) => Self::parse(word.strip_prefix('#')?),
            None => Self::parse(word.strip_prefix('#').unwrap_or(word)),
        }?;
        Some((code, rest.trim_start()))
    }

    fn at_the_end(line: &str) -> Option<(Self, &str)> {
        if !line.as_bytes().contains(&b'#') {
            return None;
        }
        let text = line.trim_end().trim_end_matches('.');
        let (before, marked) = text.rsplit_once('#')?;
        let Some(before) = before.strip_suffix('(') else {
            return before.ends_with(BLANK).then(|| Self::parse(marked))?.map(|code| (code, before.trim_end()));
        };
        let marked = marked.strip_suffix(')')?;
        match marked.split_once(BLANK) {
            Some((word, _)) => Self::parse(word).map(|code| (code, line)),
            None => Self::parse(marked).map(|code| (code, before.trim_end())),
        }
    }

    /// Success, persistent transient or permanent failure: 2, 4 or 5.
    pub(in crate::smtp) fn class(self) -> u8 {
        self.class
    }

    /// What the code is about.
    pub(in crate::smtp) fn subject(self) -> u16 {
        self.subject
    }

    /// The exact condition.
    pub(in crate::smtp) fn detail(self) -> u16 {
        self.detail
    }

    pub(in crate::smtp) fn parse(word: &str) -> Option<Self> {
        let [class @ (b'2' | b'4' | b'5'), b'.', rest @ ..] = word.as_bytes() else { return None };
        let (subject, rest) = number(rest)?;
        let (detail, rest) = number(rest.strip_prefix(b".")?)?;
        rest.is_empty().then_some(Self { class: class - b'0', subject, detail })
    }
}

/// The number at the start, and what follows it.
fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits).filter(|(digits, _)| (1..=3).contains(&digits.len()))?;
    Some((digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')), rest))
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity("5.123.123".len());
        decimal::push(&mut text, self.class.into());
        for part in [self.subject, self.detail] {
            text.push('.');
            decimal::push(&mut text, part.into());
        }
        f.write_str(&text)
    }
}
