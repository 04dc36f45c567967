//! Reserved slots: a connection beyond the limit may ask whether the service is alive, and nothing else.

use std::future::ready;

use axum::{
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    response::{IntoResponse, Response},
};
use futures_util::future::Either;

use super::{auth, stack::Next};
use crate::http::problem::Problem;

/// Marks a request of a connection that has a reserved slot: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReservedSlot;

/// Answers requests in reserved slots with 503, but for the routes that need no token.
pub(crate) fn refuse(request: Request, next: Next) -> impl Future<Output = Response> {
    if request.extensions().get::<ReservedSlot>().is_none() || auth::PUBLIC_PATHS.contains(&request.uri().path()) {
        return Either::Left(next.run(request));
    }
    let mut response = Problem::load_shed("every connection that the service may have is in use").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Either::Right(ready(response))
}
