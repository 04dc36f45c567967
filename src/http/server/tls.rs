//! The service's own certificate and key, for HTTPS.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs},
};

use crate::{
    clock::TlsClock,
    pem::{Identity, IdentityError, PemFault},
};

/// ALPN names of HTTP/2 and HTTP/1.1 (RFC 7301), ours first.
const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate chain and its key. Clones share them.
#[derive(Clone, Debug)]
pub struct ServerIdentity(Arc<Mutex<Arc<ServerConfig>>>);

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
    let Identity { chain, key } = Identity::from_pem(chain, key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| IdentityError::Certificate(PemFault::Unreadable))?;
    config.time_provider = Arc::new(TlsClock);
    config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}
