//! [`SourceAddresses`]: the addresses that checks may connect from.

use std::net::IpAddr;

use super::{CheckRequest, Invalid};
use crate::destination::{IpFamily, Target};

/// The addresses that a check may connect from, besides the system's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddresses {
    /// Any address of this machine.
    Any,
    /// The operator's list.
    Listed(Vec<IpAddr>),
}

impl SourceAddresses {
    /// Reads an address, with or without the brackets of IPv6, as one that a connection can come from.
    ///
    /// # Errors
    /// The rule that the text breaks, as the end of a sentence.
    pub fn parse(text: &str) -> Result<IpAddr, &'static str> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address = bare.parse::<IpAddr>().map_err(|_| "must be an IPv4 or IPv6 address")?.to_canonical();
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || is_broadcast {
            return Err("must be an address of one machine: not unspecified, multicast or broadcast");
        }
        Ok(address)
    }

    fn admit(&self, text: &str) -> Result<IpAddr, &'static str> {
        let address = Self::parse(text)?;
        match self {
            Self::Listed(addresses) if !addresses.contains(&address) => {
                Err("is none of the addresses that the operator allows (--source-address)")
            }
            _ => Ok(address),
        }
    }

    /// The address that the request asks for. It must be of the family that `ip_family` or a literal target asks for.
    pub(super) fn of_request(
        &self,
        request: &CheckRequest,
        target: Option<&Target>,
        invalid: &mut Invalid,
    ) -> Option<IpAddr> {
        const NAME: &str = "source_address";
        let address = invalid.parsed(NAME, self.admit(request.source_address.as_deref()?))?;
        let (family, asked) = (IpFamily::of(address), request.ip_family.unwrap_or_default());
        if !asked.admits(address) {
            invalid.add(NAME, format_args!("is an address of {family}, and `ip_family` is {asked}"));
        } else if let Some(Target::Address(target)) = target
            && !family.admits(*target)
        {
            let detail = format_args!("is an address of {family}, and the target is an address of the other family");
            invalid.add(NAME, detail);
        }
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_one_machine_is_a_source() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("127.0.0.2", Some("127.0.0.2")),
            ("", None),
            ("localhost", None),
            ("192.0.2.1:25", None),
            ("192.0.2.0/24", None),
            ("fe80::1%eth0", None),
            ("0.0.0.0", None),
            ("::", None),
            ("224.0.0.1", None),
            ("ff02::1", None),
            ("255.255.255.255", None),
        ] {
            let expected = address.map(|address| address.parse::<IpAddr>().expect("an address"));
            assert_eq!(SourceAddresses::parse(text).ok(), expected, "{text}");
        }
    }
}
