use crate::mail_dns::tlsa::{testing::*, *};

/// What the records match, and what DANE makes of it if each path verifies.
fn matched(records: &[TlsaRecord], chain: &[Vec<u8>]) -> (Vec<Matched>, Peer) {
    let matching = Matching::new(records, chain);
    let peer = matching.peer(records, |_| true);
    (matching.records.iter().map(|record| record.matched).collect(), peer)
}

#[test]
fn all_selectors_and_matching_types_match_the_right_certificate() {
    let pki = Pki::new();
    for selector in [0, 1] {
        for matching_type in [0, 1, 2] {
            let cases = [
                (record([3, selector, matching_type], pki.server()), Matched::Certificate(0), Peer::EndEntity),
                (record([2, selector, matching_type], pki.intermediate()), Matched::Certificate(1), Peer::Anchored),
                (record([2, selector, matching_type], pki.root()), Matched::Certificate(2), Peer::Anchored),
                // The own certificate issued nothing, and an authority is not the server.
                (record([2, selector, matching_type], pki.server()), Matched::OwnCertificate, Peer::Mismatch),
                (record([3, selector, matching_type], pki.root()), Matched::Nothing, Peer::Mismatch),
            ];
            for (record, expected, peer) in cases {
                assert_eq!(matched(std::slice::from_ref(&record), &pki.chain), (vec![expected], peer), "{record}");
            }
        }
    }
}

#[test]
fn other_certificates_and_keys_do_not_match() {
    let pki = Pki::new();
    for numbers in [[3, 0, 1], [3, 0, 2], [3, 1, 1], [3, 1, 2], [3, 1, 0]] {
        let records = [other(numbers, pki.server())];
        assert_eq!(matched(&records, &pki.chain), (vec![Matched::Nothing], Peer::Mismatch), "{numbers:?}");
    }
    let records = [other([2, 1, 1], pki.root())];
    assert_eq!(matched(&records, &pki.chain), (vec![Matched::Nothing], Peer::Mismatch));
    assert_eq!(matched(&[record([3, 1, 1], pki.server())], &[]), (vec![Matched::Nothing], Peer::Mismatch));
}

#[test]
fn the_key_still_matches_after_a_renewal_and_the_certificate_does_not() {
    let pki = Pki::new();
    let records = [record([3, 0, 1], pki.server()), record([3, 1, 1], pki.server())];
    let chain = [pki.renewed.clone()];
    assert_eq!(matched(&records, &chain), (vec![Matched::Nothing, Matched::Certificate(0)], Peer::EndEntity));
}

#[test]
fn end_entity_and_anchor_records_stand_in_for_each_other() {
    let pki = Pki::new();
    let (good, bad) = (record([2, 1, 1], pki.root()), other([3, 1, 1], pki.server()));
    assert_eq!(matched(&[bad, good.clone()], &pki.chain).1, Peer::Anchored);
    let own = record([3, 1, 1], pki.server());
    let matching = Matching::new(&[good.clone(), own.clone()], &pki.chain);
    // The path is not even asked for: DANE-EE looks at neither names nor dates.
    assert_eq!(matching.peer(&[good, own], |_| panic!("asked for a path")), Peer::EndEntity);
}

#[test]
fn the_anchor_of_each_record_is_given_back() {
    let pki = Pki::new();
    let records = [record([2, 0, 0], pki.root()), record([2, 1, 0], pki.root()), record([2, 1, 1], pki.intermediate())];
    let unsent = &pki.chain[..2];
    let anchors = Matching::new(&records, unsent).anchors(&records);
    let key = records[1].data.clone();
    assert_eq!(anchors, [Anchor::Certificate(pki.root().to_vec()), Anchor::PublicKey(key), Anchor::Presented(1)]);
    let anchors = Matching::new(&records, &pki.chain).anchors(&records);
    assert_eq!(anchors, [Anchor::Presented(2), Anchor::Presented(1)]);
    // A digest is no anchor if the certificate is not sent.
    let records = [record([2, 0, 1], pki.root())];
    assert_eq!(Matching::new(&records, unsent).anchors(&records), []);
}

#[test]
fn a_path_is_needed_to_one_of_the_anchors() {
    let pki = Pki::new();
    let records = [record([2, 1, 1], pki.root()), record([2, 1, 1], pki.intermediate())];
    let matching = Matching::new(&records, &pki.chain);
    assert_eq!(matching.peer(&records, |anchor| *anchor == Anchor::Presented(1)), Peer::Anchored);
    assert_eq!(matching.peer(&records, |_| false), Peer::PathInvalid);
}

#[test]
fn the_strongest_digest_of_a_usage_and_selector_counts() {
    let pki = Pki::new();
    let (weak, strong) = (record([3, 1, 1], pki.server()), record([3, 1, 2], pki.server()));
    let full = record([3, 1, 0], pki.server());
    let (wrong_weak, wrong_strong) = (other([3, 1, 1], pki.server()), other([3, 1, 2], pki.server()));
    let peer = |records: &[TlsaRecord]| matched(records, &pki.chain).1;
    assert_eq!(peer(&[weak.clone(), wrong_strong.clone()]), Peer::Mismatch);
    assert_eq!(peer(&[wrong_weak, strong]), Peer::EndEntity);
    assert_eq!(peer(&[full, wrong_strong.clone()]), Peer::EndEntity);
    // Another selector or usage is a matter of its own.
    let of_certificate = TlsaRecord { selector: 0, ..wrong_strong.clone() };
    assert_eq!(peer(&[weak.clone(), of_certificate]), Peer::EndEntity);
    // A malformed or unknown digest does not supersede a good one.
    let mut short = wrong_strong.clone();
    short.data.pop();
    let unknown = TlsaRecord { matching_type: 7, ..wrong_strong.clone() };
    assert_eq!(peer(&[weak.clone(), short, unknown]), Peer::EndEntity);

    let matching = Matching::new(&[weak, wrong_strong], &pki.chain);
    assert!(matching.records[0].is_superseded && !matching.records[1].is_superseded);
    assert_eq!(matching.matched(), Vec::<usize>::new());
    assert_eq!(matching.records[0].matched, Matched::Certificate(0));
}

#[test]
fn unusable_records_match_nothing() {
    let pki = Pki::new();
    let pkix = TlsaRecord { usage: 1, ..record([3, 1, 1], pki.server()) };
    let matching = Matching::new(std::slice::from_ref(&pkix), &pki.chain);
    assert!(!matching.is_usable());
    assert_eq!(matching.peer(std::slice::from_ref(&pkix), |_| true), Peer::Mismatch);
    let good = record([3, 1, 1], pki.server());
    let matching = Matching::new(&[pkix, good], &pki.chain);
    assert!(matching.is_usable());
    assert_eq!(matching.matched(), [1]);
}

#[test]
fn hundreds_of_records_and_certificates_are_bounded() {
    let pki = Pki::new();
    let mut records: Vec<_> = (0..1000).map(|_| record([2, 1, 0], pki.root())).collect();
    for (index, record) in records.iter_mut().enumerate().skip(1) {
        // A key of its own in each: the last octets of the bit string.
        let end = record.data.len() - 2;
        record.data[end..].copy_from_slice(&u16::try_from(index).expect("a small number").to_be_bytes());
    }
    let matching = Matching::new(&records, &vec![pki.server().to_vec(); 500]);
    assert!(matching.anchors(&records).len() <= 8);
}
