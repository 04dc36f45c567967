//! [`TcpConnection`]: a TCP connection that records when octets left and arrived, by the kernel's clock where that is
//! possible.
//!
//! Linux stamps each segment when it arrives (`SO_TIMESTAMPING`), and tells the stamp of the last segment of which a
//! `recvmsg` takes octets. The time that the process then waits for a core is in no stamp. What left is stamped just
//! before the system call: the kernel's own stamp of it would cost a system call more, and the segment is on its way
//! some microseconds later.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
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

/// Octets that one read takes at most.
const READ_BUFFER_SIZE: usize = 4096;

thread_local! {
    static READ_BUFFER: RefCell<[u8; READ_BUFFER_SIZE]> = const { RefCell::new([0; READ_BUFFER_SIZE]) };
}

/// Lends the buffer for a read. There is one for each thread: thousands of waiting checks need none, and none has to be
/// zeroed.
pub(super) fn with_read_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READ_BUFFER.with_borrow_mut(|buffer| read(buffer))
}

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

/// Waits until a connection is established, or has failed. Returns when the runtime noticed: the task that waits for it
/// may run much later, and the greeting may have arrived by then.
async fn connected(tcp: &TcpStream) -> io::Result<Instant> {
    let mut wake: Option<Arc<NotedWake>> = None;
    poll_fn(|context| {
        let last = wake.take();
        let next = Arc::new(NotedWake { task: context.waker().clone(), at: OnceLock::new() });
        let waker = Waker::from(Arc::clone(&next));
        let is_ready = tcp.poll_write_ready(&mut Context::from_waker(&waker));
        wake = Some(next);
        let noticed = || last.and_then(|wake| wake.at.get().copied()).unwrap_or_else(Instant::now);
        is_ready.map_ok(|()| noticed())
    })
    .await
}

/// A waker that notes when it wakes.
struct NotedWake {
    task: Waker,
    at: OnceLock<Instant>,
}

impl Wake for NotedWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.at.get_or_init(Instant::now);
        self.task.wake_by_ref();
    }
}

/// A TCP connection to a mail server.
#[derive(Debug)]
pub struct TcpConnection {
    tcp: TcpStream,
    clock: KernelClock,
    established: Instant,
    /// Octets that were read when the connection was established.
    greeting: Vec<u8>,
    /// When the octets arrived that were read last.
    arrived: Stamp,
    /// When they were read.
    read: Instant,
    /// When the first octets left since the last [`Self::forget_sent`].
    sent: Option<Instant>,
}

impl TcpConnection {
    /// Waits until a connection is established whose first octet cannot have arrived before `began`.
    ///
    /// # Errors
    /// The connection is not established.
    pub(super) async fn established(tcp: TcpStream, began: Reading) -> io::Result<Self> {
        let known = connected(&tcp).await?;
        let (clock, arrived, greeting) = (KernelClock::new(began), known.into(), Vec::new());
        let mut established = Self { tcp, clock, established: known, greeting, arrived, read: known, sent: None };
        established.read_greeting()?;
        Ok(established)
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

    /// When the connection was established, as far as the process knows. A greeting never arrived before that.
    pub fn established_at(&self) -> Instant {
        self.established
    }

    /// Reads a greeting that is there already: it may have arrived before the process knew of the connection. The
    /// runtime knows of it then, so where there is none, no system call is made. This tells, too, whether there is a
    /// connection.
    #[cfg(target_os = "linux")]
    fn read_greeting(&mut self) -> io::Result<()> {
        let greeting = with_read_buffer(|octets| {
            kernel_stamps::try_read(&self.tcp, octets).map(|(count, stamp)| (octets[..count].to_vec(), stamp))
        });
        match greeting {
            // Closed, which the next read tells.
            Ok((octets, _)) if octets.is_empty() => {}
            Ok((octets, stamp)) => {
                self.note_read(stamp);
                self.greeting = octets;
                if self.arrived.clock == Clock::Kernel {
                    self.established = self.established.min(self.arrived.at);
                }
            }
            // What comes from now on came after the connection, or its stamp is wrong.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clock.starts_over(self.established),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Tells whether there is a connection.
    #[cfg(not(target_os = "linux"))]
    fn read_greeting(&mut self) -> io::Result<()> {
        self.tcp.take_error()?.map_or(Ok(()), Err)
    }

    /// The octets that were read when the connection was established.
    pub(super) fn take_greeting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.greeting)
    }

    /// Sends small segments without a wait for the acknowledgement of what was sent before: Nagle's algorithm together
    /// with the peer's delayed ACK costs 40 ms in a TLS handshake or behind a long message, which would count as the
    /// server's time. A command that follows a reply never waits, so most connections do without the system call.
    pub(super) fn send_at_once(&self) {
        // An error is the connection's, and the next write has it.
        self.tcp.set_nodelay(true).ok();
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
