//! The bytes of request bodies that one connection may send beside the budget for all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The allowance of one connection: an extension of its requests. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct BodyAllowance(Arc<Semaphore>);

impl Default for BodyAllowance {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Self::MAX_SIZE)))
    }
}

impl BodyAllowance {
    /// Bytes of bodies that one connection may have in memory, over HTTP/2 all of its streams together. Nearly all
    /// bodies are smaller, so slow large ones block no other caller.
    ///
    /// A growing `Vec` has up to twice the capacity of what is in it, so all connections together have 9 MiB of such
    /// bodies at the most, with the default of 1152. Each of their HTTP/2 streams but one holds bytes of the budget,
    /// and its body gives way where those run out, even if the connection has a running check.
    pub(crate) const MAX_SIZE: usize = 4 * 1024;

    /// Takes so many bytes until the permit is dropped. None if there are not as many left.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_many_owned(bytes.try_into().ok()?).ok()
    }
}
