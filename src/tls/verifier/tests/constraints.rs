//! Name constraints in rare forms, and names in rare forms below them, beside the verdict of OpenSSL.

use rcgen::{OtherNameValue, SanType};

use super::{
    forms::{extension, openssl_accepts},
    *,
};
use crate::tls::stand_in::element;

const MAILBOX: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;

/// A subtree that is excluded. `distances` are its minimum and maximum.
fn subtree(tag: u8, base: &str, distances: &[u8]) -> Vec<u8> {
    element(0x30, &[&element(tag, base.as_bytes())[..], distances].concat())
}

/// The problems of a certificate for `mx.test` and one more name below an issuer with these constraints, and whether
/// OpenSSL accepts the chain.
fn below(excluded: &[Vec<u8>], name: Option<SanType>) -> (Vec<CertificateProblem>, bool) {
    let root = Authority::new("Root");
    let mut ca = ca_params("Intermediate");
    ca.custom_extensions.push(extension(30, true, &element(0x30, &element(0xa1, &excluded.concat()))));
    let issuer = Authority::below(ca, &root);
    let mut own = params("mx.test", &["mx.test"]);
    own.subject_alt_names.extend(name);
    let chain = issuer.issue(&own).with([issuer.der()]).chain;
    (verify(&[root.der()], &chain, "mx.test"), openssl_accepts(&root.der(), &chain))
}

/// A minimum or maximum counts only for names of its kind (RFC 5280, section 4.2.1.10).
#[test]
fn only_a_minimum_for_a_name_that_is_there_is_a_limit() {
    const MINIMUM_0: &[u8] = &[0x80, 1, 0];
    const MINIMUM_1: &[u8] = &[0x80, 1, 1];
    const MAXIMUM_5: &[u8] = &[0x81, 1, 5];
    let other = |distances| subtree(DNS, "other.test", distances);
    let mailbox = subtree(MAILBOX, "other.test", MINIMUM_1);
    for (excluded, kinds, is_accepted) in [
        (&[other(&[])][..], &[][..], true),
        // DER leaves out a default.
        (&[other(MINIMUM_0)], &[Kind::Malformed], true),
        (&[subtree(DNS, "test", MINIMUM_0)], &[Kind::NameConstraint, Kind::Malformed], false),
        (&[other(MINIMUM_1)], &[Kind::Unsupported], false),
        (&[other(MAXIMUM_5)], &[Kind::Unsupported], false),
        (&[mailbox, other(&[])], &[], true),
    ] {
        let (problems, by_openssl) = below(excluded, None);
        assert_kinds(&problems, kinds);
        assert_eq!(by_openssl, is_accepted, "{excluded:02x?}");
        let all = problems.iter().all(|one| one.detail.starts_with("the issuing certificate CN=Intermediate "));
        assert!(all, "{problems:?}");
    }
}

/// A mailbox with characters beyond ASCII is an otherName, and a constraint for mailboxes is not evaded by it (RFC
/// 9598, section 6).
#[test]
fn constraints_for_mailboxes_apply_to_internationalized_ones() {
    let excluded = [subtree(MAILBOX, "bad.test", &[])];
    for (mailbox, kinds) in [
        ("\u{e4}@ok.test", &[][..]),
        ("\u{e4}@bad.test", &[Kind::NameConstraint]),
        ("\u{e4}@BAD.test", &[Kind::NameConstraint]),
        ("\u{e4}@b\u{e4}d.test", &[Kind::Unsupported]),
        ("\u{e4}", &[Kind::Unsupported]),
    ] {
        let value = OtherNameValue::Utf8String(mailbox.to_owned());
        let name = SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 9], value));
        let (problems, by_openssl) = below(&excluded, Some(name));
        assert_kinds(&problems, kinds);
        assert!(!by_openssl || kinds != [Kind::NameConstraint], "{mailbox}");
    }
}

/// RFC 5280, section 4.2.1.10. OpenSSL compares an address as if it were a host name.
#[test]
fn a_uri_without_a_host_name_is_rejected_where_uris_are_constrained() {
    for (uri, kinds, is_accepted) in [
        ("https://ok.test/", &[][..], true),
        ("https://a@bad.test:25/", &[Kind::NameConstraint], true),
        ("urn:uuid:0", &[Kind::NameConstraint], false),
        ("/relative", &[Kind::NameConstraint], false),
        ("https://192.0.2.1/", &[Kind::NameConstraint], true),
        ("https://[2001:db8::1]/", &[Kind::NameConstraint], true),
    ] {
        let name = || Some(SanType::URI(uri.try_into().expect("ASCII")));
        let (problems, by_openssl) = below(&[subtree(URI, "bad.test", &[])], name());
        assert_kinds(&problems, kinds);
        assert_eq!(by_openssl, is_accepted, "{uri}");
        let (problems, _) = below(&[subtree(DNS, "bad.test", &[])], name());
        assert_kinds(&problems, &[]);
    }
}
