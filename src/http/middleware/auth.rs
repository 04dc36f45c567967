//! Who may use the guarded doors: whoever sends a known token.
//!
//! Callers send it as `Bearer` (RFC 6750). A browser can only be asked for a user name and a password (`Basic`, RFC 7617): the token is
//! the password then, and the user name may be any. No other site can make use of what the browser remembers: a check by POST needs a
//! JSON body, which a browser sends to a foreign origin only where that allows it, and this service never does; and the door that runs a
//! check by GET takes no password.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::sync::watch;

use crate::http::{
    problem::{Problem, ProblemType},
    tokens::{TokenName, Tokens},
};

/// The doors that need no token: what a load balancer asks.
pub(crate) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/version"];

/// The door at which a password is none: any page could have a browser send it there, as the address of an image.
const BEARER_ONLY: &str = "/probe";

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

    /// Who asks, where that matters; otherwise, why not to answer.
    fn judge(&self, request: &Request) -> Result<Option<Caller>, &'static str> {
        let path = request.uri().path();
        if OPEN.contains(&path) {
            return Ok(None);
        }
        let token = token(request.headers(), path != BEARER_ONLY);
        let token = token.ok_or("send a token with `Authorization: Bearer <token>`")?;
        self.owner(&token).map(Some).ok_or("the token is not known")
    }

    fn owner(&self, presented: &str) -> Option<Caller> {
        self.0.borrow().owner(presented).cloned().map(Caller)
    }
}

/// The name of the token that a request came with: an extension of the request and of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller(pub TokenName);

/// Lets a request pass to an open door, or with a known token. A path that does not exist is no different from a guarded one.
pub(crate) fn require_token(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    let passage = match guard.judge(&request) {
        Ok(caller) => {
            caller.clone().map(|caller| request.extensions_mut().insert(caller));
            Ok((next.run(request), caller))
        }
        Err(reason) => Err(refusal(&request, reason)),
    };
    async move {
        let (answer, caller) = match passage {
            Ok(passage) => passage,
            Err(refusal) => return refusal,
        };
        let mut response = answer.await;
        // For the log, which sees only what comes back out.
        caller.map(|caller| response.extensions_mut().insert(caller));
        response
    }
}

fn refusal(request: &Request, reason: &'static str) -> Response {
    let mut response = Problem::new(ProblemType::Unauthorized, reason).into_response();
    if request.uri().path() != BEARER_ONLY && wants_a_page(request.headers()) {
        // Only to whom it is of use: a browser that gets it opens a dialogue.
        response
            .headers_mut()
            .append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"smtp-check\", charset=\"UTF-8\""));
    }
    response
}

fn wants_a_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

fn token(headers: &HeaderMap, by_password: bool) -> Option<Cow<'_, str>> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.into());
    }
    if !by_password || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned().into())
}
