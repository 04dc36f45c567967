//! Hosts, sessions and answers for the tests of the rules.

use super::{super::tests::Case, SeenHost, found};
use crate::{
    findings::CATALOGUE,
    mail_dns::{
        Answer, Outcome, Proof, RecordData, Verdict,
        mx::{HostAddresses, MailHosts, MxHost},
        tlsa::{DaneReason, DaneView, TlsaOutcome},
    },
    report::{
        Finding, Report, Severity,
        domain::{AddressReport, Views},
    },
};

/// Id, severity and subject of each finding.
pub(super) fn ids(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|it| format!("{} {} {}", it.id, it.severity.name(), it.subject)).collect()
}

/// An answer of an unsigned zone.
pub(super) fn answer(outcome: Outcome) -> Answer {
    Answer { proof: Proof::Indeterminate, aliases: Vec::new(), outcome }
}

/// An answer with TXT records.
pub(super) fn texts(texts: &[&str]) -> Answer {
    let records = texts.iter().map(|text| RecordData::Txt { octets: text.as_bytes().to_vec(), strings: 1 });
    answer(Outcome::Records(records.collect()))
}

/// The MX records of `example.test`.
pub(super) fn mail_hosts(records: &[(u16, &str)]) -> MailHosts {
    let outcome = match records {
        [] => Outcome::NoData,
        records => Outcome::Records(
            records
                .iter()
                .map(|(preference, name)| RecordData::Mx { preference: *preference, exchange: (*name).to_owned() })
                .collect(),
        ),
    };
    MailHosts::read("example.test", &answer(outcome), 10)
}

/// What was seen of a host.
pub(super) struct HostData {
    pub(super) addresses: HostAddresses,
    pub(super) tlsa: TlsaOutcome,
    pub(super) sessions: Vec<AddressReport>,
    pub(super) dane: Vec<DaneView>,
}

impl HostData {
    pub(super) fn new(addresses: &Answer) -> Self {
        Self {
            addresses: HostAddresses::read(std::slice::from_ref(addresses)),
            tlsa: TlsaOutcome::NotAsked,
            sessions: Vec::new(),
            dane: Vec::new(),
        }
    }

    /// A session with `192.0.2.1`, whose report has a finding of this id, if one is given.
    pub(super) fn with_session(self, id: Option<&str>, severity: Severity) -> Self {
        let entry = CATALOGUE.iter().find(|entry| Some(entry.id) == id);
        let finding = entry.map(|entry| Finding { severity, ..found(entry, "mx.test [192.0.2.1]", "It is so.") });
        let report = Report { findings: finding.into_iter().collect(), ..Case::new().report() };
        self.with_report(report, DaneReason::NoRecords)
    }

    pub(super) fn with_report(mut self, report: Report, reason: DaneReason) -> Self {
        self.sessions.push(AddressReport {
            address: [192, 0, 2, 1].into(),
            report: Some(Box::new(report)),
            refusal: None,
            views: Views::all(Verdict::Ok),
        });
        self.dane.push(DaneView { verdict: reason.verdict(), reason, is_weak: false });
        self
    }

    pub(super) fn seen<'a>(&'a self, host: &'a MxHost) -> SeenHost<'a> {
        let Self { addresses, tlsa, sessions, dane } = self;
        SeenHost { host, is_host_name: true, addresses, tlsa, sessions, dane }
    }
}
