//! The facts of odd certificates are what openssl prints of the same octets.

use std::process::Command;

use smtp_check::x509::{Certificate, CertificateFacts};
use time::format_description::well_known::Rfc3339;

use crate::support::{
    pki::{Ca, Leaf},
    temp_dir::TempDir,
};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = u16::try_from(content.len()).expect("a small certificate").to_be_bytes();
    let length = match size {
        [0, low] if low < 0x80 => vec![low],
        [0, low] => vec![0x81, low],
        both => [&[0x82], &both[..]].concat(),
    };
    [&[tag][..], &length, content].concat()
}

/// The fields of a certificate in DER; a test changes one of them.
struct Fields {
    version: Vec<u8>,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    not_before: Vec<u8>,
    not_after: Vec<u8>,
    subject: Vec<u8>,
    key: Vec<u8>,
    unique_ids: Vec<u8>,
    extensions: Vec<u8>,
}

/// RSA with SHA-256.
const ALGORITHM: &[u8] = &[SEQUENCE, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];

impl Fields {
    /// Those of a certificate in which nothing is odd, with the key of `leaf`.
    fn good(key: &[u8]) -> Self {
        Self {
            version: vec![0xa0, 3, INTEGER, 1, 2],
            serial: element(INTEGER, &[0x0a, 0xbc]),
            issuer: name(0x0c, b"CA"),
            not_before: element(UTC_TIME, b"200101000000Z"),
            not_after: element(UTC_TIME, b"400101000000Z"),
            subject: name(0x0c, b"mx.test"),
            key: key.to_vec(),
            unique_ids: Vec::new(),
            extensions: extensions(&[alternative_names(&[(0x82, b"mx.test")])]),
        }
    }

    fn der(&self) -> Vec<u8> {
        let validity = element(SEQUENCE, &[&self.not_before[..], &self.not_after].concat());
        let fields = [
            &self.version,
            &self.serial,
            ALGORITHM,
            &self.issuer,
            &validity,
            &self.subject,
            &self.key,
            &self.unique_ids,
            &self.extensions,
        ];
        let tbs = element(SEQUENCE, &fields.concat());
        element(SEQUENCE, &[&tbs[..], ALGORITHM, &element(BIT_STRING, &[0, 1, 2, 3])].concat())
    }
}

/// A name with one `commonName`, in this string type.
fn name(tag: u8, value: &[u8]) -> Vec<u8> {
    let attribute = [&[OBJECT_IDENTIFIER, 3, 85, 4, 3][..], &element(tag, value)].concat();
    element(SEQUENCE, &element(SET, &element(SEQUENCE, &attribute)))
}

fn extensions(all: &[Vec<u8>]) -> Vec<u8> {
    element(0xa3, &element(SEQUENCE, &all.concat()))
}

fn extension(number: u8, value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&[OBJECT_IDENTIFIER, 3, 85, 29, number][..], &element(OCTET_STRING, value)].concat())
}

fn alternative_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|(tag, content)| element(*tag, content)).collect();
    extension(17, &element(SEQUENCE, &names))
}

type Change = Box<dyn Fn(&mut Fields)>;

fn dates() -> Vec<(String, Change)> {
    let forms: [(u8, &str); 22] = [
        (UTC_TIME, "3708291005Z"),
        (UTC_TIME, "370829100529+0130"),
        (UTC_TIME, "3708291005-0130"),
        (UTC_TIME, "370829100529"),
        (UTC_TIME, "500829100529Z"),
        (UTC_TIME, "20370829100529Z"),
        (GENERALIZED_TIME, "20370829100529.123Z"),
        (GENERALIZED_TIME, "20370829100529.5+0100"),
        (GENERALIZED_TIME, "20370829100529.Z"),
        (GENERALIZED_TIME, "20370829100529+1000"),
        (GENERALIZED_TIME, "20370829100529+1300"),
        (GENERALIZED_TIME, "20370829100529"),
        (GENERALIZED_TIME, "203708291005Z"),
        (GENERALIZED_TIME, "203708291005.5Z"),
        (GENERALIZED_TIME, "2037082910Z"),
        (GENERALIZED_TIME, "20371329100529Z"),
        (GENERALIZED_TIME, "20370229100529Z"),
        (GENERALIZED_TIME, "20370829235960Z"),
        (GENERALIZED_TIME, "99991231235959-0100"),
        (GENERALIZED_TIME, "10000101000000Z"),
        (GENERALIZED_TIME, ""),
        (GENERALIZED_TIME, "no date"),
    ];
    let change = |(tag, text): (u8, &'static str)| {
        let change: Change = Box::new(move |fields| fields.not_after = element(tag, text.as_bytes()));
        (format!("notAfter {text}"), change)
    };
    forms.into_iter().map(change).collect()
}

fn serials() -> Vec<(String, Change)> {
    let numbers: [&[u8]; 7] = [&[0], &[1], &[0xff], &[0xff, 0], &[0x80], &[0, 0x80], &[0x11; 40]];
    let change = |number: &'static [u8]| {
        let change: Change = Box::new(move |fields| fields.serial = element(INTEGER, number));
        (format!("serial {number:02x?}"), change)
    };
    numbers.into_iter().map(change).collect()
}

fn names() -> Vec<(String, Change)> {
    let values: [(u8, &[u8]); 9] = [
        (0x0c, "Müller, \"邮件\" + #".as_bytes()),
        (0x13, b" mx "),
        (0x13, b"M\xfcller"),
        (0x14, b"M\xfcller"),
        (0x16, b"mx@test"),
        (0x12, b"12 3"),
        (0x1e, b"\0m\0x\x90\xae"),
        (0x1c, b"\0\0\0m\0\x01\xf4\xe7"),
        (0x0c, b""),
    ];
    let change = |(tag, value): (u8, &'static [u8])| {
        let change: Change = Box::new(move |fields| fields.subject = name(tag, value));
        (format!("subject {tag:#x} {}", String::from_utf8_lossy(value)), change)
    };
    let mut all: Vec<_> = values.into_iter().map(change).collect();
    all.push(("no subject".to_owned(), Box::new(|fields| fields.subject = element(SEQUENCE, &[]))));
    all.push((
        "an unknown attribute".to_owned(),
        Box::new(|fields| {
            let attribute = [&[OBJECT_IDENTIFIER, 3, 42, 3, 4][..], &element(0x0c, b"x")].concat();
            fields.subject = element(SEQUENCE, &element(SET, &element(SEQUENCE, &attribute)));
        }),
    ));
    all
}

fn others() -> Vec<(String, Change)> {
    let all: [(&str, Change); 7] = [
        ("version 1 with extensions", Box::new(|fields| fields.version = Vec::new())),
        ("unique identifiers", Box::new(|fields| fields.unique_ids = vec![0x81, 2, 0, 1, 0x82, 2, 0, 2])),
        (
            "a repeated extension",
            Box::new(|fields| {
                let names = alternative_names(&[(0x82, b"mx.test")]);
                fields.extensions = extensions(&[names, extension(14, &[4, 1, 1]), extension(14, &[4, 1, 2])]);
            }),
        ),
        (
            "an unreadable key usage",
            Box::new(|fields| {
                let names = alternative_names(&[(0x82, b"mx.test")]);
                fields.extensions = extensions(&[extension(15, &[4, 1, 1]), names]);
            }),
        ),
        (
            "many kinds of names",
            Box::new(|fields| {
                let names: [(u8, &[u8]); 4] = [
                    (0x82, b"*.mx.test"),
                    (0x81, b"postmaster@mx.test"),
                    (0x86, b"smtp://mx.test"),
                    (0x87, &[192, 0, 2, 7]),
                ];
                fields.extensions = extensions(&[alternative_names(&names)]);
            }),
        ),
        ("no extensions", Box::new(|fields| fields.extensions = Vec::new())),
        (
            "a key of an unknown algorithm",
            Box::new(|fields| fields.key = vec![0x30, 10, 0x30, 4, 6, 2, 42, 3, 3, 2, 0, 1]),
        ),
    ];
    all.into_iter().map(|(what, change)| (what.to_owned(), change)).collect()
}

#[test]
fn facts_of_odd_certificates_match_openssl() {
    let scratch = TempDir::new();
    let leaf = Ca::new("a key").issue(Leaf::for_name("mx.test"));
    let key = Certificate::from_der(&leaf.chain[0]).expect("a good certificate").raw_public_key();
    for (what, change) in [dates(), serials(), names(), others()].into_iter().flatten() {
        let mut fields = Fields::good(key);
        change(&mut fields);
        let der = fields.der();
        let facts = Certificate::from_der(&der).unwrap_or_else(|error| panic!("{what}: {error}")).facts();
        let printed = printed(&scratch, &der, FACTS).unwrap_or_else(|| panic!("{what}: openssl cannot read it"));
        assert_eq!(as_openssl(&facts), printed, "{what}");
        let names = names_by_openssl(&scratch, &der);
        let is_there = facts.names.iter().all(|name| names.contains(&format!(":{name}")));
        let count = names.split(", ").filter(|name| !name.is_empty()).count();
        assert!(is_there && count == facts.names.len(), "{what}: {names}");
    }
}

#[test]
fn facts_of_the_fuzz_corpus_match_openssl() {
    // Bidi marks are escaped, an object identifier of 2 KiB is in hex, and BER is not made DER for the fingerprint.
    const SHOWN_OTHERWISE: [&str; 3] = ["terminal-tricks", "long-oid", "indefinite-length"];
    let scratch = TempDir::new();
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/certificate");
    let mut compared = 0;
    for entry in std::fs::read_dir(corpus).expect("a folder") {
        let path = entry.expect("a file").path();
        let what = path.file_name().expect("a name").display().to_string();
        let der = std::fs::read(&path).expect("a file");
        let Some(printed) = printed(&scratch, &der, FACTS).filter(|_| !SHOWN_OTHERWISE.contains(&what.as_str())) else {
            continue;
        };
        let facts = Certificate::from_der(&der).unwrap_or_else(|error| panic!("{what}: {error}")).facts();
        assert_eq!(as_openssl(&facts), printed, "{what}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared} certificates of the corpus");
}

/// The lines of [`as_openssl`], names as in RFC 4514.
const FACTS: &str = "-subject -issuer -serial -startdate -enddate -fingerprint -sha256 -dateopt iso_8601 -nameopt \
                     sname,sep_comma_plus_space,esc_2253,esc_ctrl,utf8,dump_nostr,dump_der";

/// What openssl prints of a certificate; `None` if it cannot read it.
fn printed(scratch: &TempDir, der: &[u8], what: &str) -> Option<String> {
    scratch.write("odd.der", der);
    let output = Command::new("openssl")
        .current_dir(scratch.path())
        .args("x509 -in odd.der -inform DER -noout".split_ascii_whitespace())
        .args(what.split_ascii_whitespace())
        .output()
        .expect("these tests need the openssl command");
    // Long serial numbers are wrapped.
    let text = String::from_utf8_lossy(&output.stdout).replace("\\\n", "");
    output.status.success().then_some(text)
}

/// The subject alternative names in one line: `DNS:…, IP Address:…`.
fn names_by_openssl(scratch: &TempDir, der: &[u8]) -> String {
    let text = printed(scratch, der, "-ext subjectAltName").unwrap_or_default();
    text.lines().nth(1).unwrap_or_default().trim().to_owned()
}

/// The facts in openssl's lines.
fn as_openssl(facts: &CertificateFacts) -> String {
    let date = |date: Option<time::OffsetDateTime>| match date {
        Some(date) => date.format(&Rfc3339).expect("a year of four digits").replace('T', " "),
        None => "Bad time value".to_owned(),
    };
    let serial = facts.serial.to_uppercase();
    let digest = facts.fingerprint_sha256.to_uppercase();
    let digest: Vec<_> = (0..digest.len()).step_by(2).map(|at| &digest[at..at + 2]).collect();
    format!(
        "subject={}\nissuer={}\nserial={serial}\nnotBefore={}\nnotAfter={}\nsha256 Fingerprint={}\n",
        facts.subject,
        facts.issuer,
        date(facts.not_before),
        date(facts.not_after),
        digest.join(":"),
    )
}
