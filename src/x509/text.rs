//! Names in certificates as text that is safe to print. The server chose every byte of them.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use x509_parser::{
    asn1_rs::Oid,
    objects::{oid_registry, oid2abbrev},
};

use super::element::{self, Element, OBJECT_IDENTIFIER, SEQUENCE, SET};
use crate::escape::is_harmful;

/// The tags of a GeneralName (RFC 5280, section 4.2.1.6).
pub(super) mod name_tag {
    pub(in crate::x509) const OTHER_NAME: u8 = 0xa0;
    pub(in crate::x509) const RFC822_NAME: u8 = 0x81;
    pub(in crate::x509) const DNS_NAME: u8 = 0x82;
    pub(in crate::x509) const X400_ADDRESS: u8 = 0xa3;
    pub(in crate::x509) const DIRECTORY_NAME: u8 = 0xa4;
    pub(in crate::x509) const EDI_PARTY_NAME: u8 = 0xa5;
    pub(in crate::x509) const URI: u8 = 0x86;
    pub(in crate::x509) const IP_ADDRESS: u8 = 0x87;
    pub(in crate::x509) const REGISTERED_ID: u8 = 0x88;
}

/// A distinguished name in the certificate's own order, with `, ` between RDNs and ` + ` between the attributes of one.
/// `name` is the content of its SEQUENCE. What cannot be read is in hex behind a `#`.
///
/// Special characters are escaped (RFC 4514, section 2.4), so that a value cannot look like another attribute.
pub(super) fn distinguished_name(name: &[u8]) -> String {
    let (sets, rest) = element::all(name);
    let mut parts: Vec<_> = sets.into_iter().map(relative_name).filter(|part| !part.is_empty()).collect();
    if !rest.is_empty() {
        parts.push(unreadable(rest));
    }
    parts.join(", ")
}

fn relative_name(set: Element<'_>) -> String {
    let Some(content) = set.of(SET) else { return unreadable(set.raw) };
    let (attributes, rest) = element::all(content);
    let mut parts: Vec<_> = attributes
        .into_iter()
        .map(|one| match attribute(one) {
            Some((id, value)) => format!("{}={}", attribute_type(id), attribute_value(value)),
            None => unreadable(one.raw),
        })
        .collect();
    if !rest.is_empty() {
        parts.push(unreadable(rest));
    }
    parts.join(" + ")
}

/// The type and the value of an attribute (RFC 5280, section 4.1.2.4); `None` if it is not one.
pub(super) fn attribute(one: Element<'_>) -> Option<(&[u8], Element<'_>)> {
    let mut content = one.of(SEQUENCE)?;
    let id = element::take(&mut content)?.of(OBJECT_IDENTIFIER)?;
    let value = element::take(&mut content)?;
    content.is_empty().then_some((id, value))
}

fn unreadable(octets: &[u8]) -> String {
    format!("#{}", hex(octets))
}

/// A subject alternative name: the common types as they are, the others after their type.
pub(super) fn general_name(name: Element<'_>) -> String {
    use name_tag::*;
    let content = name.content;
    match name.tag {
        DNS_NAME | RFC822_NAME | URI => printable(&String::from_utf8_lossy(content)),
        IP_ADDRESS => ip_address(content),
        DIRECTORY_NAME => match directory_name(content) {
            Some(name) => format!("dirName:{}", distinguished_name(name)),
            None => format!("dirName:{}", unreadable(content)),
        },
        REGISTERED_ID => format!("registeredID:{}", oid(content)),
        OTHER_NAME => {
            let mut value = content;
            match element::take(&mut value).and_then(|id| id.of(OBJECT_IDENTIFIER)) {
                Some(id) => format!("otherName:{}:{}", oid(id), hex(value)),
                None => format!("otherName:{}", unreadable(content)),
            }
        }
        X400_ADDRESS => format!("x400Address:{}", hex(content)),
        EDI_PARTY_NAME => format!("ediPartyName:{}", hex(content)),
        _ => unreadable(name.raw),
    }
}

/// The content of the Name in a directoryName, which has an explicit tag.
pub(super) fn directory_name(mut content: &[u8]) -> Option<&[u8]> {
    let name = element::take(&mut content)?.of(SEQUENCE)?;
    content.is_empty().then_some(name)
}

/// An object identifier in dotted decimal; a very long one in hex, because decimal takes quadratic time. `content` is
/// that of the element.
pub(super) fn oid(content: &[u8]) -> String {
    const MAX_DECIMAL_SIZE: usize = 64;
    if content.len() > MAX_DECIMAL_SIZE {
        return hex(content);
    }
    Oid::new(content.into()).to_id_string()
}

/// The name of an object identifier; an unknown one in dotted decimal.
pub(super) fn name_of(wanted: &[u8], names: &[(Oid<'static>, &str)]) -> String {
    let known = names.iter().find(|(known, _)| known.as_bytes() == wanted);
    known.map_or_else(|| oid(wanted), |(_, name)| (*name).to_owned())
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn attribute_type(id: &[u8]) -> String {
    match oid2abbrev(&Oid::new(id.into()), oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => oid(id),
    }
}

/// A value to compare. Octets are never the same as a text, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparable {
    Text(String),
    /// Tag and content.
    Octets(u8, Vec<u8>),
}

/// The value as text in one form for all string types and spellings, as OpenSSL compares names (RFC 5280, section
/// 7.1): lower case, with single spaces. Other values, and those that are not well-formed, by their octets.
pub(super) fn comparable_value(value: Element<'_>) -> Comparable {
    let text = match value.tag {
        UTF8_STRING => String::from_utf8(value.content.to_vec()).ok(),
        BMP_STRING if value.content.len().is_multiple_of(2) => utf16(value.content).collect::<Result<_, _>>().ok(),
        UNIVERSAL_STRING if value.content.len().is_multiple_of(4) => utf32(value.content).collect(),
        PRINTABLE_STRING | T61_STRING | IA5_STRING | VISIBLE_STRING => Some(latin_1(value.content)),
        _ => None,
    };
    match text {
        Some(text) => {
            Comparable::Text(text.to_ascii_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        }
        None => Comparable::Octets(value.tag, value.content.to_vec()),
    }
}

/// The text, escaped; a value that is not of a string type as RFC 4514, section 2.4, wants it.
fn attribute_value(value: Element<'_>) -> String {
    decoded(value).map_or_else(|| unreadable(value.raw), |text| escaped(&text))
}

const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const GRAPHIC_STRING: u8 = 0x19;
const VISIBLE_STRING: u8 = 0x1a;
const GENERAL_STRING: u8 = 0x1b;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// Whether a string of this type has its ASCII characters as single octets.
pub(super) fn has_octets_for_characters(tag: u8) -> bool {
    [UTF8_STRING, PRINTABLE_STRING, T61_STRING, IA5_STRING, VISIBLE_STRING].contains(&tag)
}

/// The text of a value, with replacement characters for what is not well-formed; `None` if it is not of a string type.
fn decoded(value: Element<'_>) -> Option<String> {
    let content = value.content;
    let text = match value.tag {
        BMP_STRING => utf16(content).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        UNIVERSAL_STRING => utf32(content).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        UTF8_STRING => String::from_utf8_lossy(content).into_owned(),
        // ASCII by their definition. Authorities write UTF-8 into them, or else ISO 8859-1.
        PRINTABLE_STRING | IA5_STRING | NUMERIC_STRING | VISIBLE_STRING | GENERAL_STRING | GRAPHIC_STRING => {
            String::from_utf8(content.to_vec()).unwrap_or_else(|_| latin_1(content))
        }
        // Authorities that write it mean ISO 8859-1, not T.61 (RFC 5280 no longer allows it).
        T61_STRING => latin_1(content),
        _ => return None,
    };
    Some(text)
}

fn latin_1(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

fn utf16(octets: &[u8]) -> impl Iterator<Item = Result<char, std::char::DecodeUtf16Error>> {
    char::decode_utf16(octets.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0xfffd,
    }))
}

fn utf32(octets: &[u8]) -> impl Iterator<Item = Option<char>> {
    octets.chunks(4).map(|four| four.try_into().ok().map(u32::from_be_bytes).and_then(char::from_u32))
}

/// Escapes the special characters of RFC 4514, section 2.4, and those that do harm on a terminal.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        let special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => index == 0,
            ' ' => index == 0 || index == last,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        push_printable(&mut out, character);
    }
    out
}

/// Escapes the characters that do harm on a terminal or in a log.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        push_printable(&mut out, character);
    }
    out
}

fn push_printable(out: &mut String, character: char) {
    if !is_harmful(character) {
        out.push(character);
        return;
    }
    let mut bytes = [0; 4];
    for byte in character.encode_utf8(&mut bytes).bytes() {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\{byte:02X}");
    }
}

fn ip_address(bytes: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Ipv4Addr::from(octets).to_string()
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        Ipv6Addr::from(octets).to_string()
    } else {
        format!("iPAddress:{}", hex(bytes))
    }
}
