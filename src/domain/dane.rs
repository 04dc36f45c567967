//! DANE for one mail exchanger: its TLSA records, and what each of its addresses showed (RFC 7672).

use super::{lookups::Lookups, views::has_no_start_tls};
use crate::{
    clock,
    findings::catalogue,
    mail_dns::{
        Proof, State, Verdict,
        mx::HostAddresses,
        tlsa::{self, DaneView, Matching, Peer, Shown, TlsaOutcome, TlsaRecord},
    },
    report::{FailureKind, Report, Severity, domain::TlsaReport},
    tls::{
        TlsClient,
        dane::{DanePath, path_to},
    },
    x509::problem::CertificateErrorKind,
};

/// Searches for the TLSA records of a host.
pub(super) async fn search(host: &str, port: u16, addresses: &HostAddresses, lookups: &Lookups) -> TlsaOutcome {
    let bases = tlsa::base_names(host, addresses);
    lookups.walk(|answers| tlsa::search(&bases, port, answers)).await
}

/// What DANE makes of the addresses of a host.
#[derive(Debug)]
pub(super) struct DaneJudge<'a> {
    pub(super) domain: &'a str,
    pub(super) mx: Proof,
    pub(super) addresses: Proof,
    pub(super) tlsa: &'a TlsaOutcome,
    pub(super) tls: &'a TlsClient,
}

impl DaneJudge<'_> {
    /// The verdict on one address, and which records match what it showed.
    pub(super) fn judge(&self, report: Option<&Report>) -> (DaneView, Vec<usize>) {
        let chain = report.map_or(&[][..], |report| &report.facts.presented);
        let records = records(self.tlsa);
        let matching = Matching::new(records, chain);
        let shown = report.map_or(Shown::Nothing, |report| self.shown(report, &matching, records));
        let view = tlsa::judge(self.mx, self.addresses, self.tlsa, &matching, shown);
        (view, matching.matched())
    }

    fn shown(&self, report: &Report, matching: &Matching, records: &[TlsaRecord]) -> Shown {
        let severity_of = |id: &str| report.findings.iter().find(|finding| finding.id == id).map(|it| it.severity);
        let Some(tls) = report.tls.as_ref().filter(|tls| tls.cipher.is_some()) else {
            let is_refused = report.failure.as_ref().is_some_and(|it| it.kind == FailureKind::Rejected);
            return match severity_of(catalogue::tls::FAILED.id) {
                _ if has_no_start_tls(report) => Shown::NoTls,
                Some(Severity::Error) if is_refused => Shown::NoTls,
                Some(Severity::Error) => Shown::BrokenTls,
                _ => Shown::Nothing,
            };
        };
        if tls.errors.contains(&CertificateErrorKind::UnprovenKey) {
            return Shown::BrokenTls;
        }
        let TlsaOutcome::Records { base, .. } = self.tlsa else { return Shown::Tls(Peer::Mismatch) };
        let names = tlsa::reference_names(base, self.domain, None, self.mx);
        let now = u64::try_from(clock::now().unix_timestamp()).unwrap_or_default();
        let mut is_judged = clock::is_in_range();
        let peer = matching.peer(records, |anchor| {
            let path = path_to(&report.facts.presented, anchor, &names, now, self.tls.algorithms());
            is_judged &= path != DanePath::NotJudged;
            path == DanePath::Verified
        });
        // A limit of this program says nothing about the server.
        if peer == Peer::PathInvalid && !is_judged { Shown::Nothing } else { Shown::Tls(peer) }
    }
}

/// A server that a sender trusts by DANE still has to take the mail.
pub(super) fn with_delivery(dane: Verdict, opportunistic: Verdict) -> Verdict {
    if dane == Verdict::Ok { opportunistic } else { dane }
}

fn records(outcome: &TlsaOutcome) -> &[TlsaRecord] {
    match outcome {
        TlsaOutcome::Records { records, .. }
        | TlsaOutcome::Insecure { records, .. }
        | TlsaOutcome::Indeterminate { records, .. } => records,
        TlsaOutcome::Absent | TlsaOutcome::Bogus { .. } | TlsaOutcome::Failed { .. } | TlsaOutcome::NotAsked => &[],
    }
}

/// The TLSA records as the report shows them. `matched` are those that match what some address showed.
pub(super) fn report(outcome: &TlsaOutcome, port: u16, addresses: Proof, matched: Vec<usize>) -> TlsaReport {
    let (state, proof, base, reason) = match outcome {
        TlsaOutcome::Records { base, .. } => (State::Ok, Proof::Secure, Some(base), None),
        TlsaOutcome::Absent => (State::Absent, Proof::Secure, None, None),
        TlsaOutcome::Insecure { base, records } => {
            let state = if records.is_empty() { State::Absent } else { State::Ok };
            (state, Proof::Insecure, Some(base), None)
        }
        TlsaOutcome::Bogus { base } => (State::Inconclusive, Proof::Bogus, Some(base), Some("bogus".to_owned())),
        TlsaOutcome::Indeterminate { base, records } => {
            let state = if records.is_empty() { State::Absent } else { State::Ok };
            (state, Proof::Indeterminate, Some(base), None)
        }
        TlsaOutcome::Failed { base, failure } => {
            (State::Inconclusive, Proof::Indeterminate, Some(base), Some(failure.to_string()))
        }
        TlsaOutcome::NotAsked => {
            let reason = match addresses {
                Proof::Bogus => "the addresses of the host fail the validation of DNSSEC",
                Proof::Indeterminate => "whether the addresses of the host are secure could not be told",
                Proof::Insecure | Proof::Secure => "the addresses of the host are not secured by DNSSEC",
            };
            return TlsaReport::not_tested(reason);
        }
    };
    TlsaReport {
        state,
        reason,
        proof,
        base: base.map(|base| format!("{}.", tlsa::question(base, port).name)),
        records: records(outcome).iter().map(ToString::to_string).collect(),
        matched,
    }
}
