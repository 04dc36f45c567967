//! The findings of the sessions with the addresses, with the severity that they have for the domain.

use super::SeenHost;
use crate::{
    findings::catalogue::{
        cert::{EXPIRED, NAME_MISMATCH, NOT_YET_VALID, UNTRUSTED},
        tls::NOT_OFFERED,
    },
    mail_dns::{
        Verdict,
        tlsa::{TlsaOutcome, Usage},
    },
    report::{Finding, Severity},
};

/// All findings of the sessions with a host. `has_policy`: an MTA-STS policy is in force, and allows the host.
pub(crate) fn lifted(seen: &SeenHost<'_>, has_policy: bool) -> Vec<Finding> {
    let needs_tls = matches!(seen.tlsa, TlsaOutcome::Records { .. });
    let sessions = seen.sessions.iter().zip(seen.dane);
    let lifted = sessions.flat_map(|(session, view)| {
        let needs_path = view.verdict == Verdict::Fail && has_anchor(seen.tlsa);
        let findings = session.report.iter().flat_map(|report| &report.findings);
        findings.map(move |finding| {
            let by_dane = match finding.id {
                id if id == NOT_OFFERED.id => needs_tls,
                id if [EXPIRED.id, NOT_YET_VALID.id, NAME_MISMATCH.id].contains(&id) => needs_path,
                _ => false,
            };
            of_view(finding, has_policy && needs_certificate(finding.id), by_dane)
        })
    });
    lifted.collect()
}

/// Whether a sender that keeps to an MTA-STS policy does not deliver because of it.
fn needs_certificate(id: &str) -> bool {
    [NOT_OFFERED.id, EXPIRED.id, NOT_YET_VALID.id, NAME_MISMATCH.id, UNTRUSTED.id].contains(&id)
}

/// Whether a usable record names an authority: then names and dates count.
fn has_anchor(tlsa: &TlsaOutcome) -> bool {
    let TlsaOutcome::Records { records, .. } = tlsa else { return false };
    records.iter().any(|record| matches!(record.parameters(), Ok((Usage::DaneTa, ..))))
}

fn of_view(finding: &Finding, by_policy: bool, by_dane: bool) -> Finding {
    let who = match (by_policy, by_dane) {
        (false, false) => return finding.clone(),
        (true, false) => "Senders that keep to the MTA-STS policy",
        (false, true) => "Senders that use DANE",
        (true, true) => "Senders that keep to the MTA-STS policy or use DANE",
    };
    let message = format!("{} {who} require it.", finding.message);
    Finding { message, ..finding.clone() }.with_severity(Severity::Error, true)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::{
        findings::{
            CATALOGUE,
            tests::{Case, leaf},
        },
        mail_dns::{Outcome, RecordData, tlsa::DaneReason},
        phase::Phase,
        report::Report,
        x509::problem::CertificateErrorKind,
    };

    fn of(report: Report, tlsa: TlsaOutcome, reason: DaneReason, has_policy: bool) -> Vec<String> {
        let mx = mail_hosts(&[(10, "mx.test")]);
        let address = answer(Outcome::Records(vec![RecordData::Address([192, 0, 2, 1].into())]));
        let data = HostData { tlsa, ..HostData::new(&address) }.with_report(report, reason);
        let found = lifted(&data.seen(&mx.hosts[0]), has_policy);
        found.iter().map(|finding| format!("{} {}", finding.id, finding.severity.name())).collect()
    }

    fn records(numbers: &str) -> TlsaOutcome {
        let record = format!("{numbers} {}", "ab".repeat(32)).parse().expect("a record");
        TlsaOutcome::Records { base: "mx.test".to_owned(), records: vec![record] }
    }

    #[test]
    fn clear_text_is_an_error_where_a_policy_or_dane_requires_tls() {
        let report = || Case::new().accepted(Phase::Ehlo, "250 mx.test").report();
        let no = DaneReason::NoRecords;
        assert_eq!(of(report(), TlsaOutcome::Absent, no, false), ["starttls.not_offered warning"]);
        assert_eq!(of(report(), TlsaOutcome::Absent, no, true), ["starttls.not_offered error"]);
        assert_eq!(of(report(), records("3 1 1"), DaneReason::NoTls, false), ["starttls.not_offered error"]);
    }

    #[test]
    fn a_bad_certificate_is_an_error_where_it_counts() {
        use CertificateErrorKind::{Expired, UnknownIssuer, WrongName};
        for (kind, id) in
            [(Expired, "cert.expired"), (WrongName, "cert.name_mismatch"), (UnknownIssuer, "cert.untrusted")]
        {
            let of = |tlsa, reason, has_policy| {
                of(Case::new().start_tls().secured(&[kind], leaf()).report(), tlsa, reason, has_policy)
            };
            let (notice, error) = ([format!("{id} notice")], [format!("{id} error")]);
            assert_eq!(of(TlsaOutcome::Absent, DaneReason::NoRecords, false), notice);
            assert_eq!(of(TlsaOutcome::Absent, DaneReason::NoRecords, true), error);
            // DANE-EE looks at neither names nor dates, and DANE-TA trusts the authority that the record names.
            assert_eq!(of(records("3 1 1"), DaneReason::EndEntity, false), notice);
            let expected = if kind == UnknownIssuer { notice } else { error };
            assert_eq!(of(records("2 0 1"), DaneReason::PathInvalid, false), expected);
        }
    }

    #[test]
    fn other_findings_keep_their_severity() {
        for entry in CATALOGUE.iter().filter(|entry| !needs_certificate(entry.id)) {
            let report = Case::new().report();
            let finding = super::super::found(entry, "mx.test", "It is so.");
            let report = Report { findings: vec![finding], ..report };
            let found = of(report, records("2 0 1"), DaneReason::PathInvalid, true);
            assert_eq!(found, [format!("{} {}", entry.id, entry.severity.name())]);
        }
    }
}
