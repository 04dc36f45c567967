//! [`Timer`]: one timer for all waits of a session. Most of them have the same deadline, and a timer for each would be
//! registered with the runtime and taken back each time.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use tokio::time::{Instant as Deadline, Sleep, sleep_until};

use super::ReadError;

/// The timer of a session.
#[derive(Debug)]
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self(Box::pin(sleep_until(deadline)))
    }

    /// The output of the future, if it is ready in time.
    pub(super) async fn limit<F: Future>(&mut self, by: Deadline, future: F) -> Result<F::Output, ReadError> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if self.0.deadline() != by {
                self.0.as_mut().reset(by);
            }
            self.0.as_mut().poll(context).map(|()| Err(ReadError::TimedOut))
        })
        .await
    }
}
