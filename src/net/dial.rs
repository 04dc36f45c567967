//! TCP to an address that the policy has admitted, and to no other.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use tokio::net::TcpStream;

use crate::target::policy::Admitted;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens, or a firewall says so.
    #[error("connection refused")]
    Refused,
    /// No route, or none that may be taken.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// The system gave up waiting.
    #[error("no answer to the connection attempt")]
    TimedOut,
    /// The connection was reset at once.
    #[error("the server closed the connection at once")]
    Closed,
    /// This machine has no file descriptor or no local port left: the check could not run at all.
    #[error("out of sockets: {0}")]
    OutOfSockets(io::Error),
}

impl DialError {
    /// `EADDRNOTAVAIL` means that no local port is left, or that there is no local address to connect from, as where a machine
    /// has no IPv6. The one is this machine's trouble, the other says that the address is out of its reach.
    fn new(error: io::Error, has_source: impl FnOnce() -> bool) -> Self {
        if error.kind() == io::ErrorKind::AddrNotAvailable && !has_source() {
            return Self::Unreachable(error);
        }
        error.into()
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind;
        use nix::errno::Errno;
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            (_, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRNOTAVAIL)) => {
                Self::OutOfSockets(error)
            }
            (ErrorKind::ConnectionRefused, _) => Self::Refused,
            (ErrorKind::TimedOut, _) => Self::TimedOut,
            (ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted, _) => Self::Closed,
            _ => Self::Unreachable(error),
        }
    }
}

/// Connects. The caller bounds the time.
///
/// # Errors
/// Why there is no connection.
pub async fn dial(address: Admitted) -> Result<TcpStream, DialError> {
    let address = address.socket_addr();
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| DialError::new(error, || has_source_for(address)))?;
    // Nagle's algorithm against the peer's delayed ACK costs 40 ms in the middle of a TLS handshake, and would be measured.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether this machine has an address from which to reach that one. To connect a UDP socket is to ask the routing table: it needs
/// no TCP port and sends nothing.
fn has_source_for(address: SocketAddr) -> bool {
    let unspecified: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match UdpSocket::bind((unspecified, 0)).and_then(|socket| socket.connect(address)) {
        Ok(()) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_local_address_a_target_is_unreachable() {
        let none_available = || io::Error::from(nix::errno::Errno::EADDRNOTAVAIL);
        assert!(matches!(DialError::new(none_available(), || false), DialError::Unreachable(_)));
        assert!(matches!(DialError::new(none_available(), || true), DialError::OutOfSockets(_)));
        assert!(has_source_for("127.0.0.1:25".parse().expect("an address")));
    }

    #[test]
    fn what_the_system_says() {
        let of = |errno: nix::errno::Errno| DialError::from(io::Error::from(errno));
        use nix::errno::Errno;
        assert!(matches!(of(Errno::ECONNREFUSED), DialError::Refused));
        assert!(matches!(of(Errno::EHOSTUNREACH), DialError::Unreachable(_)));
        assert!(matches!(of(Errno::ENETUNREACH), DialError::Unreachable(_)));
        assert!(matches!(of(Errno::EACCES), DialError::Unreachable(_)));
        assert!(matches!(of(Errno::ETIMEDOUT), DialError::TimedOut));
        assert!(matches!(of(Errno::ECONNRESET), DialError::Closed));
        assert!(matches!(of(Errno::EMFILE), DialError::OutOfSockets(_)));
        assert!(matches!(of(Errno::EADDRNOTAVAIL), DialError::OutOfSockets(_)));
    }
}
