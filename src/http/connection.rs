//! One connection of a caller: served by hyper, with every wait on the caller bounded.
//!
//! hyper bounds the time of a header only for HTTP/1, and not while it is still finding out which version is spoken. So the bounds
//! are kept here, once for all versions, by looking at what the connection waits for.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{Request, Response},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{Instant, Sleep, sleep},
};
use tower::ServiceExt;

use super::ServerSettings;

/// Bytes of a request's header, at the most.
const HEADER_SIZE: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Bytes that are read ahead of hyper, at the most.
const AHEAD: usize = HEADER_SIZE;
/// How long what a caller still sends is read and dropped after the last answer.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection to its end. Once `stop` holds true, it ends as soon as no answer is owed.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    settings: ServerSettings,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Without it Nagle's algorithm holds back the second of two small writes until the first is acknowledged: 40 ms.
    stream.set_nodelay(true).ok();

    let activity = Arc::new(Activity::default());
    let service = service_fn(|mut request: Request<Incoming>| {
        let exchange = activity.begin();
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let response: Response<Body> = answer.await?;
            Ok::<_, Infallible>(response.map(|body| Owed { body, _exchange: exchange }))
        }
    });
    let (inbound, outbound) = stream.into_split();
    let inbound = Inbound::new(inbound);
    let observed = Observed { inbound: inbound.clone(), outbound, activity: activity.clone(), linger: None };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(observed), service));
    let mut patience = Patience::new(settings);
    let mut stop = pin!(async move { stop.wait_for(|stop| *stop).await.is_ok() });
    let mut stopping = false;

    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                if let Err(error) = end {
                    tracing::debug!(%peer, ?error, "a connection broke off");
                }
                return Poll::Ready(());
            }
            if stopping || stop.as_mut().poll(cx).is_pending() {
                break;
            }
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        let wait = activity.wait(cx.waker());
        match wait {
            Wait::Request { .. } if stopping => Poll::Ready(()),
            Wait::Answer if inbound.poll_hang_up(cx).is_ready() => Poll::Ready(()),
            _ => patience.poll_end(wait, cx),
        }
    })
    .await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `half_close` stays off: a caller that hangs up ends the handler, and with it the check.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADER_SIZE);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEADER_SIZE as u32);
    builder
}

/// What a connection is doing, seen from the outside.
#[derive(Debug, Default)]
struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests so far.
    begun: u64,
    /// Requests whose answer hyper has not taken over entirely.
    owed: usize,
    /// Bytes written so far.
    written: u64,
    /// Whether the last write found no room in the socket's buffer.
    blocked: bool,
    /// The connection's task. HTTP/2 ends its exchanges in other tasks, which wake this one to look again.
    connection: Option<Waker>,
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Exchange {
        let mut state = self.state();
        state.begun += 1;
        state.owed += 1;
        Exchange(self.clone())
    }

    /// What the connection waits for now; `connection` is woken when an exchange ends.
    fn wait(&self, connection: &Waker) -> Wait {
        let mut state = self.state();
        state.connection.get_or_insert_with(|| connection.clone()).clone_from(connection);
        match *state {
            State { blocked: true, written, .. } => Wait::Room { written },
            State { owed: 0, begun, .. } => Wait::Request { begun },
            _ => Wait::Answer,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the connection waits for. Two that differ are two waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    /// For our own answer, which is bounded by whoever makes it.
    Answer,
    /// For the caller to send the next request's header. Nothing is owed to the caller.
    Request { begun: u64 },
    /// For the caller to read.
    Room { written: u64 },
}

/// How long the caller may let one wait last.
#[derive(Debug)]
struct Patience {
    settings: ServerSettings,
    wait: Wait,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(settings: ServerSettings) -> Self {
        Self { settings, wait: Wait::Request { begun: 0 }, timer: Box::pin(sleep(settings.header_timeout)) }
    }

    fn poll_end(&mut self, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match wait {
            Wait::Answer => None,
            Wait::Request { .. } => Some(self.settings.header_timeout),
            Wait::Room { .. } => Some(self.settings.body_timeout),
        };
        let is_new = self.wait != wait;
        self.wait = wait;
        match limit {
            None => Poll::Pending,
            Some(limit) => {
                if is_new {
                    self.timer.as_mut().reset(Instant::now() + limit);
                }
                self.timer.as_mut().poll(cx)
            }
        }
    }
}

/// One request until its answer has been taken over by hyper, or dropped.
#[derive(Debug)]
struct Exchange(Arc<Activity>);

impl Drop for Exchange {
    fn drop(&mut self) {
        let connection = {
            let mut state = self.0.state();
            state.owed -= 1;
            state.connection.clone()
        };
        connection.inspect(Waker::wake_by_ref);
    }
}

/// The body of an answer, which is owed until hyper lets go of it.
#[derive(Debug)]
struct Owed {
    body: Body,
    _exchange: Exchange,
}

impl HttpBody for Owed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the caller sends. hyper stops reading while it has bytes that it cannot use yet, such as a second request or an empty line
/// too many; it would not notice then that the caller hangs up.
#[derive(Clone, Debug)]
struct Inbound(Arc<Mutex<Ahead>>);

#[derive(Debug)]
struct Ahead {
    stream: OwnedReadHalf,
    /// Read, and not taken by hyper.
    bytes: Vec<u8>,
    ended: bool,
    /// hyper knows of the end.
    told: bool,
}

impl Inbound {
    fn new(stream: OwnedReadHalf) -> Self {
        Self(Arc::new(Mutex::new(Ahead { stream, bytes: Vec::new(), ended: false, told: false })))
    }

    /// Ready once the caller has hung up and hyper does not get to see it. Each time that there is something new, hyper is given
    /// the chance to take it first.
    fn poll_hang_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ahead = self.ahead();
        if ahead.ended {
            return if ahead.told { Poll::Pending } else { Poll::Ready(()) };
        }
        if ahead.bytes.len() >= AHEAD {
            return Poll::Pending;
        }
        let mut room = [0; 4096];
        let mut room = ReadBuf::new(&mut room);
        let read = ready!(Pin::new(&mut ahead.stream).poll_read(cx, &mut room));
        ahead.ended = read.is_err() || room.filled().is_empty();
        ahead.bytes.extend_from_slice(room.filled());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut ahead = self.ahead();
        if ahead.bytes.is_empty() {
            ahead.told = ahead.ended;
            return Pin::new(&mut ahead.stream).poll_read(cx, buffer);
        }
        let count = ahead.bytes.len().min(buffer.remaining());
        buffer.put_slice(&ahead.bytes[..count]);
        ahead.bytes.drain(..count);
        Poll::Ready(Ok(()))
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that notes what is written, and that lingers at its end.
#[derive(Debug)]
struct Observed {
    inbound: Inbound,
    outbound: OwnedWriteHalf,
    activity: Arc<Activity>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl Observed {
    fn note(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut state = self.activity.state();
        state.blocked = result.is_pending();
        if let Poll::Ready(Ok(count)) = &result {
            state.written += *count as u64;
        }
        result
    }

    /// Reads and drops until the caller closes its side.
    fn poll_drop_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut rest = [0; 4096];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(self.inbound.poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Observed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inbound.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.outbound).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.outbound).poll_write_vectored(cx, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.outbound.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outbound).poll_flush(cx)
    }

    /// Closes our side, and then reads a while. To close a socket in which unread bytes lie resets the connection, and a caller that
    /// is still uploading would lose the very answer that says why it was refused (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.outbound).poll_shutdown(cx))?;
            self.linger = Some(Box::pin(sleep(LINGER)));
        }
        let over = self.linger.as_mut().is_some_and(|linger| linger.as_mut().poll(cx).is_ready());
        if over || self.poll_drop_rest(cx).is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
