//! Errors of the operating system in words: those of the network in ours, all others in the system's, without the
//! number that Rust adds to them.

use std::{
    borrow::Cow,
    io::{self, ErrorKind},
};

use nix::errno::Errno;

/// Why a connection failed. The text is a clause, or a noun with its participle, for the place behind a colon.
pub fn of_network(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error().map(Errno::from_raw).map_or_else(|| of_kind(error.kind()), of_errno) {
        Some(text) => text.into(),
        None => of_system(error),
    }
}

/// The system's words, as for an error of a file.
pub fn of_system(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().into(),
        None => error.to_string().into(),
    }
}

fn of_errno(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::ECONNREFUSED => "connection refused",
        Errno::ECONNRESET => "the connection was reset",
        Errno::ECONNABORTED | Errno::EPIPE | Errno::ENOTCONN => "the connection was closed",
        Errno::ETIMEDOUT => "no answer in time",
        Errno::EHOSTUNREACH => "no route to the host",
        Errno::EHOSTDOWN => "the host does not answer on its network",
        Errno::ENETUNREACH => "no route to the network",
        Errno::ENETDOWN => "the network interface is down",
        // An ICMPv6 message may say so too, so the firewall need not be of this machine.
        Errno::EACCES | Errno::EPERM => "a firewall or a routing rule forbids it",
        Errno::EADDRINUSE => "the address is in use",
        Errno::EADDRNOTAVAIL => "this machine does not have the address",
        Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT => "this machine does not support this kind of address",
        Errno::EMFILE | Errno::ENFILE => "no file descriptor is free",
        Errno::ENOBUFS | Errno::ENOMEM => "no memory is free",
        Errno::EMSGSIZE => "a packet is too large for the network",
        _ => return None,
    })
}

/// For errors that are not the system's own.
fn of_kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => "the connection was reset",
        ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::NotConnected => {
            "the connection was closed"
        }
        ErrorKind::TimedOut => "no answer in time",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_network_are_in_our_words() {
        for (errno, text) in [
            (Errno::ECONNREFUSED, "connection refused"),
            (Errno::ECONNRESET, "the connection was reset"),
            (Errno::ECONNABORTED, "the connection was closed"),
            (Errno::EPIPE, "the connection was closed"),
            (Errno::ENOTCONN, "the connection was closed"),
            (Errno::ETIMEDOUT, "no answer in time"),
            (Errno::EHOSTUNREACH, "no route to the host"),
            (Errno::EHOSTDOWN, "the host does not answer on its network"),
            (Errno::ENETUNREACH, "no route to the network"),
            (Errno::ENETDOWN, "the network interface is down"),
            (Errno::EACCES, "a firewall or a routing rule forbids it"),
            (Errno::EPERM, "a firewall or a routing rule forbids it"),
            (Errno::EADDRINUSE, "the address is in use"),
            (Errno::EADDRNOTAVAIL, "this machine does not have the address"),
            (Errno::EAFNOSUPPORT, "this machine does not support this kind of address"),
            (Errno::EMFILE, "no file descriptor is free"),
            (Errno::ENOBUFS, "no memory is free"),
            (Errno::EMSGSIZE, "a packet is too large for the network"),
            // Without a text of ours.
            (Errno::ENOPROTOOPT, "Protocol not available"),
        ] {
            assert_eq!(of_network(&errno.into()), text);
            assert!(!of_system(&errno.into()).contains("os error"), "{errno}");
        }
        assert_eq!(of_network(&ErrorKind::UnexpectedEof.into()), "the connection was closed");
        assert_eq!(of_network(&io::Error::other("the library's reason")), "the library's reason");
    }

    #[test]
    fn errors_of_files_are_in_the_systems_words() {
        assert_eq!(of_system(&Errno::ENOENT.into()), "No such file or directory");
        assert_eq!(of_system(&Errno::EACCES.into()), "Permission denied");
        assert_eq!(of_system(&io::Error::other("not UTF-8")), "not UTF-8");
    }
}
