//! [`Dial`]: a TCP connection to an address that the policy has admitted, and to no other.

use std::{
    borrow::Cow,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

use super::{kernel_clock::Reading, tcp::TcpConnection};
use crate::{destination::policy::Admitted, os_error};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No program listens on the port, or a firewall rejected the attempt.
    #[error("connection refused")]
    Refused,
    /// There is no route, or none that this process may use.
    #[error("unreachable: {0}")]
    Unreachable(Cow<'static, str>),
    /// The system's own timeout ended the attempt.
    #[error("no answer to the connection attempt")]
    TimedOut,
    /// The connection was reset at once.
    #[error("the server closed the connection at once")]
    Closed,
    /// This machine has no file descriptor or no local port left, so the check could not run.
    #[error("no socket is free: {}", os_error::of_network(.0))]
    OutOfSockets(io::Error),
    /// This machine does not have the address to connect from, so the check could not run.
    #[error("the source address cannot be used: {}", os_error::of_network(.0))]
    NoSourceAddress(io::Error),
}

impl DialError {
    /// `is_bound`: whether the socket has a source address of the caller's choice.
    fn new(error: io::Error, address: SocketAddr, is_bound: bool) -> Self {
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            // With IPv4 all local ports are in use; with IPv6 it is more likely that this machine has no IPv6.
            (_, Some(Errno::EADDRNOTAVAIL)) if address.is_ipv4() || is_bound => Self::OutOfSockets(error),
            (_, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => Self::OutOfSockets(error),
            (ErrorKind::ConnectionRefused, _) => Self::Refused,
            (ErrorKind::TimedOut, _) => Self::TimedOut,
            (ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted, _) => Self::Closed,
            (_, Some(Errno::EADDRNOTAVAIL)) => {
                Self::Unreachable("this machine has no IPv6 address to connect from".into())
            }
            _ => Self::Unreachable(os_error::of_network(&error)),
        }
    }

    fn of_bind(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            // Where the kernel cannot choose the port later, as it does with IP_BIND_ADDRESS_NO_PORT.
            Some(Errno::EADDRINUSE) => Self::OutOfSockets(error),
            _ => Self::NoSourceAddress(error),
        }
    }
}

/// A socket that is ready to connect.
#[derive(Debug)]
pub struct Dial {
    socket: Socket,
    address: SocketAddr,
    is_bound: bool,
}

impl Dial {
    /// Makes the socket, bound to the address `source`, if there is one; it must be of the same family. What this takes
    /// is no part of the time of the connection.
    ///
    /// # Errors
    /// The system's error, by its meaning.
    pub fn prepare(address: Admitted, source: Option<IpAddr>) -> Result<Self, DialError> {
        let address = address.socket_addr();
        let prepare = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            // Before the first segment can arrive. What a kernel that refuses the option receives has no stamp.
            #[cfg(target_os = "linux")]
            let _ = super::kernel_stamps::enable(&socket);
            Ok(Self { socket, address, is_bound: source.is_some() })
        };
        let dial = prepare().map_err(|error| DialError::new(error, address, false))?;
        if let Some(source) = source {
            bind(&dial.socket, source).map_err(DialError::of_bind)?;
        }
        Ok(dial)
    }

    /// Connects. The timeout is the caller's.
    ///
    /// # Errors
    /// The system's error, by its meaning.
    pub async fn connect(self) -> Result<TcpConnection, DialError> {
        let Self { socket, address, is_bound } = self;
        let began = Reading::now();
        let connect = async move {
            match socket.connect(&address.into()) {
                Err(error) if error.raw_os_error().map(Errno::from_raw) != Some(Errno::EINPROGRESS) => Err(error),
                _ => TcpConnection::established(TcpStream::from_std(socket.into())?, began).await,
            }
        };
        connect.await.map_err(|error| DialError::new(error, address, is_bound))
    }
}

/// Whether connections can come from this address.
///
/// # Errors
/// This machine does not have the address, or has no socket left.
pub fn can_bind(source: IpAddr) -> Result<(), DialError> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
    let socket = socket.map_err(|error| DialError::new(error, address, true))?;
    bind(&socket, source).map_err(DialError::of_bind)
}

/// Binds the socket to an address, and to no port: the kernel chooses one when it knows the other end, and so the ports
/// do not run out as long as the ends differ.
fn bind(socket: &impl AsFd, source: IpAddr) -> io::Result<()> {
    // A kernel that refuses the option chooses the port now.
    #[cfg(target_os = "linux")]
    let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
    SockRef::from(socket).bind(&SocketAddr::new(source, 0).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system() {
        let of =
            |errno: Errno, address: &str| DialError::new(errno.into(), address.parse().expect("an address"), false);
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
        let bound = DialError::new(Errno::EADDRNOTAVAIL.into(), "[2001:db8::1]:25".parse().expect("an address"), true);
        assert!(matches!(bound, DialError::OutOfSockets(_)));
        assert!(matches!(DialError::of_bind(Errno::EADDRNOTAVAIL.into()), DialError::NoSourceAddress(_)));
        assert!(matches!(DialError::of_bind(Errno::EADDRINUSE.into()), DialError::OutOfSockets(_)));
    }

    #[test]
    fn the_text_is_in_our_words() {
        for (errno, address, text) in [
            (Errno::ECONNREFUSED, "192.0.2.1:25", "connection refused"),
            (Errno::EHOSTUNREACH, "192.0.2.1:25", "unreachable: no route to the host"),
            (Errno::ENETUNREACH, "192.0.2.1:25", "unreachable: no route to the network"),
            (Errno::EACCES, "192.0.2.1:25", "unreachable: a firewall or a routing rule forbids it"),
            (Errno::EPERM, "192.0.2.1:25", "unreachable: a firewall or a routing rule forbids it"),
            (Errno::ETIMEDOUT, "192.0.2.1:25", "no answer to the connection attempt"),
            (Errno::ECONNRESET, "192.0.2.1:25", "the server closed the connection at once"),
            (Errno::EMFILE, "192.0.2.1:25", "no socket is free: no file descriptor is free"),
            (Errno::EADDRNOTAVAIL, "[2001:db8::1]:25", "unreachable: this machine has no IPv6 address to connect from"),
            (
                Errno::EAFNOSUPPORT,
                "[2001:db8::1]:25",
                "unreachable: this machine does not support this kind of address",
            ),
        ] {
            let error = DialError::new(errno.into(), address.parse().expect("an address"), false);
            assert_eq!(error.to_string(), text);
        }
        let unbound = DialError::of_bind(Errno::EADDRNOTAVAIL.into());
        assert_eq!(unbound.to_string(), "the source address cannot be used: this machine does not have the address");
    }

    /// Documentation addresses (RFC 5737, RFC 3849) belong to no machine.
    #[test]
    fn only_addresses_of_this_machine_can_be_bound() {
        for (source, is_ours) in
            [("127.0.0.1", true), ("127.0.0.2", true), ("192.0.2.1", false), ("2001:db8::1", false)]
        {
            assert_eq!(can_bind(source.parse().expect("an address")).is_ok(), is_ours, "{source}");
        }
    }

    /// A port that is chosen at once is taken from all other checks, wherever they connect to.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_source_address_takes_no_port_before_the_other_end_is_known() {
        let policy = crate::destination::policy::TargetPolicy::default();
        for (server, source) in [("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "::1")] {
            let listener = std::net::TcpListener::bind(server).expect("loopback");
            let address = listener.local_addr().expect("bound");
            let admitted = policy.admit_literal().address(address).expect("admitted");
            let source: IpAddr = source.parse().expect("an address");
            let dial = Dial::prepare(admitted, Some(source)).expect("an address of ours");
            assert_eq!(dial.socket.local_addr().expect("bound"), SocketAddr::new(source, 0).into());
            let connection = dial.connect().await.expect("a connection");
            assert_eq!(connection.socket().local_addr().map(|local| local.ip()).ok(), Some(source));
        }
    }
}
