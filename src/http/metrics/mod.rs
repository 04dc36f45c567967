//! The metrics of the service itself, and `GET /metrics`, where Prometheus scrapes them.
//!
//! - `checks`: checks that ran, counted by a layer around the probe that all routes share.
//! - `refusals`: checks that did not run.
//! - `requests`: HTTP requests, counted by a layer around the router.
//! - `process`: the process, read from the system at each scrape.
//! - `text_format`: Prometheus' text format.
//!
//! No label value comes from a mail server or an unknown caller: each one would be a new time series.

mod checks;
mod process;
mod refusals;
mod requests;
mod text_format;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    Extension,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::Registry,
};

pub(super) use requests::{count_request, record_route};

use crate::http::{
    openapi::responses::Unauthorized,
    problem::Problem,
    routes::health,
    server::{ByteBudget, Lifecycle},
};
use checks::{CheckMetrics, CountChecksLayer};
use refusals::RefusalMetrics;
use requests::RequestMetrics;

/// All metrics. Clones share them.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    checks: CheckMetrics,
    requests: RequestMetrics,
    checks_in_flight: Gauge<u64, AtomicU64>,
    held_bytes: Gauge<u64, AtomicU64>,
    budget: ByteBudget,
}

impl Metrics {
    /// All metrics at zero, except for `dropped_lines`, which has counted since the log began.
    pub(super) fn new(dropped_lines: Option<Counter>, budget: ByteBudget) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        let ours = registry.sub_registry_with_prefix("smtp_check");
        let build = [("version", env!("CARGO_PKG_VERSION")), ("revision", health::REVISION.unwrap_or_default())];
        ours.register("build", "Version and commit of the program", Info::new(build));
        let checks_in_flight = Gauge::default();
        ours.register("checks_in_flight", "Checks that are running", checks_in_flight.clone());
        let held_bytes = Gauge::default();
        let help = "Bytes that checks, request bodies and responses hold until the caller has taken the response";
        ours.register("held_bytes", help, held_bytes.clone());
        let refusals = RefusalMetrics::register(ours);
        let checks = CheckMetrics::register(ours, refusals.clone());
        let requests = RequestMetrics::register(ours, refusals);
        if let Some(dropped_lines) = dropped_lines {
            let help = "Lines of the log that were lost: it was not read fast enough, or could not be written";
            ours.register("log_lines_lost", help, dropped_lines);
        }
        Self(Arc::new(Inner { registry, checks, requests, checks_in_flight, held_bytes, budget }))
    }

    /// The layer that counts checks, for the probe.
    pub(super) fn count_checks(&self) -> CountChecksLayer {
        CountChecksLayer(self.0.checks.clone())
    }

    /// The response holds its bytes until the caller has taken it.
    async fn response(&self, lifecycle: &Lifecycle) -> Result<Response, Problem> {
        let text = self.encode(lifecycle).map_err(|_| Problem::internal())?;
        let held = self.0.budget.take_for_metrics(text.len()).await?;
        let response = ([(CONTENT_TYPE, text_format::CONTENT_TYPE)], text).into_response();
        Ok(self.0.budget.hold(held, response))
    }

    fn encode(&self, lifecycle: &Lifecycle) -> Result<String, fmt::Error> {
        // The lifecycle counts running checks already.
        self.0.checks_in_flight.set(lifecycle.running() as u64);
        self.0.held_bytes.set(self.0.budget.held() as u64);
        text_format::encode(&self.0.registry)
    }
}

/// Metrics of the service itself
///
/// For Prometheus: checks by outcome, failing phase and kind of failure, the time of each phase, checks in flight,
/// refused checks, requests by route, status and caller, the build, and the process. No check is run, and no rate limit
/// applies.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses(
        (status = 200, description = "The metrics in Prometheus' text format 0.0.4", body = String, content_type = "text/plain",
            example = "# HELP smtp_check_checks_total Checks that ran, by outcome, failing phase and kind of failure.\n# TYPE smtp_check_checks_total counter\nsmtp_check_checks_total{outcome=\"failed\",phase=\"rcptto\",kind=\"rejected\"} 1\n"),
        Unauthorized,
    ))]
pub(super) async fn metrics(
    lifecycle: State<Lifecycle>,
    Extension(metrics): Extension<Metrics>,
) -> Result<Response, Problem> {
    metrics.response(&lifecycle).await
}
