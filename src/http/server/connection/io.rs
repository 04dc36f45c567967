//! The connection to one caller, as hyper, the answers that are made for it and whoever watches over it share it.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{HEADER_SIZE, Version, transport::Transport};

/// Bytes that are read ahead of hyper, at the most.
const AHEAD: usize = HEADER_SIZE;
/// So much is read at once, in octets. Not zeroed first: this is done each time that the connection is looked at.
const ROOM: usize = 4096;
/// How long what a caller still sends is read and dropped after the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// What a connection of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A handle on the connection, which is closed with the last one. For hyper it is the stream of bytes.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    transport: Transport,
    /// Read, and not taken by hyper.
    ahead: Vec<u8>,
    /// The caller has hung up.
    ended: bool,
    /// hyper knows of the end.
    end_seen_by_hyper: bool,
    linger: Option<Pin<Box<Sleep>>>,
    /// A request's body was left before its end: what comes next need not be a request.
    body_unread: bool,
    /// Requests so far.
    begun: u64,
    /// Requests whose answer is still being made.
    making: usize,
    /// Requests of whose answer a piece is made that hyper has still to take over.
    sending: usize,
    /// Pieces of answers so far.
    made: u64,
    /// The connection's task. HTTP/2 makes its answers in other tasks, which wake this one to look again.
    task: Option<Waker>,
}

/// Who has to move next, for an answer to get on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// We do.
    Making,
    /// hyper has to take what is made, and for that the caller may have to read.
    Sending,
}

/// What a connection waits for. Two that differ are two waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// For our own answer, which is bounded by whoever makes it.
    Answer,
    /// For the caller to send the next request's header. Nothing is owed to the caller.
    Request { begun: u64 },
    /// For the caller to read.
    Room { written: u64 },
    /// For the caller to open the window of an HTTP/2 stream (RFC 9113, section 5.2).
    Window { made: u64 },
}

impl Line {
    pub(super) fn new(transport: Transport) -> Self {
        Self(Arc::new(Mutex::new(State {
            transport,
            ahead: Vec::new(),
            ended: false,
            end_seen_by_hyper: false,
            linger: None,
            body_unread: false,
            begun: 0,
            making: 0,
            sending: 0,
            made: 0,
            task: None,
        })))
    }

    /// Ready once the first bytes tell the version that the caller speaks; hyper gets to see them too.
    pub(super) fn poll_version(&self, cx: &mut Context<'_>) -> Poll<Version> {
        let mut state = self.state();
        loop {
            if state.ahead.starts_with(PREFACE) {
                return Poll::Ready(Version::Http2);
            }
            if state.ended || !PREFACE.starts_with(&state.ahead) {
                return Poll::Ready(Version::Http1);
            }
            ready!(state.poll_read_ahead(cx));
        }
    }

    /// Ready with true once there is something to read, with false once there will be nothing more.
    pub(super) fn poll_next_request(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.ahead.is_empty() && !state.ended {
            ready!(state.poll_read_ahead(cx));
        }
        Poll::Ready(!state.ahead.is_empty())
    }

    /// Takes back what hyper has read, and not used.
    pub(super) fn unread(&self, bytes: Bytes) {
        let mut state = self.state();
        state.ahead.splice(..0, bytes);
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// Whether there were more requests than `begun`, all of them are answered, and the answers are written. hyper, which has
    /// nothing to do then but to read, may be done without, unless it is closing the connection, or has the rest of a body to get past.
    pub(super) fn is_idle_after(&self, begun: u64) -> bool {
        let state = self.state();
        let is_idle = state.making == 0 && state.sending == 0 && !state.transport.socket().blocked;
        is_idle && state.begun > begun && state.linger.is_none() && !state.body_unread
    }

    /// The answer to a request gets from one stage to another: from none when it is begun, to none when it is over.
    pub(super) fn pass(&self, from: Option<Stage>, to: Option<Stage>) {
        let mut state = self.state();
        from.inspect(|stage| *state.count(*stage) -= 1);
        to.inspect(|stage| *state.count(*stage) += 1);
        state.begun += u64::from(from.is_none());
        state.made += u64::from(to == Some(Stage::Sending));
        // It is the task itself that begins one.
        let task = if from.is_none() || from == to { None } else { state.task.clone() };
        drop(state);
        task.inspect(Waker::wake_by_ref);
    }

    /// A request's body is left before its end.
    pub(super) fn leave_body(&self) {
        self.state().body_unread = true;
    }

    /// What the connection waits for now; `task` is woken when an answer gets on.
    pub(super) fn wait(&self, task: &Waker) -> Wait {
        let mut state = self.state();
        state.task.get_or_insert_with(|| task.clone()).clone_from(task);
        let socket = state.transport.socket();
        match *state {
            _ if socket.blocked => Wait::Room { written: socket.written },
            State { making: 0, sending: 0, begun, .. } => Wait::Request { begun },
            State { making: 0, made, .. } => Wait::Window { made },
            _ => Wait::Answer,
        }
    }

    /// Ready once the caller has hung up and hyper does not get to see it: it reads nothing while an answer is made, nor while it
    /// has bytes that it cannot use yet, such as a second request. Each time that there is something new, hyper is given the chance
    /// to take it first.
    pub(super) fn poll_hang_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.ended {
            return if state.end_seen_by_hyper { Poll::Pending } else { Poll::Ready(()) };
        }
        if state.ahead.len() < AHEAD {
            ready!(state.poll_read_ahead(cx));
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, stage: Stage) -> &mut usize {
        match stage {
            Stage::Making => &mut self.making,
            Stage::Sending => &mut self.sending,
        }
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut room));
        self.ended = read.is_err() || room.filled().is_empty();
        self.ahead.extend_from_slice(room.filled());
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            self.end_seen_by_hyper = self.ended;
            return Pin::new(&mut self.transport).poll_read(cx, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            // There are many connections, and few are ever read ahead of again.
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes our side, then reads and drops until the caller has closed the other.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // TLS has something to write first. That it cannot be written matters no more.
        ready!(Pin::new(&mut self.transport).poll_shutdown(cx)).ok();
        let mut rest = [MaybeUninit::uninit(); ROOM];
        loop {
            let mut rest = ReadBuf::uninit(&mut rest);
            match ready!(self.poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.state().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
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

    fn is_write_vectored(&self) -> bool {
        self.state().transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().transport).poll_flush(cx)
    }

    /// Closes our side, and then reads a while. To close a socket in which unread bytes lie resets the connection, and a caller that
    /// is still uploading would lose the very answer that says why it was refused (RFC 9112, section 9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let over = state.linger.get_or_insert_with(|| Box::pin(sleep(LINGER))).as_mut().poll(cx).is_ready();
        if over || state.poll_close(cx).is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
