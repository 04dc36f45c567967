//! Trust anchors (RFC 5280, section 6.1.1) from the system and from the operator's file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, pem, pem::PemObject},
};

use super::problems::describe;
use crate::{
    os_error,
    x509::{Certificate, ReadName},
};

/// The authorities that are trusted to issue certificates, and single certificates that are trusted by themselves.
pub struct TrustAnchors {
    roots: Vec<NamedAnchor>,
    pinned: Vec<CertificateDer<'static>>,
}

/// An authority, and its name, which is read once: each certificate whose issuer has another spelling is compared with
/// the names of all authorities.
struct NamedAnchor {
    anchor: TrustAnchor<'static>,
    name: ReadName<'static>,
}

impl NamedAnchor {
    fn new(anchor: TrustAnchor<'static>) -> Self {
        let name = ReadName::new(anchor.subject.to_vec());
        Self { anchor, name }
    }
}

/// Why the operator's trust anchors could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be read.
    #[error("cannot read {}: {}", path.display(), os_error::of_system(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not PEM.
    #[error("{} is not a PEM file: {}", path.display(), pem_text(source))]
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
        source: BadAnchor,
    },
}

/// Why a certificate cannot be a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnchor(String);

impl BadAnchor {
    fn new(certificate: &CertificateDer<'_>, error: &webpki::Error) -> Self {
        let reason = match Certificate::from_der(certificate) {
            Ok(certificate) => {
                let version = certificate.version().filter(|version| ![1, 3].contains(version));
                let version =
                    version.map(|version| format!("it is of X.509 version {version}, which is not supported"));
                let errors = [certificate.form_errors(), certificate.encoding_errors()].concat();
                let found = version.or_else(|| errors.into_iter().next());
                let found = found.unwrap_or_else(|| describe(error).1.to_owned());
                format!("{}: {found}", certificate.subject())
            }
            Err(error) => error.to_string(),
        };
        Self(reason)
    }
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
        let roots = system_roots().roots.into_iter().map(NamedAnchor::new).collect();
        let mut anchors = Self { roots, pinned: Vec::new() };
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
        Self { roots: Vec::new(), pinned: Vec::new() }
    }

    /// Trusts one more certificate: as an authority, and as a server's own.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), BadAnchor> {
        let anchor =
            webpki::anchor_from_trusted_cert(&certificate).map_err(|error| BadAnchor::new(&certificate, &error))?;
        self.roots.push(NamedAnchor::new(anchor.to_owned()));
        self.pinned.push(certificate);
        Ok(())
    }

    /// The authorities with this name, which is the content of its SEQUENCE; those in the same octets if there are any.
    pub(super) fn named(&self, name: &[u8]) -> Vec<&TrustAnchor<'static>> {
        let exact = self.roots.iter().map(|root| &root.anchor).filter(|anchor| *anchor.subject == *name);
        let exact: Vec<_> = exact.collect();
        if !exact.is_empty() {
            return exact;
        }
        let name = ReadName::new(name);
        self.roots.iter().filter(|root| root.name.is_same(&name)).map(|root| &root.anchor).collect()
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

fn pem_text(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section that begins has no end".to_owned(),
        pem::Error::IllegalSectionStart { line } => {
            format!("`{}` is no line that begins a section", String::from_utf8_lossy(line).escape_debug())
        }
        pem::Error::Base64Decode(_) => "a section is not in base64".to_owned(),
        _ => "it cannot be read as one".to_owned(),
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
        assert!(anchors.roots.len() > 10);
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
        assert_eq!(both.roots.len(), system.roots.len() + 2);
        assert!(both.is_pinned(&two.der()));
        assert!(!system.is_pinned(&two.der()));
    }

    #[test]
    fn a_bad_file_is_named() {
        let bad_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let bad_base64 = "-----BEGIN CERTIFICATE-----\nA!AA\n-----END CERTIFICATE-----\n";
        let bad_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let folder = TempFolder::new();
        let file = folder.path().join("ca.pem");
        let error = TrustAnchors::load(Some(&file)).expect_err("no such file");
        assert!(matches!(error, TrustError::Unreadable { .. }), "{error}");
        type Expected = fn(&TrustError) -> bool;
        let cases: [(&str, Expected, &str); 5] = [
            ("", |error| matches!(error, TrustError::NoCertificate { .. }), "PATH holds no certificate"),
            ("not a PEM file", |error| matches!(error, TrustError::NoCertificate { .. }), "PATH holds no certificate"),
            (
                bad_pem,
                |error| matches!(error, TrustError::NotPem { .. }),
                "PATH is not a PEM file: a section that begins has no end",
            ),
            (
                bad_base64,
                |error| matches!(error, TrustError::NotPem { .. }),
                "PATH is not a PEM file: a section is not in base64",
            ),
            (
                bad_der,
                |error| matches!(error, TrustError::BadCertificate { number: 1, .. }),
                "certificate 1 in PATH cannot be a trust anchor: not a readable X.509 certificate",
            ),
        ];
        for (text, expected, words) in cases {
            std::fs::write(&file, text).expect("the folder is writable");
            let error = TrustAnchors::load(Some(&file)).expect_err(text);
            assert!(expected(&error), "{text}: {error:?}");
            assert_eq!(error.to_string(), words.replace("PATH", &file.display().to_string()));
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_an_anchor_is_named() {
        let mut bad = Authority::new("One").der().to_vec();
        // X.509 version 3 becomes version 9.
        let version = bad.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).expect("a version");
        bad[version + 4] = 8;
        let error = TrustAnchors::none().add(bad.into()).expect_err("no such version");
        assert_eq!(error.to_string(), "CN=One: it is of X.509 version 9, which is not supported");
    }
}
