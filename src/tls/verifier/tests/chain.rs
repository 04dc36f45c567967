//! The certification path, and the problems of the certificates on it.

use proptest::prelude::*;
use rcgen::{CidrSubnet, GeneralSubtree, IsCa, NameConstraints, date_time_ymd};

use super::*;
use crate::x509::READ;

#[test]
fn paths_go_through_intermediates() {
    use Kind::*;
    let root = Authority::new("Root");
    let trusted = [root.der()];
    let good = params("mx.test", &["mx.test"]);
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = || intermediate.issue(&good);

    let complete = leaf().with([intermediate.der()]).chain;
    assert_kinds(&verify(&trusted, &complete, "mx.test"), &[]);

    let with_root = leaf().with([root.der(), intermediate.der()]).chain;
    assert_kinds(&verify(&trusted, &with_root, "mx.test"), &[]);

    let missing = verify(&trusted, &leaf().chain, "mx.test");
    assert_kinds(&missing, &[UnknownIssuer]);
    assert!(missing[0].detail.contains("CN=Intermediate"));

    let other = Authority::new("Other");
    let unknown = verify(&[other.der()], &with_root, "mx.test");
    assert_kinds(&unknown, &[UnknownIssuer]);
    assert!(unknown[0].detail.contains("ends at CN=Root"));
}

#[test]
fn problems_of_intermediates_are_reported() {
    use Kind::*;
    let root = Authority::new("Root");
    let cases: [(Change, &[Kind]); 6] = [
        (unchanged, &[]),
        (expired, &[Expired]),
        (future, &[NotYetValid]),
        (client_only, &[WrongKeyUsage]),
        (|params| params.is_ca = IsCa::ExplicitNoCa, &[WrongKeyUsage]),
        (
            |params| {
                params.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![
                        GeneralSubtree::DnsName("example".to_owned()),
                        GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([192, 0, 2, 0], 24)),
                    ],
                    excluded_subtrees: Vec::new(),
                });
            },
            &[NameConstraint],
        ),
    ];
    for (change, expected) in cases {
        let mut ca = ca_params("Intermediate");
        change(&mut ca);
        let intermediate = Authority::below(ca, &root);
        let good = intermediate.issue(&params("mx.test", &["mx.test"]));
        let chain = good.with([intermediate.der()]).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), expected);

        // Problems of the server's own certificate do not hide them.
        let mut bad = params("mx.test", &["mx.test"]);
        bad.not_before = date_time_ymd(2024, 1, 1);
        bad.not_after = date_time_ymd(2025, 1, 1);
        let chain = intermediate.issue(&bad).with([intermediate.der()]).chain;
        let problems = verify(&[root.der()], &chain, "mx2.test");
        let mut expected = [expected, &[Expired, WrongName]].concat();
        expected.sort_unstable();
        assert_kinds(&problems, &expected);
    }
}

#[test]
fn the_path_length_constraint_is_enforced() {
    let root = Authority::new("Root");
    let mut ca = ca_params("First");
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let first = Authority::below(ca, &root);
    let second = Authority::below(ca_params("Second"), &first);
    let leaf = second.issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with([second.der(), first.der()]).chain;
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[Kind::WrongKeyUsage]);
}

#[test]
fn only_certificates_on_the_path_count() {
    use Kind::*;
    let root = Authority::new("Root");
    let old_root = Authority::new("Old root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let mut old = ca_params("Root");
    expired(&mut old);
    let cross = root.cross_signed(&old, &old_root);
    let mut old = ca_params("Intermediate");
    expired(&mut old);
    let stale = intermediate.cross_signed(&old, &root);
    let mut odd = params("stray", &[]);
    expired(&mut odd);
    unknown_critical_extension(&mut odd);
    let stray = old_root.issue(&odd).chain.remove(0);
    let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    let beside = [cross, stale, stray, garbage, intermediate.der()];

    let good = params("mx.test", &["mx.test"]);
    let chain = intermediate.issue(&good).with(beside.clone()).chain;
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
    assert_kinds(&verify(&[old_root.der()], &chain, "mx.test"), &[Expired]);

    let mut bad = good.clone();
    expired(&mut bad);
    let chain = intermediate.issue(&bad).with(beside).chain;
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Expired]);
    assert_eq!(problems[0].detail, "the certificate was valid until 2020-01-01T00:00:00Z");
}

#[test]
fn an_authority_with_the_servers_name_is_not_a_self_signed_certificate() {
    let ca = Authority::new("mx.test");
    let identity = ca.issue(&params("mx.test", &["mx.test"]));
    assert_kinds(&verify(&[ca.der()], &identity.chain, "mx.test"), &[]);
    let root = Authority::new("Root");
    let chain = identity.with([ca.der()]).chain;
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[Kind::UnknownIssuer]);
}

/// The certificate with the last bit of its signature flipped.
pub(super) fn flipped(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut bytes = certificate.to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    CertificateDer::from(bytes)
}

#[test]
fn a_flipped_bit_breaks_the_signature() {
    use Kind::*;
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let good = params("mx.test", &["mx.test"]);
    let mut bad = good.clone();
    expired(&mut bad);
    client_only(&mut bad);

    let direct = root.issue(&good).chain;
    let chain = [flipped(&direct[0])];
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[BadSignature]);

    let direct = root.issue(&bad).chain;
    let chain = [flipped(&direct[0])];
    assert_kinds(&verify(&[root.der()], &chain, "mx2.test"), &[Expired, WrongName, BadSignature, WrongKeyUsage]);

    let leaf = intermediate.issue(&good).chain;
    let chain = [leaf[0].clone(), flipped(&intermediate.der())];
    let problems = verify(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[BadSignature]);
    assert!(problems[0].detail.contains("CN=Intermediate was not signed by the key of CN=Root"));

    let leaf = intermediate.issue(&bad).chain;
    let chain = [flipped(&leaf[0]), intermediate.der()];
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[Expired, BadSignature, WrongKeyUsage]);
    let other = Authority::new("Other");
    assert_kinds(&verify(&[other.der()], &chain, "mx.test"), &[Expired, UnknownIssuer, BadSignature, WrongKeyUsage]);

    let own = Identity::self_signed(&good).chain;
    let chain = [flipped(&own[0])];
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[SelfSigned, BadSignature]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_flipped_bit_is_detected(index in any::<prop::sample::Index>(), bit in 0..8, which in 0..2_usize) {
        let (trusted, mut chain) = SAMPLE.with(Clone::clone);
        let mut bytes = chain[which].to_vec();
        *index.get_mut(&mut bytes) ^= 1_u8 << bit;
        chain[which] = CertificateDer::from(bytes);
        prop_assert!(!verify(&trusted, &chain, "mx.test").is_empty());
    }
}

type Chain = Vec<CertificateDer<'static>>;

thread_local! {
    static SAMPLE: (Chain, Chain) = {
        let root = Authority::new("Root");
        let intermediate = Authority::below(ca_params("Intermediate"), &root);
        let leaf = intermediate.issue(&params("mx.test", &["mx.test"]));
        (vec![root.der()], leaf.with([intermediate.der()]).chain)
    };
}

#[test]
fn path_building_is_bounded() {
    // By their names, any of the certificates may be the issuer of any other: webpki alone would try 200,000 paths.
    let issuer = Authority::new("T");
    let candidates = (0..150).map(|_| Authority::new("T").cross_signed(&ca_params("T"), &issuer));
    let leaf = issuer.issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with(candidates).chain;
    let own = Certificate::from_der(&chain[0]).expect("a good certificate");
    assert_eq!(issuer_candidates(own, &chain[1..], NOW).0.len(), 7);
    let root = Authority::new("Root");
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[Kind::Unsupported]);
    assert_kinds(&verify(&[issuer.der()], &chain, "mx.test"), &[]);
}

/// The names of the trust anchors are read when they are loaded, not for each certificate whose issuer is unknown.
#[test]
fn the_names_of_trust_anchors_are_read_once() {
    let root = Authority::new("Root");
    let mut anchors = TrustAnchors::none();
    for number in 0..200 {
        anchors.add(root.cross_signed(&ca_params(&format!("Anchor {number}")), &root)).expect("a good anchor");
    }
    let first = Authority::below(ca_params("First"), &root);
    let second = Authority::below(ca_params("Second"), &first);
    let chain = second.issue(&params("mx.test", &["mx.test"])).with([second.der(), first.der()]).chain;
    let verifier = Verifier {
        anchors: &anchors,
        name: &ServerName::try_from("mx.test").expect("a good name"),
        now: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
    };
    let before = READ.get();
    assert_kinds(&verifier.verify(&chain[0], &chain[1..]).problems, &[Kind::UnknownIssuer]);
    let read = READ.get() - before;
    assert!((1..100).contains(&read), "{read} names were read");
}

#[test]
fn duplicate_certificates_count_once() {
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = intermediate.issue(&params("mx.test", &["mx.test"]));
    let own = leaf.chain[0].clone();
    let copies = std::iter::repeat_n(intermediate.der(), 20);
    let chain = leaf.with([own]).with(copies).chain;
    assert_kinds(&verify(&[root.der()], &chain, "mx.test"), &[]);
}

#[test]
fn certificates_beyond_the_first_32_are_a_limit() {
    let root = Authority::new("Root");
    let issuer = Authority::below(ca_params("Issuer"), &root);
    let leaf = issuer.issue(&params("mx.test", &["mx.test"])).chain;
    for (others, expected) in [(31, &[][..]), (32, &[Kind::Unsupported])] {
        let others = (0..others).map(|number| Authority::new(&format!("Other {number}")).der());
        let chain: Vec<_> = leaf.iter().cloned().chain(others).chain([issuer.der()]).collect();
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), expected);
    }
}
