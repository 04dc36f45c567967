//! The service's own figures, and `GET /metrics`, where Prometheus fetches them.
//!
//! - `checks` counts them around the probe that the doors use: each once, whichever door it came by.
//! - `requests` counts what the doors answer.
//! - `process` reads what the system says of the process, when somebody asks.
//! - `text` writes the format that every scraper reads.
//!
//! No label has a value that a mail server or a stranger could choose: each would be a time series for good.

mod checks;
mod process;
mod requests;
mod text;

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
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use checks::CheckMetrics;
use requests::RequestMetrics;
pub(super) use requests::{count, name_door};

use crate::{
    http::{problem::Problem, routes::health, server::Lifecycle},
    probe::Probe,
};

/// Begins every name that is ours alone.
const PREFIX: &str = "smtp_check";

/// All figures. A clone counts into the same.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    checks: CheckMetrics,
    requests: RequestMetrics,
    in_flight: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// Everything at zero, but for what is counted already.
    pub(super) fn new(dropped_lines: Option<Counter>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::new()));
        let ours = registry.sub_registry_with_prefix(PREFIX);
        let build = [("version", env!("CARGO_PKG_VERSION")), ("revision", health::REVISION.unwrap_or_default())];
        ours.register("build", "Which program this is", Info::new(build));
        let in_flight = Gauge::default();
        ours.register("checks_in_flight", "Checks that are running", in_flight.clone());
        let refusals = Family::default();
        ours.register("refusals", "Checks that were asked for and not run, by reason", refusals.clone());
        let checks = CheckMetrics::register(ours, Refusals::new(refusals.clone()));
        let requests = RequestMetrics::register(ours, Refusals::new(refusals));
        if let Some(dropped_lines) = dropped_lines {
            ours.register(
                "log_lines_lost",
                "Lines of the log that were lost, since nobody read it fast enough",
                dropped_lines,
            );
        }
        Self(Arc::new(Inner { registry, checks, requests, in_flight }))
    }

    /// The same probe, with its checks counted.
    pub(super) fn counting(&self, probe: Probe) -> Probe {
        self.0.checks.counting(probe)
    }

    /// All figures as text.
    fn text(&self, lifecycle: &Lifecycle) -> Result<String, fmt::Error> {
        // Known already, and so not counted a second time.
        self.0.in_flight.set(lifecycle.running() as u64);
        text::write(&self.0.registry)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

type ReasonLabel = [(&'static str, &'static str); 1];

/// Counts refusals by reason. A clone counts into the same.
#[derive(Clone, Debug)]
struct Refusals(Family<ReasonLabel, Counter>);

impl Refusals {
    /// Each reason is there from the start: a rate needs the zero before the first one.
    fn new(counters: Family<ReasonLabel, Counter>) -> Self {
        for reason in Reason::ALL {
            drop(counters.get_or_create(&reason.label()));
        }
        Self(counters)
    }

    fn count(&self, reason: Reason) {
        self.0.get_or_create(&reason.label()).inc();
    }
}

/// Why a check was not run.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Overloaded,
    TargetBusy,
    Forbidden,
    Internal,
    RateLimited,
    ShuttingDown,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Overloaded, Self::TargetBusy, Self::Forbidden, Self::Internal, Self::RateLimited, Self::ShuttingDown];

    fn label(self) -> ReasonLabel {
        let reason = match self {
            Self::Overloaded => "overloaded",
            Self::TargetBusy => "target_busy",
            Self::Forbidden => "forbidden",
            Self::Internal => "stuck",
            Self::RateLimited => "rate_limited",
            Self::ShuttingDown => "shutting_down",
        };
        [("reason", reason)]
    }
}

/// How is the service itself?
///
/// Its own figures for Prometheus: checks by outcome, failing phase and kind, the time of each phase, what is in flight and what was
/// refused, requests by door, status and caller, the build and the process. No check is run and no rate limit applies.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses(
        (status = 200, description = "The figures in Prometheus' text format 0.0.4", body = String, content_type = "text/plain",
            example = "# HELP smtp_check_checks_total Checks that ran, by outcome, failing phase and kind of failure.\n# TYPE smtp_check_checks_total counter\nsmtp_check_checks_total{outcome=\"failed\",phase=\"rcptto\",kind=\"rejected\"} 1\n"),
        (status = 401, description = "A valid token is required", body = Problem, content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "The scheme: `Bearer`")),
            example = json!(Problem::new(crate::http::problem::ProblemType::Unauthorized, "the token is not known"))),
    ))]
pub(super) async fn metrics(
    lifecycle: State<Lifecycle>,
    Extension(metrics): Extension<Metrics>,
) -> Result<Response, Problem> {
    // Writing to memory fails only where a figure cannot be written.
    let text = metrics.text(&lifecycle).map_err(|_| Problem::fault())?;
    Ok(([(CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response())
}
