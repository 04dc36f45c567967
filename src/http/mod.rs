//! The HTTP interface: the router with its layers, and the server that runs it.
//!
//! - [`mod@routes`]: the handlers. [`metrics`], [`openapi`] and [`console`] serve routes of their own.
//! - [`state`]: what the handlers share ([`AppState`]) and who may use them ([`AccessConfig`]).
//! - [`extract`]: what a handler takes from a request.
//! - [`middleware`]: the layers around the router.
//! - [`json`]: responses of JSON. [`problem`]: every error as a problem document (RFC 9457).
//! - [`tokens`]: bearer tokens. [`reload`]: files that are read again on SIGHUP.
//! - [`server`]: accepts connections, limits every wait for a caller, and shuts down.

mod console;
mod extract;
mod json;
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
    extract::State,
    middleware::{from_fn, from_fn_with_state},
};
use futures_util::FutureExt;
use tower::Layer;
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt},
    routes,
};

pub use extract::{BodyLimits, JsonObject};
pub use middleware::{
    client_ip::TrustedProxies,
    rate_limit::{Rate, RateError},
};
pub use server::{ByteBudget, Ended, Lifecycle, Running, ServerIdentity, ServerSettings, serve};
pub use state::{AccessConfig, AppState, ModuleStore};
pub use tokens::{NewToken, NoRandomness, TokenName, TokenNameError, TokenStore, Tokens, TokensError};

use crate::domain::{DomainProbe, domain_probe};
use metrics::{Metrics, count_request, record_route};
use middleware::{
    access_log::log_request,
    auth::require_token,
    catch_panic::catch_panic,
    client_ip::record_client_ip,
    held_response::hold_response,
    host::require_valid_host,
    host_check::require_local_host,
    rate_limit::{RateLimit, limit_rate},
    reserved_slot,
    security_headers::set_security_headers,
    stack::Stack,
};
use problem::{Problem, ProblemType};
use routes::{checks, domains, findings, health, scrape};
use state::SharedState;

/// The service: every route, with all layers around them.
///
/// # Errors
/// The OpenAPI document cannot be written as JSON.
pub fn router(state: AppState, access: AccessConfig) -> Result<Router, serde_json::Error> {
    let budget = state.budget.clone();
    let metrics = Metrics::new(state.dropped_lines.clone(), budget.clone());
    // Around the shared probe, not around a route: each check is counted once, whichever route starts it.
    let probe = metrics.count_checks().layer(state.probe);
    let max_timeout = state.modules.current().settings().max_timeout;
    let surveyor = state.surveyor.clone().with_probe(probe.clone());
    let domain_probe = domain_probe(state.max_domain_checks, max_timeout, surveyor);
    let routes = api_routes(access.rate_limit, Some((metrics.clone(), domain_probe)));
    let (router, document) = routes.split_for_parts();
    let state = AppState { probe, ..state };
    let router = router
        .with_state(Arc::new(state))
        .merge(openapi::routes(&document)?)
        .merge(findings::routes())
        .merge(console::routes());
    Ok(with_outer_layers(router, access, metrics, budget))
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    api_routes(None, None).into_openapi()
}

/// The routes of the OpenAPI document. Router and document come from this one list.
fn api_routes(rate: Option<Rate>, extensions: Option<(Metrics, DomainProbe)>) -> OpenApiRouter<SharedState> {
    let rate_limit = rate.map(|rate| Arc::new(RateLimit::new(rate)));
    // `route_layer` leaves a 405 out, which starts no check.
    let limited = |route: UtoipaMethodRouter<SharedState>| match &rate_limit {
        Some(limit) => route.map(|methods| methods.route_layer(from_fn_with_state(limit.clone(), limit_rate))),
        None => route,
    };
    let (metrics, domain_probe) = extensions.unzip();
    let with_metrics = |route: UtoipaMethodRouter<SharedState>| match metrics {
        Some(metrics) => route.map(|methods| methods.route_layer(Extension(metrics))),
        None => route,
    };
    let with_domains = |route: UtoipaMethodRouter<SharedState>| match &domain_probe {
        Some(probe) => route.map(|methods| methods.route_layer(Extension(probe.clone()))),
        None => route,
    };
    let mut routes = OpenApiRouter::with_openapi(openapi::Document::openapi())
        // Every route that starts checks is limited; a caller has one budget for all of them.
        .routes(limited(routes!(checks::run_check)))
        .routes(limited(with_domains(routes!(domains::check_domain))))
        .routes(limited(with_domains(routes!(scrape::probe))))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::version))
        .routes(with_metrics(routes!(metrics::metrics)));
    openapi::schemas::complete(routes.get_openapi_mut());
    routes
}

/// Adds the layers of every path, of unknown paths too.
///
/// No layer is an `async fn`: such a future would hold the request twice, for as long as the check runs.
fn with_outer_layers(router: Router, access: AccessConfig, metrics: Metrics, budget: ByteBudget) -> Router {
    let router = router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(ProblemType::MethodNotAllowed, "the `Allow` header lists the methods")
        })
        .layer(from_fn(record_route));
    // The last layer is the outermost.
    let stack = Stack::new(router)
        // Its 503 is logged, counted and needs a token like any other response.
        .layer(reserved_slot::refuse)
        // Outside of the router's 404 and 405: without a token, a caller learns nothing about the paths.
        .option_layer(
            access.tokens.map(|tokens| move |request, next| require_token(State(tokens.clone()), request, next)),
        )
        // Where no token protects the service from DNS rebinding, the `Host` header does.
        .option_layer(access.host_check.then_some(require_local_host))
        // Before anything reads the host.
        .layer(require_valid_host)
        // A panic in anything below becomes a 500, which is counted and logged.
        .layer(catch_panic)
        // Its 503 is logged and counted.
        .layer(move |request, next| hold_response(State(budget.clone()), request, next))
        // Responses of the layers below, such as 401 and 500, are counted, too.
        .layer(move |request, next| count_request(State(metrics.clone()), request, next))
        // Browsers need these headers on errors, too.
        .layer(|request, next| next.run(request).map(set_security_headers))
        // The log shows the status that the caller gets.
        .layer(log_request)
        // The access log and the rate limit read the client's address.
        .layer(move |request, next| record_client_ip(State(access.trusted_proxies.clone()), request, next));
    // Around the router, not `Router::layer`: that makes the layers once per route, and adds the `Allow` header of a
    // 405 outside of the token check.
    Router::new().fallback_service(stack)
}

#[cfg(test)]
mod tests;
