use crate::mail_dns::{
    LookupFailure, Proof, Verdict,
    tlsa::{testing::*, *},
};

struct Case {
    addresses: Proof,
    tlsa: TlsaOutcome,
    shown: Shown,
    verdict: Verdict,
    reason: DaneReason,
}

fn records(records: Vec<TlsaRecord>) -> TlsaOutcome {
    TlsaOutcome::Records { base: "mx.example.com".into(), records }
}

fn view(mx: Proof, addresses: Proof, tlsa: &TlsaOutcome, shown: Shown) -> DaneView {
    let records = match tlsa {
        TlsaOutcome::Records { records, .. } => &records[..],
        _ => &[],
    };
    judge(mx, addresses, tlsa, &Matching::new::<Vec<u8>>(records, &[]), shown)
}

#[test]
fn each_line_of_the_table_has_its_verdict() {
    let base = || "mx.example.com".to_owned();
    let usable = || records(vec![TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: vec![7; 32] }]);
    let unusable = || records(vec![TlsaRecord { usage: 1, selector: 1, matching_type: 1, data: vec![7; 32] }]);
    let failed = || TlsaOutcome::Failed { base: base(), failure: LookupFailure::ServFail };
    let good = Shown::Tls(Peer::EndEntity);
    let bad = Shown::Tls(Peer::Mismatch);
    use {DaneReason::*, Verdict::*};
    let secure = [
        (usable(), good, Ok, EndEntity),
        (usable(), Shown::Tls(Peer::Anchored), Ok, Anchored),
        (usable(), bad, Fail, Mismatch),
        (usable(), Shown::Tls(Peer::PathInvalid), Fail, PathInvalid),
        (usable(), Shown::NoTls, Fail, NoTls),
        (usable(), Shown::BrokenTls, Fail, BrokenTls),
        (usable(), Shown::Nothing, Inconclusive, NotShown),
        (unusable(), bad, NotApplicable, OnlyUnusable),
        (unusable(), Shown::NoTls, Fail, NoTls),
        (unusable(), Shown::BrokenTls, Fail, BrokenTls),
        (unusable(), Shown::Nothing, Inconclusive, NotShown),
        (TlsaOutcome::Absent, good, NotApplicable, NoRecords),
        (TlsaOutcome::Absent, Shown::NoTls, NotApplicable, NoRecords),
        (TlsaOutcome::Insecure { base: base(), records: vec![] }, bad, NotApplicable, RecordsInsecure),
        (TlsaOutcome::Bogus { base: base() }, good, Fail, Bogus),
        (failed(), good, Inconclusive, LookupFailed(LookupFailure::ServFail)),
        (TlsaOutcome::Indeterminate { base: base(), records: vec![] }, good, Inconclusive, Indeterminate),
    ];
    let secure = secure.into_iter().map(|(tlsa, shown, verdict, reason)| Case {
        addresses: Proof::Secure,
        tlsa,
        shown,
        verdict,
        reason,
    });
    let others = [
        (Proof::Insecure, usable(), NotApplicable, HostInsecure),
        (Proof::Insecure, failed(), NotApplicable, HostInsecure),
        (Proof::Insecure, TlsaOutcome::NotAsked, NotApplicable, HostInsecure),
        (Proof::Bogus, TlsaOutcome::NotAsked, NotApplicable, HostBogus),
        (Proof::Indeterminate, TlsaOutcome::NotAsked, Inconclusive, Indeterminate),
        (Proof::Indeterminate, usable(), Inconclusive, Indeterminate),
    ];
    let others = others.into_iter().map(|(addresses, tlsa, verdict, reason)| Case {
        addresses,
        tlsa,
        shown: bad,
        verdict,
        reason,
    });
    for Case { addresses, tlsa, shown, verdict, reason } in secure.chain(others) {
        let view = view(Proof::Secure, addresses, &tlsa, shown);
        assert_eq!((view.verdict, view.reason), (verdict, reason), "{addresses:?} {tlsa:?} {shown:?}");
        assert!(!view.is_weak);
        // Reports have a word only for what failed.
        assert_eq!(reason.result_type().is_some(), verdict == Fail, "{reason:?}");
    }
}

#[test]
fn dane_is_weak_where_it_applies_but_the_mx_records_are_not_secure() {
    let tlsa = records(vec![TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: vec![7; 32] }]);
    let is_weak = |mx, tlsa: &TlsaOutcome, peer| view(mx, Proof::Secure, tlsa, Shown::Tls(peer)).is_weak;
    assert!(is_weak(Proof::Insecure, &tlsa, Peer::EndEntity));
    assert!(is_weak(Proof::Insecure, &tlsa, Peer::Mismatch));
    assert!(!is_weak(Proof::Secure, &tlsa, Peer::EndEntity));
    assert!(!is_weak(Proof::Insecure, &TlsaOutcome::Absent, Peer::EndEntity));
}

#[test]
fn one_unusable_record_beside_a_good_one_changes_nothing() {
    let pki = Pki::new();
    let good = record([3, 1, 1], pki.server());
    let unknown = TlsaRecord { matching_type: 9, ..good.clone() };
    let tlsa = records(vec![unknown, good]);
    assert_eq!(view(Proof::Secure, Proof::Secure, &tlsa, Shown::Tls(Peer::EndEntity)).verdict, Verdict::Ok);
}

#[test]
fn one_part_that_works_is_enough_and_what_is_unknown_hides_no_failure() {
    use Verdict::*;
    let cases: [(&[Verdict], Verdict); 7] = [
        (&[Ok, Fail, Inconclusive], Ok),
        (&[Fail, Inconclusive, NotApplicable], Fail),
        (&[Inconclusive, NotApplicable], Inconclusive),
        (&[NotApplicable, NotApplicable], NotApplicable),
        (&[Fail, Fail], Fail),
        (&[Inconclusive], Inconclusive),
        (&[], NotApplicable),
    ];
    for (parts, whole) in cases {
        assert_eq!(Verdict::of_all(parts.iter().copied()), whole, "{parts:?}");
    }
}
