//! TLSA records of mail servers: DANE for SMTP (RFC 6698, RFC 7671, RFC 7672).
//!
//! In the order in which a sender goes:
//! - [`search()`]: which name to ask for TLSA records, and what came of it.
//! - [`TlsaRecord`]: one record, and whether it is usable.
//! - [`Matching`]: the records against the certificates that a server presented.
//! - [`judge`]: the verdict on one address, by the table of RFC 7672.
//! - [`advice`]: what works today and may fail tomorrow; the record to publish.
//!
//! Signatures, dates and names are not looked at: where a path to a trust anchor is needed, [`Matching::anchors`] says
//! to which one.

pub mod advice;
mod decision;
mod digest;
mod matching;
mod record;
mod search;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use decision::{DaneReason, DaneView, Shown, judge};
pub use matching::{Anchor, Matched, Matching, Peer, RecordMatch};
pub use record::{MatchingType, ParseError, Selector, TlsaRecord, Unusable, Usage};
pub use search::{TlsaOutcome, base_names, question, reference_names, search};
