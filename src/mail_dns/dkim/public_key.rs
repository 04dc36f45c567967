//! The public key of a record: its kind and its size.

use std::fmt;

use x509_parser::{
    asn1_rs::FromDer, public_key::PublicKey as X509Key, public_key::RSAPublicKey, x509::SubjectPublicKeyInfo,
};

use super::{Fault, KeyType};
use crate::mail_dns::der;

const ED25519_SIZE: usize = 32;

/// A key, by its kind and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// An empty `p` (RFC 6376, section 3.6.1).
    Revoked,
    /// RFC 6376, section 3.3.
    Rsa {
        /// The size of the modulus.
        bits: usize,
    },
    /// RFC 8463.
    Ed25519,
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str("revoked"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

impl PublicKey {
    /// Reads the decoded octets of `p`. `record` is the size of the whole record.
    pub(super) fn read(octets: &[u8], kind: KeyType, record: usize) -> Result<Self, Fault> {
        match kind {
            _ if octets.is_empty() => Ok(Self::Revoked),
            KeyType::Ed25519 if octets.len() == ED25519_SIZE => Ok(Self::Ed25519),
            KeyType::Ed25519 if der::is_public_key(octets) => Err(Fault::Ed25519Wrapped),
            KeyType::Ed25519 => Err(Fault::Ed25519Length(octets.len())),
            KeyType::Rsa => match rsa_bits(octets) {
                Some(bits) => Ok(Self::Rsa { bits }),
                None => Err(not_rsa(octets, record)),
            },
        }
    }
}

/// The size of an RSA key, in a SubjectPublicKeyInfo, as nearly all are published, or bare, as RFC 6376, section
/// 3.6.1, has it.
fn rsa_bits(octets: &[u8]) -> Option<usize> {
    if let Ok((rest, key)) = SubjectPublicKeyInfo::from_der(octets) {
        return match key.parsed() {
            Ok(X509Key::RSA(key)) if rest.is_empty() => bits(key.modulus),
            _ => None,
        };
    }
    let (rest, key) = RSAPublicKey::from_der(octets).ok()?;
    bits(key.modulus).filter(|_| rest.is_empty())
}

fn not_rsa(octets: &[u8], record: usize) -> Fault {
    match der::header(octets) {
        Some((der::SEQUENCE, header, content)) if header + content > octets.len() => {
            Fault::Truncated { expected: header + content, found: octets.len(), record }
        }
        _ if octets.len() == ED25519_SIZE => Fault::Ed25519AsRsa,
        _ => Fault::NotRsa,
    }
}

/// The number of bits of an unsigned INTEGER; `None` for zero.
fn bits(integer: &[u8]) -> Option<usize> {
    let first = integer.iter().position(|octet| *octet != 0)?;
    let leading_zeros = usize::try_from(integer[first].leading_zeros()).ok()?;
    Some((integer.len() - first) * 8 - leading_zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_first_that_is_set() {
        let cases: [(&[u8], Option<usize>); 5] =
            [(&[], None), (&[0, 0], None), (&[1], Some(1)), (&[0, 0x80, 0], Some(16)), (&[0x40, 0], Some(15))];
        for (integer, expected) in cases {
            assert_eq!(bits(integer), expected);
        }
    }
}
