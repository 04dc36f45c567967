//! [`queue_id`]: the identifier that the server gave to the message in its queue, from the reply to the message.
//!
//! No RFC defines a form for it, so this knows the sentences of the common servers, and where the id is in each.

use std::net::IpAddr;

/// Longest queue id, in octets.
const MAX_ID_SIZE: usize = 128;
/// Shortest id where a number could be a count: `1 message accepted`.
const MIN_UNLIKE_A_COUNT: usize = 4;
/// Shortest id where a short name or a share could be: `mx12 Message accepted`, `Message queued (2/3)`.
const MIN_UNLIKE_A_NAME: usize = 8;

/// The queue id in the text of the reply to the message, without its enhanced status code.
///
/// | server | sentence |
/// |---|---|
/// | Postfix, Barracuda, AOL, SendGrid | `Ok: queued as ID` |
/// | NetEase | `Mail OK queued as ID 1700000000` |
/// | Yandex | `Ok: queued on mx.example as ID`, `Ok: queued on mx.example ID` |
/// | Stalwart | `Message queued with id ID` |
/// | Haraka | `Message Queued (ID)` |
/// | iCloud (Oracle) | `Ok, envelope id ID` |
/// | Sina | `ok queue id ID` |
/// | Exim, IONOS, GMX | `OK id=ID` |
/// | KumoMTA | `OK ids=ID` |
/// | Sendmail, OpenSMTPD, Proofpoint, CommuniGate | `ID Message accepted for delivery` |
/// | GoDaddy, Comcast, Telia | `ID mail accepted for delivery` |
/// | Cisco ESA | `ok:  Message ID accepted` |
/// | IceWarp | `99 bytes received in 00:00:01; Message id ID accepted for delivery` |
/// | Openwave, James | `Message received: ID` |
/// | MX Logic | `Backend Replied [ID]: …` |
/// | Exchange | `<ID> [InternalId=1, Hostname=h] Queued mail for delivery` |
/// | Dovecot | `<recipient> ID Saved` |
/// | Mimecast | `… Received OK [ID]` |
/// | qmail, MessageLabs | `ok 1700000000 qp ID` |
/// | mailfront | `Accepted message qp ID bytes 99` |
/// | Gmail | `OK  1700000000 ID - gsmtp`, `OK DMARC:Quarantine 1700000000 ID - gsmtp` |
/// | Naver | `OK ID - nsmtp` |
/// | Momentum, Courier, XMail, Amazon SES | `Ok ID` |
///
/// The place tells, and not what the id looks like. Only ordinary words and dates are no id (`queued as soon as
/// possible`); and since anything may follow a bare `Ok`, an id has to be long and mixed there, or of a known form.
pub fn queue_id(message: &str) -> Option<String> {
    message.lines().find_map(in_line).map(str::to_owned)
}

fn in_line(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let words = words.as_slice();
    // First the form in which a filter quotes the server behind it: the message is in that one's queue.
    queued_as(words)
        .or_else(|| queued_on(words))
        .or_else(|| before_dash(words))
        .or_else(|| after(words, &["queued", "with", "id"]))
        .or_else(|| after(words, &["envelope", "id"]))
        .or_else(|| after(words, &["queue", "id"]))
        .or_else(|| after(words, &["accepted", "with", "id"]))
        .or_else(|| after(words, &["message", "qp"]))
        .or_else(|| backend_replied(words))
        .or_else(|| message_received(words))
        .or_else(|| in_parentheses(words))
        .or_else(|| before_accepted(words))
        .or_else(|| of_cisco(words))
        .or_else(|| between(words, &["message"], "accepted"))
        .or_else(|| between(words, &["message", "id"], "accepted"))
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

/// The number of a sentence such as `queued as 1 of 3` is no id. Postfix's short ids are hexadecimal digits in upper
/// case, and may be letters alone.
fn queued_as<'a>(words: &[&'a str]) -> Option<&'a str> {
    let start = words.windows(2).position(|words| are(words, &["queued", "as"]))? + 2;
    let word = words.get(start)?;
    let next = words.get(start + 1).is_some_and(|next| next.starts_with(|c: char| c.is_ascii_alphabetic()));
    let is_count = |id: &&str| id.len() < MIN_UNLIKE_A_COUNT && is_number(id) && next;
    let of_postfix = trimmed(word).filter(|id| !next && is_hexadecimal(id) && is_upper(id));
    of_postfix.or_else(|| id_but_no_host(word)).filter(|id| !is_count(id))
}

fn queued_on<'a>(words: &[&'a str]) -> Option<&'a str> {
    let start = words.windows(2).position(|words| are(words, &["queued", "on"]))? + 2;
    match &words[start..] {
        [_host, as_, last, ..] if is(as_, "as") => id(last),
        [host, last] if host.contains('.') => id(last),
        _ => None,
    }
}

/// Gmail and Naver, whatever is before the id.
fn before_dash<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [.., last, "-", "gsmtp" | "nsmtp"] => id(last),
        _ => None,
    }
}

fn backend_replied<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.windows(3).find_map(|words| match words {
        [backend, replied, last] if are(&[backend, replied], &["backend", "replied"]) && last.starts_with('[') => {
            id_but_no_host(last)
        }
        _ => None,
    })
}

/// A number there is the size of the message, and an address that of the sender. Openwave's ids begin with the time.
fn message_received<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [message, received, last] if is(message, "message") && received.eq_ignore_ascii_case("received:") => {
            let is_of_openwave = |id: &str| id.get(..8).is_some_and(is_number);
            id_but_no_host(last).filter(|id| !is_size(id) && (!id.contains('@') || is_of_openwave(id)))
        }
        _ => None,
    }
}

/// Haraka: a UUID and a number.
fn in_parentheses<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [message, queued, last, ..] if are(&[message, queued], &["message", "queued"]) => {
            let last = last.strip_prefix('(').and_then(|last| last.strip_suffix(')'))?;
            id(last).filter(|id| id.len() >= MIN_UNLIKE_A_NAME && id.contains('-'))
        }
        _ => None,
    }
}

fn before_accepted<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [first, what, accepted, ..] if (is(what, "message") || is(what, "mail")) && is(accepted, "accepted") => {
            let min = if is_number(first) { MIN_UNLIKE_A_COUNT } else { MIN_UNLIKE_A_NAME };
            let is_of_server = first.ends_with(':') || (is_name(first) && !is_of_old_sendmail(first));
            id(first).filter(|id| id.len() >= min && !id.contains('.') && !is_of_server)
        }
        _ => None,
    }
}

fn between<'a>(words: &[&'a str], before: &[&str], behind: &str) -> Option<&'a str> {
    words.windows(before.len() + 2).find_map(|words| match words {
        [first @ .., middle, last] if are(first, before) && is(last, behind) => {
            id(middle).filter(|id| id.len() >= MIN_UNLIKE_A_COUNT)
        }
        _ => None,
    })
}

/// Cisco ESA counts its messages from 1. Without the `ok` before it, a short number may be a count.
fn of_cisco<'a>(words: &[&'a str]) -> Option<&'a str> {
    const MIN_SIZE: usize = 3;
    match words {
        [ok, message, number, accepted]
            if is(ok, "ok") && are(&[message], &["message"]) && is(accepted, "accepted") =>
        {
            Some(*number).filter(|number| is_number(number))
        }
        [message, number, accepted] if is(message, "message") && is(accepted, "accepted") => {
            Some(*number).filter(|number| is_number(number) && number.len() >= MIN_SIZE)
        }
        _ => None,
    }
}

/// Exchange: a message identifier in angle brackets, of any form where Exchange's own number of it follows. Elsewhere
/// it must not look like the address of a recipient.
fn in_angle_brackets<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (first, rest) = words.split_first()?;
    let is_queued = rest.windows(4).any(|words| are(words, &["queued", "mail", "for", "delivery"]));
    let id = first.strip_prefix('<')?.strip_suffix('>')?;
    let is_id =
        !id.is_empty() && id.len() <= MAX_ID_SIZE && id.chars().all(|c| c.is_ascii_graphic() && !"<>".contains(c));
    let is_known = rest.first().is_some_and(|word| word.starts_with("[InternalId="));
    let local = id.split('@').next().unwrap_or_default();
    let is_of_message = || {
        local.len() >= MIN_UNLIKE_A_NAME
            && local.bytes().any(|octet| octet.is_ascii_digit())
            && (is_upper(local) || !is_name(local))
    };
    (is_queued && is_id && (is_known || is_of_message())).then_some(id)
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
            id_but_no_host(last).filter(|id| id.len() >= MIN_UNLIKE_A_NAME)
        }
        _ => None,
    })
}

fn after_ok<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [ok, time, qp, last, ..] if is(ok, "ok") && is_time(time) && is(qp, "qp") => id(last),
        [ok, time, last, ..] if is(ok, "ok") && is_time(time) => id(last),
        [ok, last] if is(ok, "ok") && !last.contains('=') => {
            let is_bracketed = last.starts_with('<') && last.ends_with('>') && !last.contains('@');
            id(last).filter(|id| is_bracketed || is_long_and_mixed(id) || is_of_momentum(id) || is_of_courier(id))
        }
        _ => None,
    }
}

/// What `id=` may follow. The ids of users, sessions and connections are none of the message.
const BEFORE_EQUALS_SIGN: [&str; 8] = ["ok", "okay", "completed", "accepted", "queued", "message", "mail", "queue"];

/// `id=ID`; or `ids=ID`, of which the first counts.
fn after_equals_sign<'a>(words: &[&'a str]) -> Option<&'a str> {
    let mut previous = None::<&str>;
    words.iter().find_map(|word| {
        let previous = previous.replace(word);
        let is_of_message = previous.is_none_or(|previous| BEFORE_EQUALS_SIGN.iter().any(|known| is(previous, known)));
        let first_of_many = || word.strip_prefix("ids=").and_then(|ids| ids.split(',').next());
        word.strip_prefix("id=").or_else(first_of_many).filter(|_| is_of_message).and_then(id_but_no_host)
    })
}

/// The word without `id=` and the punctuation around it, if it can be an id.
fn id(word: &str) -> Option<&str> {
    trimmed(word).filter(|id| !is_ordinary(id) && !is_date(id))
}

/// The same, where a server may also name itself or another one.
fn id_but_no_host(word: &str) -> Option<&str> {
    id(word).filter(|id| !is_host(id))
}

/// The same as [`id`], where an ordinary word can be one as well.
fn trimmed(word: &str) -> Option<&str> {
    let around: &[char] = &['<', '>', '(', ')', '[', ']', ',', ';', ':', '.'];
    let id = word.strip_prefix("id=").unwrap_or(word).trim_matches(around);
    let is_id = id.len() <= MAX_ID_SIZE
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.+/=@,".contains(&octet))
        && id.bytes().any(|octet| octet.is_ascii_alphanumeric());
    is_id.then_some(id)
}

/// A word, or several with hyphens between them, of which some may be numbers: `first-class`, `relay-host-1`.
fn is_ordinary(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.clone().any(is_ordinary_word) && parts.all(|part| is_ordinary_word(part) || is_number(part))
}

/// `2024-11-22`, and `20241122T120000Z` (ISO 8601).
fn is_date(text: &str) -> bool {
    let lengths =
        |text: &str| text.split('-').map(|part| if is_number(part) { part.len() } else { 0 }).collect::<Vec<_>>();
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    let is_time =
        time.trim_end_matches(['Z', 'z']).bytes().all(|octet| octet.is_ascii_digit() || b"+-.,".contains(&octet));
    is_time && (lengths(date) == [4, 2, 2] || (lengths(date) == [8] && !time.is_empty()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Letters as a sentence has them: in lower case but for the first, in upper case, or few. Eight letters from a to f
/// are no word, but a number in hexadecimal digits.
fn is_ordinary_word(text: &str) -> bool {
    let is_number = text.len() >= 8 && is_hexadecimal(text);
    let is_lower = text.bytes().skip(1).all(|octet| octet.is_ascii_lowercase());
    !text.is_empty()
        && !is_number
        && text.bytes().all(|octet| octet.is_ascii_alphabetic())
        && (is_lower || is_upper(text) || text.len() <= 4)
}

fn is_upper(text: &str) -> bool {
    text.bytes().all(|octet| !octet.is_ascii_lowercase())
}

/// `12kB`.
fn is_size(text: &str) -> bool {
    const UNITS: [&str; 12] = ["", "b", "k", "kb", "kib", "m", "mb", "mib", "g", "gb", "bytes", "octets"];
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || ".,".contains(c));
    unit.len() < text.len() && UNITS.iter().any(|known| known.eq_ignore_ascii_case(unit))
}

/// An address, or a domain name of names.
fn is_host(text: &str) -> bool {
    let top = text.rsplit('.').next().unwrap_or_default();
    let is_domain = text.contains('.') && top.len() >= 2 && is_ordinary_word(top) && is_name(text);
    is_domain || text.parse::<IpAddr>().is_ok()
}

/// `mail-gate12`: words, with numbers or without.
fn is_name(text: &str) -> bool {
    let mut parts = text.split(['-', '_', '.']);
    parts.clone().any(|part| is_ordinary_word(part) || is_word_with_number(part))
        && parts.all(|part| is_ordinary_word(part) || is_number(part) || is_word_with_number(part))
}

/// `HAA04711`: Sendmail 8.8 has three letters for the time, and five digits or more.
fn is_of_old_sendmail(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_uppercase());
    text.len() == number.len() + 3 && number.len() >= 5 && is_number(number)
}

/// A word between digits and signs: `delivered2inbox`. The letters of hexadecimal digits are none.
fn has_word(text: &str) -> bool {
    const MIN_SIZE: usize = 4;
    let letters = text.split(|c: char| !c.is_ascii_alphabetic());
    let mut words = letters.filter(|letters| letters.len() >= MIN_SIZE && !is_hexadecimal(letters));
    words.any(is_ordinary_word)
}

/// `ESMTP2024`: a word and the number of a version or a year.
fn is_word_with_number(text: &str) -> bool {
    let word = text.trim_end_matches(|c: char| c.is_ascii_digit());
    is_ordinary_word(word) && !is_hexadecimal(word)
}

/// Neither of words, with numbers or without, nor a host name.
fn is_long_and_mixed(id: &str) -> bool {
    let has = |is: fn(&u8) -> bool| id.bytes().any(|octet| is(&octet));
    id.len() >= 8
        && has(u8::is_ascii_alphabetic)
        && has(u8::is_ascii_digit)
        && !id.contains(['/', '.'])
        && !is_name(id)
        && !has_word(id)
}

/// `C6/4A-12345-D8F1B5A5`.
fn is_of_momentum(id: &str) -> bool {
    let parts = id.split(['/', '-']).map(|part| if is_hexadecimal(part) { part.len() } else { 0 });
    id.get(2..3) == Some("/") && parts.eq([2, 2, 5, 8])
}

/// `0000000000A1B2C3.000000004B8E2A3D.00005C3E`.
fn is_of_courier(id: &str) -> bool {
    id.contains('.') && id.split('.').all(|part| part.len() >= 8 && is_hexadecimal(part))
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

fn are(words: &[&str], phrase: &[&str]) -> bool {
    words.iter().zip(phrase).all(|(word, expected)| is(word, expected))
}

fn is(word: &str, expected: &str) -> bool {
    word.trim_end_matches([':', ',', '.']).eq_ignore_ascii_case(expected)
}

/// Seconds since 1970: ten digits since 2001.
fn is_time(word: &str) -> bool {
    word.len() >= 10 && is_number(word)
}

#[cfg(test)]
mod tests;
