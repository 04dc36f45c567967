//! Distinguished names compared by what they say, not by their octets (RFC 5280, section 7.1).

use std::borrow::Cow;

use super::{
    element::{self, SET},
    text,
};

/// Whether two names are the same. They are given as the content of their SEQUENCE. String types, upper and lower case
/// and repeated spaces do not count.
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one == other || ReadName::new(one).is_same(&ReadName::new(other))
}

/// A name to compare with several others: a long one takes so much time to read that it is read once.
#[derive(Debug)]
pub struct ReadName<'a> {
    octets: Cow<'a, [u8]>,
    parts: Option<Vec<Part>>,
}

impl<'a> ReadName<'a> {
    /// Reads the content of a name's SEQUENCE.
    pub fn new(octets: impl Into<Cow<'a, [u8]>>) -> Self {
        let octets = octets.into();
        #[cfg(test)]
        READ.set(READ.get() + 1);
        Self { parts: comparable(&octets), octets }
    }

    /// As [`is_same_name`].
    pub fn is_same(&self, other: &ReadName<'_>) -> bool {
        self.octets == other.octets || self.parts.is_some() && self.parts == other.parts
    }
}

#[cfg(test)]
thread_local! {
    /// How many names this thread has read.
    pub(crate) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Whether the name has the form of one (RFC 5280, section 4.1.2.4).
pub(super) fn is_readable(name: &[u8]) -> bool {
    comparable(name).is_some()
}

/// The attributes of a relative distinguished name: type and value.
pub(super) type Part = Vec<(Vec<u8>, text::Comparable)>;

/// The name in a form in which names that are the same are equal; `None` if it cannot be read.
pub(super) fn comparable(name: &[u8]) -> Option<Vec<Part>> {
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
