//! The facts of a certificate: bounded and printable, whatever a server sends.

use smtp_check::x509::{
    Certificate, Malformed,
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
    let texts = [&facts.subject, &facts.issuer, &facts.serial, &facts.fingerprint_sha256, &facts.key];
    let mut octets = 0;
    for text in texts.into_iter().chain(&facts.names) {
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
    let in_order = facts.not_before <= facts.not_after;
    assert_eq!(certificate.is_valid_at(facts.not_before), in_order, "valid at its first moment");
    assert_eq!(certificate.is_valid_at(facts.not_after), in_order, "valid at its last moment");

    let detail = format!("{} was issued by {}", facts.subject, facts.issuer);
    let problem = CertificateProblem::new(CertificateErrorKind::Other, detail).to_string();
    assert!(problem.chars().count() <= 1100, "a problem of {} octets", problem.len());

    judge(&certificate);
    let longer = [der, &[0]].concat();
    assert_eq!(Certificate::from_der(&longer).err(), Some(Malformed), "something behind it");
    assert_eq!(Certificate::from_der(&der[..der.len() - 1]).err(), Some(Malformed), "without its last octet");
}

/// What the verdict reads from it.
fn judge(certificate: &Certificate<'_>) {
    assert!(certificate.version() > 0, "versions are counted from 1");
    assert_eq!(certificate.is_self_issued(), certificate.raw_subject() == certificate.raw_issuer());
    let _ = (certificate.is_ca(), certificate.extended_key_usage(), certificate.key_usage());
    let _ = (certificate.signed(), certificate.unknown_critical_extensions(), certificate.forbidden_names(certificate));
}
