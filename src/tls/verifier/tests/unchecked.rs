//! What webpki does not check on the paths that it accepts.

use super::*;

fn no_certificate_signing(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
}

#[test]
fn an_issuer_must_be_allowed_to_sign_certificates() {
    assert_kinds(&with_issuer(|ca| ca.key_usages = vec![KeyUsagePurpose::KeyCertSign]), &[]);
    let problems = with_issuer(no_certificate_signing);
    assert_kinds(&problems, &[Kind::WrongKeyUsage]);
    assert!(problems[0].detail.contains("CN=Intermediate may not sign certificates"), "{}", problems[0].detail);
}

#[test]
fn an_issuer_that_may_not_sign_does_not_hide_another_path() {
    let root = Authority::new("Root");
    let mut ca = ca_params("Intermediate");
    no_certificate_signing(&mut ca);
    let intermediate = Authority::below(ca, &root);
    let good = intermediate.cross_signed(&ca_params("Intermediate"), &root);
    let leaf = || intermediate.issue(&params("mx.test", &["mx.test"]));
    for issuers in [[intermediate.der(), good.clone()], [good.clone(), intermediate.der()]] {
        let chain = leaf().with(issuers).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
    }
}

#[test]
fn extensions_that_are_unreadable_or_repeated_are_named_with_their_certificate() {
    let unreadable: Change = |ca| {
        ca.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x04, 0x01, 0x06]));
    };
    // subjectKeyIdentifier, which webpki does not look at.
    let repeated: Change = |ca| {
        let twice = CustomExtension::from_oid_content(&[2, 5, 29, 14], vec![0x04, 0x01, 0x06]);
        ca.custom_extensions.extend([twice.clone(), twice]);
    };
    for (change, words) in [(unreadable, "cannot be read"), (repeated, "more than once")] {
        let problems = with_issuer(change);
        assert_kinds(&problems, &[Kind::Malformed]);
        let detail = &problems[0].detail;
        assert!(detail.contains("CN=Intermediate has the extension") && detail.contains(words), "{detail}");
    }
}

#[test]
fn the_path_is_the_one_that_was_verified() {
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let mut old = ca_params("Intermediate");
    expired(&mut old);
    let stale = intermediate.cross_signed(&old, &root);
    let leaf = intermediate.issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with([stale.clone(), intermediate.der()]).chain;
    let path = |trusted: &Authority| verdict_at(NOW, &[trusted.der()], &chain, "mx.test").path;
    assert_eq!(path(&root), [chain[0].to_vec(), intermediate.der().to_vec()]);
    // Without a verified path, it is the one that the problems are about.
    assert_eq!(path(&Authority::new("Other")), [chain[0].to_vec(), intermediate.der().to_vec()]);
}

#[test]
fn mailboxes_in_a_subject_are_constrained() {
    use rcgen::{DnType, GeneralSubtree, NameConstraints};
    let email = || DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]);
    let root = Authority::new("Root");
    for (permitted, expected) in [("mx.test", &[][..]), ("other.test", &[Kind::NameConstraint])] {
        let mut ca = ca_params("Intermediate");
        ca.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::Rfc822Name(permitted.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let intermediate = Authority::below(ca, &root);
        let mut own = params("mx.test", &["mx.test"]);
        own.distinguished_name.push(email(), "postmaster@mx.test");
        let chain = intermediate.issue(&own).with([intermediate.der()]).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), expected);
    }
}
