//! The name of a host, in the one spelling that goes to DNS, to TLS and into reports.

use std::{fmt, str::FromStr};

use super::{InvalidTarget, Target};

/// A DNS name: A-labels in lower case, no dot at the end, never an IP address. Made by parsing only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name out of what [`url::Host::parse`] took for a domain: that is more than a host name may be.
    pub(super) fn from_ascii(mut domain: String) -> Result<Self, InvalidTarget> {
        if domain.ends_with('.') {
            domain.pop();
        }
        if domain.len() > MAX_NAME {
            return Err(InvalidTarget::TooLong);
        }
        domain.split('.').try_for_each(check_label)?;
        Ok(Self(domain))
    }
}

impl FromStr for HostName {
    type Err = InvalidTarget;

    /// Reads a host name (IDN allowed). Whatever would be read as an IP address is none.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        match text.parse()? {
            Target::Host(name) => Ok(name),
            Target::Address(_) | Target::MxOf(_) => Err(InvalidTarget::AddressForName),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Without the dot of the root (RFC 1035, section 2.3.4: 255 octets on the wire).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// No name of 253 octets has a longer spelling in Unicode that anybody would write; the IDNA code sees no more than this.
const MAX_TEXT: usize = 1024;

/// Refuses, each by its own rule, what never belongs to a host and what [`url::Host::parse`] would read in a sense of its own.
pub(super) fn screen(text: &str) -> Result<(), InvalidTarget> {
    if text.is_empty() {
        return Err(InvalidTarget::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(InvalidTarget::TooLong);
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(InvalidTarget::Space);
    }
    if text.contains('%') {
        return Err(InvalidTarget::Percent);
    }
    if text.contains(['/', '\\', '?', '#', '@']) {
        return Err(InvalidTarget::NotAlone);
    }
    match host_and_port(text) {
        Ok((_, None)) => Ok(()),
        _ => Err(InvalidTarget::Port),
    }
}

/// The two of `host[:port]`: the host as it was written, to be read as a [`Target`], and the port. An IPv6 address takes brackets
/// where a port follows; alone it may go without.
///
/// # Errors
/// The port is none.
pub fn host_and_port(text: &str) -> Result<(&str, Option<u16>), InvalidTarget> {
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => {
            let port = port.parse().ok().filter(|port| *port != 0).ok_or(InvalidTarget::PortNumber)?;
            Ok((host, Some(port)))
        }
        _ => Ok((text, None)),
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters, digits and hyphens (RFC 1123, section 2.1), and the underscore, which is no part of host names and found in them.
fn check_label(label: &str) -> Result<(), InvalidTarget> {
    if label.is_empty() {
        return Err(InvalidTarget::EmptyLabel);
    }
    if label.len() > MAX_LABEL {
        return Err(InvalidTarget::TooLong);
    }
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !label.bytes().all(known) || label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidTarget::Characters);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_follow_a_host() {
        for (text, parts) in [
            ("mx.example.com", Ok(("mx.example.com", None))),
            ("mx.example.com:587", Ok(("mx.example.com", Some(587)))),
            ("192.0.2.1:25", Ok(("192.0.2.1", Some(25)))),
            ("[2001:db8::1]:25", Ok(("[2001:db8::1]", Some(25)))),
            ("[2001:db8::1]", Ok(("[2001:db8::1]", None))),
            ("2001:db8::1", Ok(("2001:db8::1", None))),
            ("mx:0", Err(InvalidTarget::PortNumber)),
            ("mx:65536", Err(InvalidTarget::PortNumber)),
            ("[::1]:99999999999999999999", Err(InvalidTarget::PortNumber)),
            // Left to whoever reads the host.
            ("mx:smtp", Ok(("mx:smtp", None))),
            ("mx:", Ok(("mx:", None))),
            ("mx:25:25", Ok(("mx:25:25", None))),
        ] {
            assert_eq!(host_and_port(text), parts, "{text}");
        }
    }
}
