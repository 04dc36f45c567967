//! [`DkimKey`]: a private key for DKIM signatures, and where receivers find its public key.

use std::fmt;

use strum::IntoStaticStr;
use zeroize::Zeroizing;

use crate::destination::HostName;

/// Longest name of a DNS record, in octets (RFC 1035, section 2.3.4).
const MAX_NAME_SIZE: usize = 253;
/// Longest label of a DNS name, in octets.
const MAX_LABEL_SIZE: usize = 63;

/// A DKIM key of the operator's (RFC 6376), by the name that checks use for it.
#[derive(Clone, PartialEq, Eq)]
pub struct DkimKey {
    name: String,
    domain: String,
    selector: String,
    algorithm: DkimAlgorithm,
    key: Zeroizing<Vec<u8>>,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum DkimAlgorithm {
    /// RSA with SHA-256 (RFC 6376, section 3.3); the key is in DER, PKCS #1.
    #[strum(serialize = "rsa-sha256")]
    RsaPkcs1,
    /// RSA with SHA-256; the key is in DER, PKCS #8.
    #[strum(serialize = "rsa-sha256")]
    RsaPkcs8,
    /// Ed25519 with SHA-256 (RFC 8463); the key is in DER, PKCS #8.
    #[strum(serialize = "ed25519-sha256")]
    Ed25519,
}

impl DkimAlgorithm {
    /// The tag `a=` of the signature.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Why a text is no domain or selector of a DKIM key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDkimName {
    /// The domain is no domain name.
    #[error("`domain` must be a domain name")]
    Domain,
    /// The selector has other characters than a DNS label, or an empty label.
    #[error(
        "`selector` must be labels of 1 to {MAX_LABEL_SIZE} letters, digits, inner hyphens and underscores, between dots"
    )]
    Selector,
    /// No DNS record can have the name that both make.
    #[error("`selector`._domainkey.`domain` is longer than {MAX_NAME_SIZE} octets")]
    TooLong,
}

impl DkimKey {
    /// A private key in DER, for the record `selector._domainkey.domain` (RFC 6376, section 3.6.2.1). Whether it can be
    /// used is not verified here: [`crate::message::dkim_key`] does that.
    ///
    /// # Errors
    /// No record can have this name.
    pub fn new(
        name: String,
        domain: &str,
        selector: &str,
        algorithm: DkimAlgorithm,
        key: Zeroizing<Vec<u8>>,
    ) -> Result<Self, InvalidDkimName> {
        let domain = domain.parse::<HostName>().map_err(|_| InvalidDkimName::Domain)?.to_string();
        if !selector.split('.').all(is_label) {
            return Err(InvalidDkimName::Selector);
        }
        if selector.len() + "._domainkey.".len() + domain.len() > MAX_NAME_SIZE {
            return Err(InvalidDkimName::TooLong);
        }
        Ok(Self { name, domain, selector: selector.to_owned(), algorithm, key })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domain that signs, the tag `d=`: A-labels.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The selector of the key, the tag `s=`.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// How the key signs.
    pub fn algorithm(&self) -> DkimAlgorithm {
        self.algorithm
    }

    /// The private key in DER: only to sign with.
    pub fn expose_key(&self) -> &[u8] {
        &self.key
    }
}

/// By its names alone.
impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, domain, selector, .. } = self;
        f.debug_tuple("DkimKey").field(name).field(domain).field(selector).finish()
    }
}

fn is_label(label: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_LABEL_SIZE).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(domain: &str, selector: &str) -> Result<DkimKey, InvalidDkimName> {
        let secret = Zeroizing::new(b"hunter2".to_vec());
        DkimKey::new("ours".to_owned(), domain, selector, DkimAlgorithm::Ed25519, secret)
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?}", key("example.com", "s1").expect("a key"));
        assert_eq!(shown, "DkimKey(\"ours\", \"example.com\", \"s1\")");
    }

    #[test]
    fn names_are_those_of_a_record() {
        let long = ["a".repeat(63), "a".repeat(63), "a".repeat(63)].join(".");
        for (domain, selector, name) in [
            ("example.com", "20260101", Ok("20260101._domainkey.example.com")),
            ("Example.COM", "S1.mail_2", Ok("S1.mail_2._domainkey.example.com")),
            ("bücher.example", "s1", Ok("s1._domainkey.xn--bcher-kva.example")),
            ("", "s1", Err(InvalidDkimName::Domain)),
            ("192.0.2.1", "s1", Err(InvalidDkimName::Domain)),
            ("example.com; x=1", "s1", Err(InvalidDkimName::Domain)),
            ("example.com", "", Err(InvalidDkimName::Selector)),
            ("example.com", "a..b", Err(InvalidDkimName::Selector)),
            ("example.com", "-a", Err(InvalidDkimName::Selector)),
            ("example.com", "s1; t=1", Err(InvalidDkimName::Selector)),
            ("example.com", "s1\r\nX: y", Err(InvalidDkimName::Selector)),
            (&long, &long, Err(InvalidDkimName::TooLong)),
        ] {
            let found = key(domain, selector).map(|key| format!("{}._domainkey.{}", key.selector(), key.domain()));
            assert_eq!(found, name.map(str::to_owned), "{domain:?} {selector:?}");
        }
    }
}
