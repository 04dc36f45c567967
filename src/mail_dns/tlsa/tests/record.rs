use proptest::{collection::vec, prelude::*};

use crate::mail_dns::tlsa::{testing::*, *};

fn with(numbers: [u8; 3], size: usize) -> TlsaRecord {
    let [usage, selector, matching_type] = numbers;
    TlsaRecord { usage, selector, matching_type, data: vec![7; size] }
}

#[test]
fn each_reason_why_a_record_is_unusable_is_told() {
    let size = |expected, found| Err(Unusable::DigestSize { expected, found });
    let cases = [
        (with([3, 1, 1], 32), Ok((Usage::DaneEe, Selector::PublicKey, MatchingType::Sha256))),
        (with([2, 0, 2], 64), Ok((Usage::DaneTa, Selector::Certificate, MatchingType::Sha512))),
        (with([0, 1, 1], 32), Err(Unusable::PkixUsage(0))),
        (with([1, 1, 1], 32), Err(Unusable::PkixUsage(1))),
        (with([4, 1, 1], 32), Err(Unusable::Usage(4))),
        (with([255, 1, 1], 32), Err(Unusable::Usage(255))),
        (with([3, 2, 1], 32), Err(Unusable::Selector(2))),
        (with([3, 1, 3], 32), Err(Unusable::MatchingType(3))),
        (with([3, 1, 1], 31), size(32, 31)),
        (with([3, 1, 1], 64), size(32, 64)),
        (with([3, 1, 2], 32), size(64, 32)),
        (with([3, 1, 1], 0), size(32, 0)),
        (with([3, 0, 0], 300), Err(Unusable::NoCertificate)),
        (with([3, 1, 0], 0), Err(Unusable::NoPublicKey)),
    ];
    for (record, expected) in cases {
        assert_eq!(record.parameters(), expected, "{record}");
    }
}

#[test]
fn whole_certificates_and_keys_are_told_apart() {
    let pki = Pki::new();
    assert!(record([2, 0, 0], pki.root()).parameters().is_ok());
    assert!(record([2, 1, 0], pki.root()).parameters().is_ok());
    let swapped = TlsaRecord { selector: 0, ..record([2, 1, 0], pki.root()) };
    assert_eq!(swapped.parameters(), Err(Unusable::NoCertificate));
    let swapped = TlsaRecord { selector: 1, ..record([2, 0, 0], pki.root()) };
    assert_eq!(swapped.parameters(), Err(Unusable::NoPublicKey));
    let mut cut = record([2, 0, 0], pki.root());
    cut.data.pop();
    assert_eq!(cut.parameters(), Err(Unusable::NoCertificate));
}

#[test]
fn texts_that_are_no_record_are_rejected() {
    for text in ["", "3 1", "3 1 1 a", "3 1 1 xx", "256 1 1 aa", "a 1 1 aa", "3 1 1 é"] {
        assert_eq!(text.parse::<TlsaRecord>(), Err(ParseError), "{text}");
    }
    assert_eq!(
        "3 1 1 AB cd".parse(),
        Ok(TlsaRecord { usage: 3, selector: 1, matching_type: 1, data: vec![0xab, 0xcd] })
    );
}

proptest! {
    #[test]
    fn a_printed_record_reads_back(numbers in any::<[u8; 3]>(), data in vec(any::<u8>(), 0..80)) {
        let [usage, selector, matching_type] = numbers;
        let record = TlsaRecord { usage, selector, matching_type, data };
        prop_assert_eq!(record.to_string().parse(), Ok(record));
    }

    #[test]
    fn nothing_makes_it_panic(
        records in vec((0..5_u8, 0..3_u8, 0..4_u8, vec(any::<u8>(), 0..70)), 0..6),
        chain in vec(vec(any::<u8>(), 0..60), 0..4),
        text in ".{0,40}",
    ) {
        let _ = text.parse::<TlsaRecord>();
        let records: Vec<_> = records
            .into_iter()
            .map(|(usage, selector, matching_type, data)| TlsaRecord { usage, selector, matching_type, data })
            .collect();
        let matching = Matching::new(&records, &chain);
        prop_assert_eq!(matching.records.len(), records.len());
        let _ = matching.peer(&records, |_| false);
        let _ = matching.anchors(&[]);
        let _ = advice::fragile_records(&matching, &chain);
        let _ = advice::fragile_records::<Vec<u8>>(&matching, &[]);
        let _ = advice::unmatched_combinations(&matching);
    }
}
