//! Who may use the guarded doors: whoever sends a known token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::watch;

use super::{
    problem::{Problem, ProblemType},
    token::{TokenName, Tokens},
};

/// The doors that need no token: what a load balancer asks.
pub(super) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/version"];

/// Knows the tokens of the moment. All clones know the same.
#[derive(Clone, Debug)]
pub struct Guard(Arc<watch::Sender<Tokens>>);

impl Guard {
    /// A guard that knows these tokens.
    pub fn new(tokens: Tokens) -> Self {
        Self(Arc::new(watch::Sender::new(tokens)))
    }

    /// From the next request on, only these tokens are known. Requests that have passed are not asked again.
    pub fn replace(&self, tokens: Tokens) {
        self.0.send_replace(tokens);
    }

    fn owner(&self, presented: &str) -> Option<Caller> {
        self.0.borrow().owner(presented).cloned().map(Caller)
    }
}

/// The name of the token that a request came with: an extension of the request and of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller(pub TokenName);

/// Lets a request pass to an open door, or with a known token. A path that does not exist is no different from a guarded one.
pub(super) async fn require_token(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match bearer(request.headers()).map(|token| guard.owner(token)) {
        Some(Some(caller)) => {
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            // For the log, which sees only what comes back out.
            response.extensions_mut().insert(caller);
            response
        }
        Some(None) => Problem::new(ProblemType::Unauthorized, "the token is not known").into_response(),
        None => {
            Problem::new(ProblemType::Unauthorized, "send a token with `Authorization: Bearer <token>`").into_response()
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}
