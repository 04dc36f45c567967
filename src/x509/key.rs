//! Public keys: their names, and which are too small.

use x509_parser::{
    asn1_rs::{FromDer, Oid, Tag, oid},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::{
    element::{self, INTEGER, OBJECT_IDENTIFIER},
    text,
};

/// Smallest RSA key that public authorities may certify (CA/Browser Forum, Baseline Requirements, section 6.1.5).
/// Neither x509-parser nor webpki verifies signatures by smaller ones.
const MIN_RSA_BITS: usize = 2048;

/// Key algorithms that need no parameters (RFC 8410, RFC 9881), and others, of which the key cannot be read.
const ALGORITHMS: [(Oid<'static>, &str); 9] = [
    (oid!(1.3.101.112), "Ed25519"),
    (oid!(1.3.101.113), "Ed448"),
    (oid!(1.2.840.113549.1.1.1), "RSA"),
    (oid!(1.2.840.113549.1.1.10), "RSA-PSS"),
    (oid!(1.2.840.10045.2.1), "ECDSA"),
    (oid!(1.2.840.10040.4.1), "DSA"),
    (oid!(2.16.840.1.101.3.4.3.17), "ML-DSA-44"),
    (oid!(2.16.840.1.101.3.4.3.18), "ML-DSA-65"),
    (oid!(2.16.840.1.101.3.4.3.19), "ML-DSA-87"),
];

/// The common curves of RFC 5480, and Bitcoin's.
const CURVES: [(Oid<'static>, &str); 5] = [
    (oid!(1.2.840.10045.3.1.7), "P-256"),
    (oid!(1.3.132.0.34), "P-384"),
    (oid!(1.3.132.0.35), "P-521"),
    (oid!(1.2.840.10045.3.1.1), "P-192"),
    (oid!(1.3.132.0.10), "secp256k1"),
];

/// Reads a subjectPublicKeyInfo in DER.
pub(super) fn read(spki: &[u8]) -> Option<SubjectPublicKeyInfo<'_>> {
    let mut content = element::take(&mut &*spki)?.content;
    let algorithm = element::take(&mut content)?;
    SubjectPublicKeyInfo::from_der(spki).ok().filter(|_| element::is_algorithm(algorithm.raw)).map(|(_, key)| key)
}

/// The algorithm with its size or curve; an unknown algorithm by its object identifier.
pub(super) fn describe(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", bits(rsa.modulus)),
        Ok(PublicKey::EC(_)) => match &key.algorithm.parameters {
            Some(curve) if curve.tag() == Tag::Oid => format!("ECDSA {}", text::name_of(curve.data, &CURVES)),
            Some(parameters) if parameters.tag() == Tag::Sequence => explicit_curve(parameters.data),
            _ => "ECDSA".to_owned(),
        },
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ => text::name_of(key.algorithm.algorithm.as_bytes(), &ALGORITHMS),
    }
}

/// A curve that is written out instead of named, which RFC 5480, section 2.1.1, forbids. `content` is that of a
/// SpecifiedECDomain: a version, and the field with its prime.
fn explicit_curve(content: &[u8]) -> String {
    const PRIME_FIELD: Oid<'static> = oid!(1.2.840.10045.1.1);
    let (parameters, _) = element::all(content);
    let field = parameters.get(1).map(|field| element::all(field.content).0).unwrap_or_default();
    match field[..] {
        [id, prime] if id.of(OBJECT_IDENTIFIER) == Some(PRIME_FIELD.as_bytes()) && prime.tag == INTEGER => {
            format!("ECDSA with explicit parameters ({} bits)", bits(prime.content))
        }
        _ => "ECDSA with explicit parameters".to_owned(),
    }
}

/// The size of an RSA key in bits; `None` for other keys.
pub(super) fn rsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => Some(bits(rsa.modulus)),
        _ => None,
    }
}

/// Whether an RSA key of this size is smaller than [`MIN_RSA_BITS`].
pub(super) fn is_weak_rsa(bits: usize) -> bool {
    bits < MIN_RSA_BITS
}

/// The number of bits of an unsigned INTEGER.
fn bits(integer: &[u8]) -> usize {
    let Some(first) = integer.iter().position(|byte| *byte != 0) else { return 0 };
    let leading_zeros = usize::try_from(integer[first].leading_zeros()).unwrap_or(0);
    (integer.len() - first) * 8 - leading_zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_first_that_is_set() {
        let cases: [(&[u8], usize); 5] = [(&[], 0), (&[0, 0], 0), (&[1], 1), (&[0, 0x80, 0], 16), (&[0x40, 0], 15)];
        for (integer, expected) in cases {
            assert_eq!(bits(integer), expected);
        }
    }
}
