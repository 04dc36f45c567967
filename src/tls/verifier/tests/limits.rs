//! What this program does not support is never said as a fact about the server, and is named with its certificate.

use rcgen::{DnType, DnValue, GeneralSubtree, NameConstraints};

use super::*;
use crate::tls::testing::ca_params;

/// The certificates that openssl makes are valid from now on.
fn tomorrow() -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::DAY
}

/// A root and a certificate for `mx.test` by it, with these options for the signature.
fn signed_by_openssl(key: &str, options: &str) -> Vec<CertificateProblem> {
    let folder = TempFolder::new();
    std::fs::write(folder.path().join("ext"), "subjectAltName=DNS:mx.test").expect("writable");
    folder.openssl(&format!("req -x509 -newkey {key} -nodes -keyout ca.key -out ca.pem -subj /CN=Root -days 36500"));
    folder.openssl("req -new -newkey rsa:2048 -nodes -keyout key.pem -out mx.csr -subj /CN=mx.test");
    folder.openssl(&format!(
        "x509 -req -in mx.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days 36500 -out mx.pem {options}"
    ));
    verify_at(tomorrow(), &[folder.certificate("ca.pem")], &[folder.certificate("mx.pem")], "mx.test")
}

#[test]
fn rsa_pss_with_the_usual_salts_is_verified() {
    for hash in ["sha256", "sha512"] {
        for salt in ["digest", "20", "max", "0"] {
            let options = format!("-{hash} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}");
            assert_kinds(&signed_by_openssl("rsa:2048", &options), &[]);
        }
    }
}

#[test]
fn signatures_that_cannot_be_verified_are_named() {
    let pss = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:7";
    let cases = [
        ("rsa:2048", pss, "RSA-PSS with SHA-256 and a salt of 7 octets with a key of RSA 2048"),
        ("rsa:2048", "-sha1", "RSA with SHA-1 with a key of RSA 2048"),
        ("rsa:1024", "-sha256", "RSA with SHA-256 with a key of RSA 1024"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "-sha256", "ECDSA with SHA-256 with a key of ECDSA secp256k1"),
    ];
    for (key, options, words) in cases {
        let problems = signed_by_openssl(key, options);
        assert_kinds(&problems, &[Kind::Unsupported]);
        let detail = &problems[0].detail;
        assert!(detail.starts_with("the certificate is signed by ") && detail.contains(words), "{detail}");
    }
}

#[test]
fn names_in_another_string_type_are_the_same_names() {
    let printable = |name: &str| {
        let mut params = ca_params("");
        params.distinguished_name = rcgen::DistinguishedName::new();
        let value = DnValue::PrintableString(name.try_into().expect("letters"));
        params.distinguished_name.push(DnType::CommonName, value);
        params
    };
    let root = Authority::new("Root");
    let trusted = [root.cross_signed(&printable("ROOT"), &root)];
    let direct = root.issue(&params("mx.test", &["mx.test"])).chain;
    assert_kinds(&verify(&trusted, &direct, "mx.test"), &[]);

    // webpki compares the names of issuers that are sent octet by octet.
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let sent = intermediate.cross_signed(&printable("Intermediate"), &root);
    let chain = intermediate.issue(&params("mx.test", &["mx.test"])).with([sent]).chain;
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Kind::Unsupported]);
    assert!(problems[0].detail.contains("in another form"), "{}", problems[0].detail);
}

#[test]
fn a_long_chain_is_a_limit() {
    let root = Authority::new("Root");
    let mut issuers = vec![Authority::below(ca_params("1"), &root)];
    for number in 2..=8 {
        let next = Authority::below(ca_params(&number.to_string()), &issuers[issuers.len() - 1]);
        issuers.push(next);
    }
    let leaf = issuers[7].issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with(issuers.iter().rev().map(Authority::der)).chain;
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Kind::Unsupported]);
    assert!(problems[0].detail.contains("more certificates"), "{}", problems[0].detail);
}

/// The problems of a certificate for `mx.test` whose issuer is changed.
fn with_issuer(change: impl Fn(&mut CertificateParams)) -> Vec<CertificateProblem> {
    let root = Authority::new("Root");
    let mut ca = ca_params("Intermediate");
    change(&mut ca);
    let intermediate = Authority::below(ca, &root);
    let chain = intermediate.issue(&params("mx.test", &["mx.test"])).with([intermediate.der()]).chain;
    verify(&[root.der()], &chain, "mx.test")
}

fn permitted(subtree: GeneralSubtree) -> NameConstraints {
    NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: Vec::new() }
}

#[test]
fn constraints_on_other_kinds_of_names_are_a_limit() {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, "mx.test");
    let problems = with_issuer(|ca| {
        ca.name_constraints = Some(permitted(GeneralSubtree::DirectoryName(name.clone())));
    });
    assert_kinds(&problems, &[Kind::Unsupported]);
    let words = "CN=Intermediate has name constraints for directoryName";
    assert!(problems[0].detail.contains(words), "{}", problems[0].detail);

    let dns = |name: &str| permitted(GeneralSubtree::DnsName(name.to_owned()));
    assert_kinds(&with_issuer(|ca| ca.name_constraints = Some(dns("test"))), &[]);
    let problems = with_issuer(|ca| ca.name_constraints = Some(dns("example")));
    assert_kinds(&problems, &[Kind::NameConstraint]);
    let words = "CN=Intermediate may not issue certificates for mx.test";
    assert!(problems[0].detail.contains(words), "{}", problems[0].detail);
}

#[test]
fn critical_extensions_are_named_with_their_certificate() {
    let policies: Change = |ca| {
        // policyConstraints { requireExplicitPolicy 0 }
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 36], vec![0x30, 3, 0x80, 1, 0]);
        extension.set_criticality(true);
        ca.custom_extensions.push(extension);
    };
    for (change, name) in [(policies, "2.5.29.36"), (unknown_critical_extension as Change, "1.2.3.4")] {
        let problems = with_issuer(change);
        assert_kinds(&problems, &[Kind::Unsupported]);
        let detail = &problems[0].detail;
        assert!(detail.contains("CN=Intermediate has the critical extension") && detail.contains(name), "{detail}");
    }
}
