//! [`Stream`]: a connection in clear text or inside TLS, that tells when bytes arrived.

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

/// So much is read at once, in octets.
const ROOM: usize = 4096;
/// So much is looked at to learn whether there is more.
const GLIMPSE: usize = 512;

/// A connection to a mail server, with the bytes that have arrived and were not taken yet.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    buffer: Vec<u8>,
    /// How much of `buffer` is taken already.
    taken: usize,
    /// When the last of `buffer` arrived.
    arrived: Instant,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Given out for a handshake.
    Gone,
}

/// Bytes lie in front of a TLS handshake. They were sent in clear text, by whomever, and are never carried into the session
/// (CVE-2011-0411's class).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes lie in front of the TLS handshake")]
pub struct NotInStep;

impl Stream {
    /// A connection in clear text.
    pub fn plain(tcp: TcpStream) -> Self {
        Self { transport: Transport::Plain(tcp), buffer: Vec::new(), taken: 0, arrived: Instant::now() }
    }

    /// Gives the TCP connection out for a TLS handshake; [`Self::secured`] takes it back.
    ///
    /// # Errors
    /// [`NotInStep`] when anything has arrived that was not taken, or when the connection is inside TLS already.
    pub async fn release(&mut self) -> Result<TcpStream, NotInStep> {
        if self.has_more().await {
            return Err(NotInStep);
        }
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Plain(tcp) => Ok(tcp),
            other => {
                self.transport = other;
                Err(NotInStep)
            }
        }
    }

    /// The connection is inside TLS from now on.
    pub fn secured(&mut self, tls: TlsStream<TcpStream>) {
        self.transport = Transport::Tls(Box::new(tls));
    }

    /// What has arrived and was not taken.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Takes the first `octets` of [`Self::unread`].
    pub fn take(&mut self, octets: usize) {
        self.taken = (self.taken + octets).min(self.buffer.len());
    }

    /// When the last bytes arrived, as far as we know: those that nobody waited for, when they were looked at.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Waits until something arrives and puts it in [`Self::unread`]; false at the end of the stream.
    ///
    /// # Errors
    /// What the system or TLS said.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let (transport, buffer) = (&mut self.transport, &mut self.buffer);
        let arrived = poll_fn(|context| {
            // On the stack, and only while it is polled: of the thousands of checks that wait, none holds room for what may come.
            let mut room = [MaybeUninit::uninit(); ROOM];
            let mut room = ReadBuf::uninit(&mut room);
            ready!(match transport {
                Transport::Plain(tcp) => Pin::new(tcp).poll_read(context, &mut room),
                Transport::Tls(tls) => Pin::new(tls).poll_read(context, &mut room),
                Transport::Gone => Poll::Ready(Ok(())),
            })?;
            let arrived = Instant::now();
            buffer.extend_from_slice(room.filled());
            Poll::Ready(io::Result::Ok((!room.filled().is_empty()).then_some(arrived)))
        });
        let arrived = arrived.await?;
        self.arrived = arrived.unwrap_or(self.arrived);
        Ok(arrived.is_some())
    }

    /// Writes all of `octets`, unless the server speaks while they wait for room; false then, and [`Self::unread`] has its words.
    ///
    /// Whenever a write had to wait, the server is listened to before the next one, with no wait between the two: what comes while
    /// octets are still to be written is found before the last of them goes. Octets that the kernel takes at once, as it does a short
    /// message, cost no look of their own, since nothing can come in the middle of them.
    ///
    /// # Errors
    /// What the system or TLS said.
    pub async fn write(&mut self, octets: &[u8]) -> io::Result<bool> {
        let (mut written, mut waited) = (0, false);
        poll_fn(|context| {
            loop {
                if waited && ready!(self.poll_more(context)) {
                    return Poll::Ready(Ok(false));
                }
                waited = false;
                match self.poll_write(context, &octets[written..]) {
                    Poll::Ready(Ok(0)) if written == octets.len() => return Poll::Ready(Ok(true)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(taken)) => written += taken,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    // The end of the wait may be a word of the server's as well as room.
                    Poll::Pending if self.poll_glimpse(context) => return Poll::Ready(Ok(false)),
                    Poll::Pending => {
                        waited = true;
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Writes some of `octets`; where there are none left, all that TLS still holds, and then zero is ready.
    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match (&mut self.transport, octets) {
            (Transport::Plain(_), []) => Poll::Ready(Ok(0)),
            (Transport::Plain(tcp), octets) => Pin::new(tcp).poll_write(context, octets),
            (Transport::Tls(tls), []) => {
                ready!(Pin::new(tls).poll_flush(context))?;
                // What comes first may be a session ticket, which nobody asks for, and the reply would wait behind it.
                self.acknowledge_at_once();
                Poll::Ready(Ok(0))
            }
            (Transport::Tls(tls), octets) => Pin::new(tls).poll_write(context, octets),
            (Transport::Gone, _) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Tells the server at once what has arrived; for when more must come before there is anything to write.
    ///
    /// A server that writes its reply in two pieces, and leaves Nagle's algorithm on, holds the second back until the first is
    /// acknowledged. If our kernel delays that, as it does once we have written, the 40 ms are measured as the server's. Linux forgets
    /// the wish with the next segments, so it is said again each time; where it cannot be said, times are as they were. A reply that
    /// comes in one piece is acknowledged by the next command, and asks for no segment of its own.
    pub fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            SockRef::from(tcp).set_tcp_quickack(true).ok();
        }
    }

    /// Whether 3 KiB or more of what was written have not come to the server's end of the connection, as far as is known here.
    /// What it has said by now it said before it had them: each of its segments acknowledges all that came until then.
    ///
    /// The question is put as one for room in the smallest of send buffers, since the plain one takes `unsafe`. The buffer stays small:
    /// for the end of a conversation only. False where it cannot be told.
    pub fn is_still_sending(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            // The kernel makes the smallest of it, 4608 octets, which has no room once two thirds are in use, its book-keeping included.
            let shrunk = SockRef::from(tcp).set_send_buffer_size(0);
            let mut room = [PollFd::new(tcp.as_fd(), PollFlags::POLLOUT)];
            return shrunk.is_ok() && poll(&mut room, PollTimeout::ZERO) == Ok(0);
        }
        false
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.transport {
            Transport::Plain(tcp) => Some(tcp),
            Transport::Tls(tls) => Some(tls.get_ref().0),
            Transport::Gone => None,
        }
    }

    /// Whether anything has arrived by now that was not taken; it is in [`Self::unread`] then. Does not wait.
    pub async fn has_more(&mut self) -> bool {
        poll_fn(|context| self.poll_more(context)).await
    }

    /// [`Self::has_more`]. It is ready as soon as the runtime has heard of what the kernel holds.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.unread().is_empty() {
            return Poll::Ready(true);
        }
        let Some(tcp) = self.tcp() else { return Poll::Ready(false) };
        // The runtime may not have heard yet of what the kernel holds; so the kernel is asked.
        let in_kernel = SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|octets| octets > 0);
        if in_kernel && ready!(tcp.poll_read_ready(context)).is_err() {
            return Poll::Ready(false);
        }
        // Inside TLS there may be more than the kernel holds.
        let worthwhile = in_kernel || matches!(self.transport, Transport::Tls(_));
        Poll::Ready(worthwhile && self.poll_glimpse(context))
    }

    /// Reads a little, if there is anything; whether there was.
    ///
    /// One poll and no more: inside TLS, what the kernel holds may be a session ticket, which yields nothing.
    fn poll_glimpse(&mut self, context: &mut Context<'_>) -> bool {
        let mut room = [MaybeUninit::uninit(); GLIMPSE];
        let mut room = ReadBuf::uninit(&mut room);
        let _ = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(context, &mut room),
            Transport::Tls(tls) => Pin::new(tls).poll_read(context, &mut room),
            Transport::Gone => Poll::Pending,
        };
        let has_more = !room.filled().is_empty();
        if has_more {
            self.arrived = Instant::now();
            self.buffer.extend_from_slice(room.filled());
        }
        has_more
    }

    /// Says goodbye as TLS does it, by close_notify. In clear text the end of the connection says it all.
    pub async fn close(&mut self) {
        if let Transport::Tls(tls) = &mut self.transport {
            // Whoever has hung up already needs no goodbye.
            let _ = tls.shutdown().await;
        }
    }

    /// The two ends of the connection: our own address, and the server's.
    ///
    /// # Errors
    /// What the system said; the connection may be gone already.
    pub fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let tcp = self.tcp().ok_or(io::ErrorKind::NotConnected)?;
        Ok((tcp.local_addr()?, tcp.peer_addr()?))
    }
}
