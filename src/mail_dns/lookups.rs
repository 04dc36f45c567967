//! Lookups without I/O: a walk says which questions it wants next, and takes the answers that are known so far.
//!
//! A caller asks the questions side by side, puts each answer into the [`Answers`], and calls the walk again. All
//! walks of a domain share the same answers, so that no question is asked twice.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, Question, RecordData, RecordKind};

/// The answers that are known so far.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<Question, Answer>);

impl Answers {
    /// Adds what came of a question.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// What came of a question, where it is known.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }
}

/// How far a walk has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Answers to these are needed; at least one. They may be asked side by side, and some may be under way already.
    Ask(Vec<Question>),
    /// No further answer is needed.
    Done(T),
}

impl Question {
    /// A question for a name in any case, with or without the last dot.
    pub fn new(name: &str, kind: RecordKind) -> Self {
        Self { name: name.trim_end_matches('.').to_ascii_lowercase(), kind }
    }
}

impl Answer {
    /// The records, empty where there are none.
    ///
    /// # Errors
    ///
    /// Nothing can be said about the records. Bogus ones are no records: a validating resolver gives SERVFAIL for them
    /// (RFC 4035, section 5.5).
    pub fn records(&self) -> Result<&[RecordData], LookupFailure> {
        match &self.outcome {
            Outcome::Failed(failure) => Err(*failure),
            _ if self.proof == Proof::Bogus => Err(LookupFailure::BogusOrLame),
            Outcome::Records(records) => Ok(records),
            Outcome::NoName | Outcome::NoData => Ok(&[]),
        }
    }
}

/// Answers, and which ones were missing while a walk went through them.
#[derive(Debug)]
pub(crate) struct Lookup<'a> {
    answers: &'a Answers,
    missing: Vec<Question>,
    seen: HashSet<Question>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(answers: &'a Answers) -> Self {
        Self { answers, missing: Vec::new(), seen: HashSet::new() }
    }

    /// The answer, or `None`: then the question is noted.
    pub(crate) fn get(&mut self, name: &str, kind: RecordKind) -> Option<&'a Answer> {
        let question = Question::new(name, kind);
        let answer = self.answers.get(&question);
        if answer.is_none() && self.seen.insert(question.clone()) {
            self.missing.push(question);
        }
        answer
    }

    pub(crate) fn missing(self) -> Vec<Question> {
        self.missing
    }
}

/// The TXT records of an answer.
pub(crate) fn txt_records(records: &[RecordData]) -> impl Iterator<Item = &[u8]> {
    records.iter().filter_map(|record| match record {
        RecordData::Txt { octets, .. } => Some(octets.as_slice()),
        _ => None,
    })
}

/// The addresses of an answer.
pub(crate) fn addresses(records: &[RecordData]) -> impl Iterator<Item = IpAddr> {
    records.iter().filter_map(|record| match record {
        RecordData::Address(address) => Some(*address),
        _ => None,
    })
}

/// Whether a text can be asked for in the DNS: labels of 1 to 63 octets, at most 253 in all (RFC 1035, section 2.3.4),
/// of ASCII characters. One dot at the end is allowed, and so are underscores and spaces: a macro may bring them. Such
/// a name is to be built of its labels, not to be parsed: only backslashes are left out.
pub(crate) fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'\\')
        })
}

/// Whether a name is the other one, or below it.
pub(crate) fn is_within(name: &str, parent: &str) -> bool {
    let (name, parent) = (name.trim_end_matches('.'), parent.trim_end_matches('.'));
    name.len() >= parent.len()
        && name.is_char_boundary(name.len() - parent.len())
        && name[name.len() - parent.len()..].eq_ignore_ascii_case(parent)
        && (name.len() == parent.len() || name.as_bytes()[name.len() - parent.len() - 1] == b'.')
}

/// The name whose PTR records name an address (RFC 1035, section 3.5; RFC 3596, section 2.5).
pub fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_domain_name, is_within, reverse_name};
    use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, RecordData};

    #[test]
    fn a_name_is_within_itself_and_its_parents() {
        let cases = [
            ("example.com", "example.com", true),
            ("Mail.Example.com.", "example.com", true),
            ("myexample.com", "example.com", false),
            ("com", "example.com", false),
            ("a\u{e9}ple.com", "ple.com", false),
        ];
        for (name, parent, expected) in cases {
            assert_eq!(is_within(name, parent), expected, "{name} in {parent}");
        }
    }

    #[test]
    fn labels_and_names_have_a_longest() {
        let label = "a".repeat(63);
        let name = [label.as_str(); 4].join(".");
        assert!(is_domain_name("example.com") && is_domain_name("example.com.") && is_domain_name(&label));
        assert!(is_domain_name(&name[..253]) && !is_domain_name(&name[..254]));
        for name in ["", ".", "a..b", ".a", "a\\b", "a\tb", "\u{e9}", &"a".repeat(64)] {
            assert!(!is_domain_name(name), "{name}");
        }
    }

    #[test]
    fn addresses_are_reversed() {
        let name = |ip: &str| reverse_name(ip.parse().expect("an address"));
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            name("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn a_failure_is_not_an_absence() {
        let answer = |proof, outcome| Answer { proof, aliases: Vec::new(), outcome };
        let record = RecordData::Ptr("example.com".to_owned());
        let records = Outcome::Records(vec![record]);
        assert_eq!(answer(Proof::Insecure, records.clone()).records().map(<[_]>::len), Ok(1));
        assert_eq!(answer(Proof::Bogus, records).records(), Err(LookupFailure::BogusOrLame));
        assert_eq!(answer(Proof::Insecure, Outcome::NoName).records().map(<[_]>::len), Ok(0));
        assert_eq!(answer(Proof::Insecure, Outcome::NoData).records().map(<[_]>::len), Ok(0));
        let failed = Outcome::Failed(LookupFailure::TimedOut);
        assert_eq!(answer(Proof::Secure, failed).records(), Err(LookupFailure::TimedOut));
    }
}
