//! [`Stream`]: a connection in clear text or inside TLS, which records when bytes arrived.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
#[cfg(target_os = "linux")]
use {
    nix::poll::{PollFd, PollFlags, PollTimeout, poll},
    std::os::fd::AsFd,
};

use super::{
    first_octets::FirstOctets,
    tcp::{TcpConnection, with_read_buffer},
};
use crate::phase::{Clock, Stamp};

/// Octets that every connection can send in one segment (RFC 9293, section 3.7.1).
const MIN_SEGMENT_SIZE: usize = 536;
/// Octets that a look for more input takes at most.
const POLL_BUFFER_SIZE: usize = 512;

/// A connection to a mail server, with the bytes that have arrived and are not consumed yet.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    buffer: Vec<u8>,
    /// Octets at the start of `buffer` that are consumed.
    consumed: usize,
    /// When the last octets of `buffer` arrived.
    arrived: Stamp,
    /// When they were read.
    read_at: Instant,
    /// When the first octets of the last message left.
    sent: Option<Instant>,
    /// Octets have been read since, and arrived before.
    is_early: bool,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpConnection),
    Tls(Box<TlsStream<FirstOctets>>),
    /// Taken out for a TLS handshake.
    Released,
}

/// There are bytes before the TLS handshake. They came in clear text, where an attacker can inject them, and must not
/// be read as part of the TLS session (the class of CVE-2011-0411).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are bytes before the TLS handshake")]
pub struct OutOfSync;

impl Stream {
    /// A connection in clear text.
    pub fn plain(mut tcp: TcpConnection) -> Self {
        let buffer = tcp.take_greeting();
        let (arrived, read_at) = (tcp.arrived(), tcp.read_at());
        Self { transport: Transport::Plain(tcp), buffer, consumed: 0, arrived, read_at, sent: None, is_early: false }
    }

    /// Takes the TCP connection out for a TLS handshake; [`Self::secured`] puts it back.
    ///
    /// # Errors
    /// [`OutOfSync`] when there are unread bytes, or when the connection is inside TLS already.
    pub async fn release(&mut self) -> Result<TcpConnection, OutOfSync> {
        if self.has_more().await {
            return Err(OutOfSync);
        }
        match std::mem::replace(&mut self.transport, Transport::Released) {
            Transport::Plain(tcp) => {
                tcp.send_at_once();
                Ok(tcp)
            }
            other => {
                self.transport = other;
                Err(OutOfSync)
            }
        }
    }

    /// Puts the connection back, inside TLS from now on. Octets that came along with the end of the handshake count as
    /// arrived when it ended.
    pub fn secured(&mut self, mut tls: TlsStream<FirstOctets>, ended: Instant) {
        tls.get_mut().0.tcp_mut().start_over(ended);
        (self.arrived, self.read_at) = (ended.into(), ended);
        self.transport = Transport::Tls(Box::new(tls));
    }

    /// The bytes that have arrived and are not consumed yet.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.consumed..]
    }

    /// Consumes the first `octets` of [`Self::unread`].
    pub fn take(&mut self, octets: usize) {
        self.consumed = (self.consumed + octets).min(self.buffer.len());
    }

    /// When the last bytes arrived; inside TLS, those that completed the last record.
    pub fn arrived(&self) -> Stamp {
        self.arrived
    }

    /// When the last bytes were read.
    pub fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Whether bytes that were read since the last message left had arrived before, as far as the kernel's stamps tell.
    pub fn is_early(&self) -> bool {
        self.is_early
    }

    /// Whether [`Self::is_early`] will tell of every reply that arrives before the next message leaves, so that there
    /// is no need to look for one. No, where a read has no stamp: the wall clock was set, or the kernel has none. No,
    /// where more was read already: bytes of one read have one stamp.
    pub fn will_tell_early(&mut self) -> bool {
        let has_more = match &mut self.transport {
            Transport::Tls(tls) => {
                let held = tls.get_mut().1.process_new_packets();
                held.map_or(true, |held| held.plaintext_bytes_to_read() > 0)
            }
            _ => false,
        };
        !has_more && self.unread().is_empty() && self.arrived.clock == Clock::Kernel
    }

    /// Waits until bytes arrive and appends them to [`Self::unread`]; false at the end of the stream.
    ///
    /// # Errors
    /// The error of the system or of TLS.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let (transport, buffer) = (&mut self.transport, &mut self.buffer);
        let has_read = poll_fn(|context| {
            with_read_buffer(|octets| {
                let mut read = ReadBuf::new(octets);
                ready!(match transport {
                    Transport::Plain(tcp) => Pin::new(tcp).poll_read(context, &mut read),
                    Transport::Tls(tls) => Pin::new(tls).poll_read(context, &mut read),
                    Transport::Released => Poll::Ready(Ok(())),
                })?;
                buffer.extend_from_slice(read.filled());
                Poll::Ready(io::Result::Ok(!read.filled().is_empty()))
            })
        });
        let has_read = has_read.await?;
        if has_read {
            self.note_read();
        }
        Ok(has_read)
    }

    /// Writes all of `octets`, unless the server sends something while a write waits; false then, and [`Self::unread`]
    /// has what it sent.
    ///
    /// After a write that had to wait, the stream looks for input before the next one, with no wait between the two:
    /// input that comes before all octets are written is found before the last of them goes. Octets that the kernel
    /// takes at once, as it does a short message, need no such look: nothing can arrive in the middle of them.
    ///
    /// `left` is called once, after the first system call, with the instant just before it: so what it does is not part
    /// of any time.
    ///
    /// # Errors
    /// The error of the system or of TLS.
    pub async fn write(&mut self, octets: &[u8], left: impl FnOnce(Instant)) -> io::Result<bool> {
        let (mut written, mut waited, mut left) = (0, false, Some(left));
        if let Some(tcp) = self.tcp_mut() {
            tcp.forget_sent();
            if octets.len() > MIN_SEGMENT_SIZE {
                tcp.send_at_once();
            }
        }
        self.is_early = false;
        poll_fn(|context| {
            loop {
                if waited && ready!(self.poll_more(context)) {
                    return Poll::Ready(Ok(false));
                }
                waited = false;
                let outcome = self.poll_write(context, &octets[written..]);
                if let Some(left) = left.take() {
                    let sent = self.tcp_mut().and_then(|tcp| tcp.sent()).unwrap_or_else(Instant::now);
                    self.sent = Some(sent);
                    left(sent);
                }
                match outcome {
                    Poll::Ready(Ok(0)) if written == octets.len() => return Poll::Ready(Ok(true)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(taken)) => written += taken,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    // Input from the server may end the wait, too.
                    Poll::Pending if self.poll_available(context) => return Poll::Ready(Ok(false)),
                    Poll::Pending => {
                        waited = true;
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Writes some of `octets`; if there are none, flushes TLS and returns zero.
    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match (&mut self.transport, octets) {
            (Transport::Plain(_), []) => Poll::Ready(Ok(0)),
            (Transport::Plain(tcp), octets) => Pin::new(tcp).poll_write(context, octets),
            (Transport::Tls(tls), []) => {
                ready!(Pin::new(tls).poll_flush(context))?;
                // The server may send a session ticket first, and the reply would wait until that is acknowledged.
                self.acknowledge_at_once();
                Poll::Ready(Ok(0))
            }
            (Transport::Tls(tls), octets) => Pin::new(tls).poll_write(context, octets),
            (Transport::Released, _) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Acknowledges at once what has arrived (`TCP_QUICKACK`). For a reply of which only a part has arrived.
    ///
    /// A server that writes its reply in two pieces with Nagle's algorithm on sends the second one only when the first
    /// is acknowledged. Our kernel delays that by 40 ms after we have written, and they would count as the server's
    /// time. Linux resets the option with later segments, so it is set again each time; other systems keep the delay. A
    /// reply in one piece needs no segment of its own: the next command acknowledges it.
    pub fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            SockRef::from(tcp).set_tcp_quickack(true).ok();
        }
    }

    /// Whether 3 KiB or more of what was written are not acknowledged by the server. A reply that is here by now was
    /// sent before the server had them: each of its segments acknowledges all that it has received.
    ///
    /// This asks for room in the smallest possible send buffer, since to ask for the octets themselves takes `unsafe`.
    /// The buffer stays small, so use it at the end of a session only. False where the system cannot tell.
    pub fn is_still_sending(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            // The kernel makes it 4608 octets, the minimum, and reports no room when two thirds, overhead included, are
            // in use.
            let shrunk = SockRef::from(tcp).set_send_buffer_size(0);
            let mut writable = [PollFd::new(tcp.as_fd(), PollFlags::POLLOUT)];
            return shrunk.is_ok() && poll(&mut writable, PollTimeout::ZERO) == Ok(0);
        }
        false
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.transport {
            Transport::Plain(tcp) => Some(tcp.socket()),
            Transport::Tls(tls) => Some(tls.get_ref().0.tcp().socket()),
            Transport::Released => None,
        }
    }

    fn tcp_mut(&mut self) -> Option<&mut TcpConnection> {
        match &mut self.transport {
            Transport::Plain(tcp) => Some(tcp),
            Transport::Tls(tls) => Some(tls.get_mut().0.tcp_mut()),
            Transport::Released => None,
        }
    }

    fn note_read(&mut self) {
        let Some(tcp) = self.tcp_mut() else { return };
        (self.arrived, self.read_at) = (tcp.arrived(), tcp.read_at());
        self.is_early |= self.arrived.clock == Clock::Kernel && self.sent.is_some_and(|sent| self.arrived.at < sent);
    }

    /// Whether there are unread bytes by now; they are in [`Self::unread`] then. Does not wait.
    pub async fn has_more(&mut self) -> bool {
        poll_fn(|context| self.poll_more(context)).await
    }

    /// [`Self::has_more`]. Pending only until the runtime knows of bytes that the kernel has.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.unread().is_empty() {
            return Poll::Ready(true);
        }
        let Some(tcp) = self.tcp() else { return Poll::Ready(false) };
        // The runtime may not know yet of bytes that the kernel has, so this asks the kernel.
        let in_kernel = SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|octets| octets > 0);
        if in_kernel && ready!(tcp.poll_read_ready(context)).is_err() {
            return Poll::Ready(false);
        }
        // TLS may hold bytes that the kernel does not have any more.
        let may_have_more = in_kernel || matches!(self.transport, Transport::Tls(_));
        Poll::Ready(may_have_more && self.poll_available(context))
    }

    /// Reads what is available, up to [`POLL_BUFFER_SIZE`]; false if there is nothing.
    ///
    /// One poll only: inside TLS the kernel may have a session ticket, which yields no bytes.
    fn poll_available(&mut self, context: &mut Context<'_>) -> bool {
        let mut octets = [MaybeUninit::uninit(); POLL_BUFFER_SIZE];
        let mut read = ReadBuf::uninit(&mut octets);
        let _ = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(context, &mut read),
            Transport::Tls(tls) => Pin::new(tls).poll_read(context, &mut read),
            Transport::Released => Poll::Pending,
        };
        let has_more = !read.filled().is_empty();
        if has_more {
            self.buffer.extend_from_slice(read.filled());
            self.note_read();
        }
        has_more
    }

    /// Sends close_notify inside TLS (RFC 8446, section 6.1); does nothing in clear text.
    pub async fn close(&mut self) {
        if let Transport::Tls(tls) = &mut self.transport {
            // It fails if the server has closed the connection already, which does no harm.
            let _ = tls.shutdown().await;
        }
    }

    /// The local address of the connection, and the server's.
    ///
    /// # Errors
    /// The system's error; the connection may be closed already.
    pub fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let tcp = self.tcp().ok_or(io::ErrorKind::NotConnected)?;
        Ok((tcp.local_addr()?, tcp.peer_addr()?))
    }
}
