//! Client certificates: [`client_certificate`] reads one, [`ClientAuth`] is what became of it in a handshake.

use std::fmt;

use tokio_rustls::rustls::{
    self, AlertDescription, SignatureScheme,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::alert::Alert;
use crate::{
    check::ClientCertificate,
    pem::{Identity, IdentityError},
};

/// Reads a client certificate: the chain, the client's own certificate first, and its key, both PEM.
///
/// # Errors
/// One of them cannot be used, or they do not belong together.
pub fn client_certificate(name: &str, chain: &[u8], key: &[u8]) -> Result<ClientCertificate, IdentityError> {
    let Identity { chain, key } = Identity::from_pem(chain, key)?;
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(ClientCertificate::new(name.to_owned(), chain, Zeroizing::new(key.secret_der().to_vec())))
}

/// The certificate in the form of rustls.
pub(super) fn certified_key(certificate: &ClientCertificate) -> Result<CertifiedKey, rustls::Error> {
    let key =
        PrivateKeyDer::try_from(certificate.expose_key()).map_err(|error| rustls::Error::General(error.into()))?;
    let chain = certificate.chain().iter().cloned().map(CertificateDer::from).collect();
    Ok(CertifiedKey::new(chain, aws_lc_rs::sign::any_supported_type(&key)?))
}

/// What became of the server's request for a client certificate in a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// The server did not ask for one.
    #[default]
    NotAsked,
    /// The server asked for one, and this client has none.
    NoCertificate,
    /// The server asked for one, and has no signature algorithm for the client's key: none was shown.
    NoAlgorithm,
    /// The server asked for one, and was shown the client's.
    Shown,
}

impl ClientAuth {
    /// The answer to a server that asks, and has these signature algorithms.
    pub(super) fn answer(certificate: Option<&CertifiedKey>, schemes: &[SignatureScheme]) -> Self {
        match certificate {
            None => Self::NoCertificate,
            Some(certificate) if certificate.key.choose_scheme(schemes).is_none() => Self::NoAlgorithm,
            Some(_) => Self::Shown,
        }
    }

    /// Whether the server asked for a client certificate. It may refuse the handshake later, inside the session.
    pub fn is_asked(self) -> bool {
        self != Self::NotAsked
    }
}

/// A clause whose subject is the server; it has the same form after "it had".
impl fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "asked for no client certificate",
            Self::NoCertificate => "asked for a client certificate, which this client does not have",
            Self::NoAlgorithm => {
                "asked for a client certificate, but for no signature algorithm of the key that this client has, so \
                 that none was shown"
            }
            Self::Shown => "asked for a client certificate, which this client showed",
        })
    }
}

/// A server that asked for a client certificate ended the handshake by an alert, or in TLS 1.3 the session right after
/// it (RFC 8446, section 4.4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAuthRefused {
    /// What the server was shown.
    pub client_auth: ClientAuth,
    /// The alert.
    pub alert: Alert,
}

impl fmt::Display for ClientAuthRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client_auth, alert } = self;
        match client_auth {
            // The alert itself says that the server asked.
            ClientAuth::NotAsked => write!(
                f,
                "the server asked for a client certificate that it did not get, and ended the TLS session (alert {alert})"
            ),
            ClientAuth::Shown if is_about_certificate(alert.0) => {
                write!(f, "the server refused the client certificate that it was shown (alert {alert})")
            }
            _ => write!(f, "the server {client_auth}, and refused the TLS handshake (alert {alert})"),
        }
    }
}

/// Whether the alert is about the certificate of the other side (RFC 8446, section 6.2).
fn is_about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
    )
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;
    use crate::tls::testing::{Identity, key, params};

    fn pem(label: &str, der: &[u8]) -> String {
        pem_of(&[(label, der)])
    }

    fn pem_of(items: &[(&str, &[u8])]) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let item = |(label, der): &(&str, &[u8])| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        items.iter().map(item).collect()
    }

    fn fault(chain: &str, key: &str) -> String {
        match client_certificate("partner", chain.as_bytes(), key.as_bytes()) {
            Ok(_) => "good".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn chain_and_key_must_belong_together() {
        let identity = Identity::self_signed(&params("client.test", &[]));
        let chain = pem("CERTIFICATE", &identity.chain[0]);
        let good = pem("PRIVATE KEY", identity.key.secret_der());
        let other = pem("PRIVATE KEY", &KeyPair::generate().expect("a key").serialize_der());
        let broken = pem("PRIVATE KEY", b"hunter2");
        let unreadable = pem("CERTIFICATE", b"hunter2");
        for (chain, key, expected) in [
            (chain.as_str(), good.as_str(), "good"),
            (&(chain.clone() + &unreadable), &good, "good"),
            (&chain, &other, "key: it is not the key of the certificate"),
            (&chain, &broken, "key: it is no valid key of a supported kind: RSA of 2048 to"),
            (&chain, &chain, "key: there is no private key in it"),
            (&chain, "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "key: it is not PEM"),
            (&chain, &pem("ENCRYPTED PRIVATE KEY", b"hunter2"), "key: it is encrypted"),
            (&good, &good, "certificate: there is no certificate in it"),
            ("hunter2", &good, "certificate: there is no certificate in it"),
            (&unreadable, &good, "certificate: its first certificate cannot be read"),
        ] {
            let found = fault(chain, key);
            assert!(found.starts_with(expected) && !found.contains("hunter2"), "{found} and not {expected}");
        }
        let certificate = client_certificate("partner", chain.as_bytes(), good.as_bytes()).expect("good");
        assert_eq!((certificate.name(), certificate.chain().len()), ("partner", 1));
    }

    #[test]
    fn a_server_is_shown_only_what_it_can_verify() {
        let key = key();
        let identity = Identity::new(Vec::new(), &key);
        let ecdsa = CertifiedKey::new(Vec::new(), aws_lc_rs::sign::any_supported_type(&identity.key).expect("a key"));
        let answer = |certificate, schemes: &[SignatureScheme]| ClientAuth::answer(certificate, schemes);
        let [p256, rsa] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
        assert_eq!(answer(None, &[p256]), ClientAuth::NoCertificate);
        assert_eq!(answer(Some(&ecdsa), &[rsa, p256]), ClientAuth::Shown);
        assert_eq!(answer(Some(&ecdsa), &[rsa]), ClientAuth::NoAlgorithm);
    }

    #[test]
    fn a_refusal_says_what_the_server_was_shown() {
        use AlertDescription::{BadCertificate, CertificateRequired, HandshakeFailure, UnknownCA};
        for (client_auth, alert, text) in [
            (
                ClientAuth::NoCertificate,
                HandshakeFailure,
                "the server asked for a client certificate, which this client does not have, and refused the TLS \
                 handshake (alert handshake_failure)",
            ),
            (
                ClientAuth::Shown,
                UnknownCA,
                "the server refused the client certificate that it was shown (alert unknown_ca)",
            ),
            (
                ClientAuth::Shown,
                HandshakeFailure,
                "the server asked for a client certificate, which this client showed, and refused the TLS handshake \
                 (alert handshake_failure)",
            ),
            (
                ClientAuth::NoAlgorithm,
                BadCertificate,
                "the server asked for a client certificate, but for no signature algorithm of the key that this client \
                 has, so that none was shown, and refused the TLS handshake (alert bad_certificate)",
            ),
            (
                ClientAuth::NotAsked,
                CertificateRequired,
                "the server asked for a client certificate that it did not get, and ended the TLS session (alert \
                 certificate_required)",
            ),
        ] {
            let alert = Alert(alert);
            assert_eq!(ClientAuthRefused { client_auth, alert }.to_string(), text);
        }
    }
}
