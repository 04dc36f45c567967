//! Tag list, the `tag=value; tag=value` text of DKIM keys (RFC 6376, section 3.2), DMARC records (RFC 9989, section
//! 4.8), MTA-STS records (RFC 8461, section 3.1) and TLS-RPT records (RFC 8460, section 3).
//!
//! Parsing never fails: what can be read is in [`TagList::tags`], what is wrong is in [`TagList::faults`], each with
//! its position. Which faults make a record invalid is up to the module of the record.

use std::{collections::HashSet, fmt};

#[cfg(test)]
mod tests;

/// Tags that are kept of one list. The standards define at most fourteen.
pub const MAX_TAGS: usize = 256;
/// Faults that are kept of one list.
pub const MAX_FAULTS: usize = 32;

/// Which grammar the list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 6376, section 3.2: folding white space around names and values, and values may be empty.
    Dkim,
    /// RFC 9989, section 4.8: names of letters, white space around `=` and `;`, no empty values.
    Dmarc,
    /// RFC 8461, section 3.1: white space around `;` only; no space and no `=` in a value.
    MtaSts,
    /// RFC 8460, section 3: as [`Syntax::MtaSts`], but `rua` is a list of URIs.
    TlsRpt,
}

impl Syntax {
    fn space_around_equals(self) -> bool {
        matches!(self, Self::Dkim | Self::Dmarc)
    }

    fn is_name(self, name: &[u8]) -> bool {
        let Some((first, rest)) = name.split_first() else { return false };
        match self {
            Self::Dkim => first.is_ascii_alphabetic() && rest.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_'),
            Self::Dmarc => name.iter().all(u8::is_ascii_alphabetic),
            Self::MtaSts | Self::TlsRpt => {
                first.is_ascii_alphanumeric()
                    && rest.len() <= 31
                    && rest.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'))
            }
        }
    }

    /// The place of the first octet that a value of this tag must not have.
    fn wrong_octet(self, name: &[u8], value: &[u8]) -> Option<usize> {
        let is_strict = match self {
            Self::Dkim | Self::Dmarc => false,
            Self::MtaSts => true,
            Self::TlsRpt => name != b"rua",
        };
        value.iter().position(|c| match c {
            b' ' | b'\t' | b'=' => is_strict,
            // Line ends within a value are there for DKIM, where it may be folded.
            b'\r' | b'\n' => self != Self::Dkim,
            c => !c.is_ascii_graphic(),
        })
    }

    fn is_space(self, octet: u8) -> bool {
        matches!(octet, b' ' | b'\t') || (self == Self::Dkim && matches!(octet, b'\r' | b'\n'))
    }
}

/// One `tag=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// As it is spelled. Names are case-sensitive (RFC 6376, section 3.2).
    pub name: String,
    /// Without the white space around it. Octets that are no UTF-8 are replaced.
    pub value: String,
    /// Octets before the name, from the start of the record.
    pub position: usize,
    /// Octets before the value.
    pub value_position: usize,
}

/// Something in a list that its grammar does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFault {
    /// Octets before it, from the start of the record.
    pub position: usize,
    /// What is wrong.
    pub kind: TagFaultKind,
}

/// What the grammar of a list does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFaultKind {
    /// White space before the first tag.
    LeadingSpace,
    /// Nothing between two semicolons.
    EmptyTag,
    /// A tag without `=`.
    NoEquals,
    /// A name with octets that a name must not have; such a tag is not kept.
    Name,
    /// White space beside `=`.
    SpaceAroundEquals,
    /// A tag without a value. DKIM allows it.
    EmptyValue,
    /// An octet that a value must not have. The tag is kept.
    ValueOctet(u8),
    /// The name was there before (RFC 6376, section 3.2: the list is invalid). The later tag is kept, too.
    Duplicate(String),
    /// More than [`MAX_TAGS`] tags: the rest was not read.
    TooManyTags,
}

impl fmt::Display for TagFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TagFaultKind::LeadingSpace => f.write_str("white space before the first tag"),
            TagFaultKind::EmptyTag => f.write_str("no tag between two semicolons"),
            TagFaultKind::NoEquals => f.write_str("a tag without \"=\""),
            TagFaultKind::Name => f.write_str("a tag with a malformed name"),
            TagFaultKind::SpaceAroundEquals => f.write_str("white space beside \"=\""),
            TagFaultKind::EmptyValue => f.write_str("a tag without a value"),
            TagFaultKind::ValueOctet(octet) if octet.is_ascii_graphic() => {
                write!(f, "\"{}\" in a value", char::from(*octet))
            }
            TagFaultKind::ValueOctet(octet) => write!(f, "octet 0x{octet:02x} in a value"),
            TagFaultKind::Duplicate(name) => write!(f, "tag \"{name}\" more than once"),
            TagFaultKind::TooManyTags => write!(f, "more than {MAX_TAGS} tags"),
        }?;
        write!(f, " at octet {}", self.position)
    }
}

/// The tags of one record, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagList {
    /// Those that can be read.
    pub tags: Vec<Tag>,
    /// What is wrong, in the order of the record.
    pub faults: Vec<TagFault>,
}

impl TagList {
    /// Reads the text of a record.
    pub fn parse(record: &[u8], syntax: Syntax) -> Self {
        let mut list = Self::default();
        let mut names = HashSet::new();
        let mut position = 0;
        let last = record.iter().rposition(|&c| !syntax.is_space(c)).map_or(0, |last| last + 1);
        for (index, part) in record.split(|&c| c == b';').enumerate() {
            let start = position;
            position += part.len() + 1;
            if list.tags.len() == MAX_TAGS {
                list.fault(start, TagFaultKind::TooManyTags);
                break;
            }
            let leading = part.iter().take_while(|&&c| syntax.is_space(c)).count();
            if index == 0 && leading > 0 && syntax != Syntax::Dkim {
                list.fault(0, TagFaultKind::LeadingSpace);
            }
            let part = trim_end(&part[leading..], syntax);
            match part.is_empty() {
                // What follows the last semicolon.
                true if start >= last => {}
                true => list.fault(start, TagFaultKind::EmptyTag),
                false => list.read(part, start + leading, syntax, &mut names),
            }
        }
        list
    }

    fn read<'a>(&mut self, part: &'a [u8], position: usize, syntax: Syntax, names: &mut HashSet<&'a [u8]>) {
        let Some(equals) = part.iter().position(|&c| c == b'=') else {
            return self.fault(position, TagFaultKind::NoEquals);
        };
        let name = trim_end(&part[..equals], syntax);
        let spaces = part[equals + 1..].iter().take_while(|&&c| syntax.is_space(c)).count();
        let (value, value_position) = (&part[equals + 1 + spaces..], position + equals + 1 + spaces);
        if !syntax.is_name(name) {
            return self.fault(position, TagFaultKind::Name);
        }
        if !syntax.space_around_equals() && (name.len() < equals || spaces > 0) {
            self.fault(position + name.len(), TagFaultKind::SpaceAroundEquals);
        }
        if value.is_empty() && syntax != Syntax::Dkim {
            self.fault(value_position, TagFaultKind::EmptyValue);
        }
        if let Some(at) = syntax.wrong_octet(name, value) {
            self.fault(value_position + at, TagFaultKind::ValueOctet(value[at]));
        }
        let name_text = String::from_utf8_lossy(name).into_owned();
        if !names.insert(name) {
            self.fault(position, TagFaultKind::Duplicate(name_text.clone()));
        }
        let value = String::from_utf8_lossy(value).into_owned();
        self.tags.push(Tag { name: name_text, value, position, value_position });
    }

    fn fault(&mut self, position: usize, kind: TagFaultKind) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(TagFault { position, kind });
        }
    }

    /// The first tag of this name.
    pub fn get(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// Whether the first tag is `v` with this value. Both are case-sensitive in all four standards.
    pub fn has_version(&self, version: &str) -> bool {
        self.tags.first().is_some_and(|tag| tag.name == "v" && tag.value == version)
    }

    /// Whether a tag is there more than once.
    pub fn has_duplicates(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.kind, TagFaultKind::Duplicate(_)))
    }
}

fn trim_end(text: &[u8], syntax: Syntax) -> &[u8] {
    let end = text.iter().rposition(|&c| !syntax.is_space(c)).map_or(0, |last| last + 1);
    &text[..end]
}

impl fmt::Display for TagList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tag) in self.tags.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}={}", tag.name, tag.value)?;
        }
        Ok(())
    }
}
