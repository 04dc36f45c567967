//! Distinguished names compared by what they say, not by their octets (RFC 5280, section 7.1).

use x509_parser::{asn1_rs::FromDer, x509::RelativeDistinguishedName};

use super::text;

/// Whether two names are the same. They are given as the content of their SEQUENCE. String types, upper and lower case
/// and repeated spaces do not count.
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one == other || comparable(one).is_some_and(|one| comparable(other) == Some(one))
}

/// The attributes of a relative distinguished name: type and value.
type Part = Vec<(Vec<u8>, String)>;

/// `None` if the name cannot be read.
fn comparable(mut name: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while !name.is_empty() {
        let (rest, part) = RelativeDistinguishedName::from_der(name).ok()?;
        let mut attributes: Vec<_> = part
            .iter()
            .map(|attribute| {
                (attribute.attr_type().as_bytes().to_vec(), text::comparable_value(attribute.attr_value()))
            })
            .collect();
        attributes.sort();
        parts.push(attributes);
        name = rest;
    }
    Some(parts)
}
