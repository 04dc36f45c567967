//! Stand-in certificates: webpki's answers about one part of a certificate, whatever the others are.
//!
//! webpki matches host names and knows distrusted keys, but only of certificates that it can read whole. A stand-in has
//! nothing but the part in question. It has no issuer, and its signature is empty: it proves nothing.

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

const SEQUENCE: u8 = 0x30;
/// A SEQUENCE without content.
const EMPTY: &[u8] = &[SEQUENCE, 0];
/// The version 3 and the serial number 1.
const BEGIN: &[u8] = &[0xa0, 3, 2, 1, 2, 2, 1, 1];
/// The object identifier of subjectAltName, 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 17];

/// Whether the value of a subjectAltName extension has the server's name (RFC 6125).
///
/// # Errors
/// It has not, or cannot be read.
pub(super) fn check_name(names: &[u8], server: &ServerName<'_>) -> Result<(), Error> {
    let extension = element(SEQUENCE, &[SUBJECT_ALTERNATIVE_NAME, &element(0x04, names)].concat());
    let extensions = element(0xa3, &element(SEQUENCE, &extension));
    let certificate = certificate(EMPTY, &extensions);
    EndEntityCert::try_from(&certificate)?.verify_is_valid_for_subject_name(server)
}

/// Whether webpki's list of distrusted keys has this subjectPublicKeyInfo.
pub(super) fn is_distrusted(spki: &[u8]) -> bool {
    let certificate = certificate(spki, &[]);
    let Ok(stand_in) = EndEntityCert::try_from(&certificate) else { return false };
    let time = UnixTime::since_unix_epoch(std::time::Duration::ZERO);
    let verdict = stand_in.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None);
    // The key is looked at first.
    matches!(verdict, Err(Error::CertDistrusted))
}

fn certificate(spki: &[u8], extensions: &[u8]) -> CertificateDer<'static> {
    // Algorithm, issuer, validity and subject are empty.
    let tbs = element(SEQUENCE, &[BEGIN, EMPTY, EMPTY, EMPTY, EMPTY, spki, extensions].concat());
    let signature = element(0x03, &[0]);
    element(SEQUENCE, &[&tbs, EMPTY, &signature].concat()).into()
}

/// A DER element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len().to_be_bytes();
    let size = &size[size.iter().position(|octet| *octet != 0).unwrap_or(size.len() - 1)..];
    let long = if size.len() > 1 || size[0] > 0x7f { u8::try_from(0x80 + size.len()).ok() } else { None };
    [&[tag][..], long.as_slice(), size, content].concat()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::*;

    #[test]
    fn a_stand_in_has_the_names_of_the_extension() {
        // GeneralNames with the dNSName "mx.test", and many others, so that lengths take more octets.
        let name = [&[0x82, 7][..], b"mx.test"].concat();
        let server = ServerName::try_from("mx.test").expect("a name");
        let other = ServerName::try_from("mx2.test").expect("a name");
        for count in [1, 20, 1000, 5000] {
            let names = element(SEQUENCE, &name.repeat(count));
            assert_eq!(check_name(&names, &server), Ok(()), "{count}");
            assert!(matches!(check_name(&names, &other), Err(Error::CertNotValidForName(_))), "{count}");
        }
    }

    #[test]
    fn distrusted_keys_are_known_by_their_octets() {
        // The content of the subjectPublicKeyInfo of an authority that is on webpki's list.
        let listed = BASE64_STANDARD.decode(concat!(
            "MBAGByqGSM49AgEGBSuBBAAiA2IABOee2cBKl3PEc15RER2oWsK9XmSrN0uA4Sy8IDjsHk8OO4EvyYWe",
            "HmevsE4vi8l/dIW6ZaqRHuik5Fti1cwD1WvmeLPDjLTck3yiRg4jhFPIkpNdKdRPkeFWBrY8ztq0aA==",
        ));
        assert!(is_distrusted(&element(SEQUENCE, &listed.expect("base64"))));
        let key = rcgen::KeyPair::generate().expect("a key");
        assert!(!is_distrusted(&rcgen::PublicKeyData::subject_public_key_info(&key)));
    }
}
