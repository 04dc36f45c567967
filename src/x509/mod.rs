//! X.509 certificates (RFC 5280): [`Certificate`] parses one from DER, and [`CertificateFacts`] is what a report shows
//! of it.
//!
//! Everything that can be parsed is shown, valid or not. [`tls`](crate::tls) verifies certificates; [`problem`] has the
//! kinds of problems.

mod algorithm;
mod extensions;
mod key;
mod name;
pub mod problem;
mod text;

pub use name::is_same_name;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};
use utoipa::ToSchema;
use x509_parser::{
    asn1_rs::{Any, FromDer},
    certificate::X509Certificate,
    x509::SubjectPublicKeyInfo,
};

/// The facts of one certificate, as the report shows them.
///
/// All text comes from the server; control characters in it are escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CertificateFacts {
    /// The subject's distinguished name, such as `C=US, O=Example, CN=mx.example.com`.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Every subject alternative name (RFC 5280, section 4.2.1.6): host names, addresses, mailboxes and URIs as they
    /// are, the rarer kinds with their type in front.
    pub names: Vec<String>,
    /// The first moment at which the certificate is valid.
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// The last moment at which the certificate is valid.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// The serial number in lower-case hex, two digits a byte, no colons.
    pub serial: String,
    /// SHA-256 of the whole certificate in lower-case hex, no colons.
    pub fingerprint_sha256: String,
    /// The public key's algorithm and size, such as `RSA 2048` or `ECDSA P-256`.
    pub key: String,
    /// The algorithm of the issuer's signature, such as `RSA with SHA-256`.
    #[schema(example = "RSA with SHA-256")]
    pub signature_algorithm: String,
    /// Whether the certificate is on the path that was verified, or else on the one that the errors are about.
    pub on_path: bool,
}

/// Bytes of the texts of all certificates of a session, beyond which they are shortened.
pub const MAX_FACTS_SIZE: usize = 24 * 1024;

impl CertificateFacts {
    /// Bytes of a text that is too long.
    const MAX_TEXT_SIZE: usize = 256;
    /// Names of a certificate that has too many.
    const MAX_NAMES: usize = 8;
    /// Certificates of a chain that is too long.
    const MAX_CERTIFICATES: usize = 16;

    /// Shortens what the certificates of a chain say, and the chain, unless they have at most [`MAX_FACTS_SIZE`].
    /// Returns how many texts, names and certificates are cut or left out.
    pub fn shorten(chain: &mut Vec<Self>) -> usize {
        if chain.iter().map(Self::size).sum::<usize>() <= MAX_FACTS_SIZE {
            return 0;
        }
        let mut cut = chain.len().saturating_sub(Self::MAX_CERTIFICATES);
        chain.truncate(Self::MAX_CERTIFICATES);
        for facts in &mut *chain {
            cut += facts.names.len().saturating_sub(Self::MAX_NAMES);
            facts.names.truncate(Self::MAX_NAMES);
            let texts = [
                &mut facts.subject,
                &mut facts.issuer,
                &mut facts.serial,
                &mut facts.key,
                &mut facts.signature_algorithm,
            ];
            for text in texts.into_iter().chain(&mut facts.names).filter(|text| text.len() > Self::MAX_TEXT_SIZE) {
                text.truncate(text.floor_char_boundary(Self::MAX_TEXT_SIZE));
                text.shrink_to_fit();
                cut += 1;
            }
        }
        cut
    }

    /// Bytes in memory, about.
    fn size(&self) -> usize {
        let texts = [&self.subject, &self.issuer, &self.serial, &self.key, &self.signature_algorithm];
        let texts: usize = texts.into_iter().chain(&self.names).map(|text| size_of::<String>() + text.len()).sum();
        size_of::<Self>() + texts
    }
}

/// The bytes are not an X.509 certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a readable X.509 certificate")]
pub struct Malformed;

/// A certificate's signature, and what it covers (RFC 5280, section 4.1.1).
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The tbsCertificate in DER.
    pub message: &'a [u8],
    /// The content of the signatureAlgorithm.
    pub algorithm: &'a [u8],
    /// The octets of the signature.
    pub signature: &'a [u8],
}

/// The public key's algorithm and size as text, and the size in bits if it is an RSA key. `spki` is a
/// subjectPublicKeyInfo in DER.
pub fn describe_key(spki: &[u8]) -> (String, Option<usize>) {
    match SubjectPublicKeyInfo::from_der(spki) {
        Ok((_, key)) => (key::describe(&key), key::rsa_bits(&key)),
        Err(_) => ("an unknown kind".to_owned(), None),
    }
}

/// A parsed certificate. It borrows from its DER.
#[derive(Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    parsed: X509Certificate<'a>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl<'a> Certificate<'a> {
    /// Parses one certificate.
    ///
    /// # Errors
    /// The bytes are not a certificate, or there are more bytes after it.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Malformed> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Malformed)?;
        if !rest.is_empty() {
            return Err(Malformed);
        }
        let validity = parsed.validity();
        let not_before = in_utc(validity.not_before.to_datetime())?;
        let not_after = in_utc(validity.not_after.to_datetime())?;
        Ok(Self { der, parsed, not_before, not_after })
    }

    /// The facts that a report shows.
    pub fn facts(&self) -> CertificateFacts {
        CertificateFacts {
            subject: self.subject(),
            issuer: self.issuer(),
            names: self.names(),
            not_before: self.not_before,
            not_after: self.not_after,
            serial: serial_hex(self.parsed.raw_serial()),
            fingerprint_sha256: text::hex(digest(&SHA256, self.der).as_ref()),
            key: self.key(),
            signature_algorithm: self.signature_algorithm(),
            on_path: false,
        }
    }

    /// The DER of the certificate.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The subject as text.
    pub fn subject(&self) -> String {
        text::distinguished_name(self.parsed.subject())
    }

    /// The issuer as text.
    pub fn issuer(&self) -> String {
        text::distinguished_name(self.parsed.issuer())
    }

    /// Every subject alternative name as text. More than one extension of that kind violates RFC 5280, section 4.2, and
    /// is tolerated.
    pub fn names(&self) -> Vec<String> {
        self.alternative_names().map(text::general_name).collect()
    }

    /// The first moment at which the certificate is valid, in UTC.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last moment at which the certificate is valid, in UTC.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether the certificate is valid at this time.
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The version: 1, 2 or 3. Version 1 has no extensions, and so no subject alternative names.
    pub fn version(&self) -> u32 {
        self.parsed.version().0.saturating_add(1)
    }

    /// The DER inside the subject's SEQUENCE, to compare names octet by octet.
    pub fn raw_subject(&self) -> &'a [u8] {
        content(self.parsed.tbs_certificate.subject.as_raw())
    }

    /// The DER inside the issuer's SEQUENCE.
    pub fn raw_issuer(&self) -> &'a [u8] {
        content(self.parsed.tbs_certificate.issuer.as_raw())
    }

    /// Whether subject and issuer are the same (RFC 5280, section 3.2), as in a self-signed certificate. A self-issued
    /// certificate need not be self-signed.
    pub fn is_self_issued(&self) -> bool {
        self.raw_subject() == self.raw_issuer()
    }

    /// The DER of the subjectPublicKeyInfo.
    pub fn public_key_der(&self) -> &'a [u8] {
        self.parsed.tbs_certificate.subject_pki.raw
    }

    /// The public key's algorithm and size as text.
    pub fn key(&self) -> String {
        key::describe(&self.parsed.tbs_certificate.subject_pki)
    }

    /// The size of an RSA public key in bits; `None` for other keys.
    pub fn rsa_bits(&self) -> Option<usize> {
        key::rsa_bits(&self.parsed.tbs_certificate.subject_pki)
    }

    /// Whether the public key is an RSA key of less than 2048 bits.
    pub fn has_weak_key(&self) -> bool {
        key::is_weak_rsa(&self.parsed.tbs_certificate.subject_pki)
    }

    /// The algorithm of the issuer's signature, such as `RSA with SHA-256`.
    pub fn signature_algorithm(&self) -> String {
        algorithm::describe(&self.parsed.signature_algorithm)
    }

    /// Whether the certificate names one signature algorithm inside the signature and another beside it (RFC 5280,
    /// section 4.1.1.2).
    pub fn has_two_signature_algorithms(&self) -> bool {
        self.parsed.signature_algorithm != self.parsed.tbs_certificate.signature
    }

    /// Whether there is an issuerUniqueID or a subjectUniqueID (RFC 5280, section 4.1.2.8).
    pub fn has_unique_identifiers(&self) -> bool {
        let tbs = &self.parsed.tbs_certificate;
        tbs.issuer_uid.is_some() || tbs.subject_uid.is_some()
    }

    /// The signature and what it covers; `None` if they cannot be told apart.
    pub fn signed(&self) -> Option<Signed<'a>> {
        let body = content(self.der);
        let (rest, _) = Any::from_der(body).ok()?;
        let message = &body[..body.len() - rest.len()];
        let (rest, algorithm) = Any::from_der(rest).ok()?;
        let (_, signature) = Any::from_der(rest).ok()?;
        // The first octet of a BIT STRING counts its unused bits.
        let (0, signature) = signature.data.split_first().map(|(unused, octets)| (*unused, octets))? else {
            return None;
        };
        Some(Signed { message, algorithm: algorithm.data, signature })
    }
}

/// The time in UTC. With some offsets it is outside of the calendar.
fn in_utc(time: OffsetDateTime) -> Result<OffsetDateTime, Malformed> {
    time.checked_to_offset(UtcOffset::UTC).ok_or(Malformed)
}

/// The content of a DER element.
fn content(element: &[u8]) -> &[u8] {
    Any::from_der(element).map_or(element, |(_, any)| any.data)
}

/// An INTEGER in hex, as openssl prints serial numbers: with a minus if it is negative, and without leading zero
/// octets.
fn serial_hex(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(carry.into());
        }
    }
    let first = magnitude.iter().position(|byte| *byte != 0);
    let digits = match first {
        Some(first) => text::hex(&magnitude[first..]),
        None => "00".to_owned(),
    };
    let sign = if negative { "-" } else { "" };
    format!("{sign}{digits}")
}

#[cfg(test)]
mod tests;
