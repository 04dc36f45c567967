//! The service's own certificate, for HTTPS.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
use zeroize::Zeroizing;

use crate::http::reload::{self, OperatorFileError};

/// By which name a caller chooses HTTP/2 or HTTP/1.1 (RFC 7301), ours first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the service shows of itself: a certificate chain, and the key that proves it. All clones are one identity.
#[derive(Clone, Debug)]
pub struct ServerIdentity(Arc<Files>);

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was made of them last.
    config: Mutex<Arc<ServerConfig>>,
}

/// Why two files are no identity. Nothing of their text is repeated: one of them is a secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate's file cannot be used.
    #[error("--tls-cert: {}: {fault}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: IdentityFault,
    },
    /// The key's file cannot be used.
    #[error("--tls-key: {}: {fault}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: IdentityFault,
    },
}

/// What is wrong with one of the files.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(OperatorFileError),
    /// It is no PEM (RFC 7468).
    #[error("is not PEM")]
    NotPem,
    /// The file has no such item.
    #[error("there is no {0} in it")]
    Empty(&'static str),
    /// Each is valid by itself.
    #[error("is not the key of the certificate")]
    Mismatch,
    /// Cannot be understood or used.
    #[error("is of no use: {0}")]
    Useless(rustls::Error),
}

impl ServerIdentity {
    /// Reads the chain, the service's own certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// A file cannot be read or used, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let config = Mutex::new(config(certificate, key, reload::read)?);
        Ok(Self(Arc::new(Files { certificate: certificate.to_owned(), key: key.to_owned(), config })))
    }

    /// Reads the files again. Connections that are there already go on as they are.
    ///
    /// # Errors
    /// As for [`Self::load`]; the identity stays the one that it was.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let config = config(&self.0.certificate, &self.0.key, reload::read_again)?;
        *self.config() = config;
        Ok(())
    }

    /// What does the handshake of one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config().clone().into()
    }

    fn config(&self) -> MutexGuard<'_, Arc<ServerConfig>> {
        self.0.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Read = fn(&Path) -> Result<Zeroizing<Vec<u8>>, OperatorFileError>;

fn config(certificate: &Path, key: &Path, read: Read) -> Result<Arc<ServerConfig>, IdentityError> {
    let of_certificate = |fault| IdentityError::Certificate { path: certificate.to_owned(), fault };
    let of_key = |fault| IdentityError::Key { path: key.to_owned(), fault };

    let unreadable = IdentityFault::Unreadable;
    let text = read(certificate).map_err(|error| of_certificate(unreadable(error)))?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| of_certificate(fault("certificate", error)))?;
    if chain.is_empty() {
        return Err(of_certificate(IdentityFault::Empty("certificate")));
    }
    let text = read(key).map_err(|error| of_key(unreadable(error)))?;
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|error| of_key(fault("private key", error)))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| of_certificate(IdentityFault::Useless(error)))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => of_key(IdentityFault::Mismatch),
            rustls::Error::InvalidCertificate(_) => of_certificate(IdentityFault::Useless(error)),
            _ => of_key(IdentityFault::Useless(error)),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

fn fault(item: &'static str, error: pem::Error) -> IdentityFault {
    match error {
        pem::Error::NoItemsFound => IdentityFault::Empty(item),
        _ => IdentityFault::NotPem,
    }
}
