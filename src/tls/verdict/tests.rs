use std::net::IpAddr;

use proptest::prelude::*;
use rcgen::{
    CertificateParams, CidrSubnet, CustomExtension, ExtendedKeyUsagePurpose as Purpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use time::macros::datetime;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::*;
use crate::{
    tls::testing::{Authority, Identity, TempFolder, ca_params, params},
    x509::problem::cert_error,
};

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

fn judge(
    trusted: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    name: &str,
) -> Vec<CertificateProblem> {
    judge_at(NOW, trusted, chain, name)
}

fn judge_at(
    now: OffsetDateTime,
    trusted: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    name: &str,
) -> Vec<CertificateProblem> {
    let mut anchors = TrustAnchors::none();
    for anchor in trusted {
        anchors.add(anchor.clone()).expect("a good anchor");
    }
    let provider = aws_lc_rs::default_provider();
    let seconds = u64::try_from(now.unix_timestamp()).expect("after 1970");
    let judge = Judge {
        anchors: &anchors,
        algorithms: provider.signature_verification_algorithms.all,
        name: &ServerName::try_from(name.to_owned()).expect("a good name"),
        now: UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
    };
    judge.problems(&chain[0], &chain[1..])
}

#[track_caller]
fn assert_kinds(problems: &[CertificateProblem], expected: &[Kind]) {
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, expected, "{:?}", cert_error(problems));
}

/// Changes the parameters of a certificate for `mx.test`.
type Change = fn(&mut CertificateParams);

fn nothing(_: &mut CertificateParams) {}
fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2020, 1, 1);
}
fn future(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2040, 1, 1);
}
fn client_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![Purpose::ClientAuth];
}
fn certificate_signing_only(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
}
fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
}
fn for_servers(params: &mut CertificateParams) {
    params.extended_key_usages = vec![Purpose::ClientAuth, Purpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
}
fn unknown_critical_extension(params: &mut CertificateParams) {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}
fn all_wrong(params: &mut CertificateParams) {
    expired(params);
    client_only(params);
    certificate_signing_only(params);
    authority(params);
}

#[test]
fn every_error_of_a_certificate_is_named() {
    use Kind::*;
    let known = Authority::new("Known CA");
    let unknown = Authority::new("Unknown CA");
    let cases: [(&str, &Authority, Change, &str, &[Kind]); 19] = [
        ("good", &known, nothing, "mx.test", &[]),
        ("usages that fit", &known, for_servers, "mx.test", &[]),
        ("upper case", &known, nothing, "MX.Test", &[]),
        ("expired", &known, expired, "mx.test", &[Expired]),
        ("future", &known, future, "mx.test", &[NotYetValid]),
        ("wrong name", &known, nothing, "mx2.test", &[WrongName]),
        ("underscore", &known, nothing, "a_b.test", &[WrongName]),
        ("unknown", &unknown, nothing, "mx.test", &[UnknownIssuer]),
        ("purpose", &known, client_only, "mx.test", &[WrongKeyUsage]),
        ("key usage", &known, certificate_signing_only, "mx.test", &[WrongKeyUsage]),
        ("purpose, unknown", &unknown, client_only, "mx.test", &[UnknownIssuer, WrongKeyUsage]),
        ("authority", &known, authority, "mx.test", &[WrongKeyUsage]),
        ("authority, unknown", &unknown, authority, "mx.test", &[UnknownIssuer, WrongKeyUsage]),
        ("expired, name", &known, expired, "mx2.test", &[Expired, WrongName]),
        ("expired, unknown", &unknown, expired, "mx.test", &[Expired, UnknownIssuer]),
        ("future, unknown", &unknown, future, "mx2.test", &[NotYetValid, WrongName, UnknownIssuer]),
        ("unknown extension", &known, unknown_critical_extension, "mx.test", &[Unsupported]),
        (
            "all at once",
            &unknown,
            all_wrong,
            "mx2.test",
            &[Expired, WrongName, UnknownIssuer, WrongKeyUsage, WrongKeyUsage, WrongKeyUsage],
        ),
        (
            "all but unknown",
            &known,
            all_wrong,
            "mx2.test",
            &[Expired, WrongName, WrongKeyUsage, WrongKeyUsage, WrongKeyUsage],
        ),
    ];
    for (case, issuer, change, name, expected) in cases {
        let mut params = params("mx.test", &["mx.test"]);
        change(&mut params);
        let identity = issuer.issue(&params);
        let problems = judge(&[known.der()], &identity.chain, name);
        eprintln!("{case}: {:?}", cert_error(&problems));
        assert_kinds(&problems, expected);
    }
}

#[test]
fn self_signed_certificates_are_not_unknown_too() {
    use Kind::*;
    let cases: [(&str, Change, &str, &[Kind]); 5] = [
        ("CA:FALSE", nothing, "mx.test", &[SelfSigned]),
        ("CA:TRUE", authority, "mx.test", &[SelfSigned]),
        ("expired", expired, "mx2.test", &[Expired, WrongName, SelfSigned]),
        ("purpose", client_only, "mx.test", &[SelfSigned, WrongKeyUsage]),
        ("all at once", all_wrong, "mx2.test", &[Expired, WrongName, SelfSigned, WrongKeyUsage, WrongKeyUsage]),
    ];
    let other = Authority::new("Other CA");
    for (case, change, name, expected) in cases {
        let mut params = params("mx.test", &["mx.test"]);
        change(&mut params);
        let identity = Identity::self_signed(&params);
        let problems = judge(&[other.der()], &identity.chain, name);
        eprintln!("{case}: {:?}", cert_error(&problems));
        assert_kinds(&problems, expected);
    }
}

#[test]
fn a_pinned_certificate_is_trusted_but_not_blindly() {
    use Kind::*;
    let cases: [(Change, &str, &[Kind]); 6] = [
        (nothing, "mx.test", &[]),
        (authority, "mx.test", &[]),
        (nothing, "mx2.test", &[WrongName]),
        (expired, "mx.test", &[Expired]),
        (client_only, "mx.test", &[WrongKeyUsage]),
        (certificate_signing_only, "mx.test", &[WrongKeyUsage]),
    ];
    for (change, name, expected) in cases {
        let mut params = params("mx.test", &["mx.test"]);
        change(&mut params);
        let pinned = Identity::self_signed(&params);
        assert_kinds(&judge(&pinned.chain, &pinned.chain, name), expected);
    }
    // The same names from another key are somebody else's.
    let params = params("mx.test", &["mx.test"]);
    let pinned = Identity::self_signed(&params);
    let other = Identity::self_signed(&params);
    assert_kinds(&judge(&pinned.chain, &other.chain, "mx.test"), &[SelfSigned]);
}

#[test]
fn addresses_are_matched_against_addresses() {
    let ca = Authority::new("Known CA");
    let identity = ca.issue(&params("mx.test", &["192.0.2.1", "2001:db8::1", "mx.test"]));
    for good in ["192.0.2.1", "2001:db8::1", "2001:db8:0:0::1"] {
        assert_kinds(&judge(&[ca.der()], &identity.chain, good), &[]);
    }
    for bad in ["192.0.2.2", "2001:db8::2", "::ffff:192.0.2.1"] {
        let problems = judge(&[ca.der()], &identity.chain, bad);
        assert_kinds(&problems, &[Kind::WrongName]);
        let address: IpAddr = bad.parse().expect("an address");
        assert_eq!(
            problems[0].detail,
            format!("the certificate is for 192.0.2.1, 2001:db8::1, mx.test, not for {address}")
        );
    }
}

#[test]
fn names_with_wildcards_and_underscores_match() {
    let ca = Authority::new("Known CA");
    let identity = ca.issue(&params("mx.test", &["*.mail.test", "a_b.example"]));
    for good in ["mx.mail.test", "a_b.mail.test", "a_b.example"] {
        assert_kinds(&judge(&[ca.der()], &identity.chain, good), &[]);
    }
    for bad in ["mail.test", "a.mx.mail.test", "ab.example"] {
        let problems = judge(&[ca.der()], &identity.chain, bad);
        assert_kinds(&problems, &[Kind::WrongName]);
    }
}

#[test]
fn the_common_name_is_no_name() {
    let ca = Authority::new("Known CA");
    let identity = ca.issue(&params("mx.test", &[]));
    let problems = judge(&[ca.der()], &identity.chain, "mx.test");
    assert_kinds(&problems, &[Kind::WrongName]);
    assert!(problems[0].detail.contains("names no server"));
}

#[test]
fn a_long_list_of_names_is_cut_short() {
    let ca = Authority::new("Known CA");
    let names: Vec<String> = (0..100).map(|number| format!("mx{number}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let identity = ca.issue(&params("mx.test", &names));
    let problems = judge(&[ca.der()], &identity.chain, "mx.example");
    assert_kinds(&problems, &[Kind::WrongName]);
    assert!(problems[0].detail.contains("mx7.test and 92 more, not for"));
}

/// The certificate with the last bit of its signature flipped.
fn flipped(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
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
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[BadSignature]);

    let direct = root.issue(&bad).chain;
    let chain = [flipped(&direct[0])];
    assert_kinds(&judge(&[root.der()], &chain, "mx2.test"), &[Expired, WrongName, BadSignature, WrongKeyUsage]);

    let leaf = intermediate.issue(&good).chain;
    let chain = [leaf[0].clone(), flipped(&intermediate.der())];
    let problems = judge(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[BadSignature]);
    assert!(problems[0].detail.contains("CN=Intermediate was not signed by the key of CN=Root"));

    let leaf = intermediate.issue(&bad).chain;
    let chain = [flipped(&leaf[0]), intermediate.der()];
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[Expired, BadSignature, WrongKeyUsage]);
    let other = Authority::new("Other");
    assert_kinds(&judge(&[other.der()], &chain, "mx.test"), &[Expired, UnknownIssuer, BadSignature, WrongKeyUsage]);

    let own = Identity::self_signed(&good).chain;
    let chain = [flipped(&own[0])];
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[SelfSigned, BadSignature]);
}

#[test]
fn chains_are_followed_by_way_of_intermediates() {
    use Kind::*;
    let root = Authority::new("Root");
    let trusted = [root.der()];
    let good = params("mx.test", &["mx.test"]);
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = || intermediate.issue(&good);

    let complete = leaf().with([intermediate.der()]).chain;
    assert_kinds(&judge(&trusted, &complete, "mx.test"), &[]);

    let with_root = leaf().with([root.der(), intermediate.der()]).chain;
    assert_kinds(&judge(&trusted, &with_root, "mx.test"), &[]);

    let missing = judge(&trusted, &leaf().chain, "mx.test");
    assert_kinds(&missing, &[UnknownIssuer]);
    assert!(missing[0].detail.contains("CN=Intermediate"));

    let other = Authority::new("Other");
    let unknown = judge(&[other.der()], &with_root, "mx.test");
    assert_kinds(&unknown, &[UnknownIssuer]);
    assert!(unknown[0].detail.contains("ends at CN=Root"));
}

#[test]
fn the_faults_of_intermediates_are_named() {
    use Kind::*;
    let root = Authority::new("Root");
    let cases: [(Change, &[Kind]); 6] = [
        (nothing, &[]),
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
        assert_kinds(&judge(&[root.der()], &chain, "mx.test"), expected);

        // The server's own faults don't hide them.
        let mut bad = params("mx.test", &["mx.test"]);
        bad.not_before = date_time_ymd(2024, 1, 1);
        bad.not_after = date_time_ymd(2025, 1, 1);
        let chain = intermediate.issue(&bad).with([intermediate.der()]).chain;
        let problems = judge(&[root.der()], &chain, "mx2.test");
        let mut expected = [expected, &[Expired, WrongName]].concat();
        expected.sort_unstable();
        assert_kinds(&problems, &expected);
    }
}

#[test]
fn a_path_length_is_kept() {
    let root = Authority::new("Root");
    let mut ca = ca_params("First");
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let first = Authority::below(ca, &root);
    let second = Authority::below(ca_params("Second"), &first);
    let leaf = second.issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with([second.der(), first.der()]).chain;
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[Kind::WrongKeyUsage]);
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
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[]);
    assert_kinds(&judge(&[old_root.der()], &chain, "mx.test"), &[Expired]);

    let mut bad = good.clone();
    expired(&mut bad);
    let chain = intermediate.issue(&bad).with(beside).chain;
    let problems = judge(&[root.der()], &chain, "mx.test");
    assert_kinds(&problems, &[Expired]);
    assert_eq!(problems[0].detail, "the certificate was valid until 2020-01-01T00:00:00Z");
}

#[test]
fn an_authority_that_bears_the_servers_name_is_told_apart() {
    let ca = Authority::new("mx.test");
    let identity = ca.issue(&params("mx.test", &["mx.test"]));
    assert_kinds(&judge(&[ca.der()], &identity.chain, "mx.test"), &[]);
    let root = Authority::new("Root");
    let chain = identity.with([ca.der()]).chain;
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[Kind::UnknownIssuer]);
}

#[test]
fn garbage_is_malformed() {
    let root = Authority::new("Root");
    for bytes in [vec![], vec![0x30, 0x00], vec![0xff; 100]] {
        let problems = judge(&[root.der()], &[CertificateDer::from(bytes)], "mx.test");
        assert_kinds(&problems, &[Kind::Malformed]);
    }
    let good = root.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    let mut longer = good.to_vec();
    longer.push(0);
    let problems = judge(&[root.der()], &[CertificateDer::from(longer)], "mx.test");
    assert_kinds(&problems, &[Kind::Malformed]);
}

#[test]
fn an_extension_that_comes_twice_is_malformed() {
    let root = Authority::new("Root");
    let mut params = params("mx.test", &["mx.test"]);
    // GeneralNames with the dNSName "mx.test".
    let names = [&[0x30, 9, 0x82, 7][..], b"mx.test"].concat();
    let twice = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
    params.custom_extensions.push(twice);
    let problems = judge(&[root.der()], &root.issue(&params).chain, "mx.test");
    assert_kinds(&problems, &[Kind::Malformed]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_flipped_bit_goes_unnoticed(index in any::<prop::sample::Index>(), bit in 0..8, which in 0..2_usize) {
        let (trusted, mut chain) = SAMPLE.with(Clone::clone);
        let mut bytes = chain[which].to_vec();
        *index.get_mut(&mut bytes) ^= 1_u8 << bit;
        chain[which] = CertificateDer::from(bytes);
        prop_assert!(!judge(&trusted, &chain, "mx.test").is_empty());
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
fn version_1_and_small_keys_are_told_from_bad_signatures() {
    use Kind::*;
    // openssl makes certificates that are valid from the present second on.
    let now = OffsetDateTime::now_utc() + time::Duration::DAY;
    let root = Authority::new("Root");
    let folder = TempFolder::new();
    folder.openssl("req -new -newkey rsa:2048 -nodes -keyout key.pem -out v1.csr -subj /CN=mx.test");
    folder.openssl("x509 -req -in v1.csr -signkey key.pem -days 36500 -out v1.pem");
    assert_kinds(
        &judge_at(now, &[root.der()], &[folder.certificate("v1.pem")], "mx.test"),
        &[WrongName, SelfSigned, Unsupported],
    );

    folder.openssl("req -x509 -newkey rsa:1024 -nodes -keyout ca.key -out ca.pem -subj /CN=Small -days 36500");
    folder.openssl("req -new -newkey rsa:2048 -nodes -keyout key.pem -out mx.csr -subj /CN=mx.test");
    std::fs::write(folder.path().join("ext"), "subjectAltName=DNS:mx.test").expect("writable");
    folder
        .openssl("x509 -req -in mx.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days 36500 -out mx.pem");
    let chain = [folder.certificate("mx.pem")];
    let trusted = [folder.certificate("ca.pem")];
    assert_kinds(&judge_at(now, &trusted, &chain, "mx.test"), &[Unsupported]);
    assert_kinds(&judge_at(now, &[root.der()], &trusted, "mx.test"), &[WrongName, SelfSigned, WeakKey]);
}

#[test]
fn a_tangle_of_certificates_is_given_up_in_time() {
    // Every certificate may be every other one's issuer, going by the names: webpki alone would try 200,000 ways up.
    let issuer = Authority::new("T");
    let tangle = (0..150).map(|_| Authority::new("T").cross_signed(&ca_params("T"), &issuer));
    let leaf = issuer.issue(&params("mx.test", &["mx.test"]));
    let chain = leaf.with(tangle).chain;
    let own = Certificate::from_der(&chain[0]).expect("a good certificate");
    assert_eq!(relatives(own, &chain[1..], NOW).len(), 7);
    let root = Authority::new("Root");
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[Kind::UnknownIssuer, Kind::BadSignature]);
    assert_kinds(&judge(&[issuer.der()], &chain, "mx.test"), &[]);
}

#[test]
fn certificates_that_come_twice_count_once() {
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = intermediate.issue(&params("mx.test", &["mx.test"]));
    let own = leaf.chain[0].clone();
    let copies = std::iter::repeat_n(intermediate.der(), 20);
    let chain = leaf.with([own]).with(copies).chain;
    assert_kinds(&judge(&[root.der()], &chain, "mx.test"), &[]);
}
