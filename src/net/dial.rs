//! TCP to an address that the policy has admitted, and to no other.

use std::io;

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
    let stream = TcpStream::connect(address.socket_addr()).await?;
    // Nagle's algorithm against the peer's delayed ACK costs 40 ms in the middle of a TLS handshake, and would be measured.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

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
