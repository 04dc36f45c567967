//! Certificates of authorities (`CA:TRUE`) as a server's own. webpki rejects them; RFC 5280, section 6.1.5, and OpenSSL
//! do not. Everything else about them counts.

use rcgen::{DnType, DnValue, GeneralSubtree, NameConstraints};

use super::{forms::openssl_accepts, *};

fn own(change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = params("mx.test", &["mx.test"]);
    authority(&mut params);
    change(&mut params);
    params
}

fn constraints(permitted: &[GeneralSubtree], excluded: &[GeneralSubtree]) -> Option<NameConstraints> {
    Some(NameConstraints { permitted_subtrees: permitted.to_vec(), excluded_subtrees: excluded.to_vec() })
}

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn mailbox(host: &str) -> GeneralSubtree {
    GeneralSubtree::Rfc822Name(host.to_owned())
}

#[test]
fn an_authoritys_certificate_is_accepted_as_a_servers_own() {
    use Kind::*;
    let sign_only: Change = |own| own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let both: Change = |own| own.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let root = Authority::new("Root");
    let path_length: Change = |ca| ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let elsewhere: Change = |ca| ca.name_constraints = constraints(&[dns("example")], &[]);
    let no_signing: Change = |ca| ca.key_usages = vec![KeyUsagePurpose::CrlSign];
    // Changes of the server's certificate and of its issuer's.
    let cases: [(Change, Change, &[Kind]); 12] = [
        (unchanged, unchanged, &[]),
        (both, unchanged, &[]),
        // It does not count in the path length.
        (unchanged, path_length, &[]),
        (sign_only, unchanged, &[WrongKeyUsage]),
        (client_only, unchanged, &[WrongKeyUsage]),
        (expired, unchanged, &[Expired]),
        (unknown_critical_extension, unchanged, &[Unsupported]),
        (unchanged, expired, &[Expired]),
        (unchanged, elsewhere, &[NameConstraint]),
        (unchanged, no_signing, &[WrongKeyUsage]),
        (unchanged, client_only, &[WrongKeyUsage]),
        (unchanged, |ca| ca.is_ca = IsCa::ExplicitNoCa, &[WrongKeyUsage]),
    ];
    for (index, (change, change_issuer, expected)) in cases.into_iter().enumerate() {
        let mut ca = ca_params("Intermediate");
        change_issuer(&mut ca);
        let intermediate = Authority::below(ca, &root);
        let chain = intermediate.issue(&own(change)).with([intermediate.der()]).chain;
        let problems = verify(&[root.der()], &chain, "mx.test");
        assert_kinds(&problems, expected);
        assert_eq!(openssl_accepts(&root.der(), &chain), expected.is_empty(), "openssl differs in case {index}");
    }
    let chain = root.issue(&own(unchanged)).chain;
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
    assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[WrongName]);
    assert_kinds(&verify(&[Authority::new("Other").der()], &chain, "mx.test"), &[UnknownIssuer]);
    assert_kinds(&verify(&[Authority::new("Root").der()], &chain, "mx.test"), &[BadSignature]);
    assert_kinds(&verify(&[root.der()], &[super::chain::flipped(&chain[0])], "mx.test"), &[BadSignature]);
    assert_eq!(verdict_at(NOW, &[root.der()], &chain, "mx.test").path, [chain[0].to_vec()]);
}

#[test]
fn a_wildcard_does_not_evade_an_excluded_name() {
    let root = Authority::new("Root");
    for (excluded, name, expected) in [
        ("bad.mx.test", "*.mx.test", &[Kind::NameConstraint][..]),
        ("mx.test", "*.MX.test", &[Kind::NameConstraint]),
        ("bad.test", "*.mx.test", &[]),
        ("deep.bad.mx.test", "*.mx.test", &[]),
    ] {
        let mut ca = ca_params("Intermediate");
        ca.name_constraints = constraints(&[], &[dns(excluded)]);
        let intermediate = Authority::below(ca, &root);
        let server = name.replace('*', "bad");
        for change in [unchanged as Change, authority] {
            let mut own = params("mx.test", &[name]);
            change(&mut own);
            let chain = intermediate.issue(&own).with([intermediate.der()]).chain;
            assert_kinds(&verify(&[root.der()], &chain, &server), expected);
        }
    }
}

/// One certificate of the issuer may not issue for the name, or not at all: the other one is on the path.
#[test]
fn a_restricted_issuer_does_not_hide_another_path() {
    let restrictions: [Change; 4] = [
        |ca| ca.name_constraints = constraints(&[mailbox("example")], &[]),
        |ca| ca.name_constraints = constraints(&[dns("example")], &[]),
        client_only,
        |ca| ca.is_ca = IsCa::ExplicitNoCa,
    ];
    let root = Authority::new("Root");
    for restrict in restrictions {
        let mut ca = ca_params("Intermediate");
        restrict(&mut ca);
        let intermediate = Authority::below(ca, &root);
        let good = intermediate.cross_signed(&ca_params("Intermediate"), &root);
        for change in [unchanged as Change, authority] {
            let mut own = params("mx.test", &["mx.test"]);
            own.distinguished_name.push(email(), "postmaster@mx.test");
            change(&mut own);
            let leaf = intermediate.issue(&own);
            for issuers in [[intermediate.der(), good.clone()], [good.clone(), intermediate.der()]] {
                let chain: Vec<_> = leaf.chain.iter().cloned().chain(issuers).collect();
                let verdict = verdict_at(NOW, &[root.der()], &chain, "mx.test");
                assert_kinds(&verdict.problems, &[]);
                assert_eq!(verdict.path, [chain[0].to_vec(), good.to_vec()]);
            }
        }
    }
}

fn email() -> DnType {
    DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1])
}

#[test]
fn mailboxes_of_an_authority_below_and_by_a_trust_anchor_are_constrained() {
    for (permitted, expected) in [("mx.test", &[][..]), ("other.test", &[Kind::NameConstraint])] {
        let constrained = |name: &str| {
            let mut ca = ca_params(name);
            ca.name_constraints = constraints(&[mailbox(permitted)], &[]);
            ca
        };
        let with_email = |mut params: CertificateParams| {
            // OpenSSL compares no other type of string.
            let mailbox = "postmaster@mx.test".try_into().expect("ASCII");
            params.distinguished_name.push(email(), DnValue::Ia5String(mailbox));
            params
        };
        // The mailbox is that of an authority below.
        let root = Authority::new("Root");
        let first = Authority::below(constrained("First"), &root);
        let second = Authority::below(with_email(ca_params("Second")), &first);
        let chain = second.issue(&params("mx.test", &["mx.test"])).with([second.der(), first.der()]).chain;
        let problems = verify(&[root.der()], &chain, "mx.test");
        assert_kinds(&problems, expected);
        let words = "the issuing certificate CN=First may not issue certificates for postmaster@mx.test";
        assert!(problems.iter().all(|problem| problem.detail == words), "{problems:?}");
        assert_eq!(openssl_accepts(&root.der(), &chain), expected.is_empty());

        // The constraints are those of the trust anchor.
        let anchor = Authority::below(constrained("Anchor"), &Authority::new("Another"));
        let below = Authority::below(with_email(ca_params("Below")), &anchor);
        for chain in [
            anchor.issue(&with_email(params("mx.test", &["mx.test"]))).chain,
            below.issue(&params("mx.test", &["mx.test"])).with([below.der()]).chain,
        ] {
            let problems = verify(&[anchor.der()], &chain, "mx.test");
            assert_kinds(&problems, expected);
            let words = "the trust anchor CN=Anchor may not issue certificates for postmaster@mx.test";
            assert!(problems.iter().all(|problem| problem.detail == words), "{problems:?}");
        }
    }
}
