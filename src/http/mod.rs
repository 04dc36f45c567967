//! The HTTP doors: the router with its outer layers, and the server loop.
//!
//! - [`checks`], [`scrape`], [`metrics`] and [`service`]: the doors themselves; [`openapi`] describes them, [`console`] is the page at `/`.
//! - [`body`] and `json_members` read what callers send, `accept` in which form they want the answer, `origin` who asks, and
//!   `trace_context` within which trace; [`problem`] words every error, `security_headers` are for browsers.
//! - [`token`] has the tokens, [`auth`] asks for them, `own_name` keeps strange pages out where there are none, [`client`] tells where a request comes from, [`rate_limit`] how often one may.
//! - [`serve()`] accepts connections, as many as it has `places`; `connection` bounds each wait on a caller; [`Lifecycle`] is what both
//!   share. [`ServerIdentity`] is for HTTPS; [`operator_file`] reads what the operator may change meanwhile.

mod accept;
mod auth;
mod body;
mod checks;
mod client;
mod connection;
mod console;
mod identity;
mod json_members;
mod lifecycle;
mod metrics;
mod openapi;
pub mod operator_file;
mod origin;
mod own_name;
mod places;
pub mod problem;
mod rate_limit;
mod scrape;
mod security_headers;
mod serve;
mod service;
mod token;
mod trace_context;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, FromRef, Request},
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::Response,
};
use prometheus_client::metrics::counter::Counter;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt},
    routes,
};

pub use auth::Guard;
pub use body::BodyLimits;
pub use client::TrustedProxies;
pub use identity::{IdentityError, IdentityFault, ServerIdentity};
pub use json_members::JsonMembers;
pub use lifecycle::{Lifecycle, Running};
pub use rate_limit::{Rate, RateError};
pub use serve::{Ended, ServerSettings, serve};
pub use token::{NewToken, NoRandomness, TokenName, TokenNameError, Tokens, TokensError};

use auth::Caller;
use client::ClientAddress;
use metrics::Metrics;
use problem::{Problem, ProblemType};
use rate_limit::RateLimit;

use crate::{check::Modules, probe::Probe};

/// What the doors share.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Whether new checks are taken.
    pub lifecycle: Lifecycle,
    /// What a request body may cost.
    pub body_limits: BodyLimits,
    /// What runs the checks.
    pub probe: Probe,
    /// The longest time that a check may ask for.
    pub max_timeout: Duration,
    /// The checks that the operator has named.
    pub modules: Modules,
    /// Counts the lines that the log had to leave out, if there is a log.
    pub lost_lines: Option<Counter>,
}

/// Each request has a handle on the doors, and as long as a check runs keeps it.
type SharedDoors = Arc<Doors>;

impl FromRef<SharedDoors> for Lifecycle {
    fn from_ref(doors: &SharedDoors) -> Self {
        doors.lifecycle.clone()
    }
}

impl FromRef<SharedDoors> for BodyLimits {
    fn from_ref(doors: &SharedDoors) -> Self {
        doors.body_limits.clone()
    }
}

/// Who may come, and how often. By default whoever reaches the doors, and as often as they like.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Asks for a token, if there is one to ask.
    pub guard: Option<Guard>,
    /// How often one caller may ask for a check.
    pub rate_limit: Option<Rate>,
    /// Who may say for whom a request is passed on.
    pub trusted_proxies: TrustedProxies,
    /// Whether the service may be asked only by names that no page in a browser can have.
    pub own_names_only: bool,
}

/// Every door.
///
/// # Errors
/// The OpenAPI document cannot be written as JSON.
pub fn router(doors: Doors, access: Access) -> Result<Router, serde_json::Error> {
    let (router, document) = documented(access.rate_limit).split_for_parts();
    let metrics = Metrics::new(doors.lost_lines.clone());
    // Here, so that each check of each door is counted, and none twice.
    let doors = Doors { probe: metrics.counting(doors.probe), ..doors };
    let router = router
        .with_state(Arc::new(doors))
        .layer(Extension(metrics.clone()))
        .merge(openapi::routes(&document)?)
        .merge(console::routes());
    Ok(with_outer_layers(router, access, metrics))
}

/// The OpenAPI document of all doors.
pub fn document() -> utoipa::openapi::OpenApi {
    documented(None).into_openapi()
}

/// The doors that the document lists: routes and document are this one list.
fn documented(rate: Option<Rate>) -> OpenApiRouter<SharedDoors> {
    let rate = rate.map(RateLimit::new);
    // Only around a door's own methods: a 405 starts no check.
    let limited = |door: UtoipaMethodRouter<SharedDoors>| match &rate {
        Some(rate) => door.map(|methods| methods.route_layer(from_fn_with_state(rate.clone(), rate_limit::limit))),
        None => door,
    };
    let mut doors = OpenApiRouter::with_openapi(openapi::Document::openapi())
        // Each door that starts checks is limited, all of them by one budget.
        .routes(limited(routes!(checks::run_check)))
        .routes(limited(routes!(scrape::probe_target)))
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .routes(routes!(service::version))
        .routes(routes!(metrics::metrics));
    openapi::schemas::complete(doors.get_openapi_mut());
    doors
}

/// What holds for every path, one that does not exist included. The first layer is the outermost.
fn with_outer_layers(router: Router, access: Access, metrics: Metrics) -> Router {
    let router = router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(ProblemType::MethodNotAllowed, "the `Allow` header lists the methods")
        })
        .layer(from_fn(metrics::name_door));
    let service = ServiceBuilder::new()
        // For the log, and for the rate limit.
        .layer(from_fn_with_state(access.trusted_proxies, client::identify))
        .layer(from_fn(log))
        .layer(map_response(security_headers::add))
        // Outside of the guard and of the panics, for a 401 and a 500 are answers too.
        .layer(from_fn_with_state(metrics, metrics::count))
        // Outside of all that could panic, inside of the log that is to show the 500.
        .layer(CatchPanicLayer::custom(Problem::from_panic))
        .option_layer(access.own_names_only.then(|| from_fn(own_name::require)))
        // Before the router's own 404 and 405, so that without a token nothing can be learned about the paths.
        .option_layer(access.guard.map(|guard| from_fn_with_state(guard, auth::require_token)))
        // Inside of all that, for who finds no room is answered, logged and counted like anybody.
        .layer(from_fn(places::turn_away))
        .service(router);
    // None of the layers is an `async fn`, which would keep room for the request, twice, as long as the check runs.
    //
    // The stack is around the router and not in it: there each layer would be made anew for every route, boxed, and cloned with all
    // that it encloses at each request; and the guard would come before the `Allow` header of a 405.
    Router::new().fallback_service(service)
}

/// One line per request; the query is left out, for it may hold anything.
fn log(request: Request, next: Next) -> impl Future<Output = Response> {
    let begun = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    // The peer has its own field; only behind a proxy there is more to say.
    let client = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let client = client.filter(|client| peer.is_some_and(|peer| peer.ip().to_canonical() != *client));
    // Copied, for to hold on to the `Uri` is to hold on to the buffer that the request was read into: 8 KiB while a check runs.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request);
    async move {
        let response = answer.await;
        tracing::info!(
            peer = peer.map(tracing::field::display),
            client = client.map(tracing::field::display),
            caller = response.extensions().get::<Caller>().map(|caller| caller.0.as_str()),
            method = method.as_str(),
            path,
            status = response.status().as_u16(),
            ms = begun.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
        response
    }
}

#[cfg(test)]
mod tests;
