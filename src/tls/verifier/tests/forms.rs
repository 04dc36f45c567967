//! Certificates in odd forms: what is said of them, and of which certificate. OpenSSL's verdict is beside ours.

use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::*;
use crate::tls::{stand_in::element, testing::P256_KEY_IN_BER};

/// Whether `openssl verify -purpose sslserver` accepts the chain.
#[track_caller]
pub(super) fn openssl_accepts(root: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> bool {
    let pem = |certificate: &CertificateDer<'_>| {
        let base64 = BASE64_STANDARD.encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    };
    let folder = TempFolder::new();
    let write = |name: &str, certificates: &[CertificateDer<'_>]| {
        let text: String = certificates.iter().map(pem).collect();
        std::fs::write(folder.path().join(name), text).expect("the folder is writable");
    };
    write("root.pem", std::slice::from_ref(root));
    write("chain.pem", &chain[1..]);
    write("own.pem", &chain[..1]);
    let mut command = Command::new("openssl");
    command.args(["verify", "-purpose", "sslserver", "-attime", &NOW.unix_timestamp().to_string()]);
    command.args(["-CAfile", "root.pem", "-no-CApath", "-no-CAstore"]);
    if chain.len() > 1 {
        command.args(["-untrusted", "chain.pem"]);
    }
    let output = command.arg("own.pem").current_dir(folder.path()).output().expect("openssl is installed");
    output.status.success()
}

#[test]
fn a_key_in_ber_is_malformed_and_no_more() {
    let root = Authority::new("Root");
    let intermediate = Authority::below(ca_params("Intermediate"), &root);
    let leaf = intermediate.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    for ber in P256_KEY_IN_BER {
        let odd_issuer = root.with_key(&intermediate.der(), ber);
        let odd_leaf = intermediate.with_key(&leaf, ber);
        for (chain, label) in [
            ([leaf.clone(), odd_issuer], "the issuing certificate CN=Intermediate"),
            ([odd_leaf, intermediate.der()], "the certificate"),
        ] {
            let problems = verify(&[root.der()], &chain, "mx.test");
            assert_kinds(&problems, &[Kind::Malformed]);
            assert_eq!(problems[0].detail, format!("{label}: its public key is in BER, not in DER"));
            assert!(openssl_accepts(&root.der(), &chain));
            let keys = chain.each_ref().map(|der| Certificate::from_der(der).expect("it can be read").key());
            assert_eq!(keys, ["ECDSA P-256", "ECDSA P-256"]);
            // Nothing is hidden by it.
            let flipped = [super::chain::flipped(&chain[0]), chain[1].clone()];
            assert_kinds(&verify(&[root.der()], &flipped, "mx.test"), &[Kind::BadSignature, Kind::Malformed]);
        }
    }
}

#[test]
fn a_whole_certificate_in_ber_is_malformed_and_no_more() {
    let root = Authority::new("Root");
    let leaf = root.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    assert_eq!(leaf[..2], [0x30, 0x82]);
    for ber in [[&[0x30, 0x83, 0], &leaf[2..]].concat(), [&[0x30, 0x80], &leaf[4..], &[0, 0]].concat()] {
        let problems = verify(&[root.der()], &[ber.into()], "mx.test");
        assert_kinds(&problems, &[Kind::Malformed]);
        assert_eq!(problems[0].detail, "the certificate: it is in BER, not in DER");
    }
}

/// ECDSA with SHA-256.
const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// A server's certificate in which [`ALGORITHM`] is written in another way: signed, and with the signature of what it
/// was before.
fn with_algorithm(root: &Authority, written: &[u8]) -> [CertificateDer<'static>; 2] {
    let leaf = root.issue(&params("mx.test", &["mx.test"])).chain.remove(0);
    let message = Certificate::from_der(&leaf).and_then(|leaf| leaf.signed().ok_or(crate::x509::Malformed));
    let message = message.expect("a good certificate").message;
    let place = message.windows(ALGORITHM.len()).position(|window| window == ALGORITHM).expect("the algorithm");
    let header = if message[1] == 0x81 { 3 } else { 4 };
    let tbs = [&message[header..place], written, &message[place + ALGORITHM.len()..]].concat();
    let tbs = element(0x30, &tbs);
    [&tbs[..], message].map(|signed| {
        let signature = element(0x03, &[&[0], &root.sign(signed)[..]].concat());
        CertificateDer::from(element(0x30, &[&tbs[..], written, &signature].concat()))
    })
}

/// The signature counts, and the form is an error beside it.
#[test]
fn a_signature_algorithm_in_another_form_is_verified_and_malformed() {
    let root = Authority::new("Root");
    let ber = [&[0x30, 0x81], &ALGORITHM[1..]].concat();
    let null = [&[0x30, 12], &ALGORITHM[2..], &[5, 0]].concat();
    for (written, error) in [
        (ber, "its signature algorithm is in BER, not in DER"),
        (
            null,
            "its signature algorithm, ECDSA with SHA-256, has parameters that RFC 5758, section 3.2, does not allow",
        ),
    ] {
        let [good, bad] = with_algorithm(&root, &written).map(|leaf| [leaf]);
        let problems = verify(&[root.der()], &good, "mx.test");
        assert_kinds(&problems, &[Kind::Malformed]);
        assert_eq!(problems[0].detail, format!("the certificate: {error}"));
        assert!(openssl_accepts(&root.der(), &good));
        assert_kinds(&verify(&[root.der()], &bad, "mx.test"), &[Kind::BadSignature, Kind::Malformed]);
    }
}

/// An extension of `id-ce`, 2.5.29.
pub(super) fn extension(number: u64, is_critical: bool, value: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, number], value.to_vec());
    extension.set_criticality(is_critical);
    extension
}

/// The problems if the issuer, or the server's certificate, has this extension; and whether OpenSSL accepts the chains.
/// An extension about basic constraints takes the place of the usual one.
fn with_extension(one: &CustomExtension) -> [(Vec<CertificateProblem>, bool); 2] {
    let root = Authority::new("Root");
    let with = |mut params: CertificateParams| {
        if one.oid_components().eq([2, 5, 29, 19]) {
            params.is_ca = IsCa::NoCa;
        }
        params.custom_extensions.push(one.clone());
        params
    };
    let (good, odd) = (ca_params("Intermediate"), with(ca_params("Intermediate")));
    let (good, odd) = (Authority::below(good, &root), Authority::below(odd, &root));
    let own = params("mx.test", &["mx.test"]);
    [odd.issue(&own).with([odd.der()]).chain, good.issue(&with(own)).with([good.der()]).chain]
        .map(|chain| (verify(&[root.der()], &chain, "mx.test"), openssl_accepts(&root.der(), &chain)))
}

#[test]
fn an_extension_in_ber_is_malformed_with_its_certificate() {
    let cases: [(u64, &[u8], &str); 5] = [
        // keyCertSign and digitalSignature, with lengths in the long form.
        (15, &[3, 0x81, 2, 2, 0x84], "keyUsage (2.5.29.15)"),
        (19, &[0x30, 0x81, 3, 1, 1, 0xff], "basicConstraints (2.5.29.19)"),
        // TRUE is 1.
        (19, &[0x30, 3, 1, 1, 1], "basicConstraints (2.5.29.19)"),
        (37, &[0x30, 0x80, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1, 0, 0], "extendedKeyUsage (2.5.29.37)"),
        (32, &[0x30, 0x81, 6, 0x30, 4, 6, 2, 42, 3], "certificatePolicies (2.5.29.32)"),
    ];
    for (number, value, name) in cases {
        let labels = ["the issuing certificate CN=Intermediate", "the certificate"];
        for ((problems, is_accepted), label) in with_extension(&extension(number, true, value)).into_iter().zip(labels)
        {
            assert_kinds(&problems, &[Kind::Malformed]);
            assert_eq!(problems[0].detail, format!("{label}: its extension {name} is in BER, not in DER"));
            assert!(is_accepted, "{name}: openssl reads BER");
        }
    }
}

#[test]
fn an_extension_that_cannot_be_read_is_named_and_nothing_is_made_of_it() {
    let cases: [(u64, &[u8], &str); 9] = [
        // CA:TRUE, and octets behind it or in it.
        (19, &[0x30, 3, 1, 1, 0xff, 5, 0], "basicConstraints (2.5.29.19)"),
        (19, &[0x30, 5, 1, 1, 0xff, 5, 0], "basicConstraints (2.5.29.19)"),
        // A path length of -1.
        (19, &[0x30, 6, 1, 1, 0xff, 2, 1, 0xff], "basicConstraints (2.5.29.19)"),
        (37, &[0x30, 0], "extendedKeyUsage (2.5.29.37)"),
        (37, &[0x30, 2, 5, 0], "extendedKeyUsage (2.5.29.37)"),
        // NULL and an empty list where there has to be a list.
        (32, &[5, 0], "certificatePolicies (2.5.29.32)"),
        (32, &[0x30, 0], "certificatePolicies (2.5.29.32)"),
        (33, &[5, 0], "policyMappings (2.5.29.33)"),
        (54, &[2, 1, 0xff], "inhibitAnyPolicy (2.5.29.54)"),
    ];
    for (number, value, name) in cases {
        let labels = ["the issuing certificate CN=Intermediate", "the certificate"];
        for ((problems, _), label) in with_extension(&extension(number, true, value)).into_iter().zip(labels) {
            let malformed: Vec<_> = problems.iter().filter(|problem| problem.kind == Kind::Malformed).collect();
            let details: Vec<_> = malformed.iter().map(|problem| problem.detail.as_str()).collect();
            assert_eq!(details, [format!("{label} has the extension {name}, which cannot be read")], "{problems:?}");
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    }
}

#[test]
fn policy_constraints_without_content_are_said_to_be_empty() {
    let labels = ["the issuing certificate CN=Intermediate", "the certificate"];
    for ((problems, _), label) in with_extension(&extension(36, true, &[0x30, 0])).into_iter().zip(labels) {
        assert_kinds(&problems, &[Kind::Malformed]);
        let expected = format!("{label} has the extension policyConstraints (2.5.29.36), which is empty");
        assert!(problems[0].detail.starts_with(&expected), "{}", problems[0].detail);
    }
}

#[test]
fn an_error_about_name_constraints_names_the_certificate() {
    // permittedSubtrees: iPAddress 192.0.2.0 with a mask that has a gap, iPAddress of 3 octets, dNSName "*.test".
    let (gap, odd): (&[u8], &[u8]) = (&[192, 0, 2, 0, 255, 0, 255, 0], &[1, 2, 3]);
    let ca = "the issuing certificate CN=Intermediate";
    let network = "has name constraints for addresses that are not a network and its mask";
    for (tag, base, words) in [
        (0x87, gap, format!("{ca} {network}")),
        (0x87, odd, format!("{ca} {network}")),
        (0x82, &b"*.test"[..], format!("{ca}: ")),
    ] {
        let subtree = element(0x30, &element(tag, base));
        let constraints = extension(30, true, &element(0x30, &element(0xa0, &subtree)));
        let problems = with_issuer(|ca| ca.custom_extensions.push(constraints.clone()));
        let malformed = problems.iter().find(|problem| problem.kind == Kind::Malformed);
        let malformed = malformed.unwrap_or_else(|| panic!("{problems:?}"));
        assert!(malformed.detail.starts_with(&words), "{}", malformed.detail);
    }
}

/// webpki takes it for an error of the constraints' certificate.
#[test]
fn a_host_name_that_webpki_does_not_compare_is_compared() {
    let root = Authority::new("Root");
    for (excluded, expected) in [("bad.example", &[][..]), ("example", &[Kind::NameConstraint])] {
        let subtree = element(0x30, &element(0x82, excluded.as_bytes()));
        let mut ca = ca_params("Intermediate");
        ca.custom_extensions.push(extension(30, true, &element(0x30, &element(0xa1, &subtree))));
        let intermediate = Authority::below(ca, &root);
        let names = [&element(0x82, b"mx.test")[..], &element(0x82, b"a..good.example")].concat();
        let mut own = params("mx.test", &[]);
        own.custom_extensions.push(extension(17, false, &element(0x30, &names)));
        let chain = intermediate.issue(&own).with([intermediate.der()]).chain;
        assert_kinds(&verify(&[root.der()], &chain, "mx.test"), expected);
        assert_eq!(openssl_accepts(&root.der(), &chain), expected.is_empty());
    }
}

#[test]
fn the_purposes_of_server_gated_crypto_are_those_of_servers() {
    // ExtKeyUsageSyntax with one purpose: Netscape's and Microsoft's Server Gated Crypto, clientAuth, any purpose.
    let cases: [(&[u8], &str); 4] = [
        (&[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01], ""),
        (&[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03], ""),
        (&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02], "is not for TLS servers (extended key usage)"),
        (
            &[0x55, 0x1d, 0x25, 0x00],
            "is for any purpose (anyExtendedKeyUsage), but does not name that of TLS servers (serverAuth)",
        ),
    ];
    for (purpose, words) in cases {
        let purposes = extension(37, false, &element(0x30, &element(0x06, purpose)));
        let labels = ["the issuing certificate CN=Intermediate", "the certificate"];
        for ((problems, is_accepted), label) in with_extension(&purposes).into_iter().zip(labels) {
            let expected = if words.is_empty() { None } else { Some(format!("wrong key usage: {label} {words}")) };
            assert_eq!(cert_error(&problems), expected);
            assert_eq!(is_accepted, problems.is_empty(), "openssl differs: {purpose:02x?}");
        }
    }
}

#[test]
fn a_name_in_an_entry_of_another_type_is_told_apart() {
    let root = Authority::new("Root");
    let names = |tag: u8, name: &[u8]| {
        let mut params = params("mx.test", &[]);
        params.custom_extensions.push(extension(17, false, &element(0x30, &element(tag, name))));
        root.issue(&params).chain
    };
    for (tag, name, words) in [
        (0x82, "127.0.0.1", ": an address must be in an entry of the type iPAddress, and this one is in dNSName"),
        (
            0x86,
            "mx.test",
            ": a host name must be in an entry of the type dNSName, and this one is in uniformResourceIdentifier",
        ),
        (0x81, "MX.test", ": a host name must be in an entry of the type dNSName, and this one is in rfc822Name"),
    ] {
        let expected = name.to_ascii_lowercase();
        let problems = verify(&[root.der()], &names(tag, name.as_bytes()), &expected);
        assert_kinds(&problems, &[Kind::WrongName]);
        assert_eq!(problems[0].detail, format!("the certificate is for {name}, not for {expected}{words}"));
    }
}

#[test]
fn a_long_name_does_not_hide_what_is_wrong() {
    let long = "x".repeat(20_000);
    let root = Authority::new("Root");
    let mut ca = ca_params(&long);
    unknown_critical_extension(&mut ca);
    let intermediate = Authority::below(ca, &root);
    let leaf = intermediate.issue(&params("mx.test", &[&format!("{}.test", "y".repeat(60)), "mx.test"]));
    let problems = verify(&[root.der()], &leaf.with([intermediate.der()]).chain, "mx.test");
    assert_kinds(&problems, &[Kind::Unsupported]);
    assert!(problems[0].detail.ends_with("1.2.3.4, which this program does not process"), "{}", problems[0].detail);

    let mut own = params("mx.test", &[]);
    let uri = element(0x86, long.as_bytes());
    own.custom_extensions.push(extension(17, false, &element(0x30, &uri)));
    let stranger = Authority::new(&long);
    let problems = verify(&[root.der()], &stranger.issue(&own).chain, "mx.test");
    assert_kinds(&problems, &[Kind::WrongName, Kind::UnknownIssuer]);
    assert!(problems[0].detail.ends_with("…, not for mx.test"), "{}", problems[0].detail);
    assert!(problems[1].detail.ends_with("the server did not send its certificate"), "{}", problems[1].detail);
}
