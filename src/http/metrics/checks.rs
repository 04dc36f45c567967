//! Checks, counted where the doors hand them to the probe.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tower::Service;

use super::{Reason, Refusals};
use crate::{
    phase::Phase,
    probe::{CheckJob, Probe, Refusal},
    report::{Outcome, Report},
};

/// Upper bounds of the histograms, in seconds: from a server next door to one that takes a minute to think about the recipient.
const BUCKETS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
    /// Empty unless the check failed, as Prometheus writes "none".
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
struct PhaseLabel {
    phase: &'static str,
}

/// The figures about checks. A clone counts into the same.
#[derive(Clone, Debug)]
pub(super) struct CheckMetrics {
    checks: Family<CheckLabels, Counter>,
    abandoned: Counter,
    durations: Histogram,
    phases: Family<PhaseLabel, Histogram, fn() -> Histogram>,
    refusals: Refusals,
}

impl CheckMetrics {
    pub(super) fn register(registry: &mut Registry, refusals: Refusals) -> Self {
        let checks = Family::<CheckLabels, Counter>::default();
        registry.register("checks", "Checks that ran, by outcome, failing phase and kind of failure", checks.clone());
        // There from the start: a rate needs the zero before the first one. Failures are too many for that.
        for outcome in [Outcome::Delivered, Outcome::Completed] {
            drop(checks.get_or_create(&CheckLabels { outcome: outcome.name(), phase: "", kind: "" }));
        }
        let abandoned = Counter::default();
        registry.register(
            "checks_abandoned",
            "Checks that ended without a report, nearly always since their caller hung up",
            abandoned.clone(),
        );
        let durations = Histogram::new(BUCKETS);
        registry.register("check_duration_seconds", "Time from the start to the end of a check", durations.clone());
        let phases = Family::<_, _, fn() -> _>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register(
            "phase_duration_seconds",
            "Time of each phase that got its answer; banner begins with connect, and so has it within",
            phases.clone(),
        );
        Self { checks, abandoned, durations, phases, refusals }
    }

    pub(super) fn counting(&self, probe: Probe) -> Probe {
        Probe::new(Counted { metrics: self.clone(), probe })
    }

    fn count(&self, answer: &Result<Report, Refusal>) {
        match answer {
            Ok(report) => self.count_report(report),
            Err(refusal) => self.refusals.count(match refusal {
                Refusal::Overloaded => Reason::Overloaded,
                Refusal::TargetBusy => Reason::TargetBusy,
                Refusal::Forbidden(_) => Reason::Forbidden,
                Refusal::Internal => Reason::Internal,
            }),
        }
    }

    fn count_report(&self, report: &Report) {
        self.checks.get_or_create(&CheckLabels::of(report)).inc();
        self.durations.observe(seconds(report.metrics.duration));
        for phase in &report.phases {
            if let Some(ms) = phase.time_ms {
                self.count_phase(phase.name, ms);
            }
        }
    }

    fn count_phase(&self, phase: Phase, ms: f64) {
        self.phases.get_or_create(&PhaseLabel { phase: phase.name() }).observe(seconds(ms));
    }
}

fn seconds(ms: f64) -> f64 {
    ms / 1000.0
}

/// A probe whose answers are counted.
#[derive(Clone, Debug)]
struct Counted {
    metrics: CheckMetrics,
    probe: Probe,
}

impl Service<CheckJob> for Counted {
    type Response = Report;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Report, Refusal>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.probe.poll_ready(context)
    }

    fn call(&mut self, order: CheckJob) -> Self::Future {
        let unanswered = Unanswered(Some(self.metrics.clone()));
        let check = self.probe.call(order);
        Box::pin(async move {
            let answer = check.await;
            unanswered.answer(&answer);
            answer
        })
    }
}

/// A check that has no answer yet; dropped, it never will.
struct Unanswered(Option<CheckMetrics>);

impl Unanswered {
    fn answer(mut self, answer: &Result<Report, Refusal>) {
        if let Some(metrics) = self.0.take() {
            metrics.count(answer);
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            metrics.abandoned.inc();
        }
    }
}
