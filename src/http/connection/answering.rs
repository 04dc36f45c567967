//! One request from hyper to the router, and its answer back.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, header::STRICT_TRANSPORT_SECURITY},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::Service,
};
use tower::ServiceExt;

use super::{
    Server,
    line::{Line, Stage},
};
use crate::http::places::Spare;

/// How long browsers remember that the service speaks HTTPS (RFC 6797, section 6.1): a year.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

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
            request.extensions_mut().insert(Spare);
        }
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let answer = self
            .server
            .router
            .clone()
            .oneshot(request.map(|body| Body::new(RequestBody { body, line: self.line.clone() })));
        let is_secure = self.server.settings.identity.is_some();
        Box::pin(async move {
            let mut answer: Response<Body> = answer.await?;
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
    body: Incoming,
    line: Line,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.line.leave_body();
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
