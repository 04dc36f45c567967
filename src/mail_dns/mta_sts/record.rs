//! The TXT record `_mta-sts` (RFC 8461, section 3.1).

use crate::mail_dns::{
    Answer, LookupFailure, Proof, State,
    tag_list::{Syntax, TagFault, TagFaultKind, TagList},
    txt::{self, Texts},
};

const VERSION: &str = "v=STSv1";
const MAX_ID_SIZE: usize = 32;

/// What a domain announces of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether there is a valid record.
    pub state: State,
    /// Why the state is [`State::Inconclusive`].
    pub failure: Option<LookupFailure>,
    /// Whether DNSSEC vouches for the answer.
    pub proof: Proof,
    /// Records that are, or seem to be meant as, MTA-STS records; at most 20, each at most 4,096 octets.
    pub records: Vec<String>,
    /// The version of the policy; there only if the record is valid.
    pub id: Option<String>,
    /// What makes it invalid.
    pub faults: Vec<RecordFault>,
}

/// Why senders act as if there were no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Not exactly one (RFC 8461, section 3.1).
    #[error("{0} records that begin with \"v=STSv1;\" instead of one")]
    Multiple(usize),
    /// Senders discard such a record.
    #[error("a record that does not begin with \"v=STSv1;\": \"{0}\"")]
    Version(String),
    /// The id is required.
    #[error("no tag id")]
    NoId,
    /// An id that is none.
    #[error("the id is not 1 to 32 letters and digits: \"{0}\"")]
    Id(String),
    /// Something that the grammar does not allow.
    #[error("{0}")]
    Tags(TagFault),
}

impl Announcement {
    /// Judges the answer to [`question`](super::question).
    pub fn read(answer: &Answer) -> Self {
        let nothing = Self {
            state: State::Absent,
            failure: None,
            proof: answer.proof,
            records: Vec::new(),
            id: None,
            faults: Vec::new(),
        };
        let texts = match Texts::of(answer) {
            Texts::Absent => return nothing,
            Texts::Unknown(failure) => {
                return Self { state: State::Inconclusive, failure: Some(failure), ..nothing };
            }
            Texts::Found(texts) => texts,
        };
        let exact: Vec<_> = texts.iter().copied().filter(|text| txt::has_version(text, VERSION)).collect();
        let similar: Vec<_> = texts
            .iter()
            .copied()
            .filter(|text| !txt::has_version(text, VERSION) && txt::resembles(text, VERSION))
            .collect();
        let (id, faults) = match (&exact[..], similar.first()) {
            ([record], _) => parse(record),
            ([], None) => return nothing,
            ([], Some(record)) => (None, vec![RecordFault::Version(txt::shorten(&String::from_utf8_lossy(record)))]),
            (records, _) => (None, vec![RecordFault::Multiple(records.len())]),
        };
        Self {
            state: if id.is_some() { State::Ok } else { State::Invalid },
            id,
            faults,
            records: txt::shown(exact.into_iter().chain(similar)),
            ..nothing
        }
    }
}

/// The record to publish for a policy with this id.
pub fn record_text(id: &str) -> String {
    format!("{VERSION}; id={id}")
}

/// The id of a record that has no fault; or its faults.
fn parse(record: &[u8]) -> (Option<String>, Vec<RecordFault>) {
    let list = TagList::parse(record, Syntax::MtaSts);
    let id = list.get("id");
    // What is wrong with the value of the id is named with the id.
    let is_of_id = |fault: &TagFault| {
        id.is_some_and(|id| (id.value_position..=id.value_position + id.value.len()).contains(&fault.position))
    };
    // Of a field that is there twice all but the first are ignored (RFC 8461, section 3.2).
    let is_fatal = |fault: &&TagFault| !matches!(fault.kind, TagFaultKind::Duplicate(_)) && !is_of_id(fault);
    let mut faults: Vec<_> = list.faults.iter().filter(is_fatal).cloned().map(RecordFault::Tags).collect();
    let is_id = |value: &str| {
        (1..=MAX_ID_SIZE).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_alphanumeric())
    };
    let id = match id {
        None => Err(RecordFault::NoId),
        Some(tag) if is_id(&tag.value) => Ok(tag.value.clone()),
        Some(tag) => Err(RecordFault::Id(txt::shorten(&tag.value))),
    };
    match id {
        Ok(id) if faults.is_empty() => (Some(id), faults),
        Ok(_) => (None, faults),
        Err(fault) => {
            faults.push(fault);
            (None, faults)
        }
    }
}
