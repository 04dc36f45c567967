//! Keys for DKIM, made by openssl: the private one as a file, and the DNS record of the public one.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use smtp_check::{check::DkimKey, message::dkim_key};
use time::OffsetDateTime;

use super::{pki::openssl, temp_dir::TempDir};

/// The domain that signs.
pub(crate) const DOMAIN: &str = "sender.test";

/// Says what dkimpy finds: `True`, `False`, or the reason. The arguments are the name and the text of the one record,
/// and the time.
const DKIMPY: &str = r#"
import dkim, sys, time
time.time = lambda: float(sys.argv[3])
records = {sys.argv[1].encode() + b".": sys.argv[2].encode()}
message = sys.stdin.buffer.read()
try:
    print(dkim.DKIM(message).verify(dnsfunc=lambda name, timeout=5: records.get(name)))
except dkim.ValidationError as error:
    print(error)
"#;

/// The forms of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// RSA of this many bits, PKCS #1.
    RsaPkcs1(u16),
    /// RSA of this many bits, PKCS #8.
    RsaPkcs8(u16),
    /// Ed25519, PKCS #8.
    Ed25519,
}

/// A key pair. Its selector is the name of its file without the end.
#[derive(Debug)]
pub(crate) struct DkimKeys {
    pub(crate) file: PathBuf,
    pub(crate) selector: String,
    /// The TXT record.
    pub(crate) record: String,
}

impl DkimKeys {
    /// Makes a key in this directory.
    pub(crate) fn make(directory: &TempDir, selector: &str, form: KeyForm) -> Self {
        let name = format!("{selector}.pem");
        let openssl = |arguments: &str| openssl(directory, arguments, b"");
        let (kind, prefix) = match form {
            KeyForm::RsaPkcs1(bits) => {
                openssl(&format!("genrsa -traditional -out {name} {bits}"));
                ("rsa", 0)
            }
            KeyForm::RsaPkcs8(bits) => {
                openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {name}"));
                ("rsa", 0)
            }
            KeyForm::Ed25519 => {
                openssl(&format!("genpkey -algorithm ED25519 -out {name}"));
                // The record has the key alone (RFC 8463, section 4), which is the end of the structure.
                ("ed25519", 12)
            }
        };
        let public = openssl(&format!("pkey -in {name} -pubout -outform DER"));
        let record = format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(&public[prefix..]));
        Self { file: directory.path().join(&name), selector: selector.to_owned(), record }
    }

    /// The name of the record.
    pub(crate) fn record_name(&self) -> String {
        format!("{}._domainkey.{DOMAIN}", self.selector)
    }

    /// The table `[dkim.NAME]` of a settings file.
    pub(crate) fn table(&self, name: &str) -> String {
        let (selector, file) = (&self.selector, self.file.display());
        format!("[dkim.{name}]\ndomain = '{DOMAIN}'\nselector = '{selector}'\nkey = '{file}'\n")
    }

    /// What dkimpy says of a message, by a clock that is so many seconds off.
    pub(crate) fn verified_by_dkimpy(&self, message: &str, shift: i64) -> String {
        let time = (OffsetDateTime::now_utc().unix_timestamp() + shift).to_string();
        let mut python = Command::new("/usr/bin/python3")
            .args(["-c", DKIMPY, &self.record_name(), &self.record, &time])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/install installs Debian's Python and python3-dkim");
        python.stdin.take().expect("a pipe").write_all(message.as_bytes()).expect("Python reads it");
        let output = python.wait_with_output().expect("Python ends");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The key as the service has it.
    pub(crate) fn key(&self, name: &str) -> DkimKey {
        let pem = std::fs::read(&self.file).expect("openssl wrote it");
        dkim_key(name, DOMAIN, &self.selector, &pem).expect("a key")
    }
}
