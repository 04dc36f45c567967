//! The record of one session.

use std::{net::SocketAddr, time::Instant};

/// One connection, from its start to its end.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// All received bytes, without the PROXY header and TLS itself.
    pub(crate) received: Vec<u8>,
    /// The received commands and SASL responses.
    pub(crate) lines: Vec<Line>,
    /// The message as sent, without the final DOT CR LF.
    pub(crate) message: Option<Vec<u8>>,
    /// The PROXY header, if one was expected.
    pub(crate) proxy_header: Option<Vec<u8>>,
    /// The TLS session, if the client began one.
    pub(crate) tls: Option<Tls>,
    /// Violations of RFC 5321 or 3207 by the client.
    pub(crate) violations: Vec<String>,
    /// How it ended.
    pub(crate) end: End,
}

/// A command or a SASL response.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Without CR LF; bytes that are not UTF-8 are replaced.
    pub(crate) text: String,
    /// Whether it came inside TLS.
    pub(crate) in_tls: bool,
    /// When it was read.
    pub(crate) at: Instant,
}

/// What the TLS handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The server name that the client sent (SNI).
    pub(crate) server_name: Option<String>,
    /// The version as rustls names it (`TLSv1_3`); `None` where the handshake failed.
    pub(crate) version: Option<String>,
    /// The client's own certificate in DER, if it showed one.
    pub(crate) client_certificate: Option<Vec<u8>>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// QUIT, its reply, and then both sides closed.
    Quit,
    /// The client closed without QUIT.
    Eof,
    /// The client reset the connection, or closed it while the server was writing.
    Reset,
    /// The script ended it.
    Script,
    /// TLS failed, with the error text of rustls.
    Tls(String),
    /// It exceeded the time or size that any test needs.
    Limit,
}

impl Session {
    /// The text of every line, in order.
    pub(crate) fn commands(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// The text of the lines outside TLS.
    pub(crate) fn commands_in_clear(&self) -> Vec<&str> {
        self.lines.iter().filter(|line| !line.in_tls).map(|line| line.text.as_str()).collect()
    }

    /// Whether a line begins with this verb, in any case.
    pub(crate) fn has_command(&self, verb: &str) -> bool {
        self.lines.iter().any(|line| line.text.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb)))
    }
}
