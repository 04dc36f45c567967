//! The I/O of one connection, shared by hyper, the responses that are made for it, and the task that watches over it.

use std::{
    collections::BTreeMap,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::{body::Bytes, http::Version};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{MAX_HEADER_SIZE, transport::Transport};

/// Bytes that are read ahead of hyper. More than that is read and dropped: behind it, the caller may have hung up.
const MAX_READ_AHEAD_SIZE: usize = MAX_HEADER_SIZE;
/// Bytes that are dropped until the caller counts as gone.
const MAX_DROPPED_SIZE: usize = 16 * 1024 * 1024;
/// Bytes of one read. The buffer is not zeroed first: a connection is read each time that its task is polled.
pub(super) const READ_SIZE: usize = 4096;
/// How long the rest of what the caller sends is read and dropped after the last response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// The start of an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A handle on the connection, which is closed with the last one. For hyper it is the byte stream.
#[derive(Clone, Debug)]
pub(super) struct ConnIo(Arc<Mutex<State<dyn Transport>>>);

#[derive(Debug)]
struct State<T: ?Sized> {
    /// Read, and not yet taken by hyper.
    read_ahead: Vec<u8>,
    /// Read past [`MAX_READ_AHEAD_SIZE`] and dropped. No request can be read after that.
    dropped: usize,
    /// The caller has hung up.
    is_read_closed: bool,
    /// Bytes received, after which hyper gets nothing more to read until `Connection` raises it, and polls hyper.
    read_quota: usize,
    linger: Option<Pin<Box<Sleep>>>,
    /// A request's body was dropped before its end: what comes next need not be a request.
    has_unread_body: bool,
    /// Bodies of requests that a handler may still read.
    open_bodies: usize,
    /// Requests so far.
    requests: u64,
    /// Responses whose next piece is not made yet.
    preparing: usize,
    /// Of these, the responses to requests whose body is waited for.
    awaited_bodies: usize,
    /// Pieces of request bodies that were waited for.
    body_pieces: u64,
    /// Pieces of responses that the caller has not taken, by number, and since when.
    unread: BTreeMap<u64, Instant>,
    /// Pieces of responses so far.
    pieces: u64,
    /// The connection's task. HTTP/2 makes responses in other tasks, which wake this one.
    task: Option<Waker>,
    transport: T,
}

/// Who has to act next on a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// We do: the next piece is not made yet.
    Preparing,
    /// hyper has to take over the piece of this number, and for that the caller may have to read.
    Sending(u64),
}

/// What a connection waits for. Two values that differ are two waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// For our own response, which the handler bounds. `unread_since`: for the caller to take another one.
    Response { unread_since: Option<Instant> },
    /// For the body of a request, which the handler bounds.
    Body { pieces: u64 },
    /// For the header of the next request. The caller is owed nothing.
    Request { requests: u64 },
    /// For the caller to read.
    Write { written: u64 },
    /// For the caller to open the window of an HTTP/2 stream (RFC 9113, section 5.2).
    Window { since: Instant },
}

impl ConnIo {
    pub(super) fn new(transport: impl Transport + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            read_ahead: Vec::new(),
            dropped: 0,
            is_read_closed: false,
            read_quota: usize::MAX,
            linger: None,
            has_unread_body: false,
            open_bodies: 0,
            requests: 0,
            preparing: 0,
            awaited_bodies: 0,
            body_pieces: 0,
            unread: BTreeMap::new(),
            pieces: 0,
            task: None,
            transport,
        })))
    }

    /// Waits for the first bytes of the next request, which hyper gets to read too: the version that they are of, or
    /// none once the caller has closed the connection.
    pub(super) fn poll_next_request(&self, cx: &mut Context<'_>) -> Poll<Option<Version>> {
        let mut state = self.state();
        loop {
            let (bytes, is_first) = (state.read_ahead.as_slice(), state.requests == 0);
            if is_first && bytes.starts_with(HTTP2_PREFACE) {
                return Poll::Ready(Some(Version::HTTP_2));
            }
            let is_undecided = bytes.is_empty() || is_first && HTTP2_PREFACE.starts_with(bytes);
            if state.is_read_closed || !is_undecided {
                return Poll::Ready((!bytes.is_empty()).then_some(Version::HTTP_11));
            }
            ready!(state.poll_read_ahead(cx));
        }
    }

    /// Takes back what hyper has read and not used.
    pub(super) fn unread(&self, bytes: Bytes) {
        self.state().read_ahead.splice(..0, bytes);
    }

    /// Bytes that the caller has sent so far.
    pub(super) fn received(&self) -> usize {
        usize::try_from(self.state().transport.socket().read).unwrap_or(usize::MAX)
    }

    /// Sets after how many received bytes hyper gets nothing more to read. What is owed is still written.
    pub(super) fn set_read_quota(&self, size: usize) {
        self.state().read_quota = size;
    }

    pub(super) fn has_used_quota(&self) -> bool {
        self.received() >= self.state().read_quota
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Whether there were more requests than `requests`, and all of them are answered. hyper, which would only wait for
    /// the next one, can be dropped then, unless it is closing the connection, or has to get past the rest of a body.
    pub(super) fn is_idle_after(&self, requests: u64) -> bool {
        let state = self.state();
        let is_answered = state.preparing == 0 && state.unread.is_empty() && !state.transport.socket().is_blocked;
        is_answered && state.requests > requests && state.linger.is_none() && !state.has_unread_body
    }

    /// Counts a request, whose response is owed from now on.
    pub(super) fn begin_response(&self) {
        let mut state = self.state();
        state.preparing += 1;
        state.requests += 1;
    }

    /// Notes that a piece of a response is made. `from` is the stage before.
    pub(super) fn send_piece(&self, from: Stage) -> Stage {
        let mut state = self.state();
        state.leave(from);
        state.pieces += 1;
        let piece = state.pieces;
        state.unread.insert(piece, Instant::now());
        state.wake();
        Stage::Sending(piece)
    }

    /// Counts a piece of a response that hyper takes over. It is unread until it is dropped, in whichever buffer it is.
    pub(super) fn take_piece(&self) -> UnreadPiece {
        let mut state = self.state();
        state.pieces += 1;
        let number = state.pieces;
        state.unread.insert(number, Instant::now());
        UnreadPiece { io: self.clone(), number }
    }

    /// Whether a response is owed, or not taken.
    pub(super) fn has_responses(&self) -> bool {
        let state = self.state();
        state.preparing > 0 || !state.unread.is_empty()
    }

    /// Notes that the next piece of a response is to be made. `from` is the stage before.
    pub(super) fn prepare_piece(&self, from: Stage) {
        if from != Stage::Preparing {
            let mut state = self.state();
            state.leave(from);
            state.preparing += 1;
            state.wake();
        }
    }

    /// Notes that a response is over, or dropped.
    pub(super) fn end_response(&self, from: Stage) {
        let mut state = self.state();
        state.leave(from);
        state.wake();
    }

    /// Notes whether the handler waits for the caller to send more of a body.
    pub(super) fn await_body(&self, is_awaited: bool) {
        let mut state = self.state();
        if is_awaited {
            state.awaited_bodies += 1;
        } else {
            state.awaited_bodies -= 1;
            state.body_pieces += 1;
        }
        state.wake();
    }

    /// Counts a request's body that a handler may read.
    pub(super) fn open_body(&self) {
        self.state().open_bodies += 1;
    }

    /// Notes that no handler reads a request's body any more, and whether it was dropped before its end.
    pub(super) fn close_body(&self, is_unread: bool) {
        let mut state = self.state();
        state.open_bodies -= 1;
        state.has_unread_body |= is_unread;
    }

    /// Whether bytes of the caller were dropped, so that the connection has to end with the responses that are owed.
    pub(super) fn has_dropped_bytes(&self) -> bool {
        self.state().dropped > 0
    }

    /// What the connection waits for now. `task` is woken when a response changes its stage.
    pub(super) fn wait(&self, task: &Waker) -> Wait {
        let mut state = self.state();
        state.task.get_or_insert_with(|| task.clone()).clone_from(task);
        let socket = state.transport.socket();
        let unread_since = state.unread.first_key_value().map(|(_, since)| *since);
        if socket.is_blocked {
            Wait::Write { written: socket.written }
        } else if state.preparing > state.awaited_bodies {
            Wait::Response { unread_since }
        } else if let Some(since) = unread_since {
            Wait::Window { since }
        } else if state.preparing > 0 {
            Wait::Body { pieces: state.body_pieces }
        } else {
            Wait::Request { requests: state.requests }
        }
    }

    /// Ready once the caller has hung up. hyper does not see it: it reads nothing while a response is made, nor while
    /// it has bytes that it cannot use yet, such as a second request. Whatever is new, hyper gets the chance to read it
    /// first.
    pub(super) fn poll_hang_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_read_closed {
            return Poll::Ready(());
        }
        if state.read_ahead.len() < MAX_READ_AHEAD_SIZE {
            ready!(state.poll_read_ahead(cx));
        } else if state.open_bodies > 0 {
            // The handler reads on, within the timeout of bodies.
            return Poll::Pending;
        } else {
            ready!(state.poll_drop(cx));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[cfg(test)]
    pub(super) fn read_ahead_size(&self) -> usize {
        self.state().read_ahead.len()
    }

    fn state(&self) -> MutexGuard<'_, State<dyn Transport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<dyn Transport> {
    fn leave(&mut self, stage: Stage) {
        match stage {
            Stage::Preparing => self.preparing -= 1,
            Stage::Sending(piece) => drop(self.unread.remove(&piece)),
        }
    }

    /// Lets the connection's task look what it waits for now.
    fn wake(&self) {
        self.task.as_ref().inspect(|task| task.wake_by_ref());
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer));
        self.is_read_closed = read.is_err() || buffer.filled().is_empty();
        self.read_ahead.extend_from_slice(buffer.filled());
        Poll::Ready(())
    }

    /// Reads and drops what does not fit into the memory of one connection.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer));
        self.dropped += buffer.filled().len();
        self.is_read_closed = read.is_err() || buffer.filled().is_empty() || self.dropped > MAX_DROPPED_SIZE;
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_ahead.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buffer);
        }
        let count = self.read_ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.read_ahead[..count]);
        self.read_ahead.drain(..count);
        if self.read_ahead.is_empty() {
            // Gives the memory back: few of many connections are read ahead again.
            self.read_ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes our side, then reads and drops until the caller has closed the other.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // TLS writes its close_notify first. An error no longer matters.
        ready!(Pin::new(&mut self.transport).poll_shutdown(cx)).ok();
        let mut buffer = [MaybeUninit::uninit(); READ_SIZE];
        loop {
            let mut buffer = ReadBuf::uninit(&mut buffer);
            match ready!(self.poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// A piece of a response that the caller has not taken.
#[derive(Debug)]
pub(super) struct UnreadPiece {
    io: ConnIo,
    number: u64,
}

impl Drop for UnreadPiece {
    fn drop(&mut self) {
        self.io.end_response(Stage::Sending(self.number));
    }
}

impl AsyncRead for ConnIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.has_used_quota() { Poll::Pending } else { self.state().poll_read(cx, buffer) }
    }
}

impl AsyncWrite for ConnIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.state().transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.state().transport).poll_write_vectored(cx, bytes)
    }

    /// Else hyper would copy each body into its own buffer.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().transport).poll_flush(cx)
    }

    /// Closes our side, then reads for a while. To close a socket that holds unread bytes resets the connection, and a
    /// caller that is still uploading would lose the response that says why it was refused (RFC 9112, section 9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let linger = state.linger.get_or_insert_with(|| Box::pin(sleep(LINGER_TIMEOUT)));
        let is_over = linger.as_mut().poll(cx).is_ready();
        if is_over || state.poll_close(cx).is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
