//! What this program does not support is never said as a fact about the server, and is named with its certificate.

use rcgen::{DnType, DnValue, GeneralSubtree, NameConstraints, SanType};

use super::*;
use crate::tls::stand_in::element;

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
        ("rsa:2048", "-sha224", "RSA with SHA-224 with a key of RSA 2048"),
        ("rsa:2048", "-sha3-256", "RSA with SHA3-256 with a key of RSA 2048"),
        ("rsa:2048", "-sha512-224", "RSA with SHA-512/224 with a key of RSA 2048"),
        (
            "rsa:2048",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha1",
            "RSA-PSS with SHA-256, MGF1 with SHA-1 and a salt of 32 octets with a key of RSA 2048",
        ),
        ("rsa-pss", "-sha256", "with a key of RSA-PSS"),
        (
            "ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "-sha256",
            "ECDSA with SHA-256 with a key of ECDSA with explicit parameters (256 bits)",
        ),
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
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
    // webpki's verdict does not count there, and everything else still does.
    assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[Kind::WrongName]);
    assert_kinds(&verify(&[Authority::new("Other").der()], &chain, "mx.test"), &[Kind::UnknownIssuer]);
    let other = Authority::below(printable("INTERMEDIATE"), &root);
    let forged = [chain[0].clone(), other.der()];
    assert_kinds(&verify(&[root.der()], &forged, "mx.test"), &[Kind::BadSignature]);
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
    let named = "the issuer of the issuing certificate CN=3, CN=2, is not found: the chain has more certificates";
    assert!(problems[0].detail.starts_with(named), "{}", problems[0].detail);
}

#[test]
fn an_issuer_behind_many_other_certificates_is_named() {
    let root = Authority::new("Root");
    let issuer = Authority::below(ca_params("Issuer"), &root);
    let others: Vec<_> = (0..40).map(|number| Authority::new(&format!("Other {number}")).der()).collect();
    let chain = issuer.issue(&params("mx.test", &["mx.test"])).with(others.into_iter().chain([issuer.der()])).chain;
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Kind::Unsupported]);
    let named = "the issuer of the certificate, CN=Issuer, is not found: the chain has more certificates";
    assert!(problems[0].detail.starts_with(named), "{}", problems[0].detail);
}

fn permitted(subtree: GeneralSubtree) -> NameConstraints {
    NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: Vec::new() }
}

fn excluded(subtree: GeneralSubtree) -> NameConstraints {
    NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: vec![subtree] }
}

fn directory_name(common_name: &str) -> GeneralSubtree {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    GeneralSubtree::DirectoryName(name)
}

#[test]
fn name_constraints_of_every_common_kind_are_compared() {
    use Kind::NameConstraint;
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let mailbox = |name: &str| GeneralSubtree::Rfc822Name(name.to_owned());
    let cases: [(NameConstraints, &[Kind], &str); 8] = [
        (permitted(dns("test")), &[], ""),
        (permitted(dns("example")), &[NameConstraint], "mx.test"),
        (permitted(directory_name("mx.test")), &[], ""),
        (permitted(directory_name("MX.Test")), &[], ""),
        (permitted(directory_name("other")), &[NameConstraint], "CN=mx.test"),
        (excluded(directory_name("other")), &[], ""),
        (excluded(directory_name("mx.test")), &[NameConstraint], "CN=mx.test"),
        (permitted(mailbox("mx.test")), &[], ""),
    ];
    for (constraints, kinds, name) in cases {
        let problems = with_issuer(|ca| ca.name_constraints = Some(constraints.clone()));
        assert_kinds(&problems, kinds);
        let words = format!("the issuing certificate CN=Intermediate may not issue certificates for {name}");
        assert!(problems.iter().all(|problem| problem.detail == words), "{problems:?}");
    }
}

/// The problems of a certificate for `mx.test` with these other names, by an authority with these constraints for
/// mailboxes and URIs.
fn with_other_names(names: &[SanType], constraint: GeneralSubtree) -> Vec<CertificateProblem> {
    let root = Authority::new("Root");
    let mut ca = ca_params("Intermediate");
    ca.name_constraints = Some(permitted(constraint));
    let intermediate = Authority::below(ca, &root);
    let mut params = params("mx.test", &["mx.test"]);
    params.subject_alt_names.extend_from_slice(names);
    let chain = intermediate.issue(&params).with([intermediate.der()]).chain;
    verify(&[root.der()], &chain, "mx.test")
}

#[test]
fn constraints_for_mailboxes_are_compared() {
    let mailbox = |text: &str| SanType::Rfc822Name(text.try_into().expect("ASCII"));
    let constraint = |text: &str| GeneralSubtree::Rfc822Name(text.to_owned());
    let cases: [(&str, &[Kind]); 5] = [
        ("mx.test", &[]),
        (".test", &[]),
        ("postmaster@MX.test", &[]),
        ("Postmaster@mx.test", &[Kind::NameConstraint]),
        ("test", &[Kind::NameConstraint]),
    ];
    for (base, kinds) in cases {
        assert_kinds(&with_other_names(&[mailbox("postmaster@mx.test")], constraint(base)), kinds);
    }
}

#[test]
fn a_trust_anchor_with_constraints_is_named() {
    let mut ca = ca_params("Root");
    ca.name_constraints = Some(permitted(GeneralSubtree::DnsName("example".to_owned())));
    let root = Authority::below(ca, &Authority::new("Another"));
    let chain = root.issue(&params("mx.test", &["mx.test"])).chain;
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Kind::NameConstraint]);
    assert_eq!(problems[0].detail, "the trust anchor CN=Root may not issue certificates for mx.test");

    let mut ca = ca_params("Root");
    ca.name_constraints = Some(permitted(directory_name("mx.test")));
    let root = Authority::below(ca, &Authority::new("Another"));
    assert_kinds(&verify(&[root.der()], &root.issue(&params("mx.test", &["mx.test"])).chain, "mx.test"), &[]);
    let problems = verify(&[root.der()], &root.issue(&params("mx2.test", &["mx.test"])).chain, "mx.test");
    assert_kinds(&problems, &[Kind::NameConstraint]);
    assert_eq!(problems[0].detail, "the trust anchor CN=Root may not issue certificates for CN=mx2.test");
}

#[test]
fn names_and_constraints_that_are_too_many_to_compare_are_a_limit() {
    let problems = |names: u32| {
        let subtrees: Vec<u8> = (0..600_u32).flat_map(|number| subtree(&format!("{number}.example"))).collect();
        let mut ca = ca_params("Intermediate");
        let content = element(0x30, &element(0xa1, &subtrees));
        ca.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 30], content));
        let root = Authority::new("Root");
        let intermediate = Authority::below(ca, &root);
        let names: Vec<_> = (0..names).map(|number| format!("{number}.test")).chain(["mx.test".to_owned()]).collect();
        let own = params("mx.test", &names.iter().map(String::as_str).collect::<Vec<_>>());
        let chain = intermediate.issue(&own).with([intermediate.der()]).chain;
        verify(&[root.der()], &chain, "mx.test")
    };
    assert_kinds(&problems(10), &[]);
    let problems = problems(500);
    assert_kinds(&problems, &[Kind::Unsupported]);
    assert_eq!(
        problems[0].detail,
        "the issuing certificate CN=Intermediate has name constraints for so many names, which this program does not compare"
    );
}

/// A GeneralSubtree with a dNSName.
fn subtree(name: &str) -> Vec<u8> {
    element(0x30, &element(0x82, name.as_bytes()))
}

#[test]
fn self_issued_certificates_do_not_count_in_path_lengths() {
    let limited = |name: &str| {
        let mut params = ca_params(name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params
    };
    let root = Authority::new("Root");
    let first = Authority::below(limited("First"), &root);
    // A new key of the same authority.
    let second = Authority::below(ca_params("First"), &first);
    let third = Authority::below(ca_params("Third"), &first);
    for (issuer, kinds) in [(second, &[][..]), (third, &[Kind::WrongKeyUsage])] {
        let chain = issuer.issue(&params("mx.test", &["mx.test"])).with([issuer.der(), first.der()]).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), kinds);
    }
}

/// An extension about policies, critical. The value is DER.
fn policies(number: u64, value: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, number], value.to_vec());
    extension.set_criticality(true);
    extension
}

#[test]
fn critical_policies_are_accepted_where_none_is_required() {
    // certificatePolicies { 1.2.3 }, policyMappings { 1.2.3 to 1.2.4 }, policyConstraints { inhibitPolicyMapping 0 },
    // inhibitAnyPolicy 0.
    let all = [
        policies(32, &[0x30, 6, 0x30, 4, 6, 2, 42, 3]),
        policies(33, &[0x30, 10, 0x30, 8, 6, 2, 42, 3, 6, 2, 42, 4]),
        policies(36, &[0x30, 3, 0x81, 1, 0]),
        policies(54, &[2, 1, 0]),
    ];
    for extension in all {
        assert_kinds(&with_issuer(|ca| ca.custom_extensions.push(extension.clone())), &[]);
        let root = Authority::new("Root");
        let mut params = params("mx.test", &["mx.test"]);
        params.custom_extensions.push(extension);
        let chain = root.issue(&params).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
        assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[Kind::WrongName]);
        let flipped = super::chain::flipped(&chain[0]);
        assert_kinds(&verify(&[root.der()], &[flipped], "mx.test"), &[Kind::BadSignature]);
    }
}

/// RFC 5280, sections 6.1.3 to 6.1.5: a policy is required once this many certificates have followed that are not
/// self-issued. Below the issuer in question is the server's own, or an issuer and the server's own.
#[test]
fn policies_that_are_required_further_down_are_accepted() {
    let requiring = |after: u8| policies(36, &[0x30, 3, 0x80, 1, after]);
    let issuer = |name: &str, after: u8| {
        let mut params = ca_params(name);
        params.custom_extensions.push(requiring(after));
        params
    };
    for (after, is_accepted) in [(0, false), (1, false), (2, true), (5, true)] {
        let problems = with_issuer(|ca| ca.custom_extensions.push(requiring(after)));
        assert_kinds(&problems, if is_accepted { &[] } else { &[Kind::Unsupported] });
    }
    let root = Authority::new("Root");
    let own = |authority: &Authority, changed: Option<u8>| {
        let mut params = params("mx.test", &["mx.test"]);
        params.custom_extensions.extend(changed.map(requiring));
        authority.issue(&params)
    };
    for (after, kinds) in [(0, &[Kind::Unsupported][..]), (1, &[])] {
        let chain = own(&root, Some(after)).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), kinds);
        // Pinned.
        assert_kinds(&verify(&[chain[0].clone()], &chain, "mx.test"), kinds);
    }
    for (after, below, kinds) in [(2, "Below", &[Kind::Unsupported][..]), (2, "Above", &[]), (3, "Below", &[])] {
        let above = Authority::below(issuer("Above", after), &root);
        // Of the same name, it is self-issued, and does not count.
        let below = Authority::below(ca_params(below), &above);
        let chain = own(&below, None).with([below.der(), above.der()]).chain;
        let problems = verify(&[root.der()], &chain, "mx.test");
        assert_kinds(&problems, kinds);
        assert!(problems.iter().all(|problem| problem.detail.contains("CN=Above has")), "{problems:?}");
        assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[&[Kind::WrongName], kinds].concat());
    }
}

/// The certificate with an issuerUniqueID and a subjectUniqueID, signed again.
fn with_unique_identifiers(certificate: &CertificateDer<'_>, issuer: &Authority) -> CertificateDer<'static> {
    issuer.with_key(certificate, |key| [key, &[0x81, 2, 0, 1, 0x82, 2, 0, 2]].concat())
}

#[test]
fn unique_identifiers_have_no_effect() {
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = intermediate.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    let odd_leaf = with_unique_identifiers(&leaf, &intermediate);
    let odd_issuer = with_unique_identifiers(&intermediate.der(), &root);
    for chain in [[leaf, odd_issuer], [odd_leaf.clone(), intermediate.der()]] {
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
        assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[Kind::WrongName]);
        assert_kinds(&verify(&[Authority::new("Other").der()], &chain, "mx.test"), &[Kind::UnknownIssuer]);
    }
    let chain = [super::chain::flipped(&odd_leaf), intermediate.der()];
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[Kind::BadSignature]);
}

#[test]
fn a_path_length_of_1000_is_accepted() {
    let problems = with_issuer(|ca| {
        ca.is_ca = IsCa::NoCa;
        // BasicConstraints { TRUE, 1000 }
        let content = vec![0x30, 7, 1, 1, 0xff, 2, 2, 3, 0xe8];
        ca.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 19], content));
    });
    assert_kinds(&problems, &[]);
}

#[test]
fn dates_before_1970_are_accepted() {
    let early: Change = |params| params.not_before = date_time_ymd(1960, 1, 1);
    assert_kinds(&with_issuer(early), &[]);
    let root = Authority::new("Root");
    let mut params = params("mx.test", &["mx.test"]);
    early(&mut params);
    assert_kinds(&verify(&[root.der()], &root.issue(&params).chain, "mx.test"), &[]);
    expired(&mut params);
    assert_kinds(&verify(&[root.der()], &root.issue(&params).chain, "mx.test"), &[Kind::Expired]);
}

#[test]
fn critical_extensions_are_named_with_their_certificate() {
    let required: Change = |ca| {
        // policyConstraints { requireExplicitPolicy 0 }
        ca.custom_extensions.push(policies(36, &[0x30, 3, 0x80, 1, 0]));
    };
    for (change, name) in [(required, "2.5.29.36"), (unknown_critical_extension as Change, "1.2.3.4")] {
        let problems = with_issuer(change);
        assert_kinds(&problems, &[Kind::Unsupported]);
        let detail = &problems[0].detail;
        assert!(detail.contains("CN=Intermediate has the critical extension") && detail.contains(name), "{detail}");
    }
}
