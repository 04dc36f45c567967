//! [`dkim_key`]: a private key from a PEM file.

use mail_auth::common::crypto::{DkimKey as SigningKey, Ed25519Key, RsaKey, SigningKey as _};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::{
    check::{DkimAlgorithm, DkimKey, InvalidDkimName},
    pem::{PemFault, private_key},
};

/// Why no key can be made. Of the key nothing is repeated.
#[derive(Debug, thiserror::Error)]
pub enum DkimKeyError {
    /// Domain or selector.
    #[error(transparent)]
    Name(#[from] InvalidDkimName),
    /// There is no private key in the PEM text, or an encrypted one.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// No key that can sign.
    #[error("it is neither an RSA key of 2048 to 8192 bits (PKCS #1 or PKCS #8) nor an Ed25519 key (PKCS #8)")]
    Unusable,
}

/// Reads a DKIM key: the private key in PEM, for the record `selector._domainkey.domain`.
///
/// # Errors
/// One of the names cannot be used, or the key.
pub fn dkim_key(name: &str, domain: &str, selector: &str, pem: &[u8]) -> Result<DkimKey, DkimKeyError> {
    let key = private_key(pem)?;
    let algorithm = match &key {
        PrivateKeyDer::Pkcs1(_) => DkimAlgorithm::RsaPkcs1,
        PrivateKeyDer::Pkcs8(key) if ed25519(key.secret_pkcs8_der()).is_ok() => DkimAlgorithm::Ed25519,
        _ => DkimAlgorithm::RsaPkcs8,
    };
    let der = Zeroizing::new(key.secret_der().to_vec());
    let key = DkimKey::new(name.to_owned(), domain, selector, algorithm, der)?;
    match signing_key(&key).and_then(|signer| signer.sign(b"".as_slice())) {
        Ok(_) => Ok(key),
        Err(_) => Err(DkimKeyError::Unusable),
    }
}

/// The key in the form of mail-auth.
pub(super) fn signing_key(key: &DkimKey) -> Result<SigningKey, mail_auth::Error> {
    let der = key.expose_key();
    Ok(match key.algorithm() {
        DkimAlgorithm::Ed25519 => SigningKey::Ed25519(ed25519(der)?),
        DkimAlgorithm::RsaPkcs1 => SigningKey::Rsa(RsaKey::from_key_der(PrivatePkcs1KeyDer::from(der).into())?),
        DkimAlgorithm::RsaPkcs8 => SigningKey::Rsa(RsaKey::from_key_der(PrivatePkcs8KeyDer::from(der).into())?),
    })
}

/// openssl writes keys without their public half.
fn ed25519(der: &[u8]) -> Result<Ed25519Key, mail_auth::Error> {
    Ed25519Key::from_pkcs8_maybe_unchecked_der(der)
}
