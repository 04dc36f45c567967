//! The byte stream of one connection, without and inside TLS, recorded as it is read.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, rustls::ServerConfig, rustls::server::Acceptor, server::TlsStream};

use super::session::{End, Tls};

/// No test sends more on one connection, in octets.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Octets per read: enough for a command, and small enough for thousands of connections.
const READ_SIZE: usize = 4096;
/// The maximum size of a version 1 PROXY header (its specification, section 2.1), CR LF included.
const MAX_PROXY_LINE_SIZE: usize = 107;
const PROXY_V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// How long a closed connection is read, until the client closes too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct RecordedStream {
    stream: Stream,
    /// Read and not yet consumed.
    buffer: Vec<u8>,
    pub(super) received: Vec<u8>,
    /// An end that was found by `has_unread`, kept for the next read.
    met: Option<End>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

impl RecordedStream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        // An error would only make it slower.
        let _ = tcp.set_nodelay(true);
        Self { stream: Stream::Plain(tcp), buffer: Vec::new(), received: Vec::new(), met: None }
    }

    pub(super) fn in_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// One line with its LF.
    pub(super) async fn read_line(&mut self) -> Result<Vec<u8>, End> {
        let length = self.find(b"\n").await?;
        Ok(self.take(length))
    }

    /// A message: everything before the line with only a dot, which is consumed and not returned.
    pub(super) async fn read_message(&mut self) -> Result<Vec<u8>, End> {
        const END: &[u8] = b"\r\n.\r\n";
        while self.buffer.len() < 3 {
            self.fill().await?;
        }
        if self.buffer.starts_with(&END[2..]) {
            self.take(3);
            return Ok(Vec::new());
        }
        let length = self.find(END).await?;
        let mut message = self.take(length);
        message.truncate(length - 3);
        Ok(message)
    }

    /// A PROXY header of either version, removed from the record; `None` if something else comes. Reads not one byte
    /// more: a ClientHello can follow at once.
    pub(super) async fn read_proxy_header(&mut self) -> Result<Option<Vec<u8>>, End> {
        loop {
            self.fill_at_most(1).await?;
            let so_far = self.buffer.as_slice();
            let ended = if begins_alike(so_far, PROXY_V2_SIGNATURE) {
                so_far.len() >= 16 && so_far.len() == 16 + usize::from(u16::from_be_bytes([so_far[14], so_far[15]]))
            } else if begins_alike(so_far, b"PROXY ") && so_far.len() <= MAX_PROXY_LINE_SIZE {
                so_far.ends_with(b"\r\n")
            } else {
                return Ok(None);
            };
            if ended {
                self.received.clear();
                return Ok(Some(self.take(self.buffer.len())));
            }
        }
    }

    /// Waits until the client sends something, and discards it.
    pub(super) async fn discard(&mut self) -> Result<(), End> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Reads until the client ends the connection.
    pub(super) async fn read_to_end(&mut self) -> Result<(), End> {
        loop {
            self.fill().await?;
            self.buffer.clear();
        }
    }

    /// Whether the client has sent something that is not read yet. Does not wait.
    pub(super) async fn has_unread(&mut self) -> bool {
        // `timeout` polls the read once before it looks at the time.
        if let Ok(Err(end)) = timeout(Duration::ZERO, self.fill()).await {
            self.met = Some(end);
        }
        !self.buffer.is_empty()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes).await?,
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await?;
            }
            Stream::Gone => return Err(End::Eof),
        }
        Ok(())
    }

    /// Starts TLS. `seen` gets the server name even where the handshake fails.
    pub(super) async fn handshake(&mut self, config: Arc<ServerConfig>, seen: &mut Option<Tls>) -> Result<(), End> {
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(End::Tls("a script upgrades once".to_owned()));
        };
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let server_name = hello.client_hello().server_name().map(str::to_owned);
        let asked = seen.insert(Tls { server_name, version: None, client_certificate: None });
        let tls = hello.into_stream(config).await?;
        asked.version = tls.get_ref().1.protocol_version().map(|version| format!("{version:?}"));
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        asked.client_certificate = shown.map(|certificate| certificate.to_vec());
        self.stream = Stream::Tls(Box::new(tls));
        Ok(())
    }

    /// FIN, inside TLS after a `close_notify`. What the client sends until its own end is recorded.
    pub(super) async fn close(&mut self) {
        let closing = async {
            match &mut self.stream {
                Stream::Plain(tcp) => tcp.shutdown().await?,
                Stream::Tls(tls) => tls.shutdown().await?,
                Stream::Gone => {}
            }
            // Unread bytes would turn the FIN into a RST, and the last reply would be lost.
            self.read_to_end().await
        };
        // Every result is an end.
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }

    /// FIN only.
    pub(super) async fn fin(&mut self) {
        if let Some(tcp) = self.tcp() {
            let _ = SockRef::from(tcp).shutdown(Shutdown::Write);
        }
        let _ = timeout(CLOSE_TIMEOUT, self.read_to_end()).await;
    }

    /// RST.
    pub(super) fn reset(&mut self) {
        if let Some(tcp) = self.tcp() {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
        self.stream = Stream::Gone;
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Plain(tcp) => Some(tcp),
            Stream::Tls(tls) => Some(tls.get_ref().0),
            Stream::Gone => None,
        }
    }

    /// Reads until `pattern` has come, and returns the number of bytes up to its end.
    async fn find(&mut self, pattern: &[u8]) -> Result<usize, End> {
        let mut searched = 0;
        loop {
            let tail = &self.buffer[searched..];
            if let Some(at) = tail.windows(pattern.len()).position(|window| window == pattern) {
                return Ok(searched + at + pattern.len());
            }
            searched = self.buffer.len().saturating_sub(pattern.len() - 1);
            self.fill().await?;
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    async fn fill(&mut self) -> Result<(), End> {
        self.fill_at_most(READ_SIZE).await
    }

    async fn fill_at_most(&mut self, bytes: usize) -> Result<(), End> {
        if let Some(end) = self.met.take() {
            return Err(end);
        }
        let before = self.buffer.len();
        self.buffer.reserve(bytes);
        let reader: &mut (dyn AsyncRead + Send + Unpin) = match &mut self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls,
            Stream::Gone => return Err(End::Eof),
        };
        reader.take(bytes as u64).read_buf(&mut self.buffer).await?;
        self.received.extend_from_slice(&self.buffer[before..]);
        match self.buffer.len() {
            length if length == before => Err(End::Eof),
            _ if self.received.len() > MAX_BYTES => Err(End::Limit),
            _ => Ok(()),
        }
    }
}

/// Whether one of them is a prefix of the other.
fn begins_alike(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(left, right)| left == right)
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Eof,
            io::ErrorKind::InvalidData => Self::Tls(error.to_string()),
            _ => Self::Reset,
        }
    }
}
