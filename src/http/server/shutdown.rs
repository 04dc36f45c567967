//! The lifecycle of the service: open for checks, then draining, then over; or forced to end.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether new checks are taken, and how many are running. Shared by all routes and the server loop.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle(Arc<Channels>);

/// Two channels: each body that is read waits for the stage, and must not be woken when somebody's check begins or
/// ends.
#[derive(Debug, Default)]
struct Channels {
    stage: watch::Sender<Stage>,
    checks: watch::Sender<Checks>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Open,
    Draining,
    Forced,
}

#[derive(Debug, Default)]
struct Checks {
    /// No new ones. Beside their number, so that none begins after the last one was seen to end.
    closed: bool,
    running: usize,
}

impl Lifecycle {
    /// Begins a check, unless the service is draining. The check runs until the value is dropped.
    pub fn begin(&self) -> Option<Running> {
        let begun = self.0.checks.send_if_modified(|checks| {
            checks.running += usize::from(!checks.closed);
            !checks.closed
        });
        begun.then(|| Running(self.clone()))
    }

    /// Refuses new checks from now on, for good.
    pub fn drain(&self) {
        self.enter(Stage::Draining);
    }

    /// Like [`Self::drain`], and running checks are no longer waited for.
    pub fn force(&self) {
        self.enter(Stage::Forced);
    }

    fn enter(&self, next: Stage) {
        self.0.checks.send_modify(|checks| checks.closed = true);
        self.0.stage.send_modify(|stage| *stage = next.max(*stage));
    }

    /// Whether new checks are refused.
    pub fn is_draining(&self) -> bool {
        *self.0.stage.borrow() >= Stage::Draining
    }

    /// How many checks are running.
    pub fn running(&self) -> usize {
        self.0.checks.borrow().running
    }

    /// Waits until new checks are refused.
    pub async fn draining(&self) {
        reached(&self.0.stage, |stage| *stage >= Stage::Draining).await;
    }

    /// Waits until running checks are no longer waited for.
    pub async fn forced(&self) {
        reached(&self.0.stage, |stage| *stage == Stage::Forced).await;
    }

    /// Waits until no check is running; the next one may begin at once.
    pub async fn idle(&self) {
        reached(&self.0.checks, |checks| checks.running == 0).await;
    }

    /// Waits until no check is running, and none will be.
    pub async fn over(&self) {
        reached(&self.0.checks, |checks| checks.closed && checks.running == 0).await;
    }
}

async fn reached<T>(sender: &watch::Sender<T>, is_reached: impl FnMut(&T) -> bool) {
    // The only error is a dropped sender, and the lifecycle holds it.
    sender.subscribe().wait_for(is_reached).await.ok();
}

/// A running check; over when dropped, however it ends.
#[derive(Debug)]
#[must_use = "the check counts as running only as long as this is kept"]
pub struct Running(Lifecycle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.checks.send_modify(|checks| checks.running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn draining_finishes_running_checks_and_begins_no_new_one() {
        let lifecycle = Lifecycle::default();
        let first = lifecycle.begin().expect("open");
        let second = lifecycle.begin().expect("open");
        assert_eq!(lifecycle.running(), 2);

        let mut draining = task::spawn(lifecycle.draining());
        let mut over = task::spawn(lifecycle.over());
        assert_pending!(draining.poll());
        assert_pending!(over.poll());

        lifecycle.drain();
        assert!(lifecycle.is_draining() && lifecycle.begin().is_none());
        assert_ready!(draining.poll());
        drop(first);
        assert_pending!(over.poll());
        drop(second);
        assert!(over.is_woken());
        assert_ready!(over.poll());
        assert_eq!(lifecycle.running(), 0);
    }

    #[test]
    fn a_check_wakes_none_who_waits_for_the_shutdown() {
        let lifecycle = Lifecycle::default();
        let mut draining = task::spawn(lifecycle.draining());
        let mut forced = task::spawn(lifecycle.forced());
        assert_pending!(draining.poll());
        assert_pending!(forced.poll());
        drop((lifecycle.begin(), lifecycle.begin()));
        assert!(!draining.is_woken() && !forced.is_woken());
        lifecycle.drain();
        assert!(draining.is_woken());
    }

    #[test]
    fn force_refuses_new_checks_too() {
        let lifecycle = Lifecycle::default();
        let running = lifecycle.begin().expect("open");
        let mut forced = task::spawn(lifecycle.forced());
        assert_pending!(forced.poll());
        lifecycle.drain();
        assert_pending!(forced.poll());
        lifecycle.force();
        assert_ready!(forced.poll());
        assert!(lifecycle.begin().is_none());
        assert_pending!(task::spawn(lifecycle.over()).poll());
        drop(running);
    }

    #[test]
    fn an_idle_service_is_over_as_soon_as_it_drains() {
        let lifecycle = Lifecycle::default();
        let running = lifecycle.begin();
        assert_pending!(task::spawn(lifecycle.idle()).poll());
        drop(running);
        assert_ready!(task::spawn(lifecycle.idle()).poll());
        assert_pending!(task::spawn(lifecycle.over()).poll());
        lifecycle.drain();
        assert_ready!(task::spawn(lifecycle.over()).poll());
    }
}
