//! Certificate chains and private keys as PEM, and why one cannot be used, in the words of every interface.

use tokio_rustls::rustls::{
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::x509::Certificate;

/// A certificate chain, the own certificate first, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// Why two PEM texts are no certificate chain and its key. Of the texts nothing is repeated: one of them is a secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate chain cannot be used.
    #[error("certificate: {0}")]
    Certificate(PemFault),
    /// The key cannot be used.
    #[error("key: {0}")]
    Key(PemFault),
}

/// What is wrong with a PEM text.
#[derive(Debug, thiserror::Error)]
pub enum PemFault {
    /// Not PEM (RFC 7468).
    #[error("it is not PEM")]
    NotPem,
    /// The PEM text has no such item.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// The own certificate cannot be read.
    #[error("its first certificate cannot be read")]
    Unreadable,
    /// Certificate and key are valid, each by itself.
    #[error("it is not the key of the certificate")]
    KeyMismatch,
    /// A key that only a passphrase opens.
    #[error("it is encrypted; what is needed is a key without a passphrase")]
    Encrypted,
    /// A key that rustls cannot use; the text is the kind of the certificate's key.
    #[error(
        "it is no valid key of a supported kind: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519. The \
         certificate's key is {0}"
    )]
    UnusableKey(String),
}

impl Identity {
    /// Reads a chain and its key.
    ///
    /// # Errors
    /// One of them cannot be used, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| IdentityError::Certificate(fault("certificate", error)))?;
        let own = chain.first().ok_or(IdentityError::Certificate(PemFault::Missing("certificate")))?;
        let own = Certificate::from_der(own).map_err(|_| IdentityError::Certificate(PemFault::Unreadable))?;
        let key = private_key(key).map_err(IdentityError::Key)?;
        let signing_key = aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| IdentityError::Key(PemFault::UnusableKey(own.key())))?;
        // Not by webpki's `keys_match`: it reads no certificate of version 1, which clients still have.
        match signing_key.public_key() {
            Some(of_key) if *of_key.as_ref() != *own.public_key_der() => Err(IdentityError::Key(PemFault::KeyMismatch)),
            _ => Ok(Self { chain, key }),
        }
    }
}

/// The private key in a PEM text.
///
/// # Errors
/// There is none, or only one that is encrypted.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    let of_error = |error| if is_encrypted(pem) { PemFault::Encrypted } else { fault("private key", error) };
    PrivateKeyDer::from_pem_slice(pem).map_err(of_error)
}

/// Whether a PEM text has an encrypted key: of PKCS #8 (RFC 5958, section 3), or in OpenSSL's old form (RFC 1421,
/// section 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("\nProc-Type: 4,ENCRYPTED")
}

fn fault(item: &'static str, error: pem::Error) -> PemFault {
    match error {
        pem::Error::NoItemsFound => PemFault::Missing(item),
        _ => PemFault::NotPem,
    }
}
