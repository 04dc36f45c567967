//! The access log: one line per request.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};
use futures_util::FutureExt;
use uuid::Uuid;

use super::{auth::Caller, client_ip::ClientIp, stack::Next};
use crate::{destination::socket_address_text, http::extract::trace_context, probe::TraceSlot};

/// The check that a request starts, for the request's log line: an extension of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartedCheck(Arc<OnceLock<(Uuid, TraceSlot)>>);

impl StartedCheck {
    /// The request starts this check.
    pub(crate) fn record(&self, id: Uuid, trace: TraceSlot) {
        // Each request starts one check at most.
        self.0.set((id, trace)).ok();
    }
}

/// Logs each request after its response. The query is left out: it may hold secrets.
pub(crate) fn log_request(mut request: Request, next: Next) -> impl Future<Output = Response> {
    let started = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    // Only where a proxy forwarded the request: the peer has a field of its own.
    let client = request.extensions().get::<ClientIp>().map(|client| client.0);
    let client = client.filter(|client| peer.is_some_and(|peer| peer.ip().to_canonical() != *client));
    // A copy: a `Uri` would keep the 8 KiB read buffer of the request alive while the check runs.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // A request without a check may belong to a trace, too.
    let trace = trace_context::parent(request.headers()).map(|parent| parent.trace_id());
    let started_check = StartedCheck::default();
    request.extensions_mut().insert(started_check.clone());
    next.run(request).inspect(move |response| {
        let check = started_check.0.get();
        tracing::info!(
            id = check.map(|(id, _)| tracing::field::display(id)),
            trace = check.and_then(|(_, trace)| trace.get()).or(trace.as_ref()).map(tracing::field::display),
            peer = peer.map(socket_address_text).as_deref(),
            client = client.map(tracing::field::display),
            caller = response.extensions().get::<Caller>().map(|caller| caller.0.as_str()),
            method = method.as_str(),
            path,
            status = response.status().as_u16(),
            ms = started.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
    })
}
