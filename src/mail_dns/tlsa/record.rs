//! [`TlsaRecord`]: one record, and whether a sender can use it.

use std::{fmt, str::FromStr};

use crate::mail_dns::{RecordData, der};

/// Octets of a SHA-256 digest.
const SHA256_SIZE: usize = 32;
/// Octets of a SHA-512 digest.
const SHA512_SIZE: usize = 64;

/// One record, as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsaRecord {
    /// How the certificate is used: [`Usage`].
    pub usage: u8,
    /// What of it is compared: [`Selector`].
    pub selector: u8,
    /// How it is compared: [`MatchingType`].
    pub matching_type: u8,
    /// The certificate association data.
    pub data: Vec<u8>,
}

/// Usages that SMTP has (RFC 7672, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// A certification authority: 2.
    DaneTa,
    /// The server's own certificate: 3.
    DaneEe,
}

/// What of a certificate a record is about (RFC 6698, section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The whole certificate: 0.
    Certificate,
    /// Its SubjectPublicKeyInfo: 1.
    PublicKey,
}

/// In the order of their strength as RFC 7671, section 9, advises it; `Full` is apart from the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchingType {
    /// 0.
    Full,
    /// 1.
    Sha256,
    /// 2.
    Sha512,
}

/// Why senders leave a record out (RFC 7672, section 3.1.3; RFC 7671, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// PKIX-TA(0) and PKIX-EE(1).
    #[error("usage {0} is not for SMTP")]
    PkixUsage(u8),
    /// Not in RFC 6698, section 2.1.1.
    #[error("unknown usage {0}")]
    Usage(u8),
    /// Not in RFC 6698, section 2.1.2.
    #[error("unknown selector {0}")]
    Selector(u8),
    /// Not in RFC 6698, section 2.1.3.
    #[error("unknown matching type {0}")]
    MatchingType(u8),
    /// Not the size that the digest has.
    #[error("the digest has {found} octets instead of {expected}")]
    DigestSize {
        /// In octets.
        expected: usize,
        /// In octets.
        found: usize,
    },
    /// Matching type 0 with selector 0.
    #[error("its data is no certificate in DER")]
    NoCertificate,
    /// Matching type 0 with selector 1.
    #[error("its data is no public key in DER")]
    NoPublicKey,
}

impl TlsaRecord {
    /// The TLSA records among these.
    pub fn all_of(records: &[RecordData]) -> Vec<Self> {
        records
            .iter()
            .filter_map(|record| match record {
                RecordData::Tlsa { usage, selector, matching_type, data } => {
                    Some(Self { usage: *usage, selector: *selector, matching_type: *matching_type, data: data.clone() })
                }
                _ => None,
            })
            .collect()
    }

    /// What the three numbers mean.
    ///
    /// # Errors
    /// Where senders leave the record out.
    pub fn parameters(&self) -> Result<(Usage, Selector, MatchingType), Unusable> {
        let usage = match self.usage {
            0 | 1 => return Err(Unusable::PkixUsage(self.usage)),
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            other => return Err(Unusable::Usage(other)),
        };
        let selector = match self.selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            other => return Err(Unusable::Selector(other)),
        };
        let digest = |expected| match self.data.len() {
            found if found == expected => Ok(()),
            found => Err(Unusable::DigestSize { expected, found }),
        };
        let matching_type = match self.matching_type {
            0 => {
                match selector {
                    Selector::Certificate if der::certificate(&self.data).is_none() => {
                        return Err(Unusable::NoCertificate);
                    }
                    Selector::PublicKey if !der::is_public_key(&self.data) => return Err(Unusable::NoPublicKey),
                    _ => {}
                }
                MatchingType::Full
            }
            1 => digest(SHA256_SIZE).map(|()| MatchingType::Sha256)?,
            2 => digest(SHA512_SIZE).map(|()| MatchingType::Sha512)?,
            other => return Err(Unusable::MatchingType(other)),
        };
        Ok((usage, selector, matching_type))
    }
}

impl fmt::Display for TlsaRecord {
    /// As in a zone file (RFC 6698, section 2.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching_type)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A text is no TLSA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a TLSA record: three numbers and hexadecimal digits")]
pub struct ParseError;

impl FromStr for TlsaRecord {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parts = text.split_ascii_whitespace();
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(ParseError);
        let (usage, selector, matching_type) = (number()?, number()?, number()?);
        // The digits may have white space between them.
        let digits: Vec<u8> = parts.flat_map(str::bytes).collect();
        let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = digits.as_chunks::<2>();
        let data: Option<Vec<u8>> = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        let data = data.filter(|_| rest.is_empty()).ok_or(ParseError)?;
        Ok(Self { usage, selector, matching_type, data })
    }
}
