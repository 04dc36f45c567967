//! Certificates with a part that cannot be read, or that is in a form that nobody expects: the other facts are there.

use super::*;

/// A DER element of up to 255 octets.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = u8::try_from(content.len()).expect("a short element");
    let long: &[u8] = if size > 0x7f { &[0x81] } else { &[] };
    [&[tag], long, &[size], content].concat()
}

/// The elements with `new` in the place of `old`, which lies in them, and the lengths around it corrected. The lengths
/// are not the shortest, which is BER.
fn replaced(octets: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    if octets.as_ptr_range() == old.as_ptr_range() {
        return new.to_vec();
    }
    let (elements, rest) = element::all(octets);
    let one = |element: &Element<'_>| {
        if !element.raw.as_ptr_range().contains(&old.as_ptr()) {
            return element.raw.to_vec();
        }
        if element.raw.as_ptr_range() == old.as_ptr_range() {
            return new.to_vec();
        }
        let content = replaced(element.content, old, new);
        let size = u16::try_from(content.len()).expect("a small certificate").to_be_bytes();
        [&[element.tag, 0x82], &size[..], &content].concat()
    };
    let mut out: Vec<u8> = elements.iter().flat_map(one).collect();
    out.extend(rest);
    out
}

/// A change of one part of a good certificate.
struct Case {
    what: &'static str,
    new: Vec<u8>,
    /// The facts after the change.
    expected: fn(CertificateFacts) -> CertificateFacts,
    /// What is said of it; empty if it is allowed.
    error: &'static str,
}

impl Case {
    fn new(what: &'static str, new: Vec<u8>, expected: fn(CertificateFacts) -> CertificateFacts) -> Self {
        Self { what, new, expected, error: "" }
    }

    fn with_error(self, error: &'static str) -> Self {
        Self { error, ..self }
    }
}

/// Makes the changes to the part that `part` finds, and compares all facts.
#[track_caller]
fn assert_facts(part: for<'a> fn(&Certificate<'a>) -> &'a [u8], cases: Vec<Case>) {
    let good = SAMPLE.with(Clone::clone);
    let certificate = Certificate::from_der(&good).expect("a good certificate");
    assert_eq!((certificate.form_errors(), certificate.date_errors()), (Vec::new(), Vec::new()));
    for Case { what, new, expected, error } in cases {
        let odd = replaced(&good, part(&certificate), &new);
        let fingerprint_sha256 = text::hex(digest(&SHA256, &odd).as_ref());
        let odd = Certificate::from_der(&odd).unwrap_or_else(|error| panic!("{what}: {error}"));
        let facts = expected(certificate.facts());
        assert_eq!(odd.facts(), CertificateFacts { fingerprint_sha256, ..facts }, "{what}");
        let errors = [odd.form_errors(), odd.date_errors()].concat();
        let is_named = errors.iter().any(|one| !error.is_empty() && one.starts_with(error));
        assert!(is_named || error.is_empty() && errors.is_empty(), "{what}: {errors:?}");
    }
}

#[test]
fn an_odd_date_loses_only_itself() {
    let date = |written: &[u8]| element(element::GENERALIZED_TIME, written);
    assert_facts(
        |certificate| {
            let der = certificate.der();
            let place = der.windows(15).position(|window| window == b"20550101000000Z").expect("a GeneralizedTime");
            &der[place - 2..place + 15]
        },
        vec![
            Case::new("month 13", date(b"20551301000000Z"), |facts| CertificateFacts {
                not_after: None,
                not_after_as_written: "20551301000000Z".to_owned(),
                ..facts
            })
            .with_error("its notAfter is no date: `20551301000000Z`"),
            Case::new("an offset", date(b"20550101000000+0100"), |facts| CertificateFacts {
                not_after: Some(datetime!(2054-12-31 23:00 UTC)),
                not_after_as_written: "20550101000000+0100".to_owned(),
                ..facts
            })
            .with_error("its notAfter is written `20550101000000+0100`, a form that RFC 5280"),
            Case::new("control characters", date(b"\x1b[31m"), |facts| CertificateFacts {
                not_after: None,
                not_after_as_written: "\\1B[31m".to_owned(),
                ..facts
            })
            .with_error("its notAfter is no date: `\\1B[31m`"),
            Case::new("no notAfter", Vec::new(), |facts| CertificateFacts {
                not_after: None,
                not_after_as_written: String::new(),
                ..facts
            })
            .with_error("its notAfter is missing"),
        ],
    );
}

#[test]
fn an_odd_serial_number_loses_only_itself() {
    assert_facts(
        |certificate| certificate.parts.serial.expect("it is there").raw,
        vec![
            Case::new("negative", element(element::INTEGER, &[0xff]), |facts| CertificateFacts {
                serial: "-01".to_owned(),
                ..facts
            }),
            Case::new("40 octets", element(element::INTEGER, &[0x11; 40]), |facts| CertificateFacts {
                serial: "11".repeat(40),
                ..facts
            }),
            Case::new("another type", element(element::OCTET_STRING, &[0x0a]), |facts| CertificateFacts {
                serial: "0a".to_owned(),
                ..facts
            })
            .with_error("its serial number cannot be read"),
        ],
    );
}

#[test]
fn an_odd_name_loses_only_itself() {
    assert_facts(
        |certificate| certificate.parts.subject.expect("it is there").raw,
        vec![
            Case::new("an empty relative name", element(element::SEQUENCE, &element(element::SET, &[])), |facts| {
                CertificateFacts { subject: String::new(), ..facts }
            }),
            Case::new("no list of sets", element(element::SEQUENCE, &[5, 0, 0x0c]), |facts| CertificateFacts {
                subject: "#0500, #0c".to_owned(),
                ..facts
            })
            .with_error("its subject cannot be read"),
            // SET { SEQUENCE { commonName, INTEGER 1 } }
            Case::new(
                "a value of no string type",
                element(element::SEQUENCE, &[0x31, 10, 0x30, 8, 6, 3, 85, 4, 3, 2, 1, 1]),
                |facts| CertificateFacts { subject: "CN=#020101".to_owned(), ..facts },
            ),
        ],
    );
}

#[test]
fn an_odd_key_or_algorithm_loses_only_itself() {
    assert_facts(
        |certificate| certificate.raw_public_key(),
        vec![
            // SEQUENCE { SEQUENCE { 1.2.3 }, BIT STRING }
            Case::new(
                "an unknown algorithm",
                element(element::SEQUENCE, &[0x30, 4, 6, 2, 42, 3, 3, 2, 0, 1]),
                |facts| CertificateFacts { key: "1.2.3".to_owned(), ..facts },
            ),
            Case::new("no key", element(element::INTEGER, &[1]), |facts| CertificateFacts {
                key: "unreadable".to_owned(),
                ..facts
            })
            .with_error("its public key cannot be read"),
        ],
    );
    assert_facts(
        |certificate| certificate.parts.algorithm.expect("it is there").raw,
        vec![
            Case::new("no algorithm", element(element::SEQUENCE, &[5, 0]), |facts| CertificateFacts {
                signature_algorithm: "unreadable".to_owned(),
                ..facts
            })
            .with_error("its signature algorithm cannot be read"),
        ],
    );
}

#[test]
fn names_that_cannot_be_told_apart_do_not_hide_the_others() {
    // Two dNSNames, and one whose length is beyond the end.
    let content = CustomExtension::from_oid_content(&[2, 5, 29, 17], b"\x30\x09\x82\x01a\x82\x01b\x82\x09c".to_vec());
    let mut params = params(&[]);
    params.custom_extensions.push(content);
    let der = der(&params);
    let certificate = Certificate::from_der(&der).expect("a certificate");
    assert_eq!(certificate.names(), ["a", "b"]);
    assert_eq!(certificate.unreadable_extensions(), ["subjectAltName (2.5.29.17)"]);
}

#[test]
fn octets_around_a_certificate_are_named() {
    let mut der = SAMPLE.with(Clone::clone);
    let facts = Certificate::from_der(&der).expect("a good certificate").facts();
    der.extend(b"more");
    let certificate = Certificate::from_der(&der).expect("it begins like a certificate");
    assert_eq!(certificate.facts(), facts);
    assert_eq!(certificate.form_errors(), ["there are octets after its end that cannot be read"]);
}

#[test]
fn an_indefinite_length_is_read() {
    let der = SAMPLE.with(Clone::clone);
    let facts = Certificate::from_der(&der).expect("a good certificate").facts();
    // SEQUENCE, a length of two octets, and the content.
    assert_eq!(der[..2], [0x30, 0x82]);
    let ber = [&[0x30, 0x80], &der[4..], &[0, 0]].concat();
    let found = Certificate::from_der(&ber).expect("BER").facts();
    assert_eq!(CertificateFacts { fingerprint_sha256: facts.fingerprint_sha256.clone(), ..found }, facts);
}

#[test]
fn names_that_are_not_well_formed_are_not_the_same() {
    // SET { SEQUENCE { commonName, UTF8String } }
    let name = |value: &[u8]| element(element::SET, &element(element::SEQUENCE, &[&[6, 3, 85, 4, 3], value].concat()));
    let (one, other) = (name(b"\x0c\x02a\xfe"), name(b"\x0c\x02a\xff"));
    assert!(is_same_name(&one, &one) && !is_same_name(&one, &other));
    let (utf8, teletex) = (name("\x0c\x03A\u{e9}".as_bytes()), name(b"\x14\x02a\xe9"));
    assert!(is_same_name(&utf8, &teletex), "the same letter in UTF-8 and in ISO 8859-1");
    assert!(!is_same_name(&name(b"\x0c\x01a"), &name(b"\x04\x01a")), "an OCTET STRING is no text");
    assert!(!is_same_name(&name(b"\x12\x0212"), &name(b"\x0c\x09#12023132")), "hex is not what it stands for");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damage_to_one_part_leaves_the_facts_of_the_others(which in 0..7_usize, noise in any::<u64>()) {
        let mut der = SAMPLE.with(Clone::clone);
        let certificate = Certificate::from_der(&der).expect("a good certificate");
        let (before, parts) = (certificate.facts(), &certificate.parts);
        let contents = [parts.serial, parts.issuer, parts.subject, parts.key, parts.algorithm]
            .map(|part| part.expect("it is there").content);
        let names = parts.extensions.iter().find(|one| one.id == [0x55, 0x1d, 17]).expect("names").value;
        let date = der.windows(15).find(|window| window == b"20550101000000Z").expect("a GeneralizedTime");
        let damaged = [&contents[..], &[names, date]].concat()[which];
        let start = damaged.as_ptr().addr() - der.as_ptr().addr();
        let range = start..start + damaged.len();
        let mut random = noise | 1;
        for octet in &mut der[range] {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *octet = random.to_be_bytes()[0];
        }
        let mut after = Certificate::from_der(&der).expect("the parts are where they were").facts();
        after.fingerprint_sha256.clone_from(&before.fingerprint_sha256);
        match which {
            0 => after.serial.clone_from(&before.serial),
            1 => after.issuer.clone_from(&before.issuer),
            2 => after.subject.clone_from(&before.subject),
            3 => after.key.clone_from(&before.key),
            4 => after.signature_algorithm.clone_from(&before.signature_algorithm),
            5 => after.names.clone_from(&before.names),
            _ => {
                after.not_after = before.not_after;
                after.not_after_as_written.clone_from(&before.not_after_as_written);
            }
        }
        prop_assert_eq!(after, before);
    }
}
