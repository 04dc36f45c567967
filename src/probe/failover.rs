//! Address after address, until one is reached: the layer between the list of routes and one visit.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::Instant as Deadline;
use tower::{Service, ServiceExt};

use super::{BoxFuture, CheckContext, Refusal, Routed, Unreached, Visit, Visited};
use crate::{
    phase::Phase,
    report::{
        Attempt, Journal,
        journal::{Ending, Event},
    },
};

/// From a [`Routed`] check to visits, one after another.
#[derive(Clone, Debug)]
pub(super) struct Failover<S> {
    inner: S,
}

impl<S> Failover<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Routed> for Failover<S>
where
    S: Service<Visit, Response = Visited, Error = Refusal, Future: Send> + Clone + Send + 'static,
{
    type Response = Journal;
    type Error = Refusal;
    type Future = BoxFuture<Result<Journal, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        // The one to call is the one that was asked whether it is ready; its clone may not be.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(visit_each(inner, routed))
    }
}

async fn visit_each<S>(mut inner: S, routed: Routed) -> Result<Journal, Refusal>
where
    S: Service<Visit, Response = Visited, Error = Refusal>,
{
    let Routed { mut underway, routes } = routed;
    let mut left = routes.iter().filter(|route| route.is_ok()).count();
    let mut last = None;
    for route in routes {
        let route = match route {
            Ok(route) => route,
            Err(attempt) => {
                underway.journal.note(Instant::now(), Event::Attempted(attempt));
                continue;
            }
        };
        let (host, address) = (route.host.clone(), Some(route.address.socket_addr().ip()));
        let inner = inner.ready().await?;
        let visit = Visit { connect_by: connect_by(&underway, left), underway, route };
        match inner.call(visit).await? {
            Visited::Over(journal) => return Ok(journal),
            Visited::Unreached(back, unreached) => {
                underway = back;
                let error = unreached.failure.message.clone();
                underway.journal.note(Instant::now(), Event::Attempted(Attempt { host, address, error }));
                last = Some(unreached);
            }
        }
        left -= 1;
    }
    if let Some(unreached) = last {
        note_unreached(&mut underway.journal, unreached);
    }
    Ok(underway.journal)
}

/// Of the time that is left, each address to come gets an equal share to be connected to, so that a silent one doesn't use up the
/// time of those behind it. The last may take all of it.
fn connect_by(underway: &CheckContext, left: usize) -> Deadline {
    let now = Deadline::now();
    let share = underway.deadline.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    now + share
}

/// The last attempt stands for the check.
fn note_unreached(journal: &mut Journal, unreached: Unreached) {
    journal.note(unreached.began, Event::Began(Phase::Connect));
    if let Some(answered) = unreached.answered {
        journal.note(answered, Event::Ended(Phase::Connect, Ending::Failed));
    }
    journal.note(Instant::now(), Event::Failed(unreached.failure));
}
