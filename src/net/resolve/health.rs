//! [`Health`]: whether a name server answers by a transport, so that a dead one does not cost every check its timeout.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// What is known of one name server and one transport.
#[derive(Debug)]
pub(super) struct Health {
    /// Whether there are other servers to ask in its place.
    has_others: bool,
    is_dead: watch::Sender<bool>,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    heard: Option<Instant>,
    probed: Option<Instant>,
}

/// A probe that is under way: when it began.
#[derive(Debug)]
pub(super) struct Probe(Instant);

impl Health {
    /// How long a server may take for a question that it can answer by itself.
    pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(600);

    /// Time from probe to probe of one server.
    const PROBE_INTERVAL: Duration = Duration::from_secs(5);

    pub(super) fn new(has_others: bool) -> Self {
        Self { has_others, is_dead: watch::Sender::new(false), times: Mutex::default() }
    }

    pub(super) fn is_dead(&self) -> bool {
        *self.is_dead.borrow()
    }

    /// Waits until the server is known to be dead.
    pub(super) async fn died(&self) {
        // The sender is a field of this, so it is not dropped before.
        let _ = self.is_dead.subscribe().wait_for(|is_dead| *is_dead).await;
    }

    /// The server has sent something.
    pub(super) fn heard(&self) {
        self.lock().heard = Some(Instant::now());
        self.is_dead.send_if_modified(mem::take);
    }

    /// Begins a probe, unless one began a short time ago or the result would make no difference.
    pub(super) fn begin_probe(&self) -> Option<Probe> {
        let mut times = self.lock();
        let is_due = times.probed.is_none_or(|probed| probed.elapsed() >= Self::PROBE_INTERVAL);
        let now = Instant::now();
        (self.has_others && is_due).then(|| {
            times.probed = Some(now);
            Probe(now)
        })
    }

    /// Ends a probe. Whether the server was found to be dead, and was not known to be.
    pub(super) fn end_probe(&self, Probe(began): Probe, is_silent: bool) -> bool {
        let was_heard = self.lock().heard.is_some_and(|heard| heard >= began);
        is_silent && !was_heard && self.is_dead.send_if_modified(|is_dead| !mem::replace(is_dead, true))
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
