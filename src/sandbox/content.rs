//! Decoder of message content: only CR LF DOT CR LF ends a message (RFC 5321, sections 2.3.8 and 4.5.2).
//!
//! A lone LF or CR is content, like any other octet. Servers that accepted `LF DOT LF` as the end allowed SMTP
//! smuggling (CVE-2023-51764 and others); this one shows what a client really sent.

/// Reads the octets after DATA's `354`: removes dot-stuffing, and finds the end.
#[derive(Debug)]
pub(super) struct ContentDecoder {
    state: State,
    limit: usize,
    content: Vec<u8>,
    oversized: bool,
}

/// What comes before the next octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    /// A dot at the start of a line.
    Dot,
    /// A dot at the start of a line, and a CR.
    DotCr,
    /// A CR anywhere else.
    Cr,
    Inside,
    End,
}

impl ContentDecoder {
    /// A decoder that keeps up to `limit` octets, and nothing of a longer message.
    pub(super) fn new(limit: usize) -> Self {
        Self { state: State::LineStart, limit, content: Vec::new(), oversized: false }
    }

    /// Takes octets up to the end of the message, and returns how many; fewer than given only at the end.
    pub(super) fn push(&mut self, octets: &[u8]) -> usize {
        for (index, &octet) in octets.iter().enumerate() {
            if self.ended() {
                return index;
            }
            self.step(octet);
        }
        octets.len()
    }

    /// Whether CR LF DOT CR LF has been seen.
    pub(super) fn ended(&self) -> bool {
        self.state == State::End
    }

    /// The content; `None` if it exceeded the limit.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.oversized).then_some(self.content)
    }

    fn step(&mut self, octet: u8) {
        self.state = match (self.state, octet) {
            (State::LineStart, b'.') => return self.state = State::Dot,
            (State::Dot, b'\r') => return self.state = State::DotCr,
            (State::DotCr, b'\n') => return self.state = State::End,
            // The CR after the dot was content.
            (State::DotCr, _) => {
                self.keep(b'\r');
                if octet == b'\r' { State::Cr } else { State::Inside }
            }
            (State::Cr, b'\n') => State::LineStart,
            (_, b'\r') => State::Cr,
            _ => State::Inside,
        };
        self.keep(octet);
    }

    fn keep(&mut self, octet: u8) {
        if self.content.len() < self.limit && !self.oversized {
            self.content.push(octet);
        } else {
            self.oversized = true;
            self.content = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(octets: &[u8]) -> (Option<Vec<u8>>, usize, bool) {
        let mut decoder = ContentDecoder::new(1000);
        let used = decoder.push(octets);
        let ended = decoder.ended();
        (decoder.finish(), used, ended)
    }

    #[test]
    fn ends_and_dots() {
        for (sent, kept) in [
            (".\r\n", ""),
            ("\r\n.\r\n", "\r\n"),
            ("Subject: Testing\r\n.\r\n", "Subject: Testing\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            (".stuffed\r\n.\r\n", "stuffed\r\n"),
            ("a\n.\n.\r\nb\r\n.\r\n", "a\n.\n.\r\nb\r\n"),
            ("a\n.\r\nMAIL\r\n.\r\n", "a\n.\r\nMAIL\r\n"),
            ("a\r.\r\r\n.\r\n", "a\r.\r\r\n"),
            ("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n"),
            ("a\r\n.\r.\r\n.\r\n", "a\r\n\r.\r\n"),
            ("\r\r\n.\r\n", "\r\r\n"),
            ("\0\u{ff}\r\n.\r\n", "\0\u{ff}\r\n"),
        ] {
            let (content, used, ended) = decode(sent.as_bytes());
            assert_eq!(content.as_deref(), Some(kept.as_bytes()), "{sent:?}");
            assert_eq!((used, ended), (sent.len(), true), "{sent:?}");
        }
    }

    #[test]
    fn past_the_limit_nothing_is_kept_but_the_end_is_found() {
        for (content, fits) in [("12345678\r\n", true), ("123456789\r\n", false)] {
            let mut decoder = ContentDecoder::new(10);
            decoder.push(content.as_bytes());
            decoder.push(b".\r\n");
            assert!(decoder.ended());
            let kept = decoder.finish();
            assert_eq!(kept.as_deref(), fits.then_some(content.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn only_cr_lf_dot_cr_lf_ends(octets in proptest::collection::vec(prop::sample::select(b".\r\na".to_vec()), 0..40)) {
            let after_data = [b"\r\n", octets.as_slice()].concat();
            let end = after_data.windows(5).position(|five| five == b"\r\n.\r\n").map(|start| start + 3);
            let (_, used, ended) = decode(&octets);
            prop_assert_eq!(ended.then_some(used), end);
        }

        #[test]
        fn stuffed_content_is_decoded_however_it_is_split(
            lines in proptest::collection::vec("[.a\r]{0,4}", 0..6),
            cuts in proptest::collection::vec(1..6_usize, 60),
        ) {
            let stuff = |line: &String| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") };
            let sent = lines.iter().map(stuff).collect::<String>() + ".\r\n";
            let mut decoder = ContentDecoder::new(1000);
            let mut rest = sent.as_bytes();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                prop_assert_eq!(decoder.push(head), head.len());
                rest = tail;
            }
            decoder.push(rest);
            prop_assert!(decoder.ended());
            let content = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
            prop_assert_eq!(decoder.finish(), Some(content.into_bytes()));
        }
    }
}
