//! Checks that were requested but not run, counted by reason.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use strum::{IntoStaticStr, VariantArray};

type RefusalLabels = [(&'static str, &'static str); 1];

/// The counters of refusals. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct RefusalMetrics(Family<RefusalLabels, Counter>);

impl RefusalMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refusals = Family::default();
        registry.register("refusals", "Checks that were requested and not run, by reason", refusals.clone());
        // `rate()` needs the zero before the first refusal.
        for reason in RefusalReason::VARIANTS {
            drop(refusals.get_or_create(&reason.labels()));
        }
        Self(refusals)
    }

    pub(super) fn count(&self, reason: RefusalReason) {
        self.0.get_or_create(&reason.labels()).inc();
    }
}

/// Why a check was not run.
#[derive(Clone, Copy, Debug, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum RefusalReason {
    Overloaded,
    TargetBusy,
    Forbidden,
    NoSourceAddress,
    #[strum(serialize = "stuck")]
    Internal,
    RateLimited,
    ShuttingDown,
}

impl RefusalReason {
    fn labels(self) -> RefusalLabels {
        [("reason", self.into())]
    }
}
