//! Names in certificates as text that is safe to print. The server chose every byte of them.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use x509_parser::{
    asn1_rs::{Any, Oid, Tag},
    extensions::GeneralName,
    objects::{oid_registry, oid2abbrev},
    x509::X509Name,
};

use crate::escape::is_harmful;

/// A distinguished name in the certificate's own order, with `, ` between RDNs and ` + ` between the attributes of one.
///
/// Special characters are escaped (RFC 4514, section 2.4), so that a value cannot look like another attribute.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name
        .iter_rdn()
        .map(|part| {
            let attributes: Vec<_> = part
                .iter()
                .map(|attribute| {
                    let value = attribute_value(attribute.attr_value());
                    format!("{}={value}", attribute_type(attribute.attr_type()))
                })
                .collect();
            attributes.join(" + ")
        })
        .collect();
    parts.join(", ")
}

/// A subject alternative name: the common types as they are, the others after their type.
pub(super) fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => printable(text),
        GeneralName::IPAddress(bytes) => ip_address(bytes),
        GeneralName::DirectoryName(name) => format!("dirName:{}", distinguished_name(name)),
        GeneralName::RegisteredID(id) => format!("registeredID:{}", oid(id)),
        GeneralName::OtherName(id, value) => {
            format!("otherName:{}:{}", oid(id), hex(value))
        }
        GeneralName::X400Address(any) => format!("x400Address:{}", hex(any.data)),
        GeneralName::EDIPartyName(any) => format!("ediPartyName:{}", hex(any.data)),
        GeneralName::Invalid(_, bytes) => printable(&String::from_utf8_lossy(bytes)),
    }
}

/// An object identifier in dotted decimal; a very long one in hex, because decimal takes quadratic time.
pub(super) fn oid(id: &Oid<'_>) -> String {
    const MAX_DECIMAL_SIZE: usize = 64;
    if id.as_bytes().len() > MAX_DECIMAL_SIZE {
        return hex(id.as_bytes());
    }
    id.to_id_string()
}

/// The name of an object identifier; an unknown one in dotted decimal.
pub(super) fn name_of(wanted: &Oid<'_>, names: &[(Oid<'static>, &str)]) -> String {
    names.iter().find(|(known, _)| known == wanted).map_or_else(|| oid(wanted), |(_, name)| (*name).to_owned())
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn attribute_type(id: &Oid<'_>) -> String {
    match oid2abbrev(id, oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => oid(id),
    }
}

/// The value as text in one form for all string types and spellings: lower case, with single spaces (RFC 5280, section
/// 7.1; as OpenSSL compares names). Other values in hex.
pub(super) fn comparable_value(value: &Any<'_>) -> String {
    match decoded(value) {
        Some(text) => text.to_ascii_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        None => format!("#{}:{}", value.tag().0, hex(value.data)),
    }
}

fn attribute_value(value: &Any<'_>) -> String {
    decoded(value).map_or_else(|| format!("#{}", hex(value.data)), |text| escaped(&text))
}

/// The text of a value; `None` if it is not of a string type.
fn decoded(value: &Any<'_>) -> Option<String> {
    let text = match value.tag() {
        Tag::BmpString => {
            let units = value.data.chunks(2).map(|pair| match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                _ => 0xfffd,
            });
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::UniversalString => value
            .data
            .chunks(4)
            .map(|four| {
                let code = four.try_into().ok().map(u32::from_be_bytes);
                code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect(),
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::GeneralString
        | Tag::GraphicString => String::from_utf8_lossy(value.data).into_owned(),
        // Authorities that write it mean ISO 8859-1, not T.61 (RFC 5280 no longer allows it).
        Tag::T61String => value.data.iter().copied().map(char::from).collect(),
        _ => return None,
    };
    Some(text)
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
fn printable(text: &str) -> String {
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
