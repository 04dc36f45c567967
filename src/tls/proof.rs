//! The server's proof that it holds its certificate's key: a signature over the handshake.

use std::ops::RangeInclusive;

use tokio_rustls::rustls::{
    DigitallySignedStruct, ProtocolVersion, SignatureScheme,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer},
};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use crate::x509::Certificate;

/// The sizes of RSA keys by which webpki verifies. A smaller key makes nobody an impostor, but what is signed by one is beyond us: no
/// library has all that TLS 1.3 wants of it (RSASSA-PSS), and cryptography of our own is not wanted here.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// A server's signature, and what it is about.
pub(super) struct Proof<'a> {
    pub(super) version: ProtocolVersion,
    pub(super) message: &'a [u8],
    pub(super) certificate: &'a CertificateDer<'a>,
    pub(super) signed: &'a DigitallySignedStruct,
}

/// Why nothing is proven.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    /// Somebody without the key made the signature.
    #[error("the server's signature does not verify with the certificate's key ({key})")]
    ByAnotherKey { key: String },
    /// Somebody with another kind of key made the signature.
    #[error("the server signed by {scheme}, which is not for the certificate's key ({key})")]
    ByAnotherKind { key: String, scheme: String },
    /// The server doesn't keep to what both sides have agreed on.
    #[error("the server signed by {scheme}, which has no place in this handshake")]
    OutOfPlace { scheme: String },
    /// The signature may be good or not.
    #[error("the server's proof could not be checked: {scheme} with a key of {key} is not supported here")]
    Unsupported { key: String, scheme: String },
    /// The signature may be good or not.
    #[error("the server's proof could not be checked: the certificate's key is unreadable")]
    UnreadableKey,
}

impl Proof<'_> {
    /// Whether the server holds the key (RFC 8446, section 4.4.3; RFC 5246, section 7.4.3).
    ///
    /// The key is taken out of the certificate as it is. Whether the certificate is fit to be believed is another question.
    pub(super) fn check(&self, library: &WebPkiSupportedAlgorithms) -> Result<(), Unproven> {
        let parsed = Certificate::from_der(self.certificate).ok();
        let spki = self.key(parsed.as_ref()).ok_or(Unproven::UnreadableKey)?;
        let entity = RawPublicKeyEntity::try_from(&spki).map_err(|_| Unproven::UnreadableKey)?;
        let key = || parsed.as_ref().map_or_else(|| "an unknown kind".to_owned(), Certificate::key);
        let rsa_bits = parsed.as_ref().and_then(Certificate::rsa_bits);
        let scheme = || name(self.signed.scheme);
        for algorithm in self.algorithms(library, rsa_bits).ok_or_else(|| Unproven::OutOfPlace { scheme: scheme() })? {
            match entity.verify_signature(algorithm, self.message, self.signed.signature()) {
                Ok(()) => return Ok(()),
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(_) => return Err(Unproven::ByAnotherKey { key: key() }),
            }
        }
        let beyond_us = match rsa_bits {
            Some(_) => is_rsa(self.signed.scheme),
            None => !library.all.iter().any(|algorithm| is_for(*algorithm, &entity)),
        };
        match beyond_us {
            true => Err(Unproven::Unsupported { key: key(), scheme: scheme() }),
            false => Err(Unproven::ByAnotherKind { key: key(), scheme: scheme() }),
        }
    }

    fn key(&self, parsed: Option<&Certificate<'_>>) -> Option<SubjectPublicKeyInfoDer<'static>> {
        match parsed {
            Some(certificate) => Some(SubjectPublicKeyInfoDer::from(certificate.public_key_der().to_vec())),
            None => {
                EndEntityCert::try_from(self.certificate).ok().map(|certificate| certificate.subject_public_key_info())
            }
        }
    }

    /// How the signature may be verified, if it is of a scheme that was offered for this version.
    fn algorithms(
        &self,
        library: &WebPkiSupportedAlgorithms,
        rsa_bits: Option<usize>,
    ) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
        let scheme = self.signed.scheme;
        let (_, meant) = library.mapping.iter().find(|(known, _)| *known == scheme)?;
        let meant = match self.version {
            // In TLS 1.3 a scheme names the curve, too: the first.
            ProtocolVersion::TLSv1_3 if !is_rsa_pkcs1(scheme) => meant.get(..1)?,
            ProtocolVersion::TLSv1_3 => return None,
            _ => meant,
        };
        Some(match rsa_bits {
            Some(bits) if is_rsa(scheme) && !RSA_BITS.contains(&bits) => Vec::new(),
            _ => meant.to_vec(),
        })
    }
}

/// Whether it is an algorithm for this kind of key, by what webpki says to it at all.
fn is_for(algorithm: &dyn SignatureVerificationAlgorithm, key: &RawPublicKeyEntity<'_>) -> bool {
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
