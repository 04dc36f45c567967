//! The rules about the certificates that the server showed.

use super::{
    Entry, Seen,
    catalogue::cert::{ENDS_SOON, EXPIRED, NAME_MISMATCH, NOT_YET_VALID, UNTRUSTED, WEAK},
};
use crate::{
    phase::Phase,
    report::{Cause, Finding, Severity, TlsReport},
    x509::{
        CertificateFacts,
        problem::CertificateErrorKind::{self, Expired, NotYetValid, SelfSigned, UnknownIssuer, WeakKey, WrongName},
    },
};

/// Seconds from the end of the certificate's validity within which it ends soon: 14 days.
const SOON: i64 = 14 * SECONDS_PER_DAY;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    let Some(tls) = &seen.report.tls else { return };
    let rows: [(&Entry, &[CertificateErrorKind], &str); 4] = [
        (&EXPIRED, &[Expired], "A certificate has expired."),
        (&NOT_YET_VALID, &[NotYetValid], "A certificate is not valid yet."),
        (&NAME_MISMATCH, &[WrongName], "The certificate does not bear the name of the server."),
        (&UNTRUSTED, &[SelfSigned, UnknownIssuer], "No authority that is trusted here issued the certificate."),
    ];
    let failed = seen.report.failure.as_ref().is_some_and(|failure| failure.cause == Some(Cause::CertificateErrors));
    for (entry, kinds, message) in rows {
        if tls.errors.iter().any(|kind| kinds.contains(kind)) {
            let finding = seen.found(entry, Phase::Tls, message).with_evidence(evidence(seen, kinds));
            found.push(finding.with_severity(Severity::Error, failed));
        }
    }
    found.extend(ends_soon(seen));
    found.extend(weak(seen, tls));
}

fn evidence(seen: Seen<'_>, kinds: &[CertificateErrorKind]) -> Vec<String> {
    let problems = seen.report.facts.problems.iter().filter(|problem| kinds.contains(&problem.kind));
    problems.map(ToString::to_string).collect()
}

fn ends_soon(seen: Seen<'_>) -> Option<Finding> {
    let left = seen.report.metrics.cert_end_in.filter(|left| (0..SOON).contains(left))?;
    let when = match left / SECONDS_PER_DAY {
        0 => "less than a day".to_owned(),
        1 => "one day".to_owned(),
        days => format!("{days} days"),
    };
    Some(seen.found(&ENDS_SOON, Phase::Tls, format!("The certificate of the server expires in {when}.")))
}

fn weak(seen: Seen<'_>, tls: &TlsReport) -> Option<Finding> {
    let signatures = tls.chain.iter().filter(|facts| has_weak_signature(facts)).map(|facts| {
        let CertificateFacts { subject, signature_algorithm, .. } = facts;
        format!("the signature of {subject}: {signature_algorithm}")
    });
    let evidence: Vec<String> = evidence(seen, &[WeakKey]).into_iter().chain(signatures).collect();
    if evidence.is_empty() {
        return None;
    }
    let message = "A certificate has a weak key or a weak signature.";
    Some(seen.found(&WEAK, Phase::Tls, message).with_evidence(evidence))
}

/// A certificate that is its own issuer is trusted, or not, whatever its signature is.
fn has_weak_signature(facts: &CertificateFacts) -> bool {
    facts.on_path && facts.subject != facts.issuer && facts.is_weakly_signed()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::report::FailureKind;

    #[test]
    fn an_error_of_the_certificate_is_a_notice_unless_it_failed_the_check() {
        for (kind, id) in [
            (Expired, "cert.expired"),
            (NotYetValid, "cert.not_yet_valid"),
            (WrongName, "cert.name_mismatch"),
            (SelfSigned, "cert.untrusted"),
            (UnknownIssuer, "cert.untrusted"),
        ] {
            let case = || Case::new().start_tls().secured(&[kind], leaf());
            assert_eq!(ids(&case().report()), [format!("{id} notice")]);
            assert_eq!(only(&case().report()).evidence.len(), 1);
            let required = case().failed(Phase::Tls, FailureKind::Certificate, Some(Cause::CertificateErrors));
            assert_eq!(ids(&required.report()), [format!("{id} error")]);
            // Another reason, such as a key that is not proven.
            let other = case().failed(Phase::Tls, FailureKind::Certificate, None);
            assert_eq!(ids(&other.report()), [format!("{id} notice")]);
        }
        assert_eq!(ids(&Case::new().start_tls().secured(&[], leaf()).report()), [""; 0]);
    }

    #[test]
    fn what_this_client_cannot_verify_is_no_finding() {
        let kinds = [CertificateErrorKind::Unsupported, CertificateErrorKind::UnprovenKey];
        assert_eq!(ids(&Case::new().secured(&kinds, leaf()).report()), [""; 0]);
    }

    #[test]
    fn a_certificate_ends_soon_from_14_days_on() {
        let with = |seconds: i64| {
            let not_after = Some(STARTED + time::Duration::seconds(seconds));
            ids(&Case::new().secured(&[], CertificateFacts { not_after, ..leaf() }).report())
        };
        assert_eq!(with(SOON - 1), ["cert.ends_soon warning"]);
        assert_eq!(with(0), ["cert.ends_soon warning"]);
        assert_eq!(with(SOON), [""; 0]);
        assert_eq!(with(-1), [""; 0], "it has expired");
    }

    #[test]
    fn keys_and_signatures_that_are_weak() {
        let with = |signature: &str, more: CertificateFacts| {
            let signature_algorithm = signature.to_owned();
            ids(&Case::new().secured(&[], CertificateFacts { signature_algorithm, ..more }).report())
        };
        for signature in ["RSA with MD5", "RSA with SHA-1", "ECDSA with SHA-1"] {
            assert_eq!(with(signature, leaf()), ["cert.weak warning"], "{signature}");
            assert_eq!(with(signature, CertificateFacts { on_path: false, ..leaf() }), [""; 0]);
            assert_eq!(with(signature, CertificateFacts { issuer: leaf().subject, ..leaf() }), [""; 0]);
        }
        assert_eq!(with("RSA with SHA-256", leaf()), [""; 0]);
        assert_eq!(ids(&Case::new().secured(&[WeakKey], leaf()).report()), ["cert.weak warning"]);
    }
}
