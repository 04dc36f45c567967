//! Budget of bytes: what all callers together may make the service hold in memory.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::{http::problem::Problem, report::MAX_REPORT_SIZE};

/// Bytes of the memory that is held for callers: checks, from their start until the caller has taken the response;
/// request bodies that are being read; responses that are not taken. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_size: usize,
    left: Arc<Semaphore>,
    exhausted: Notify,
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes(OwnedSemaphorePermit);

/// The bytes of a response, held until the caller has taken them: an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct HeldResponse(
    #[expect(dead_code, reason = "held for as long as the response is in memory")] Arc<HeldBytes>,
);

/// Marks a response whose body is shared by all callers: an extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBody;

impl ByteBudget {
    /// Bytes that a check holds: first what its server says, then the report.
    pub(crate) const CHECK_SIZE: usize = MAX_REPORT_SIZE;
    /// Bytes that the live events of a check hold beside its report.
    pub(crate) const EVENTS_SIZE: usize = 32 * 1024;
    /// Bytes that a request holds beside others of its connection, and a response that is not longer.
    pub(crate) const REQUEST_SIZE: usize = 4 * 1024;
    /// Bytes that are left for the rest when as many checks run as may.
    const SHARED_SIZE: usize = 32 * 1024 * 1024;
    /// The largest body is in memory as text, as a message, and as what is sent of that.
    const COPIES_OF_BODY: usize = 3;

    /// A budget for so many checks at a time, and for what else callers send and leave unread. One body of `max_body`
    /// bytes fits into it.
    pub fn new(checks: usize, max_body: usize) -> Self {
        let shared = Self::SHARED_SIZE.max(max_body.saturating_mul(Self::COPIES_OF_BODY));
        Self::of(checks.saturating_mul(Self::CHECK_SIZE).saturating_add(shared))
    }

    /// A budget of so many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        let max_size = bytes.min(Semaphore::MAX_PERMITS);
        let left = Arc::new(Semaphore::new(max_size));
        Self(Arc::new(Inner { max_size, left, exhausted: Notify::new() }))
    }

    /// Takes so many bytes. None if there are not as many left.
    pub(crate) fn take(&self, bytes: usize) -> Option<HeldBytes> {
        let permits = u32::try_from(bytes).ok();
        let held = permits.and_then(|permits| self.0.left.clone().try_acquire_many_owned(permits).ok());
        if held.is_none() {
            self.0.exhausted.notify_one();
        }
        held.map(HeldBytes)
    }

    /// Takes so many bytes for a check or a response.
    ///
    /// # Errors
    /// There are not as many left.
    pub(crate) fn admit(&self, bytes: usize) -> Result<HeldBytes, Problem> {
        self.take(bytes).ok_or_else(|| {
            Problem::load_shed("checks, request bodies and unread responses take as much memory as they may")
        })
    }

    /// The response, which holds `held` until the caller has taken it: as many bytes as it has, if their number is
    /// known.
    ///
    /// # Errors
    /// The response is longer than what is held, and there are not as many bytes left.
    pub(crate) fn hold(&self, mut held: HeldBytes, mut response: Response<Body>) -> Result<Response<Body>, Problem> {
        if let Some(size) = response.body().size_hint().exact() {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let more = size.saturating_sub(held.0.num_permits());
            if more > 0 {
                held.merge(self.admit(more)?);
            }
            held.shrink_to(size);
        }
        response.extensions_mut().insert(HeldResponse(Arc::new(held)));
        Ok(response)
    }

    /// Bytes that are taken.
    pub(crate) fn held(&self) -> usize {
        self.0.max_size - self.0.left.available_permits()
    }

    /// Waits until [`Self::take`] has failed.
    pub(crate) async fn exhausted(&self) {
        self.0.exhausted.notified().await;
    }
}

impl HeldBytes {
    /// Gives back what is more than `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        drop(self.0.split(self.0.num_permits().saturating_sub(bytes)));
    }

    /// Holds what `other` holds, too.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = ByteBudget::of(100);
        let mut first = budget.take(60).expect("enough");
        assert!(budget.take(41).is_none());
        first.merge(budget.take(40).expect("enough"));
        assert_eq!(budget.held(), 100);
        first.shrink_to(30);
        assert_eq!(budget.held(), 30);
        first.shrink_to(50);
        drop(first);
        assert_eq!(budget.held(), 0);
        assert!(budget.take(usize::MAX).is_none());
    }
}
