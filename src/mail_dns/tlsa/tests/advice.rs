use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::mail_dns::tlsa::{advice::*, testing::*, *};

const EE_KEY: Combination = (Usage::DaneEe, Selector::PublicKey, MatchingType::Sha256);
const TA_KEY: Combination = (Usage::DaneTa, Selector::PublicKey, MatchingType::Sha256);

fn matching(records: &[TlsaRecord], pki: &Pki) -> Matching {
    Matching::new(records, &pki.chain)
}

#[test]
fn a_combination_without_a_match_beside_one_that_has_one_is_found() {
    let pki = Pki::new();
    let (own, root) = (record([3, 1, 1], pki.server()), record([2, 1, 1], pki.root()));
    let (bad_own, bad_root) = (other([3, 1, 1], pki.server()), other([2, 1, 1], pki.root()));
    let cases = [
        (vec![own.clone(), root.clone()], vec![]),
        (vec![own.clone(), bad_root.clone()], vec![TA_KEY]),
        (vec![bad_own.clone(), root.clone()], vec![EE_KEY]),
        // A spare of the same combination.
        (vec![own.clone(), bad_own.clone()], vec![]),
        // Nothing matches: that is a mismatch.
        (vec![bad_own.clone(), bad_root], vec![]),
        // A weaker digest that some senders look at only.
        (vec![record([3, 1, 2], pki.server()), bad_own], vec![EE_KEY]),
        (vec![TlsaRecord { usage: 1, ..root }, own.clone()], vec![]),
    ];
    for (records, expected) in cases {
        assert_eq!(unmatched_combinations(&matching(&records, &pki)), expected, "{records:?}");
    }
    // An anchor in the record holds without being sent.
    let records = [own, record([2, 0, 0], pki.root())];
    assert_eq!(unmatched_combinations(&Matching::new(&records, &pki.chain[..2])), []);
}

#[test]
fn records_that_match_nothing_are_stale() {
    let pki = Pki::new();
    let (own, bad) = (record([3, 1, 1], pki.server()), other([3, 1, 1], pki.server()));
    assert_eq!(stale_records(&matching(std::slice::from_ref(&own), &pki)), Vec::<usize>::new());
    assert_eq!(stale_records(&matching(&[own.clone(), bad], &pki)), [1]);
    let unusable = TlsaRecord { matching_type: 9, ..own };
    assert_eq!(stale_records(&matching(&[unusable], &pki)), Vec::<usize>::new());
    assert_eq!(stale_records(&matching(&[record([2, 1, 1], pki.server())], &pki)), [0]);
}

#[test]
fn one_end_entity_record_alone_has_no_spare() {
    let pki = Pki::new();
    let (own, bad) = (record([3, 1, 1], pki.server()), other([3, 1, 1], pki.server()));
    let root = record([2, 1, 1], pki.root());
    let unusable = TlsaRecord { usage: 1, ..own.clone() };
    let cases = [
        (vec![own.clone()], true),
        (vec![bad.clone()], true),
        (vec![own.clone(), record([3, 0, 2], pki.server())], true),
        (vec![own.clone(), unusable], true),
        (vec![own.clone(), bad], false),
        (vec![own, root.clone()], false),
        (vec![root], false),
        (vec![], false),
    ];
    for (records, expected) in cases {
        assert_eq!(has_no_spare(&matching(&records, &pki)), expected, "{records:?}");
    }
}

#[test]
fn anchors_that_the_server_does_not_send_are_found() {
    let pki = Pki::new();
    let records = [
        record([2, 0, 0], pki.root()),
        record([2, 1, 0], pki.root()),
        record([2, 0, 1], pki.root()),
        record([2, 1, 1], pki.server()),
        record([2, 1, 1], pki.intermediate()),
    ];
    let unsent = Matching::new(&records, &pki.chain[..2]);
    assert_eq!(anchors_not_sent(&unsent), [0, 1]);
    assert_eq!(anchors_not_in_chain(&unsent), [2, 3]);
    let sent = matching(&records, &pki);
    assert_eq!(anchors_not_sent(&sent), Vec::<usize>::new());
    assert_eq!(anchors_not_in_chain(&sent), [3]);
}

#[test]
fn records_that_an_ordinary_renewal_breaks_are_fragile() {
    let pki = Pki::new();
    let fragile = |record: TlsaRecord, chain: &[Vec<u8>]| fragile_records(&Matching::new(&[record], chain), chain);
    let chain = &pki.chain;
    assert_eq!(fragile(record([3, 0, 1], pki.server()), chain), [Fragile::Certificate { record: 0, days: 365 }]);
    assert_eq!(fragile(record([3, 1, 1], pki.server()), chain), []);
    assert_eq!(fragile(record([2, 1, 1], pki.intermediate()), chain), [Fragile::Intermediate { record: 0 }]);
    assert_eq!(fragile(record([2, 1, 1], pki.root()), chain), []);
    assert_eq!(fragile(other([3, 0, 1], pki.server()), chain), []);
    // It lives for two years: no public authority issues that.
    assert_eq!(fragile(record([3, 0, 1], &pki.renewed), std::slice::from_ref(&pki.renewed)), []);
}

#[test]
fn the_record_to_publish_matches_the_server() {
    let pki = Pki::new();
    let record = record_for(pki.server()).expect("a record");
    assert_eq!((record.usage, record.selector, record.matching_type), (3, 1, 1));
    assert_eq!(matching(&[record], &pki).matched(), [0]);
    assert_eq!(record_for(b"no certificate"), None);
}

/// What OpenSSL says of a certificate of its own: an opinion that is not this program's.
#[test]
fn digests_are_those_of_openssl() {
    const CERTIFICATE: &str = "MIIBiDCCAS2gAwIBAgIUf4gciLhBOZwH5yUvvupCOsax6bUwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwObXguZ\
        XhhbXBsZS5jb20wHhcNMjYxMTI5MTIwMTE1WhcNMjcwMjI3MTIwMTE1WjAZMRcwFQYDVQQDDA5teC5leGFtcGxlLmNvbTBZMBMGByqGSM49A\
        gEGCCqGSM49AwEHA0IABILWuyJNRinTnzwQW2LjGgNZ7uXCL4Do3mzLlv3LiuNIdUEJHLT3RMgedS6H148l++dhW/THxrVgudOJ41Fr9fWjU\
        zBRMB0GA1UdDgQWBBSK6pwha1JzlBDwLG8+Q6sw8biE9TAfBgNVHSMEGDAWgBSK6pwha1JzlBDwLG8+Q6sw8biE9TAPBgNVHRMBAf8EBTADA\
        QH/MAoGCCqGSM49BAMCA0kAMEYCIQC66RZSPXe3Nr7fmiiCS744aPi+dfQM9nIim/FqKdHmtwIhAPxzAQHmopCxu7dadCOC0TEz6t/6CRd2Q\
        PNxgGhHiuM3";
    let records = [
        "3 0 1 5e324f6c3d7271d2f13b380e3fe64d3b84a07f8b70ac0caf1261416232233c17",
        "3 0 2 aba1215eab38c8140f5c47877c640a3ee73abb002e9c81d95a00af1060aab00eb0ea62dcbcda2073c4b8d3bbf0b0b8aa1eede82f\
         b169ae5cbde05857d03b9f56",
        "3 1 1 3efc878653a6499b6bbbdbd6dc4edbf93cf55b1136ea91789fc10b172c2b6e2c",
        "3 1 2 d301abce49a844088f0d318c0b665a9795a880a55f31a131ac81234d24b03483e1bb9bcec8a2fc8d263d56d8413aee1ae2d4170c\
         ed1fbc093878df95fc1dd61b",
    ];
    let certificate = STANDARD.decode(CERTIFICATE).expect("base64");
    let records: Vec<TlsaRecord> = records.iter().map(|text| text.parse().expect("a record")).collect();
    let matching = Matching::new(&records, std::slice::from_ref(&certificate));
    assert!(matching.records.iter().all(RecordMatch::is_match), "{matching:?}");
    assert_eq!(record_for(&certificate), Some(records[2].clone()));
    let days = fragile_records(&matching, &[certificate]);
    let fragile = |record| Fragile::Certificate { record, days: 90 };
    assert_eq!(days, [fragile(0), fragile(1)]);
}
