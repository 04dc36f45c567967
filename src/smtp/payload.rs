//! [`Payload`]: the message of a check, in a form that cannot end the DATA phase early (SMTP smuggling).

use std::{borrow::Cow, sync::Arc};

/// A message as it is sent: every line ends in CR LF, and no line ends it early. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Without the last line end, which is sent with the final dot.
    text: Arc<[u8]>,
    /// Whether dots at the start of a line are doubled on their way.
    is_stuffed: bool,
}

/// The end of the last line, and the end of mail data indicator (RFC 5321, section 4.1.1.4).
const END: &[u8] = b"\r\n.\r\n";

/// Why a text cannot be a [`Payload`]. Lines are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// CR that no LF follows (RFC 5321, section 2.3.8).
    #[error("line {0} contains a CR without an LF after it; lines end in CR LF or LF")]
    BareCarriageReturn(usize),
    /// NUL.
    #[error("line {0} contains a NUL character")]
    Nul(usize),
    /// The end of mail data indicator before the end (RFC 5321, section 4.1.1.4).
    #[error("line {0} is a single dot, which would end the message early; write two dots to send one")]
    LoneDot(usize),
}

impl Payload {
    /// Writes a lone LF as CR LF and keeps everything else as it is: dots are not stuffed.
    ///
    /// # Errors
    /// The first line that cannot be sent.
    pub fn parse(text: &str) -> Result<Self, InvalidPayload> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line.strip_suffix('\r').unwrap_or(line), "\r\n"),
                None => (line, ""),
            };
            wire.extend_from_slice(check_line(line, index + 1)?.as_bytes());
            wire.extend_from_slice(end.as_bytes());
        }
        Ok(Self { text: wire.into(), is_stuffed: false })
    }

    /// A message that the receiver is to hold exactly so, but for a last line end, which is added if it is missing. On
    /// its way, a dot at the start of a line is doubled (RFC 5321, section 4.5.2).
    ///
    /// # Errors
    /// The first line that cannot be sent.
    pub fn of_message(text: &str) -> Result<Self, InvalidPayload> {
        let text = text.strip_suffix("\r\n").unwrap_or(text);
        let mut lines = text.split("\r\n");
        match lines.position(|line| line.contains(['\r', '\n', '\0'])) {
            Some(index) => Err(InvalidPayload::BareCarriageReturn(index + 1)),
            None => Ok(Self { text: text.as_bytes().into(), is_stuffed: true }),
        }
    }

    /// The octets to send, with the final CR LF DOT CR LF.
    pub fn to_wire(&self) -> Vec<u8> {
        if !self.is_stuffed {
            return [&*self.text, END].concat();
        }
        let mut wire = Vec::with_capacity(self.text.len() + self.text.len() / 64 + END.len());
        for line in self.text.split_inclusive(|octet| *octet == b'\n') {
            wire.extend_from_slice(if line.starts_with(b".") { b"." } else { b"" });
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(END);
        wire
    }

    /// The text, its lines ending in CR LF.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Length without the final CR LF DOT CR LF, in octets, and without the dots that are doubled on their way.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Octets that the receiver holds, the last line end included, if no dot was removed that the text has.
    pub fn received_len(&self) -> usize {
        self.text.len() + "\r\n".len()
    }

    /// Whether the message has no octets. That is allowed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the message needs `BODY=8BITMIME` (RFC 6152).
    pub fn is_8bit(&self) -> bool {
        !self.text.is_ascii()
    }

    /// Whether its header section has characters beyond ASCII, so that the server has to offer `SMTPUTF8` (RFC 6531,
    /// section 3.3). Of a payload that goes as it stands this is not asked: the caller wants to see what happens.
    pub fn needs_utf8(&self) -> bool {
        let headers = self.text.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap_or(self.text.len());
        self.is_stuffed && !self.text[..headers].is_ascii()
    }

    /// The first line that begins with a dot, counted from 1, if it goes as it stands. The server removes that dot
    /// (RFC 5321, section 4.5.2).
    pub fn first_line_with_leading_dot(&self) -> Option<usize> {
        if self.is_stuffed {
            return None;
        }
        self.text.split(|octet| *octet == b'\n').position(|line| line.starts_with(b".")).map(|index| index + 1)
    }
}

/// Whether the header section of a message has a field of this name, in any case. The colon must follow the name at
/// once (RFC 5322, section 2.2).
pub fn has_header(text: &str, name: &str) -> bool {
    header(text, name).is_some()
}

/// The value of the first header field of this name, as it stands: its first line, without white space around it.
pub fn header<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let lines = text.lines().take_while(|line| !line.is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn check_line(line: &str, number: usize) -> Result<&str, InvalidPayload> {
    match line {
        "." => Err(InvalidPayload::LoneDot(number)),
        _ if line.contains('\r') => Err(InvalidPayload::BareCarriageReturn(number)),
        _ if line.contains('\0') => Err(InvalidPayload::Nul(number)),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_sent_as_it_is() {
        for (text, wire) in [
            ("", "\r\n.\r\n"),
            ("Subject: Testing", "Subject: Testing\r\n.\r\n"),
            ("a\nb", "a\r\nb\r\n.\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n\r\n.\r\n"),
            ("a\n\r\nb", "a\r\n\r\nb\r\n.\r\n"),
            ("..\n.x", "..\r\n.x\r\n.\r\n"),
        ] {
            let payload = Payload::parse(text).expect("a payload");
            assert_eq!(payload.to_wire(), wire.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn invalid_payloads() {
        for (text, error) in [
            (".", InvalidPayload::LoneDot(1)),
            ("a\n.", InvalidPayload::LoneDot(2)),
            ("a\r\n.\r\nMAIL FROM:<x>", InvalidPayload::LoneDot(2)),
            ("a\n.\nb", InvalidPayload::LoneDot(2)),
            ("a\rb", InvalidPayload::BareCarriageReturn(1)),
            ("a\r", InvalidPayload::BareCarriageReturn(1)),
            ("a\r\r\nb", InvalidPayload::BareCarriageReturn(1)),
            ("a\n.\r", InvalidPayload::BareCarriageReturn(2)),
            ("a\nb\0", InvalidPayload::Nul(2)),
        ] {
            assert_eq!(Payload::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn leading_dots_are_found() {
        assert_eq!(Payload::parse("a\n.b").expect("a payload").first_line_with_leading_dot(), Some(2));
        assert_eq!(Payload::parse("a\nb.").expect("a payload").first_line_with_leading_dot(), None);
    }

    #[test]
    fn a_message_arrives_as_it_was_built() {
        for (text, wire) in [
            ("", "\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\r\n.\r\n..x\r\n", "a\r\n..\r\n...x\r\n.\r\n"),
            ("a\r\n\r\n", "a\r\n\r\n.\r\n"),
        ] {
            let message = Payload::of_message(text).expect("a message");
            assert_eq!(String::from_utf8(message.to_wire()).as_deref(), Ok(wire), "{text:?}");
            assert_eq!(message.first_line_with_leading_dot(), None);
        }
        for text in ["a\rb", "a\nb", "\0", "a\r\n\n"] {
            assert!(Payload::of_message(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn header_fields_are_found() {
        let text = "Subject:  x \r\nFROM:a@b\r\n From: folded\r\n\r\nTo: body";
        assert_eq!(header(text, "subject"), Some("x"));
        assert!(has_header(text, "From") && !has_header(text, "To") && !has_header("From : x", "From"));
        assert!(!has_header("\r\nFrom: x", "From") && !has_header("", "From"));
    }

    proptest! {
        #[test]
        fn no_message_ends_early(text in "([a.]|\r\n){0,30}") {
            let message = Payload::of_message(&text).expect("a message");
            let wire = String::from_utf8(message.to_wire()).expect("ASCII");
            let framed = format!("\r\n{wire}");
            prop_assert_eq!(framed.find("\r\n.\r\n"), Some(framed.len() - 5));
            // What the server makes of it (RFC 5321, section 4.5.2).
            let data = wire.strip_suffix(".\r\n").expect("the final dot");
            let held: String =
                data.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            prop_assert_eq!(&held, &if text.ends_with("\r\n") { text } else { text + "\r\n" });
            prop_assert_eq!(held.len(), message.received_len());
        }

        #[test]
        fn no_payload_ends_the_message_early(text in "[a.\r\n]{0,30}") {
            if let Ok(payload) = Payload::parse(&text) {
                let wire = String::from_utf8(payload.to_wire()).expect("ASCII");
                let framed = format!("\r\n{wire}");
                prop_assert_eq!(framed.find("\r\n.\r\n"), Some(framed.len() - 5));
                let without_pairs = wire.replace("\r\n", "");
                prop_assert!(!without_pairs.contains(['\r', '\n']));
            }
        }
    }
}
