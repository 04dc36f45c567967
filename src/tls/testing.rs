//! Test PKI: authorities, certificates, and servers that use them.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        sign::{CertifiedKey, SingleCertAndKey},
        version::{TLS12, TLS13},
    },
};

use super::stand_in::element;
use crate::x509::Certificate;

/// Parameters of a certificate valid from 2010 to 2049 that a test then changes.
pub(super) fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are good");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

/// [`params`] of an authority.
pub(super) fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(super) fn key() -> KeyPair {
    KeyPair::generate().expect("keys can be made")
}

/// Another spelling of the octets of a key.
type Spelling = fn(&[u8]) -> Vec<u8>;

/// Spellings of a P-256 key in BER: the length in the long form, inside and outside, and indefinite lengths.
pub(super) const P256_KEY_IN_BER: [Spelling; 4] = [
    |key| [&[0x30, 0x81], &key[1..]].concat(),
    |key| [&[0x30, key[1] + 1, 0x30, 0x81], &key[3..]].concat(),
    |key| [&[0x30, 0x80], &key[2..], &[0, 0]].concat(),
    |key| [&[0x30, 0x80, 0x30, 0x80], &key[4..23], &[0, 0], &key[23..], &[0, 0]].concat(),
];

/// An authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(common_name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(ca_params(common_name), key());
        Self(issuer.expect("the parameters are good"))
    }

    pub(super) fn below(params: CertificateParams, parent: &Self) -> Self {
        let issuer = CertifiedIssuer::signed_by(params, key(), &parent.0);
        Self(issuer.expect("the parameters are good"))
    }

    /// A second certificate for this authority's name and key, from another authority.
    pub(super) fn cross_signed(&self, params: &CertificateParams, parent: &Self) -> CertificateDer<'static> {
        let signed = params.signed_by(self.0.key(), &parent.0);
        signed.expect("the parameters are good").der().clone()
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The authority's signature.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        rcgen::SigningKey::sign(self.0.key(), message).expect("its key can sign")
    }

    /// The certificate with other octets in the place of its key, signed by this authority.
    pub(super) fn with_key(
        &self,
        certificate: &CertificateDer<'_>,
        change: impl Fn(&[u8]) -> Vec<u8>,
    ) -> CertificateDer<'static> {
        let certificate = Certificate::from_der(certificate).expect("a good certificate");
        let signed = certificate.signed().expect("a good certificate");
        let key = certificate.raw_public_key();
        let start = key.as_ptr().addr() - signed.message.as_ptr().addr();
        let header = if signed.message[1] == 0x81 { 3 } else { 4 };
        let (before, after) = (&signed.message[header..start], &signed.message[start + key.len()..]);
        let tbs = element(0x30, &[before, &change(key), after].concat());
        let signature = element(0x03, &[&[0], &self.sign(&tbs)[..]].concat());
        element(0x30, &[&tbs[..], &element(0x30, &signed.algorithm), &signature].concat()).into()
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> Identity {
        let key = key();
        let certificate = params.signed_by(&key, &self.0);
        let certificate = certificate.expect("the parameters are good");
        Identity::new(vec![certificate.der().clone()], &key)
    }
}

/// The certificates that a server sends, and the key that it signs with.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
        Self { chain, key }
    }

    pub(super) fn self_signed(params: &CertificateParams) -> Self {
        let key = key();
        let certificate = params.self_signed(&key).expect("the parameters are good");
        Self::new(vec![certificate.der().clone()], &key)
    }

    pub(super) fn with(mut self, more: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.chain.extend(more);
        self
    }
}

/// The client's end of a connection to a server with this `identity`, whose key need not be that of the certificate.
pub(super) fn serve(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> DuplexStream {
    serve_with(aws_lc_rs::default_provider(), identity, versions)
}

/// [`serve`] with another provider of cryptography.
pub(super) fn serve_with(
    provider: CryptoProvider,
    identity: Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> DuplexStream {
    let key = aws_lc_rs::sign::any_supported_type(&identity.key).expect("a key for rustls");
    let certified = CertifiedKey::new(identity.chain, key);
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let (client, server) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(server).await {
            // Waits until the client closes the connection.
            let _ = stream.read_u8().await;
        }
    });
    client
}

pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// `openssl s_server` on a free port, with `cert.pem` and `key.pem` of a folder.
pub(super) struct OpensslServer {
    process: Child,
    pub(super) address: SocketAddr,
}

impl OpensslServer {
    pub(super) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .args(["-cert", "cert.pem", "-key", "key.pem"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let output = process.stdout.take().expect("the output is piped");
        let address = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok())
            .expect("openssl says where it listens");
        Self { process, address }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder that is deleted on drop.
pub(super) struct TempFolder(PathBuf);

impl TempFolder {
    pub(super) fn new() -> Self {
        let name = format!("smtp-check-tls-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temporary folder is writable");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs the `openssl` command in the folder and returns its output.
    pub(super) fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            // `req` fails without settings; its defaults are sufficient.
            .env_remove("OPENSSL_CONF")
            .stderr(Stdio::null())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The first certificate of a PEM file in the folder.
    pub(super) fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.0.join(name)).expect("openssl wrote a certificate")
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // A folder that is left behind does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
