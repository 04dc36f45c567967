//! The access log: one line for each request.

use std::{net::SocketAddr, time::Instant};

use axum::{
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::Response,
};

use super::{auth::Caller, client_ip::ClientAddress};

/// Logs each request once it is answered. The query is left out: it may hold anything.
pub(crate) fn log(request: Request, next: Next) -> impl Future<Output = Response> {
    let started = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    // The peer has its own field; the client is another only behind a proxy.
    let client = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let client = client.filter(|client| peer.is_some_and(|peer| peer.ip().to_canonical() != *client));
    // Copied: a `Uri` that is kept would keep the 8 KiB buffer that the request was read into while the check runs.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = next.run(request);
    async move {
        let response = answer.await;
        tracing::info!(
            peer = peer.map(tracing::field::display),
            client = client.map(tracing::field::display),
            caller = response.extensions().get::<Caller>().map(|caller| caller.0.as_str()),
            method = method.as_str(),
            path,
            status = response.status().as_u16(),
            ms = started.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
        response
    }
}
