//! One connection of a caller: served by hyper, with every wait for the caller bounded.
//!
//! hyper bounds the time of a header only for HTTP/1, and only once it knows the version. So the timeouts are kept
//! here, once for both versions, by what the connection waits for.

mod body_allowance;
mod io;
mod read_quota;
mod response_guard;
mod stream_allowance;
mod transport;

use std::{
    future::poll_fn,
    mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, http::Version};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};

pub(crate) use body_allowance::BodyAllowance;
use io::{ConnIo, Wait};
use read_quota::ReadQuota;
pub(crate) use response_guard::HeldRequest;
use response_guard::RouterService;
pub(super) use stream_allowance::StreamAllowance;
use stream_allowance::{AllowedStreams, FEW_STREAMS};
use transport::Socket;

use crate::{
    clock,
    http::{json::to_json, problem::Problem},
};

use super::{
    ServerSettings,
    connection_limit::{CallerState, ConnectionPermit},
};

/// Bytes of a request's header.
const MAX_HEADER_SIZE: usize = 16 * 1024;
/// Bytes that TLS holds for a caller that does not read.
const MAX_TLS_BUFFER_SIZE: usize = 16 * 1024;
/// Bytes of an HTTP/2 stream, and of all streams of a connection, that the caller may send before a handler reads them.
const STREAM_WINDOW_SIZE: u32 = 64 * 1024;
const CONNECTION_WINDOW_SIZE: u32 = 64 * 1024;
/// Streams of an HTTP/2 connection that the caller reset before they were accepted ("rapid reset", CVE-2023-44487).
const MAX_PENDING_ACCEPT_RESET_STREAMS: usize = 20;
/// Streams of an HTTP/2 connection that we reset for errors of the caller ("made you reset", CVE-2025-8671). hyper
/// keeps them for a second. Data of a refused stream is such an error, and a client that does not know our settings yet
/// may begin 100 requests, as that of Go does: the others are refused, and the connection goes on.
const MAX_LOCAL_ERROR_RESET_STREAMS: usize = 100 - FEW_STREAMS as usize;

/// Bytes that an HTTP/2 connection may receive. It is closed soon after its last response then, so that it holds no
/// more bytes of the budget.
const MAX_CONNECTION_SIZE: usize = 256 * 1024;
/// Bytes that an HTTP/2 connection without a pause may receive, so that each of 256 streams may have a body of 16 KiB.
/// It ends with the responses that are owed then.
const MAX_BUSY_CONNECTION_SIZE: usize = 8 * 1024 * 1024;
/// How long a used-up connection waits for a request: long enough that few callers send one meanwhile. GOAWAY would be
/// better, but the widely used h2 of Python drops a response that comes with it.
const USED_UP_TIMEOUT: Duration = Duration::from_millis(100);

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) settings: ServerSettings,
    pub(super) streams: StreamAllowance,
    /// True once the service is to end.
    pub(super) stop: watch::Sender<bool>,
}

/// Serves one connection to its end. Once the service is to end, it ends as soon as no response is owed.
pub(super) async fn serve(tcp: TcpStream, peer: SocketAddr, server: Arc<Server>, mut permit: ConnectionPermit) {
    // Nagle's algorithm holds back the second of two small writes until the first is acknowledged: 40 ms.
    tcp.set_nodelay(true).ok();
    let mut stop = server.stop.subscribe();
    let mut stop = pin!(async move { stop.wait_for(|stop| *stop).await.is_ok() });
    let io = tokio::select! {
        io = Box::pin(handshake(tcp.into(), &server.settings)) => io,
        _ = &mut stop => None,
        () = poll_fn(|cx| permit.poll_evicted(cx, CallerState::Idle)) => None,
    };
    let Some(io) = io else { return };

    let service = RouterService {
        server: server.clone(),
        peer,
        io: io.clone(),
        is_reserved: permit.is_reserved(),
        body_allowance: BodyAllowance::default(),
        holdings: permit.holdings().clone(),
        turn: Arc::default(),
    };
    let timer = Box::pin(sleep(server.settings.header_timeout));
    let wait = Wait::Request { requests: 0 };
    let mut connection =
        Connection { io, permit, stop, is_stopping: false, settings: &server.settings, quota: None, wait, timer };
    if let Err(error) = connection.serve(service).await {
        tracing::debug!(%peer, ?error, "a connection broke off");
    }
}

/// Makes the TLS handshake, if there is to be one. None if it fails, or takes too long.
async fn handshake(socket: Socket, settings: &ServerSettings) -> Option<ConnIo> {
    let Some(identity) = &settings.identity else { return Some(ConnIo::new(socket)) };
    let accept = identity.acceptor().accept_with(socket, |tls| tls.set_buffer_limit(Some(MAX_TLS_BUFFER_SIZE)));
    match timeout(settings.header_timeout, accept).await.ok()? {
        Ok(stream) => Some(ConnIo::new(stream)),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `ConnIo::poll_hang_up` takes a closed sending half for a hang-up. hyper would keep a second read buffer while a
    // response is made to look for it.
    builder.half_close(true).header_read_timeout(None).max_buf_size(MAX_HEADER_SIZE);
    builder
}

fn http2(streams: &AllowedStreams) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        // hyper panics where the date cannot be written. `RouterService` writes it if it can be.
        .auto_date_header(false)
        .max_concurrent_streams(streams.count())
        .initial_stream_window_size(STREAM_WINDOW_SIZE)
        .initial_connection_window_size(CONNECTION_WINDOW_SIZE)
        .max_header_list_size(MAX_HEADER_SIZE as u32)
        .max_pending_accept_reset_streams(MAX_PENDING_ACCEPT_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_ERROR_RESET_STREAMS);
    builder
}

/// A connection between two polls of hyper.
struct Connection<'s, S> {
    io: ConnIo,
    permit: ConnectionPermit,
    /// Ready once the service is to end.
    stop: Pin<&'s mut S>,
    is_stopping: bool,
    settings: &'s ServerSettings,
    /// None for HTTP/1.
    quota: Option<ReadQuota>,
    /// What the timer is for. It starts again with each new wait.
    wait: Wait,
    timer: Pin<Box<Sleep>>,
}

impl<S: Future> Connection<'_, S> {
    /// Between two HTTP/1 requests there is no connection of hyper's: its buffers take 16 KiB.
    async fn serve(&mut self, service: RouterService) -> hyper::Result<()> {
        while let Some(version) = self.next_request().await {
            if version == Version::HTTP_2 {
                return Box::pin(self.serve_http2(service)).await;
            }
            if !clock::is_in_range() {
                return self.refuse_without_date().await;
            }
            let mut connection = http1().serve_connection(TokioIo::new(self.io.clone()), service.clone());
            let requests = Some(self.io.requests());
            match self.drive(Pin::new(&mut connection), http1::Connection::graceful_shutdown, requests).await {
                Some(end) => return end,
                None => self.io.unread(connection.into_parts().read_buf),
            }
        }
        Ok(())
    }

    /// Refuses the request and closes the connection without hyper, which panics where the date cannot be written.
    async fn refuse_without_date(&mut self) -> hyper::Result<()> {
        let detail = "the clock of the service is before 1970 or after 9999, which HTTP cannot write";
        let problem = to_json(&Problem::load_shed(detail)).unwrap_or_default();
        let response = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{problem}",
            problem.len()
        );
        let mut io = self.io.clone();
        let sent = pin!(async move {
            // What cannot be sent has no receiver.
            if io.write_all(response.as_bytes()).await.is_ok() {
                io.shutdown().await.ok();
            }
            Ok(())
        });
        self.drive(sent, |_| (), None).await.unwrap_or(Ok(()))
    }

    async fn serve_http2(&mut self, service: RouterService) -> hyper::Result<()> {
        self.io.set_read_quota(self.quota.get_or_insert_default().size());
        let streams = service.server.streams.take();
        let connection = pin!(http2(&streams).serve_connection(TokioIo::new(self.io.clone()), service));
        self.drive(connection, http2::Connection::graceful_shutdown, None).await.unwrap_or(Ok(()))
    }

    fn poll_quota(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(quota) = &mut self.quota else { return Poll::Pending };
        quota.poll_raise(cx, &self.io, &self.settings.budget, self.permit.holdings())
    }

    /// Whether an HTTP/2 connection has received so many bytes, or may receive no more.
    fn is_used_up(&self, size: usize) -> bool {
        self.quota.as_ref().is_some_and(|quota| quota.is_over() || self.io.received() > size)
    }

    /// Waits for the next request to begin, and returns its version. None if there will be none.
    async fn next_request(&mut self) -> Option<Version> {
        poll_fn(|cx| match self.io.poll_next_request(cx) {
            Poll::Ready(version) => Poll::Ready(version),
            Poll::Pending => {
                self.poll_stopping(cx);
                self.poll_end(cx).map(|()| None)
            }
        })
        .await
    }

    /// Lets hyper serve until the connection is closed, or is to be closed. None as soon as it is idle and has had more
    /// requests than `idle_after`.
    async fn drive<C: Future<Output = hyper::Result<()>>>(
        &mut self,
        mut connection: Pin<&mut C>,
        graceful_shutdown: fn(Pin<&mut C>),
        idle_after: Option<u64>,
    ) -> Option<hyper::Result<()>> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Some(end));
                }
                let has_more = self.poll_quota(cx).is_ready();
                if !self.is_stopping && self.poll_stopping(cx) {
                    graceful_shutdown(connection.as_mut());
                } else if !has_more {
                    break;
                }
            }
            if !self.is_stopping && idle_after.is_some_and(|requests| self.io.is_idle_after(requests)) {
                return Poll::Ready(None);
            }
            self.poll_end(cx).map(|()| Some(Ok(())))
        })
        .await
    }

    /// Whether the connection is to end with the responses that are owed: because the service is to end, or because it
    /// has a reserved slot and has had a request (the caller's next connection may get a regular slot), or because
    /// bytes of the caller were dropped, or not read, or were enough for one connection.
    fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        let has_used_slot = self.permit.is_reserved() && self.io.requests() > 0;
        self.is_stopping = self.is_stopping
            || has_used_slot
            || self.is_used_up(MAX_BUSY_CONNECTION_SIZE)
            || self.io.has_dropped_bytes()
            || self.stop.as_mut().poll(cx).is_ready();
        self.is_stopping
    }

    /// Ready once the connection is to be closed, whatever hyper still waits for.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.io.wait(cx.waker());
        let is_new = wait != mem::replace(&mut self.wait, wait);
        if is_new {
            self.permit.set_busy();
        }
        let settings = self.settings;
        // Where only the caller can go on, the connection gives way to another one. It does not where it waits for the
        // bytes of another one: it would give way to itself.
        let is_evicted = match wait {
            _ if self.quota.as_ref().is_some_and(ReadQuota::is_waiting) => {
                self.permit.set_busy();
                false
            }
            Wait::Response { .. } => false,
            Wait::Request { .. } => self.is_stopping || self.permit.poll_evicted(cx, CallerState::Idle).is_ready(),
            _ => self.permit.holdings().is_refused() || self.permit.poll_evicted(cx, CallerState::Stalled).is_ready(),
        };
        if is_evicted {
            return Poll::Ready(());
        }
        let deadline = match wait {
            Wait::Response { unread_since: None } | Wait::Body { .. } => return self.io.poll_hang_up(cx),
            Wait::Response { unread_since: Some(since) } => {
                if self.io.poll_hang_up(cx).is_ready() {
                    return Poll::Ready(());
                }
                since + settings.body_timeout
            }
            Wait::Window { since } => since + settings.body_timeout,
            Wait::Write { .. } => Instant::now() + settings.body_timeout,
            Wait::Request { .. } if self.is_used_up(MAX_CONNECTION_SIZE) => Instant::now() + USED_UP_TIMEOUT,
            Wait::Request { .. } => Instant::now() + settings.header_timeout,
        };
        if is_new {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests;
