//! The innermost service: reaches one address, runs the dialogue over it, and writes down what happened when.

mod driver;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::timeout_at;
use tower::Service;

use self::driver::Driver;
use super::{BoxFuture, Refusal, Unreached, Visit, Visited};
use crate::{
    net::dial::{DialError, dial},
    phase::Phase,
    report::{
        Failure, FailureKind,
        journal::{Ending, Event},
    },
    tls::TlsClient,
};

/// From a [`Visit`] to what came of it.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// Shared: each layer above keeps a clone of this service while it waits for its answer.
    tls: Arc<TlsClient>,
}

impl Conversation {
    pub(super) fn new(tls: TlsClient) -> Self {
        Self { tls: Arc::new(tls) }
    }
}

impl Service<Visit> for Conversation {
    type Response = Visited;
    type Error = Refusal;
    type Future = BoxFuture<Result<Visited, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, visit: Visit) -> Self::Future {
        Box::pin(hold(Arc::clone(&self.tls), visit))
    }
}

async fn hold(tls: Arc<TlsClient>, visit: Visit) -> Result<Visited, Refusal> {
    let Visit { mut underway, route, connect_by } = visit;
    let began = Instant::now();
    underway.journal.announce(began, Phase::Connect);
    let connected = timeout_at(connect_by, dial(route.address)).await;
    let ended = Instant::now();
    let tcp = match connected {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => {
            let answered = (!matches!(error, DialError::TimedOut)).then_some(ended);
            let failure = dial_failure(error)?;
            return Ok(Visited::Unreached(underway, Unreached { began, answered, failure }));
        }
        Err(_) => {
            let failure = Failure::new(Phase::Connect, FailureKind::Timeout, DialError::TimedOut);
            return Ok(Visited::Unreached(underway, Unreached { began, answered: None, failure }));
        }
    };
    underway.journal.note(began, Event::Began(Phase::Connect));
    underway.journal.note(ended, Event::Ended(Phase::Connect, Ending::Done));
    let address = route.address.socket_addr().ip();
    underway.journal.note(ended, Event::Connected { host: route.host.clone(), address });
    let mut driver = Driver::new(underway, tcp, began, route.host);
    driver.run(&tls).await;
    Ok(Visited::Over(driver.into_journal()))
}

fn dial_failure(error: DialError) -> Result<Failure, Refusal> {
    let kind = match error {
        DialError::Refused => FailureKind::Refused,
        DialError::Unreachable(_) => FailureKind::Unreachable,
        DialError::TimedOut => FailureKind::Timeout,
        DialError::Closed => FailureKind::Closed,
        // Not the mail server's doing: the check did not run.
        DialError::OutOfSockets(error) => {
            tracing::error!(%error, "no socket for a check");
            return Err(Refusal::Overloaded);
        }
    };
    Ok(Failure::new(Phase::Connect, kind, error))
}
