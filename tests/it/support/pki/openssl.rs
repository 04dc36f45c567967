//! Keys and certificates that the Rust libraries refuse to make, by the `openssl` command (3.0 or newer).

use std::{
    fmt,
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
};

use rcgen::{PKCS_RSA_SHA256, PublicKeyData};
use tokio_rustls::rustls::{
    Error, SignatureAlgorithm, SignatureScheme,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{Signer, SigningKey},
};
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};

use crate::support::temp_dir::TempDir;

/// An RSA key of any length that signs certificates and handshakes by `openssl`: aws-lc signs with 2048 bits or more.
#[derive(Clone)]
pub(super) struct OpenSslRsa {
    /// Holds `key.der`.
    directory: Arc<TempDir>,
    private: Vec<u8>,
    /// `RSAPublicKey` (RFC 8017, A.1.1).
    public: Vec<u8>,
}

impl OpenSslRsa {
    pub(super) fn generate(bits: u32) -> Self {
        let size = format!("rsa_keygen_bits:{bits}");
        let arguments = format!("genpkey -algorithm RSA -pkeyopt {size} -outform DER");
        Self::from_der(&openssl(&TempDir::new(), &arguments, &[]))
    }

    pub(super) fn from_der(private: &[u8]) -> Self {
        let directory = TempDir::new();
        directory.write("key.der", private);
        let arguments = "pkey -in key.der -inform DER -pubout -outform DER";
        let public = openssl(&directory, arguments, &[]);
        let (_, info) = SubjectPublicKeyInfo::from_der(&public).expect("openssl writes DER");
        Self {
            directory: Arc::new(directory),
            private: private.to_vec(),
            public: info.subject_public_key.data.to_vec(),
        }
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        private_key(self.private.clone())
    }

    /// Signs with SHA-256 and the padding of these `openssl` options.
    fn sign_sha256(&self, padding: &str, message: &[u8]) -> Vec<u8> {
        let arguments = format!("dgst -sha256 -keyform DER -sign key.der {padding}");
        openssl(&self.directory, &arguments, message)
    }
}

impl fmt::Debug for OpenSslRsa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OpenSslRsa").finish_non_exhaustive()
    }
}

impl PublicKeyData for OpenSslRsa {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for OpenSslRsa {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.sign_sha256("", message))
    }
}

impl SigningKey for OpenSslRsa {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = SignatureScheme::RSA_PSS_SHA256;
        offered.contains(&scheme).then(|| Box::new(PssSigner(self.clone())) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

/// RSASSA-PSS with SHA-256, which both TLS 1.2 and 1.3 know (RFC 8446, 4.2.3).
#[derive(Debug)]
struct PssSigner(OpenSslRsa);

impl Signer for PssSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let padding = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
        Ok(self.0.sign_sha256(padding, message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// A certificate of version 1 for a new P-256 key, valid for a year from now.
pub(super) fn x509_v1(
    common_name: &str,
    ca_certificate: &str,
    ca_key: &str,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let directory = TempDir::new();
    let run = |arguments: &str| openssl(&directory, arguments, &[]);
    let key = run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER");
    directory.write("key.der", &key);
    directory.write("ca.pem", ca_certificate.as_bytes());
    directory.write("ca.key", ca_key.as_bytes());
    let request = format!("req -new -key key.der -keyform DER -subj /CN={common_name}");
    directory.write("request.pem", &run(&request));
    // Without extensions openssl writes no version field: that is version 1.
    let certificate = run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key \
                           -set_serial 4660 -days 365 -sha256 -outform DER");
    (CertificateDer::from(certificate), private_key(key))
}

fn private_key(der: Vec<u8>) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(der).expect("openssl writes a private key that can be told by its form")
}

/// Runs `openssl` in a directory to its end, and returns its output. White space separates the arguments.
pub(crate) fn openssl(directory: &TempDir, arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .current_dir(directory.path())
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need the openssl command");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let written = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("openssl was started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {errors}");
    written.expect("openssl reads its input");
    output.stdout
}
