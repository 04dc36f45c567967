//! [`CertificateFacts`]: what a report shows of a certificate, and how much of it.

use std::collections::HashSet;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::algorithm;

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
    /// The first moment at which the certificate is valid; null if it cannot be read.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// `not_before` as it is written in the certificate, such as `260101000000Z`.
    #[schema(example = "260101000000Z")]
    pub not_before_as_written: String,
    /// The last moment at which the certificate is valid; null if it cannot be read.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_after: Option<OffsetDateTime>,
    /// `not_after` as it is written in the certificate.
    #[schema(example = "270101000000Z")]
    pub not_after_as_written: String,
    /// The serial number in lower-case hex, two digits a byte, no colons.
    pub serial: String,
    /// SHA-256 of the whole certificate in lower-case hex, no colons.
    pub fingerprint_sha256: String,
    /// The public key's algorithm and size, such as `RSA 2048` or `ECDSA P-256`; `unreadable` if it cannot be read.
    pub key: String,
    /// The algorithm of the issuer's signature, such as `RSA with SHA-256`; `unreadable` if it cannot be read.
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

    /// Whether the signature is by a hash that can be forged: MD2, MD5 or SHA-1.
    pub fn is_weakly_signed(&self) -> bool {
        algorithm::is_weak(&self.signature_algorithm)
    }

    /// Shortens what the certificates of a chain say, and the chain, unless they have at most [`MAX_FACTS_SIZE`].
    /// Returns how many texts, names and certificates are cut or left out.
    pub fn shorten(chain: &mut Vec<Self>) -> usize {
        if chain.iter().map(Self::size).sum::<usize>() <= MAX_FACTS_SIZE {
            return 0;
        }
        let mut cut = Self::leave_out(chain, Self::MAX_CERTIFICATES);
        for facts in &mut *chain {
            cut += facts.names.len().saturating_sub(Self::MAX_NAMES);
            facts.names.truncate(Self::MAX_NAMES);
            let texts = [
                &mut facts.subject,
                &mut facts.issuer,
                &mut facts.not_before_as_written,
                &mut facts.not_after_as_written,
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

    /// Leaves out certificates, the last first, until there are `most`. Returns how many. Those stay that the metrics
    /// go by: the server's own, those on the path, and the first to expire.
    pub fn leave_out(chain: &mut Vec<Self>, most: usize) -> usize {
        let length = chain.len();
        let first_to_expire = (0..length).filter(|index| chain[*index].not_after.is_some());
        let first_to_expire = first_to_expire.min_by_key(|index| chain[*index].not_after);
        // A server can send a certificate of the path many times.
        let mut known = HashSet::new();
        let is_needed: Vec<_> = chain
            .iter()
            .enumerate()
            .map(|(index, facts)| {
                let is_of_path = facts.on_path && known.insert(facts.fingerprint_sha256.clone());
                index == 0 || is_of_path || Some(index) == first_to_expire
            })
            .collect();
        for index in (0..length).rev().filter(|index| !is_needed[*index]) {
            if chain.len() <= most {
                break;
            }
            chain.remove(index);
        }
        length - chain.len()
    }

    /// Leaves out the second half of the names. Returns how many.
    pub fn halve_names(&mut self) -> usize {
        let length = self.names.len();
        self.names.truncate(length / 2);
        length - self.names.len()
    }

    /// Bytes in memory, about: no fewer than those of the texts.
    pub(crate) fn size(&self) -> usize {
        let texts = [
            &self.subject,
            &self.issuer,
            &self.not_before_as_written,
            &self.not_after_as_written,
            &self.serial,
            &self.key,
            &self.signature_algorithm,
        ];
        let texts: usize = texts.into_iter().chain(&self.names).map(|text| size_of::<String>() + text.len()).sum();
        size_of::<Self>() + texts
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn facts(number: u8, on_path: bool) -> CertificateFacts {
        CertificateFacts {
            subject: format!("CN={number}"),
            issuer: "x".repeat(1000),
            names: Vec::new(),
            not_before: None,
            not_before_as_written: String::new(),
            not_after: Some(datetime!(2030-01-01 0:00 UTC)),
            not_after_as_written: String::new(),
            serial: String::new(),
            fingerprint_sha256: number.to_string(),
            key: String::new(),
            signature_algorithm: String::new(),
            on_path,
        }
    }

    #[test]
    fn what_the_metrics_go_by_is_never_left_out() {
        let mut chain: Vec<_> = (0..60).map(|number| facts(number, [0, 40, 50].contains(&number))).collect();
        chain[45].not_after = Some(datetime!(2020-01-01 0:00 UTC));
        // Copies of a certificate of the path.
        chain.extend((0..60).map(|_| facts(50, true)));
        assert!(CertificateFacts::shorten(&mut chain) > 0);
        let left: Vec<_> = chain.iter().map(|facts| facts.subject.trim_start_matches("CN=")).collect();
        let first: Vec<_> = (0..13).map(|number: u8| number.to_string()).collect();
        assert_eq!(left[..13], first);
        assert_eq!(left[13..], ["40", "45", "50"]);
        CertificateFacts::leave_out(&mut chain, 1);
        let left: Vec<_> = chain.iter().map(|facts| facts.subject.as_str()).collect();
        assert_eq!(left, ["CN=0", "CN=40", "CN=45", "CN=50"]);
    }
}
