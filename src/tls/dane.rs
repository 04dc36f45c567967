//! The path of a server's certificate to a trust anchor that DNS gives: DANE-TA (RFC 7672, section 3.1.2).

use std::time::Duration;

use tokio_rustls::rustls::pki_types::{
    CertificateDer, Der, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::mail_dns::tlsa::Anchor;

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DanePath {
    /// There is one, with a right name and right dates.
    Verified,
    /// There is none.
    Invalid,
    /// A limit of this program keeps that from being told.
    NotJudged,
}

/// Whether the server's certificate, the first of the chain, has a path to the anchor, is valid at this time (in
/// seconds since 1970) and bears one of the names.
pub fn path_to(
    chain: &[Vec<u8>],
    anchor: &Anchor,
    names: &[String],
    now: u64,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> DanePath {
    let certificates: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let Some((own, others)) = certificates.split_first() else { return DanePath::Invalid };
    let Ok(own) = EndEntityCert::try_from(own) else { return DanePath::NotJudged };
    let anchor_certificate;
    let anchor = match anchor {
        Anchor::Presented(place) => certificates.get(*place).map(anchor_from_trusted_cert),
        Anchor::Certificate(der) => {
            anchor_certificate = CertificateDer::from(der.as_slice());
            Some(anchor_from_trusted_cert(&anchor_certificate))
        }
        Anchor::PublicKey(key) => of_key(chain, key).map(Ok),
    };
    let anchor = match anchor {
        Some(Ok(anchor)) => anchor,
        Some(Err(_)) => return DanePath::NotJudged,
        None => return DanePath::Invalid,
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let usage = KeyUsage::server_auth();
    match own.verify_for_usage(algorithms, &[anchor], others, now, usage, None, None) {
        Ok(_) => {}
        Err(error) if is_limit(&error) => return DanePath::NotJudged,
        Err(_) => return DanePath::Invalid,
    }
    let has_name = |name: &String| {
        let name = ServerName::try_from(name.as_str());
        name.is_ok_and(|name| own.verify_is_valid_for_subject_name(&name).is_ok())
    };
    if names.iter().any(has_name) { DanePath::Verified } else { DanePath::Invalid }
}

/// The anchor of a bare key: its name is that of the issuer of the last certificate (RFC 7671, section 5.2.3).
fn of_key(chain: &[Vec<u8>], key: &[u8]) -> Option<TrustAnchor<'static>> {
    let (_, last) = X509Certificate::from_der(chain.last()?).ok()?;
    Some(TrustAnchor {
        subject: Der::from(content(last.issuer().as_raw())?.to_vec()),
        subject_public_key_info: Der::from(content(key)?.to_vec()),
        name_constraints: None,
    })
}

/// What a SEQUENCE in DER holds.
fn content(der: &[u8]) -> Option<&[u8]> {
    let [0x30, first, rest @ ..] = der else { return None };
    let skipped = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    rest.get(skipped..)
}

fn is_limit(error: &Error) -> bool {
    matches!(
        error,
        Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Error::UnsupportedCriticalExtension
            | Error::UnsupportedNameType
            | Error::UnsupportedCertVersion
            | Error::MaximumSignatureChecksExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumNameConstraintComparisonsExceeded
    )
}
