//! Bearer token check (RFC 6750): only requests with a known token pass, except on the public paths.
//!
//! A browser cannot ask its user for a bearer token, only for a user name and a password (`Basic`, RFC 7617). So the
//! token is also accepted as the password, with any user name. The browser then sends it with every request, but a page
//! of another origin cannot use that to run a check: a POST needs a JSON body, which needs CORS permission, and this
//! service never gives it; the check by GET accepts no password.

use std::{borrow::Cow, future::ready};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::{Either, FutureExt};

use super::stack::Next;
use crate::http::{
    problem::{Problem, ProblemType},
    tokens::{TokenName, TokenStore},
};

/// The paths that need no token: a load balancer requests them.
pub(crate) const PUBLIC_PATHS: [&str; 3] = ["/healthz", "/readyz", "/version"];

/// The path that does not accept the token as a password: any page can make a browser request it, as the address of an
/// image.
const BEARER_ONLY_PATH: &str = "/probe";

/// The name of the token that a request came with: an extension of the request and of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller(pub TokenName);

/// Lets a request pass if its path is public or its token is known. An unknown path needs a token like any other.
pub(crate) fn require_token(
    State(tokens): State<TokenStore>,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    let caller = match authenticate(&tokens, &request) {
        Ok(caller) => caller,
        Err(reason) => return Either::Left(ready(unauthorized(&request, reason))),
    };
    caller.clone().map(|caller| request.extensions_mut().insert(caller));
    Either::Right(next.run(request).map(|mut response| {
        // For the log, which is further out and sees only the response.
        caller.map(|caller| response.extensions_mut().insert(caller));
        response
    }))
}

/// The caller, or `None` on a public path.
///
/// # Errors
/// The `detail` of the 401.
fn authenticate(tokens: &TokenStore, request: &Request) -> Result<Option<Caller>, &'static str> {
    let path = request.uri().path();
    if PUBLIC_PATHS.contains(&path) {
        return Ok(None);
    }
    let token = presented_token(request.headers(), path != BEARER_ONLY_PATH);
    let token = token.ok_or("send a token with `Authorization: Bearer <token>`")?;
    tokens.owner(&token).map(|name| Some(Caller(name))).ok_or("the token is not known")
}

fn unauthorized(request: &Request, reason: &'static str) -> Response {
    let mut response = Problem::new(ProblemType::Unauthorized, reason).into_response();
    // A browser opens a dialog for this challenge, so only a page request gets it.
    if request.uri().path() != BEARER_ONLY_PATH && is_page_request(request.headers()) {
        response
            .headers_mut()
            .append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"smtp-check\", charset=\"UTF-8\""));
    }
    response
}

fn is_page_request(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

fn presented_token(headers: &HeaderMap, allow_password: bool) -> Option<Cow<'_, str>> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.into());
    }
    if !allow_password || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned().into())
}
