//! A PKI for tests: authorities, certificates with every error, and TLS servers that use them.
//!
//! What rcgen cannot make (X.509 v1, an RSA key of 1024 bits) is made by the `openssl` command, which these tests need.

mod client;
mod leaf;
mod openssl;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    version,
};

use self::openssl::OpenSslRsa;
pub(crate) use self::{
    client::Asks,
    leaf::{KeyType, Leaf},
    openssl::openssl,
};

/// A certificate authority: a root, or an intermediate below one.
#[derive(Debug)]
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The chain after the server's certificate: this authority's and those above it, without the root.
    intermediates: Vec<CertificateDer<'static>>,
}

impl Ca {
    /// A self-signed root.
    pub(crate) fn new(common_name: &str) -> Self {
        let issuer =
            CertifiedIssuer::self_signed(authority(common_name), key_pair()).expect("rcgen signs its own parameters");
        Self { issuer, intermediates: Vec::new() }
    }

    /// An authority signed by this one. Certificates that it issues have its certificate in their chain.
    pub(crate) fn intermediate(&self, common_name: &str) -> Self {
        let issuer = CertifiedIssuer::signed_by(authority(common_name), key_pair(), &self.issuer)
            .expect("rcgen signs its own parameters");
        let mut intermediates = vec![issuer.der().clone()];
        intermediates.extend_from_slice(&self.intermediates);
        Self { issuer, intermediates }
    }

    /// Signs a certificate.
    pub(crate) fn issue(&self, leaf: Leaf) -> Identity {
        let (params, key) = leaf.into_parts();
        let certificate = params.signed_by(&&*key.subject, &self.issuer).expect("rcgen signs its own parameters");
        self.identity(certificate.der().clone(), key.private)
    }

    /// Signs an X.509 v1 certificate (no extensions, hence no names but the common name) by `openssl`.
    pub(crate) fn issue_x509_v1(&self, common_name: &str) -> Identity {
        let (certificate, key) =
            openssl::x509_v1(common_name, &pem("CERTIFICATE", self.der()), &self.issuer.key().serialize_pem());
        self.identity(certificate, key)
    }

    /// The authority's own certificate.
    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A store that trusts this authority and no other.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der().clone()).expect("an authority of our own making can be an anchor");
        roots
    }

    /// Writes the certificate of the authority to `ca.pem` in `dir`.
    pub(crate) fn write_pem(&self, dir: &Path) -> PathBuf {
        let path = dir.join("ca.pem");
        fs::write(&path, pem("CERTIFICATE", self.der())).expect("the test's directory is writable");
        path
    }

    fn identity(&self, certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Identity {
        let mut chain = vec![certificate];
        chain.extend_from_slice(&self.intermediates);
        Identity { chain, key }
    }
}

/// The identity of a TLS server: a certificate chain, leaf first, and the private key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The chain as sent, without the root.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// PKCS #8; from `openssl` in an older form.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The files of [`Identity::write_pem`].
#[derive(Debug, Clone)]
pub(crate) struct PemFiles {
    /// The chain, leaf first.
    pub(crate) chain: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

impl Identity {
    /// The same chain with another private key: the server's signature is wrong.
    pub(crate) fn with_foreign_key(mut self) -> Self {
        self.key = PrivateKeyDer::try_from(key_pair().serialize_der()).expect("rcgen writes PKCS #8");
        self
    }

    /// The same chain with one bit of the leaf's signature flipped.
    pub(crate) fn with_corrupted_signature(mut self) -> Self {
        let mut der = self.chain[0].to_vec();
        *der.last_mut().expect("a certificate has bytes") ^= 1;
        self.chain[0] = CertificateDer::from(der);
        self
    }

    /// Only the leaf, as from a server whose intermediates are not configured.
    pub(crate) fn without_intermediates(mut self) -> Self {
        self.chain.truncate(1);
        self
    }

    /// A server with TLS 1.2 and 1.3.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.server_config_for(&[&version::TLS13, &version::TLS12])
    }

    /// A server with TLS 1.2 only.
    pub(crate) fn server_config_tls12(&self) -> Arc<ServerConfig> {
        self.server_config_for(&[&version::TLS12])
    }

    /// A server with TLS 1.3 only.
    pub(crate) fn server_config_tls13(&self) -> Arc<ServerConfig> {
        self.server_config_for(&[&version::TLS13])
    }

    /// Writes `chain.pem` and `key.pem` into `dir`.
    pub(crate) fn write_pem(&self, dir: &Path) -> PemFiles {
        let files = PemFiles { chain: dir.join("chain.pem"), key: dir.join("key.pem") };
        let chain: String = self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        fs::write(&files.chain, chain).expect("the test's directory is writable");
        let label = match self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        fs::write(&files.key, pem(label, self.key.secret_der())).expect("the test's directory is writable");
        files
    }

    /// By a resolver: `with_single_cert` rejects the bad identities that these tests need.
    fn server_config_for(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("aws-lc has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.resolver()));
        Arc::new(config)
    }

    fn resolver(&self) -> SingleCertAndKey {
        let key: Arc<dyn SigningKey> = match aws_lc_rs::sign::any_supported_type(&self.key) {
            Ok(key) => key,
            Err(_) => Arc::new(OpenSslRsa::from_der(self.key.secret_der())),
        };
        SingleCertAndKey::from(CertifiedKey::new(self.chain.clone(), key))
    }
}

impl From<Identity> for Arc<ServerConfig> {
    fn from(identity: Identity) -> Self {
        identity.server_config()
    }
}

impl From<&Identity> for Arc<ServerConfig> {
    fn from(identity: &Identity) -> Self {
        identity.server_config()
    }
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

fn key_pair() -> KeyPair {
    KeyPair::generate().expect("aws-lc makes a P-256 key")
}

/// RFC 7468: 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + &format!("\n-----END {label}-----\n")
}
