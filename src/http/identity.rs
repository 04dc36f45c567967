//! The service's own certificate, for HTTPS.

use std::{
    io,
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
        fault: Fault,
    },
    /// The key's file cannot be used.
    #[error("--tls-key: {}: {fault}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with one of the files.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// It is no PEM (RFC 7468).
    #[error("is not PEM")]
    NotPem,
    /// It has not what it is for.
    #[error("there is no {0} in it")]
    Empty(&'static str),
    /// The key and the certificate are good for themselves.
    #[error("is not the key of the certificate")]
    Mismatch,
    /// It cannot be understood, or not be used.
    #[error("is of no use: {0}")]
    Useless(rustls::Error),
}

impl ServerIdentity {
    /// Reads the chain, the service's own certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// A file cannot be read or used, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let config = Mutex::new(config(certificate, key)?);
        Ok(Self(Arc::new(Files { certificate: certificate.to_owned(), key: key.to_owned(), config })))
    }

    /// Reads the files again. Connections that are there already go on as they are.
    ///
    /// # Errors
    /// As for [`Self::load`]; the identity stays the one that it was.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let config = config(&self.0.certificate, &self.0.key)?;
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

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, IdentityError> {
    let of_certificate = |fault| IdentityError::Certificate { path: certificate.to_owned(), fault };
    let of_key = |fault| IdentityError::Key { path: key.to_owned(), fault };

    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| of_certificate(fault("certificate", error)))?;
    if chain.is_empty() {
        return Err(of_certificate(Fault::Empty("certificate")));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(fault("private key", error)))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| of_certificate(Fault::Useless(error)))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => of_key(Fault::Mismatch),
            rustls::Error::InvalidCertificate(_) => of_certificate(Fault::Useless(error)),
            _ => of_key(Fault::Useless(error)),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

fn fault(item: &'static str, error: pem::Error) -> Fault {
    match error {
        pem::Error::Io(error) => Fault::Unreadable(error),
        pem::Error::NoItemsFound => Fault::Empty(item),
        _ => Fault::NotPem,
    }
}
