//! The rules about TLSA records and what they match.

use super::{SeenHost, found, sentence};
use crate::{
    findings::catalogue::dane::{ABSENT, INSECURE_TLSA, LOOKUP_FAILED, MISMATCH, PARTIAL, TA_NOT_IN_CHAIN, UNUSABLE},
    mail_dns::{
        Proof,
        mx::AddressState,
        tlsa::{DaneReason, TlsaOutcome, TlsaRecord, Usage, advice, question},
    },
    report::{Finding, Severity, domain::AddressReport},
};

/// Records that one remedy names.
const MAX_LINES: usize = 8;

pub(crate) fn rules(domain: &str, port: u16, hosts: &[SeenHost<'_>]) -> Vec<Finding> {
    let of_each = hosts.iter().flat_map(|seen| of_host(port, seen));
    of_each.chain(partial(domain, hosts)).collect()
}

fn of_host(port: u16, seen: &SeenHost<'_>) -> Vec<Finding> {
    let name = &seen.host.name;
    match seen.tlsa {
        TlsaOutcome::Absent => {
            let message = format!("{name} is in a signed zone, and has no TLSA record.");
            vec![found(&ABSENT, name, message).with_remedy(to_publish(seen, name, port))]
        }
        TlsaOutcome::Bogus { base } | TlsaOutcome::Failed { base, .. } => {
            let name_asked = question(base, port).name;
            let why = seen.tlsa.failure().map(|failure| failure.to_string()).unwrap_or_default();
            let message = format!("The lookup of {name_asked}. TLSA fails: {why}.");
            vec![found(&LOOKUP_FAILED, name, message)]
        }
        TlsaOutcome::Insecure { records, .. } if !records.is_empty() => {
            let message = format!("The TLSA records of {name} are in a zone without DNSSEC.");
            vec![found(&INSECURE_TLSA, name, message).with_evidence(shown(records))]
        }
        TlsaOutcome::Records { base, records } => {
            let unusable = unusable(seen, base, port, records);
            let mismatches = seen
                .sessions
                .iter()
                .zip(seen.dane)
                .filter_map(|(session, view)| mismatch(seen, base, port, records, session, view.reason));
            unusable.into_iter().chain(mismatches).collect()
        }
        TlsaOutcome::Insecure { .. } | TlsaOutcome::Indeterminate { .. } | TlsaOutcome::NotAsked => Vec::new(),
    }
}

fn shown(records: &[TlsaRecord]) -> Vec<String> {
    records.iter().map(ToString::to_string).collect()
}

fn unusable(seen: &SeenHost<'_>, base: &str, port: u16, records: &[TlsaRecord]) -> Option<Finding> {
    let faults = records.iter().filter_map(|record| Some((record, record.parameters().err()?)));
    let faults: Vec<_> = faults.map(|(record, fault)| format!("{record}: {fault}")).collect();
    if faults.is_empty() {
        return None;
    }
    let is_needless = faults.len() < records.len();
    let message = format!("{} of {} TLSA records cannot be used.", faults.len(), records.len());
    let found = found(&UNUSABLE, &seen.host.name, message).with_evidence(faults);
    let found = found.with_severity(Severity::Notice, is_needless);
    Some(if is_needless { found } else { found.with_remedy(to_publish(seen, base, port)) })
}

fn mismatch(
    seen: &SeenHost<'_>,
    base: &str,
    port: u16,
    records: &[TlsaRecord],
    session: &AddressReport,
    reason: DaneReason,
) -> Option<Finding> {
    if !matches!(reason, DaneReason::Mismatch | DaneReason::PathInvalid) {
        return None;
    }
    let usages = records.iter().filter_map(|record| record.parameters().ok());
    let has_anchors_only = usages.map(|(usage, ..)| usage).all(|usage| usage == Usage::DaneTa);
    let entry = if has_anchors_only { &TA_NOT_IN_CHAIN } else { &MISMATCH };
    let subject = format!("{} [{}]", seen.host.name, session.address);
    let own = own_record(session);
    let evidence = own.iter().map(|own| format!("shown: {own}"));
    let evidence = evidence.chain(records.iter().map(|record| format!("published: {record}")));
    let remedy = own.as_ref().map(|own| {
        format!(
            "Publish `{}`, or have the server use the certificate that the record is for.",
            advice::zone_line(base, port, own)
        )
    });
    Some(found(entry, subject, sentence(&reason.to_string())).with_evidence(evidence).with_remedy(remedy))
}

/// The record that fits what the server showed.
fn own_record(session: &AddressReport) -> Option<TlsaRecord> {
    let presented = &session.report.as_ref()?.facts.presented;
    advice::record_for(presented.first()?)
}

/// The lines that fit what all addresses of the host showed; `None` where none showed a certificate.
fn to_publish(seen: &SeenHost<'_>, base: &str, port: u16) -> Option<String> {
    let mut records = Vec::new();
    for record in seen.sessions.iter().filter_map(own_record) {
        if records.len() < MAX_LINES && !records.contains(&record) {
            records.push(record);
        }
    }
    let lines: Vec<_> = records.iter().map(|record| format!("`{}`", advice::zone_line(base, port, record))).collect();
    (!lines.is_empty()).then(|| {
        format!("Publish {}, and before each change of the key the record of the next one.", lines.join(" and "))
    })
}

/// Some hosts have usable records, and for others it is known that they have none.
fn partial(domain: &str, hosts: &[SeenHost<'_>]) -> Option<Finding> {
    let is_covered = |seen: &&SeenHost<'_>| match seen.tlsa {
        TlsaOutcome::Records { records, .. } => records.iter().any(|record| record.parameters().is_ok()),
        _ => false,
    };
    let is_bare = |seen: &&SeenHost<'_>| match seen.tlsa {
        TlsaOutcome::Absent | TlsaOutcome::Insecure { .. } => true,
        TlsaOutcome::NotAsked => seen.addresses.state == AddressState::Found && seen.addresses.proof == Proof::Insecure,
        _ => false,
    };
    let bare: Vec<_> = hosts.iter().filter(is_bare).map(|seen| seen.host.to_string()).collect();
    if bare.is_empty() || !hosts.iter().any(|seen| is_covered(&seen)) {
        return None;
    }
    let message = format!("{} of {} mail servers have no TLSA records that count.", bare.len(), hosts.len());
    Some(found(&PARTIAL, domain, message).with_evidence(bare))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::{
        findings::tests::Case,
        mail_dns::{Answer, LookupFailure, Outcome, RecordData},
        report::{Facts, Report},
    };

    /// What was seen of a host in a signed zone that showed this certificate.
    fn host(tlsa: TlsaOutcome, reason: DaneReason, presented: &[Vec<u8>]) -> HostData {
        let address = RecordData::Address([192, 0, 2, 1].into());
        let secure = Answer { proof: Proof::Secure, ..answer(Outcome::Records(vec![address])) };
        let facts = Facts { presented: presented.to_vec(), ..Facts::default() };
        let report = Report { facts, ..Case::new().report() };
        HostData { tlsa, ..HostData::new(&secure) }.with_report(report, reason)
    }

    fn rules_of(data: &[HostData]) -> Vec<Finding> {
        let records: Vec<_> = (0..data.len()).map(|number| (10, format!("mx{number}.test"))).collect();
        let records: Vec<_> = records.iter().map(|(preference, name)| (*preference, name.as_str())).collect();
        let mx = mail_hosts(&records);
        let hosts: Vec<_> = mx.hosts.iter().zip(data).map(|(host, data)| data.seen(host)).collect();
        rules("example.test", 25, &hosts)
    }

    fn of(tlsa: TlsaOutcome, reason: DaneReason) -> Vec<String> {
        ids(&rules_of(&[host(tlsa, reason, &[])]))
    }

    fn records(texts: &[&str]) -> TlsaOutcome {
        let records = texts.iter().map(|text| text.parse().expect("a record")).collect();
        TlsaOutcome::Records { base: "mx0.test".to_owned(), records }
    }

    fn digest(numbers: &str) -> String {
        format!("{numbers} {}", "ab".repeat(32))
    }

    #[test]
    fn records_that_are_absent_or_cannot_be_looked_up() {
        let base = || "mx0.test".to_owned();
        let no = DaneReason::NoRecords;
        assert_eq!(of(TlsaOutcome::Absent, no), ["dane.absent notice mx0.test"]);
        assert_eq!(of(TlsaOutcome::NotAsked, no), [""; 0]);
        let failed = TlsaOutcome::Failed { base: base(), failure: LookupFailure::ServFail };
        assert_eq!(of(failed, no), ["dane.lookup_failed error mx0.test"]);
        assert_eq!(of(TlsaOutcome::Bogus { base: base() }, no), ["dane.lookup_failed error mx0.test"]);
        let insecure = |records| TlsaOutcome::Insecure { base: base(), records };
        let record: TlsaRecord = digest("3 1 1").parse().expect("a record");
        assert_eq!(of(insecure(vec![record]), no), ["dane.insecure_tlsa warning mx0.test"]);
        assert_eq!(of(insecure(Vec::new()), no), [""; 0]);
    }

    #[test]
    fn the_certificate_matches_or_not() {
        let (own, anchor) = (digest("3 1 1"), digest("2 0 1"));
        let found = |texts: &[&str], reason| of(records(texts), reason);
        assert_eq!(found(&[&own], DaneReason::EndEntity), [""; 0]);
        assert_eq!(found(&[&own], DaneReason::NotShown), [""; 0]);
        assert_eq!(found(&[&own], DaneReason::Mismatch), ["dane.mismatch error mx0.test [192.0.2.1]"]);
        assert_eq!(found(&[&own, &anchor], DaneReason::Mismatch), ["dane.mismatch error mx0.test [192.0.2.1]"]);
        for reason in [DaneReason::Mismatch, DaneReason::PathInvalid] {
            assert_eq!(found(&[&anchor], reason), ["dane.ta_not_in_chain error mx0.test [192.0.2.1]"]);
        }
    }

    #[test]
    fn records_that_cannot_be_used() {
        let (good, pkix) = (digest("3 1 1"), digest("1 1 1"));
        assert_eq!(of(records(&[&pkix]), DaneReason::OnlyUnusable), ["dane.unusable warning mx0.test"]);
        assert_eq!(of(records(&[&pkix, &good]), DaneReason::EndEntity), ["dane.unusable notice mx0.test"]);
    }

    #[test]
    fn some_hosts_have_records_and_others_have_none() {
        let covered = || host(records(&[&digest("3 1 1")]), DaneReason::EndEntity, &[]);
        let absent = || host(TlsaOutcome::Absent, DaneReason::NoRecords, &[]);
        let found = ids(&rules_of(&[covered(), absent()]));
        assert_eq!(found, ["dane.absent notice mx1.test", "dane.partial warning example.test"]);
        assert_eq!(ids(&rules_of(&[covered(), covered()])), [""; 0]);
        let unknown = host(TlsaOutcome::NotAsked, DaneReason::Indeterminate, &[]);
        assert_eq!(ids(&rules_of(&[covered(), unknown])), [""; 0]);
    }

    #[test]
    fn the_remedy_is_the_record_of_the_certificate_that_was_shown() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["mx0.test".to_owned()]).expect("parameters");
        let certificate = parameters.self_signed(&key).expect("a certificate").der().to_vec();
        let own = advice::record_for(&certificate).expect("a record");
        let line = format!("_25._tcp.mx0.test. IN TLSA {own}");
        let found = rules_of(&[host(TlsaOutcome::Absent, DaneReason::NoRecords, std::slice::from_ref(&certificate))]);
        assert!(found[0].remedy.contains(&line), "{}", found[0].remedy);
        let found = rules_of(&[host(records(&[&digest("3 1 1")]), DaneReason::Mismatch, &[certificate])]);
        assert!(found[0].remedy.contains(&line), "{}", found[0].remedy);
        assert_eq!(found[0].evidence[0], format!("shown: {own}"));
    }
}
