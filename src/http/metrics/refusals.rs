//! Checks that were requested but not run, counted by reason.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type RefusalLabels = [(&'static str, &'static str); 1];

/// The counters of refusals. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct RefusalMetrics(Family<RefusalLabels, Counter>);

impl RefusalMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refusals = Family::default();
        registry.register("refusals", "Checks that were requested and not run, by reason", refusals.clone());
        // `rate()` needs the zero before the first refusal.
        for reason in RefusalReason::ALL {
            drop(refusals.get_or_create(&reason.labels()));
        }
        Self(refusals)
    }

    pub(super) fn count(&self, reason: RefusalReason) {
        self.0.get_or_create(&reason.labels()).inc();
    }
}

/// Why a check was not run.
#[derive(Clone, Copy, Debug)]
pub(super) enum RefusalReason {
    Overloaded,
    TargetBusy,
    Forbidden,
    Internal,
    RateLimited,
    ShuttingDown,
}

impl RefusalReason {
    const ALL: [Self; 6] =
        [Self::Overloaded, Self::TargetBusy, Self::Forbidden, Self::Internal, Self::RateLimited, Self::ShuttingDown];

    fn labels(self) -> RefusalLabels {
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
