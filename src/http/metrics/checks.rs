//! Checks that ran, counted by a layer around the probe.

use std::sync::{Arc, OnceLock};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tower::{Layer, ServiceExt};

use super::refusals::{RefusalMetrics, RefusalReason};
use crate::{
    phase::Phase,
    probe::{Probe, Refusal},
    report::{Outcome, Report},
};

/// Upper bounds of the histograms, in seconds: from a server in the same network to one that takes a minute to judge a
/// recipient.
const BUCKETS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
    /// Empty unless the check failed: to Prometheus an empty label is none.
    phase: &'static str,
    kind: &'static str,
}

impl CheckLabels {
    fn of(report: &Report) -> Self {
        let failure = report.failure.as_ref().map(|failure| (failure.phase.name(), failure.kind.name()));
        let (phase, kind) = failure.unwrap_or_default();
        Self { outcome: report.outcome.name(), phase, kind }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

/// The metrics of checks. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct CheckMetrics {
    checks: Family<CheckLabels, Counter>,
    abandoned: Counter,
    durations: Histogram,
    phases: Family<PhaseLabels, Histogram, fn() -> Histogram>,
    /// The same by phase: to look one up by its label takes many times the instructions.
    by_phase: Arc<[OnceLock<Histogram>; Phase::ALL.len()]>,
    refusals: RefusalMetrics,
}

impl CheckMetrics {
    pub(super) fn register(registry: &mut Registry, refusals: RefusalMetrics) -> Self {
        let checks = Family::<CheckLabels, Counter>::default();
        registry.register("checks", "Checks that ran, by outcome, failing phase and kind of failure", checks.clone());
        // `rate()` needs the zero before the first check. There are too many kinds of failure for that.
        for outcome in [Outcome::Delivered, Outcome::Completed] {
            drop(checks.get_or_create(&CheckLabels { outcome: outcome.name(), phase: "", kind: "" }));
        }
        let abandoned = Counter::default();
        registry.register(
            "checks_abandoned",
            "Checks that ended without a report, nearly always because the caller closed the connection",
            abandoned.clone(),
        );
        let durations = Histogram::new(BUCKETS);
        registry.register("check_duration_seconds", "Time from the start to the end of a check", durations.clone());
        let phases = Family::<_, _, fn() -> _>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register(
            "phase_duration_seconds",
            "Time of each phase that got its reply; banner begins with connect and includes it",
            phases.clone(),
        );
        Self { checks, abandoned, durations, phases, by_phase: Arc::default(), refusals }
    }

    fn count(&self, result: &Result<Report, Refusal>) {
        match result {
            Ok(report) => self.count_report(report),
            Err(refusal) => self.refusals.count(match refusal {
                Refusal::Overloaded => RefusalReason::Overloaded,
                Refusal::TargetBusy => RefusalReason::TargetBusy,
                Refusal::Forbidden(_) => RefusalReason::Forbidden,
                Refusal::NoSourceAddress => RefusalReason::NoSourceAddress,
                Refusal::Internal => RefusalReason::Internal,
            }),
        }
    }

    fn count_report(&self, report: &Report) {
        self.checks.get_or_create(&CheckLabels::of(report)).inc();
        self.durations.observe(report.metrics.duration / 1000.0);
        for phase in &report.phases {
            if let Some(ms) = phase.time_ms {
                self.of_phase(phase.name).observe(ms / 1000.0);
            }
        }
    }

    fn of_phase(&self, phase: Phase) -> &Histogram {
        let labels = PhaseLabels { phase: phase.name() };
        self.by_phase[phase as usize].get_or_init(|| self.phases.get_or_create_owned(&labels))
    }
}

/// Counts each check of the probe that it wraps, once.
#[derive(Clone, Debug)]
pub(crate) struct CountChecksLayer(pub(super) CheckMetrics);

impl Layer<Probe> for CountChecksLayer {
    type Service = Probe;

    fn layer(&self, probe: Probe) -> Probe {
        let metrics = self.0.clone();
        Probe::new(probe.map_future(move |check| {
            let pending = PendingCheck(Some(metrics.clone()));
            async move {
                let result = check.await;
                pending.count(&result);
                result
            }
        }))
    }
}

/// A check without a result. Dropped, it counts as abandoned.
struct PendingCheck(Option<CheckMetrics>);

impl PendingCheck {
    fn count(mut self, result: &Result<Report, Refusal>) {
        if let Some(metrics) = self.0.take() {
            metrics.count(result);
        }
    }
}

impl Drop for PendingCheck {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            metrics.abandoned.inc();
        }
    }
}
