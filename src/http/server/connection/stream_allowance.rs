//! Stream allowance: how many requests at a time each HTTP/2 connection may have.
//!
//! hyper has 1 to 2 KiB in memory for each stream, and keeps most of it until the connection ends. SETTINGS tell the
//! caller the number at the start of the connection, and it cannot be taken back after that.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Streams of a connection while there are few connections. RFC 9113 (section 6.5.2) recommends 100 at least.
const MANY_STREAMS: u32 = 256;
/// Streams of each further connection.
pub(super) const FEW_STREAMS: u32 = 32;
/// Connections at a time with [`MANY_STREAMS`]: 30 MiB beyond what they have in memory with [`FEW_STREAMS`].
const MAX_CONNECTIONS_OF_MANY: usize = 104;

/// Hands out the streams of all connections.
#[derive(Debug)]
pub(in crate::http::server) struct StreamAllowance(Arc<Semaphore>);

/// The streams of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct AllowedStreams(Option<OwnedSemaphorePermit>);

impl Default for StreamAllowance {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CONNECTIONS_OF_MANY)))
    }
}

impl StreamAllowance {
    /// The streams of a new connection.
    pub(super) fn take(&self) -> AllowedStreams {
        AllowedStreams(self.0.clone().try_acquire_owned().ok())
    }
}

impl AllowedStreams {
    pub(super) fn count(&self) -> u32 {
        if self.0.is_some() { MANY_STREAMS } else { FEW_STREAMS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_as_fit_into_memory_have_many_streams() {
        let allowance = StreamAllowance::default();
        let mut connections = Vec::new();
        // Connections that begin, connections that end, and the streams of the next one.
        let table = [
            (0, 0, MANY_STREAMS),
            (MAX_CONNECTIONS_OF_MANY - 1, 0, MANY_STREAMS),
            (1, 0, FEW_STREAMS),
            (10, 0, FEW_STREAMS),
            (0, 1, MANY_STREAMS),
            (1, 0, FEW_STREAMS),
            (0, MAX_CONNECTIONS_OF_MANY, MANY_STREAMS),
        ];
        for (begun, ended, streams) in table {
            connections.extend((0..begun).map(|_| allowance.take()));
            connections.drain(..ended);
            assert_eq!(allowance.take().count(), streams, "{begun} begin, {ended} end: {} are left", connections.len());
        }
    }
}
