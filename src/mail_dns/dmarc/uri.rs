//! Address for reports: a URI of `rua` or `ruf` (RFC 9989, section 4.6).

use crate::mail_dns::lookups::is_domain_name;

/// Longest URI that is read, in octets.
const MAX_URI: usize = 2048;

/// An address for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportUri {
    /// As it is published, without a size.
    pub uri: String,
    /// In lower case.
    pub scheme: String,
    /// The destination host in lower case: the domain of a mailbox, or the host of another URI.
    pub host: Option<String>,
    /// The obsolete limit of size behind `!` (RFC 9989, section 4.8).
    pub size: Option<String>,
}

/// Why an address for reports cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriFault {
    /// Nothing between two commas.
    #[error("an empty address for reports")]
    Empty,
    /// A mailbox without `mailto:` is the usual mistake.
    #[error("an address for reports without \"mailto:\"")]
    NoScheme,
    /// What is before the colon is no scheme (RFC 3986, section 3.1).
    #[error("an address for reports with a malformed scheme")]
    Scheme,
    /// No `local@domain` after `mailto:`.
    #[error("an address for reports without a mailbox")]
    Mailbox,
    /// The host is no domain name.
    #[error("an address for reports with a malformed host")]
    Host,
    /// An octet that a URI must not have (RFC 3986, section 2).
    #[error("an address for reports with octet 0x{0:02x}")]
    Octet(u8),
    /// What is after `!` is no size (RFC 9989, section 4.8).
    #[error("an address for reports with a malformed size")]
    Size,
    /// A limit of this program.
    #[error("an address for reports of more than {MAX_URI} octets")]
    TooLong,
}

impl ReportUri {
    /// Reads one URI, without white space around it.
    pub(super) fn parse(text: &str) -> Result<Self, UriFault> {
        if text.is_empty() {
            return Err(UriFault::Empty);
        }
        if text.len() > MAX_URI {
            return Err(UriFault::TooLong);
        }
        if let Some(octet) = text.bytes().find(|&octet| !is_uri_octet(octet)) {
            return Err(UriFault::Octet(octet));
        }
        let (uri, size) = match text.split_once('!') {
            Some((uri, size)) if is_size(size) => (uri, Some(size.to_ascii_lowercase())),
            Some(_) => return Err(UriFault::Size),
            None => (text, None),
        };
        let (scheme, rest) = uri.split_once(':').ok_or(UriFault::NoScheme)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'));
        if !is_scheme {
            return Err(UriFault::Scheme);
        }
        let scheme = scheme.to_ascii_lowercase();
        let host = match scheme.as_str() {
            "mailto" => Some(mailbox_host(rest)?),
            _ => rest.strip_prefix("//").map(authority_host).transpose()?,
        };
        Ok(Self { uri: uri.to_owned(), scheme, host, size })
    }
}

/// Characters of RFC 3986, section 2, and `!`, which is looked at apart.
fn is_uri_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&octet)
}

fn is_size(size: &str) -> bool {
    let digits = size.trim_end_matches(|c: char| "kmgtKMGT".contains(c));
    size.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The domain of `local@domain`, header fields after `?` left out (RFC 6068, section 2).
fn mailbox_host(rest: &str) -> Result<String, UriFault> {
    let mailbox = rest.split('?').next().unwrap_or_default();
    let (local, domain) = mailbox.rsplit_once('@').ok_or(UriFault::Mailbox)?;
    if local.is_empty() || local.contains('@') {
        return Err(UriFault::Mailbox);
    }
    host(domain)
}

/// The host of an authority, without user and port (RFC 3986, section 3.2).
fn authority_host(rest: &str) -> Result<String, UriFault> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = authority.rsplit_once('@').map_or(authority, |(_, name)| name);
    let name = match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => name,
    };
    host(name)
}

fn host(name: &str) -> Result<String, UriFault> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_host = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'));
    if is_host && is_domain_name(name) { Ok(name.to_ascii_lowercase()) } else { Err(UriFault::Host) }
}
