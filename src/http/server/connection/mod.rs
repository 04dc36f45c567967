//! One connection of a caller: served by hyper, with every wait on the caller bounded.
//!
//! hyper bounds the time of a header only for HTTP/1, and not while it is still finding out which version is spoken. So the bounds
//! are kept here, once for all versions, by looking at what the connection waits for.

mod io;
mod response_guard;
mod transport;

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};

use io::{Line, Wait};
use response_guard::RouterService;
use transport::Transport;

use super::{ServerSettings, connection_limit::Place};

/// Bytes of a request's header, at the most.
const HEADER_SIZE: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Bytes of request bodies that an HTTP/2 connection may have sent, and nobody has read yet.
const WINDOW: u32 = 1024 * 1024;
/// Streams of an HTTP/2 connection that the caller reset before they were looked at ("rapid reset", CVE-2023-44487).
const RESETS: usize = 20;
/// Streams that were reset for faults of the caller ("made you reset", CVE-2025-8671).
const FAULTS: usize = 1024;
/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) settings: ServerSettings,
    /// Holds true once the service is to end.
    pub(super) stop: watch::Sender<bool>,
}

/// Serves one connection to its end. Once the service is to end, it ends as soon as no answer is owed.
pub(super) async fn serve(tcp: TcpStream, peer: SocketAddr, server: Arc<Server>, mut place: Place) {
    // Without it Nagle's algorithm holds back the second of two small writes until the first is acknowledged: 40 ms.
    tcp.set_nodelay(true).ok();
    let mut stop = server.stop.subscribe();
    let mut stop = pin!(async move { stop.wait_for(|stop| *stop).await.is_ok() });
    let mut patience = Patience::new(&server.settings);
    let opened = tokio::select! {
        opened = Box::pin(open(tcp, &server.settings, &mut patience)) => opened,
        _ = &mut stop => None,
        () = poll_fn(|cx| place.poll_lost(cx)) => None,
    };
    let Some((line, version)) = opened else { return };

    let service = RouterService { server: server.clone(), peer, line: line.clone(), spare: place.is_spare() };
    let mut watched = Watched { line, place, patience };
    let ended = match version {
        Version::Http1 => watched.serve_http1(service, stop).await,
        Version::Http2 => Box::pin(watched.serve_http2(service, stop)).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, ?error, "a connection broke off");
    }
}

/// Which HTTP a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    Http1,
    Http2,
}

/// The TLS handshake, where there is to be one, and the version that is spoken; nothing if the caller takes too long.
async fn open(tcp: TcpStream, settings: &ServerSettings, patience: &mut Patience) -> Option<(Line, Version)> {
    let socket = tcp.into();
    let Some(identity) = &settings.identity else {
        let line = Line::new(Transport::Clear(socket));
        let version = poll_fn(|cx| match line.poll_version(cx) {
            Poll::Ready(version) => Poll::Ready(Some(version)),
            Poll::Pending => patience.poll_end(Wait::Request { begun: 0 }, cx).map(|()| None),
        });
        let version = version.await?;
        return Some((line, version));
    };
    match timeout(settings.header_timeout, identity.acceptor().accept(socket)).await.ok()? {
        Ok(stream) => {
            let version = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Version::Http2,
                _ => Version::Http1,
            };
            *patience = Patience::new(settings);
            Some((Line::new(Transport::Tls(Box::new(stream))), version))
        }
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Half a close is a whole one to `Line::poll_hang_up`. hyper, left to look for it, would keep a second read buffer for the time
    // that an answer takes.
    builder.half_close(true).timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADER_SIZE);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_SIZE as u32)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS);
    builder
}

/// hyper's connection, of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Ends it as soon as no answer is owed.
    fn finish(self: Pin<&mut Self>);
}

impl Connection for http1::Connection<TokioIo<Line>, RouterService> {
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Connection for http2::Connection<TokioIo<Line>, RouterService, TokioExecutor> {
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Until when hyper served.
enum ServedUntil {
    Closed,
    Idle,
}

/// A connection from the outside.
struct Watched {
    line: Line,
    place: Place,
    patience: Patience,
}

impl Watched {
    async fn serve_http2(
        &mut self,
        service: RouterService,
        stop: Pin<&mut impl Future<Output = bool>>,
    ) -> hyper::Result<()> {
        let stream = TokioIo::new(self.line.clone());
        self.serve_until(None, pin!(http2().serve_connection(stream, service)), stop).await.map(|_| ())
    }

    /// While the caller is between two requests, there is no connection of hyper's, whose buffers take 16 KiB.
    async fn serve_http1(
        &mut self,
        service: RouterService,
        mut stop: Pin<&mut impl Future<Output = bool>>,
    ) -> hyper::Result<()> {
        while self.has_next_request(stop.as_mut()).await {
            let stream = TokioIo::new(self.line.clone());
            let mut connection = http1().serve_connection(stream, service.clone());
            let idle = Some(self.line.begun());
            match self.serve_until(idle, Pin::new(&mut connection), stop.as_mut()).await? {
                ServedUntil::Closed => break,
                ServedUntil::Idle => self.line.unread(connection.into_parts().read_buf),
            }
        }
        Ok(())
    }

    /// Waits for the next request to begin; false if there will be none.
    async fn has_next_request(&mut self, mut stop: Pin<&mut impl Future<Output = bool>>) -> bool {
        poll_fn(|cx| {
            if let Poll::Ready(has_next_request) = self.line.poll_next_request(cx) {
                return Poll::Ready(has_next_request);
            }
            let stopping = stop.as_mut().poll(cx).is_ready();
            self.poll_end(stopping, cx).map(|()| false)
        })
        .await
    }

    /// Serves until the connection is closed, or is to be; or until it is idle after more requests than `idle`.
    async fn serve_until(
        &mut self,
        idle: Option<u64>,
        mut connection: Pin<&mut impl Connection>,
        mut stop: Pin<&mut impl Future<Output = bool>>,
    ) -> hyper::Result<ServedUntil> {
        let mut stopping = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                    return Poll::Ready(end.map(|()| ServedUntil::Closed));
                }
                if stopping || (stop.as_mut().poll(cx).is_pending() && !self.has_had_its_turn()) {
                    break;
                }
                stopping = true;
                connection.as_mut().finish();
            }
            if !stopping && idle.is_some_and(|begun| self.line.is_idle_after(begun)) {
                return Poll::Ready(Ok(ServedUntil::Idle));
            }
            self.poll_end(stopping, cx).map(|()| Ok(ServedUntil::Closed))
        })
        .await
    }

    /// Whether the connection has a spare place and has asked already: its next request may find a better place.
    fn has_had_its_turn(&self) -> bool {
        self.place.is_spare() && self.line.begun() > 0
    }

    /// Ready once nothing more is to be waited for.
    fn poll_end(&mut self, stopping: bool, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.line.wait(cx.waker());
        if wait != self.patience.wait {
            self.place.hold();
        }
        let is_over = match wait {
            Wait::Request { .. } => stopping || self.place.poll_lost(cx).is_ready(),
            Wait::Answer => self.line.poll_hang_up(cx).is_ready(),
            Wait::Room { .. } | Wait::Window { .. } => false,
        };
        if is_over { Poll::Ready(()) } else { self.patience.poll_end(wait, cx) }
    }
}

/// How long the caller may let one wait last.
#[derive(Debug)]
struct Patience {
    header: Duration,
    body: Duration,
    wait: Wait,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(settings: &ServerSettings) -> Self {
        let (header, body) = (settings.header_timeout, settings.body_timeout);
        Self { header, body, wait: Wait::Request { begun: 0 }, timer: Box::pin(sleep(header)) }
    }

    fn poll_end(&mut self, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match wait {
            Wait::Answer => None,
            Wait::Request { .. } => Some(self.header),
            Wait::Room { .. } | Wait::Window { .. } => Some(self.body),
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
