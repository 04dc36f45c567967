//! Signatures of certificates by their issuers' keys: good, bad, or of a kind that this program cannot verify.

use std::sync::LazyLock;

use tokio_rustls::rustls::{
    crypto::aws_lc_rs,
    pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer},
};
use webpki::RawPublicKeyEntity;

use super::{
    rsa_pss,
    signature::{SUPPORTED_RSA_BITS, is_for},
};
use crate::x509::{self, Certificate};

/// Whether the signature of a certificate verifies with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SignatureCheck {
    /// It does.
    Valid,
    /// It does not.
    Invalid,
    /// This program does not support the algorithm, or keys such as this one.
    Unsupported {
        /// The issuer's key, such as `RSA 1024`.
        key: String,
    },
}

/// The algorithms of the library, and RSA-PSS with the usual lengths of salt.
pub(super) static ALGORITHMS: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> = LazyLock::new(|| {
    let library = aws_lc_rs::default_provider().signature_verification_algorithms.all.iter().copied();
    library.chain(rsa_pss::algorithms()).collect()
});

/// Verifies the certificate's signature with `issuer_key`, a subjectPublicKeyInfo in DER.
pub(super) fn check_signature(certificate: &Certificate<'_>, issuer_key: &[u8]) -> SignatureCheck {
    let Some(signed) = certificate.signed() else { return SignatureCheck::Invalid };
    let (key, rsa_bits) = x509::describe_key(issuer_key);
    let unsupported = SignatureCheck::Unsupported { key };
    let spki = SubjectPublicKeyInfoDer::from(issuer_key);
    let Ok(entity) = RawPublicKeyEntity::try_from(&spki) else { return unsupported };
    if rsa_bits.is_some_and(|bits| !SUPPORTED_RSA_BITS.contains(&bits)) {
        return unsupported;
    }
    let mut is_known = false;
    for algorithm in
        ALGORITHMS.iter().filter(|known| x509::is_same_algorithm(&known.signature_alg_id(), &signed.algorithm))
    {
        is_known = true;
        match entity.verify_signature(*algorithm, signed.message, signed.signature) {
            Ok(()) => return SignatureCheck::Valid,
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => return SignatureCheck::Invalid,
        }
    }
    // A key that is supported and does not fit a supported algorithm did not make the signature.
    let is_key_supported = ALGORITHMS.iter().any(|algorithm| is_for(*algorithm, &entity));
    if is_known && is_key_supported { SignatureCheck::Invalid } else { unsupported }
}
