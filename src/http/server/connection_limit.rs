//! Connection limit: at most so many connections at a time, and a few reserved slots beyond.
//!
//! An idle connection costs little but a file descriptor, and those run out. So at the limit, a new connection takes
//! over the slot of the one that has been idle longest, or else of one that is stalled: only its caller can go on, by
//! reading or sending. Where there is none, it gets one of the reserved slots, in which only the health routes answer:
//! a full service is still seen to be alive. A reserved slot stays reserved when another connection takes it over.
//! Beyond these, new connections wait in the system's queue.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::byte_budget::{Holdings, Pool};

/// How long a connection that was evicted for its bytes has to give them back, until another one is.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(100);

/// What a connection waits for, while only its caller can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallerState {
    /// For a request. The caller is owed nothing.
    Idle,
    /// For the caller to read a response, or to send the rest of a request.
    Stalled,
}

/// Hands out permits for connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    regular: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    idle: Mutex<IdleConnections>,
    /// A slot is free, or can be taken over.
    available: Notify,
}

#[derive(Debug, Default)]
struct IdleConnections {
    /// The first to be evicted first.
    by_age: BTreeMap<IdleKey, IdleConnection>,
    next_key: u64,
    /// The last connection that was evicted for what it holds, and since when.
    leaving: Option<(Instant, Holdings)>,
}

#[derive(Debug)]
struct IdleConnection {
    task: Waker,
    slot: OwnedSemaphorePermit,
    holdings: Holdings,
}

/// Idle ones before stalled ones, and then by age.
type IdleKey = (CallerState, u64);

impl ConnectionLimit {
    /// At most this many connections, and this many reserved slots.
    pub(super) fn new(max_connections: usize, reserved_slots: usize) -> Arc<Self> {
        Arc::new(Self {
            regular: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            reserved: Arc::new(Semaphore::new(reserved_slots.min(Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            available: Notify::new(),
        })
    }

    /// A permit, where need be that of an idle connection, which learns of it by [`ConnectionPermit::poll_evicted`].
    /// None if every connection is busy and the reserved slots are taken.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let regular = self.regular.clone().try_acquire_owned().ok();
        let slot = regular.or_else(|| self.evict_longest_idle());
        let slot = slot.or_else(|| self.reserved.clone().try_acquire_owned().ok())?;
        let is_reserved = self.is_reserved(&slot);
        Some(ConnectionPermit {
            limit: self.clone(),
            is_reserved,
            slot: Some(slot),
            idle_key: None,
            holdings: Holdings::default(),
        })
    }

    /// Waits until [`Self::try_acquire`] may succeed.
    pub(super) async fn available(&self) {
        while self.regular.available_permits() == 0
            && self.reserved.available_permits() == 0
            && self.idle().by_age.is_empty()
        {
            self.available.notified().await;
        }
    }

    /// Closes a connection whose caller has to go on, for its descriptor.
    pub(super) fn evict(&self) {
        drop(self.evict_longest_idle());
    }

    /// Closes the connection that has been idle longest, or else stalled, of those that hold memory that is missing.
    /// Not yet, where the one before is still giving back what it holds. False if there is none.
    pub(super) fn evict_holder(&self, exhausted: Pool) -> bool {
        let idle = &mut *self.idle();
        if let Some((since, holdings)) = &idle.leaving
            && since.elapsed() < LEAVE_TIMEOUT
            && holdings.has_bytes_for(exhausted)
        {
            return true;
        }
        let mut holders = idle.by_age.iter().filter(|(_, connection)| connection.holdings.has_bytes_for(exhausted));
        let longest = holders.next().map(|(key, _)| *key);
        let Some(evicted) = longest.and_then(|key| idle.by_age.remove(&key)) else { return false };
        evicted.task.wake();
        idle.leaving = Some((Instant::now(), evicted.holdings));
        true
    }

    /// The slot of the connection that has been idle longest; a reserved one only if there is no other.
    fn evict_longest_idle(&self) -> Option<OwnedSemaphorePermit> {
        let by_age = &mut self.idle().by_age;
        let regular = by_age.iter().find(|(_, connection)| !self.is_reserved(&connection.slot));
        let key = *regular.or_else(|| by_age.first_key_value())?.0;
        let IdleConnection { task, slot, .. } = by_age.remove(&key)?;
        task.wake();
        Some(slot)
    }

    fn is_reserved(&self, slot: &OwnedSemaphorePermit) -> bool {
        Arc::ptr_eq(slot.semaphore(), &self.reserved)
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permission to have one connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
    is_reserved: bool,
    /// None while the connection is idle, and after its eviction.
    slot: Option<OwnedSemaphorePermit>,
    idle_key: Option<IdleKey>,
    holdings: Holdings,
}

impl ConnectionPermit {
    /// Whether the slot is beyond the limit.
    pub(super) fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// What the connection holds of the budget of bytes.
    pub(super) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// To be polled while the connection is idle or stalled: ready once another connection has taken the slot.
    pub(super) fn poll_evicted(&mut self, cx: &mut Context<'_>, state: CallerState) -> Poll<()> {
        let mut idle = self.limit.idle();
        if let Some(slot) = self.slot.take() {
            let key = (state, idle.next_key);
            idle.next_key += 1;
            let (task, holdings) = (cx.waker().clone(), self.holdings.clone());
            idle.by_age.insert(key, IdleConnection { task, slot, holdings });
            self.limit.available.notify_one();
            self.idle_key = Some(key);
            return Poll::Pending;
        }
        match self.idle_key.and_then(|key| idle.by_age.get_mut(&key)) {
            Some(IdleConnection { task, .. }) => {
                task.clone_from(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }

    /// The connection is busy again, so that it cannot be evicted. One that was evicted just before is closed when next
    /// idle.
    pub(super) fn set_busy(&mut self) {
        if let Some(key) = self.idle_key.take() {
            self.slot = self.limit.idle().by_age.remove(&key).map(|connection| connection.slot);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        // Takes the slot out of the idle connections.
        self.set_busy();
        drop(self.slot.take());
        self.limit.available.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::{super::byte_budget::ByteBudget, *};

    const RESERVED_SLOTS: usize = 4;

    fn idle(permit: &mut ConnectionPermit) -> task::Spawn<impl Future<Output = ()>> {
        let mut evicted = task::spawn(std::future::poll_fn(|cx| permit.poll_evicted(cx, CallerState::Idle)));
        assert_pending!(evicted.poll());
        evicted
    }

    fn acquire(limit: &Arc<ConnectionLimit>) -> ConnectionPermit {
        limit.try_acquire().expect("a permit")
    }

    #[test]
    fn longest_idle_connection_is_evicted_first() {
        let limit = ConnectionLimit::new(3, RESERVED_SLOTS);
        let [mut first, mut second, mut third] = [(); 3].map(|()| acquire(&limit));
        let mut second = idle(&mut second);
        drop(idle(&mut first));
        first.set_busy();
        let mut third = idle(&mut third);
        let mut first = idle(&mut first);

        let new = acquire(&limit);
        assert!(!new.is_reserved() && second.is_woken());
        assert_ready!(second.poll());
        assert_pending!(third.poll());
        assert_pending!(first.poll());
        let _another = acquire(&limit);
        assert_ready!(third.poll());
        assert_pending!(first.poll());
    }

    #[test]
    fn reserved_slots_are_used_when_no_connection_is_idle() {
        let limit = ConnectionLimit::new(1, RESERVED_SLOTS);
        let busy = acquire(&limit);
        let mut reserved: Vec<_> = (0..RESERVED_SLOTS).map(|_| acquire(&limit)).collect();
        assert!(!busy.is_reserved() && reserved.iter().all(ConnectionPermit::is_reserved));
        assert!(limit.try_acquire().is_none());
        reserved.pop();
        assert!(acquire(&limit).is_reserved());
        drop((busy, reserved));
        assert!(!acquire(&limit).is_reserved());
    }

    #[test]
    fn reserved_slot_stays_reserved_after_eviction() {
        let limit = ConnectionLimit::new(1, RESERVED_SLOTS);
        let mut busy = acquire(&limit);
        let mut reserved = acquire(&limit);
        let mut evicted = idle(&mut reserved);
        let mut successor = acquire(&limit);
        assert_ready!(evicted.poll());
        assert!(successor.is_reserved());

        // A regular slot goes first, however late its connection became idle.
        drop(idle(&mut successor));
        drop(idle(&mut busy));
        assert!(!acquire(&limit).is_reserved());
    }

    #[test]
    fn free_regular_slot_is_used_before_an_idle_reserved_one() {
        let limit = ConnectionLimit::new(1, RESERVED_SLOTS);
        let busy = acquire(&limit);
        let mut reserved = acquire(&limit);
        drop(idle(&mut reserved));
        drop(busy);
        assert!(!acquire(&limit).is_reserved());
    }

    #[test]
    fn evicted_connection_that_became_busy_is_closed_when_next_idle() {
        let limit = ConnectionLimit::new(1, RESERVED_SLOTS);
        let mut first = acquire(&limit);
        drop(idle(&mut first));
        let _second = acquire(&limit);
        first.set_busy();
        assert_ready!(task::spawn(std::future::poll_fn(|cx| first.poll_evicted(cx, CallerState::Idle))).poll());
    }

    #[tokio::test]
    async fn only_a_connection_that_holds_what_is_missing_is_evicted() {
        let stalled = |permit: &mut ConnectionPermit| {
            task::spawn(std::future::poll_fn(|cx| permit.poll_evicted(cx, CallerState::Stalled))).poll()
        };
        let limit = ConnectionLimit::new(3, RESERVED_SLOTS);
        let budget = ByteBudget::with_pools([ByteBudget::CHECK_SIZE, 1, 0]);
        let [mut upload, mut report, mut response] = [(); 3].map(|()| acquire(&limit));
        let checked = report.holdings().begin(Arc::new(budget.take_for_check(0).await.expect("enough")));
        for permit in [&mut upload, &mut report, &mut response] {
            assert_pending!(stalled(permit));
        }
        assert!(!limit.evict_holder(Pool::Shared));

        let taken = response.holdings().begin(Arc::new(budget.take(1).expect("enough")));
        assert!(limit.evict_holder(Pool::Shared));
        assert_ready!(stalled(&mut response));
        assert_pending!(stalled(&mut report));
        drop((taken, response));

        assert!(limit.evict_holder(Pool::Checks));
        assert_ready!(stalled(&mut report));
        assert!(limit.evict_holder(Pool::Checks), "it has not given back what it holds");
        drop(checked);
        assert!(!limit.evict_holder(Pool::Checks));
        assert_pending!(stalled(&mut upload));
    }

    #[test]
    fn dropping_an_idle_permit_frees_its_slot() {
        let limit = ConnectionLimit::new(1, RESERVED_SLOTS);
        let mut gone = acquire(&limit);
        drop(idle(&mut gone));
        drop(gone);
        assert!(limit.idle().by_age.is_empty());
        assert_eq!(limit.regular.available_permits(), 1);
    }
}
