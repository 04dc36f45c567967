//! [`TcpConnection`]: a TCP connection that records when octets left and arrived, by the kernel's clock where that is
//! possible.
//!
//! Linux stamps each segment when it arrives (`SO_TIMESTAMPING`), and tells the stamp of the last segment of which a
//! `recvmsg` takes octets. The time that the process then waits for a core is in no stamp. What left is stamped just
//! before the system call: the kernel's own stamp of it would cost a system call more, and the segment is on its way
//! some microseconds later.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use socket2::{Domain, Socket, Type};
#[cfg(not(target_os = "linux"))]
use std::task::ready;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::kernel_clock::{KernelClock, Reading};
#[cfg(target_os = "linux")]
use super::kernel_stamps;
use crate::phase::{Clock, Stamp};

/// Keeps Linux stamping segments, as long as it exists.
///
/// Linux stamps nothing while no socket asks for it, and begins some time after the first one has. Without this socket
/// the first segments of a check that runs alone would have no stamp.
#[derive(Debug)]
pub struct KeepStamping {
    _socket: Option<Socket>,
}

impl KeepStamping {
    /// Asks for stamps. Does nothing where there are none.
    pub fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok();
        #[cfg(target_os = "linux")]
        let socket = socket.filter(|socket| kernel_stamps::enable(socket).is_ok());
        Self { _socket: socket }
    }
}

/// A TCP connection to a mail server.
#[derive(Debug)]
pub struct TcpConnection {
    tcp: TcpStream,
    clock: KernelClock,
    /// When the octets arrived that were read last.
    arrived: Stamp,
    /// When they were read.
    read: Instant,
    /// When the first octets left since the last [`Self::forget_sent`].
    sent: Option<Instant>,
}

impl TcpConnection {
    /// A connection whose first octet cannot have arrived before `began`.
    pub(super) fn new(tcp: TcpStream, began: Reading) -> Self {
        let read = began.monotonic;
        Self { tcp, clock: KernelClock::new(began), arrived: read.into(), read, sent: None }
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.tcp
    }

    /// When the octets arrived that were read last: the last segment of them.
    pub fn arrived(&self) -> Stamp {
        self.arrived
    }

    /// When octets were read last.
    pub fn read_at(&self) -> Instant {
        self.read
    }

    /// When the first octets left since the last [`Self::forget_sent`].
    pub(super) fn sent(&self) -> Option<Instant> {
        self.sent
    }

    /// Waits for the next octets to leave.
    pub(super) fn forget_sent(&mut self) {
        self.sent = None;
    }

    /// What was read until `now`, and is still to be taken out of a buffer, counts as arrived now; and nothing that is
    /// read from now on arrived before.
    pub(super) fn start_over(&mut self, now: Instant) {
        self.clock.starts_over(now);
        (self.arrived, self.read) = (now.into(), now);
    }

    /// When the connection was established, if the process knew it at `known`. A greeting may have arrived before that.
    pub fn established(&mut self, known: Instant) -> Instant {
        let greeted = self.waiting_since().filter(|greeting| greeting.clock == Clock::Kernel);
        greeted.map_or(known, |greeting| greeting.at.min(known))
    }

    /// When the first octets arrived that are not read yet, if there are any. They stay where they are.
    #[cfg(target_os = "linux")]
    pub(super) fn waiting_since(&mut self) -> Option<Stamp> {
        let (octets, stamp) = kernel_stamps::peek(&self.tcp).ok()?;
        (octets > 0).then(|| self.clock.read(stamp, Reading::now()))
    }

    /// When the first octets arrived that are not read yet, if this system can tell.
    #[cfg(not(target_os = "linux"))]
    fn waiting_since(&mut self) -> Option<Stamp> {
        None
    }

    fn note_read(&mut self, stamp: Option<std::time::SystemTime>) {
        let now = Reading::now();
        (self.arrived, self.read) = (self.clock.read(stamp, now), now.monotonic);
    }

    fn note_write(&mut self) {
        if self.sent.is_none() {
            let now = Reading::now();
            self.clock.wrote(now);
            self.sent = Some(now.monotonic);
        }
    }
}

impl AsyncRead for TcpConnection {
    #[cfg(target_os = "linux")]
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        kernel_stamps::poll_read(&self.tcp, context, read).map_ok(|stamp| self.note_read(stamp))
    }

    #[cfg(not(target_os = "linux"))]
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_read(context, read))?;
        self.note_read(None);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.note_write();
        Pin::new(&mut self.tcp).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_write();
        Pin::new(&mut self.tcp).poll_write_vectored(context, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
