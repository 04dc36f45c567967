//! Signatures in the handshake by RSA keys of 1024 to 2047 bits, by which the library verifies none of TLS 1.3.
//!
//! Whoever has such a key is told that it is weak, and is never verified. But a weak key makes nobody an impostor: its owner can
//! prove to have it like any other, and nothing but that is decided here. All that comes in is public, so no care is taken to hide
//! it from whoever measures the time.

use aws_lc_rs::{
    digest,
    signature::{
        RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY as PKCS1_SHA256,
        RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY as PKCS1_SHA512, RsaParameters, UnparsedPublicKey,
    },
};
use tokio_rustls::rustls::{
    SignatureScheme,
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use x509_parser::{asn1_rs::FromDer, num_bigint::BigUint, public_key::RSAPublicKey};

/// How a signature of this scheme is verified by a small key; `None` if it can't be.
pub(super) fn algorithm(scheme: SignatureScheme) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    Some(match scheme {
        SignatureScheme::RSA_PSS_SHA256 => &Pss { id: alg_id::RSA_PSS_SHA256, hash: &digest::SHA256 },
        SignatureScheme::RSA_PSS_SHA384 => &Pss { id: alg_id::RSA_PSS_SHA384, hash: &digest::SHA384 },
        SignatureScheme::RSA_PSS_SHA512 => &Pss { id: alg_id::RSA_PSS_SHA512, hash: &digest::SHA512 },
        SignatureScheme::RSA_PKCS1_SHA256 => &Pkcs1 { id: alg_id::RSA_PKCS1_SHA256, parameters: &PKCS1_SHA256 },
        SignatureScheme::RSA_PKCS1_SHA512 => &Pkcs1 { id: alg_id::RSA_PKCS1_SHA512, parameters: &PKCS1_SHA512 },
        _ => return None,
    })
}

/// RSASSA-PKCS1-v1_5, which the library has for keys of 1024 bits and more.
#[derive(Debug)]
struct Pkcs1 {
    id: AlgorithmIdentifier,
    parameters: &'static RsaParameters,
}

impl SignatureVerificationAlgorithm for Pkcs1 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.parameters, key).verify(message, signature).map_err(|_| InvalidSignature)
    }
}

/// RSASSA-PSS with MGF1 and a salt as long as the hash, as TLS has it (RFC 8446, section 4.2.3).
#[derive(Debug)]
struct Pss {
    id: AlgorithmIdentifier,
    hash: &'static digest::Algorithm,
}

impl SignatureVerificationAlgorithm for Pss {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let (_, key) = RSAPublicKey::from_der(key).map_err(|_| InvalidSignature)?;
        let modulus = BigUint::from_bytes_be(key.modulus);
        let bits = usize::try_from(modulus.bits()).ok().and_then(|bits| bits.checked_sub(1)).ok_or(InvalidSignature)?;
        let length = bits.div_ceil(8);
        let encoded = recovered(&key, &modulus, signature, length).ok_or(InvalidSignature)?;
        let first = u8::MAX >> (8 * length - bits);
        self.is_encoding_of(message, &encoded, first).then_some(()).ok_or(InvalidSignature)
    }
}

/// What was signed, in `length` bytes (RSAVP1 of RFC 8017, section 5.2.2).
fn recovered(key: &RSAPublicKey<'_>, modulus: &BigUint, signature: &[u8], length: usize) -> Option<Vec<u8>> {
    let exponent = key.try_exponent().ok().filter(|exponent| *exponent > 1)?;
    let number = BigUint::from_bytes_be(signature);
    let full_length = u64::try_from(signature.len()).is_ok_and(|length| length == modulus.bits().div_ceil(8));
    if !full_length || number >= *modulus {
        return None;
    }
    let digits = number.modpow(&exponent.into(), modulus).to_bytes_be();
    let mut encoded = vec![0; length.checked_sub(digits.len())?];
    encoded.extend(digits);
    Some(encoded)
}

impl Pss {
    /// EMSA-PSS-VERIFY of RFC 8017, section 9.1.2; `first` is which bits count of the first byte of `encoded`.
    fn is_encoding_of(&self, message: &[u8], encoded: &[u8], first: u8) -> bool {
        let (hash_length, salt_length) = (self.hash.output_len(), self.hash.output_len());
        let Some((0xbc, encoded)) = encoded.split_last() else { return false };
        let Some(block_length) = encoded.len().checked_sub(hash_length) else { return false };
        let Some(padding) = block_length.checked_sub(salt_length + 1) else { return false };
        let (masked, hash) = encoded.split_at(block_length);
        if masked[0] & !first != 0 {
            return false;
        }
        let mut block: Vec<u8> =
            masked.iter().zip(self.mask(hash, block_length)).map(|(byte, mask)| byte ^ mask).collect();
        block[0] &= first;
        let (padded, salt) = block.split_at(padding + 1);
        let Some((1, zeros)) = padded.split_last() else { return false };
        zeros.iter().all(|zero| *zero == 0)
            && *hash == *self.digest(&[&[0; 8], self.digest(&[message]).as_ref(), salt]).as_ref()
    }

    /// MGF1 of RFC 8017, section B.2.1.
    fn mask(&self, seed: &[u8], length: usize) -> Vec<u8> {
        (0_u32..)
            .flat_map(|counter| self.digest(&[seed, &counter.to_be_bytes()]).as_ref().to_vec())
            .take(length)
            .collect()
    }

    fn digest(&self, parts: &[&[u8]]) -> digest::Digest {
        let mut context = digest::Context::new(self.hash);
        for part in parts {
            context.update(part);
        }
        context.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::TempFolder;

    /// The key in `key.pem` as RSAPublicKey, and a signature of the message by it.
    fn signed(folder: &TempFolder, scheme: SignatureScheme) -> (Vec<u8>, Vec<u8>) {
        let hash = match scheme {
            SignatureScheme::RSA_PSS_SHA256 | SignatureScheme::RSA_PKCS1_SHA256 => "sha256",
            SignatureScheme::RSA_PSS_SHA384 => "sha384",
            _ => "sha512",
        };
        let padding = match scheme {
            SignatureScheme::RSA_PKCS1_SHA256 | SignatureScheme::RSA_PKCS1_SHA512 => "",
            _ => "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        };
        std::fs::write(folder.path().join("message"), MESSAGE).expect("the folder is writable");
        folder.openssl("rsa -in key.pem -RSAPublicKey_out -outform DER -out public.der");
        folder.openssl(&format!("dgst -{hash} -sign key.pem {padding} -out signature message"));
        let read = |name| std::fs::read(folder.path().join(name)).expect("openssl has written it");
        (read("public.der"), read("signature"))
    }

    const MESSAGE: &[u8] = b"what was said in the handshake";

    #[test]
    fn what_openssl_signs_verifies_and_nothing_else() {
        use SignatureScheme as S;
        // Sizes that are no multiple of 8 have other bits in front; with one more than that the encoding is a byte shorter than the key.
        for bits in [1024, 1025, 1031, 1535, 2047] {
            let folder = TempFolder::new();
            folder.openssl(&format!("genrsa -out key.pem {bits}"));
            for scheme in
                [S::RSA_PSS_SHA256, S::RSA_PSS_SHA384, S::RSA_PSS_SHA512, S::RSA_PKCS1_SHA256, S::RSA_PKCS1_SHA512]
            {
                if (bits < 1042) && scheme == S::RSA_PSS_SHA512 {
                    // Hash and salt have no room.
                    continue;
                }
                let algorithm = algorithm(scheme).expect("a known scheme");
                let (key, signature) = signed(&folder, scheme);
                assert!(algorithm.verify_signature(&key, MESSAGE, &signature).is_ok(), "{bits} {scheme:?}");
                let refused = |key: &[u8], message: &[u8], signature: &[u8]| {
                    assert!(algorithm.verify_signature(key, message, signature).is_err(), "{bits} {scheme:?}");
                };
                refused(&key, b"something else", &signature);
                refused(&key, MESSAGE, &signature[1..]);
                refused(&key, MESSAGE, &[&[0], &signature[..]].concat());
                refused(&key, MESSAGE, &[]);
                refused(&key, MESSAGE, &vec![0; signature.len()]);
                refused(&key, MESSAGE, &vec![0xff; signature.len()]);
                refused(&[], MESSAGE, &signature);
                for byte in [0, signature.len() / 2, signature.len() - 1] {
                    let mut flipped = signature.clone();
                    flipped[byte] ^= 1;
                    refused(&key, MESSAGE, &flipped);
                }
            }
        }
    }

    #[test]
    fn a_key_with_the_exponent_1_proves_nothing() {
        let modulus = [&[0x00, 0x80][..], &[0xff; 127]].concat();
        let key = [&[0x30, 0x81, 0x87, 0x02, 0x81, 0x81][..], &modulus, &[0x02, 0x01, 0x01]].concat();
        let (_, parsed) = RSAPublicKey::from_der(&key).expect("a key");
        let (modulus, signature) = (BigUint::from_bytes_be(parsed.modulus), [1; 128]);
        assert_eq!(modulus.bits(), 1024);
        assert_eq!(recovered(&parsed, &modulus, &signature, 128), None);
        let cubed = RSAPublicKey { modulus: parsed.modulus, exponent: &[3] };
        assert!(recovered(&cubed, &modulus, &signature, 128).is_some());
    }

    #[test]
    fn an_encoding_is_the_one_of_the_message_or_none() {
        let pss = Pss { id: alg_id::RSA_PSS_SHA256, hash: &digest::SHA256 };
        let (first, block_length, salt) = (0x7f, 128 - 32 - 1, [7; 32]);
        let hash = pss.digest(&[&[0; 8], pss.digest(&[MESSAGE]).as_ref(), &salt]);
        let encode = |separator: u8, padding: u8, trailer: u8| {
            let mut block = [&vec![0; block_length - 33][..], &[separator], &salt].concat();
            block[1] = padding;
            let mask = pss.mask(hash.as_ref(), block_length);
            let mut masked: Vec<u8> = block.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
            masked[0] &= first;
            [&masked[..], hash.as_ref(), &[trailer]].concat()
        };
        let good = encode(1, 0, 0xbc);
        assert!(pss.is_encoding_of(MESSAGE, &good, first));
        for bad in [
            encode(2, 0, 0xbc),
            encode(1, 1, 0xbc),
            encode(1, 0, 0xbb),
            good[..64].to_vec(),
            good[..20].to_vec(),
            vec![],
        ] {
            assert!(!pss.is_encoding_of(MESSAGE, &bad, first));
        }
        let mut beyond = good;
        beyond[0] |= 0x80;
        assert!(!pss.is_encoding_of(MESSAGE, &beyond, first));
    }
}
