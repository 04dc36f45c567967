//! [`queue_id`]: the identifier that the server gave to the message in its queue, from the reply to the message.
//!
//! No RFC defines a form for it, so this knows the sentences of the common servers, and where the id is in each.

use std::net::IpAddr;

/// Longest queue id, in octets.
const MAX_ID_SIZE: usize = 128;
/// Shortest id where a number could be a count: `1 message accepted`.
const MIN_UNLIKE_A_COUNT: usize = 4;

/// The queue id in the text of the reply to the message, without its enhanced status code.
///
/// | server | sentence |
/// |---|---|
/// | Postfix, Barracuda, AOL, SendGrid | `Ok: queued as ID` |
/// | NetEase | `Mail OK queued as ID 1700000000` |
/// | Yandex | `Ok: queued on mx.example as ID` |
/// | Stalwart | `Message queued with id ID` |
/// | Haraka | `Message Queued (ID)` |
/// | iCloud (Oracle) | `Ok, envelope id ID` |
/// | Exim, IONOS, GMX | `OK id=ID` |
/// | Sendmail, OpenSMTPD, Proofpoint, CommuniGate | `ID Message accepted for delivery` |
/// | GoDaddy, Comcast, Telia | `ID mail accepted for delivery` |
/// | Cisco ESA | `ok:  Message ID accepted` |
/// | Exchange | `<ID> [InternalId=1, Hostname=h] Queued mail for delivery` |
/// | Dovecot | `<recipient> ID Saved` |
/// | Mimecast | `… Received OK [ID]` |
/// | qmail, MessageLabs | `ok 1700000000 qp ID` |
/// | Gmail | `OK  1700000000 ID - gsmtp` |
/// | Amazon SES | `Ok ID` |
///
/// The place tells, and not what the id looks like. Only an ordinary word is no id (`queued as soon as possible`); and
/// since anything may follow a bare `Ok`, an id has to be long and mixed there.
pub fn queue_id(message: &str) -> Option<String> {
    message.lines().find_map(in_line).map(str::to_owned)
}

fn in_line(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let words = words.as_slice();
    // First the form in which a filter quotes the server behind it: the message is in that one's queue.
    after(words, &["queued", "as"])
        .or_else(|| queued_on(words))
        .or_else(|| after(words, &["with", "id"]))
        .or_else(|| after(words, &["envelope", "id"]))
        .or_else(|| in_parentheses(words))
        .or_else(|| before_accepted(words))
        .or_else(|| between(words, "message", "accepted"))
        .or_else(|| in_angle_brackets(words))
        .or_else(|| saved(words))
        .or_else(|| received(words))
        .or_else(|| after_ok(words))
        .or_else(|| after_equals_sign(words))
}

/// The id after these words.
fn after<'a>(words: &[&'a str], phrase: &[&str]) -> Option<&'a str> {
    words.windows(phrase.len() + 1).find(|window| are(window, phrase)).and_then(|window| id(window[phrase.len()]))
}

fn queued_on<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.windows(5).find_map(|words| match words {
        [queued, on, _host, as_, last] if are(&[queued, on, as_], &["queued", "on", "as"]) => id(last),
        _ => None,
    })
}

fn in_parentheses<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [message, queued, last, ..] if are(&[message, queued], &["message", "queued"]) => {
            id(last.strip_prefix('(').and_then(|last| last.strip_suffix(')'))?)
        }
        _ => None,
    }
}

fn before_accepted<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [first, what, accepted, ..] if (is(what, "message") || is(what, "mail")) && is(accepted, "accepted") => {
            // A host name can come first as well.
            id(first).filter(|id| id.len() >= MIN_UNLIKE_A_COUNT && !id.contains('.'))
        }
        _ => None,
    }
}

fn between<'a>(words: &[&'a str], before: &str, behind: &str) -> Option<&'a str> {
    words.windows(3).find_map(|words| match words {
        [first, middle, last] if is(first, before) && is(last, behind) => {
            id(middle).filter(|id| id.len() >= MIN_UNLIKE_A_COUNT)
        }
        _ => None,
    })
}

/// Exchange: a message identifier in angle brackets, of any form.
fn in_angle_brackets<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (first, rest) = words.split_first()?;
    let is_queued = rest.windows(4).any(|words| are(words, &["queued", "mail", "for", "delivery"]));
    let id = first.strip_prefix('<')?.strip_suffix('>')?;
    let is_id =
        !id.is_empty() && id.len() <= MAX_ID_SIZE && id.chars().all(|c| c.is_ascii_graphic() && !"<>".contains(c));
    (is_queued && is_id).then_some(id)
}

fn saved<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [recipient, middle, saved] if recipient.starts_with('<') && is(saved, "saved") => id(middle),
        _ => None,
    }
}

fn received<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.windows(3).find_map(|words| match words {
        [received, ok, last] if is(received, "received") && is(ok, "ok") && last.starts_with('[') => {
            id(last).filter(|id| id.parse::<IpAddr>().is_err())
        }
        _ => None,
    })
}

fn after_ok<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [ok, time, qp, last, ..] if is(ok, "ok") && is_time(time) && is(qp, "qp") => id(last),
        [ok, time, last, ..] if is(ok, "ok") && is_time(time) => id(last),
        [ok, last] if is(ok, "ok") && !last.contains('=') => id(last).filter(|id| is_long_and_mixed(id)),
        _ => None,
    }
}

/// `id=ID`, but for the id of a session.
fn after_equals_sign<'a>(words: &[&'a str]) -> Option<&'a str> {
    let mut previous = "";
    words.iter().find_map(|word| {
        let of_session = is(std::mem::replace(&mut previous, word), "session");
        word.strip_prefix("id=").filter(|_| !of_session).and_then(id)
    })
}

/// The word without `id=` and the punctuation around it, if it can be an id.
fn id(word: &str) -> Option<&str> {
    let around: &[char] = &['<', '>', '(', ')', '[', ']', ',', ';', ':', '.'];
    let id = word.strip_prefix("id=").unwrap_or(word).trim_matches(around);
    let is_id = id.len() <= MAX_ID_SIZE
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.+/=@,".contains(&octet))
        && id.bytes().any(|octet| octet.is_ascii_alphanumeric())
        && !is_ordinary_word(id);
    is_id.then_some(id)
}

/// Letters as a sentence has them. Eight letters from a to f are no word, but a number in hexadecimal digits.
fn is_ordinary_word(text: &str) -> bool {
    let is_number = text.len() >= 8 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    let is_lower = text.bytes().skip(1).all(|octet| octet.is_ascii_lowercase());
    !is_number && text.bytes().all(|octet| octet.is_ascii_alphabetic()) && (is_lower || text.len() <= 4)
}

/// Neither a word nor a date nor a host name.
fn is_long_and_mixed(id: &str) -> bool {
    let has = |is: fn(&u8) -> bool| id.bytes().any(|octet| is(&octet));
    id.len() >= 8 && has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit) && !id.contains(['/', '.'])
}

fn are(words: &[&str], phrase: &[&str]) -> bool {
    words.iter().zip(phrase).all(|(word, expected)| is(word, expected))
}

fn is(word: &str, expected: &str) -> bool {
    word.trim_end_matches([':', ',', '.']).eq_ignore_ascii_case(expected)
}

/// Seconds since 1970: ten digits since 2001.
fn is_time(word: &str) -> bool {
    word.len() >= 10 && word.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_known_servers() {
        for (message, id) in [
            ("Ok: queued as 4C9D2A0B1F", "4C9D2A0B1F"),
            ("from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3F1A", "3F1A"),
            ("OK id=1tEabc-000000001Qr-2xyz", "1tEabc-000000001Qr-2xyz"),
            ("v1AB2cd3012345 Message accepted for delivery", "v1AB2cd3012345"),
            ("1a2b3c4d Message accepted for delivery", "1a2b3c4d"),
            ("<x@y> [InternalId=12, Hostname=h.example] Queued mail for delivery", "x@y"),
            ("ok 1700000000 qp 4242", "4242"),
            ("OK  1700000000 d9443c01a7336-20d109b6f3asi12.34 - gsmtp", "d9443c01a7336-20d109b6f3asi12.34"),
            ("<SNT0-MC3@mx.example>  Queued mail for delivery", "SNT0-MC3@mx.example"),
            (
                "<x@y> [InternalId=12, Hostname=h.example] 8465 bytes in 0.118, 69.9 KB/sec Queued mail for delivery -> 250 2.1.5",
                "x@y",
            ),
            ("Ok 0100018b-1234", "0100018b-1234"),
            (
                "Ok 0102018b9c8d7e6f-a1b2c3d4-5678-90ab-cdef-123456789012-000000",
                "0102018b9c8d7e6f-a1b2c3d4-5678-90ab-cdef-123456789012-000000",
            ),
            ("OK ef6e1f86a16411ef8a5442010a7c0015", "ef6e1f86a16411ef8a5442010a7c0015"),
            ("Ok: queued as nhIMmON9SFOPcT0ii4nt2A", "nhIMmON9SFOPcT0ii4nt2A"),
            ("OK queued as a08b7f37-ed61-423a-ba75-38ed2fd4b54c", "a08b7f37-ed61-423a-ba75-38ed2fd4b54c"),
            ("Ok: queued on smtp3m.mail.example as 1430081058-6ltgNFKSir", "1430081058-6ltgNFKSir"),
            ("Message Queued (1C1E7B2A-8F31-48EB.1)", "1C1E7B2A-8F31-48EB.1"),
            ("Message Queued (1C1E7B2A-8F31-48EB.1) (1C1E7B2A-8F31-48EB.1)", "1C1E7B2A-8F31-48EB.1"),
            ("Requested mail action okay, completed: id=0LjJbA-1aXyZ2", "0LjJbA-1aXyZ2"),
            ("from MTA: 250 OK id=1x-2", "1x-2"),
            ("message queued as id=99", "99"),
            ("Ok: queued as <4C9D>.", "4C9D"),
            ("first line\nOk: queued as A1", "A1"),
            ("Ok: queued as A1 (in 0.3 s)", "A1"),
        ] {
            assert_eq!(queue_id(message).as_deref(), Some(id), "{message:?}");
        }
    }

    #[test]
    fn ids_by_their_place_in_the_sentences_of_servers() {
        for (server, message, id) in [
            ("Postfix", "Ok: queued as BDFACEDBAD", "BDFACEDBAD"),
            ("Postfix, long ids", "Ok: queued as zWvTqRnBcXzFgH", "zWvTqRnBcXzFgH"),
            ("Barracuda", "Ok: queued as XbQfRtMpWkLj", "XbQfRtMpWkLj"),
            ("AOL", "Ok: queued as 5A0C71E20007F", "5A0C71E20007F"),
            ("NetEase", "Mail OK queued as smtp9,EkKowACXq1Zw--.4711S2 1700000000", "smtp9,EkKowACXq1Zw--.4711S2"),
            ("Yandex", "Ok: queued on smtp9.mail.example as abcdMNOPqr-XyZ", "abcdMNOPqr-XyZ"),
            ("Stalwart", "Message queued with id 2a9c0d17.", "2a9c0d17"),
            ("Haraka", "Message Queued (ABCDEF-FEDCBA.A)", "ABCDEF-FEDCBA.A"),
            (
                "iCloud",
                "Ok, envelope id 0SXQ00B7H2LMNO90@smtpin007.mac.example",
                "0SXQ00B7H2LMNO90@smtpin007.mac.example",
            ),
            ("Exim", "OK id=rAbcDe-AAAAAAAAAqB-XyZw", "rAbcDe-AAAAAAAAAqB-XyZw"),
            ("IONOS, GMX", "Requested mail action okay, completed: id=MXaaBb-QqRrSsTt", "MXaaBb-QqRrSsTt"),
            ("Sendmail", "u7BAhWqX012345 Message accepted for delivery", "u7BAhWqX012345"),
            ("Sendmail 8.8", "HAA04711 Message accepted for delivery", "HAA04711"),
            ("OpenSMTPD", "deadbeef Message accepted for delivery", "deadbeef"),
            ("Proofpoint", "4rTyUvWxAb-1 Message accepted for delivery", "4rTyUvWxAb-1"),
            ("CommuniGate", "47110815 message accepted for delivery", "47110815"),
            ("GoDaddy", "qGhTrmKpLwNcX mail accepted for delivery", "qGhTrmKpLwNcX"),
            ("Comcast", "3TqrXw00B4uUYl401TqrYl mail accepted for delivery", "3TqrXw00B4uUYl401TqrYl"),
            ("Telia", "7GWKjJNxVKx7GWKj mail accepted for delivery", "7GWKjJNxVKx7GWKj"),
            ("Cisco ESA", "ok:  Message 90210471 accepted", "90210471"),
            (
                "Exchange",
                "<a.b@c> [InternalId=4, Hostname=h.example] 99 bytes in 0.1, 1 KB/sec Queued mail for delivery",
                "a.b@c",
            ),
            ("Dovecot", "<user@mx.example> qrStUvWxYzAbCdEfGh Saved", "qrStUvWxYzAbCdEfGh"),
            ("Mimecast", "SmtpThread-47-1700000000 - mx.example Received OK [Zq-XyWvUtSrQ.uk1]", "Zq-XyWvUtSrQ.uk1"),
            ("qmail", "ok 1700000000 qp 815", "815"),
            ("MessageLabs", "ok 1700000000 qp 4711 server-9.tower-9.example!1700000000!815!1", "4711"),
            ("Gmail", "OK  1700000000 ab-cdefghijk.lm - gsmtp", "ab-cdefghijk.lm"),
            ("Amazon SES", "Ok 0200019a1b2c3d4e-5f6a7b8c-000000", "0200019a1b2c3d4e-5f6a7b8c-000000"),
            ("amavis", "Ok, id=04711-09, from MTA([127.0.0.1]:10025): 250 Ok: queued as FEEDFACE", "FEEDFACE"),
        ] {
            assert_eq!(queue_id(message).as_deref(), Some(id), "{server}");
        }
    }

    #[test]
    fn texts_without_an_id() {
        for message in [
            "ok dirdel",
            "Message queued (0.2 s)",
            "Ok: queued as ",
            "Ok: queued as requested",
            "OK: queued",
            "Message received",
            "message received and queued with care",
            "1 message accepted for delivery",
            "mx1.example.com Message accepted for delivery",
            "Received message accepted",
            "Thanks! mail accepted for delivery",
            "Message was accepted",
            "Message 1 accepted",
            "<user@mx.example> Saved",
            "<user@mx.example> message saved",
            "Received OK [192.0.2.1]",
            "Received OK [2001:db8::1]",
            "ok 1700000000 qp",
            "mail accepted for delivery; session id=4711abcd",
            "envelope id accepted",
            "OK Accepted",
            "OK, message accepted for delivery",
            "Ok: Message accepted for delivery",
            "Your message accepted for delivery",
            "Mail message accepted",
            "Thanks, we queued mail for delivery",
            "Queued mail for delivery",
            "Message queued as soon as possible",
            "Message queued (simulated)",
            "Queued (0.234 seconds)",
            "Ok: queued as ***",
            "OK 2 recipients",
            "OK 1 message queued",
            "OK 1700000000 seconds",
            "Resolved: id=@",
            "mail accepted for delivery; session id=abc",
            "Ok: 20240101",
            "Ok SESSIONID=20240102",
            "Ok host12.example.com",
            "OK Version2.0-beta",
            "Great success",
            "OK 2024/11/22",
            "OK 8",
            "Ok",
            "OK thanks",
            "Message accepted for delivery",
            "queued as",
            "",
        ] {
            assert_eq!(queue_id(message), None, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(message in "\\PC{0,80}|(ok |queued |as |id=|[0-9]{1,4} ){0,8}") {
            if let Some(id) = queue_id(&message) {
                prop_assert!(!id.is_empty() && message.contains(&id));
            }
        }
    }
}
