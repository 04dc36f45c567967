//! Budget of bytes: what all callers together may make the service hold in memory.

mod holdings;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use futures_util::future::FutureExt;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

pub(super) use holdings::{Holding, Holdings};

use crate::{http::problem::Problem, report::MAX_REPORT_SIZE};

/// How long a request waits for the bytes of connections that are closed for it.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of the memory that is held for callers: checks, from their start until the caller has taken the response;
/// request bodies that are being read; responses that are not taken. Clones share it.
///
/// Only checks may take the bytes of as many checks as may run, so that a check is let in whatever bodies and other
/// responses hold. A few bytes are for the metrics alone.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_size: usize,
    /// By [`Pool`].
    pools: [Arc<Semaphore>; Pool::COUNT],
    exhausted: [Notify; Pool::COUNT],
    /// Bytes that could not be taken last.
    missing: [AtomicUsize; Pool::COUNT],
    released: Notify,
    /// Bytes of the requests that wait for theirs.
    waiting: Arc<Semaphore>,
    /// Bodies that wait for their callers: the one that has waited longest is first.
    stalled_bodies: Notify,
    stalled_body_count: AtomicUsize,
}

/// One part of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The bytes that only checks may take.
    Checks,
    /// The bytes of everything else, and of what a check takes beyond.
    Shared,
    /// The bytes of `GET /metrics` when those for all are exhausted.
    Metrics,
}

impl Pool {
    const COUNT: usize = 3;
    const ALL: [Self; Self::COUNT] = [Self::Checks, Self::Shared, Self::Metrics];
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    budget: ByteBudget,
    /// By [`Pool`].
    parts: [OwnedSemaphorePermit; Pool::COUNT],
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
    /// Bytes that the check of a domain holds beside those of a check, for what the domain publishes. Each session and
    /// its report hold their own.
    pub(crate) const DOMAIN_SIZE: usize = 256 * 1024;
    /// Bytes that a request holds beside others of its connection, without its header: over HTTP/2, what hyper and the
    /// layers keep for a stream.
    pub(crate) const REQUEST_SIZE: usize = 12 * 1024;
    /// Bytes of a response or a message that count as nothing.
    pub(crate) const SMALL_SIZE: usize = 4 * 1024;
    /// Bytes that are left for the rest when as many checks run as may.
    const SHARED_SIZE: usize = 32 * 1024 * 1024;
    /// Bytes of the metrics that nobody has taken, some dozens.
    const METRICS_SIZE: usize = 1024 * 1024;
    /// Bytes of the requests that wait for theirs: some hundreds of requests.
    const WAITING_SIZE: usize = 2 * 1024 * 1024;
    /// Bytes of a request that waits, beside its header.
    const WAITING_REQUEST_SIZE: usize = 2 * 1024;
    /// The largest body is in memory as text, as a message, and as what is sent of that.
    const COPIES_OF_BODY: usize = 3;

    /// A budget for so many checks at a time, and for what else callers send and leave unread. One body of `max_body`
    /// bytes fits into it.
    pub fn new(checks: usize, max_body: usize) -> Self {
        let shared = Self::SHARED_SIZE.max(max_body.saturating_mul(Self::COPIES_OF_BODY));
        Self::with_pools([checks.saturating_mul(Self::CHECK_SIZE), shared, Self::METRICS_SIZE])
    }

    /// A budget of so many bytes, none of them for checks only.
    #[cfg(test)]
    pub(crate) fn of(bytes: usize) -> Self {
        Self::with_pools([0, bytes, 0])
    }

    /// A budget of so many bytes in each [`Pool`].
    pub(crate) fn with_pools(sizes: [usize; Pool::COUNT]) -> Self {
        let sizes = sizes.map(|size| size.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner {
            max_size: sizes.iter().sum(),
            pools: sizes.map(|size| Arc::new(Semaphore::new(size))),
            exhausted: Default::default(),
            missing: Default::default(),
            released: Notify::new(),
            waiting: Arc::new(Semaphore::new(Self::WAITING_SIZE)),
            stalled_bodies: Notify::new(),
            stalled_body_count: AtomicUsize::new(0),
        }))
    }

    /// Takes so many bytes of those for all.
    ///
    /// # Errors
    /// There are not as many left. One of the connections that wait for their callers is closed for the next one.
    pub(crate) fn take(&self, bytes: usize) -> Result<HeldBytes, NoBytesLeft> {
        self.take_of(Pool::Shared, bytes)
    }

    /// Takes so many bytes of those for all, or else of those for the metrics.
    ///
    /// # Errors
    /// There are not as many left of either, also after connections were closed for them.
    pub(crate) async fn take_for_metrics(&self, bytes: usize) -> Result<HeldBytes, NoBytesLeft> {
        self.evicting(|| self.take(bytes).or_else(|_| self.take_of(Pool::Metrics, bytes))).await
    }

    /// Takes the bytes of a check, and so many more.
    ///
    /// # Errors
    /// There are not as many left, also after connections were closed for them.
    pub(crate) async fn take_for_check(&self, more: usize) -> Result<HeldBytes, NoBytesLeft> {
        self.evicting(|| {
            let held = self.acquire([Self::CHECK_SIZE, more, 0]);
            // Reports that were not taken may hold the bytes of the checks.
            let held = held.or_else(|| self.acquire([0, Self::CHECK_SIZE.saturating_add(more), 0]));
            held.ok_or_else(|| {
                let has_check = self.0.pools[Pool::Checks as usize].available_permits() >= Self::CHECK_SIZE;
                if has_check { self.miss(Pool::Shared, more) } else { self.miss(Pool::Checks, Self::CHECK_SIZE) }
            })
        })
        .await
    }

    /// Takes bytes by `take`; where they are missing, once connections were closed for them.
    pub(crate) async fn evicting(
        &self,
        take: impl Fn() -> Result<HeldBytes, NoBytesLeft>,
    ) -> Result<HeldBytes, NoBytesLeft> {
        let first = take();
        if first.is_ok() {
            return first;
        }
        // Boxed: it is rare, and the future of a request is in memory as long as its check.
        let again = Box::pin(async {
            loop {
                let mut released = pin!(self.0.released.notified());
                released.as_mut().enable();
                match take() {
                    Ok(held) => return held,
                    Err(NoBytesLeft) => released.await,
                }
            }
        });
        timeout(EVICTION_TIMEOUT, again).await.map_err(|_| NoBytesLeft)
    }

    /// Counts a request with such a header as one that waits for bytes, until the permit is dropped.
    ///
    /// # Errors
    /// As many wait as may.
    pub(crate) fn begin_wait(&self, header_size: usize) -> Result<OwnedSemaphorePermit, NoBytesLeft> {
        let size = (Self::WAITING_REQUEST_SIZE + header_size).try_into().map_err(|_| NoBytesLeft)?;
        self.0.waiting.clone().try_acquire_many_owned(size).map_err(|_| NoBytesLeft)
    }

    fn take_of(&self, pool: Pool, bytes: usize) -> Result<HeldBytes, NoBytesLeft> {
        let sizes = Pool::ALL.map(|other| if other == pool { bytes } else { 0 });
        self.acquire(sizes).ok_or_else(|| self.miss(pool, bytes))
    }

    fn miss(&self, pool: Pool, bytes: usize) -> NoBytesLeft {
        self.0.missing[pool as usize].store(bytes, Ordering::Relaxed);
        self.0.exhausted[pool as usize].notify_one();
        NoBytesLeft
    }

    /// All of them, by [`Pool`], or none: a part that was taken and given back would wake those that wait for bytes.
    fn acquire(&self, sizes: [usize; Pool::COUNT]) -> Option<HeldBytes> {
        let part = |pool: Pool| {
            let count = sizes[pool as usize].try_into().ok()?;
            self.0.pools[pool as usize].clone().try_acquire_many_owned(count).ok()
        };
        let [checks, shared, metrics] = Pool::ALL.map(part);
        Some(HeldBytes { budget: self.clone(), parts: [checks?, shared?, metrics?] })
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
        self.0.max_size - self.0.pools.iter().map(|pool| pool.available_permits()).sum::<usize>()
    }

    /// Waits until bytes could not be taken, and still cannot, and returns of which pool.
    pub(crate) async fn exhausted(&self) -> Pool {
        let [checks, shared, metrics] = &self.0.exhausted;
        loop {
            let pool = tokio::select! {
                () = checks.notified() => Pool::Checks,
                () = shared.notified() => Pool::Shared,
                () = metrics.notified() => Pool::Metrics,
            };
            let missing = self.0.missing[pool as usize].load(Ordering::Relaxed);
            if self.0.pools[pool as usize].available_permits() < missing {
                return pool;
            }
        }
    }

    /// Waits until the body that has been waiting for its caller longest, and that is this one, is to be refused.
    pub(crate) async fn body_refused(&self) {
        struct Stalled<'a>(&'a Inner);
        impl Drop for Stalled<'_> {
            fn drop(&mut self) {
                if self.0.stalled_body_count.fetch_sub(1, Ordering::Relaxed) == 1 {
                    // A refusal whose body is gone is not for the next one.
                    self.0.stalled_bodies.notified().now_or_never();
                }
            }
        }
        self.0.stalled_body_count.fetch_add(1, Ordering::Relaxed);
        let _stalled = Stalled(&self.0);
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
        Pool::ALL.into_iter().filter(|pool| self.parts[*pool as usize].num_permits() > 0)
    }

    fn size(&self) -> usize {
        self.parts.iter().map(OwnedSemaphorePermit::num_permits).sum()
    }

    /// Gives back what is more than `bytes`, first what only checks may take.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let mut more = self.size().saturating_sub(bytes);
        if more == 0 {
            return;
        }
        for part in &mut self.parts {
            let returned = more.min(part.num_permits());
            drop(part.split(returned));
            more -= returned;
        }
        self.budget.0.released.notify_waiters();
    }

    /// Holds what `other` holds, too.
    pub(crate) fn merge(&mut self, mut other: Self) {
        for (part, other) in self.parts.iter_mut().zip(&mut other.parts) {
            part.merge(other.split(other.num_permits()).expect("as many as there are"));
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests;
