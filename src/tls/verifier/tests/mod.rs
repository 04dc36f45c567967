//! Problems of the server's own certificate. Those of the issuers are in [`chain`], what webpki does not check in
//! [`unchecked`], certificates in odd forms in [`forms`], those of authorities as a server's own in [`authority`], and
//! what this program does not support in [`limits`].

mod authority;
mod chain;
mod constraints;
mod forms;
mod limits;
mod unchecked;

use std::net::IpAddr;

use rcgen::{
    CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyUsagePurpose, date_time_ymd,
};
use time::macros::datetime;

use super::*;
use crate::{
    tls::testing::{Authority, Identity, TempFolder, ca_params, params},
    x509::problem::cert_error,
};

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

fn verify(
    trusted: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    name: &str,
) -> Vec<CertificateProblem> {
    verify_at(NOW, trusted, chain, name)
}

fn verify_at(
    now: OffsetDateTime,
    trusted: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    name: &str,
) -> Vec<CertificateProblem> {
    verdict_at(now, trusted, chain, name).problems
}

fn verdict_at(
    now: OffsetDateTime,
    trusted: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    name: &str,
) -> Verdict {
    let mut anchors = TrustAnchors::none();
    for anchor in trusted {
        anchors.add(anchor.clone()).expect("a good anchor");
    }
    let seconds = u64::try_from(now.unix_timestamp()).expect("after 1970");
    let verifier = Verifier {
        anchors: &anchors,
        name: &ServerName::try_from(name.to_owned()).expect("a good name"),
        now: UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
    };
    verifier.verify(&chain[0], &chain[1..])
}

#[track_caller]
fn assert_kinds(problems: &[CertificateProblem], expected: &[Kind]) {
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, expected, "{:?}", cert_error(problems));
}

/// Changes the parameters of a certificate for `mx.test`.
/// The problems of a good certificate for `mx.test` whose issuer is changed.
fn with_issuer(change: impl Fn(&mut CertificateParams)) -> Vec<CertificateProblem> {
    let root = Authority::new("Root");
    let mut ca = ca_params("Intermediate");
    change(&mut ca);
    let intermediate = Authority::below(ca, &root);
    let chain = intermediate.issue(&params("mx.test", &["mx.test"])).with([intermediate.der()]).chain;
    verify(&[root.der()], &chain, "mx.test")
}

type Change = fn(&mut CertificateParams);

fn unchanged(_: &mut CertificateParams) {}
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
fn every_problem_of_a_certificate_is_reported() {
    use Kind::*;
    let known = Authority::new("Known CA");
    let unknown = Authority::new("Unknown CA");
    let cases: [(&str, &Authority, Change, &str, &[Kind]); 19] = [
        ("good", &known, unchanged, "mx.test", &[]),
        ("usages that fit", &known, for_servers, "mx.test", &[]),
        ("upper case", &known, unchanged, "MX.Test", &[]),
        ("expired", &known, expired, "mx.test", &[Expired]),
        ("future", &known, future, "mx.test", &[NotYetValid]),
        ("wrong name", &known, unchanged, "mx2.test", &[WrongName]),
        ("underscore", &known, unchanged, "a_b.test", &[WrongName]),
        ("unknown", &unknown, unchanged, "mx.test", &[UnknownIssuer]),
        ("purpose", &known, client_only, "mx.test", &[WrongKeyUsage]),
        ("key usage", &known, certificate_signing_only, "mx.test", &[WrongKeyUsage]),
        ("purpose, unknown", &unknown, client_only, "mx.test", &[UnknownIssuer, WrongKeyUsage]),
        ("authority", &known, authority, "mx.test", &[]),
        ("authority, unknown", &unknown, authority, "mx.test", &[UnknownIssuer]),
        ("expired, name", &known, expired, "mx2.test", &[Expired, WrongName]),
        ("expired, unknown", &unknown, expired, "mx.test", &[Expired, UnknownIssuer]),
        ("future, unknown", &unknown, future, "mx2.test", &[NotYetValid, WrongName, UnknownIssuer]),
        ("unknown extension", &known, unknown_critical_extension, "mx.test", &[Unsupported]),
        (
            "all at once",
            &unknown,
            all_wrong,
            "mx2.test",
            &[Expired, WrongName, UnknownIssuer, WrongKeyUsage, WrongKeyUsage],
        ),
        ("all but unknown", &known, all_wrong, "mx2.test", &[Expired, WrongName, WrongKeyUsage, WrongKeyUsage]),
    ];
    for (case, issuer, change, name, expected) in cases {
        let mut params = params("mx.test", &["mx.test"]);
        change(&mut params);
        let identity = issuer.issue(&params);
        let problems = verify(&[known.der()], &identity.chain, name);
        eprintln!("{case}: {:?}", cert_error(&problems));
        assert_kinds(&problems, expected);
    }
}

#[test]
fn self_signed_is_not_also_unknown_issuer() {
    use Kind::*;
    let cases: [(&str, Change, &str, &[Kind]); 5] = [
        ("CA:FALSE", unchanged, "mx.test", &[SelfSigned]),
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
        let problems = verify(&[other.der()], &identity.chain, name);
        eprintln!("{case}: {:?}", cert_error(&problems));
        assert_kinds(&problems, expected);
    }
}

#[test]
fn a_pinned_certificate_is_trusted_but_its_other_problems_are_reported() {
    use Kind::*;
    let cases: [(Change, &str, &[Kind]); 6] = [
        (unchanged, "mx.test", &[]),
        (authority, "mx.test", &[]),
        (unchanged, "mx2.test", &[WrongName]),
        (expired, "mx.test", &[Expired]),
        (client_only, "mx.test", &[WrongKeyUsage]),
        (certificate_signing_only, "mx.test", &[WrongKeyUsage]),
    ];
    for (change, name, expected) in cases {
        let mut params = params("mx.test", &["mx.test"]);
        change(&mut params);
        let pinned = Identity::self_signed(&params);
        assert_kinds(&verify(&pinned.chain, &pinned.chain, name), expected);
    }
    // The same names with another key are not the pinned certificate.
    let params = params("mx.test", &["mx.test"]);
    let pinned = Identity::self_signed(&params);
    let other = Identity::self_signed(&params);
    assert_kinds(&verify(&pinned.chain, &other.chain, "mx.test"), &[SelfSigned]);
}

#[test]
fn addresses_are_matched_against_addresses() {
    let ca = Authority::new("Known CA");
    let identity = ca.issue(&params("mx.test", &["192.0.2.1", "2001:db8::1", "mx.test"]));
    for good in ["192.0.2.1", "2001:db8::1", "2001:db8:0:0::1"] {
        assert_kinds(&verify(&[ca.der()], &identity.chain, good), &[]);
    }
    for bad in ["192.0.2.2", "2001:db8::2", "::ffff:192.0.2.1"] {
        let problems = verify(&[ca.der()], &identity.chain, bad);
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
        assert_kinds(&verify(&[ca.der()], &identity.chain, good), &[]);
    }
    for bad in ["mail.test", "a.mx.mail.test", "ab.example"] {
        let problems = verify(&[ca.der()], &identity.chain, bad);
        assert_kinds(&problems, &[Kind::WrongName]);
    }
}

#[test]
fn the_common_name_does_not_count() {
    let ca = Authority::new("Known CA");
    let identity = ca.issue(&params("mx.test", &[]));
    let problems = verify(&[ca.der()], &identity.chain, "mx.test");
    assert_kinds(&problems, &[Kind::WrongName]);
    assert!(problems[0].detail.contains("names no server"));
}

#[test]
fn a_long_list_of_names_is_cut_short() {
    let ca = Authority::new("Known CA");
    let names: Vec<String> = (0..100).map(|number| format!("mx{number}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let identity = ca.issue(&params("mx.test", &names));
    let problems = verify(&[ca.der()], &identity.chain, "mx.example");
    assert_kinds(&problems, &[Kind::WrongName]);
    assert!(problems[0].detail.contains("mx7.test and 92 more, not for"));
}

#[test]
fn garbage_is_malformed() {
    let root = Authority::new("Root");
    for bytes in [vec![], vec![0x30, 0x00], vec![0xff; 100]] {
        let problems = verify(&[root.der()], &[CertificateDer::from(bytes)], "mx.test");
        assert_kinds(&problems, &[Kind::Malformed]);
    }
    let good = root.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    let mut longer = good.to_vec();
    longer.push(0);
    let problems = verify(&[root.der()], &[CertificateDer::from(longer)], "mx.test");
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
    let problems = verify(&[root.der()], &root.issue(&params).chain, "mx.test");
    assert_kinds(&problems, &[Kind::Malformed]);
    assert_eq!(problems[0].detail, "the certificate has the extension subjectAltName (2.5.29.17) more than once");
}

#[test]
fn version_1_and_small_keys_are_not_bad_signatures() {
    use Kind::*;
    // The certificates that openssl makes are valid from now on.
    let now = OffsetDateTime::now_utc() + time::Duration::DAY;
    let root = Authority::new("Root");
    let folder = TempFolder::new();
    folder.openssl("req -new -newkey rsa:2048 -nodes -keyout key.pem -out v1.csr -subj /CN=mx.test");
    folder.openssl("x509 -req -in v1.csr -signkey key.pem -days 36500 -out v1.pem");
    assert_kinds(
        &verify_at(now, &[root.der()], &[folder.certificate("v1.pem")], "mx.test"),
        &[WrongName, SelfSigned, Unsupported],
    );

    folder.openssl("req -x509 -newkey rsa:1024 -nodes -keyout ca.key -out ca.pem -subj /CN=Small -days 36500");
    folder.openssl("req -new -newkey rsa:2048 -nodes -keyout key.pem -out mx.csr -subj /CN=mx.test");
    std::fs::write(folder.path().join("ext"), "subjectAltName=DNS:mx.test").expect("writable");
    folder
        .openssl("x509 -req -in mx.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days 36500 -out mx.pem");
    let chain = [folder.certificate("mx.pem")];
    let trusted = [folder.certificate("ca.pem")];
    assert_kinds(&verify_at(now, &trusted, &chain, "mx.test"), &[Unsupported]);
    assert_kinds(&verify_at(now, &[root.der()], &trusted, "mx.test"), &[WrongName, SelfSigned, WeakKey]);
}

#[test]
fn an_odd_date_is_malformed_and_no_more() {
    let root = Authority::new("Root");
    let mut params = params("mx.test", &["mx.test"]);
    params.not_after = date_time_ymd(2055, 1, 1);
    let good = root.issue(&params).chain.remove(0);
    let place = good.windows(15).position(|window| window == b"20550101000000Z").expect("a GeneralizedTime");
    for (written, words) in [
        (b"20551301000000Z", "its notAfter is no date: `20551301000000Z`"),
        (b"2055010100+0000", "its notAfter is no date: `2055010100+0000`"),
        (b"2055010100000.Z", "its notAfter is no date: `2055010100000.Z`"),
        (b"205501010000.5Z", "its notAfter is no date: `205501010000.5Z`"),
    ] {
        let mut odd = good.to_vec();
        odd[place..place + 15].copy_from_slice(written);
        let problems = verify(&[root.der()], &[CertificateDer::from(odd)], "mx.test");
        // The signature is that of the good certificate.
        assert_kinds(&problems, &[Kind::BadSignature, Kind::Malformed]);
        assert!(problems[1].detail.starts_with(&format!("the certificate: {words}")), "{}", problems[1].detail);
    }
}
