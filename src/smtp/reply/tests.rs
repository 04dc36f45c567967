//! The reply parser: tables of replies, and properties that hold for any bytes.

use proptest::prelude::*;

use super::*;
use crate::{escape::escape_json, smtp::Capabilities};

/// What a parser returns for `input` in pieces of these sizes, the last one repeated.
fn parse_in_pieces(input: &[u8], sizes: &[usize]) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::default();
    let mut replies = Vec::new();
    let mut rest = input;
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap_or(&input.len())));
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        let (mut piece, behind) = rest.split_at(size);
        rest = behind;
        while !piece.is_empty() {
            match parser.parse(&mut piece) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => assert!(piece.is_empty(), "all was read"),
                Err(error) => return (replies, Some(error)),
            }
            assert!(parser.line.len() <= MAX_LINE_SIZE + 1);
            assert!(parser.text.len() <= MAX_KEPT_REPLY_SIZE);
        }
    }
    (replies, None)
}

fn parse_one(input: &str) -> Reply {
    let (mut replies, error) = parse_in_pieces(input.as_bytes(), &[]);
    assert_eq!((replies.len(), error), (1, None), "{input:?}");
    replies.remove(0)
}

/// What a server sends, and the code, the enhanced status code and the text of it.
const REPLIES: &[(&str, u16, Option<&str>, &str)] = &[
    ("220 mx.test ESMTP\r\n", 220, None, "mx.test ESMTP"),
    ("220 bare line feed\n", 220, None, "bare line feed"),
    ("220 two returns\r\r\n", 220, None, "two returns"),
    ("250\r\n", 250, None, ""),
    ("250 \r\n", 250, None, ""),
    ("250OK\r\n", 250, None, "OK"),
    ("250-a\r\n250-b\n250 c\r\n", 250, None, "a\nb\nc"),
    ("250-a\r\n250-\r\n250\r\n", 250, None, "a\n\n"),
    ("550 5.1.1 <x@y>: unknown\r\n", 550, Some("5.1.1"), "<x@y>: unknown"),
    ("550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, Some("5.1.1"), "no such\nuser"),
    ("550-please read\r\n550 5.7.26 the manual\r\n", 550, Some("5.7.26"), "please read\nthe manual"),
    ("550-5.7.1 first\r\n550 5.7.26 other\r\n", 550, Some("5.7.1"), "first\nother"),
    ("250 2.0.0: 1a2b Message accepted for delivery\r\n", 250, Some("2.0.0"), "1a2b Message accepted for delivery"),
    ("250 2.1.5\r\n", 250, Some("2.1.5"), ""),
    ("550 #5.1.0 Address rejected.\r\n", 550, Some("5.1.0"), "Address rejected."),
    ("550 (#5.1.1) no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 sorry, no mailbox here (#5.1.1)\r\n", 550, Some("5.1.1"), "sorry, no mailbox here"),
    ("550 sorry, no mailbox here (#5.1.1).\r\n", 550, Some("5.1.1"), "sorry, no mailbox here"),
    ("452 temporary system resource limitation #4.3.1\r\n", 452, Some("4.3.1"), "temporary system resource limitation"),
    ("511 sorry (#5.1.1 - chkuser)\r\n", 511, Some("5.1.1"), "sorry (#5.1.1 - chkuser)"),
    ("550-sorry\r\n550 no mailbox (#5.1.1)\r\n", 550, Some("5.1.1"), "sorry\nno mailbox"),
    ("550 5.1.1\tno mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550  5.1.1 no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 \t5.1.1  no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 #5.1.1.\r\n", 550, Some("5.1.1"), ""),
    ("550 5.1.1. no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 5.1.1, no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 (#5.1.1). no mailbox\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550 no mailbox\t#5.1.1\r\n", 550, Some("5.1.1"), "no mailbox"),
    ("550  no mailbox (#5.1.1)\r\n", 550, Some("5.1.1"), " no mailbox"),
    ("550 5.1.1.2 is a version\r\n", 550, None, "5.1.1.2 is a version"),
    ("550 see ticket #5.1.1a\r\n", 550, None, "see ticket #5.1.1a"),
    ("550 room(#5.1.1\r\n", 550, None, "room(#5.1.1"),
    ("550 the rule x#5.1.1\r\n", 550, None, "the rule x#5.1.1"),
    ("554 no service here (ESMTP 5.1.1)\r\n", 554, None, "no service here (ESMTP 5.1.1)"),
    // The class is not that of the reply.
    ("450 5.1.1 unknown\r\n", 450, None, "5.1.1 unknown"),
    ("550 4.7.1 greylisted\r\n", 550, None, "4.7.1 greylisted"),
    ("250 sorry (#5.1.1)\r\n", 250, None, "sorry (#5.1.1)"),
    ("354 2.0.0 go\r\n", 354, None, "2.0.0 go"),
    ("550-4.7.1 first\r\n550 5.7.26 other\r\n", 550, Some("5.7.26"), "4.7.1 first\nother"),
    ("450 5.1.1 later (#4.2.0)\r\n", 450, Some("4.2.0"), "5.1.1 later"),
    ("220 1.2.3.4 at your service\r\n", 220, None, "1.2.3.4 at your service"),
    ("250 3.0.0 is no class\r\n", 250, None, "3.0.0 is no class"),
    ("250 2.0000.1 too many digits\r\n", 250, None, "2.0000.1 too many digits"),
    ("250 2.x.1 not digits\r\n", 250, None, "2.x.1 not digits"),
    ("250 2..1 nothing\r\n", 250, None, "2..1 nothing"),
];

#[test]
fn replies_of_servers() {
    for &(input, code, enhanced, message) in REPLIES {
        let reply = parse_one(input);
        assert_eq!(reply.code().value(), code, "{input:?}");
        assert_eq!(reply.enhanced_code().map(|code| code.to_string()).as_deref(), enhanced, "{input:?}");
        assert_eq!(reply.message(), message, "{input:?}");
    }
}

#[test]
fn lines_that_are_not_replies() {
    for input in [
        "\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "22\r\n",
        "199 low\r\n",
        "600 high\r\n",
        "999 x\r\n",
        "2500 ok\r\n",
        " 250 ok\r\n",
    ] {
        let (replies, error) = parse_in_pieces(input.as_bytes(), &[]);
        assert!(replies.is_empty() && matches!(error, Some(ReplyError::NotAReply { .. })), "{input:?}: {error:?}");
    }
}

#[test]
fn a_last_line_that_refuses_decides() {
    for (input, code, enhanced, message) in [
        ("220-mx.test ESMTP\r\n521 5.7.1 blocked\r\n", 521, Some("5.7.1"), "blocked"),
        ("220-mx.test\r\n220-\r\n450 4.3.2 later\r\n", 450, Some("4.3.2"), "later"),
        ("250-mx.test\r\n550-5.7.1 no\r\n550 5.7.1 never\r\n", 550, Some("5.7.1"), "no\nnever"),
        ("450-5.1.1 x\r\n550-4.1.1 y\r\n450 4.2.1 z\r\n", 450, Some("4.2.1"), "5.1.1 x\nz"),
        ("220-mx.test\r\n421\r\n", 421, None, ""),
    ] {
        let reply = parse_one(input);
        let enhanced_code = reply.enhanced_code().map(|code| code.to_string());
        assert_eq!((reply.code().value(), enhanced_code.as_deref()), (code, enhanced), "{input:?}");
        assert_eq!(reply.message(), message, "{input:?}");
        let lines: Vec<_> = reply.coded_lines().map(|(code, text)| format!("{code} {text}")).collect();
        assert_eq!(
            lines.join("\n"),
            input.replace("\r\n", "\n").replace('-', " ").replace("421\n", "421 ").trim_end_matches('\n')
        );
        assert!(reply.deviating_line().is_some(), "{input:?}");
    }
    assert_eq!(parse_one("250-a\r\n250 b\r\n").deviating_line(), None);
}

#[test]
fn other_replies_with_several_codes_are_none() {
    for (input, first, then) in [
        ("550-a\r\n250 b\r\n", 550, 250),
        ("220-a\r\n550-b\r\n220 c\r\n", 220, 550),
        ("250-a\r\n220-b\r\n550-c\r\n251 d\r\n", 250, 220),
        ("250-a\r\n354 b\r\n", 250, 354),
    ] {
        let (replies, error) = parse_in_pieces(input.as_bytes(), &[]);
        let expected = ReplyError::CodeChanged { first: Code(first), then: Code(then) };
        assert_eq!((replies, error), (Vec::new(), Some(expected)), "{input:?}");
    }
}

#[test]
fn invalid_utf8_is_replaced() {
    let (replies, _) = parse_in_pieces(b"250 caf\xe9\r\n", &[]);
    assert_eq!(replies[0].message(), "caf\u{fffd}");
}

#[test]
fn bytes_after_a_reply_stay_in_the_input() {
    let mut parser = ReplyParser::default();
    let mut input: &[u8] = b"220 go\r\n250 injected\r\n";
    assert!(parser.parse(&mut input).is_ok_and(|reply| reply.is_some()));
    assert_eq!(input, b"250 injected\r\n");
}

#[test]
fn after_an_error_every_call_returns_it() {
    let long = "x".repeat(MAX_LINE_SIZE) + "\n";
    for (input, error) in [
        (format!("500 {long}"), ReplyError::LineTooLong),
        ("550-a\n250 b\n".to_owned(), ReplyError::CodeChanged { first: Code(550), then: Code(250) }),
        ("garbage\n".to_owned(), ReplyError::NotAReply { line: "garbage".to_owned() }),
    ] {
        let mut parser = ReplyParser::default();
        assert_eq!(parser.parse(&mut input.as_bytes()), Err(error.clone()));
        for more in ["y", "250 ok\r\n"] {
            assert_eq!(parser.parse(&mut more.as_bytes()), Err(error.clone()), "{more:?}");
        }
        assert!(parser.line.len() <= MAX_LINE_SIZE + 1);
    }
}

#[test]
fn an_incomplete_reply_is_kept() {
    for (input, partial) in [
        ("", ""),
        ("250 ok\r\n", ""),
        ("554 blocked by policy", "554 blocked by policy"),
        ("250-a\r\n250-b\r\n", "250-a\n250-b"),
        ("250-a\r\n250-\r\n25", "250-a\n250-\n25"),
        ("550-a\r\n250 b\r\n", "550-a\n250 b"),
        ("250-a\r\n550-b\r\n550-c\r\n55", "250-a\n550-b\n550-c\n55"),
        ("250-a\r\ngarb\u{e9}ge\r\n", "250-a\ngarb\u{e9}ge"),
        ("garbage\r\n", "garbage"),
    ] {
        let mut parser = ReplyParser::default();
        // The result does not matter here.
        let _ = parser.parse(&mut input.as_bytes());
        assert_eq!(parser.partial_reply(), partial, "{input:?}");
    }
}

#[test]
fn limits_are_exact() {
    let line = |octets: usize| format!("250 {}\n", "x".repeat(octets - 4));
    assert_eq!(parse_in_pieces(line(MAX_LINE_SIZE).as_bytes(), &[]).1, None);
    assert_eq!(parse_in_pieces(line(MAX_LINE_SIZE + 1).as_bytes(), &[]).1, Some(ReplyError::LineTooLong));
    assert_eq!(parse_in_pieces(&[b'2'; MAX_LINE_SIZE + 1], &[]).1, Some(ReplyError::LineTooLong));

    let endless = "250-x\r\n".repeat(MAX_REPLY_SIZE / 7 + 1);
    assert_eq!(parse_in_pieces(endless.as_bytes(), &[]).1, Some(ReplyError::ReplyTooLong));
    assert_eq!(parse_in_pieces(&endless.as_bytes()[..MAX_REPLY_SIZE], &[]).1, None);

    let chatter = "250 x\r\n".repeat(MAX_DIALOGUE_SIZE / 7 + 1);
    assert_eq!(parse_in_pieces(chatter.as_bytes(), &[4096]).1, Some(ReplyError::DialogueTooLong));
}

#[test]
fn what_is_beyond_the_kept_size_is_left_out() {
    let line = |separator, text: &str| format!("250{separator}{text}\r\n");
    let long = "\u{1}\u{9b}\u{7f}".repeat(2000);
    let input: String = (0..7).map(|_| line('-', &long)).chain([line(' ', "end")]).collect();
    let reply = &parse_in_pieces(input.as_bytes(), &[]).0[0];
    assert!(reply.lines().last().is_some_and(|line| line == "end") && !reply.is_cut());
    let json = escape_json(serde_json::to_string(&reply.message()).expect("JSON"));
    assert!(
        (MAX_KEPT_REPLY_SIZE - KEPT_LAST_LINE_SIZE - 16..=MAX_KEPT_REPLY_SIZE).contains(&json.len()),
        "{}",
        json.len()
    );
    assert_eq!(reply.left_out() + reply.message().replace('\n', "").len(), 7 * 8000 + 3);

    let session = input.repeat(10);
    let (replies, error) = parse_in_pieces(session.as_bytes(), &[]);
    let kept: usize =
        replies.iter().map(|reply| escape_json(serde_json::to_string(&reply.message()).expect("JSON")).len()).sum();
    assert_eq!((replies.len(), error), (10, None));
    assert!(kept <= MAX_KEPT_DIALOGUE_SIZE + 10 * KEPT_LAST_LINE_SIZE, "{kept}");
    assert_eq!(replies[9].code(), Code(250));
    assert!(replies[9].message().ends_with("\nend"));
}

#[test]
fn no_line_between_the_first_and_the_last_is_cut() {
    let line = "AUTH PLAIN LOGIN CRAM-MD5 DIGEST-MD5";
    for filler in 1..60 {
        let filler = format!("250-{}\r\n", "x".repeat(filler * 10));
        let lines = format!("250-{line}\r\n").repeat(300);
        let long = "y".repeat(2000);
        let input = format!("250-mx.test\r\n{filler}{lines}250 SIZE 10 {long}\r\n");
        let reply = &parse_in_pieces(input.as_bytes(), &[]).0[0];
        let kept: Vec<_> = reply.lines().map(Cow::into_owned).collect();
        assert!(kept[2..kept.len() - 1].iter().all(|kept| kept == line), "{kept:?}");
        assert!(reply.is_cut() && kept.last().is_some_and(|last| last.starts_with("SIZE 10 yyy")), "{kept:?}");
        assert!(!Capabilities::from_ehlo(reply).offers("SIZE"), "its end is not known");
    }
}

#[test]
fn the_last_line_is_kept_however_long_the_others_are() {
    let input = format!("{}521 5.7.1 blocked\r\n", format!("220-{}\r\n", "x".repeat(1000)).repeat(60));
    let (replies, error) = parse_in_pieces(input.repeat(10).as_bytes(), &[]);
    assert_eq!((replies.len(), error), (10, None));
    for reply in replies {
        assert_eq!((reply.code(), reply.message()), (Code(521), "blocked".to_owned()));
        assert_eq!(reply.enhanced_code().map(|code| code.to_string()), Some("5.7.1".to_owned()));
    }
}

#[test]
fn a_code_that_differs_is_seen_in_what_is_left_out() {
    let long = format!("250-{}\r\n", "\u{1}".repeat(4000)).repeat(3);
    let (_, error) = parse_in_pieces(format!("{long}251-x\r\n250 y\r\n").as_bytes(), &[]);
    assert_eq!(error, Some(ReplyError::CodeChanged { first: Code(250), then: Code(251) }));
}

#[test]
fn the_limit_that_is_reached_first_decides_in_any_pieces() {
    let line = |octets: usize| format!("250-{}\n", "x".repeat(octets - 5));
    let longest = line(MAX_LINE_SIZE);
    for (before, error) in [
        (longest.repeat(6), ReplyError::LineTooLong),
        (longest.repeat(7), ReplyError::LineTooLong),
        (longest.repeat(7) + &line(5), ReplyError::ReplyTooLong),
    ] {
        let input = before + &line(2 * MAX_LINE_SIZE);
        for sizes in [&[][..], &[1], &[4096]] {
            assert_eq!(parse_in_pieces(input.as_bytes(), sizes).1, Some(error.clone()), "{sizes:?}");
        }
    }
}

/// Bytes that are often enough like a reply to reach every branch.
fn server_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[2-5][0-9]{2}[ -][a-zA-Z0-9. ]{0,20}\r?\n".prop_map(String::into_bytes),
        1 => "250-[A-Z]{0,9}\r\n250 [a-z]{0,9}\r\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(vec![b'2'; MAX_LINE_SIZE + 2]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_replies(
        input in server_bytes(), sizes in proptest::collection::vec(1_usize..50, 1..20),
    ) {
        prop_assert_eq!(parse_in_pieces(&input, &sizes), parse_in_pieces(&input, &[]));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (replies, _) = parse_in_pieces(&input, &[7]);
        for reply in replies {
            prop_assert!(reply.message().len() <= input.len() * 3);
            prop_assert!((200..600).contains(&reply.code().value()));
        }
    }
}
