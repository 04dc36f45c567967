//! Connection of one client: lines in, replies out. Every read and write is bounded in bytes and in time.

use std::{borrow::Cow, io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    time::{Instant, timeout, timeout_at},
};

use super::{MAX_MESSAGE_SIZE, content::ContentDecoder};

/// A reply without its last CR LF.
pub(super) type Reply = Cow<'static, str>;

/// The longest accepted line, in bytes, with its CR LF: what RFC 4954, section 4 requires of a server with AUTH.
pub(super) const MAX_LINE_SIZE: usize = 12_288;

/// A longer line is read to its end and refused. If it exceeds the limit by more bytes than this, the connection is
/// closed.
const MAX_SKIPPED_LINE_SIZE: usize = 1024 * 1024;

/// A message over [`MAX_MESSAGE_SIZE`] is read to its end and refused. Beyond this many bytes, the connection is
/// closed.
const MAX_SKIPPED_MESSAGE_SIZE: usize = 4 * MAX_MESSAGE_SIZE;

/// How long a client may take to send a command, or be silent within a message. RFC 5321, section 4.5.3.2.7 asks for
/// five minutes; a sandbox need not wait so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait at the end for the client to close: unread bytes would turn the last reply into a reset.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The session goes on after this reply.
    Refused(Reply),
    /// The client is gone.
    Gone,
    /// The connection is closed after this reply.
    Closing(Reply),
}

impl From<Reply> for Fault {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

impl From<&'static str> for Fault {
    fn from(reply: &'static str) -> Self {
        Self::Refused(reply.into())
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

const TIMED_OUT: Fault = Fault::Closing(Cow::Borrowed("421 4.4.2 Timeout, closing connection"));

/// One client's connection.
pub(super) struct Wire<S> {
    stream: BufReader<S>,
    end: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection over `stream`, which ends at `end` at the latest.
    pub(super) fn new(stream: S, end: Instant) -> Self {
        Self { stream: BufReader::new(stream), end }
    }

    /// Writes a reply, of one line or more.
    pub(super) async fn reply(&mut self, reply: &str) -> Result<(), Fault> {
        let octets = format!("{reply}\r\n").into_bytes();
        let written = timeout_at(self.idle_deadline(), async {
            self.stream.write_all(&octets).await?;
            self.stream.flush().await
        });
        Ok(written.await.map_err(|_| Fault::Gone)??)
    }

    /// Reads a line without its end. A lone LF ends a line, too, for people who type.
    pub(super) async fn line(&mut self) -> Result<String, Fault> {
        let deadline = self.idle_deadline();
        let mut line = Vec::new();
        let mut skipped = 0;
        loop {
            let chunk = self.chunk(deadline).await?;
            let (part, ended) = match chunk.iter().position(|&octet| octet == b'\n') {
                Some(end) => (end + 1, true),
                None => (chunk.len(), false),
            };
            if skipped == 0 && line.len() + part <= MAX_LINE_SIZE {
                line.extend_from_slice(&chunk[..part]);
            } else {
                skipped += part;
            }
            self.stream.consume(part);
            if ended && skipped == 0 {
                return text(line);
            }
            if ended {
                return Err("500 5.5.2 Line too long".into());
            }
            if skipped > MAX_SKIPPED_LINE_SIZE {
                return Err(Fault::Closing("500 5.5.2 Line too long".into()));
            }
        }
    }

    /// Reads a message up to CR LF DOT CR LF.
    pub(super) async fn content(&mut self) -> Result<Vec<u8>, Fault> {
        let too_big = || Reply::from("552 5.3.4 Message size exceeds fixed limit");
        let mut decoder = ContentDecoder::new(MAX_MESSAGE_SIZE);
        let mut taken = 0;
        while !decoder.ended() {
            let deadline = self.idle_deadline();
            let part = decoder.push(self.chunk(deadline).await?);
            self.stream.consume(part);
            taken += part;
            if taken > MAX_SKIPPED_MESSAGE_SIZE {
                return Err(Fault::Closing(too_big()));
            }
        }
        Ok(decoder.finish().ok_or_else(too_big)?)
    }

    /// Whether the client has sent more than has been read.
    pub(super) fn has_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    /// Reads without an answer until the client leaves, or the time is up.
    pub(super) async fn ignore(&mut self) -> Fault {
        let end = self.end;
        loop {
            match self.chunk(end).await {
                Ok(chunk) => {
                    let part = chunk.len();
                    self.stream.consume(part);
                }
                Err(_) => return Fault::Gone,
            }
        }
    }

    /// Closes the connection so that the last reply arrives.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.stream.shutdown().await?;
            let mut rest = [0; 1024];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // The connection is dropped in any case.
        let _ = timeout(LINGER_TIMEOUT, farewell).await;
    }

    /// The stream below. Unread bytes of the client are discarded.
    pub(super) fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    /// Waits for at least one octet.
    async fn chunk(&mut self, until: Instant) -> Result<&[u8], Fault> {
        let chunk = timeout_at(until, self.stream.fill_buf()).await.map_err(|_| TIMED_OUT)??;
        if chunk.is_empty() {
            return Err(Fault::Gone);
        }
        Ok(chunk)
    }

    fn idle_deadline(&self) -> Instant {
        self.end.min(Instant::now() + IDLE_TIMEOUT)
    }
}

/// The line as text. Control characters are refused, so that no reply can contain one.
fn text(mut line: Vec<u8>) -> Result<String, Fault> {
    line.truncate(line.strip_suffix(b"\n").unwrap_or(&line).len());
    line.truncate(line.strip_suffix(b"\r").unwrap_or(&line).len());
    match String::from_utf8(line) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err("500 5.5.2 Command is not printable text".into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    fn wire() -> (Wire<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(64 * 1024);
        let end = Instant::now() + Duration::from_secs(600);
        (Wire::new(server, end), client)
    }

    async fn line_of(octets: &[u8]) -> Result<String, Fault> {
        let (mut wire, mut client) = wire();
        let send = async {
            // The wire may hang up in the middle of this.
            let _ = client.write_all(octets).await;
            drop(client);
        };
        let read = async {
            let line = wire.line().await;
            drop(wire);
            line
        };
        tokio::join!(send, read).1
    }

    #[tokio::test]
    async fn lines_and_their_bounds() {
        let longest = "x".repeat(MAX_LINE_SIZE - 2);
        for (sent, kept) in [
            ("NOOP\r\n", "NOOP"),
            ("NOOP\n", "NOOP"),
            ("\r\n", ""),
            ("é\r\n", "é"),
            (&format!("{longest}\r\n"), &longest),
        ] {
            assert_eq!(line_of(sent.as_bytes()).await, Ok(kept.to_owned()));
        }
        for refused in [&b"a\0b\r\n"[..], b"a\rb\r\n", b"a\x7f\r\n", b"\xff\r\n", format!("{longest}x\r\n").as_bytes()]
        {
            let line = line_of(refused).await;
            assert!(matches!(&line, Err(Fault::Refused(reply)) if reply.starts_with("500 5.5.2 ")), "{line:?}");
        }
        assert_eq!(line_of(b"NOOP").await, Err(Fault::Gone));
        assert_eq!(line_of(b"").await, Err(Fault::Gone));
        let endless = vec![b'x'; MAX_LINE_SIZE + MAX_SKIPPED_LINE_SIZE + 64 * 1024];
        assert!(matches!(line_of(&endless).await, Err(Fault::Closing(_))));
    }

    #[tokio::test]
    async fn a_long_line_leaves_the_next_one_whole() {
        let (mut wire, mut client) = wire();
        let long = [vec![b'x'; MAX_LINE_SIZE + 1], b"\r\nNOOP\r\n".to_vec()].concat();
        client.write_all(&long).await.expect("it fits the pipe");
        assert!(matches!(wire.line().await, Err(Fault::Refused(_))));
        assert_eq!(wire.line().await, Ok("NOOP".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_feed_does_not_renew_the_timeout() {
        let (mut wire, mut client) = wire();
        let start = Instant::now();
        let drip = async {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(IDLE_TIMEOUT / 4).await;
            }
        };
        tokio::select! {
            () = drip => panic!("the pipe stays open"),
            line = wire.line() => assert_eq!(line, Err(TIMED_OUT)),
        }
        assert_eq!(start.elapsed(), IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_gone() {
        let (server, _client) = duplex(4);
        let mut wire = Wire::new(server, Instant::now() + Duration::from_secs(5));
        assert_eq!(wire.reply("250 2.0.0 Ok").await, Err(Fault::Gone));
    }
}
