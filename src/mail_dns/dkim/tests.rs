use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;
use crate::mail_dns::{Outcome, tag_list::TagFaultKind, txt::testing::*};

const ED25519: &str = "+aS64Mw1cIKaW7ZVSRe6Z4Bo5xxhhCuRshxpbnx3T+o=";
const ED25519_WRAPPED: &str = "MCowBQYDK2VwAyEA+aS64Mw1cIKaW7ZVSRe6Z4Bo5xxhhCuRshxpbnx3T+o=";
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE74sEuQv8eZXoutrXTlfDSROq7g8mCee4sDtxTXz4CLyIpIeSnw4B19HWT+BP\
                    yhTmKHIj68khqcuVMDgRAVSIDg==";

/// One element in DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = u16::try_from(content.len()).expect("a short element").to_be_bytes();
    let length: &[u8] = match size {
        [0, short @ 0..0x80] => &[short],
        [0, long] => &[0x81, long],
        [high, low] => &[0x82, high, low],
    };
    [&[tag], length, content].concat()
}

/// An RSAPublicKey with a modulus of this size.
fn bare(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff >> (modulus.len() * 8 - bits);
    if bits.is_multiple_of(8) {
        modulus.insert(0, 0);
    }
    element(0x30, &[element(2, &modulus), vec![2, 3, 1, 0, 1]].concat())
}

/// The same in a SubjectPublicKeyInfo.
fn wrapped(bits: usize) -> Vec<u8> {
    const ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    element(0x30, &[&ALGORITHM[..], &element(3, &[&[0], &bare(bits)[..]].concat())].concat())
}

fn rsa(bits: usize) -> String {
    STANDARD.encode(wrapped(bits))
}

fn parse(record: &str) -> (Option<KeyRecord>, Vec<Fault>) {
    KeyRecord::parse(record.as_bytes())
}

fn key(record: &str) -> KeyRecord {
    match parse(record) {
        (Some(key), faults) if faults.is_empty() => key,
        other => panic!("{record}: {other:?}"),
    }
}

#[test]
fn kind_and_size_of_a_key_are_read() {
    let cases = [
        (format!("v=DKIM1; k=rsa; p={}", rsa(2048)), "RSA 2048"),
        (format!("v=DKIM1; p={};", rsa(2047)), "RSA 2047"),
        (format!("p={}", rsa(4096)), "RSA 4096"),
        (format!("v=DKIM1; p={}", STANDARD.encode(bare(1024))), "RSA 1024"),
        (format!("v=DKIM1; k=ed25519; p={ED25519}"), "Ed25519"),
        ("v=DKIM1; p=".to_owned(), "revoked"),
        ("v=DKIM1; k=ed25519; p= ;".to_owned(), "revoked"),
        (format!("v=DKIM1; n=\"notes\"; x=unknown; p={}", rsa(1024)), "RSA 1024"),
    ];
    for (record, expected) in cases {
        assert_eq!(key(&record).public_key.to_string(), expected, "{record}");
    }
}

/// A key that OpenSSL made, in both forms.
#[test]
fn both_forms_of_an_rsa_key_are_read() {
    const WRAPPED: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCthAq8on7ugqa0rYn44pk9tDEpFNMzzENKP0FVORQpIIutXwQM/\
        WKPxJZtLAcG67kgfxrigw1kKGn+DEnHOvTifuwRs3G6mVkYEVxIxP/4bzVmdf9j4ATpuyXwkPrRwaEfSRC1uXaCWPX414g7AnoHehMjlD67b\
        jsfuxnbAQBbQwIDAQAB";
    const BARE: &str = "MIGJAoGBAK2ECryifu6CprStifjimT20MSkU0zPMQ0o/QVU5FCkgi61fBAz9Yo/Elm0sBwbruSB/GuKDDWQoaf4MScc69\
        OJ+7BGzcbqZWRgRXEjE//hvNWZ1/2PgBOm7JfCQ+tHBoR9JELW5doJY9fjXiDsCegd6EyOUPrtuOx+7GdsBAFtDAgMBAAE=";
    for text in [WRAPPED, BARE] {
        assert_eq!(key(&format!("v=DKIM1; p={text}")).public_key, PublicKey::Rsa { bits: 1024 });
        assert!(key(&format!("v=DKIM1; p={}", text.replace("AQ", " AQ "))).octets.len() > 128);
    }
}

#[test]
fn the_base64_may_be_folded_and_without_padding() {
    let text = rsa(1024);
    let folded: String =
        text.as_bytes().chunks(60).map(|line| format!("{}\r\n\t ", String::from_utf8_lossy(line))).collect();
    let expected = key(&format!("v=DKIM1; p={text}"));
    assert_eq!(key(&format!("v=DKIM1; p={folded}")), expected);
    assert_eq!(key(&format!("v=DKIM1; p={}", text.trim_end_matches('='))), expected);
}

#[test]
fn flags_hashes_and_services_are_read() {
    let plain = key(&format!("v=DKIM1; p={}", rsa(2048)));
    assert!(!plain.is_testing && !plain.is_strict);
    assert_eq!(plain.hashes, Hashes::Any);
    let full = key(&format!("v=DKIM1; h = sha1 : sha256 ; s=email:x; t= y : s :z; p={}", rsa(2048)));
    assert!(full.is_testing && full.is_strict);
    assert_eq!(full.hashes, Hashes::Named { sha1: true, sha256: true });
    let strict = key(&format!("v=DKIM1; h=sha256; s=*; t=s; p={}", rsa(2048)));
    assert!(!strict.is_testing && strict.is_strict);
}

#[test]
fn weak_keys_end_where_strong_ones_begin() {
    let cases = [
        (format!("p={}", rsa(1023)), vec![Weakness::TooShort(1023)]),
        (format!("p={}", rsa(1024)), vec![Weakness::Short(1024)]),
        (format!("p={}", rsa(2047)), vec![Weakness::Short(2047)]),
        (format!("p={}", rsa(2048)), vec![]),
        (format!("h=sha1; p={}", rsa(2048)), vec![Weakness::Sha1Only]),
        (format!("h=sha1:sha256; p={}", rsa(2048)), vec![]),
        (format!("h=sha1; p={}", rsa(512)), vec![Weakness::TooShort(512), Weakness::Sha1Only]),
        (format!("k=ed25519; p={ED25519}"), vec![]),
        ("p=".to_owned(), vec![]),
    ];
    for (record, expected) in cases {
        assert_eq!(key(&record).weaknesses(), expected, "{record}");
    }
}

#[test]
fn each_fault_of_a_record_is_named() {
    let good = rsa(1024);
    let ed25519 = "k=ed25519;";
    let cases = [
        (format!("k=rsa; v=DKIM1; p={good}"), Fault::VersionNotFirst(7)),
        (format!("v=DKIM2; p={good}"), Fault::Version("DKIM2".into())),
        (format!("v=dkim1; p={good}"), Fault::Version("dkim1".into())),
        (format!("v=DKIM1; k=RSA; p={good}"), Fault::KeyType("RSA".into())),
        ("v=DKIM1; k=rsa".to_owned(), Fault::NoKey),
        (format!("v=DKIM1; p=#{good}"), Fault::Base64(11)),
        ("v=DKIM1; p=QUJ=QUJD".to_owned(), Fault::Base64(14)),
        ("v=DKIM1; p=QUJD=A==".to_owned(), Fault::Base64(15)),
        ("v=DKIM1; p=====".to_owned(), Fault::Base64Length(4)),
        ("v=DKIM1; p=QUJDR".to_owned(), Fault::Base64Length(5)),
        ("v=DKIM1; p=QUJD".to_owned(), Fault::NotRsa),
        (format!("v=DKIM1; p={P256}"), Fault::NotRsa),
        (format!("v=DKIM1; p={ED25519}"), Fault::Ed25519AsRsa),
        (format!("{ed25519} p={ED25519_WRAPPED}"), Fault::Ed25519Wrapped),
        (format!("{ed25519} p=QUJD"), Fault::Ed25519Length(3)),
        (format!("{ed25519} p={good}"), Fault::Ed25519Wrapped),
        (format!("v=DKIM1; h=md5; p={good}"), Fault::NoKnownHash("md5".into())),
        (format!("v=DKIM1; s=tlsrpt; p={good}"), Fault::NotForMail("tlsrpt".into())),
        (format!("\"v=DKIM1; \" \"p={good}\""), Fault::Quote(0)),
        (format!("v=DKIM1\\; p={good}"), Fault::Backslash(7)),
    ];
    for (record, fault) in cases {
        assert_eq!(parse(&record).1, [fault], "{record}");
    }
}

#[test]
fn faults_of_the_tag_list_make_a_record_invalid() {
    let good = rsa(1024);
    let cases = [
        (format!("v=DKIM1; k=rsa; k=rsa; p={good}"), TagFaultKind::Duplicate("k".into())),
        (format!("v=DKIM1; nonsense; p={good}"), TagFaultKind::NoEquals),
    ];
    for (record, kind) in cases {
        let (key, faults) = parse(&record);
        assert!(key.is_some());
        assert!(matches!(&faults[..], [Fault::Tags(fault)] if fault.kind == kind), "{faults:?}");
    }
}

#[test]
fn a_key_that_was_cut_is_told_apart_from_one_that_is_wrong() {
    let record = format!("v=DKIM1; k=rsa; p={}", rsa(2048));
    let expected = wrapped(2048).len();
    for size in [252, 253, 254, 255] {
        let (key, faults) = parse(&record[..size]);
        let is_cut =
            matches!(faults[..], [Fault::Truncated { expected: e, record: r, .. }] if e == expected && r == size);
        assert!(key.is_none() && is_cut, "{size}: {faults:?}");
    }
}

#[test]
fn each_answer_has_its_state() {
    let good = format!("v=DKIM1; p={}", rsa(2048));
    let (start, end) = good.split_at(255);
    let cases: [(Answer, State, &[Fault]); 10] = [
        (answer(&[&good]), State::Ok, &[]),
        (answer(&["v=DKIM1; p="]), State::Ok, &[]),
        (empty(Outcome::NoName), State::Absent, &[]),
        (empty(Outcome::NoData), State::Absent, &[]),
        (empty(Outcome::Failed(LookupFailure::Refused)), State::Inconclusive, &[]),
        (answer(&["v=spf1 -all"]), State::Absent, &[]),
        (answer(&["v=DMARC1; p=none"]), State::Absent, &[]),
        (answer(&[&good, &good]), State::Invalid, &[Fault::Multiple(2)]),
        (answer(&[&good, "v=spf1 -all"]), State::Invalid, &[Fault::Multiple(2)]),
        (
            answer(&[start, end]),
            State::Invalid,
            &[Fault::Pieces(1), Fault::Truncated { expected: wrapped(2048).len(), found: 183, record: 255 }],
        ),
    ];
    for (answer, state, faults) in cases {
        let selector = Selector::read(&answer);
        assert_eq!((selector.state, &selector.faults[..]), (state, faults), "{answer:?}");
    }
}

#[test]
fn ed25519_needs_an_rsa_key_beside_it() {
    let read = |record: &str| Selector::read(&answer(&[record]));
    let rsa = read(&format!("p={}", rsa(2048)));
    let ed25519 = read(&format!("k=ed25519; p={ED25519}"));
    let revoked = read("p=");
    let broken = read("p=QUJD");
    assert!(is_ed25519_only([&ed25519]));
    assert!(is_ed25519_only([&ed25519, &revoked, &broken]));
    assert!(!is_ed25519_only([&ed25519, &rsa]));
    assert!(!is_ed25519_only([&rsa]));
    assert!(!is_ed25519_only([&revoked]));
    assert!(!is_ed25519_only([]));
}

#[test]
fn names_of_questions_are_those_of_the_rfc() {
    assert_eq!(question("s1", "example.com").name, "s1._domainkey.example.com");
    assert_eq!(question_for_any("example.com").name, "_domainkey.example.com");
}

#[test]
fn large_records_are_bounded() {
    let large = format!("v=DKIM1; k={}; p={}", "x".repeat(30_000), "A".repeat(30_000));
    let selector = Selector::read(&answer(&vec![large.as_str(); 50]));
    assert!(selector.records.len() <= 20 && selector.records.iter().all(|record| record.len() < 5000));
    assert!(selector.faults.iter().all(|fault| fault.to_string().len() < 200));
}

proptest! {
    #[test]
    fn no_record_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeyRecord::parse(&octets);
        let _ = judge(&[&octets, b"p="]);
    }

    #[test]
    fn no_list_of_tags_makes_it_panic(text in "([vkphstn]=(DKIM1|rsa|ed25519|[A-Za-z0-9+/= :]{0,20});? ?){0,6}") {
        let _ = KeyRecord::parse(text.as_bytes());
    }

    #[test]
    fn a_printed_key_reads_back(
        bits in 512..4097_usize,
        hashes in prop_oneof![
            Just(Hashes::Any),
            Just(Hashes::Named { sha1: true, sha256: false }),
            Just(Hashes::Named { sha1: false, sha256: true }),
            Just(Hashes::Named { sha1: true, sha256: true }),
        ],
        is_testing in any::<bool>(),
        is_strict in any::<bool>(),
    ) {
        let record = KeyRecord {
            key_type: KeyType::Rsa,
            public_key: PublicKey::Rsa { bits },
            octets: wrapped(bits),
            hashes,
            is_testing,
            is_strict,
        };
        prop_assert_eq!(key(&record.to_string()), record);
    }
}
