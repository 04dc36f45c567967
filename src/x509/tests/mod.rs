//! The facts of certificates, compared with how they were made. Those of odd certificates are in [`odd`].

mod odd;

use proptest::prelude::*;
use rcgen::{
    CertificateParams, CustomExtension, DnType, DnValue, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, PKCS_RSA_SHA256, SanType, SerialNumber, date_time_ymd,
};
use time::macros::datetime;

use super::*;

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn der(params: &CertificateParams) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("good parameters");
    certificate.der().to_vec()
}

fn facts(params: &CertificateParams) -> CertificateFacts {
    let der = der(params);
    Certificate::from_der(&der).expect("a good certificate").facts()
}

#[test]
fn facts_are_read_from_the_certificate() {
    let mut params = params(&["mx.test", "*.example", "192.0.2.1", "2001:db8::1"]);
    params.subject_alt_names.extend([
        SanType::Rfc822Name("postmaster@mx.test".try_into().expect("ASCII")),
        SanType::URI("https://mx.test/".try_into().expect("ASCII")),
    ]);
    let name = &mut params.distinguished_name;
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "Example, Inc.");
    name.push(DnType::CommonName, "mx.test");
    params.not_before = date_time_ymd(2024, 2, 3);
    params.not_after = date_time_ymd(2050, 4, 5);
    params.serial_number = Some(SerialNumber::from(vec![0x0f, 0xab, 0x00, 0x01]));
    let bytes = der(&params);
    let facts = Certificate::from_der(&bytes).expect("a good certificate").facts();
    let fingerprint = digest(&SHA256, &bytes);
    assert_eq!(
        facts,
        CertificateFacts {
            subject: "C=US, O=Example\\, Inc., CN=mx.test".to_owned(),
            issuer: "C=US, O=Example\\, Inc., CN=mx.test".to_owned(),
            names: ["mx.test", "*.example", "192.0.2.1", "2001:db8::1", "postmaster@mx.test", "https://mx.test/",]
                .map(str::to_owned)
                .to_vec(),
            not_before: Some(datetime!(2024-02-03 0:00 UTC)),
            not_before_as_written: "240203000000Z".to_owned(),
            not_after: Some(datetime!(2050-04-05 0:00 UTC)),
            not_after_as_written: "20500405000000Z".to_owned(),
            serial: "0fab0001".to_owned(),
            fingerprint_sha256: text::hex(fingerprint.as_ref()),
            key: "ECDSA P-256".to_owned(),
            signature_algorithm: "ECDSA with SHA-256".to_owned(),
            on_path: false,
        }
    );
    let json = serde_json::to_value(&facts).expect("plain data");
    assert_eq!(json["not_after"], "2050-04-05T00:00:00Z");
}

#[test]
fn hostile_text_is_escaped() {
    let cases = [
        ("a\r\nb", "CN=a\\0D\\0Ab"),
        ("a\0b", "CN=a\\00b"),
        ("\u{1b}[31m", "CN=\\1B[31m"),
        ("a\u{202e}b", "CN=a\\E2\\80\\AEb"),
        ("x, CN=mx.test", "CN=x\\, CN=mx.test"),
        (" a ", "CN=\\ a\\ "),
        ("#1", "CN=\\#1"),
        ("Müller 邮件", "CN=Müller 邮件"),
        ("", "CN="),
    ];
    for (value, expected) in cases {
        let mut params = params(&[]);
        let value = DnValue::Utf8String(value.to_owned());
        params.distinguished_name.push(DnType::CommonName, value);
        assert_eq!(facts(&params).subject, expected);
    }
    let mut params = params(&[]);
    let value = DnValue::BmpString("mx ü".try_into().expect("in the plane"));
    params.distinguished_name.push(DnType::CommonName, value);
    params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x");
    assert_eq!(facts(&params).subject, "CN=mx ü, 1.2.3.4=x");
}

#[test]
fn rare_and_invalid_names_are_shown() {
    // GeneralNames: dNSName "a\n", iPAddress of 3 bytes, dNSName that is not UTF-8, registeredID 1.2.3.
    let content = vec![0x30, 18, 0x82, 2, b'a', b'\n', 0x87, 3, 1, 2, 3, 0x82, 3, b'x', 0xff, b'y', 0x88, 2, 42, 3];
    let mut params = params(&["mx.test"]);
    let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
    params.custom_extensions.push(second);
    assert_eq!(facts(&params).names, ["mx.test", "a\\0A", "iPAddress:010203", "x\u{fffd}y", "registeredID:1.2.3"]);
}

#[test]
fn keys_have_names() {
    let cases = [
        (&PKCS_ECDSA_P256_SHA256, "ECDSA P-256"),
        (&PKCS_ECDSA_P384_SHA384, "ECDSA P-384"),
        (&PKCS_ED25519, "Ed25519"),
        (&PKCS_RSA_SHA256, "RSA 2048"),
    ];
    for (algorithm, expected) in cases {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = params(&[]).self_signed(&key).expect("good parameters");
        let certificate = Certificate::from_der(certificate.der()).expect("good");
        assert_eq!(certificate.key(), expected);
    }
}

/// An AlgorithmIdentifier or its parameters.
fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    odd::element(element::SEQUENCE, &parts.concat())
}

#[test]
fn pss_is_told_with_its_mask_generation_and_its_trailer() {
    let hash = |last: u8| sequence(&[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last], &[5, 0]]);
    let mgf1: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
    let mgf = |id: &[u8], last: u8| odd::element(0xa1, &sequence(&[id, &hash(last)]));
    let (sha256, salt, trailer) = (odd::element(0xa0, &hash(1)), [0xa2, 3, 2, 1, 32], [0xa3, 3, 2, 1, 2]);
    let id: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    let cases: [(&[&[u8]], &str); 6] = [
        (&[&sha256, &mgf(mgf1, 1), &salt], "RSA-PSS with SHA-256 and a salt of 32 octets"),
        (&[&sha256, &mgf(mgf1, 2), &salt], "RSA-PSS with SHA-256, MGF1 with SHA-384 and a salt of 32 octets"),
        (&[&sha256, &salt], "RSA-PSS with SHA-256, MGF1 with SHA-1 and a salt of 32 octets"),
        (&[&sha256, &mgf(mgf1, 1), &salt, &trailer], "RSA-PSS with SHA-256 and a salt of 32 octets and the trailer 2"),
        (
            &[&sha256, &mgf(&[6, 2, 42, 3], 1), &salt],
            "RSA-PSS with SHA-256, mask generation by 1.2.3 and a salt of 32 octets",
        ),
        (&[], "RSA-PSS with SHA-1 and a salt of 20 octets"),
    ];
    for (parameters, expected) in cases {
        let der = sequence(&[id, &sequence(parameters)]);
        assert_eq!(algorithm::describe(&der).as_deref(), Some(expected));
    }
}

#[test]
fn a_curve_that_is_written_out_is_told_by_its_size() {
    // id-ecPublicKey { version 1, field, ... }, and a point.
    let key = |field: &[u8]| {
        let parameters = sequence(&[&[2, 1, 1], field, &[4, 60], &[7; 60]]);
        let algorithm = sequence(&[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], &parameters]);
        sequence(&[&algorithm, &[3, 3, 0, 4, 1]])
    };
    let prime = [&[2, 33, 0, 0xff][..], &[1; 31]].concat();
    let field = sequence(&[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 1], &prime]);
    assert_eq!(describe_key(&key(&field)).0, "ECDSA with explicit parameters (256 bits)");
    // A field of characteristic two.
    let field = sequence(&[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 2], &sequence(&[])]);
    assert_eq!(describe_key(&key(&field)).0, "ECDSA with explicit parameters");
}

#[test]
fn serial_numbers_are_as_openssl_prints_them() {
    let cases: [(&[u8], &str); 8] = [
        (&[], "00"),
        (&[0], "00"),
        (&[1], "01"),
        (&[0, 0x80], "80"),
        (&[0x0a, 0xbc], "0abc"),
        (&[0xff], "-01"),
        (&[0xff, 0x00], "-0100"),
        (&[0x80], "-80"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(serial_hex(bytes), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(certificate) = Certificate::from_der(&bytes) {
            prop_assert!(certificate.facts().fingerprint_sha256.len() == 64);
        }
    }

    #[test]
    fn a_changed_certificate_is_parsed_without_a_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = SAMPLE.with(Clone::clone);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(certificate) = Certificate::from_der(&bytes) {
            let facts = certificate.facts();
            prop_assert!(facts.subject.chars().all(|character| !character.is_control()));
            prop_assert!(facts.names.iter().flat_map(|name| name.chars()).all(|character| !character.is_control()));
            prop_assert!(serde_json::to_string(&facts).is_ok());
            let _ = (certificate.signed().is_some(), describe_key(&certificate.public_key_der()));
        }
    }
}

thread_local! {
    static SAMPLE: Vec<u8> = {
        let mut params = params(&["mx.test", "192.0.2.1"]);
        params.distinguished_name.push(DnType::CommonName, "mx.test");
        params.not_after = date_time_ymd(2055, 1, 1);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(1));
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        der(&params)
    };
}

#[test]
fn teletex_strings_are_latin_1() {
    // SEQUENCE { SET { SEQUENCE { commonName, T61String "M\u{fc}ller" } } }
    let name = [&[0x30, 17, 0x31, 15, 0x30, 13, 6, 3, 85, 4, 3, 0x14, 6][..], b"M\xfcller"].concat();
    assert_eq!(text::distinguished_name(&name[2..]), "CN=M\u{fc}ller");
}
