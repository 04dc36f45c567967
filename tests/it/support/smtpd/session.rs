//! What a server has seen of one client.

use std::{net::SocketAddr, time::Instant};

/// One connection, from its beginning to its end.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Every byte the client sent, the PROXY header and TLS itself left out.
    pub(crate) received: Vec<u8>,
    /// The lines of it that are commands or SASL responses.
    pub(crate) lines: Vec<Line>,
    /// The message as it came over the wire, without the DOT CR LF that ends it.
    pub(crate) message: Option<Vec<u8>>,
    /// The PROXY header, where one was expected.
    pub(crate) proxy_header: Option<Vec<u8>>,
    /// The TLS session, if the client began one.
    pub(crate) tls: Option<Tls>,
    /// What the client did that RFC 5321 or 3207 forbids.
    pub(crate) violations: Vec<String>,
    /// How it ended.
    pub(crate) end: End,
}

/// A command or a SASL response.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Without its end of line; bytes that aren't UTF-8 replaced.
    pub(crate) text: String,
    /// It came inside TLS.
    pub(crate) in_tls: bool,
    /// When the server had read it.
    pub(crate) at: Instant,
}

/// What the handshake has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The name the client asked for (SNI).
    pub(crate) server_name: Option<String>,
    /// The version agreed upon, as rustls calls it (`TLSv1_3`); none where the handshake failed.
    pub(crate) version: Option<String>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// QUIT, its answer, and then both sides closed.
    Quit,
    /// The client closed without QUIT.
    Eof,
    /// The client reset the connection, or closed it while the server was still writing.
    Reset,
    /// The script ended it.
    Script,
    /// TLS failed; rustls's words.
    Tls(String),
    /// It outlasted, or outgrew, what any test needs.
    Limit,
}

impl Session {
    /// The text of every line, in order.
    pub(crate) fn commands(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// The text of the lines that came outside TLS.
    pub(crate) fn commands_in_clear(&self) -> Vec<&str> {
        self.lines.iter().filter(|line| !line.in_tls).map(|line| line.text.as_str()).collect()
    }

    /// Whether a line begins with this verb, in any case of letters.
    pub(crate) fn has_command(&self, verb: &str) -> bool {
        self.lines.iter().any(|line| line.text.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb)))
    }
}
