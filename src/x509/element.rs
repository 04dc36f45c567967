//! [`Element`]: one element of BER (X.690), told apart from what follows it and not yet interpreted.
//!
//! Certificates are in DER. OpenSSL reads BER as well, and facts do not depend on the difference: the verifier reports
//! it.

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
