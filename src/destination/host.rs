//! [`HostName`]: a host name in the one form that goes to DNS, to TLS and into reports.

use std::{fmt, str::FromStr};

use super::{InvalidTarget, Target};

/// A DNS name: A-labels (RFC 5890) in lower case, no dot at the end, never an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks what [`url::Host::parse`] took for a domain, which allows more than a host name.
    pub(super) fn from_ascii(mut domain: String) -> Result<Self, InvalidTarget> {
        if domain.ends_with('.') {
            domain.pop();
        }
        if domain.len() > MAX_NAME_SIZE {
            return Err(InvalidTarget::TooLong);
        }
        domain.split('.').try_for_each(check_label)?;
        Ok(Self(domain))
    }
}

impl FromStr for HostName {
    type Err = InvalidTarget;

    /// Parses a host name (IDN allowed). A text that [`Target`] parses as an IP address is not one.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        match text.parse()? {
            Target::Host(name) => Ok(name),
            Target::Address(_) | Target::MxOf(_) | Target::Exchange(_) => Err(InvalidTarget::AddressForName),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Longest name without the dot of the root, in octets (RFC 1035, section 2.3.4: 255 octets on the wire).
const MAX_NAME_SIZE: usize = 253;
/// Longest label, in octets (RFC 1035, section 2.3.4).
const MAX_LABEL_SIZE: usize = 63;

/// Longest text that is given to the IDNA code, in octets. No real name of 253 octets is longer in Unicode.
const MAX_INPUT_SIZE: usize = 1024;

/// Rejects, each with its own rule, texts that are not a host alone, and those that [`url::Host::parse`] would
/// interpret differently.
pub(super) fn check_syntax(text: &str) -> Result<(), InvalidTarget> {
    if text.is_empty() {
        return Err(InvalidTarget::Empty);
    }
    if text.len() > MAX_INPUT_SIZE {
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

/// Splits `host[:port]` into the host, to be parsed as a [`Target`], and the port. An IPv6 address needs brackets if a
/// port follows.
///
/// # Errors
/// The port is not from 1 to 65535.
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

/// Letters, digits and hyphens (RFC 1123, section 2.1), and the underscore, which some hosts have in their names.
fn check_label(label: &str) -> Result<(), InvalidTarget> {
    if label.is_empty() {
        return Err(InvalidTarget::EmptyLabel);
    }
    if label.len() > MAX_LABEL_SIZE {
        return Err(InvalidTarget::TooLong);
    }
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !label.bytes().all(is_allowed) || label.starts_with('-') || label.ends_with('-') {
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
            // These are rejected when the host is parsed.
            ("mx:smtp", Ok(("mx:smtp", None))),
            ("mx:", Ok(("mx:", None))),
            ("mx:25:25", Ok(("mx:25:25", None))),
        ] {
            assert_eq!(host_and_port(text), parts, "{text}");
        }
    }
}
