//! What makes a key record invalid.

use crate::mail_dns::tag_list::TagFault;

/// Something that makes a key record invalid, or its key unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// RFC 6376, section 3.6.2.2.
    #[error("{0} TXT records at the selector instead of one")]
    Multiple(usize),
    /// RFC 6376, section 3.6.2.2: the strings of one record are concatenated, separate records are not.
    #[error("parts of the key are TXT records of their own ({0}) instead of strings of one record")]
    Pieces(usize),
    /// Quotation marks of the zone file have become part of the record.
    #[error("a quotation mark in the record, at octet {0}: the strings were joined wrongly")]
    Quote(usize),
    /// Escapes of the zone file have become part of the record.
    #[error("a backslash in the record, at octet {0}: the zone file's escapes were published")]
    Backslash(usize),
    /// Something that the grammar does not allow (RFC 6376, section 3.2).
    #[error("{0}")]
    Tags(TagFault),
    /// RFC 6376, section 3.6.1.
    #[error("v is not the first tag, but at octet {0}")]
    VersionNotFirst(usize),
    /// Another version: such a record must be discarded (RFC 6376, section 3.6.1).
    #[error("version \"{0}\" instead of \"DKIM1\"")]
    Version(String),
    /// RFC 6376, section 3.6.1, and RFC 8463, section 4.
    #[error("unknown key type \"{0}\"")]
    KeyType(String),
    /// The tag is required.
    #[error("no tag p, which holds the key")]
    NoKey,
    /// By its place in the record.
    #[error("octet {0} is no base64")]
    Base64(usize),
    /// A number of symbols that no octets have.
    #[error("{0} symbols of base64: at least one is missing")]
    Base64Length(usize),
    /// Most often cut after 255 octets, the longest string of a TXT record.
    #[error("the key ends after {found} of {expected} octets (the record has {record} octets)")]
    Truncated {
        /// Octets that the key says it has.
        expected: usize,
        /// Octets that it has.
        found: usize,
        /// Octets of the whole record.
        record: usize,
    },
    /// Another kind of key, or none.
    #[error("the key is no RSA key in DER")]
    NotRsa,
    /// `k=ed25519` is missing.
    #[error("32 octets as an Ed25519 key has, but the key type is rsa")]
    Ed25519AsRsa,
    /// RFC 8463, section 4: the 32 octets alone.
    #[error("the Ed25519 key is in a SubjectPublicKeyInfo; p must hold its 32 octets alone")]
    Ed25519Wrapped,
    /// Neither bare nor wrapped.
    #[error("{0} octets instead of the 32 of an Ed25519 key")]
    Ed25519Length(usize),
    /// RFC 6376, section 3.6.1: h.
    #[error("h names no hash algorithm that is known: \"{0}\"")]
    NoKnownHash(String),
    /// RFC 6376, section 3.6.1: s.
    #[error("s does not allow the key for mail: \"{0}\"")]
    NotForMail(String),
}
