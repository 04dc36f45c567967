//! TLS-RPT (RFC 8460, section 3): where reports about TLS go.

mod endpoint;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, EndpointFault};

use crate::mail_dns::{
    Answer, LookupFailure, Proof, Question, RecordKind, State,
    tag_list::{Syntax, TagFault, TagFaultKind, TagList},
    txt::{self, Texts, shorten},
};

const VERSION: &str = "v=TLSRPTv1";
/// Endpoints, and faults of them, that are kept of one record.
const MAX_ENDPOINTS: usize = 32;

/// What a domain publishes of TLS-RPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRpt {
    /// Whether there is a valid record.
    pub state: State,
    /// Why the state is [`State::Inconclusive`].
    pub failure: Option<LookupFailure>,
    /// Whether DNSSEC vouches for the answer.
    pub proof: Proof,
    /// Records that are, or seem to be meant as, TLS-RPT records; at most 20, each at most 4,096 octets.
    pub records: Vec<String>,
    /// The valid ones, at most 32.
    pub endpoints: Vec<Endpoint>,
    /// What makes it invalid.
    pub faults: Vec<Fault>,
}

/// What makes a record invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not exactly one.
    #[error("{0} records that begin with \"v=TLSRPTv1;\" instead of one")]
    Multiple(usize),
    /// Senders discard such a record.
    #[error("a record that does not begin with \"v=TLSRPTv1;\": \"{0}\"")]
    Version(String),
    /// An endpoint is required.
    #[error("no tag rua")]
    NoRua,
    /// A URI of `rua` to which no report can go.
    #[error("rua \"{text}\": {fault}")]
    Endpoint {
        /// The URI, shortened.
        text: String,
        /// Why it is no endpoint.
        fault: EndpointFault,
    },
    /// Something that the grammar does not allow.
    #[error("{0}")]
    Tags(TagFault),
}

/// The question for the TXT record (RFC 8460, section 3).
pub fn question(domain: &str) -> Question {
    Question::new(&format!("_smtp._tls.{domain}"), RecordKind::Txt)
}

impl TlsRpt {
    /// Judges the answer to [`question`].
    pub fn read(answer: &Answer) -> Self {
        let nothing = Self {
            state: State::Absent,
            failure: None,
            proof: answer.proof,
            records: Vec::new(),
            endpoints: Vec::new(),
            faults: Vec::new(),
        };
        let texts = match Texts::of(answer) {
            Texts::Absent => return nothing,
            Texts::Unknown(failure) => {
                return Self { state: State::Inconclusive, failure: Some(failure), ..nothing };
            }
            Texts::Found(texts) => texts,
        };
        let (exact, others): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| txt::has_version(text, VERSION));
        let similar: Vec<_> = others.into_iter().filter(|text| txt::resembles(text, VERSION)).collect();
        let (endpoints, faults) = match (&exact[..], similar.first()) {
            ([record], _) => parse(record),
            ([], None) => return nothing,
            ([], Some(record)) => (Vec::new(), vec![Fault::Version(shorten(&String::from_utf8_lossy(record)))]),
            (records, _) => (Vec::new(), vec![Fault::Multiple(records.len())]),
        };
        Self {
            state: if faults.is_empty() { State::Ok } else { State::Invalid },
            records: txt::shown(exact.into_iter().chain(similar)),
            endpoints,
            faults,
            ..nothing
        }
    }
}

/// The record to publish for these endpoints.
pub fn record_text(endpoints: &[Endpoint]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!("{VERSION}; rua={}", endpoints.join(","))
}

/// The endpoints of a record, and its faults.
fn parse(record: &[u8]) -> (Vec<Endpoint>, Vec<Fault>) {
    let list = TagList::parse(record, Syntax::TlsRpt);
    // More than one `rua` is in the grammar, and other fields are ignored.
    let is_fatal = |fault: &&TagFault| !matches!(fault.kind, TagFaultKind::Duplicate(_));
    let mut faults: Vec<_> = list.faults.iter().filter(is_fatal).cloned().map(Fault::Tags).collect();
    let rua = || list.tags.iter().filter(|tag| tag.name == "rua");
    if rua().next().is_none() {
        faults.push(Fault::NoRua);
    }
    let mut endpoints = Vec::new();
    let texts = rua().filter(|tag| !tag.value.is_empty()).flat_map(|tag| tag.value.split(','));
    for text in texts.map(str::trim_ascii).take(MAX_ENDPOINTS) {
        match text.parse() {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(fault) => faults.push(Fault::Endpoint { text: shorten(text), fault }),
        }
    }
    (endpoints, faults)
}
