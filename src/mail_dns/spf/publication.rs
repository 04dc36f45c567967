//! What a name publishes about SPF: which of its TXT records is the one that counts (RFC 7208, section 4.5).

use std::{fmt, sync::Arc};

use super::record::{Record, is_record};
use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, lookups::txt_records};

/// Texts that are kept of one name, and octets of each.
const MAX_TEXTS: usize = 16;
const MAX_TEXT: usize = 4096;

/// The SPF records of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The name, without the last dot.
    pub name: String,
    /// What is there.
    pub published: Published,
    /// Text of each SPF record, at most 16 of 4096 octets each.
    pub texts: Vec<String>,
    /// Records that are no SPF record but look as if they should be one.
    pub near_misses: Vec<NearMiss>,
    /// Length of the name and of all TXT records. Up to 450 fit into an answer over UDP (RFC 7208, section 3.4).
    pub octets: usize,
    /// Whether DNSSEC vouches for it.
    pub proof: Proof,
    /// The names that the question was led to by CNAME.
    pub aliases: Vec<String>,
}

/// What is published at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// One record.
    Record(Arc<Record>),
    /// The name does not exist.
    NoName,
    /// The name exists, and has no SPF record.
    NoRecord {
        /// It has no TXT record at all.
        is_void: bool,
    },
    /// More than one record: a permerror (RFC 7208, section 4.5).
    Multiple(usize),
    /// Nothing can be said about it.
    Failed(LookupFailure),
}

/// A TXT record that looks as if it should be an SPF record. The text is cut after 80 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearMiss {
    /// `v=spf1` after white space or quotation marks.
    Leading(String),
    /// Another octet than a space after `v=spf1`.
    NoSpace(String),
    /// `spf1`, `v=spf2` and the like.
    Version(String),
    /// A record of Sender ID (RFC 4406), which is not SPF.
    SenderId(String),
}

impl Publication {
    pub(crate) fn read(name: &str, answer: &Answer) -> Self {
        let mut publication = Self {
            name: name.to_owned(),
            published: Published::NoName,
            texts: Vec::new(),
            near_misses: Vec::new(),
            octets: name.len(),
            proof: answer.proof,
            aliases: answer.aliases.clone(),
        };
        let records = match answer.records() {
            Ok(records) => records,
            Err(failure) => return Self { published: Published::Failed(failure), ..publication },
        };
        if answer.outcome == Outcome::NoName {
            return publication;
        }
        let (mut count, mut first) = (0, None);
        for octets in txt_records(records) {
            publication.octets += octets.len();
            if is_record(octets) {
                count += 1;
                first.get_or_insert(octets);
                if publication.texts.len() < MAX_TEXTS {
                    publication.texts.push(text(octets, MAX_TEXT));
                }
            } else if publication.near_misses.len() < MAX_TEXTS {
                publication.near_misses.extend(NearMiss::of(octets));
            }
        }
        publication.published = match (first, count) {
            (Some(octets), 1) => Published::Record(Arc::new(Record::parse(octets))),
            (Some(_), count) => Published::Multiple(count),
            (None, _) => Published::NoRecord { is_void: records.is_empty() },
        };
        publication
    }

    /// The record, where there is exactly one.
    pub fn record(&self) -> Option<&Record> {
        match &self.published {
            Published::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Whether it is a void lookup (RFC 7208, section 4.6.4).
    pub fn is_void(&self) -> bool {
        matches!(self.published, Published::NoName | Published::NoRecord { is_void: true })
    }
}

impl NearMiss {
    fn of(octets: &[u8]) -> Option<Self> {
        let head = octets[..octets.len().min(80)].to_ascii_lowercase();
        let trimmed = head.trim_ascii_start();
        let bare = match trimmed {
            [b'"' | b'\'' | b'`', rest @ ..] => rest,
            [0xe2, 0x80, 0x9c | 0x9d, rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            rest => rest,
        };
        let text = text(octets, 80);
        if bare.starts_with(b"v=spf1") {
            return Some(if bare.len() < head.len() { Self::Leading(text) } else { Self::NoSpace(text) });
        }
        if bare.starts_with(b"spf2.") {
            return Some(Self::SenderId(text));
        }
        let is_version = [b"v=spf".as_slice(), b"v= spf", b"v =spf", b"v:spf", b"spf1 ", b"spf=", b"v=sfp1", b"v-spf1"];
        is_version.iter().any(|version| bare.starts_with(version)).then_some(Self::Version(text))
    }

    /// The record, at most 80 characters of it.
    pub fn text(&self) -> &str {
        match self {
            Self::Leading(text) | Self::NoSpace(text) | Self::Version(text) | Self::SenderId(text) => text,
        }
    }
}

fn text(octets: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&octets[..octets.len().min(max)]).into_owned()
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leading(_) => "something before \"v=spf1\"",
            Self::NoSpace(_) => "no space after \"v=spf1\"",
            Self::Version(_) => "a version that is not \"v=spf1\"",
            Self::SenderId(_) => "a record of Sender ID, which is not SPF",
        })
    }
}
