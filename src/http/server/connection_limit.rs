//! The places that the service has for connections.
//!
//! A caller who merely stays connected costs next to nothing, and still a file descriptor, of which there is an end. So where all
//! places are taken, a new connection gets the place of the one that has been idle the longest. Where none is idle, it gets one of a
//! few spare places, in which only the open doors answer: a full service is still seen to be alive. A spare place stays one, whoever
//! has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Places beyond the limit.
const SPARE: usize = 32;

/// All places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limit: usize,
    /// Places within the limit that are taken, and spare ones.
    within: usize,
    spare: usize,
    /// The connections that are idle, the longest first.
    idle: BTreeMap<u64, Idle>,
    /// Times that a connection became idle.
    count: u64,
}

/// A connection that can be done without.
#[derive(Debug)]
struct Idle {
    connection: Waker,
    is_spare: bool,
}

impl State {
    fn taken(&mut self, spare: bool) -> &mut usize {
        if spare { &mut self.spare } else { &mut self.within }
    }

    /// The place of the connection that has been idle the longest; a spare one only if there is no other.
    fn take_idle(&mut self) -> Option<Idle> {
        let within = self.idle.iter().find(|(_, idle)| !idle.is_spare).map(|(count, _)| *count);
        match within {
            Some(count) => self.idle.remove(&count),
            None => self.idle.pop_first().map(|(_, idle)| idle),
        }
    }
}

/// A connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    is_spare: bool,
    /// Among the idle ones.
    idle_as: Option<u64>,
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(State { limit, within: 0, spare: 0, idle: BTreeMap::new(), count: 0 })))
    }

    /// A place, where need be that of another connection, which learns of it by [`Place::poll_lost`]; nothing if even the spare
    /// places are taken.
    pub(super) fn take(&self) -> Option<Place> {
        let mut state = self.state();
        let is_full = state.within >= state.limit;
        let lost = if is_full { state.take_idle() } else { None };
        if is_full && lost.is_none() && state.spare >= SPARE {
            return None;
        }
        let is_spare = lost.as_ref().map_or(is_full, |lost| lost.is_spare);
        *state.taken(is_spare) += 1;
        drop(state);
        lost.inspect(|lost| lost.connection.wake_by_ref());
        Some(Place { places: self.clone(), is_spare, idle_as: None })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether it is beyond the limit.
    pub(super) fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// To be polled while the connection is idle: ready once another one has got the place.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.places.state();
        match self.idle_as.map(|count| state.idle.get_mut(&count)) {
            Some(None) => return Poll::Ready(()),
            Some(Some(idle)) => idle.connection.clone_from(cx.waker()),
            None => {
                state.count += 1;
                let count = state.count;
                state.idle.insert(count, Idle { connection: cx.waker().clone(), is_spare: self.is_spare });
                drop(state);
                self.idle_as = Some(count);
            }
        }
        Poll::Pending
    }

    /// The connection is no longer idle. If the place is lost already, the service has one more connection for a while.
    pub(super) fn hold(&mut self) {
        if let Some(count) = self.idle_as.take() {
            self.places.state().idle.remove(&count);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hold();
        *self.places.state().taken(self.is_spare) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    fn idle(place: &mut Place) -> task::Spawn<impl Future<Output = ()>> {
        let mut lost = task::spawn(std::future::poll_fn(|cx| place.poll_lost(cx)));
        assert_pending!(lost.poll());
        lost
    }

    #[test]
    fn the_longest_idle_connection_gives_way() {
        let places = Places::new(3);
        let [mut first, mut second, mut third] = [(); 3].map(|()| places.take().expect("free"));
        let mut second = idle(&mut second);
        drop(idle(&mut first));
        first.hold();
        let mut third = idle(&mut third);
        let mut first = idle(&mut first);

        let new = places.take().expect("a place");
        assert!(!new.is_spare() && second.is_woken());
        assert_ready!(second.poll());
        assert_pending!(third.poll());
        assert_pending!(first.poll());
        places.take().expect("a place");
        assert_ready!(third.poll());
        assert_pending!(first.poll());
    }

    #[test]
    fn where_nobody_is_idle_there_are_the_spare_places() {
        let places = Places::new(1);
        let busy = places.take().expect("free");
        let mut spare: Vec<_> = (0..SPARE).map(|_| places.take().expect("a spare place")).collect();
        assert!(!busy.is_spare() && spare.iter().all(Place::is_spare));
        assert!(places.take().is_none());
        spare.pop();
        assert!(places.take().is_some_and(|place| place.is_spare()));
        drop((busy, spare));
        assert!(places.take().is_some_and(|place| !place.is_spare()));
    }

    #[test]
    fn a_spare_place_stays_one_whoever_gets_it() {
        let places = Places::new(1);
        let mut busy = places.take().expect("free");
        let mut spare = places.take().expect("a spare place");
        let mut lost = idle(&mut spare);
        let mut heir = places.take().expect("its place");
        assert_ready!(lost.poll());
        assert!(heir.is_spare());

        // One that is no spare place goes first, however late it became idle.
        drop(idle(&mut heir));
        drop(idle(&mut busy));
        assert!(!places.take().expect("the place within the limit").is_spare());
    }

    #[test]
    fn a_place_within_the_limit_is_free_whatever_spare_ones_are_taken() {
        let places = Places::new(1);
        let busy = places.take().expect("free");
        let mut spare = places.take().expect("a spare place");
        drop(idle(&mut spare));
        drop(busy);
        assert!(!places.take().expect("free").is_spare());
    }

    #[test]
    fn a_place_that_is_idle_and_goes_is_nobodys() {
        let places = Places::new(1);
        let mut gone = places.take().expect("free");
        drop(idle(&mut gone));
        drop(gone);
        let state = places.state();
        assert!(state.idle.is_empty() && (state.within, state.spare) == (0, 0));
    }
}
