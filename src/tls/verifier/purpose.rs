//! The purposes that webpki asks for in an extended key usage (RFC 5280, section 4.2.1.12).

use webpki::{Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext};

use crate::x509::SERVER_PURPOSES;

/// Accepts an extended key usage that allows TLS servers, as OpenSSL does.
pub(super) struct ServerPurpose;

impl ExtendedKeyUsageValidator for ServerPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut is_restricted = false;
        for purpose in purposes {
            let purpose = purpose?;
            if SERVER_PURPOSES.iter().any(|known| KeyPurposeId::new(known) == purpose) {
                return Ok(());
            }
            is_restricted = true;
        }
        if !is_restricted {
            return Ok(());
        }
        let context = RequiredEkuNotFoundContext { required: KeyUsage::server_auth(), present: Vec::new() };
        Err(Error::RequiredEkuNotFoundContext(context))
    }
}

/// Accepts every extended key usage: [`check_purposes`](super::checks::check_purposes) checks it apart from trust.
pub(super) struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
