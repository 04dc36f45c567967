//! [`Edns`]: whether a name server answers queries with EDNS (RFC 6891). One that drops them is not to cost every check
//! the time until the query is sent without it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What is known of one name server.
#[derive(Debug, Default)]
pub(super) struct Edns {
    /// When it was last found to answer only without EDNS.
    failed: Mutex<Option<Instant>>,
}

impl Edns {
    /// Time until a server that answers only without EDNS is asked with it again. Each time costs one check the time of
    /// two retransmissions.
    const RETRY_INTERVAL: Duration = Duration::from_secs(600);

    /// Whether the next query is to have EDNS.
    pub(super) fn begin(&self) -> bool {
        self.with(|failed| match *failed {
            Some(at) if at.elapsed() < Self::RETRY_INTERVAL => false,
            Some(_) => {
                // The other questions of this time do not wait for the result.
                *failed = Some(Instant::now());
                true
            }
            None => true,
        })
    }

    /// The server answered a query that began with EDNS: to a packet with it, or only to one without.
    ///
    /// A name that is slow to resolve looks the same as a server that drops EDNS. This does no harm: without EDNS, a
    /// long answer comes by TCP.
    pub(super) fn answered(&self, is_with_edns: bool) {
        self.with(|failed| *failed = (!is_with_edns).then(Instant::now));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Option<Instant>) -> T) -> T {
        f(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_without_edns_is_asked_with_it_from_time_to_time() {
        let edns = Edns::default();
        assert!(edns.begin());
        edns.answered(false);
        assert!(!edns.begin());
        tokio::time::advance(Edns::RETRY_INTERVAL).await;
        assert_eq!([edns.begin(), edns.begin()], [true, false], "one question tries it");
        edns.answered(true);
        assert_eq!([edns.begin(), edns.begin()], [true, true]);
    }
}
