//! Trust anchors (RFC 5280, section 6.1.1) from the system and from the operator's file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, pem, pem::PemObject},
};

/// The authorities that are trusted to issue certificates, and single certificates that are trusted by themselves.
pub struct TrustAnchors {
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
}

/// Why the operator's trust anchors could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not PEM.
    #[error("{} is not a PEM file: {source}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file cannot be used.
    #[error("certificate {number} in {} cannot be a trust anchor: {source}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Which certificate, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: tokio_rustls::rustls::Error,
    },
}

impl TrustAnchors {
    /// The system's trust anchors (those built into the program when the system has none), and the certificates of a
    /// PEM file.
    ///
    /// A server whose own certificate is in the file is trusted too: an operator can trust a single self-signed
    /// certificate. Blocks: it reads files.
    ///
    /// # Errors
    /// The file cannot be read, or one of its certificates cannot be a trust anchor. The system's own anchors never
    /// fail.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut anchors = Self { roots: system_roots(), pinned: Vec::new() };
        if let Some(path) = ca_file {
            for (index, certificate) in read_pem(path)?.into_iter().enumerate() {
                anchors.add(certificate).map_err(|source| TrustError::BadCertificate {
                    path: path.to_owned(),
                    number: index + 1,
                    source,
                })?;
            }
        }
        Ok(anchors)
    }

    /// No trust anchor at all.
    pub fn none() -> Self {
        Self { roots: RootCertStore::empty(), pinned: Vec::new() }
    }

    /// Trusts one more certificate: as an authority, and as a server's own.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), tokio_rustls::rustls::Error> {
        self.roots.add(certificate.clone())?;
        self.pinned.push(certificate);
        Ok(())
    }

    /// The authorities.
    pub(super) fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.roots.roots
    }

    /// Whether the operator trusts this certificate by itself.
    pub(super) fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned == certificate)
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustAnchors").field("roots", &self.roots.len()).field("pinned", &self.pinned.len()).finish()
    }
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "some of the system's trust anchors cannot be loaded");
    }
    let mut roots = RootCertStore::empty();
    // Systems keep old certificates that are not valid trust anchors any more. They are skipped, as other TLS clients
    // do.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::info!("the system has no trust anchors: the built-in ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = std::fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TrustError::NotPem { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TrustError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, TempFolder};

    #[test]
    fn without_a_file_there_are_still_anchors() {
        let anchors = TrustAnchors::load(None).expect("the system's anchors never fail");
        assert!(anchors.roots().len() > 10);
    }

    #[test]
    fn the_files_certificates_are_added_to_the_systems() {
        let one = Authority::new("One");
        let two = Authority::new("Two");
        let folder = TempFolder::new();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, format!("{}\nsome words\n{}", one.pem(), two.pem())).expect("the folder is writable");
        let system = TrustAnchors::load(None).expect("the system's anchors never fail");
        let both = TrustAnchors::load(Some(&file)).expect("two certificates");
        assert_eq!(both.roots().len(), system.roots().len() + 2);
        assert!(both.is_pinned(&two.der()));
        assert!(!system.is_pinned(&two.der()));
    }

    #[test]
    fn a_bad_file_is_named() {
        let bad_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let bad_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let folder = TempFolder::new();
        let file = folder.path().join("ca.pem");
        let error = TrustAnchors::load(Some(&file)).expect_err("no such file");
        assert!(matches!(error, TrustError::Unreadable { .. }), "{error}");
        type Expected = fn(&TrustError) -> bool;
        let cases: [(&str, Expected); 4] = [
            ("", |error| matches!(error, TrustError::NoCertificate { .. })),
            ("not a PEM file", |error| matches!(error, TrustError::NoCertificate { .. })),
            (bad_pem, |error| matches!(error, TrustError::NotPem { .. })),
            (bad_der, |error| matches!(error, TrustError::BadCertificate { number: 1, .. })),
        ];
        for (text, expected) in cases {
            std::fs::write(&file, text).expect("the folder is writable");
            let error = TrustAnchors::load(Some(&file)).expect_err(text);
            assert!(expected(&error), "{text}: {error:?}");
            let path = file.display().to_string();
            assert!(error.to_string().contains(&path), "{error}");
        }
    }
}
