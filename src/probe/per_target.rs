//! So many checks of one address at once, and no more: one slow target can't take the house.

use std::{
    net::IpAddr,
    task::{Context, Poll},
};

use tower::{Layer, Service};

use super::{BoxFuture, Refusal, Visit, in_flight::InFlight};

/// Makes [`PerTarget`] services that share one count.
#[derive(Clone, Debug)]
pub(super) struct PerTargetLayer {
    limit: usize,
    in_flight: InFlight<IpAddr>,
}

impl PerTargetLayer {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, in_flight: InFlight::default() }
    }
}

impl<S> Layer<S> for PerTargetLayer {
    type Service = PerTarget<S>;

    fn layer(&self, inner: S) -> PerTarget<S> {
        PerTarget { limit: self.limit, in_flight: self.in_flight.clone(), inner }
    }
}

/// Refuses a [`Visit`] to an address that has its fill. In `call` and not in `poll_ready`: only the visit tells the address.
#[derive(Clone, Debug)]
pub(super) struct PerTarget<S> {
    limit: usize,
    in_flight: InFlight<IpAddr>,
    inner: S,
}

impl<S> Service<Visit> for PerTarget<S>
where
    S: Service<Visit, Error = Refusal, Future: Send + 'static, Response: Send + 'static>,
{
    type Response = S::Response;
    type Error = Refusal;
    type Future = BoxFuture<Result<S::Response, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, visit: Visit) -> Self::Future {
        // The port does not count: what is to be spared is the machine.
        let Some(slot) = self.in_flight.enter(visit.route.address.socket_addr().ip(), self.limit) else {
            return Box::pin(std::future::ready(Err(Refusal::TargetBusy)));
        };
        let call = self.inner.call(visit);
        Box::pin(async move {
            let _slot = slot;
            call.await
        })
    }
}
