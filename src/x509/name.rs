//! Distinguished names compared by what they say, not by their octets (RFC 5280, section 7.1).

use super::{
    element::{self, SET},
    text,
};

/// Whether two names are the same. They are given as the content of their SEQUENCE. String types, upper and lower case
/// and repeated spaces do not count.
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one == other || comparable(one).is_some_and(|one| comparable(other) == Some(one))
}

/// Whether `name` begins with the relative names of `base` (RFC 5280, section 4.2.1.10); `None` if one of the two cannot
/// be read.
pub(super) fn is_below(name: &[u8], base: &[u8]) -> Option<bool> {
    Some(comparable(name)?.starts_with(&comparable(base)?))
}

/// Whether the name has the form of one (RFC 5280, section 4.1.2.4).
pub(super) fn is_readable(name: &[u8]) -> bool {
    comparable(name).is_some()
}

/// The attributes of a relative distinguished name: type and value.
type Part = Vec<(Vec<u8>, String)>;

/// `None` if the name cannot be read.
fn comparable(name: &[u8]) -> Option<Vec<Part>> {
    let (sets, rest) = element::all(name);
    let parts = sets.into_iter().map(|set| {
        let (attributes, rest) = element::all(set.of(SET)?);
        let read = |one| text::attribute(one).map(|(id, value)| (id.to_vec(), text::comparable_value(value)));
        let mut part = attributes.into_iter().map(read).collect::<Option<Part>>()?;
        part.sort();
        rest.is_empty().then_some(part)
    });
    parts.collect::<Option<_>>().filter(|_| rest.is_empty())
}
