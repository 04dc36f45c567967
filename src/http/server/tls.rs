//! The service's own certificate and key, for HTTPS.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
};

use crate::{
    clock::TlsClock,
    x509::private_key::{ENCRYPTED_KEY, UNUSABLE_KEY, is_encrypted},
};

/// ALPN names of HTTP/2 and HTTP/1.1 (RFC 7301), ours first.
const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate chain and its key. Clones share them.
#[derive(Clone, Debug)]
pub struct ServerIdentity(Arc<Mutex<Arc<ServerConfig>>>);

/// Why two files are no identity. Their text is not repeated: one of them is a secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate chain cannot be used.
    #[error("certificate: {0}")]
    Certificate(IdentityFault),
    /// The key cannot be used.
    #[error("key: {0}")]
    Key(IdentityFault),
}

/// What is wrong with the certificate chain or the key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// Not PEM (RFC 7468).
    #[error("is not PEM")]
    NotPem,
    /// The PEM text has no such item.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// Certificate and key are valid, each by itself.
    #[error("is not the key of the certificate")]
    KeyMismatch,
    /// A key that only a passphrase opens.
    #[error("{ENCRYPTED_KEY}")]
    Encrypted,
    /// A key that rustls cannot use.
    #[error("{UNUSABLE_KEY}")]
    UnusableKey,
    /// A certificate that rustls cannot use.
    #[error("is of no use: {0}")]
    Unusable(rustls::Error),
}

impl ServerIdentity {
    /// Reads the chain, the service's own certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// One of them cannot be used, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self(Arc::new(Mutex::new(config(chain, key)?))))
    }

    /// Takes over the chain and key of another identity. Open connections go on with the one that they began with.
    pub fn replace(&self, other: &Self) {
        let config = other.config().clone();
        *self.config() = config;
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config().clone().into()
    }

    fn config(&self) -> MutexGuard<'_, Arc<ServerConfig>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| IdentityError::Certificate(pem_fault("certificate", error)))?;
    if chain.is_empty() {
        return Err(IdentityError::Certificate(IdentityFault::Missing("certificate")));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        let fault = if is_encrypted(key) { IdentityFault::Encrypted } else { pem_fault("private key", error) };
        IdentityError::Key(fault)
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| IdentityError::Certificate(IdentityFault::Unusable(error)))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Key(IdentityFault::KeyMismatch),
            rustls::Error::InvalidCertificate(_) => IdentityError::Certificate(IdentityFault::Unusable(error)),
            _ => IdentityError::Key(IdentityFault::UnusableKey),
        })?;
    config.time_provider = Arc::new(TlsClock);
    config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

fn pem_fault(item: &'static str, error: pem::Error) -> IdentityFault {
    match error {
        pem::Error::NoItemsFound => IdentityFault::Missing(item),
        _ => IdentityFault::NotPem,
    }
}
