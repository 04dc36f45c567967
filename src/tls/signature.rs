//! The server's signature over the handshake, which proves that it holds the certificate's private key.

use std::ops::RangeInclusive;

use tokio_rustls::rustls::{
    DigitallySignedStruct, ProtocolVersion, SignatureScheme,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer},
};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use crate::x509::Certificate;

/// Sizes of RSA keys that webpki verifies with. A signature by a smaller key may be good, but cannot be checked: no
/// library supports such keys in full for TLS 1.3 (RSASSA-PSS), and this service has no cryptography of its own.
pub(super) const SUPPORTED_RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// A server's handshake signature and what it has to match: CertificateVerify in TLS 1.3 (RFC 8446, section 4.4.3),
/// part of ServerKeyExchange in TLS 1.2 (RFC 5246, section 7.4.3).
pub(super) struct HandshakeSignature<'a> {
    pub(super) version: ProtocolVersion,
    pub(super) message: &'a [u8],
    pub(super) certificate: &'a CertificateDer<'a>,
    pub(super) signed: &'a DigitallySignedStruct,
}

/// Why the signature proves nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignatureError {
    /// Another key made the signature.
    #[error("the server's signature does not verify with the certificate's key ({key})")]
    WrongKey { key: String },
    /// A key of another kind made the signature.
    #[error("the server signed by {scheme}, which is not for the certificate's key ({key})")]
    WrongKeyType { key: String, scheme: String },
    /// The client did not offer the scheme for this version of TLS.
    #[error("the server signed by {scheme}, which was not offered in this handshake")]
    SchemeNotOffered { scheme: String },
    /// The signature may be good or not.
    #[error("the server's proof could not be checked: {scheme} with a key of {key} is not supported here")]
    Unsupported { key: String, scheme: String },
    /// The signature may be good or not.
    #[error("the server's proof could not be checked: the certificate's key is unreadable")]
    UnreadableKey,
}

impl HandshakeSignature<'_> {
    /// Verifies the signature with the key in the certificate. Whether the certificate itself is good is another
    /// question.
    ///
    /// # Errors
    /// The signature does not verify, or cannot be checked.
    pub(super) fn verify(&self, library: &WebPkiSupportedAlgorithms) -> Result<(), SignatureError> {
        let parsed = Certificate::from_der(self.certificate).ok();
        let spki = self.key(parsed.as_ref()).ok_or(SignatureError::UnreadableKey)?;
        let entity = RawPublicKeyEntity::try_from(&spki).map_err(|_| SignatureError::UnreadableKey)?;
        let key = || parsed.as_ref().map_or_else(|| "an unknown kind".to_owned(), Certificate::key);
        let rsa_bits = parsed.as_ref().and_then(Certificate::rsa_bits);
        let scheme = || name(self.signed.scheme);
        for algorithm in
            self.algorithms(library, rsa_bits).ok_or_else(|| SignatureError::SchemeNotOffered { scheme: scheme() })?
        {
            match entity.verify_signature(algorithm, self.message, self.signed.signature()) {
                Ok(()) => return Ok(()),
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => return Err(SignatureError::WrongKey { key: key() }),
            }
        }
        let is_unsupported = match rsa_bits {
            Some(_) => is_rsa(self.signed.scheme),
            None => !library.all.iter().any(|algorithm| is_for(*algorithm, &entity)),
        };
        if is_unsupported {
            Err(SignatureError::Unsupported { key: key(), scheme: scheme() })
        } else {
            Err(SignatureError::WrongKeyType { key: key(), scheme: scheme() })
        }
    }

    fn key(&self, parsed: Option<&Certificate<'_>>) -> Option<SubjectPublicKeyInfoDer<'static>> {
        match parsed {
            Some(certificate) => Some(SubjectPublicKeyInfoDer::from(certificate.public_key_der().into_owned())),
            None => {
                EndEntityCert::try_from(self.certificate).ok().map(|certificate| certificate.subject_public_key_info())
            }
        }
    }

    /// The algorithms to verify with; `None` if the scheme was not offered for this version, none if the key's size is
    /// not supported.
    fn algorithms(
        &self,
        library: &WebPkiSupportedAlgorithms,
        rsa_bits: Option<usize>,
    ) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
        let scheme = self.signed.scheme;
        let (_, algorithms) = library.mapping.iter().find(|(known, _)| *known == scheme)?;
        let algorithms = match self.version {
            // In TLS 1.3 a scheme of ECDSA names the curve too, which is that of the first algorithm (RFC 8446, section
            // 4.2.3).
            ProtocolVersion::TLSv1_3 if !is_rsa_pkcs1(scheme) => algorithms.get(..1)?,
            ProtocolVersion::TLSv1_3 => return None,
            _ => algorithms,
        };
        Some(match rsa_bits {
            Some(bits) if is_rsa(scheme) && !SUPPORTED_RSA_BITS.contains(&bits) => Vec::new(),
            _ => algorithms.to_vec(),
        })
    }
}

/// Whether the algorithm is for this type of key. webpki tells that only when it verifies something.
pub(super) fn is_for(algorithm: &dyn SignatureVerificationAlgorithm, key: &RawPublicKeyEntity<'_>) -> bool {
    let outcome = key.verify_signature(algorithm, &[], &[]);
    !matches!(outcome, Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)))
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    use SignatureScheme::{RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512};
    is_rsa_pkcs1(scheme) || matches!(scheme, RSA_PSS_SHA256 | RSA_PSS_SHA384 | RSA_PSS_SHA512)
}

fn is_rsa_pkcs1(scheme: SignatureScheme) -> bool {
    use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
    matches!(scheme, RSA_PKCS1_SHA256 | RSA_PKCS1_SHA384 | RSA_PKCS1_SHA512)
}

fn name(scheme: SignatureScheme) -> String {
    scheme.as_str().map_or_else(|| format!("signature scheme {:#06x}", u16::from(scheme)), str::to_owned)
}
