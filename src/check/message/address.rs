//! [`HeaderAddress`]: a mailbox in a header field, with a display name if wanted.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{
    destination::HostName,
    smtp::{InvalidAddress, Mailbox},
};

/// Longest display name, in octets: far longer than any that is shown.
const MAX_NAME_SIZE: usize = 255;

/// A mailbox of From, To or Reply-To (RFC 5322, section 3.4): `user@example.com` or `Name <user@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderAddress {
    /// As it was given.
    text: String,
    name: Option<String>,
    local_part: String,
    /// A-labels, or an address literal.
    domain: String,
}

/// Why a text is no [`HeaderAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaderAddress {
    /// A control character: a line end, for example.
    #[error("must not contain control characters")]
    Control,
    /// A quoted display name without its end, or with something else than the address after it.
    #[error("the display name is not quoted right: write it like \"Doe, Jane\" <jane@example.com>")]
    Name,
    /// Over [`MAX_NAME_SIZE`].
    #[error("the display name is longer than {MAX_NAME_SIZE} octets")]
    NameTooLong,
    /// Not an address.
    #[error("{0}")]
    Mailbox(#[from] InvalidAddress),
    /// No domain name, though every label of it has allowed characters.
    #[error("the domain has no form in ASCII (RFC 5891)")]
    Domain,
}

impl HeaderAddress {
    /// The address of an envelope; `None` if it has no domain, or none that a header can have.
    pub(in crate::check) fn of_envelope(mailbox: &Mailbox) -> Option<Self> {
        mailbox.to_string().parse().ok()
    }

    /// The display name, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address, its domain in A-labels. Its local part may have characters beyond ASCII (RFC 6532).
    pub fn address(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    /// The domain in A-labels, or the address literal.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl FromStr for HeaderAddress {
    type Err = InvalidHeaderAddress;

    fn from_str(text: &str) -> Result<Self, InvalidHeaderAddress> {
        if text.contains(char::is_control) {
            return Err(InvalidHeaderAddress::Control);
        }
        let (name, address) = parts(text.trim())?;
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME_SIZE) {
            return Err(InvalidHeaderAddress::NameTooLong);
        }
        let mailbox: Mailbox = address.parse()?;
        let domain = mailbox.domain().ok_or(InvalidAddress::NoDomain)?;
        let local_part = &address[..address.len() - domain.len() - 1];
        let domain = match domain.is_ascii() {
            true => domain.to_owned(),
            false => domain.parse::<HostName>().map_err(|_| InvalidHeaderAddress::Domain)?.to_string(),
        };
        let name = name.filter(|name| !name.is_empty());
        Ok(Self { text: text.to_owned(), name, local_part: local_part.to_owned(), domain })
    }
}

/// The display name and the address.
fn parts(text: &str) -> Result<(Option<String>, &str), InvalidHeaderAddress> {
    let Some(text) = text.strip_suffix('>') else { return Ok((None, text)) };
    let (name, address) = match text.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = quoted_name(quoted).ok_or(InvalidHeaderAddress::Name)?;
            (name, rest.trim_start().strip_prefix('<').ok_or(InvalidHeaderAddress::Name)?)
        }
        None => {
            let (name, address) = text.split_once('<').ok_or(InvalidHeaderAddress::Name)?;
            (name.trim().to_owned(), address)
        }
    };
    Ok((Some(name), address))
}

/// The content of a quoted string without its first quote, and what follows it.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, &text[at + 1..])),
            '\\' => name.push(characters.next()?.1),
            _ => name.push(character),
        }
    }
    None
}

/// As it was given.
impl fmt::Display for HeaderAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for HeaderAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_a_name() {
        for (text, name, address) in [
            ("a@b.test", None, "a@b.test"),
            (" a@b.test ", None, "a@b.test"),
            ("<a@b.test>", None, "a@b.test"),
            ("Jane Doe <jane@b.test>", Some("Jane Doe"), "jane@b.test"),
            ("Doe, Jane <jane@b.test>", Some("Doe, Jane"), "jane@b.test"),
            ("\"Doe, \\\"J\\\\\" <jane@b.test>", Some("Doe, \"J\\"), "jane@b.test"),
            ("\"\"<jane@b.test>", None, "jane@b.test"),
            ("Jürgen <jürgen@bücher.test>", Some("Jürgen"), "jürgen@xn--bcher-kva.test"),
            ("\"a>b\"@[192.0.2.1]", None, "\"a>b\"@[192.0.2.1]"),
            ("x <\"a<b\"@c.test>", Some("x"), "\"a<b\"@c.test"),
        ] {
            let parsed = text.parse::<HeaderAddress>().unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!((parsed.name(), &*parsed.address()), (name, address), "{text:?}");
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn invalid_addresses() {
        use InvalidAddress::*;
        for (text, error) in [
            ("", InvalidHeaderAddress::Mailbox(Empty)),
            ("postmaster", InvalidHeaderAddress::Mailbox(NoDomain)),
            ("Name <>", InvalidHeaderAddress::Mailbox(Empty)),
            ("a@b.test, c@d.test", InvalidHeaderAddress::Mailbox(Domain)),
            ("A <a@b.test>, C <c@d.test>", InvalidHeaderAddress::Mailbox(Domain)),
            ("a@b.test>", InvalidHeaderAddress::Name),
            ("\"Jane <a@b.test>", InvalidHeaderAddress::Name),
            ("\"Jane\" x <a@b.test>", InvalidHeaderAddress::Name),
            ("Jane\r\nBcc: x@y.test <a@b.test>", InvalidHeaderAddress::Control),
            ("Jane\u{85} <a@b.test>", InvalidHeaderAddress::Control),
            (&format!("{} <a@b.test>", "x".repeat(256)), InvalidHeaderAddress::NameTooLong),
            ("a@xn--a.ü", InvalidHeaderAddress::Domain),
        ] {
            assert_eq!(text.parse::<HeaderAddress>(), Err(error), "{text:?}");
        }
    }
}
