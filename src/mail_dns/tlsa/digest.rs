//! Digests of certificates and keys.

use aws_lc_rs::digest::{SHA256, SHA512, digest};

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().unwrap_or([0; 32])
}

pub(super) fn sha512(octets: &[u8]) -> [u8; 64] {
    digest(&SHA512, octets).as_ref().try_into().unwrap_or([0; 64])
}
