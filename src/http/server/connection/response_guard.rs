//! One request from hyper to the router, and its answer back.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, Version, header::STRICT_TRANSPORT_SECURITY},
};
use http_body_util::BodyExt;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::Service,
};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{
    Server,
    io::{Line, Stage},
};
use crate::http::middleware::reserved_slot::ReservedSlot;

/// How long browsers remember that the service speaks HTTPS (RFC 6797, section 6.1): a year.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How long the rest of a body is read that came too late to matter, and how many octets of it.
const REST_TIME: Duration = Duration::from_secs(1);
const REST_SIZE: usize = 16 * 1024 * 1024;

/// What hyper asks for the answer to each request.
#[derive(Clone, Debug)]
pub(super) struct RouterService {
    pub(super) server: Arc<Server>,
    pub(super) peer: SocketAddr,
    pub(super) line: Line,
    /// The connection has one of the spare places.
    pub(super) spare: bool,
}

impl Service<Request<Incoming>> for RouterService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    /// Boxed, so that it takes room only while there is something to answer.
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let answering = Answering::begin(self.line.clone());
        if self.spare {
            request.extensions_mut().insert(ReservedSlot);
        }
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let rest = (request.version() == Version::HTTP_2).then(Rest::default);
        let line = self.line.clone();
        let request = request.map(|body| Body::new(RequestBody { body: Some(body), line, rest: rest.clone() }));
        let answer = self.server.router.clone().oneshot(request);
        let is_secure = self.server.settings.identity.is_some();
        Box::pin(async move {
            let mut answer: Response<Body> = answer.await?;
            if let Some(body) = rest.and_then(|rest| rest.take()) {
                timeout(REST_TIME, discard(body)).await.ok();
            }
            if is_secure {
                answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
            }
            Ok(answer.map(|body| answering.owe(body)))
        })
    }
}

/// One request until its answer has been taken over by hyper, or dropped.
#[derive(Debug)]
struct Answering {
    line: Line,
    stage: Stage,
}

impl Answering {
    fn begin(line: Line) -> Self {
        line.pass(None, Some(Stage::Making));
        Self { line, stage: Stage::Making }
    }

    /// The body of the answer, which is owed until hyper lets go of it.
    fn owe(mut self, body: Body) -> AnswerBody {
        self.enter(Stage::Sending);
        AnswerBody { body, answering: self }
    }

    fn enter(&mut self, stage: Stage) {
        self.line.pass(Some(self.stage), Some(stage));
        self.stage = stage;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.line.pass(Some(self.stage), None);
    }
}

/// The body of a request. Notes if it is let go of before its end.
#[derive(Debug)]
struct RequestBody {
    /// There until it is let go of.
    body: Option<Incoming>,
    line: Line,
    rest: Option<Rest>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        self.line.leave_body();
        if let Some(rest) = &self.rest {
            rest.keep(body);
        }
    }
}

/// The rest of a request's body, left by whoever answered before its end.
///
/// Over HTTP/2 an answer in the middle of the body is followed by RST_STREAM (RFC 9113, section 8.1), and clients that are widely used,
/// curl 7.88 among them, then throw the answer away. So what is not too much is read first.
#[derive(Clone, Debug, Default)]
struct Rest(Arc<Mutex<Option<Incoming>>>);

impl Rest {
    fn keep(&self, body: Incoming) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads to the end of a body, if there is one in sight.
async fn discard(mut body: Incoming) {
    let mut octets = 0;
    while let Some(Ok(frame)) = body.frame().await {
        octets += frame.data_ref().map_or(0, Bytes::len);
        if octets >= REST_SIZE {
            break;
        }
    }
}

/// See [`Answering::owe`].
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    answering: Answering,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.answering.enter(if frame.is_pending() { Stage::Making } else { Stage::Sending });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
