//! A zone for tests of walks: records as lines of text.

use std::collections::{HashMap, HashSet};

use crate::mail_dns::{
    Answer, LookupFailure, Outcome, Proof, Question, RecordData, RecordKind,
    lookups::{Answers, Step},
};

/// Records of lines such as `example.com TXT v=spf1 -all`, `example.com MX 10 mx.example.com`. With the type
/// `SERVFAIL`, all questions for the name fail; with `BOGUS`, the answer is bogus.
#[derive(Default)]
pub(crate) struct Zone {
    records: HashMap<Question, Vec<RecordData>>,
    names: HashSet<String>,
    failing: HashSet<String>,
    bogus: HashSet<String>,
    /// Questions that were asked, in their order.
    pub(crate) asked: Vec<Question>,
}

impl Zone {
    pub(crate) fn new(lines: &str) -> Self {
        let mut zone = Self::default();
        for line in lines.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(3, ' ');
            let (name, kind, data) = (fields.next(), fields.next(), fields.next().unwrap_or_default());
            zone.add(name.unwrap_or_default(), kind.unwrap_or_default(), data);
        }
        zone
    }

    fn add(&mut self, name: &str, kind: &str, data: &str) {
        self.names.insert(name.to_owned());
        let (kind, record) = match kind {
            "A" => (RecordKind::A, RecordData::Address(data.parse().expect("an address"))),
            "AAAA" => (RecordKind::Aaaa, RecordData::Address(data.parse().expect("an address"))),
            "PTR" => (RecordKind::Ptr, RecordData::Ptr(data.to_owned())),
            "MX" => {
                let (preference, exchange) = data.split_once(' ').expect("two fields");
                let preference = preference.parse().expect("a number");
                (RecordKind::Mx, RecordData::Mx { preference, exchange: exchange.to_owned() })
            }
            "TXT" => (RecordKind::Txt, RecordData::Txt { octets: data.into(), strings: 1 }),
            // The name exists, at least.
            flag => {
                let names = if flag == "SERVFAIL" { Some(&mut self.failing) } else { None };
                let names = if flag == "BOGUS" { Some(&mut self.bogus) } else { names };
                names.into_iter().for_each(|names| _ = names.insert(name.to_owned()));
                return;
            }
        };
        self.records.entry(Question::new(name, kind)).or_default().push(record);
    }

    pub(crate) fn answer(&mut self, question: &Question) -> Answer {
        assert!(!self.asked.contains(question), "asked twice: {question:?}");
        self.asked.push(question.clone());
        let outcome = match self.records.get(question) {
            _ if self.failing.contains(&question.name) => Outcome::Failed(LookupFailure::ServFail),
            Some(records) => Outcome::Records(records.clone()),
            None if self.names.contains(&question.name) => Outcome::NoData,
            None => Outcome::NoName,
        };
        let proof = if self.bogus.contains(&question.name) { Proof::Bogus } else { Proof::Insecure };
        Answer { proof, aliases: Vec::new(), outcome }
    }

    /// Goes through a walk with answers one after the other, as they may come in.
    pub(crate) fn run<T>(&mut self, mut step: impl FnMut(&Answers) -> Step<T>) -> T {
        let mut answers = Answers::default();
        loop {
            match step(&answers) {
                Step::Done(value) => return value,
                Step::Ask(questions) => {
                    let question = questions.into_iter().next().expect("at least one question");
                    let answer = self.answer(&question);
                    answers.insert(question, answer);
                }
            }
        }
    }
}
