//! [`queue_id`]: the identifier that the server gave to the message in its queue, from the reply to the message.
//!
//! No RFC defines a form for it, so this knows the forms of the common servers.

/// Longest queue id, in octets.
const MAX_ID_SIZE: usize = 128;

/// The queue id in the text of the reply to the message, without its enhanced status code.
///
/// | server | form |
/// |---|---|
/// | Postfix, SendGrid, Mailjet | `Ok: queued as 4XyZ12` |
/// | Yandex | `Ok: queued on mx.example as 1430081058-6ltg` |
/// | Haraka | `Message Queued (1C1E7B2A-0001.1)` |
/// | Exim, IONOS | `OK id=1abcDE-000000001aB-0xyz` |
/// | Sendmail, OpenSMTPD | `x1ABC Message accepted for delivery` |
/// | Exchange | `<id@host> [InternalId=1, Hostname=h] Queued mail for delivery` |
/// | qmail | `ok 1700000000 qp 4242` |
/// | Gmail | `OK  1700000000 abc-123.45 - gsmtp` |
/// | Amazon SES | `Ok 0100018b9c8d7e6f-a1b2c3d4` |
///
/// In most of these places there may be an ordinary word instead. So an id must have a digit, unless it is in angle
/// brackets.
pub fn queue_id(message: &str) -> Option<String> {
    message.lines().find_map(in_line).map(str::to_owned)
}

fn in_line(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let queued_on = words.windows(5).find_map(|words| match words {
        [queued, on, _host, as_, id] if is(queued, "queued") && is(on, "on") && is(as_, "as") => Some(*id),
        _ => None,
    });
    let queued_as = words.windows(3).find_map(|words| match words {
        [queued, as_, id] if is(queued, "queued") && is(as_, "as") => Some(*id),
        _ => None,
    });
    if let Some(id) = queued_as.or(queued_on) {
        return machine_made(id);
    }
    match words.as_slice() {
        [message, queued, id, ..] if is(message, "message") && is(queued, "queued") && id.starts_with('(') => {
            machine_made(id)
        }
        [id, message, accepted, ..] if is(message, "message") && is(accepted, "accepted") => machine_made(id),
        [id, rest @ ..] if has_queued_mail(rest) => in_angle_brackets(id),
        [ok, time, qp, id] if is(ok, "ok") && is_time(time) && is(qp, "qp") => machine_made(id),
        [ok, time, id, ..] if is(ok, "ok") && is_time(time) => machine_made(id),
        [ok, id] if is(ok, "ok") && !id.contains('=') => machine_made(id).filter(|id| is_long_and_mixed(id)),
        words => words.iter().filter(|word| word.starts_with("id=")).find_map(|word| machine_made(word)),
    }
}

/// The word without `id=` and the punctuation around it, if it looks like an id.
fn machine_made(word: &str) -> Option<&str> {
    let id = word.strip_prefix("id=").unwrap_or(word).trim_matches(['<', '>', '(', ')', ',', ';', ':', '.']);
    let is_id = id.len() <= MAX_ID_SIZE
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.+/=@".contains(&octet))
        && id.bytes().any(|octet| octet.is_ascii_digit());
    is_id.then_some(id)
}

/// The message identifier in this word, if it is one.
fn in_angle_brackets(word: &str) -> Option<&str> {
    let id = word.strip_prefix('<')?.strip_suffix('>')?;
    let is_id =
        !id.is_empty() && id.len() <= MAX_ID_SIZE && id.chars().all(|c| c.is_ascii_graphic() && !"<>".contains(c));
    is_id.then_some(id)
}

fn has_queued_mail(words: &[&str]) -> bool {
    words
        .windows(4)
        .any(|four| four.iter().zip(["queued", "mail", "for", "delivery"]).all(|(word, expected)| is(word, expected)))
}

/// Neither a word nor a date nor a host name.
fn is_long_and_mixed(id: &str) -> bool {
    id.len() >= 8 && id.bytes().any(|octet| octet.is_ascii_alphabetic()) && !id.contains(['/', '.'])
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
    fn texts_without_an_id() {
        for message in [
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
