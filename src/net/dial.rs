//! [`Dial`]: a TCP connection to an address that the policy has admitted, and to no other.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::{kernel_clock::Reading, tcp::TcpConnection};
use crate::destination::policy::Admitted;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No program listens on the port, or a firewall rejected the attempt.
    #[error("connection refused")]
    Refused,
    /// There is no route, or none that this process may use.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// The system's own timeout ended the attempt.
    #[error("no answer to the connection attempt")]
    TimedOut,
    /// The connection was reset at once.
    #[error("the server closed the connection at once")]
    Closed,
    /// This machine has no file descriptor or no local port left, so the check could not run.
    #[error("no socket is free: {0}")]
    OutOfSockets(io::Error),
}

impl DialError {
    fn new(error: io::Error, address: SocketAddr) -> Self {
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            // With IPv4 all local ports are in use; with IPv6 it is more likely that this machine has no IPv6.
            (_, Some(Errno::EADDRNOTAVAIL)) if address.is_ipv4() => Self::OutOfSockets(error),
            (_, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => Self::OutOfSockets(error),
            (ErrorKind::ConnectionRefused, _) => Self::Refused,
            (ErrorKind::TimedOut, _) => Self::TimedOut,
            (ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted, _) => Self::Closed,
            _ => Self::Unreachable(error),
        }
    }
}

/// A socket that is ready to connect.
#[derive(Debug)]
pub struct Dial {
    socket: Socket,
    address: SocketAddr,
}

impl Dial {
    /// Makes the socket. What this takes is no part of the time of the connection.
    ///
    /// # Errors
    /// The system's error, by its meaning.
    pub fn prepare(address: Admitted) -> Result<Self, DialError> {
        let address = address.socket_addr();
        let prepare = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            // Before the first segment can arrive. What a kernel that refuses the option receives has no stamp.
            #[cfg(target_os = "linux")]
            let _ = super::kernel_stamps::enable(&socket);
            Ok(Self { socket, address })
        };
        prepare().map_err(|error| DialError::new(error, address))
    }

    /// Connects. The timeout is the caller's.
    ///
    /// # Errors
    /// The system's error, by its meaning.
    pub async fn connect(self) -> Result<TcpConnection, DialError> {
        let Self { socket, address } = self;
        let began = Reading::now();
        let connect = async move {
            match socket.connect(&address.into()) {
                Err(error) if error.raw_os_error().map(Errno::from_raw) != Some(Errno::EINPROGRESS) => Err(error),
                _ => TcpConnection::established(TcpStream::from_std(socket.into())?, began).await,
            }
        };
        connect.await.map_err(|error| DialError::new(error, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system() {
        let of = |errno: Errno, address: &str| DialError::new(errno.into(), address.parse().expect("an address"));
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
