//! Patterns of MX hosts in a policy (RFC 8461, sections 3.2 and 4.1).

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Serialize, Serializer};

/// A name, or all names with one label before it: `["*."] Domain`. In lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    is_wildcard: bool,
    domain: String,
}

/// Why a value is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// No name at all.
    #[error("it is empty")]
    Empty,
    /// An IP address, with or without brackets.
    #[error("it is an address")]
    Address,
    /// A scheme and slashes.
    #[error("it is a URL")]
    Url,
    /// With an `@`.
    #[error("it is a mail address")]
    MailAddress,
    /// A `*` elsewhere, or with other characters in its label.
    #[error("\"*\" must be the whole leftmost label")]
    Wildcard,
    /// The form of an early draft for a wildcard.
    #[error("it begins with a dot")]
    LeadingDot,
    /// As in a zone file.
    #[error("it ends with a dot")]
    TrailingDot,
    /// An internationalized name must be written in A-labels.
    #[error("it is not in ASCII")]
    NotAscii,
    /// Not a domain name of RFC 5321, section 4.1.2.
    #[error("it is no domain name")]
    Syntax,
}

impl Pattern {
    /// The pattern that matches this host only; `None` if the name is no host name.
    pub fn exact(host: &str) -> Option<Self> {
        host.trim_end_matches('.').parse().ok().filter(|pattern: &Self| !pattern.is_wildcard)
    }

    /// Whether a host is allowed: the wildcard stands for one whole label.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match self.is_wildcard {
            true => host.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, parent)| parent),
            false => Some(host),
        };
        host.is_some_and(|host| host.eq_ignore_ascii_case(&self.domain))
    }
}

impl FromStr for Pattern {
    type Err = PatternFault;

    fn from_str(text: &str) -> Result<Self, PatternFault> {
        const MAX_SIZE: usize = 253;
        let (is_wildcard, domain) = match text.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, text),
        };
        let bare = domain.trim_start_matches('[').trim_end_matches(']');
        match domain {
            "" => Err(PatternFault::Empty),
            _ if !text.is_ascii() => Err(PatternFault::NotAscii),
            _ if bare.parse::<IpAddr>().is_ok() => Err(PatternFault::Address),
            _ if domain.contains("//") => Err(PatternFault::Url),
            _ if domain.contains('@') => Err(PatternFault::MailAddress),
            _ if domain.contains('*') => Err(PatternFault::Wildcard),
            _ if domain.starts_with('.') => Err(PatternFault::LeadingDot),
            _ if domain.ends_with('.') => Err(PatternFault::TrailingDot),
            _ if domain.len() > MAX_SIZE || !domain.split('.').all(is_label) => Err(PatternFault::Syntax),
            _ => Ok(Self { is_wildcard, domain: domain.to_ascii_lowercase() }),
        }
    }
}

/// `Let-dig [Ldh-str]` (RFC 5321, section 4.1.2).
fn is_label(label: &str) -> bool {
    const MAX_SIZE: usize = 63;
    (1..=MAX_SIZE).contains(&label.len())
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.domain)
    }
}

/// As it is written in the policy.
impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
