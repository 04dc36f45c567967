//! The facts of a certificate: bounded and printable, whatever a server sends, and independent of one another.

use smtp_check::x509::{
    Certificate, CertificateFacts,
    problem::{CertificateErrorKind, CertificateProblem},
};

use super::assert_printable;

/// More than a server can send: rustls rejects a TLS message of certificates at this size.
const MAX_INPUT_SIZE: usize = 64 * 1024;

/// `data` is a certificate in DER, or anything else.
pub fn certificate(data: &[u8]) {
    let der = &data[..data.len().min(MAX_INPUT_SIZE)];
    let Ok(certificate) = Certificate::from_der(der) else { return };
    let facts = certificate.facts();
    let dates = [&facts.not_before_as_written, &facts.not_after_as_written];
    let texts = [&facts.subject, &facts.issuer, &facts.serial, &facts.fingerprint_sha256, &facts.key];
    let mut octets = 0;
    for text in texts.into_iter().chain(dates).chain(&facts.names) {
        assert_printable(text);
        octets += text.len();
    }
    // The longest form of an octet: hexadecimal of a replacement character, or its share of an attribute's name.
    assert!(octets <= 16 * der.len() + 1024, "{octets} octets of text out of {}", der.len());
    assert_eq!(certificate.facts(), facts, "the same facts every time");
    assert_eq!((certificate.subject(), certificate.names()), (facts.subject.clone(), facts.names.clone()));

    let json = serde_json::to_value(&facts).expect("every certificate can be reported");
    assert_eq!(json["subject"], facts.subject.as_str());
    assert!(facts.serial.trim_start_matches('-').bytes().all(|digit| digit.is_ascii_hexdigit()), "{}", facts.serial);
    assert_eq!(facts.fingerprint_sha256.len(), 64);
    if let (Some(first), Some(last)) = (facts.not_before, facts.not_after) {
        let in_order = first <= last;
        assert_eq!(certificate.is_valid_at(first), in_order, "valid at its first moment");
        assert_eq!(certificate.is_valid_at(last), in_order, "valid at its last moment");
    }

    let detail = format!("{} was issued by {}", facts.subject, facts.issuer);
    let problem = CertificateProblem::new(CertificateErrorKind::Other, detail).to_string();
    assert!(problem.chars().count() <= 1100, "a problem of {} octets", problem.len());

    judge(&certificate);
    let longer = [der, &[0]].concat();
    let longer = Certificate::from_der(&longer).expect("a certificate and something behind it");
    assert_eq!(longer.facts(), facts, "something behind it");
    assert!(!longer.form_errors().is_empty(), "something behind it");
    damage(&certificate, &facts);
}

/// What the verdict reads from it.
fn judge(certificate: &Certificate<'_>) {
    assert!(certificate.version() != Some(0), "versions are counted from 1");
    if certificate.raw_subject() == certificate.raw_issuer() {
        assert!(certificate.is_self_issued());
    }
    let _ = (certificate.is_ca(), certificate.extended_key_usage(), certificate.key_usage());
    let _ = (certificate.signed(), certificate.unknown_critical_extensions(), certificate.unreadable_extensions());
    let _ = (certificate.form_errors(), certificate.date_errors(), certificate.repeated_extensions());
    if let Some(constraints) = certificate.name_constraints() {
        let _ = constraints.check(certificate);
    }
}

/// Damage to the content of one part leaves the facts of the others.
fn damage(certificate: &Certificate<'_>, facts: &CertificateFacts) {
    type Same = fn(&CertificateFacts, &mut CertificateFacts);
    let key = certificate.raw_public_key();
    let signature = certificate.signed().map_or(&[][..], |signed| signed.signature);
    let parts: [(&[u8], Same); 4] = [
        (certificate.raw_subject(), |before, after| after.subject.clone_from(&before.subject)),
        (certificate.raw_issuer(), |before, after| after.issuer.clone_from(&before.issuer)),
        // Tag and length are in the first half.
        (&key[key.len().div_ceil(2).max(6).min(key.len())..], |before, after| after.key.clone_from(&before.key)),
        (signature, |_, _| {}),
    ];
    // An indefinite length ends where the content says.
    if certificate.der().windows(2).any(|pair| pair[0] & 0x20 != 0 && pair[1] == 0x80) {
        return;
    }
    for (part, set_same) in parts {
        let start = part.as_ptr().addr().saturating_sub(certificate.der().as_ptr().addr());
        let mut der = certificate.der().to_vec();
        let Some(octets) = der.get_mut(start..start + part.len()) else { continue };
        octets.iter_mut().for_each(|octet| *octet = !*octet);
        let mut after = Certificate::from_der(&der).expect("the parts are where they were").facts();
        set_same(facts, &mut after);
        after.fingerprint_sha256.clone_from(&facts.fingerprint_sha256);
        assert_eq!(after, *facts, "damage to octets {start} to {}", start + part.len());
    }
}
