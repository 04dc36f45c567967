//! What each connection holds of the budget.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{HeldBytes, Pool};

/// What one connection has to do with the budget. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::http::server) struct Holdings(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How many of its requests and responses hold bytes, by [`Pool`].
    held: [AtomicUsize; Pool::COUNT],
    is_refused: AtomicBool,
}

/// One of them, until it is dropped, with what it holds.
#[derive(Debug)]
pub(in crate::http::server) struct Holding {
    held: Arc<HeldBytes>,
    of: Holdings,
}

impl Holdings {
    /// Counts what is held.
    pub(in crate::http::server) fn begin(&self, held: Arc<HeldBytes>) -> Holding {
        for pool in held.pools() {
            self.0.held[pool as usize].fetch_add(1, Ordering::Relaxed);
        }
        Holding { held, of: self.clone() }
    }

    /// Notes that there were no bytes for one of its requests.
    pub(in crate::http::server) fn refuse(&self) {
        self.0.is_refused.store(true, Ordering::Relaxed);
    }

    /// Whether there were no bytes for one of its requests. Its streams have taken memory by then, so it is closed as
    /// soon as only its caller can go on.
    pub(in crate::http::server) fn is_refused(&self) -> bool {
        self.0.is_refused.load(Ordering::Relaxed)
    }

    /// Whether a request or response holds bytes that could be taken instead of those of `exhausted`: checks and
    /// metrics may have bytes of those for all.
    pub(in crate::http::server) fn has_bytes_for(&self, exhausted: Pool) -> bool {
        let has = |pool: Pool| self.0.held[pool as usize].load(Ordering::Relaxed) > 0;
        has(Pool::Shared) || has(exhausted)
    }
}

impl Holding {
    /// Gives back what is more than `bytes`.
    pub(in crate::http::server) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = Arc::get_mut(&mut self.held) {
            held.shrink_to(bytes);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        for pool in self.held.pools() {
            self.of.0.held[pool as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}
