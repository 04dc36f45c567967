//! The reply parser: whatever a server sends, in pieces of any size.

use smtp_check::{
    secret::Mask,
    smtp::{
        Reply, ReplyError, ReplyParser,
        queue_id::queue_id,
        reply::{MAX_DIALOGUE_SIZE, MAX_KEPT_REPLY_SIZE, MAX_LINE_SIZE, MAX_REPLY_SIZE},
    },
};

use super::assert_printable;

/// In an input: a kibibyte of the octet before it, so that a short input can reach the limits.
const KIBIBYTE: u8 = 0x01;
/// In an input: everything before it, once more.
const AGAIN: u8 = 0x02;
/// At the start of an input: the server has nearly reached the limit already.
const NEAR_LIMIT: u8 = 0x03;
/// Octets that are left then.
const REMAINING_SIZE: usize = 1000;

/// `data` is what a server sends, except for the three octets above.
pub fn reply(data: &[u8]) {
    let (earlier, data) = match data {
        [NEAR_LIMIT, rest @ ..] => (MAX_DIALOGUE_SIZE - REMAINING_SIZE, rest),
        data => (0, data),
    };
    let input = expanded(data);
    let whole = parsed_in_pieces(earlier, &input, input.len().max(1));
    // For a long input, single octets take longer and find nothing more.
    let smallest = 1 + input.len() / 4096;
    let odd = smallest + 1 + data.iter().fold(0_usize, |sum, octet| sum.wrapping_mul(31) + usize::from(*octet)) % 61;
    for size in [smallest, odd] {
        assert_eq!(parsed_in_pieces(earlier, &input, size), whole, "in pieces of {size}: {}", data.escape_ascii());
    }
}

pub(super) fn expanded(data: &[u8]) -> Vec<u8> {
    let mut input: Vec<u8> = Vec::with_capacity(data.len());
    for octet in data {
        match (*octet, input.last()) {
            (KIBIBYTE, Some(last)) => input.extend(vec![*last; 1024]),
            (AGAIN, _) => input.extend_from_within(..),
            (octet, _) => input.push(octet),
        }
        input.truncate(MAX_REPLY_SIZE + 2 * MAX_LINE_SIZE);
    }
    input
}

/// All replies up to the first error, read in pieces of this size, each compared with its octets.
fn parsed_in_pieces(earlier: usize, input: &[u8], size: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::default();
    fill(&mut parser, earlier);
    let mut replies = Vec::new();
    // The start of the reply and of the line, and the end of what is read.
    let (mut reply_begin, mut line_begin, mut end) = (0, 0, 0);
    for mut piece in input.chunks(size) {
        while !piece.is_empty() {
            let (begin, before) = (end, piece.len());
            let parsed = parser.parse(&mut piece);
            end += before - piece.len();
            if let Some(at) = input[begin..end].iter().rposition(|octet| *octet == b'\n') {
                line_begin = begin + at + 1;
            }
            match parsed {
                Ok(Some(reply)) => {
                    assert_faithful(&reply, &input[reply_begin..end]);
                    replies.push(reply);
                    reply_begin = end;
                }
                Ok(None) => {
                    assert!(piece.is_empty(), "left something unread and gave nothing");
                    assert!(end - reply_begin <= MAX_REPLY_SIZE, "holds more than a reply may have");
                    assert!(end - line_begin <= MAX_LINE_SIZE, "holds more than a line may have");
                }
                Err(error) => {
                    assert_printable(&error.to_string());
                    assert!(error.to_string().len() < MAX_LINE_SIZE, "quotes too much");
                    assert_eq!(parser.parse(&mut &input[end..]), Err(error.clone()), "goes on after an error");
                    return (replies, Some(error));
                }
            }
        }
    }
    assert!(earlier + input.len() <= MAX_DIALOGUE_SIZE, "more than a server may send");
    (replies, None)
}

/// Lets the server send this many octets without meaning.
fn fill(parser: &mut ReplyParser, octets: usize) {
    let mut left = octets;
    while left > 0 {
        // No rest is shorter than the shortest line.
        let length = match left {
            0..=MAX_LINE_SIZE => left,
            _ if left < 2 * MAX_LINE_SIZE => MAX_LINE_SIZE / 2,
            _ => MAX_LINE_SIZE,
        };
        let line = [b"250 ".as_slice(), &vec![b'x'; length - 5], b"\n"].concat();
        assert!(parser.parse(&mut line.as_slice()).is_ok_and(|reply| reply.is_some()), "nothing in particular");
        left -= length;
    }
}

/// The reply has exactly the lines of its octets, unless it is too long to be kept. Lines with several codes are a
/// reply only where the last one refuses.
fn assert_faithful(reply: &Reply, octets: &[u8]) {
    assert!(octets.len() <= MAX_REPLY_SIZE, "longer than a reply may be");
    let code = reply.code().value();
    assert!((200..600).contains(&code), "no code: {code}");
    if reply.left_out() > 0 {
        assert!(reply.message().len() <= MAX_KEPT_REPLY_SIZE, "longer than what is kept");
        assert!(reply.left_out() <= octets.len(), "left out more than came");
        return;
    }
    let raw_lines: Vec<&[u8]> =
        octets.strip_suffix(b"\n").expect("ends in LF").split(|octet| *octet == b'\n').collect();
    let lines: Vec<_> = reply.coded_lines().take(raw_lines.len() + 1).collect();
    assert_eq!(lines.len(), raw_lines.len(), "as many lines as came");
    assert_eq!(lines.last().map(|(code, _)| *code), Some(reply.code()), "the last line has the code");
    let has_one_code = lines.iter().all(|(code, _)| *code == reply.code());
    assert!(has_one_code || reply.code().is_negative(), "several codes, and no refusal");
    for (index, ((line_code, line), octets)) in lines.iter().zip(&raw_lines).enumerate() {
        assert!(octets.len() <= MAX_LINE_SIZE, "longer than a line may be");
        let end = octets.iter().rposition(|octet| *octet != b'\r').map_or(0, |last| last + 1);
        let (digits, text) = octets[..end].split_at(3);
        assert_eq!(digits, line_code.to_string().as_bytes(), "every line has its code");
        assert_eq!(text.first() == Some(&b'-'), index + 1 < raw_lines.len(), "all lines but the last have a hyphen");
        assert!(!text.first().is_some_and(u8::is_ascii_digit), "a code of three digits");
        let text = text.strip_prefix(b"-").or(text.strip_prefix(b" ")).unwrap_or(text);
        assert_eq!(*line, String::from_utf8_lossy(text), "the text as it came");
    }
    let message = reply.message();
    assert_eq!(message.split('\n').count(), reply.lines().count(), "as many lines in the message");
    assert_eq!(
        reply.lines().count(),
        lines.iter().filter(|(code, _)| *code == reply.code()).count(),
        "those that decide"
    );
    assert_eq!(reply.masked(&Mask::default()).message(), message, "nothing is masked where there is no secret");
    if let Some(id) = queue_id(&message) {
        assert!(!id.is_empty() && id.len() <= 128 && message.contains(&id), "a queue id of its own making: {id:?}");
        assert!(id.bytes().all(|octet| octet.is_ascii_graphic()), "a queue id that is no word: {id:?}");
    }
}
