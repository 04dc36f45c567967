//! RSASSA-PSS (RFC 4055) with other lengths of salt than the hash's, which OpenSSL writes by default.
//!
//! webpki finds an algorithm by its identifier, of which the length is a part: there is one for each usual length.

use std::sync::LazyLock;

use aws_lc_rs::signature::{
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPssSaltLength,
    UnparsedPublicKey,
};
use tokio_rustls::rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id::RSA_ENCRYPTION,
};

/// Sizes of RSA keys, in octets, for which the longest salt is supported.
const KEY_SIZES: [u16; 4] = [256, 384, 512, 1024];
/// The sizes of SHA-1 (the default of RFC 4055), SHA-224, and the hashes below; and none.
const SALT_SIZES: [u16; 6] = [0, 20, 28, 32, 48, 64];
/// `id-RSASSA-PSS`, 1.2.840.113549.1.1.10.
const RSASSA_PSS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// `id-mgf1`, 1.2.840.113549.1.1.8.
const MGF1: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];

type Parameters = fn() -> RsaParameters;

#[derive(Debug)]
struct RsaPss {
    id: AlgorithmIdentifier,
    parameters: RsaParameters,
}

impl SignatureVerificationAlgorithm for RsaPss {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        // The library takes parameters that live for ever, and those of the list do.
        let position = ALL.iter().position(|known| known.id == self.id).ok_or(InvalidSignature)?;
        let key = UnparsedPublicKey::new(&ALL[position].parameters, public_key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
}

static ALL: LazyLock<Vec<RsaPss>> = LazyLock::new(|| {
    // The last octet of the hash's identifier 2.16.840.1.101.3.4.2.x, its size, and the parameters.
    let hashes: [(u8, u16, Parameters); 3] = [
        (1, 32, || RSA_PSS_2048_8192_SHA256),
        (2, 48, || RSA_PSS_2048_8192_SHA384),
        (3, 64, || RSA_PSS_2048_8192_SHA512),
    ];
    let mut all = Vec::new();
    for (hash, size, parameters) in hashes {
        let longest = KEY_SIZES.map(|key| key - size - 2);
        // That of the hash's own size is webpki's.
        for salt in SALT_SIZES.into_iter().chain(longest).filter(|salt| *salt != size) {
            let parameters = || parameters().with_pss_salt_length(RsaPssSaltLength::Custom(salt));
            all.push(RsaPss { id: identifier(hash, Some(salt)), parameters: parameters() });
            if salt == 20 {
                // DER leaves out a default, but not all software does.
                all.push(RsaPss { id: identifier(hash, None), parameters: parameters() });
            }
        }
    }
    all
});

/// One algorithm for each hash and each usual length of salt.
pub(super) fn algorithms() -> impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm> {
    ALL.iter().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm)
}

/// The content of the AlgorithmIdentifier (RFC 4055, section 3.1). It is leaked: the list is made once.
fn identifier(hash: u8, salt: Option<u16>) -> AlgorithmIdentifier {
    let hash = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00];
    let hash = element(0x30, &hash);
    let mgf1 = element(0x30, &[MGF1, &hash].concat());
    let salt = match salt.map(u16::to_be_bytes) {
        Some([0, low]) if low < 0x80 => element(0xa2, &element(0x02, &[low])),
        Some(octets) => element(0xa2, &element(0x02, &octets)),
        None => Vec::new(),
    };
    let parameters = [element(0xa0, &hash), element(0xa1, &mgf1), salt].concat();
    let id: &'static [u8] = [RSASSA_PSS, &element(0x30, &parameters)].concat().leak();
    AlgorithmIdentifier::from_slice(id)
}

/// A DER element of at most 127 octets.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, size], content].concat()
}
