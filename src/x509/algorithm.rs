//! Signature algorithms by name, as `RSA with SHA-256`.

use x509_parser::{
    asn1_rs::{FromDer, Oid, oid},
    signature_algorithm::RsaSsaPssParams,
    x509::AlgorithmIdentifier,
};

use super::{element, text};

const RSASSA_PSS: Oid<'static> = oid!(1.2.840.113549.1.1.10);
const MGF1: Oid<'static> = oid!(1.2.840.113549.1.1.8);

const ALGORITHMS: [(Oid<'static>, &str); 34] = [
    (oid!(1.2.840.113549.1.1.2), "RSA with MD2"),
    (oid!(1.2.840.113549.1.1.3), "RSA with MD4"),
    (oid!(1.2.840.113549.1.1.4), "RSA with MD5"),
    (oid!(1.2.840.113549.1.1.5), "RSA with SHA-1"),
    (oid!(1.3.14.3.2.29), "RSA with SHA-1"),
    (oid!(1.2.840.113549.1.1.14), "RSA with SHA-224"),
    (oid!(1.2.840.113549.1.1.11), "RSA with SHA-256"),
    (oid!(1.2.840.113549.1.1.12), "RSA with SHA-384"),
    (oid!(1.2.840.113549.1.1.13), "RSA with SHA-512"),
    (oid!(1.2.840.113549.1.1.15), "RSA with SHA-512/224"),
    (oid!(1.2.840.113549.1.1.16), "RSA with SHA-512/256"),
    (oid!(2.16.840.1.101.3.4.3.13), "RSA with SHA3-224"),
    (oid!(2.16.840.1.101.3.4.3.14), "RSA with SHA3-256"),
    (oid!(2.16.840.1.101.3.4.3.15), "RSA with SHA3-384"),
    (oid!(2.16.840.1.101.3.4.3.16), "RSA with SHA3-512"),
    (oid!(1.2.840.10045.4.1), "ECDSA with SHA-1"),
    (oid!(1.2.840.10045.4.3.1), "ECDSA with SHA-224"),
    (oid!(1.2.840.10045.4.3.2), "ECDSA with SHA-256"),
    (oid!(1.2.840.10045.4.3.3), "ECDSA with SHA-384"),
    (oid!(1.2.840.10045.4.3.4), "ECDSA with SHA-512"),
    (oid!(2.16.840.1.101.3.4.3.9), "ECDSA with SHA3-224"),
    (oid!(2.16.840.1.101.3.4.3.10), "ECDSA with SHA3-256"),
    (oid!(2.16.840.1.101.3.4.3.11), "ECDSA with SHA3-384"),
    (oid!(2.16.840.1.101.3.4.3.12), "ECDSA with SHA3-512"),
    (oid!(1.2.840.10040.4.3), "DSA with SHA-1"),
    (oid!(2.16.840.1.101.3.4.3.1), "DSA with SHA-224"),
    (oid!(2.16.840.1.101.3.4.3.2), "DSA with SHA-256"),
    (oid!(2.16.840.1.101.3.4.3.3), "DSA with SHA-384"),
    (oid!(1.3.101.112), "Ed25519"),
    (oid!(1.3.101.113), "Ed448"),
    (oid!(2.16.840.1.101.3.4.3.17), "ML-DSA-44"),
    (oid!(2.16.840.1.101.3.4.3.18), "ML-DSA-65"),
    (oid!(2.16.840.1.101.3.4.3.19), "ML-DSA-87"),
    (oid!(1.2.156.10197.1.501), "SM2 with SM3"),
];

const HASHES: [(Oid<'static>, &str); 11] = [
    (oid!(1.3.14.3.2.26), "SHA-1"),
    (oid!(2.16.840.1.101.3.4.2.4), "SHA-224"),
    (oid!(2.16.840.1.101.3.4.2.1), "SHA-256"),
    (oid!(2.16.840.1.101.3.4.2.2), "SHA-384"),
    (oid!(2.16.840.1.101.3.4.2.3), "SHA-512"),
    (oid!(2.16.840.1.101.3.4.2.5), "SHA-512/224"),
    (oid!(2.16.840.1.101.3.4.2.6), "SHA-512/256"),
    (oid!(2.16.840.1.101.3.4.2.7), "SHA3-224"),
    (oid!(2.16.840.1.101.3.4.2.8), "SHA3-256"),
    (oid!(2.16.840.1.101.3.4.2.9), "SHA3-384"),
    (oid!(2.16.840.1.101.3.4.2.10), "SHA3-512"),
];

/// The names of the algorithms whose hash can be forged.
const WEAK: [&str; 5] = ["RSA with MD2", "RSA with MD5", "RSA with SHA-1", "ECDSA with SHA-1", "DSA with SHA-1"];

/// Whether the hash of the algorithm with this name can be forged.
pub(super) fn is_weak(name: &str) -> bool {
    WEAK.contains(&name) || name.starts_with("RSA-PSS with SHA-1 ")
}

/// The algorithm, with its parameters where they count; an unknown one by its object identifier. `der` is an
/// AlgorithmIdentifier in DER. `None` if it cannot be read.
pub(super) fn describe(der: &[u8]) -> Option<String> {
    let (_, algorithm) = AlgorithmIdentifier::from_der(der).ok().filter(|_| element::is_algorithm(der))?;
    if algorithm.algorithm != RSASSA_PSS {
        return Some(text::name_of(algorithm.algorithm.as_bytes(), &ALGORITHMS));
    }
    let parameters = algorithm.parameters.as_ref().and_then(|parameters| RsaSsaPssParams::try_from(parameters).ok());
    Some(parameters.map_or_else(|| "RSA-PSS".to_owned(), |parameters| describe_pss(&parameters)))
}

/// The RFC and section that do not allow the parameters of this algorithm; `None` if they are allowed, or the algorithm
/// is not a common one. `der` is an AlgorithmIdentifier in DER.
pub(super) fn rule_against_parameters(der: &[u8]) -> Option<&'static str> {
    const NULL: &[u8] = &[0x05, 0x00];
    let parameters = element::sequence(der)?.get(1).map(|parameters| parameters.raw)?;
    let name = describe(der)?;
    match name.split(' ').next()? {
        "RSA" if parameters != NULL => Some("RFC 4055, section 5"),
        "ECDSA" => Some("RFC 5758, section 3.2"),
        "Ed25519" | "Ed448" => Some("RFC 8410, section 3"),
        _ => None,
    }
}

/// Whether two algorithms are the same but for parameters that are of no account. Both are the contents of
/// AlgorithmIdentifiers in DER; `known` has the right parameters.
pub fn is_same_algorithm(known: &[u8], written: &[u8]) -> bool {
    let split = |mut content| element::take(&mut content).map(|id| (id.raw, content));
    // Other parameters than NULL are of account.
    known == written
        || matches!((split(known), split(written)), (Some((one, [] | [0x05, 0x00])), Some((other, _))) if one == other)
}

/// RSASSA-PSS with its parameters (RFC 4055, section 3.1). The mask generation and the trailer are told where they are
/// not the usual ones: MGF1 with the same hash, and 1.
fn describe_pss(parameters: &RsaSsaPssParams<'_>) -> String {
    let hash = parameters.hash_algorithm_oid();
    let mask = match parameters.mask_gen_algorithm() {
        Ok(mask) if mask.mgf == MGF1 && mask.hash == *hash => String::new(),
        Ok(mask) if mask.mgf == MGF1 => format!(", MGF1 with {}", text::name_of(mask.hash.as_bytes(), &HASHES)),
        Ok(mask) => format!(", mask generation by {}", text::oid(mask.mgf.as_bytes())),
        Err(_) => ", an unreadable mask generation".to_owned(),
    };
    let trailer = match parameters.trailer_field() {
        1 => String::new(),
        other => format!(" and the trailer {other}"),
    };
    let (hash, salt) = (text::name_of(hash.as_bytes(), &HASHES), parameters.salt_length());
    format!("RSA-PSS with {hash}{mask} and a salt of {salt} octets{trailer}")
}
