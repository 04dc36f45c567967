//! Under which name the server queued the message, read off its final 250.
//!
//! No RFC gives that answer a form, so each server's own is known here by its place in the line.

/// Longest name that is taken for a queue id, in octets.
const LIMIT: usize = 128;

/// The queue id in the text of the reply that ended the message, its enhanced status code taken off.
///
/// | server | form |
/// |---|---|
/// | Postfix | `Ok: queued as 4XyZ12` |
/// | Exim | `OK id=1abcDE-000000001aB-0xyz` |
/// | Sendmail, OpenSMTPD | `x1ABC Message accepted for delivery` |
/// | Exchange | `<id@host> [InternalId=1, Hostname=h] Queued mail for delivery` |
/// | qmail | `ok 1700000000 qp 4242` |
/// | Gmail | `OK  1700000000 abc-123.45 - gsmtp` |
/// | Amazon SES, Haraka-like | `Ok 0100018b` |
pub fn queue_id(message: &str) -> Option<String> {
    message.lines().find_map(of_line)
}

fn of_line(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let queued_as = words.windows(3).find(|three| is(three[0], "queued") && is(three[1], "as"));
    if let Some(three) = queued_as {
        return name(three[2]);
    }
    let found = match words.as_slice() {
        [id, message, accepted, ..] if is(message, "message") && is(accepted, "accepted") => Some(*id),
        [id, .., queued, mail, _for, _delivery] if is(queued, "queued") && is(mail, "mail") => Some(*id),
        [ok, _time, qp, id] if is(ok, "ok") && is(qp, "qp") => Some(*id),
        [ok, time, id, ..] if is(ok, "ok") && is_number(time) => Some(*id),
        [ok, id] if is(ok, "ok") && looks_made(id) => Some(id.strip_prefix("id=").unwrap_or(id)),
        words => words.iter().find_map(|word| word.strip_prefix("id=")),
    };
    name(found?)
}

/// The name without the punctuation around it.
fn name(word: &str) -> Option<String> {
    let id = word.trim_matches(['<', '>', '(', ')', ',', ';', ':']).trim_end_matches('.');
    let is_name = !id.is_empty() && id.len() <= LIMIT && id.chars().all(|c| c.is_ascii_graphic());
    is_name.then(|| id.to_owned())
}

/// Long, of letters and digits, and with a digit: made by a machine, and no word or date.
fn looks_made(word: &str) -> bool {
    word.len() >= 8
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-=_.".contains(&b))
}

fn is(word: &str, expected: &str) -> bool {
    word.trim_end_matches([':', ',']).eq_ignore_ascii_case(expected)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_of_the_field() {
        for (message, id) in [
            ("Ok: queued as 4C9D2A0B1F", Some("4C9D2A0B1F")),
            ("from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3F1A", Some("3F1A")),
            ("OK id=1tEabc-000000001Qr-2xyz", Some("1tEabc-000000001Qr-2xyz")),
            ("v1AB2cd3012345 Message accepted for delivery", Some("v1AB2cd3012345")),
            ("1a2b3c4d Message accepted for delivery", Some("1a2b3c4d")),
            ("<x@y> [InternalId=12, Hostname=h.example] Queued mail for delivery", Some("x@y")),
            ("ok 1700000000 qp 4242", Some("4242")),
            ("OK  1700000000 d9443c01a7336-20d109b6f3asi12.34 - gsmtp", Some("d9443c01a7336-20d109b6f3asi12.34")),
            ("Ok 0100018b-1234", Some("0100018b-1234")),
            ("first line\nOk: queued as A1", Some("A1")),
            ("Ok: queued as A1 (in 0.3 s)", Some("A1")),
            ("OK 2024/11/22", None),
            ("OK 8", None),
            ("Ok", None),
            ("OK thanks", None),
            ("Message accepted for delivery", None),
            ("queued as", None),
            ("", None),
        ] {
            assert_eq!(queue_id(message).as_deref(), id, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(message in "\\PC{0,80}|(ok |queued |as |id=|[0-9]{1,4} ){0,8}") {
            if let Some(id) = queue_id(&message) {
                prop_assert!(!id.is_empty() && message.contains(&id));
            }
        }
    }
}
