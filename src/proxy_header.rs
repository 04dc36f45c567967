//! [`ProxyHeader`]: the header of the PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`, sections 2.1
//! and 2.2).

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// Longest version 1 line, in octets, CR LF included (section 2.1).
pub const MAX_V1_SIZE: usize = 107;

/// The signature of version 2, with which no other protocol begins (section 2.2).
const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const V2_VERSION_AND_COMMAND: u8 = 0x21;

/// The address family in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum ProxyFamily {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

impl ProxyFamily {
    /// The word in a version 1 line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether an address is of this family.
    pub fn is_of(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::Tcp4)
    }

    /// The address in this family: IPv4 becomes IPv4-mapped in TCP6; in TCP4 there is no form for IPv6.
    fn convert(self, address: IpAddr) -> Option<IpAddr> {
        match (self, address) {
            (Self::Tcp6, IpAddr::V4(v4)) => Some(v4.to_ipv6_mapped().into()),
            (Self::Tcp4, IpAddr::V6(v6)) => v6.to_ipv4_mapped().map(IpAddr::V4),
            (_, address) => Some(address),
        }
    }
}

/// An address in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyAddress {
    /// The address of the connection.
    OfConnection,
    /// An address of the header's family.
    Ip(IpAddr),
    /// Any text without white space and control characters, to test how a server handles it. Version 1 only.
    Verbatim(String),
}

/// The contents of the header. What is left out comes from the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// True for the binary version 2.
    pub is_v2: bool,
    /// The address family.
    pub family: ProxyFamily,
    /// The source address that the header claims.
    pub source: ProxyAddress,
    /// The destination address that the header claims.
    pub destination: ProxyAddress,
    /// The source port; `None` is that of the connection.
    pub source_port: Option<u16>,
    /// The destination port.
    pub destination_port: u16,
}

/// Why a header cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The connection is IPv6 and the family TCP4.
    #[error("the connection is IPv6, and proxy_family TCP4 has no form for its {0}; give {0}, or proxy_family TCP6")]
    NoForm(&'static str),
    /// Over [`MAX_V1_SIZE`].
    #[error(
        "the PROXY line has {0} octets, and version 1 allows {MAX_V1_SIZE}; shorten proxy_source_address or proxy_dest_address"
    )]
    TooLong(usize),
    /// Text where version 2 takes an address.
    #[error("{0} must be an IP address of the family with proxy_version 2")]
    NotAnAddress(&'static str),
}

const SOURCE: &str = "proxy_source_address";
const DESTINATION: &str = "proxy_dest_address";

impl ProxyHeader {
    /// The octets to send on a connection from `local` to `peer`.
    ///
    /// # Errors
    /// An address has no form in this version and family, or the version 1 line is too long.
    pub fn encode(&self, local: SocketAddr, peer: SocketAddr) -> Result<Vec<u8>, ProxyHeaderError> {
        let source = self.resolve(&self.source, local, SOURCE)?;
        let destination = self.resolve(&self.destination, peer, DESTINATION)?;
        let source_port = self.source_port.unwrap_or(local.port());
        if self.is_v2 {
            let addresses = self.ip_addresses(&source, &destination)?;
            Ok(encode_v2(addresses, source_port, self.destination_port))
        } else {
            self.encode_v1(&source, &destination, source_port)
        }
    }

    /// The length in octets of the shortest version 1 line, whatever the addresses of the connection are.
    pub fn shortest_v1_line(&self) -> usize {
        let shortest = |address: &ProxyAddress| match address {
            ProxyAddress::OfConnection if self.family == ProxyFamily::Tcp4 => "0.0.0.0".len(),
            ProxyAddress::OfConnection => "::".len(),
            ProxyAddress::Ip(ip) => ip.to_string().len(),
            ProxyAddress::Verbatim(text) => text.len(),
        };
        let ports = self.source_port.map_or(1, |port| port.to_string().len()) + self.destination_port.to_string().len();
        "PROXY TCP4    \r\n".len() + shortest(&self.source) + shortest(&self.destination) + ports
    }

    fn resolve(
        &self,
        address: &ProxyAddress,
        own: SocketAddr,
        parameter: &'static str,
    ) -> Result<ProxyAddress, ProxyHeaderError> {
        match address {
            ProxyAddress::OfConnection => {
                self.family.convert(own.ip()).map(ProxyAddress::Ip).ok_or(ProxyHeaderError::NoForm(parameter))
            }
            given => Ok(given.clone()),
        }
    }

    fn encode_v1(
        &self,
        source: &ProxyAddress,
        destination: &ProxyAddress,
        source_port: u16,
    ) -> Result<Vec<u8>, ProxyHeaderError> {
        let (family, destination_port) = (self.family.name(), self.destination_port);
        let line =
            format!("PROXY {family} {} {} {source_port} {destination_port}\r\n", text(source), text(destination));
        if line.len() > MAX_V1_SIZE { Err(ProxyHeaderError::TooLong(line.len())) } else { Ok(line.into_bytes()) }
    }

    fn ip_addresses(
        &self,
        source: &ProxyAddress,
        destination: &ProxyAddress,
    ) -> Result<(IpAddr, IpAddr), ProxyHeaderError> {
        let ip = |address: &ProxyAddress, parameter| match address {
            ProxyAddress::Ip(ip) if self.family.is_of(*ip) => Ok(*ip),
            _ => Err(ProxyHeaderError::NotAnAddress(parameter)),
        };
        Ok((ip(source, SOURCE)?, ip(destination, DESTINATION)?))
    }
}

fn text(address: &ProxyAddress) -> String {
    match address {
        // Rust writes `::ffff:192.0.2.1`; the specification allows any form of the address.
        ProxyAddress::Ip(ip) => ip.to_string(),
        ProxyAddress::Verbatim(text) => text.clone(),
        ProxyAddress::OfConnection => String::new(),
    }
}

fn encode_v2((source, destination): (IpAddr, IpAddr), source_port: u16, destination_port: u16) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    // The length of two addresses and two ports.
    let (family_and_transport, length) = if source.is_ipv4() { (0x11, 12_u16) } else { (0x21, 36) };
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([V2_VERSION_AND_COMMAND, family_and_transport]);
    header.extend(length.to_be_bytes());
    header.extend(octets(source));
    header.extend(octets(destination));
    header.extend(source_port.to_be_bytes());
    header.extend(destination_port.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_header::{ParseConfig, ProxyHeader as Parsed};

    use super::*;

    fn header(family: ProxyFamily, source: ProxyAddress, destination: ProxyAddress) -> ProxyHeader {
        ProxyHeader { is_v2: false, family, source, destination, source_port: None, destination_port: 25 }
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn v1(header: &ProxyHeader, local: &str, peer: &str) -> Result<String, ProxyHeaderError> {
        header.encode(socket(local), socket(peer)).map(|octets| String::from_utf8(octets).expect("ASCII"))
    }

    #[test]
    fn version_1_lines() {
        use ProxyAddress::*;
        use ProxyFamily::*;
        let verbatim = |text: &str| Verbatim(text.to_owned());
        let (v4, v6) = (("127.0.0.1:4000", "127.0.0.9:25"), ("[::1]:4000", "[::2]:25"));
        for (header, (local, peer), line) in [
            (header(Tcp4, OfConnection, OfConnection), v4, Ok("PROXY TCP4 127.0.0.1 127.0.0.9 4000 25\r\n")),
            (header(Tcp6, OfConnection, OfConnection), v6, Ok("PROXY TCP6 ::1 ::2 4000 25\r\n")),
            (
                header(Tcp6, OfConnection, OfConnection),
                v4,
                Ok("PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.9 4000 25\r\n"),
            ),
            (header(Tcp4, OfConnection, OfConnection), v6, Err(ProxyHeaderError::NoForm(SOURCE))),
            (header(Tcp4, verbatim("x"), OfConnection), v6, Err(ProxyHeaderError::NoForm(DESTINATION))),
            (header(Tcp4, verbatim("nonsense"), verbatim("::1")), v6, Ok("PROXY TCP4 nonsense ::1 4000 25\r\n")),
            (header(Tcp4, verbatim(&"x".repeat(80)), OfConnection), v4, Err(ProxyHeaderError::TooLong(111))),
        ] {
            assert_eq!(v1(&header, local, peer), line.map(str::to_owned));
        }
        let ports =
            ProxyHeader { source_port: Some(0), destination_port: 65535, ..header(Tcp4, OfConnection, OfConnection) };
        assert_eq!(v1(&ports, v4.0, v4.1).as_deref(), Ok("PROXY TCP4 127.0.0.1 127.0.0.9 0 65535\r\n"));
    }

    #[test]
    fn version_2_takes_addresses_only() {
        let verbatim = ProxyAddress::Verbatim("x".to_owned());
        let header = ProxyHeader { is_v2: true, ..header(ProxyFamily::Tcp4, verbatim, ProxyAddress::OfConnection) };
        assert_eq!(
            header.encode(socket("127.0.0.1:1"), socket("127.0.0.1:25")),
            Err(ProxyHeaderError::NotAnAddress(SOURCE))
        );
    }

    #[test]
    fn the_shortest_line_is_a_lower_bound() {
        let at_limit =
            |octets| header(ProxyFamily::Tcp4, ProxyAddress::Verbatim("x".repeat(octets)), ProxyAddress::OfConnection);
        assert_eq!(at_limit(81).shortest_v1_line(), MAX_V1_SIZE);
    }

    proptest! {
        /// Another implementation parses what was written, in both versions and families.
        #[test]
        fn another_implementation_parses_the_header(
            is_v2: bool, v6: bool, a: [u8; 16], b: [u8; 16], source_port: u16, destination_port: u16,
        ) {
            let ip = |octets: [u8; 16]| match octets {
                [a, b, c, d, ..] if !v6 => IpAddr::from([a, b, c, d]),
                _ => IpAddr::from(octets),
            };
            let header = ProxyHeader {
                is_v2,
                family: if v6 { ProxyFamily::Tcp6 } else { ProxyFamily::Tcp4 },
                source: ProxyAddress::Ip(ip(a)),
                destination: ProxyAddress::Ip(ip(b)),
                source_port: Some(source_port),
                destination_port,
            };
            let octets = header.encode(socket("127.0.0.1:1"), socket("127.0.0.1:25")).expect("a header");
            if !is_v2 {
                prop_assert!(octets.len() >= header.shortest_v1_line());
            }
            let (parsed, length) = Parsed::parse(&octets, ParseConfig::default()).expect("parses");
            prop_assert_eq!(length, octets.len());
            let addresses = parsed.proxied_address().expect("addresses");
            prop_assert_eq!(addresses.source, SocketAddr::new(ip(a), source_port));
            prop_assert_eq!(addresses.destination, SocketAddr::new(ip(b), destination_port));
        }
    }
}
