//! Mailboxes and domains (RFC 5321, section 4.1.2), with the characters beyond ASCII of RFC 6531, section 3.3.
//!
//! These types contain no control character, so a value cannot end a command and begin another one.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Longest local part, in octets (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_PART_SIZE: usize = 64;
/// Longest domain, in octets (RFC 5321, section 4.5.3.1.2).
const MAX_DOMAIN_SIZE: usize = 255;
/// Longest mailbox, in octets: a path of 256 octets without its angle brackets (RFC 5321, section 4.5.3.1.3).
const MAX_MAILBOX_SIZE: usize = 254;
/// Longest label of a domain, in octets (RFC 1035, section 2.3.4).
const MAX_LABEL_SIZE: usize = 63;

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// Nothing before the `@`.
    #[error("the part before the @ is empty")]
    EmptyLocalPart,
    /// Neither a dot-string nor a quoted string.
    #[error("the part before the @ is neither a dot-string nor a quoted string (RFC 5321, section 4.1.2)")]
    LocalPart,
    /// Over [`MAX_LOCAL_PART_SIZE`].
    #[error("the part before the @ is longer than {MAX_LOCAL_PART_SIZE} octets")]
    LocalPartTooLong,
    /// No `@domain` where one is needed.
    #[error("the address has no domain")]
    NoDomain,
    /// Not a domain name.
    #[error("the domain is not a domain name (labels of letters, digits and inner hyphens, between dots)")]
    Domain,
    /// Over [`MAX_DOMAIN_SIZE`], or a label over [`MAX_LABEL_SIZE`].
    #[error("the domain is longer than {MAX_DOMAIN_SIZE} octets, or one of its labels longer than {MAX_LABEL_SIZE}")]
    DomainTooLong,
    /// The brackets contain something else than an address.
    #[error("the address literal is neither [IPv4] nor [IPv6:…] (RFC 5321, section 4.1.3)")]
    Literal,
    /// Over [`MAX_MAILBOX_SIZE`].
    #[error("the address is longer than {MAX_MAILBOX_SIZE} octets")]
    TooLong,
    /// EHLO takes A-labels (RFC 6531, section 3.7.1).
    #[error("characters beyond ASCII are not allowed here; write an internationalized name as A-labels (xn--…)")]
    NotAscii,
}

/// A mailbox: `local-part@domain`, or a local part alone such as `postmaster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    text: String,
    /// Length of the local part, in octets.
    local: usize,
}

impl Mailbox {
    /// The domain or address literal after the `@`.
    pub fn domain(&self) -> Option<&str> {
        self.text.get(self.local + 1..)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// False if the server has to offer `SMTPUTF8` (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl FromStr for Mailbox {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        let local = local_part(text)?;
        match text[local..].strip_prefix('@') {
            Some(domain) => check_domain(domain)?,
            None if local < text.len() => return Err(InvalidAddress::LocalPart),
            None => {}
        }
        if text.len() > MAX_MAILBOX_SIZE {
            return Err(InvalidAddress::TooLong);
        }
        Ok(Self { text: text.to_owned(), local })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The argument of EHLO: a domain or an address literal (RFC 5321, section 4.1.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EhloName(String);

impl EhloName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EhloName {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        if !text.is_ascii() {
            return Err(InvalidAddress::NotAscii);
        }
        check_domain(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EhloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The length of the local part at the start of `text`.
fn local_part(text: &str) -> Result<usize, InvalidAddress> {
    let length = if text.starts_with('"') {
        quoted_string(text).ok_or(InvalidAddress::LocalPart)?
    } else {
        let length = text.find('@').unwrap_or(text.len());
        if length == 0 {
            return Err(InvalidAddress::EmptyLocalPart);
        }
        if !text[..length].split('.').all(is_atom) {
            return Err(InvalidAddress::LocalPart);
        }
        length
    };
    if length > MAX_LOCAL_PART_SIZE { Err(InvalidAddress::LocalPartTooLong) } else { Ok(length) }
}

fn is_atom(text: &str) -> bool {
    let is_atext =
        |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_printable_beyond_ascii(c);
    !text.is_empty() && text.chars().all(is_atext)
}

/// Length of the quoted string at the start of `text`, quotes included.
fn quoted_string(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(at + 1),
            '\\' => {
                characters.next().filter(|(_, escaped)| matches!(escaped, ' '..='~'))?;
            }
            ' '..='~' => {}
            _ if is_printable_beyond_ascii(character) => {}
            _ => return None,
        }
    }
    None
}

fn is_printable_beyond_ascii(character: char) -> bool {
    !character.is_ascii() && !character.is_control() && !character.is_whitespace()
}

/// A domain, or an address literal in brackets.
fn check_domain(domain: &str) -> Result<(), InvalidAddress> {
    if let Some(literal) = domain.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(InvalidAddress::Literal)?;
        let is_address = match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse::<Ipv6Addr>().is_ok(),
            _ => literal.parse::<Ipv4Addr>().is_ok(),
        };
        return if is_address { Ok(()) } else { Err(InvalidAddress::Literal) };
    }
    if domain.len() > MAX_DOMAIN_SIZE || domain.split('.').any(|label| label.len() > MAX_LABEL_SIZE) {
        return Err(InvalidAddress::DomainTooLong);
    }
    if domain.split('.').all(is_label) { Ok(()) } else { Err(InvalidAddress::Domain) }
}

/// Letters, digits and inner hyphens (RFC 5321, section 4.1.2), and the underscore, which many internal host names
/// have.
fn is_label(label: &str) -> bool {
    // Beyond ASCII this allows marks, too, which are neither letters nor digits: IDNA decides on them when the name is
    // looked up.
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || is_printable_beyond_ascii(c);
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn valid_mailboxes() {
        for (text, domain) in [
            ("postmaster", None),
            ("a@b", Some("b")),
            ("user.name+tag@mx-1.example.com", Some("mx-1.example.com")),
            ("\"a b\"@example.com", Some("example.com")),
            ("\"a\\\"@b\"@example.com", Some("example.com")),
            ("\"\"@example.com", Some("example.com")),
            ("user@[192.0.2.1]", Some("[192.0.2.1]")),
            ("user@[IPv6:2001:db8::1]", Some("[IPv6:2001:db8::1]")),
            ("jürgen@müller.example", Some("müller.example")),
            ("user@under_score.example", Some("under_score.example")),
        ] {
            let mailbox = text.parse::<Mailbox>().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(mailbox.domain(), domain, "{text}");
            assert_eq!(mailbox.to_string(), text);
        }
    }

    #[test]
    fn invalid_mailboxes() {
        use InvalidAddress::*;
        let long_local = format!("{}@b", "a".repeat(65));
        let long_label = format!("a@{}", "b".repeat(64));
        let long_domain = format!("a@{}", ["b".repeat(62).as_str(); 5].join("."));
        let too_long = format!("{}@{}", "a".repeat(64), ["b".repeat(62).as_str(); 4].join("."));
        for (text, error) in [
            ("", Empty),
            ("@b", EmptyLocalPart),
            ("a b@c", LocalPart),
            (".a@b", LocalPart),
            ("a.@b", LocalPart),
            ("a..b@c", LocalPart),
            ("a@b@c", Domain),
            ("a>b@c", LocalPart),
            ("<a@b>", LocalPart),
            ("Foo <a@b.com>", LocalPart),
            ("\"a@b", LocalPart),
            ("\"a\"b@c", LocalPart),
            ("\"a\r\n\"@b", LocalPart),
            ("a\r\nDATA@b", LocalPart),
            ("a\0@b", LocalPart),
            ("a@", Domain),
            ("a@-b.com", Domain),
            ("a@b-.com", Domain),
            ("a@b..com", Domain),
            ("a@b.com.", Domain),
            ("a@b c", Domain),
            ("a@b\r\n", Domain),
            ("a@b>", Domain),
            ("a@[nonsense]", Literal),
            ("a@[192.0.2.1", Literal),
            ("a@[2001:db8::1]", Literal),
            ("a@[IPv6:nonsense]", Literal),
            (&long_local, LocalPartTooLong),
            (&long_label, DomainTooLong),
            (&long_domain, DomainTooLong),
            (&too_long, TooLong),
        ] {
            assert_eq!(text.parse::<Mailbox>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn ehlo_names() {
        for text in ["noit.local", "localhost", "[127.0.0.1]", "[IPv6:::1]"] {
            assert_eq!(text.parse::<EhloName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for (text, error) in [
            ("", InvalidAddress::Empty),
            ("a b", InvalidAddress::Domain),
            ("müller.example", InvalidAddress::NotAscii),
            ("a\r\nMAIL FROM:<>", InvalidAddress::Domain),
        ] {
            assert_eq!(text.parse::<EhloName>(), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_address_contains_a_line_end(text in "\\PC{0,40}|[a-z@.\"\\\\<>\r\n\0 ]{0,30}") {
            if let Ok(mailbox) = text.parse::<Mailbox>() {
                prop_assert!(!mailbox.to_string().contains(|c: char| c.is_control()));
            }
            if let Ok(name) = text.parse::<EhloName>() {
                prop_assert!(name.to_string().bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
