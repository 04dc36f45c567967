//! The service that hyper calls: hands each request to the router, and guards its response until hyper has taken it
//! over.

use std::{
    convert::Infallible,
    future::{Ready, pending, ready},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{
        HeaderValue, Request, Response, StatusCode, Version,
        header::{DATE, STRICT_TRANSPORT_SECURITY},
    },
};
use futures_util::future::{Either, FutureExt};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::Service,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::sleep,
};
use tower::ServiceExt;

use super::{
    BodyAllowance, Server,
    io::{ConnIo, Stage, UnreadPiece},
};
use crate::{
    clock,
    http::{
        middleware::reserved_slot::ReservedSlot,
        server::byte_budget::{ByteBudget, HeldResponse, Holding, Holdings, NoBytesLeft},
    },
};

/// How long browsers remember that the service speaks HTTPS (RFC 6797, section 6.1): a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How long the unread rest of an HTTP/2 body is read, and how many bytes of it. Long enough for a slow line: a caller
/// whose rest is not read gets no response.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_DISCARD_SIZE: usize = 16 * 1024 * 1024;

/// Fields of a request's header. hyper has the same limit, but for HTTP/1 only.
const MAX_HEADER_FIELDS: usize = 100;
/// Bytes that a field takes in memory beside its name and value.
const HEADER_FIELD_SIZE: usize = 112;

/// Marks a request that holds bytes of the budget: an extension of it. While it waits for its body, it can be refused
/// for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldRequest;

/// What hyper calls with each request of a connection.
#[derive(Clone, Debug)]
pub(super) struct RouterService {
    pub(super) server: Arc<Server>,
    pub(super) peer: SocketAddr,
    pub(super) io: ConnIo,
    /// The connection has a reserved slot.
    pub(super) is_reserved: bool,
    pub(super) body_allowance: BodyAllowance,
    pub(super) holdings: Holdings,
    /// Of the requests that wait for bytes, the one that may take them next has it.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Service<Request<Incoming>> for RouterService {
    type Response = Response<ResponseBody>;
    /// For one more request of a connection that has others. Over HTTP/2 hyper resets the stream.
    type Error = NoBytesLeft;
    /// Boxed: a connection needs the memory only while it has a request.
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, NoBytesLeft>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let has_others = self.io.has_responses();
        let guard = ResponseGuard::new(self.io.clone());
        // One of each connection is in the memory that the number of connections limits.
        if !has_others {
            return self.respond(request, None, guard);
        }
        let (header_size, service) = (header_size(&request), self.clone());
        let size = ByteBudget::REQUEST_SIZE + header_size;
        let budget = self.server.settings.budget.clone();
        if let Ok(held) = budget.take(size) {
            return self.respond(request, Some(self.holdings.begin(held.into())), guard);
        }
        let Ok(waiting) = budget.begin_wait(header_size) else {
            self.holdings.refuse();
            return Box::pin(ready(Err(NoBytesLeft)));
        };
        Box::pin(async move {
            // One after the other: what is given back would wake all of them.
            let turn = service.turn.lock().await;
            let is_refused = service.holdings.is_refused();
            let held = if is_refused { Err(NoBytesLeft) } else { budget.evicting(|| budget.take(size)).await };
            drop((turn, waiting));
            let held = held.inspect_err(|NoBytesLeft| service.holdings.refuse())?;
            service.respond(request, Some(service.holdings.begin(held.into())), guard).await
        })
    }
}

impl RouterService {
    /// The response to a request that has what it needs of the budget.
    fn respond(
        &self,
        mut request: Request<Incoming>,
        mut held: Option<Holding>,
        guard: ResponseGuard,
    ) -> <Self as Service<Request<Incoming>>>::Future {
        if held.is_some() {
            request.extensions_mut().insert(HeldRequest);
        }
        let budget = self.server.settings.budget.clone();
        let is_http2 = request.version() == Version::HTTP_2;
        let (rest, unread) = is_http2.then(oneshot::channel).unzip();
        let response = self.route(request, rest);
        let holdings = self.holdings.clone();
        let is_secure = self.server.settings.identity.is_some();
        Box::pin(async move {
            let mut response = pin!(response);
            let mut discarded = pin!(discard(unread));
            let response = tokio::select! {
                biased;
                response = &mut response => {
                    // What was refused for its bytes gives them back at once.
                    let is_refused = held.is_some() && response.as_ref().is_ok_and(is_overloaded);
                    if !is_refused && discarded.as_mut().now_or_never().is_none() {
                        // Boxed: it is rare, and the future of a request is in memory as long as its check.
                        Box::pin(wait_for_rest(discarded, &guard.io, held.is_some().then_some(&budget))).await;
                    }
                    response
                }
                () = &mut discarded => response.await,
            };
            let mut response: Response<Body> = response.unwrap_or_else(|never| match never {});
            if is_http2 && let Some(date) = clock::http_date().and_then(|date| date.try_into().ok()) {
                response.headers_mut().insert(DATE, date);
            }
            if is_secure {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HSTS);
            }
            if let Some(held) = &mut held {
                held.shrink_to(ByteBudget::SMALL_SIZE);
            }
            let of_response = response.extensions_mut().remove::<HeldResponse>();
            let of_response = of_response.map(|HeldResponse(bytes)| holdings.begin(bytes));
            let held = Arc::new(Held { _request: held, _response: of_response });
            Ok(response.map(|body| guard.into_body(body, held)))
        })
    }

    /// Hands the request to the router, with what the layers need to know of its connection.
    fn route(
        &self,
        mut request: Request<Incoming>,
        rest: Option<oneshot::Sender<Incoming>>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        if request.headers().len() > MAX_HEADER_FIELDS {
            return Either::Left(too_many_header_fields());
        }
        if self.is_reserved {
            request.extensions_mut().insert(ReservedSlot);
        }
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.body_allowance.clone());
        let request = request.map(|body| Body::new(RequestBody::new(body, self.io.clone(), rest)));
        Either::Right(self.server.router.clone().oneshot(request))
    }
}

fn is_overloaded(response: &Response<Body>) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE
}

fn too_many_header_fields() -> Ready<Result<Response<Body>, Infallible>> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    ready(Ok(response))
}

/// Bytes of a request's header in memory.
fn header_size(request: &Request<Incoming>) -> usize {
    let headers = request.headers();
    let texts: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    target + texts + headers.capacity() * HEADER_FIELD_SIZE
}

/// Waits for the rest of a body, as long as it may take. Only the caller can go on, so the connection may give way to
/// another one, and a request that holds bytes of the budget to others.
async fn wait_for_rest(discarded: impl Future<Output = ()>, io: &ConnIo, budget: Option<&ByteBudget>) {
    struct Awaited<'i>(&'i ConnIo);
    impl Drop for Awaited<'_> {
        fn drop(&mut self) {
            self.0.await_body(false);
        }
    }
    io.await_body(true);
    let _awaited = Awaited(io);
    let refused = async {
        match budget {
            Some(budget) => budget.body_refused().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = discarded => {}
        () = refused => {}
        () = sleep(DISCARD_TIMEOUT) => {}
    }
}

/// Counts a response as owed until hyper has taken it over, or dropped it.
#[derive(Debug)]
struct ResponseGuard {
    io: ConnIo,
    stage: Stage,
}

impl ResponseGuard {
    fn new(io: ConnIo) -> Self {
        io.begin_response();
        Self { io, stage: Stage::Preparing }
    }

    fn into_body(mut self, body: Body, held: Arc<Held>) -> ResponseBody {
        self.send_piece();
        ResponseBody { body, guard: self, held }
    }

    fn send_piece(&mut self) {
        self.stage = self.io.send_piece(self.stage);
    }

    fn prepare_piece(&mut self) {
        self.io.prepare_piece(self.stage);
        self.stage = Stage::Preparing;
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.io.end_response(self.stage);
    }
}

/// The body of a request, which tells the connection when it is dropped before its end.
#[derive(Debug)]
struct RequestBody {
    /// None once dropped.
    body: Option<Incoming>,
    io: ConnIo,
    /// Takes the unread rest of the body.
    ///
    /// Over HTTP/2, a response in the middle of the body is followed by RST_STREAM (RFC 9113, section 8.1), and widely
    /// used clients, curl 7.88 among them, then drop the response. So the rest is read first, if it is not too much.
    rest: Option<oneshot::Sender<Incoming>>,
    /// The handler waits for more of it.
    is_awaited: bool,
}

impl RequestBody {
    fn new(body: Incoming, io: ConnIo, rest: Option<oneshot::Sender<Incoming>>) -> Self {
        io.open_body();
        Self { body: Some(body), io, rest, is_awaited: false }
    }

    fn set_awaited(&mut self, is_awaited: bool) {
        if self.is_awaited != is_awaited {
            self.io.await_body(is_awaited);
            self.is_awaited = is_awaited;
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx));
        self.set_awaited(frame.is_pending());
        frame
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.set_awaited(false);
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        self.io.close_body(unread.is_some());
        if let Some((body, rest)) = unread.zip(self.rest.take()) {
            rest.send(body).ok();
        }
    }
}

/// Reads the rest of a body as soon as the handler has dropped it: while a check runs, the caller could fill the window
/// with frames of one byte, each of which takes hundreds.
async fn discard(unread: Option<oneshot::Receiver<Incoming>>) {
    let Some(unread) = unread else { return };
    let Ok(body) = unread.await else { return };
    let mut body = Limited::new(body, MAX_DISCARD_SIZE);
    while let Some(Ok(_)) = body.frame().await {}
}

/// The body of a response, owed until hyper drops it.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    guard: ResponseGuard,
    held: Arc<Held>,
}

/// What a response holds of the budget until the caller has taken all of its pieces.
#[derive(Debug)]
struct Held {
    _request: Option<Holding>,
    _response: Option<Holding>,
}

/// A piece of a response in hyper's buffers. Over HTTP/2, hyper takes a whole piece for a window of one byte.
struct TakenPiece {
    bytes: Bytes,
    _unread: UnreadPiece,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for TakenPiece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    fn taken(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        Bytes::from_owner(TakenPiece { bytes, _unread: self.guard.io.take_piece(), _held: self.held.clone() })
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            self.guard.prepare_piece();
        } else {
            self.guard.send_piece();
        }
        frame.map_ok(|frame| frame.map_data(|bytes| self.taken(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
