//! HTTP requests, counted by their responses.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next as RouterNext,
    response::Response,
};
use futures_util::FutureExt;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{
    Metrics,
    refusals::{RefusalMetrics, RefusalReason},
};
use crate::http::{
    middleware::{auth::Caller, stack::Next},
    problem::{LoadShed, ProblemType},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The route, never the path. Empty if none matched, or if a layer responded before the router.
    door: String,
    status: u16,
    /// The name of a token in the file. Empty if no token was needed.
    caller: String,
}

/// The metrics of requests.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    refusals: RefusalMetrics,
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry, refusals: RefusalMetrics) -> Self {
        let requests = Family::default();
        let help = "Requests that were answered, by route (`door`), HTTP status and name of the caller's token";
        registry.register("http_requests", help, requests.clone());
        Self { requests, refusals }
    }

    fn count(&self, response: &Response) {
        let extensions = response.extensions();
        let route = extensions.get::<Route>().map(|route| route.0.as_str()).unwrap_or_default();
        let caller = extensions.get::<Caller>().map(|caller| caller.0.as_str()).unwrap_or_default();
        let status = response.status().as_u16();
        let labels = RequestLabels { door: route.to_owned(), status, caller: caller.to_owned() };
        self.requests.get_or_create(&labels).inc();
        // Refusals that do not reach the probe, whose layer counts the others. A 503 of `/readyz` refuses no check.
        match extensions.get::<ProblemType>() {
            _ if extensions.get::<LoadShed>().is_some() => self.refusals.count(RefusalReason::Overloaded),
            Some(ProblemType::RateLimited) => self.refusals.count(RefusalReason::RateLimited),
            Some(ProblemType::ShuttingDown) if route != "/readyz" => self.refusals.count(RefusalReason::ShuttingDown),
            _ => {}
        }
    }
}

/// The route of a response: an extension of it, for [`count_request`], which is outside of the router.
#[derive(Clone, Debug)]
struct Route(MatchedPath);

/// Records the route in the response. Must be a layer of the router itself, where the route is known.
pub(crate) fn record_route(
    matched: Option<MatchedPath>,
    request: Request,
    next: RouterNext,
) -> impl Future<Output = Response> {
    next.run(request).map(|mut response| {
        matched.map(|path| response.extensions_mut().insert(Route(path)));
        response
    })
}

/// Counts a request by its response.
pub(crate) fn count_request(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    next.run(request).inspect(move |response| metrics.0.requests.count(response))
}
