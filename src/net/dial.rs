//! TCP to an address that the policy has admitted, and to no other.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use nix::errno::Errno;
use tokio::net::TcpStream;

use crate::destination::policy::Admitted;

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
    fn of(error: io::Error, address: SocketAddr) -> Self {
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            // For IPv4 all local ports are in use; for IPv6 more likely there is no IPv6 here at all.
            (_, Some(Errno::EADDRNOTAVAIL)) if address.is_ipv4() => Self::OutOfSockets(error),
            (_, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => Self::OutOfSockets(error),
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
    let connect = async {
        let stream = TcpStream::connect(address).await?;
        // Nagle's algorithm against the peer's delayed ACK costs 40 ms in the middle of a TLS handshake, and would be measured.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connect.await.map_err(|error| DialError::of(error, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says() {
        let of = |errno: Errno, address: &str| DialError::of(errno.into(), address.parse().expect("an address"));
        let v4 = |errno| of(errno, "192.0.2.1:25");
        assert!(matches!(v4(Errno::ECONNREFUSED), DialError::Refused));
        assert!(matches!(v4(Errno::EHOSTUNREACH), DialError::Unreachable(_)));
        assert!(matches!(v4(Errno::ENETUNREACH), DialError::Unreachable(_)));
        assert!(matches!(v4(Errno::EACCES), DialError::Unreachable(_)));
        assert!(matches!(v4(Errno::ETIMEDOUT), DialError::TimedOut));
        assert!(matches!(v4(Errno::ECONNRESET), DialError::Closed));
        assert!(matches!(v4(Errno::EMFILE), DialError::OutOfSockets(_)));
        assert!(matches!(v4(Errno::EADDRNOTAVAIL), DialError::OutOfSockets(_)));
        assert!(matches!(of(Errno::EADDRNOTAVAIL, "[2001:db8::1]:25"), DialError::Unreachable(_)));
    }
}
