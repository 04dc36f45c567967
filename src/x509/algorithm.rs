//! Signature algorithms by name, as `RSA with SHA-256`.

use x509_parser::{
    asn1_rs::{FromDer, Oid, oid},
    signature_algorithm::RsaSsaPssParams,
    x509::AlgorithmIdentifier,
};

use super::{element, text};

const RSASSA_PSS: Oid<'static> = oid!(1.2.840.113549.1.1.10);

const ALGORITHMS: [(Oid<'static>, &str); 22] = [
    (oid!(1.2.840.113549.1.1.2), "RSA with MD2"),
    (oid!(1.2.840.113549.1.1.4), "RSA with MD5"),
    (oid!(1.2.840.113549.1.1.5), "RSA with SHA-1"),
    (oid!(1.3.14.3.2.29), "RSA with SHA-1"),
    (oid!(1.2.840.113549.1.1.14), "RSA with SHA-224"),
    (oid!(1.2.840.113549.1.1.11), "RSA with SHA-256"),
    (oid!(1.2.840.113549.1.1.12), "RSA with SHA-384"),
    (oid!(1.2.840.113549.1.1.13), "RSA with SHA-512"),
    (oid!(1.2.840.10045.4.1), "ECDSA with SHA-1"),
    (oid!(1.2.840.10045.4.3.1), "ECDSA with SHA-224"),
    (oid!(1.2.840.10045.4.3.2), "ECDSA with SHA-256"),
    (oid!(1.2.840.10045.4.3.3), "ECDSA with SHA-384"),
    (oid!(1.2.840.10045.4.3.4), "ECDSA with SHA-512"),
    (oid!(1.2.840.10040.4.3), "DSA with SHA-1"),
    (oid!(2.16.840.1.101.3.4.3.1), "DSA with SHA-224"),
    (oid!(2.16.840.1.101.3.4.3.2), "DSA with SHA-256"),
    (oid!(1.3.101.112), "Ed25519"),
    (oid!(1.3.101.113), "Ed448"),
    (oid!(2.16.840.1.101.3.4.3.17), "ML-DSA-44"),
    (oid!(2.16.840.1.101.3.4.3.18), "ML-DSA-65"),
    (oid!(2.16.840.1.101.3.4.3.19), "ML-DSA-87"),
    (oid!(1.2.156.10197.1.501), "SM2 with SM3"),
];

const HASHES: [(Oid<'static>, &str); 5] = [
    (oid!(1.3.14.3.2.26), "SHA-1"),
    (oid!(2.16.840.1.101.3.4.2.4), "SHA-224"),
    (oid!(2.16.840.1.101.3.4.2.1), "SHA-256"),
    (oid!(2.16.840.1.101.3.4.2.2), "SHA-384"),
    (oid!(2.16.840.1.101.3.4.2.3), "SHA-512"),
];

/// The names of the algorithms whose hash can be forged.
const WEAK: [&str; 5] = ["RSA with MD2", "RSA with MD5", "RSA with SHA-1", "ECDSA with SHA-1", "DSA with SHA-1"];

/// Whether the hash of the algorithm with this name can be forged.
pub(super) fn is_weak(name: &str) -> bool {
    WEAK.contains(&name) || name.starts_with("RSA-PSS with SHA-1 ")
}

/// The algorithm, with its parameters where they count; an unknown one by its object identifier. `der` is an
/// AlgorithmIdentifier. `None` if it cannot be read.
pub(super) fn describe(der: &[u8]) -> Option<String> {
    let (_, algorithm) = AlgorithmIdentifier::from_der(der).ok().filter(|_| element::is_algorithm(der))?;
    if algorithm.algorithm != RSASSA_PSS {
        return Some(text::name_of(algorithm.algorithm.as_bytes(), &ALGORITHMS));
    }
    Some(match algorithm.parameters.as_ref().and_then(|parameters| RsaSsaPssParams::try_from(parameters).ok()) {
        Some(parameters) => {
            let hash = text::name_of(parameters.hash_algorithm_oid().as_bytes(), &HASHES);
            format!("RSA-PSS with {hash} and a salt of {} octets", parameters.salt_length())
        }
        None => "RSA-PSS".to_owned(),
    })
}
