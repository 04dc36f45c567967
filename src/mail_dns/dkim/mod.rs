//! DKIM keys of given selectors (RFC 6376, section 3.6; RFC 8301; RFC 8463).
//!
//! [`Selector::read`] judges the answer for one selector, [`KeyRecord::parse`] the text of one record.

mod fault;
mod key;
mod public_key;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use key::{Hashes, KeyRecord, KeyType, Weakness};
pub use public_key::PublicKey;

use crate::mail_dns::{
    Answer, LookupFailure, Proof, Question, RecordKind, State,
    tag_list::{Syntax, TagList},
    txt::{self, Texts},
};

/// What is published for one selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// [`State::Ok`] also for a key that is revoked, testing or weak: see [`KeyRecord`].
    pub state: State,
    /// Why the state is [`State::Inconclusive`].
    pub failure: Option<LookupFailure>,
    /// Whether DNSSEC vouches for the answer.
    pub proof: Proof,
    /// As they are published, at most 20, each at most 4,096 octets.
    pub records: Vec<String>,
    /// The first key that can be read, even if there are faults beside it.
    pub key: Option<KeyRecord>,
    /// What makes the record invalid.
    pub faults: Vec<Fault>,
}

/// The question for the key of a selector (RFC 6376, section 3.6.2.1).
pub fn question(selector: &str, domain: &str) -> Question {
    Question::new(&format!("{selector}._domainkey.{domain}"), RecordKind::Txt)
}

/// The question whether there may be selectors at all: a name that does not exist has none below it (RFC 8020).
pub fn question_for_any(domain: &str) -> Question {
    Question::new(&format!("_domainkey.{domain}"), RecordKind::Txt)
}

impl Selector {
    /// Judges the answer to [`question`].
    pub fn read(answer: &Answer) -> Self {
        let nothing = Self {
            state: State::Absent,
            failure: None,
            proof: answer.proof,
            records: Vec::new(),
            key: None,
            faults: Vec::new(),
        };
        match Texts::of(answer) {
            Texts::Absent => nothing,
            Texts::Unknown(failure) => Self { state: State::Inconclusive, failure: Some(failure), ..nothing },
            Texts::Found(texts) => {
                let records = txt::shown(texts.iter().copied());
                let (state, key, faults) = judge(&texts);
                Self { state, key, faults, records, ..nothing }
            }
        }
    }
}

fn judge(texts: &[&[u8]]) -> (State, Option<KeyRecord>, Vec<Fault>) {
    // Other records come from wildcards, as `*.example.com. TXT "v=spf1 -all"`.
    let mut keys = texts.iter().filter(|text| resembles_key(text));
    let Some(first) = keys.next() else { return (State::Absent, None, Vec::new()) };
    let (key, mut faults) = KeyRecord::parse(first);
    let pieces = texts.iter().filter(|text| is_piece(text)).count();
    if pieces > 0 {
        faults.insert(0, Fault::Pieces(pieces));
    } else if texts.len() > 1 {
        faults.insert(0, Fault::Multiple(texts.len()));
    }
    let key = key.or_else(|| keys.take(MAX_KEYS).find_map(|text| KeyRecord::parse(text).0));
    (if faults.is_empty() { State::Ok } else { State::Invalid }, key, faults)
}

/// Records that are read for a key, if the first has none. More than one is a fault in any case.
const MAX_KEYS: usize = 8;

/// Whether a record is meant as a key: it begins with DKIM's version, or has a tag `p`.
fn resembles_key(text: &[u8]) -> bool {
    if txt::resembles(text, "v=DKIM1") {
        return true;
    }
    let list = TagList::parse(text, Syntax::Dkim);
    list.get("p").is_some() && list.tags.first().is_some_and(|tag| tag.name != "v")
}

/// Whether a record is nothing but the end of a key: what should have been one record with several strings.
fn is_piece(text: &[u8]) -> bool {
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=' | b' ' | b'\t');
    const MIN_SIZE: usize = 16;
    text.len() >= MIN_SIZE && text.iter().all(is_base64) && !resembles_key(text)
}

/// Whether some selectors have Ed25519 keys and none has an RSA key: receivers that know RSA only cannot verify
/// (RFC 8463, section 2, only adds the algorithm).
pub fn is_ed25519_only<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> bool {
    let mut has_ed25519 = false;
    for key in selectors.into_iter().filter(|selector| selector.state == State::Ok).flat_map(|selector| &selector.key) {
        match key.public_key {
            PublicKey::Rsa { .. } => return false,
            PublicKey::Ed25519 => has_ed25519 = true,
            PublicKey::Revoked => {}
        }
    }
    has_ed25519
}
