//! Reserved slots: a connection beyond the limit may ask how the service is, and nothing else.

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

/// A path that is answered in reserved slots beside those that need no token: when every connection is in use, its
/// figures are needed most.
const METRICS_PATH: &str = "/metrics";

/// Answers requests in reserved slots with 503, but for the routes that tell how the service is.
pub(crate) fn refuse(request: Request, next: Next) -> impl Future<Output = Response> {
    let path = request.uri().path();
    let is_answered = auth::PUBLIC_PATHS.contains(&path) || path == METRICS_PATH;
    if is_answered || request.extensions().get::<ReservedSlot>().is_none() {
        return Either::Left(next.run(request));
    }
    let mut response = Problem::load_shed("every connection that the service may have is in use").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Either::Right(ready(response))
}
