//! The HTTP doors: the router with its outer layers, and the server loop.
//!
//! - [`checks`] and [`service`]: the doors themselves; [`openapi`] describes them.
//! - [`body`] reads what callers send, [`problem`] words every error, [`auth`] knows the tokens.
//! - [`serve()`] accepts connections, `connection` bounds each wait on a caller, [`Lifecycle`] is what both share.

mod auth;
mod body;
mod checks;
mod connection;
mod lifecycle;
mod openapi;
pub mod problem;
mod serve;
mod service;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRef, Request},
    http::{HeaderValue, Uri, header::X_CONTENT_TYPE_OPTIONS},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use auth::{Tokens, TokensError};
pub use body::{BodyLimits, JsonMembers};
pub use lifecycle::{Lifecycle, Running};
pub use serve::{Ended, ServerSettings, serve};

use auth::Caller;
use problem::{Problem, ProblemType};

use crate::probe::Probe;

/// What the doors share.
#[derive(Clone, Debug, FromRef)]
pub struct Doors {
    /// Whether new checks are taken.
    pub lifecycle: Lifecycle,
    /// What a request body may cost.
    pub body_limits: BodyLimits,
    /// What runs the checks.
    #[from_ref(skip)]
    pub probe: Probe,
    /// The longest time that a check may ask for.
    #[from_ref(skip)]
    pub max_timeout: Duration,
}

/// Every door, guarded by the tokens if there are any.
///
/// # Errors
/// The OpenAPI document cannot be written as JSON.
pub fn router(doors: Doors, tokens: Option<Tokens>) -> Result<Router, serde_json::Error> {
    let (router, document) = documented().split_for_parts();
    let router = router.with_state(doors).merge(openapi::routes(&document)?);
    Ok(with_outer_layers(router, tokens))
}

/// The OpenAPI document of all doors.
pub fn document() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// The doors that the document lists: routes and document are this one list.
fn documented() -> OpenApiRouter<Doors> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(checks::run_check))
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .routes(routes!(service::version))
}

/// What holds for every path, one that does not exist included. The last layer is the outermost.
fn with_outer_layers(router: Router, tokens: Option<Tokens>) -> Router {
    let router = router.fallback(|| async { Problem::not_found() }).method_not_allowed_fallback(|| async {
        Problem::new(ProblemType::MethodNotAllowed, "the `Allow` header lists the methods")
    });
    // Before the router's own 404 and 405, so that without a token nothing can be learned about the paths.
    let router = match tokens {
        // Around the router as a whole: a layer within it would come before the `Allow` header of a 405.
        Some(tokens) => Router::new().fallback_service(router).layer(from_fn_with_state(tokens, auth::require_token)),
        None => router,
    };
    router
        .layer(SetResponseHeaderLayer::if_not_present(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        // Outside of all that could panic, inside of the log that is to show the 500.
        .layer(CatchPanicLayer::custom(Problem::from_panic))
        .layer(from_fn(log))
}

/// One line per request; the query is left out, for it may hold anything.
fn log(request: Request, next: Next) -> impl Future<Output = Response> {
    let begun = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    let (method, uri): (_, Uri) = (request.method().clone(), request.uri().clone());
    let answer = next.run(request);
    // Not an `async fn`, which would keep room for the request as long as the check runs.
    async move {
        let response = answer.await;
        tracing::info!(
            peer = peer.map(tracing::field::display),
            caller = response.extensions().get::<Caller>().map(|caller| &*caller.0),
            method = method.as_str(),
            path = uri.path(),
            status = response.status().as_u16(),
            ms = begun.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
        response
    }
}

#[cfg(test)]
mod tests;
