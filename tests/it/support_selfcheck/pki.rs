//! The PKI of the tests: each certificate has the error that it is made with, and no other.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use tokio::time::timeout;
use tokio_rustls::rustls::{
    CertificateError, Error, OtherError, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use x509_parser::{parse_x509_certificate, public_key::PublicKey, x509::X509Version};

use super::client::{Client, blind, strict};
use crate::support::{
    pki::{Ca, Identity, KeyType, Leaf},
    smtpd::{End, Script, SmtpServer},
    temp_dir::TempDir,
};

/// Timeout of openssl.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

fn mx() -> Leaf {
    Leaf::for_name("mx.test")
}

/// The verdict of rustls on a chain, without a handshake.
fn verdict(identity: &Identity, roots: RootCertStore, name: &str) -> Result<(), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("there are roots");
    let name = ServerName::try_from(name).expect("a name of a test is well-formed");
    verifier.verify_server_cert(&identity.chain[0], &identity.chain[1..], &name, &[], UnixTime::now()).map(|_| ())
}

/// A handshake with a verifying client: the TLS version, or the client's error.
async fn handshake(server: impl Into<Arc<ServerConfig>>, roots: RootCertStore) -> Result<String, Error> {
    let server = SmtpServer::serve(Script::compliant().with_implicit_tls(server));
    match Client::connect(server.addr()).await.upgrade(strict(roots), "mx.test").await {
        Ok(mut client) => {
            client.ask("QUIT", "221 2.0.0 Bye").await;
            drop(client);
            Ok(server
                .next_session()
                .await
                .tls
                .and_then(|tls| tls.version)
                .expect("a completed handshake has a version"))
        }
        Err(error) => {
            assert!(matches!(server.next_session().await.end, End::Tls(_) | End::Reset | End::Eof));
            let inner = error.into_inner().expect("rustls gives its own error");
            Err(*inner.downcast::<Error>().expect("rustls gives its own error"))
        }
    }
}

#[tokio::test]
async fn certificates_have_the_fault_they_are_made_with_and_no_other() {
    let (ca, other_ca) = (Ca::new("Test CA"), Ca::new("Stranger"));
    let below = ca.intermediate("Intermediate");
    let judge = |identity: &Identity| {
        verdict(identity, ca.roots(), "mx.test").map_err(|error| match error {
            Error::InvalidCertificate(error) => error,
            other => panic!("{other}"),
        })
    };

    for good in [
        ca.issue(mx()),
        ca.issue(Leaf::for_name("other.test").and_name("mx.test").common_name("anything")),
        ca.issue(mx().extended_key_usages(&[]).key_usages(&[])),
        ca.issue(mx().key_type(KeyType::Ed25519)),
        ca.issue(mx().key_type(KeyType::Rsa2048)),
        ca.issue(mx().key_type(KeyType::EcdsaP256)).with_foreign_key(),
        below.issue(mx()),
    ] {
        assert_eq!(judge(&good), Ok(()), "{good:?}");
    }
    assert_eq!(verdict(&ca.issue(Leaf::for_name("127.0.0.1").and_name("::1")), ca.roots(), "::1"), Ok(()));

    let expired = judge(&ca.issue(mx().expired()));
    assert!(matches!(expired, Err(CertificateError::ExpiredContext { .. })), "{expired:?}");
    let early = judge(&ca.issue(mx().not_yet_valid()));
    assert!(matches!(early, Err(CertificateError::NotValidYetContext { .. })), "{early:?}");
    for unnamed in [ca.issue(Leaf::for_name("other.test")), ca.issue(mx().without_alternative_names())] {
        let unnamed = judge(&unnamed);
        assert!(matches!(unnamed, Err(CertificateError::NotValidForNameContext { .. })), "{unnamed:?}");
    }
    for unknown in [other_ca.issue(mx()), mx().self_signed(), below.issue(mx()).without_intermediates()] {
        assert_eq!(judge(&unknown), Err(CertificateError::UnknownIssuer));
    }
    let purpose = judge(&ca.issue(mx().client_only()));
    assert!(matches!(purpose, Err(CertificateError::InvalidPurposeContext { .. })), "{purpose:?}");
    let authority = judge(&ca.issue(mx().marked_as_ca()));
    let Err(CertificateError::Other(OtherError(cause))) = authority else { panic!("{authority:?}") };
    assert_eq!(cause.downcast_ref(), Some(&webpki::Error::CaUsedAsEndEntity));
    assert_eq!(judge(&ca.issue(mx()).with_corrupted_signature()), Err(CertificateError::BadSignature));
}

#[tokio::test]
async fn a_certificate_has_the_fields_of_its_leaf() {
    let (from, to) = (date_time_ymd(2021, 2, 3), date_time_ymd(2031, 4, 5));
    let usages = [ExtendedKeyUsagePurpose::EmailProtection];
    let leaf =
        mx().not_before(from).not_after(to).extended_key_usages(&usages).key_usages(&[KeyUsagePurpose::KeyAgreement]);
    let identity = Ca::new("Test CA").issue(leaf);
    let (_, certificate) = parse_x509_certificate(&identity.chain[0]).expect("rcgen writes DER");
    assert_eq!(certificate.validity().not_before.to_datetime(), from);
    assert_eq!(certificate.validity().not_after.to_datetime(), to);
    assert_eq!(certificate.issuer().to_string(), "CN=Test CA");
    assert_eq!(certificate.subject().to_string(), "CN=mx.test");
    let extended = certificate.extended_key_usage().expect("no duplicate").expect("there is one").value;
    assert!(extended.email_protection && !extended.server_auth);
    let usage = certificate.key_usage().expect("no duplicate").expect("there is one").value;
    assert!(usage.key_agreement() && !usage.digital_signature());
}

#[tokio::test]
async fn every_kind_of_key_serves_both_versions() {
    let ca = Ca::new("Test CA");
    for key_type in [KeyType::EcdsaP256, KeyType::Ed25519, KeyType::Rsa2048] {
        let identity = ca.issue(mx().key_type(key_type));
        assert_eq!(handshake(&identity, ca.roots()).await.as_deref(), Ok("TLSv1_3"), "{key_type:?}");
        assert_eq!(
            handshake(identity.server_config_tls12(), ca.roots()).await.as_deref(),
            Ok("TLSv1_2"),
            "{key_type:?}"
        );
        assert_eq!(
            handshake(identity.server_config_tls13(), ca.roots()).await.as_deref(),
            Ok("TLSv1_3"),
            "{key_type:?}"
        );
    }
}

#[tokio::test]
async fn a_foreign_key_fails_the_handshake() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(mx()).with_foreign_key();
    for config in [identity.server_config_tls12(), identity.server_config_tls13()] {
        assert_eq!(handshake(config, ca.roots()).await, Err(Error::InvalidCertificate(CertificateError::BadSignature)));
    }
}

#[tokio::test]
async fn a_certificate_of_version_1_is_one_and_can_be_served() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue_x509_v1("mx.test");
    let (_, certificate) = parse_x509_certificate(&identity.chain[0]).expect("openssl writes DER");
    assert_eq!(certificate.version(), X509Version::V1);
    assert_eq!(certificate.subject().to_string(), "CN=mx.test");
    assert_openssl_accepts(&ca, &identity).await;
    assert!(verdict(&identity, ca.roots(), "mx.test").is_err(), "webpki knows version 3 only");
}

#[tokio::test]
async fn an_rsa_key_of_1024_bits_is_one_and_can_be_served() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(mx().key_type(KeyType::Rsa1024));
    let (_, certificate) = parse_x509_certificate(&identity.chain[0]).expect("rcgen writes DER");
    let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() else { panic!("not an RSA key") };
    assert_eq!(key.key_size(), 1024);
    assert_openssl_accepts(&ca, &identity).await;

    let own = mx().key_type(KeyType::Rsa1024).self_signed();
    let (_, certificate) = parse_x509_certificate(&own.chain[0]).expect("rcgen writes DER");
    assert_eq!(certificate.issuer(), certificate.subject());
    assert_openssl_accepts_anchor(&own).await;
}

#[tokio::test]
async fn files_hold_what_was_issued() {
    let directory = TempDir::new();
    let ca = Ca::new("Test CA");
    let identity = ca.intermediate("Intermediate").issue(mx());
    let files = identity.write_pem(directory.path());
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(&files.chain).expect("the file is there").collect::<Result<_, _>>().expect("PEM");
    assert_eq!(chain, identity.chain);
    assert_eq!(chain.len(), 2);
    assert_eq!(PrivateKeyDer::from_pem_file(&files.key).expect("PEM"), identity.key);
    assert_eq!(&CertificateDer::from_pem_file(ca.write_pem(directory.path())).expect("PEM"), ca.der());

    let path = directory.path().to_owned();
    drop(directory);
    assert!(fs::metadata(path).is_err(), "a scratch directory outlives its test");
}

/// Another implementation completes the handshake and verifies all of it: chain, name and signature.
async fn assert_openssl_accepts(ca: &Ca, identity: &Identity) {
    let directory = TempDir::new();
    let anchor = ca.write_pem(directory.path());
    for config in [identity.server_config_tls12(), identity.server_config_tls13()] {
        let server = SmtpServer::serve(Script::compliant().with_implicit_tls(config.clone()));
        let anchor = anchor.to_str().expect("a plain name").to_owned();
        let output = s_client(server.addr(), anchor).await;
        assert!(output.contains("Verification: OK"), "{output}");
        assert!(output.contains("220 mx.test"), "{output}");

        let server = SmtpServer::serve(Script::compliant().with_implicit_tls(config));
        let mut client = Client::connect(server.addr())
            .await
            .upgrade(blind(), "mx.test")
            .await
            .expect("a blind client takes anything");
        client.read_until("220 mx.test ESMTP\r\n").await;
    }
}

async fn assert_openssl_accepts_anchor(identity: &Identity) {
    let directory = TempDir::new();
    let anchor = identity.write_pem(directory.path()).chain;
    let server = SmtpServer::serve(Script::compliant().with_implicit_tls(identity));
    let output = s_client(server.addr(), anchor.to_str().expect("a plain name").to_owned()).await;
    assert!(output.contains("Verification: OK"), "{output}");
}

async fn s_client(addr: SocketAddr, anchor: String) -> String {
    let run = move || {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &addr.to_string()])
            .args(["-CAfile", &anchor, "-verify_hostname", "mx.test"])
            .args(["-cipher", "DEFAULT@SECLEVEL=0", "-ign_eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                let mut stdin = child.stdin.take().expect("stdin is a pipe");
                stdin.write_all(b"QUIT\r\n")?;
                drop(stdin);
                child.wait_with_output()
            })
            .expect("these tests need the openssl command");
        let (lines, errors) = (output.stdout, output.stderr);
        format!("{}{}", String::from_utf8_lossy(&lines), String::from_utf8_lossy(&errors))
    };
    let output = timeout(WAIT_TIMEOUT, tokio::task::spawn_blocking(run)).await;
    output.expect("openssl ends in time").expect("openssl was started")
}
