//! The HTTP interface: the router with its layers, and the server that runs it.
//!
//! - [`routes`]: the handlers. [`metrics`], [`openapi`] and [`console`] have more to them and are folders of their own.
//! - [`state`]: what the handlers share ([`AppState`]) and who may use them ([`AccessConfig`]).
//! - [`extract`]: what a handler takes from a request.
//! - [`middleware`]: the layers around the router.
//! - [`problem`]: every error as a problem document (RFC 9457).
//! - [`tokens`]: bearer tokens. [`reload`]: files that are read again on SIGHUP.
//! - [`server`]: accepts connections, bounds every wait for a caller, and shuts down.

mod console;
mod extract;
mod metrics;
mod middleware;
mod openapi;
pub mod problem;
pub mod reload;
mod routes;
mod server;
mod state;
mod tokens;

use std::sync::Arc;

use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state, map_response},
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt},
    routes,
};

pub use extract::{BodyLimits, JsonMembers};
pub use middleware::{
    auth::Guard,
    client_ip::TrustedProxies,
    rate_limit::{Rate, RateError},
};
pub use server::{Ended, IdentityError, IdentityFault, Lifecycle, Running, ServerIdentity, ServerSettings, serve};
pub use state::{AccessConfig, AppState};
pub use tokens::{NewToken, NoRandomness, TokenName, TokenNameError, Tokens, TokensError};

use metrics::Metrics;
use middleware::{
    access_log, auth, client_ip, host_check,
    rate_limit::{self, RateLimit},
    reserved_slot, security_headers,
};
use problem::{Problem, ProblemType};
use routes::{checks, health, scrape};
use state::SharedState;

/// Every door.
///
/// # Errors
/// The OpenAPI document cannot be written as JSON.
pub fn router(state: AppState, access: AccessConfig) -> Result<Router, serde_json::Error> {
    let (router, document) = documented(access.rate_limit).split_for_parts();
    let metrics = Metrics::new(state.dropped_lines.clone());
    // Here, so that each check of each door is counted, and none twice.
    let state = AppState { probe: metrics.counting(state.probe), ..state };
    let router = router
        .with_state(Arc::new(state))
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
fn documented(rate: Option<Rate>) -> OpenApiRouter<SharedState> {
    let rate = rate.map(RateLimit::new);
    // Only around a door's own methods: a 405 starts no check.
    let limited = |door: UtoipaMethodRouter<SharedState>| match &rate {
        Some(rate) => door.map(|methods| methods.route_layer(from_fn_with_state(rate.clone(), rate_limit::limit))),
        None => door,
    };
    let mut doors = OpenApiRouter::with_openapi(openapi::Document::openapi())
        // Each door that starts checks is limited, all of them by one budget.
        .routes(limited(routes!(checks::run_check)))
        .routes(limited(routes!(scrape::probe_target)))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::version))
        .routes(routes!(metrics::metrics));
    openapi::schemas::complete(doors.get_openapi_mut());
    doors
}

/// What holds for every path, one that does not exist included. The first layer is the outermost.
fn with_outer_layers(router: Router, access: AccessConfig, metrics: Metrics) -> Router {
    let router = router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(ProblemType::MethodNotAllowed, "the `Allow` header lists the methods")
        })
        .layer(from_fn(metrics::name_door));
    let service = ServiceBuilder::new()
        // For the log, and for the rate limit.
        .layer(from_fn_with_state(access.trusted_proxies, client_ip::identify))
        .layer(from_fn(access_log::log))
        .layer(map_response(security_headers::add))
        // Outside of the guard and of the panics, for a 401 and a 500 are answers too.
        .layer(from_fn_with_state(metrics, metrics::count))
        // Outside of all that could panic, inside of the log that is to show the 500.
        .layer(CatchPanicLayer::custom(Problem::from_panic))
        .option_layer(access.host_check.then(|| from_fn(host_check::require)))
        // Before the router's own 404 and 405, so that without a token nothing can be learned about the paths.
        .option_layer(access.guard.map(|guard| from_fn_with_state(guard, auth::require_token)))
        // Inside of all that, for who finds no room is answered, logged and counted like anybody.
        .layer(from_fn(reserved_slot::refuse))
        .service(router);
    // None of the layers is an `async fn`, which would keep room for the request, twice, as long as the check runs.
    //
    // The stack is around the router and not in it: there each layer would be made anew for every route, boxed, and cloned with all
    // that it encloses at each request; and the guard would come before the `Allow` header of a 405.
    Router::new().fallback_service(service)
}

#[cfg(test)]
mod tests;
