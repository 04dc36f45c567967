//! Budget of bytes: what all callers together may make the service hold in memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::{http::problem::Problem, report::MAX_REPORT_SIZE};

/// Bytes of the memory that is held for callers: checks, from their start until the caller has taken the response;
/// request bodies that are being read; responses that are not taken. Clones share it.
///
/// Only checks may take the bytes of as many checks as may run, so that a check is let in whatever bodies and other
/// responses hold.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_size: usize,
    /// For checks only.
    checks: Arc<Semaphore>,
    /// For everything else, and for what a check takes beyond.
    shared: Arc<Semaphore>,
    checks_exhausted: Notify,
    shared_exhausted: Notify,
    /// Bodies that wait for their callers: the one that has waited longest is first.
    stalled_bodies: Notify,
    stalled_body_count: AtomicUsize,
}

/// One part of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The bytes that only checks may take.
    Checks,
    /// The rest.
    Shared,
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    checks: OwnedSemaphorePermit,
    shared: OwnedSemaphorePermit,
}

/// The bytes of a response, held until the caller has taken them: an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct HeldResponse(pub(super) Arc<HeldBytes>);

/// Marks a response whose body is shared by all callers: an extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBody;

impl ByteBudget {
    /// Bytes that a check holds: first what its server says, then the report.
    pub(crate) const CHECK_SIZE: usize = MAX_REPORT_SIZE;
    /// Bytes that the live events of a check hold beside its report.
    pub(crate) const EVENTS_SIZE: usize = 32 * 1024;
    /// Bytes that the explanation of a check holds beside its report: it has the transcript twice, escaped, and the
    /// report indented.
    pub(crate) const EXPLANATION_SIZE: usize = 4 * Self::CHECK_SIZE;
    /// Bytes that a request holds beside others of its connection, and a response or a message that is not longer.
    pub(crate) const REQUEST_SIZE: usize = 4 * 1024;
    /// Bytes that are left for the rest when as many checks run as may.
    const SHARED_SIZE: usize = 32 * 1024 * 1024;
    /// The largest body is in memory as text, as a message, and as what is sent of that.
    const COPIES_OF_BODY: usize = 3;

    /// A budget for so many checks at a time, and for what else callers send and leave unread. One body of `max_body`
    /// bytes fits into it.
    pub fn new(checks: usize, max_body: usize) -> Self {
        let shared = Self::SHARED_SIZE.max(max_body.saturating_mul(Self::COPIES_OF_BODY));
        Self::with_pools(checks.saturating_mul(Self::CHECK_SIZE), shared)
    }

    /// A budget of so many bytes, none of them for checks only.
    #[cfg(test)]
    pub(crate) fn of(bytes: usize) -> Self {
        Self::with_pools(0, bytes)
    }

    pub(crate) fn with_pools(checks: usize, shared: usize) -> Self {
        let [checks, shared] = [checks, shared].map(|size| size.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner {
            max_size: checks + shared,
            checks: Arc::new(Semaphore::new(checks)),
            shared: Arc::new(Semaphore::new(shared)),
            checks_exhausted: Notify::new(),
            shared_exhausted: Notify::new(),
            stalled_bodies: Notify::new(),
            stalled_body_count: AtomicUsize::new(0),
        }))
    }

    /// Takes so many bytes that are not for checks only.
    ///
    /// # Errors
    /// There are not as many left.
    pub(crate) fn take(&self, bytes: usize) -> Result<HeldBytes, NoBytesLeft> {
        self.acquire(0, bytes).ok_or_else(|| {
            self.0.shared_exhausted.notify_one();
            NoBytesLeft
        })
    }

    /// Takes the bytes of a check, and so many more.
    ///
    /// # Errors
    /// There are not as many left.
    pub(crate) fn take_for_check(&self, more: usize) -> Result<HeldBytes, NoBytesLeft> {
        if let Some(mut held) = self.acquire(Self::CHECK_SIZE, 0) {
            held.merge(self.take(more)?);
            return Ok(held);
        }
        // Reports that were not taken may hold the bytes of the checks.
        self.acquire(0, Self::CHECK_SIZE.saturating_add(more)).ok_or_else(|| {
            self.0.checks_exhausted.notify_one();
            NoBytesLeft
        })
    }

    fn acquire(&self, checks: usize, shared: usize) -> Option<HeldBytes> {
        let take =
            |pool: &Arc<Semaphore>, bytes: usize| pool.clone().try_acquire_many_owned(bytes.try_into().ok()?).ok();
        Some(HeldBytes { checks: take(&self.0.checks, checks)?, shared: take(&self.0.shared, shared)? })
    }

    /// The response, which holds `held` until the caller has taken it: as many bytes as it has, if their number is
    /// known. A longer one holds more only if there are more: what has been done for it is not thrown away.
    pub(crate) fn hold(&self, mut held: HeldBytes, mut response: Response<Body>) -> Response<Body> {
        if let Some(size) = response.body().size_hint().exact() {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let more = size.saturating_sub(held.size());
            if more > 0
                && let Ok(more) = self.take(more)
            {
                held.merge(more);
            }
            held.shrink_to(size);
        }
        response.extensions_mut().insert(HeldResponse(Arc::new(held)));
        response
    }

    /// Bytes that are taken.
    pub(crate) fn held(&self) -> usize {
        self.0.max_size - self.0.checks.available_permits() - self.0.shared.available_permits()
    }

    /// Waits until bytes could not be taken, and returns of which pool. A check may have bytes of both.
    pub(crate) async fn exhausted(&self) -> Pool {
        tokio::select! {
            () = self.0.checks_exhausted.notified() => Pool::Checks,
            () = self.0.shared_exhausted.notified() => Pool::Shared,
        }
    }

    /// Waits until the body that has been waiting for its caller longest, and that is this one, is to be refused.
    pub(crate) async fn body_refused(&self) {
        struct Stalled<'a>(&'a AtomicUsize);
        impl Drop for Stalled<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.stalled_body_count.fetch_add(1, Ordering::Relaxed);
        let _stalled = Stalled(&self.0.stalled_body_count);
        // It wakes in the order of the first polls.
        self.0.stalled_bodies.notified().await;
    }

    /// Refuses the body that has been waiting for its caller longest, for the memory that it holds.
    pub(crate) fn refuse_stalled_body(&self) {
        // Else the next body would be refused as soon as it waits.
        if self.0.stalled_body_count.load(Ordering::Relaxed) > 0 {
            self.0.stalled_bodies.notify_one();
        }
    }
}

/// The budget has not as many bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Self::TEXT)]
pub(crate) struct NoBytesLeft;

impl NoBytesLeft {
    const TEXT: &str = "checks, request bodies and unread responses take as much memory as they may";
}

impl From<NoBytesLeft> for Problem {
    fn from(_: NoBytesLeft) -> Self {
        Self::load_shed(NoBytesLeft::TEXT)
    }
}

impl HeldBytes {
    fn pools(&self) -> impl Iterator<Item = Pool> {
        let parts = [(Pool::Checks, &self.checks), (Pool::Shared, &self.shared)];
        parts.into_iter().filter(|(_, part)| part.num_permits() > 0).map(|(pool, _)| pool)
    }

    fn size(&self) -> usize {
        self.checks.num_permits() + self.shared.num_permits()
    }

    /// Gives back what is more than `bytes`, first what only checks may take.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let mut more = self.size().saturating_sub(bytes);
        for part in [&mut self.checks, &mut self.shared] {
            let returned = more.min(part.num_permits());
            drop(part.split(returned));
            more -= returned;
        }
    }

    /// Holds what `other` holds, too.
    pub(crate) fn merge(&mut self, other: Self) {
        self.checks.merge(other.checks);
        self.shared.merge(other.shared);
    }
}

/// How many requests and responses of one connection hold bytes of each pool. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings(Arc<[AtomicUsize; 2]>);

/// One of them, until it is dropped, with what it holds.
#[derive(Debug)]
pub(super) struct Holding {
    held: Arc<HeldBytes>,
    of: Holdings,
}

impl Holdings {
    /// Counts what is held.
    pub(super) fn begin(&self, held: Arc<HeldBytes>) -> Holding {
        for pool in held.pools() {
            self.0[pool as usize].fetch_add(1, Ordering::Relaxed);
        }
        Holding { held, of: self.clone() }
    }

    /// Whether a request or response holds bytes that could be taken instead of those of `exhausted`: a check may have
    /// bytes of both pools.
    pub(super) fn has_bytes_for(&self, exhausted: Pool) -> bool {
        let has = |pool: Pool| self.0[pool as usize].load(Ordering::Relaxed) > 0;
        has(Pool::Shared) || exhausted == Pool::Checks && has(Pool::Checks)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        for pool in self.held.pools() {
            self.of.0[pool as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = ByteBudget::of(100);
        let mut first = budget.take(60).expect("enough");
        assert!(budget.take(41).is_err());
        first.merge(budget.take(40).expect("enough"));
        assert_eq!(budget.held(), 100);
        first.shrink_to(30);
        assert_eq!(budget.held(), 30);
        first.shrink_to(50);
        drop(first);
        assert_eq!(budget.held(), 0);
        assert!(budget.take(usize::MAX).is_err());
    }

    #[test]
    fn a_check_has_its_bytes_whatever_bodies_hold() {
        let budget = ByteBudget::with_pools(2 * ByteBudget::CHECK_SIZE, 100);
        let _bodies = budget.take(100).expect("enough");
        assert!(budget.take(1).is_err(), "the rest is for checks");
        let checks = [budget.take_for_check(0), budget.take_for_check(0)];
        assert!(checks.iter().all(Result::is_ok), "the bytes of bodies are not theirs");
        assert!(budget.take_for_check(0).is_err());
    }

    #[test]
    fn a_response_of_a_check_that_ran_is_never_refused() {
        let budget = ByteBudget::with_pools(ByteBudget::CHECK_SIZE, 0);
        let held = budget.take_for_check(0).expect("enough");
        let response = budget.hold(held, Response::new(Body::from(vec![b' '; 2 * ByteBudget::CHECK_SIZE])));
        assert_eq!(budget.held(), ByteBudget::CHECK_SIZE);
        drop(response);
        assert_eq!(budget.held(), 0);
    }
}
