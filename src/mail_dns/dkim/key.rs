//! [`KeyRecord`]: the text of one key record (RFC 6376, section 3.6.1).

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Fault, PublicKey};
use crate::mail_dns::{
    tag_list::{Syntax, Tag, TagList},
    txt::shorten,
};

/// The grammar of RFC 6376, section 2.10, has the padding optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Smallest RSA key that verifiers accept (RFC 8301, section 3.2).
const MIN_RSA_BITS: usize = 1024;
/// Smallest RSA key that signers should use (RFC 8301, section 3.2).
const GOOD_RSA_BITS: usize = 2048;

/// A key and how it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The tag `k`.
    pub key_type: KeyType,
    /// What `p` holds.
    pub public_key: PublicKey,
    /// The octets of the key, as published; empty if it is revoked.
    pub octets: Vec<u8>,
    /// The tag `h`.
    pub hashes: Hashes,
    /// `t=y`: receivers are to treat mail as if it were not signed.
    pub is_testing: bool,
    /// `t=s`: the signature's `i` must not name a subdomain.
    pub is_strict: bool,
}

/// Kinds of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RFC 6376, section 3.6.1.
    Rsa,
    /// RFC 8463, section 4.
    Ed25519,
}

/// Hash algorithms that signatures may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes {
    /// There is no `h`: all of them.
    Any,
    /// Only these, of those that are known.
    Named {
        /// SHA-1, which nobody accepts any more.
        sha1: bool,
        /// SHA-256.
        sha256: bool,
    },
}

/// Why receivers do not, or may not, accept signatures of a valid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Verifiers must not accept it (RFC 8301, section 3.2).
    #[error("RSA key of {0} bits; below 1,024 no receiver accepts its signatures")]
    TooShort(usize),
    /// Signers should use 2,048 bits (RFC 8301, section 3.2).
    #[error("RSA key of {0} bits; 2,048 are advised")]
    Short(usize),
    /// RFC 8301, section 3.1.
    #[error("only SHA-1 is allowed, which no receiver accepts")]
    Sha1Only,
}

impl KeyRecord {
    /// Reads a record. There is a key only if it can be read; there may be faults beside it.
    pub fn parse(record: &[u8]) -> (Option<Self>, Vec<Fault>) {
        // What is quoted or escaped cannot be read as a list of tags: each tag would have a fault of its own.
        let wrong = [(b'"', Fault::Quote as fn(usize) -> Fault), (b'\\', Fault::Backslash)];
        for (octet, fault) in wrong {
            if let Some(at) = record.iter().position(|&c| c == octet).filter(|_| !has_notes(record)) {
                return (None, vec![fault(at)]);
            }
        }
        let list = TagList::parse(record, Syntax::Dkim);
        let mut faults: Vec<_> = list.faults.iter().cloned().map(Fault::Tags).collect();
        if let Some(fault) = version_fault(&list) {
            faults.push(fault);
        }
        let key_type = read_key_type(&list).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let hashes = read_hashes(&list).unwrap_or_else(|fault| {
            faults.push(fault);
            Hashes::Named { sha1: false, sha256: false }
        });
        let services = list.get("s").filter(|tag| !items(tag).any(|item| matches!(item, "*" | "email")));
        faults.extend(services.map(|tag| Fault::NotForMail(shorten(&tag.value))));
        let read = read_octets(&list).and_then(|octets| match key_type {
            Some(kind) => PublicKey::read(&octets, kind, record.len()).map(|key| Some((kind, key, octets))),
            None => Ok(None),
        });
        let key = read.unwrap_or_else(|fault| {
            // What is left of a key whose end is missing says more than the number of its symbols.
            faults.push(truncation(&list, key_type, record.len()).unwrap_or(fault));
            None
        });
        let has_flag = |flag| list.get("t").is_some_and(|tag| items(tag).any(|item| item == flag));
        let record = key.map(|(key_type, public_key, octets)| Self {
            key_type,
            public_key,
            octets,
            hashes,
            is_testing: has_flag("y"),
            is_strict: has_flag("s"),
        });
        (record, faults)
    }

    /// Why signatures by this key do not count, or may not.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let size = match self.public_key {
            PublicKey::Rsa { bits } if bits < MIN_RSA_BITS => Some(Weakness::TooShort(bits)),
            PublicKey::Rsa { bits } if bits < GOOD_RSA_BITS => Some(Weakness::Short(bits)),
            _ => None,
        };
        let is_sha1_only = self.hashes == Hashes::Named { sha1: true, sha256: false };
        size.into_iter().chain(is_sha1_only.then_some(Weakness::Sha1Only)).collect()
    }
}

impl fmt::Display for KeyRecord {
    /// The record to publish.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.key_type {
            KeyType::Rsa => "rsa",
            KeyType::Ed25519 => "ed25519",
        };
        write!(f, "v=DKIM1; k={kind}")?;
        match self.hashes {
            Hashes::Any => {}
            Hashes::Named { sha1: true, sha256: true } => f.write_str("; h=sha1:sha256")?,
            Hashes::Named { sha1: true, .. } => f.write_str("; h=sha1")?,
            Hashes::Named { .. } => f.write_str("; h=sha256")?,
        }
        match (self.is_testing, self.is_strict) {
            (false, false) => {}
            (true, false) => f.write_str("; t=y")?,
            (false, true) => f.write_str("; t=s")?,
            (true, true) => f.write_str("; t=y:s")?,
        }
        write!(f, "; p={}", base64::engine::general_purpose::STANDARD.encode(&self.octets))
    }
}

/// Whether the record has notes for people, which may hold any mark (RFC 6376, section 3.6.1: n).
fn has_notes(record: &[u8]) -> bool {
    TagList::parse(record, Syntax::Dkim).get("n").is_some_and(|tag| tag.value.contains(['"', '\\']))
}

fn version_fault(list: &TagList) -> Option<Fault> {
    let version = list.get("v")?;
    match list.tags.first() {
        Some(first) if first != version => Some(Fault::VersionNotFirst(version.position)),
        _ if version.value != "DKIM1" => Some(Fault::Version(shorten(&version.value))),
        _ => None,
    }
}

fn read_key_type(list: &TagList) -> Result<Option<KeyType>, Fault> {
    match list.get("k") {
        None => Ok(Some(KeyType::Rsa)),
        Some(tag) if tag.value == "rsa" => Ok(Some(KeyType::Rsa)),
        Some(tag) if tag.value == "ed25519" => Ok(Some(KeyType::Ed25519)),
        Some(tag) => Err(Fault::KeyType(shorten(&tag.value))),
    }
}

fn read_hashes(list: &TagList) -> Result<Hashes, Fault> {
    let Some(tag) = list.get("h") else { return Ok(Hashes::Any) };
    let has = |name| items(tag).any(|item| item == name);
    match (has("sha1"), has("sha256")) {
        (false, false) => Err(Fault::NoKnownHash(shorten(&tag.value))),
        (sha1, sha256) => Ok(Hashes::Named { sha1, sha256 }),
    }
}

/// The parts of a value with colons between them.
fn items(tag: &Tag) -> impl Iterator<Item = &str> {
    tag.value.split(':').map(str::trim_ascii)
}

/// The decoded value of `p`.
fn read_octets(list: &TagList) -> Result<Vec<u8>, Fault> {
    let tag = list.get("p").ok_or(Fault::NoKey)?;
    let is_symbol = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    let end = tag.value.bytes().rposition(is_symbol).map_or(0, |last| last + 1);
    // Padding is at the end only.
    let is_wrong =
        |(at, octet): (usize, u8)| !is_symbol(octet) && !octet.is_ascii_whitespace() && (octet != b'=' || at < end);
    if let Some(at) = tag.value.bytes().enumerate().position(is_wrong) {
        return Err(Fault::Base64(tag.value_position + at));
    }
    let symbols = symbols(tag);
    BASE64.decode(&symbols).map_err(|_| Fault::Base64Length(symbols.len()))
}

fn symbols(tag: &Tag) -> Vec<u8> {
    tag.value.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect()
}

/// The key is cut off, if its own length says so.
fn truncation(list: &TagList, kind: Option<KeyType>, record: usize) -> Option<Fault> {
    let symbols = symbols(list.get("p")?);
    let octets = BASE64.decode(&symbols[..symbols.len() - symbols.len() % 4]).ok()?;
    match PublicKey::read(&octets, kind?, record) {
        Err(fault @ Fault::Truncated { .. }) => Some(fault),
        _ => None,
    }
}
