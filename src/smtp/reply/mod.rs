//! [`ReplyParser`]: from bytes to SMTP replies (RFC 5321, section 4.2).
//!
//! It tolerates what real servers do: a line may end in LF alone, the space after the code may be missing, and a last
//! line with a 4yz or 5yz code decides over lines with other codes before it. It insists that every line begins with a
//! code, that the lines of any other reply have the same code, and that sizes are limited.

mod enhanced_code;
mod error;
mod shown;

use std::{borrow::Cow, fmt};

pub use enhanced_code::EnhancedCode;
pub use error::{ReplyError, excerpt};

use crate::escape::{is_plain, json_character_size};

/// Longest line, in octets before its LF.
pub const MAX_LINE_SIZE: usize = 8 * 1024;
/// Largest reply, in octets.
pub const MAX_REPLY_SIZE: usize = 64 * 1024;
/// Most octets of all replies of one session.
pub const MAX_DIALOGUE_SIZE: usize = 1024 * 1024;

/// Most text that is kept of one reply, and of all replies of one session, in octets of JSON. The rest is read and left
/// out: what a server says must not decide how much memory a check takes.
pub const MAX_KEPT_REPLY_SIZE: usize = 8 * 1024;
/// See [`MAX_KEPT_REPLY_SIZE`]. To it comes [`KEPT_LAST_LINE_SIZE`] for each reply.
pub const MAX_KEPT_DIALOGUE_SIZE: usize = 16 * 1024;
/// What is kept of the last line of each reply, however long the lines before it are: that line decides. A line of this
/// size is the longest that a server should send (RFC 5321, section 4.5.3.1.5).
pub const KEPT_LAST_LINE_SIZE: usize = 512;

/// A reply code, 200 to 599 (RFC 5321, section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u16);

impl Code {
    /// The number, or `None` outside of 200 to 599.
    pub fn new(value: u16) -> Option<Self> {
        (200..600).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub fn value(self) -> u16 {
        self.0
    }

    /// A 4yz code: the same command may succeed later (RFC 5321, section 4.2.1).
    pub fn is_transient_negative(self) -> bool {
        (400..500).contains(&self.0)
    }

    /// A 2yz code: the command is done.
    pub fn is_completion(self) -> bool {
        (200..300).contains(&self.0)
    }

    /// A 3yz code: the server waits for more data before it takes another command.
    pub fn is_intermediate(self) -> bool {
        (300..400).contains(&self.0)
    }

    /// A 4yz or 5yz code.
    pub fn is_negative(self) -> bool {
        self.0 >= 400
    }

    /// The code at the beginning of a line.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] = line else {
            return None;
        };
        Self::new([a, b, c].iter().fold(0, |value, digit| value * 10 + u16::from(*digit - b'0')))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One reply: a code, and the text of its lines.
///
/// The lines should have the same code (RFC 5321, section 4.2.1). Where they have not, the last one decides: Postfix's
/// postscreen sends `220-` at once, and `521` a few seconds later. The reply has then the code of the last line, and
/// the text of the lines with that code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    /// The lines without code and separator, joined by LF, which no line can contain.
    text: Vec<u8>,
    /// The code of each line. Empty where all lines have the same code.
    line_codes: Vec<Code>,
    /// Octets of text beyond [`MAX_KEPT_REPLY_SIZE`] or [`MAX_KEPT_DIALOGUE_SIZE`], which are left out.
    left_out: usize,
    /// Some of them are of the last line.
    is_cut: bool,
    /// The text with what is left out, by [`ReplyParser::keeping_whole_text`], until the reply is judged.
    whole: Vec<u8>,
}

impl Reply {
    /// The code: that of the last line.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Octets of text that are left out, because the reply or the session is too long to be kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether the end of the last line is left out. What it says there is not known.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The text of each line that has the reply's code, without that code. Octets that are not UTF-8 become U+FFFD.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.coded_lines().filter(|(code, _)| *code == self.code).map(|(_, text)| text)
    }

    /// Every line: its code, and its text. Octets that are not UTF-8 become U+FFFD.
    pub fn coded_lines(&self) -> impl Iterator<Item = (Code, Cow<'_, str>)> {
        let codes = self.line_codes.iter().copied().chain(std::iter::repeat(self.code));
        codes.zip(self.text.split(|byte| *byte == b'\n').map(text_of))
    }

    /// The first line whose code is not the reply's; `None` where all lines have the same code.
    pub fn deviating_line(&self) -> Option<(Code, Cow<'_, str>)> {
        if self.line_codes.is_empty() {
            return None;
        }
        self.coded_lines().find(|(code, _)| *code != self.code)
    }

    /// The first enhanced status code among the lines (RFC 2034, section 4) whose class is that of the reply's code.
    pub fn enhanced_code(&self) -> Option<EnhancedCode> {
        self.lines().find_map(|line| EnhancedCode::find(self.code, &line).map(|(code, _)| code))
    }

    /// The text: the lines without their enhanced status codes, joined by LF.
    pub fn message(&self) -> String {
        self.code_and_message().1
    }

    /// [`Self::enhanced_code`] and [`Self::message`].
    pub fn code_and_message(&self) -> (Option<EnhancedCode>, String) {
        let (mut first, mut message) = (None, String::with_capacity(self.text.len()));
        for (index, line) in self.lines().enumerate() {
            if index > 0 {
                message.push('\n');
            }
            let found = EnhancedCode::find(self.code, &line);
            first = first.or(found.map(|(code, _)| code));
            message.push_str(found.map_or(&*line, |(_, text)| text));
        }
        (first, message)
    }

    /// The text of all lines with their enhanced status codes, joined by LF; with what is left out, where it is kept.
    pub(super) fn sent_text(&self) -> Cow<'_, str> {
        text_of(if self.whole.is_empty() { &self.text } else { &self.whole })
    }

    /// The reply without what is left out of its text.
    #[must_use]
    pub(super) fn without_whole_text(self) -> Self {
        Self { whole: Vec::new(), ..self }
    }
}

/// Parses the server's bytes into [`Reply`]s, in whatever pieces they arrive.
///
/// It never buffers more octets than [`MAX_LINE_SIZE`] and [`MAX_KEPT_REPLY_SIZE`] together, and a code for each line
/// of a reply with several codes; and a whole reply where its text decides, which is dropped once it has.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// The current line.
    line: Vec<u8>,
    /// The current reply: the code of its first line, and its text so far.
    code: Option<Code>,
    text: Vec<u8>,
    /// The codes of the lines so far. Empty until one differs from the first.
    line_codes: Vec<Code>,
    reply_octets: usize,
    dialogue_octets: usize,
    /// What is kept of this reply and of all, and what is left out of this one.
    kept_of_reply: usize,
    kept_of_dialogue: usize,
    left_out: usize,
    /// The text of the reply so far, with what is left out.
    whole: Option<Vec<u8>>,
    /// A code that is not that of the first line.
    other_code: Option<Code>,
    /// The first error. The bytes after it cannot be read as replies.
    error: Option<ReplyError>,
}

impl ReplyParser {
    /// A parser that keeps the whole text of a reply, if `is_whole`, until the reply is judged: what is left out of a
    /// report is a limit of this client, and must not decide.
    pub fn keeping_whole_text(is_whole: bool) -> Self {
        Self { whole: is_whole.then(Vec::new), ..Self::default() }
    }

    /// Reads from the front of `input` until one reply is complete; the rest stays in `input`.
    ///
    /// `Ok(None)`: all of `input` is read, and the reply is not complete.
    ///
    /// # Errors
    /// The input is not a reply, or is too long. Every later call returns the same error and reads nothing.
    pub fn parse(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.read(input).inspect_err(|error| self.error = Some(error.clone()))
    }

    /// The lines of an incomplete reply, with their codes, joined by LF. The last one may be incomplete, or the one
    /// that is no reply.
    pub fn partial_reply(&self) -> String {
        let mut lines = String::new();
        if let Some(code) = self.code {
            let codes = self.line_codes.iter().copied().chain(std::iter::repeat(code));
            for (code, line) in codes.zip(String::from_utf8_lossy(&self.text).split('\n')) {
                lines.extend([&code.to_string(), "-", line, "\n"]);
            }
        }
        lines.push_str(&String::from_utf8_lossy(without_line_end(&self.line)));
        lines.truncate(lines.trim_end_matches('\n').len());
        lines
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while !input.is_empty() {
            let line_feed = input.iter().position(|byte| *byte == b'\n');
            let (chunk, rest) = input.split_at(line_feed.map_or(input.len(), |at| at + 1));
            *input = rest;
            self.count(chunk, line_feed.is_some())?;
            if line_feed.is_none() {
                self.line.extend_from_slice(chunk);
                break;
            }
            if self.text.is_empty() {
                // Nearly always the whole reply is there.
                self.text.reserve((chunk.len() + rest.len()).min(MAX_KEPT_REPLY_SIZE));
            }
            let begun = std::mem::take(&mut self.line);
            let line = if begun.is_empty() { Cow::Borrowed(chunk) } else { Cow::Owned([&begun, chunk].concat()) };
            match self.end_line(&line) {
                Ok(None) => {}
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    self.line = line.into_owned();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn count(&mut self, chunk: &[u8], with_line_feed: bool) -> Result<(), ReplyError> {
        // Of several limits the one that is reached first decides, in whatever chunks the octets arrive.
        let line_octets = chunk.len() - usize::from(with_line_feed);
        let of_line = MAX_LINE_SIZE - self.line.len();
        let of_reply = MAX_REPLY_SIZE - self.reply_octets;
        let of_dialogue = MAX_DIALOGUE_SIZE - self.dialogue_octets;
        if line_octets > of_line || chunk.len() > of_reply.min(of_dialogue) {
            let limits = [
                (line_octets, of_line, ReplyError::LineTooLong),
                (chunk.len(), of_reply, ReplyError::ReplyTooLong),
                (chunk.len(), of_dialogue, ReplyError::DialogueTooLong),
            ];
            let exceeded = limits.into_iter().filter(|(octets, left, _)| octets > left);
            return exceeded.min_by_key(|(_, left, _)| *left).map_or(Ok(()), |(_, _, error)| Err(error));
        }
        self.dialogue_octets += chunk.len();
        self.reply_octets += chunk.len();
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = without_line_end(line);
        let (code, is_last, text) = split_line(line)?;
        let first = self.code.unwrap_or(code);
        if self.line_codes.is_empty() && code != first {
            let lines = self.text.split(|byte| *byte == b'\n').count();
            self.line_codes = vec![first; lines];
        }
        self.other_code = self.other_code.or((code != first).then_some(code));
        if is_last
            && !code.is_negative()
            && let Some(then) = self.other_code
        {
            return Err(ReplyError::CodeChanged { first, then });
        }
        let is_first = self.code.replace(first).is_none();
        let left = MAX_KEPT_REPLY_SIZE
            .saturating_sub(KEPT_LAST_LINE_SIZE + self.kept_of_reply)
            .min(MAX_KEPT_DIALOGUE_SIZE.saturating_sub(self.kept_of_dialogue));
        let left = if is_last { left + KEPT_LAST_LINE_SIZE } else { left };
        // A line costs at least its line feed, which JSON escapes.
        let (end, size) = json_prefix(text, left.saturating_sub(2));
        let is_whole = end == text.len() && left >= 2;
        // A capability whose end is missing would be another one.
        if is_whole || is_first || is_last {
            let size = left.min(size + 2);
            self.kept_of_reply += size;
            self.kept_of_dialogue += size;
            self.left_out += text.len() - end;
            if !is_first {
                self.text.push(b'\n');
            }
            if !self.line_codes.is_empty() {
                self.line_codes.push(code);
            }
            self.text.extend_from_slice(&text[..end]);
        } else {
            self.left_out += text.len();
        }
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(text);
            whole.extend((!is_last).then_some(b'\n'));
        }
        if !is_last {
            return Ok(None);
        }
        self.code = None;
        (self.reply_octets, self.kept_of_reply, self.other_code) = (0, 0, None);
        let (text, line_codes) = (std::mem::take(&mut self.text), std::mem::take(&mut self.line_codes));
        let left_out = std::mem::take(&mut self.left_out);
        let whole = self.whole.as_mut().map(std::mem::take).filter(|_| left_out > 0).unwrap_or_default();
        Ok(Some(Reply { code, text, line_codes, left_out, is_cut: !is_whole, whole }))
    }
}

/// The code of a line, whether it is the last one of its reply, and its text.
fn split_line(line: &[u8]) -> Result<(Code, bool, &[u8]), ReplyError> {
    let not_a_reply = || ReplyError::NotAReply { line: String::from_utf8_lossy(line).into_owned() };
    let code = Code::parse(line).ok_or_else(not_a_reply)?;
    match &line[3..] {
        [b'-', text @ ..] => Ok((code, false, text)),
        [b' ', text @ ..] => Ok((code, true, text)),
        [b'0'..=b'9', ..] => Err(not_a_reply()),
        text => Ok((code, true, text)),
    }
}

/// How much of `text` takes at most `max` octets as JSON, and how many it takes.
fn json_prefix(text: &[u8], max: usize) -> (usize, usize) {
    if text.len() <= max && is_plain(text) {
        return (text.len(), text.len());
    }
    let (mut end, mut size) = (0, 0);
    for chunk in text.utf8_chunks() {
        let invalid = chunk.invalid().len();
        let replaced = (invalid > 0).then_some((invalid, char::REPLACEMENT_CHARACTER.len_utf8()));
        let characters = chunk.valid().chars().map(|character| (character.len_utf8(), json_character_size(character)));
        for (octets, json_size) in characters.chain(replaced) {
            if size + json_size > max {
                return (end, size);
            }
            (end, size) = (end + octets, size + json_size);
        }
    }
    (end, size)
}

/// The octets as text: those that are not UTF-8 become U+FFFD.
fn text_of(octets: &[u8]) -> Cow<'_, str> {
    // Nearly all are, and to find that out alone is fast.
    str::from_utf8(octets).map_or_else(|_| String::from_utf8_lossy(octets), Cow::Borrowed)
}

/// The line without its LF and the CRs before it: some servers send more than one.
fn without_line_end(line: &[u8]) -> &[u8] {
    let last = line.iter().rposition(|octet| !b"\r\n".contains(octet));
    &line[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests;
