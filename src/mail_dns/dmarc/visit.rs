//! One name of the tree walk, and what is published there.

use std::fmt;

use super::record::{Record, is_record};
use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, lookups::txt_records};

/// Texts that are kept of one name, and octets of each.
const MAX_TEXTS: usize = 16;
const MAX_TEXT: usize = 4096;

/// One name of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Without `_dmarc.`.
    pub domain: String,
    /// What is there.
    pub published: Published,
    /// Text of each DMARC record, at most 16 of 4096 octets each.
    pub texts: Vec<String>,
    /// Records that are no DMARC record but look as if they should be one.
    pub near_misses: Vec<NearMiss>,
    /// Whether DNSSEC vouches for it.
    pub proof: Proof,
    /// The names that the question was led to by CNAME.
    pub aliases: Vec<String>,
}

/// What is published at a name of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// One record.
    Record(Box<Record>),
    /// The name `_dmarc.…` does not exist.
    NoName,
    /// The name exists, and has no DMARC record.
    NoRecord,
    /// So many records: none of them counts (RFC 9989, section 4.10).
    Multiple(usize),
    /// Nothing can be said about it.
    Failed(LookupFailure),
}

/// A TXT record that looks as if it should be a DMARC record. The text is cut after 80 octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearMiss {
    /// White space or a quotation mark before `v=DMARC1`.
    Leading(String),
    /// `v` is there, but is not the first tag.
    NotFirst(String),
    /// `v=dmarc1` and the like.
    Version(String),
    /// No semicolon after `v=DMARC1`.
    NoSemicolon(String),
    /// No `v` at all, but a policy.
    NoVersion(String),
}

impl Visit {
    pub(super) fn read(domain: &str, answer: &Answer) -> Self {
        let mut visit = Self { proof: answer.proof, aliases: answer.aliases.clone(), ..Self::without_name(domain) };
        let records = match answer.records() {
            Ok(records) => records,
            Err(failure) => return Self { published: Published::Failed(failure), ..visit },
        };
        if answer.outcome == Outcome::NoName {
            return visit;
        }
        let (mut count, mut first) = (0, None);
        for octets in txt_records(records) {
            if is_record(octets) {
                count += 1;
                first.get_or_insert(octets);
                if visit.texts.len() < MAX_TEXTS {
                    visit.texts.push(text(octets, MAX_TEXT));
                }
            } else if visit.near_misses.len() < MAX_TEXTS {
                visit.near_misses.extend(NearMiss::of(octets));
            }
        }
        visit.published = match (first, count) {
            (Some(octets), 1) => Published::Record(Box::new(Record::parse(octets))),
            (Some(_), count) => Published::Multiple(count),
            (None, _) => Published::NoRecord,
        };
        visit
    }

    /// A name that is too long to be asked for.
    pub(super) fn without_name(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            published: Published::NoName,
            texts: Vec::new(),
            near_misses: Vec::new(),
            proof: Proof::Indeterminate,
            aliases: Vec::new(),
        }
    }

    /// The name that is asked for.
    pub fn name(&self) -> String {
        format!("_dmarc.{}", self.domain)
    }

    /// The record, where there is exactly one.
    pub fn record(&self) -> Option<&Record> {
        match &self.published {
            Published::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Why nothing can be said about it.
    pub fn failure(&self) -> Option<LookupFailure> {
        match &self.published {
            Published::Failed(failure) => Some(*failure),
            _ => None,
        }
    }
}

impl NearMiss {
    fn of(octets: &[u8]) -> Option<Self> {
        let head = octets[..octets.len().min(80)].to_ascii_lowercase();
        let bare = head.strip_prefix(b"\"").unwrap_or(&head).trim_ascii_start();
        let shown = text(octets, 80);
        let tags: Vec<&[u8]> = bare.split(|&octet| octet == b';').map(<[u8]>::trim_ascii).collect();
        let version =
            |tag: &&[u8]| tag.starts_with(b"v") && tag.get(1..).is_some_and(|it| it.trim_ascii().starts_with(b"="));
        let is_dmarc = bare.windows(5).any(|window| window == b"dmarc");
        let first = tags.first().copied().unwrap_or_default();
        match tags.iter().position(version) {
            Some(0) if !is_dmarc => None,
            Some(0) if is_record(octets.trim_ascii_start()) || bare.len() < head.len() => Some(Self::Leading(shown)),
            Some(0) if has_more(first) => Some(Self::NoSemicolon(shown)),
            Some(0) => Some(Self::Version(shown)),
            Some(_) if is_dmarc => Some(Self::NotFirst(shown)),
            _ if first.starts_with(b"dmarc") => Some(Self::Version(shown)),
            _ if first.starts_with(b"p=") => Some(Self::NoVersion(shown)),
            _ => None,
        }
    }

    /// The record, at most 80 octets of it.
    pub fn text(&self) -> &str {
        match self {
            Self::Leading(text)
            | Self::NotFirst(text)
            | Self::Version(text)
            | Self::NoSemicolon(text)
            | Self::NoVersion(text) => text,
        }
    }
}

/// Whether something follows `v=dmarc1` that is no semicolon.
fn has_more(tag: &[u8]) -> bool {
    let after = tag.windows(6).position(|window| window == b"dmarc1").map(|at| at + 6);
    after.and_then(|after| tag.get(after)).is_some_and(|octet| matches!(octet, b' ' | b',' | b'\t' | b':'))
}

fn text(octets: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&octets[..octets.len().min(max)]).into_owned()
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leading(_) => "something before \"v=DMARC1\"",
            Self::NotFirst(_) => "\"v=DMARC1\" is not the first tag",
            Self::Version(_) => "a version that is not \"v=DMARC1\"",
            Self::NoSemicolon(_) => "no semicolon after \"v=DMARC1\"",
            Self::NoVersion(_) => "no \"v=DMARC1\"",
        })
    }
}
