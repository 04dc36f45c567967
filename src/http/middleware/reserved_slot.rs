//! What a connection in a reserved slot may ask: whether the service is alive, nothing else.

use std::future::ready;

use axum::{
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::future::Either;

use super::auth;
use crate::http::problem::Problem;

/// A request that came over a connection in a spare place: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReservedSlot;

/// Turns away from the spare places who asks for more than whether the service is alive.
pub(crate) fn turn_away(request: Request, next: Next) -> impl Future<Output = Response> {
    if request.extensions().get::<ReservedSlot>().is_none() || auth::PUBLIC_PATHS.contains(&request.uri().path()) {
        return Either::Left(next.run(request));
    }
    let mut response = Problem::load_shed("every connection that the service may have is in use").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Either::Right(ready(response))
}
