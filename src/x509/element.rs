//! [`Element`]: one element of BER (X.690), told apart from what follows it and not yet interpreted.
//!
//! Certificates are in DER. OpenSSL reads BER as well, and facts do not depend on the difference: the verifier reports
//! it.

use std::borrow::Cow;

use x509_parser::asn1_rs::{Any, FromBer};

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// The first octet: class, whether it is constructed, and number.
    pub(super) tag: u8,
    /// All its octets.
    pub(super) raw: &'a [u8],
    /// The octets behind its length.
    pub(super) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// The content, if the element has this tag.
    pub(super) fn of(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

/// Takes the next element from the front; `None`, and nothing is taken, if none can be told apart there.
pub(super) fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (rest, any) = Any::from_ber(input).ok()?;
    let raw = &input[..input.len() - rest.len()];
    let tag = *raw.first()?;
    *input = rest;
    Some(Element { tag, raw, content: any.data })
}

/// [`take`], if the next element has this tag.
pub(super) fn take_if<'a>(input: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    if input.first() != Some(&tag) {
        return None;
    }
    take(input)
}

/// Whether this is an AlgorithmIdentifier: a SEQUENCE that begins with an object identifier. x509-parser takes an
/// element of any type for one.
pub(super) fn is_algorithm(mut input: &[u8]) -> bool {
    let content = take(&mut input).and_then(|element| element.of(SEQUENCE));
    let id = content.and_then(|mut content| take(&mut content)).and_then(|id| id.of(OBJECT_IDENTIFIER));
    id.is_some_and(|id| !id.is_empty())
}

/// The elements one after another, and what is left if they do not fill the input.
pub(super) fn all(mut input: &[u8]) -> (Vec<Element<'_>>, &[u8]) {
    let mut elements = Vec::new();
    while let Some(element) = take(&mut input) {
        elements.push(element);
    }
    (elements, input)
}

/// The elements in the content of the one SEQUENCE that the input is; `None` if it is anything else.
pub(super) fn sequence(mut input: &[u8]) -> Option<Vec<Element<'_>>> {
    let content = take(&mut input)?.of(SEQUENCE)?;
    let (elements, rest) = all(content);
    (rest.is_empty() && input.is_empty()).then_some(elements)
}

/// The value of an INTEGER that is not negative; the largest one for a number that is larger.
pub(super) fn number(content: &[u8]) -> Option<u32> {
    if content.first().is_none_or(|octet| *octet > 0x7f) {
        return None;
    }
    Some(content.iter().fold(0_u32, |value, octet| match value.checked_mul(0x100) {
        Some(value) => value + u32::from(*octet),
        None => u32::MAX,
    }))
}

/// The elements in DER, as far as lengths and BOOLEANs go (X.690, sections 10.1 and 11.1), so that a library that reads
/// DER alone can read them. What cannot be read, or is nested too deep, stays as it is.
pub(super) fn to_der(input: &[u8]) -> Cow<'_, [u8]> {
    /// Deepest nesting that is followed. A certificate has about ten levels.
    const MAX_DEPTH: usize = 16;
    encoded(input, MAX_DEPTH).map_or(Cow::Borrowed(input), Cow::Owned)
}

/// Whether the elements are in BER and not in DER, as far as [`to_der`] can tell.
pub(super) fn is_ber(input: &[u8]) -> bool {
    *to_der(input) != *input
}

fn encoded(input: &[u8], depth: usize) -> Option<Vec<u8>> {
    const CONSTRUCTED: u8 = 0x20;
    let (elements, rest) = all(input);
    if depth == 0 || !rest.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(input.len());
    for Element { tag, raw, content } in elements {
        let content = match tag {
            _ if tag & CONSTRUCTED != 0 => Cow::Owned(encoded(content, depth - 1)?),
            BOOLEAN if content.len() == 1 && content[0] != 0 => Cow::Borrowed(&[0xff][..]),
            _ => Cow::Borrowed(content),
        };
        out.extend_from_slice(&raw[..identifier_size(raw)]);
        push_length(&mut out, content.len());
        out.extend_from_slice(&content);
    }
    Some(out)
}

/// The octets of an element's tag (X.690, section 8.1.2): more than one for a number above 30.
fn identifier_size(raw: &[u8]) -> usize {
    const LONG: u8 = 0x1f;
    const MORE: u8 = 0x80;
    match raw {
        [first, others @ ..] if first & LONG == LONG => {
            2 + others.iter().take_while(|octet| **octet & MORE != 0).count().min(others.len().saturating_sub(1))
        }
        _ => 1,
    }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    let octets = length.to_be_bytes();
    let octets = &octets[octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1)..];
    if octets.len() > 1 || octets[0] > 0x7f {
        out.extend(u8::try_from(0x80 + octets.len()));
    }
    out.extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ber_becomes_der() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 0x80]].concat();
        let cases: [(&[u8], &[u8]); 8] = [
            (&[0x30, 3, 1, 1, 0xff], &[0x30, 3, 1, 1, 0xff]),
            (&[0x30, 3, 1, 1, 1], &[0x30, 3, 1, 1, 0xff]),
            (&[0x30, 0x81, 3, 1, 1, 0], &[0x30, 3, 1, 1, 0]),
            (&[0x30, 4, 2, 0x81, 1, 9], &[0x30, 3, 2, 1, 9]),
            (&[0x30, 0x80, 0x31, 0x80, 2, 1, 9, 0, 0, 0, 0], &[0x30, 5, 0x31, 3, 2, 1, 9]),
            (&[0x9f, 0x81, 1, 0x81, 1, 9], &[0x9f, 0x81, 1, 1, 9]),
            (&long, &long),
            (&[0x30, 3, 1, 5, 0xff], &[0x30, 3, 1, 5, 0xff]),
        ];
        for (ber, der) in cases {
            assert_eq!(*to_der(ber), *der, "{ber:02x?}");
            assert_eq!(is_ber(ber), ber != der, "{ber:02x?}");
        }
    }
}
