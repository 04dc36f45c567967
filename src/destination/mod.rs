//! [`Target`]: the server that a check is for; and in [`policy`], which targets the operator allows.

mod address_text;
mod host;
pub mod policy;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::Serialize;
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

pub use address_text::{address_text, socket_address_text};
pub use host::{HostName, host_and_port};

/// The server that a check is for. The name is that of the API's parameter `target`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The addresses of this host.
    Host(HostName),
    /// This address. An IPv4-mapped one is kept as the IPv4 address (RFC 4291, section 2.5.5.2).
    Address(IpAddr),
    /// The mail exchangers of this domain (RFC 5321, section 5.1).
    MxOf(HostName),
    /// One address of a mail exchanger of this domain. Its names are resolved already.
    Exchange(Box<Exchange>),
}

/// One address of a mail exchanger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The domain whose mail it takes.
    pub domain: HostName,
    /// The mail exchanger.
    pub host: HostName,
    /// Its address, in canonical form.
    pub address: IpAddr,
}

impl Target {
    /// The target for the domain part of a mailbox: the mail exchangers of a domain, or the address in an address
    /// literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321, section 4.1.3).
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn of_mail_domain(domain: &str) -> Result<Self, InvalidTarget> {
        let Some(literal) = in_brackets(domain) else {
            return domain.parse().map(Self::MxOf);
        };
        let address = match literal.split_at_checked("IPv6:".len()) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse::<Ipv6Addr>().map(IpAddr::from),
            _ => literal.parse::<Ipv4Addr>().map(IpAddr::from),
        };
        address.map(Self::of_address).map_err(|_| InvalidTarget::AddressLiteral)
    }

    /// The address, where it is the target itself or known with it.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Exchange(exchange) => Some(exchange.address),
            Self::Host(_) | Self::MxOf(_) => None,
        }
    }

    fn of_address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    /// Parses the `target` parameter: a host name (IDN allowed) or an address, IPv6 with or without brackets.
    ///
    /// Every form of an IPv4 address in the URL Standard (`0x7f.1`, `2130706433`, `127.1`, full-width digits) is that
    /// address: system resolvers accept them too, and no form of an address may bypass the policy.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        host::check_syntax(text)?;
        // The usual form, of which the URL Standard makes the same address.
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let literal = in_brackets(text);
        if literal.is_some() || text.contains([':', '[', ']']) {
            return match literal.unwrap_or(text).parse() {
                Ok(address) => Ok(Self::of_address(address)),
                Err(_) => Err(InvalidTarget::Address),
            };
        }
        match url::Host::parse(text) {
            Ok(url::Host::Domain(domain)) => HostName::from_ascii(domain).map(Self::Host),
            Ok(url::Host::Ipv4(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Ipv6(_)) | Err(url::ParseError::InvalidIpv4Address) => Err(InvalidTarget::Address),
            Err(_) => Err(InvalidTarget::Characters),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::MxOf(domain) => write!(f, "the mail servers of {domain}"),
            Self::Exchange(exchange) => write!(f, "{} [{}]", exchange.host, exchange.address),
        }
    }
}

/// The rule that a text breaks. `Display` is the end of a sentence whose subject is the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// White space or a control character.
    #[error("must not contain spaces or control characters")]
    Space,
    /// A percent sign, as before an IPv6 zone or in a percent-encoded URL.
    #[error("must not contain `%`: neither IPv6 zones nor percent-encoding are supported")]
    Percent,
    /// `host:25`.
    #[error("must not contain a port: give it as `port`")]
    Port,
    /// A port such as 0, where a port may follow the host.
    #[error("must have a port from 1 to 65535 after its colon")]
    PortNumber,
    /// A URL, a path or a mail address.
    #[error("must be a host name or an IP address alone, without scheme, user or path")]
    NotAlone,
    /// Looks like an IP address, but is not one.
    #[error("must be a valid IPv4 or IPv6 address, or a host name")]
    Address,
    /// The brackets of an address literal contain no address (RFC 5321, section 4.1.3).
    #[error("must have an IPv4 address in its brackets, or `IPv6:` and an IPv6 address")]
    AddressLiteral,
    /// An address where only a name is allowed.
    #[error("must be a domain name, not an IP address (as an address literal it goes in brackets)")]
    AddressForName,
    /// A character that host names do not have, or a hyphen at the start or end of a label.
    #[error(
        "must be a host name of letters, digits, hyphens and underscores, where no label begins or ends with a hyphen"
    )]
    Characters,
    /// Two dots in a row, or one at the start.
    #[error("must not contain an empty label (two dots in a row, or a dot at the start)")]
    EmptyLabel,
    /// Longer than in DNS (RFC 1035, section 2.3.4).
    #[error("must not be longer than 253 octets, or 63 in one label")]
    TooLong,
}

/// The IP version that a check keeps to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Display, IntoStaticStr, VariantArray, Serialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum IpFamily {
    /// IPv4 and IPv6, in this order.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl IpFamily {
    /// The family of this address.
    pub fn of(address: IpAddr) -> Self {
        if Self::Ipv4.admits(address) { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// Whether a connection to this address is of the family. One to an IPv4-mapped address is an IPv4 connection.
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.to_canonical().is_ipv4(),
            Self::Ipv6 => address.to_canonical().is_ipv6(),
        }
    }
}

fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Target {
        Target::Address(text.parse().expect("an IP address"))
    }

    fn host(text: &str) -> Target {
        Target::Host(text.parse().expect("a host name"))
    }

    #[test]
    fn names_are_lower_case_ascii_without_the_final_dot() {
        for (given, name) in [
            ("mx.example.com", "mx.example.com"),
            ("MX.Example.COM.", "mx.example.com"),
            ("localhost", "localhost"),
            ("_smtp._tcp.my_host.example", "_smtp._tcp.my_host.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER。example。", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("0xbeef.example", "0xbeef.example"),
            ("3com", "3com"),
        ] {
            let target: Target = given.parse().expect(given);
            assert_eq!(target.to_string(), name, "{given}");
            assert!(matches!(target, Target::Host(_)), "{given}");
        }
    }

    #[test]
    fn every_form_of_an_address_is_that_address() {
        for given in [
            "127.0.0.1",
            "127.0.0.1.",
            "[127.0.0.1]",
            "127.1",
            "0x7f.1",
            "0X7F.0.0.0x1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.01",
            "１２７.０.０.１",
            "127。0。0。1",
            "①27.0.0.1",
            "::ffff:127.0.0.1",
            "[::ffff:7f00:1]",
        ] {
            assert_eq!(given.parse(), Ok(address("127.0.0.1")), "{given}");
        }
        for given in ["2001:db8::1", "[2001:db8::1]", "[2001:DB8:0:0::1]"] {
            assert_eq!(given.parse(), Ok(address("2001:db8::1")), "{given}");
        }
    }

    #[test]
    fn invalid_targets_by_their_rules() {
        use InvalidTarget::*;
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}com", "abcdefg.".repeat(32));
        let endless = "a".repeat(1 << 20);
        for (given, rule) in [
            ("", Empty),
            (" ", Space),
            (" mx.example", Space),
            ("mx.example\r\nX", Space),
            ("mx\0.example", Space),
            ("mx\u{3000}example", Space),
            ("fe80::1%eth0", Percent),
            ("[fe80::1%25eth0]", Percent),
            ("%31%32%37.0.0.1", Percent),
            ("mx.example:25", Port),
            ("192.0.2.1:25", Port),
            ("[2001:db8::1]:25", Port),
            ("smtp://mx.example", NotAlone),
            ("mx.example/", NotAlone),
            ("postmaster@mx.example", NotAlone),
            ("mx.example?x", NotAlone),
            ("mx.example#x", NotAlone),
            ("mx\\example", NotAlone),
            ("256.1.1.1", Address),
            ("1.2.3.4.5", Address),
            ("0x100000000", Address),
            ("mx.example.1", Address),
            ("09", Address),
            ("2001:db8::g", Address),
            ("1:2:3:4:5:6:7:8:9", Address),
            ("[2001:db8::1", Address),
            ("2001:db8::1]", Address),
            ("[]", Address),
            ("[0x7f.1]", Address),
            ("[IPv6:2001:db8::1]", Address),
            ("[mx.example]", Address),
            ("mx,example", Characters),
            ("m*x.example", Characters),
            ("mx.exam;ple", Characters),
            ("-mx.example", Characters),
            ("mx-.example", Characters),
            ("mx.example-", Characters),
            ("xn--\u{fc}.example", Characters),
            ("mx／example", Characters),
            ("mx：25", Characters),
            (".", EmptyLabel),
            ("..", EmptyLabel),
            ("mx..example", EmptyLabel),
            (".mx.example", EmptyLabel),
            ("mx.example..", EmptyLabel),
            (&long_label, TooLong),
            (&long_name, TooLong),
            (&endless, TooLong),
        ] {
            let shown: String = given.chars().take(80).collect();
            assert_eq!(given.parse::<Target>(), Err(rule), "{shown}");
        }
    }

    #[test]
    fn the_longest_name_is_accepted() {
        let longest = format!("{}abcde", "abcdefg.".repeat(31));
        assert_eq!(longest.len(), 253);
        assert_eq!(format!("{longest}.").parse(), Ok(host(&longest)));
    }

    #[test]
    fn a_name_is_not_an_address() {
        for given in ["127.0.0.1", "127.1", "[::1]", "::1"] {
            assert_eq!(given.parse::<HostName>(), Err(InvalidTarget::AddressForName), "{given}");
        }
    }

    #[test]
    fn the_domain_of_a_mailbox_is_a_target() {
        let mx_of = |text: &str| Target::MxOf(text.parse().expect("a host name"));
        for (given, target) in [
            ("Example.com", Ok(mx_of("example.com"))),
            ("bücher.example", Ok(mx_of("xn--bcher-kva.example"))),
            ("[192.0.2.1]", Ok(address("192.0.2.1"))),
            ("[IPv6:2001:db8::1]", Ok(address("2001:db8::1"))),
            ("[ipv6:2001:DB8::1]", Ok(address("2001:db8::1"))),
            ("[IPv6:::ffff:192.0.2.1]", Ok(address("192.0.2.1"))),
            ("[2001:db8::1]", Err(InvalidTarget::AddressLiteral)),
            ("[IPv6:192.0.2.1]", Err(InvalidTarget::AddressLiteral)),
            ("[127.1]", Err(InvalidTarget::AddressLiteral)),
            ("[x-tag:abc]", Err(InvalidTarget::AddressLiteral)),
            ("[é:é]", Err(InvalidTarget::AddressLiteral)),
            ("[]", Err(InvalidTarget::AddressLiteral)),
            ("192.0.2.1", Err(InvalidTarget::AddressForName)),
            ("", Err(InvalidTarget::Empty)),
        ] {
            assert_eq!(Target::of_mail_domain(given), target, "{given}");
        }
    }

    #[test]
    fn families_admit_by_canonical_address() {
        let [v4, v6, mapped] = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"].map(|ip| ip.parse().expect("an IP"));
        for (family, admitted) in [
            (IpFamily::Any, [true, true, true]),
            (IpFamily::Ipv4, [true, false, true]),
            (IpFamily::Ipv6, [false, true, false]),
        ] {
            assert_eq!([v4, v6, mapped].map(|ip| family.admits(ip)), admitted);
        }
    }

    proptest! {
        #[test]
        fn display_parses_to_the_same_target(text in r"\PC{1,40}|[a-z0-9.\-_:\[\]x]{1,30}") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse(), Ok(target));
            }
        }

        #[test]
        fn a_host_name_has_no_special_characters(text in r"\PC{1,80}|[a-z0-9.\-_]{1,300}") {
            if let Ok(Target::Host(name)) = text.parse() {
                let name = name.as_str();
                prop_assert!(name.len() <= 253);
                prop_assert!(name.split('.').all(|label| (1..=63).contains(&label.len())));
                prop_assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')));
                prop_assert!(name.parse::<IpAddr>().is_err());
            }
        }

        #[test]
        fn every_number_is_an_ipv4_address(bits: u32) {
            let expected = Target::Address(Ipv4Addr::from(bits).into());
            for spelling in [format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}")] {
                prop_assert_eq!(spelling.parse::<Target>(), Ok(expected.clone()));
            }
        }
    }
}
