//! Public keys: their names, and which are too small.

use x509_parser::{
    asn1_rs::{Oid, oid},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::text;

/// Smallest RSA key that public authorities may certify (CA/Browser Forum, Baseline Requirements, section 6.1.5).
/// Neither x509-parser nor webpki verifies signatures by smaller ones.
const MIN_RSA_BITS: usize = 2048;

/// Key algorithms that need no parameters (RFC 8410, RFC 9881).
const ALGORITHMS: [(Oid<'static>, &str); 6] = [
    (oid!(1.3.101.112), "Ed25519"),
    (oid!(1.3.101.113), "Ed448"),
    (oid!(1.2.840.113549.1.1.10), "RSA-PSS"),
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

/// The algorithm with its size or curve; an unknown algorithm by its object identifier.
pub(super) fn describe(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", bits(rsa.modulus)),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref();
            match curve.and_then(|parameters| parameters.as_oid().ok()) {
                Some(curve) => format!("ECDSA {}", text::name_of(&curve, &CURVES)),
                None => "ECDSA".to_owned(),
            }
        }
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ => text::name_of(&key.algorithm.algorithm, &ALGORITHMS),
    }
}

/// The size of an RSA key in bits; `None` for other keys.
pub(super) fn rsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => Some(bits(rsa.modulus)),
        _ => None,
    }
}

/// Whether the key is an RSA key of less than [`MIN_RSA_BITS`].
pub(super) fn is_weak_rsa(key: &SubjectPublicKeyInfo<'_>) -> bool {
    rsa_bits(key).is_some_and(|bits| bits < MIN_RSA_BITS)
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
