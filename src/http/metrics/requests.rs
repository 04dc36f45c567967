//! Requests, counted once they are answered.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{Metrics, Reason, Refusals};
use crate::http::{
    middleware::auth::Caller,
    problem::{NoRoom, ProblemType},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The route, never the path itself. Empty where there is none, and where a token was asked for first.
    door: String,
    status: u16,
    /// The name of a token, of which there are as many as in the file; empty where none was asked for.
    caller: String,
}

/// The figures about requests.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    refusals: Refusals,
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry, refusals: Refusals) -> Self {
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Requests that were answered, by door, HTTP status and name of the caller's token",
            requests.clone(),
        );
        Self { requests, refusals }
    }
}

/// The door that answered: an extension of the response, for those outside who cannot see which it was.
#[derive(Clone, Debug)]
struct Door(MatchedPath);

/// Notes on the answer which door gave it. Belongs right around the router.
pub(crate) fn name_door(matched: Option<MatchedPath>, request: Request, next: Next) -> impl Future<Output = Response> {
    let answer = next.run(request);
    async move {
        let mut response = answer.await;
        matched.map(|path| response.extensions_mut().insert(Door(path)));
        response
    }
}

/// Counts the answer.
pub(crate) fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> impl Future<Output = Response> {
    let answer = next.run(request);
    async move {
        let response = answer.await;
        count_answer(&metrics, &response);
        response
    }
}

fn count_answer(metrics: &Metrics, response: &Response) {
    let RequestMetrics { requests, refusals } = &metrics.0.requests;
    let extensions = response.extensions();
    let door = extensions.get::<Door>().map(|door| door.0.as_str()).unwrap_or_default();
    let caller = extensions.get::<Caller>().map(|caller| caller.0.as_str()).unwrap_or_default();
    let labels = RequestLabels { door: door.to_owned(), status: response.status().as_u16(), caller: caller.to_owned() };
    requests.get_or_create(&labels).inc();
    // These never reach the probe. Whoever asks whether the service is ready does not ask for a check.
    match extensions.get::<ProblemType>() {
        _ if extensions.get::<NoRoom>().is_some() => refusals.count(Reason::Overloaded),
        Some(ProblemType::RateLimited) => refusals.count(Reason::RateLimited),
        Some(ProblemType::ShuttingDown) if door != "/readyz" => refusals.count(Reason::ShuttingDown),
        _ => {}
    }
}
