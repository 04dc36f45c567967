//! One URI of `rua`.

use std::{fmt, str::FromStr};

/// Where a report is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The mail address, with the parts of the URI that follow it.
    Mailto(String),
    /// The URI without its scheme.
    Https(String),
}

/// Why a URI is no endpoint (RFC 8460, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// Nothing between two commas.
    #[error("it is empty")]
    Empty,
    /// Another scheme, or none.
    #[error("its scheme is neither mailto nor https")]
    Scheme,
    /// `mailto:` without a mail address.
    #[error("it has no mail address")]
    NoAddress,
    /// `https:` without a host.
    #[error("it has no host")]
    NoHost,
    /// Commas and semicolons end the URI before they can be seen here.
    #[error("\"!\" must be written %21")]
    ExclamationMark,
    /// Not a URI (RFC 3986).
    #[error("it has an octet that a URI cannot have")]
    Syntax,
}

impl FromStr for Endpoint {
    type Err = EndpointFault;

    fn from_str(text: &str) -> Result<Self, EndpointFault> {
        let is_allowed = |octet: u8| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet);
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match text {
            "" => Err(EndpointFault::Empty),
            _ if text.contains('!') => Err(EndpointFault::ExclamationMark),
            _ if !text.bytes().all(is_allowed) => Err(EndpointFault::Syntax),
            _ if scheme.eq_ignore_ascii_case("mailto") => {
                let address = rest.split('?').next().unwrap_or_default();
                let is_address = address
                    .rsplit_once('@')
                    .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.starts_with('.'));
                is_address.then(|| Self::Mailto(rest.to_owned())).ok_or(EndpointFault::NoAddress)
            }
            _ if scheme.eq_ignore_ascii_case("https") => {
                let host = rest.strip_prefix("//").map(|rest| rest.split(['/', '?', '#', ':']).next().unwrap_or(rest));
                let has_host = host.is_some_and(|host| !host.is_empty());
                has_host.then(|| Self::Https(rest.to_owned())).ok_or(EndpointFault::NoHost)
            }
            _ => Err(EndpointFault::Scheme),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailto(address) => write!(f, "mailto:{address}"),
            Self::Https(rest) => write!(f, "https:{rest}"),
        }
    }
}
