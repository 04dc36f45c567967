//! X.509 certificates (RFC 5280): [`Certificate`] parses one from DER, and [`CertificateFacts`] is what a report shows
//! of it.
//!
//! Everything that can be read is shown, valid or not: no part of a certificate depends on whether another can be read.
//! [`tls`](crate::tls) verifies certificates; [`problem`] has the
//! kinds of problems.

mod algorithm;
mod constraints;
mod date;
mod element;
mod extensions;
mod facts;
mod key;
mod name;
mod parts;
mod policies;
pub mod private_key;
pub mod problem;
mod text;

pub use algorithm::is_same_algorithm;
pub use constraints::{ConstraintCheck, NameConstraints};
pub use extensions::{ExtendedKeyUsage, KeyUsage, SERVER_PURPOSES};
pub use facts::{CertificateFacts, MAX_FACTS_SIZE};
#[cfg(test)]
pub(crate) use name::READ;
pub use name::{ReadName, is_same_name};

use std::{borrow::Cow, cell::OnceCell};

use aws_lc_rs::digest::{SHA256, digest};
use time::OffsetDateTime;

use self::{
    date::Date,
    element::{Element, INTEGER, SEQUENCE},
    parts::Parts,
};

/// The octets are not an X.509 certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a readable X.509 certificate")]
pub struct Malformed;

/// A certificate's signature, and what it covers (RFC 5280, section 4.1.1).
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// The tbsCertificate in DER.
    pub message: &'a [u8],
    /// The content of the signatureAlgorithm, in DER.
    pub algorithm: Cow<'a, [u8]>,
    /// The octets of the signature.
    pub signature: &'a [u8],
}

/// What stands for a key or an algorithm that cannot be read.
const UNREADABLE: &str = "unreadable";

/// The public key's algorithm and size as text, and the size in bits if it is an RSA key. `spki` is a
/// subjectPublicKeyInfo in DER.
pub fn describe_key(spki: &[u8]) -> (String, Option<usize>) {
    match key::read(&element::to_der(spki)) {
        Some(key) => (key::describe(&key), key::rsa_bits(&key)),
        None => ("an unknown kind".to_owned(), None),
    }
}

/// A distinguished name as text. `name` is the content of its SEQUENCE.
pub fn distinguished_name(name: &[u8]) -> String {
    text::distinguished_name(name)
}

/// The beginning of a text that a sentence is to contain: what follows it must be legible, too.
pub fn excerpt(mut text: String) -> String {
    const MAX_SIZE: usize = 200;
    if text.len() > MAX_SIZE {
        text.truncate(text.floor_char_boundary(MAX_SIZE));
        text.push('…');
    }
    text
}

/// A certificate, whose parts are read one by one. It borrows from its DER.
#[derive(Debug)]
pub struct Certificate<'a> {
    /// All the octets, with those that follow the certificate.
    der: &'a [u8],
    parts: Parts<'a>,
    not_before: Option<OffsetDateTime>,
    not_after: Option<OffsetDateTime>,
    subject_excerpt: OnceCell<String>,
}

impl<'a> Certificate<'a> {
    /// Tells the parts of a certificate apart. Those that cannot be read are in [`Self::form_errors`] and
    /// [`Self::date_errors`].
    ///
    /// # Errors
    /// The octets do not begin like a certificate.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Malformed> {
        let parts = Parts::split(der).ok_or(Malformed)?;
        let not_before = parts.not_before.and_then(Date::read);
        let not_after = parts.not_after.and_then(Date::read);
        Ok(Self { der, parts, not_before, not_after, subject_excerpt: OnceCell::new() })
    }

    /// The facts that a report shows.
    pub fn facts(&self) -> CertificateFacts {
        let as_written = |date: Option<Date<'_>>| date.map(Date::as_written).unwrap_or_default();
        CertificateFacts {
            subject: self.subject(),
            issuer: self.issuer(),
            names: self.names(),
            not_before: self.not_before,
            not_before_as_written: as_written(self.parts.not_before),
            not_after: self.not_after,
            not_after_as_written: as_written(self.parts.not_after),
            serial: self.parts.serial.map(|serial| serial_hex(serial.content)).unwrap_or_default(),
            fingerprint_sha256: text::hex(digest(&SHA256, self.parts.certificate).as_ref()),
            key: self.key(),
            signature_algorithm: self.signature_algorithm(),
            on_path: false,
        }
    }

    /// The DER of the certificate, with what follows it.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The subject as text.
    pub fn subject(&self) -> String {
        text::distinguished_name(self.raw_subject())
    }

    /// The [`excerpt`] of the subject. It is made once: a subject can have 64 KiB, and a certificate many problems.
    pub fn subject_excerpt(&self) -> &str {
        self.subject_excerpt.get_or_init(|| excerpt(self.subject()))
    }

    /// The issuer as text.
    pub fn issuer(&self) -> String {
        text::distinguished_name(self.raw_issuer())
    }

    /// Every subject alternative name as text. More than one extension of that kind violates RFC 5280, section 4.2, and
    /// is tolerated.
    pub fn names(&self) -> Vec<String> {
        self.alternative_names().map(text::general_name).collect()
    }

    /// The first moment at which the certificate is valid, in UTC.
    pub fn not_before(&self) -> Option<OffsetDateTime> {
        self.not_before
    }

    /// The last moment at which the certificate is valid, in UTC.
    pub fn not_after(&self) -> Option<OffsetDateTime> {
        self.not_after
    }

    /// Whether the certificate is valid at this time.
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        self.not_before.is_some_and(|first| first <= now) && self.not_after.is_some_and(|last| now <= last)
    }

    /// The version: 1, 2 or 3; `None` if it cannot be read. Version 1 has no extensions, and so no subject alternative
    /// names.
    pub fn version(&self) -> Option<u32> {
        self.parts.version()
    }

    /// The octets inside the subject's SEQUENCE, to compare names octet by octet.
    pub fn raw_subject(&self) -> &'a [u8] {
        self.parts.subject.map_or(&[], |name| name.content)
    }

    /// The octets inside the issuer's SEQUENCE.
    pub fn raw_issuer(&self) -> &'a [u8] {
        self.parts.issuer.map_or(&[], |name| name.content)
    }

    /// Whether subject and issuer are the same (RFC 5280, section 3.2), as in a self-signed certificate. A self-issued
    /// certificate need not be self-signed.
    pub fn is_self_issued(&self) -> bool {
        is_same_name(self.raw_subject(), self.raw_issuer())
    }

    /// The octets of the subjectPublicKeyInfo, as they are written.
    pub fn raw_public_key(&self) -> &'a [u8] {
        self.parts.key.map_or(&[], |key| key.raw)
    }

    /// The subjectPublicKeyInfo in DER. Libraries read nothing else.
    pub fn public_key_der(&self) -> Cow<'a, [u8]> {
        element::to_der(self.raw_public_key())
    }

    /// The public key's algorithm and size as text.
    pub fn key(&self) -> String {
        key::read(&self.public_key_der()).map_or_else(|| UNREADABLE.to_owned(), |key| key::describe(&key))
    }

    /// The size of an RSA public key in bits; `None` for other keys.
    pub fn rsa_bits(&self) -> Option<usize> {
        describe_key(&self.public_key_der()).1
    }

    /// Whether the public key is an RSA key of less than 2048 bits.
    pub fn has_weak_key(&self) -> bool {
        self.rsa_bits().is_some_and(key::is_weak_rsa)
    }

    /// The algorithm of the issuer's signature, such as `RSA with SHA-256`.
    pub fn signature_algorithm(&self) -> String {
        let algorithm = self.parts.algorithm.and_then(|one| algorithm::describe(&element::to_der(one.raw)));
        algorithm.unwrap_or_else(|| UNREADABLE.to_owned())
    }

    /// The RFC and section that do not allow the parameters of the signature algorithm; `None` if they are allowed.
    pub fn rule_against_parameters(&self) -> Option<&'static str> {
        self.parts.algorithm.and_then(|one| algorithm::rule_against_parameters(&element::to_der(one.raw)))
    }

    /// Whether the certificate names one signature algorithm inside the signature and another beside it (RFC 5280,
    /// section 4.1.1.2).
    pub fn has_two_signature_algorithms(&self) -> bool {
        let octets = |algorithm: Option<Element<'a>>| algorithm.map(|algorithm| element::to_der(algorithm.raw));
        octets(self.parts.algorithm) != octets(self.parts.inner_algorithm)
    }

    /// Whether there is an issuerUniqueID or a subjectUniqueID (RFC 5280, section 4.1.2.8).
    pub fn has_unique_identifiers(&self) -> bool {
        self.parts.has_unique_identifiers
    }

    /// The signature and what it covers; `None` if they cannot be read.
    pub fn signed(&self) -> Option<Signed<'a>> {
        // The first octet of a BIT STRING counts its unused bits.
        let (0, signature) = self.parts.signature?.split_first().map(|(unused, octets)| (*unused, octets))? else {
            return None;
        };
        Some(Signed { message: self.parts.tbs, algorithm: element::to_der(self.parts.algorithm?.content), signature })
    }

    /// What does not have the form of RFC 5280, section 4.1, apart from dates and single extensions: clauses such as
    /// `its serial number cannot be read`.
    pub fn form_errors(&self) -> Vec<String> {
        let parts = &self.parts;
        let is_name =
            |part: Option<Element<'a>>| part.and_then(|name| name.of(SEQUENCE)).is_some_and(name::is_readable);
        let serial = parts.serial.and_then(|serial| serial.of(INTEGER));
        let checks = [
            (parts.version().is_some(), "version"),
            (serial.is_some_and(|serial| !serial.is_empty()), "serial number"),
            (is_name(parts.issuer), "issuer"),
            (is_name(parts.subject), "subject"),
            (key::read(&self.public_key_der()).is_some(), "public key"),
            (
                parts.algorithm.is_some_and(|one| algorithm::describe(&element::to_der(one.raw)).is_some()),
                "signature algorithm",
            ),
            (parts.signature.is_some(), "signature"),
        ];
        let unreadable = checks.iter().filter(|(is_readable, _)| !is_readable);
        let mut errors: Vec<_> = unreadable.map(|(_, part)| format!("its {part} cannot be read")).collect();
        if let Some(rule) = self.rule_against_parameters() {
            let algorithm = self.signature_algorithm();
            errors.push(format!("its signature algorithm, {algorithm}, has parameters that {rule}, does not allow"));
        }
        errors.extend(parts.leftovers.iter().map(|place| format!("there are octets {place} that cannot be read")));
        errors
    }

    /// The parts that are in BER and not in DER, which RFC 5280, section 4.1, requires: clauses such as `its public key
    /// is in BER, not in DER`.
    pub fn encoding_errors(&self) -> Vec<String> {
        let parts = &self.parts;
        let named = [
            (parts.version, "version"),
            (parts.serial, "serial number"),
            (parts.issuer, "issuer"),
            (parts.subject, "subject"),
            (parts.key, "public key"),
            (parts.algorithm, "signature algorithm"),
        ];
        let is_ber = |part: Option<Element<'a>>| part.is_some_and(|part| element::is_ber(part.raw));
        let named = named.into_iter().filter(|(part, _)| is_ber(*part)).map(|(_, name)| name.to_owned());
        let extensions = self.ber_extensions().into_iter().map(|name| format!("extension {name}"));
        let mut errors: Vec<_> =
            named.chain(extensions).map(|part| format!("its {part} is in BER, not in DER")).collect();
        if errors.is_empty() && element::is_ber(parts.certificate) {
            errors.push("it is in BER, not in DER".to_owned());
        }
        errors
    }

    /// What is wrong with the form of the dates (RFC 5280, section 4.1.2.5), in clauses.
    pub fn date_errors(&self) -> Vec<String> {
        let dates = [("notBefore", self.parts.not_before), ("notAfter", self.parts.not_after)];
        let error = |(name, date): (&str, Option<Date<'a>>)| match date {
            None => Some(format!("its {name} is missing")),
            Some(date) if date.read().is_none() => Some(format!("its {name} is no date: `{}`", date.as_written())),
            Some(date) if !date.is_in_form() => {
                let written = date.as_written();
                Some(format!(
                    "its {name} is written `{written}`, a form that RFC 5280, section 4.1.2.5, does not allow"
                ))
            }
            Some(_) => None,
        };
        dates.into_iter().filter_map(error).collect()
    }
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
