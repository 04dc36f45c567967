//! Bearer tokens (RFC 6750): who may use the guarded doors.

use std::{collections::HashSet, str::FromStr, sync::Arc};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{Problem, ProblemType};

/// The doors that need no token: what a load balancer asks.
pub(super) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/version"];

/// The tokens that open the guarded doors. Only their digests are known here, so there is nothing in it to leak.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<[Token]>);

#[derive(Debug)]
struct Token {
    name: Arc<str>,
    digest: [u8; SHA256_OUTPUT_LEN],
}

/// The name of the token that a request came with: an extension of the request and of its response.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub Arc<str>);

/// What is wrong with a file of tokens. The text of a line is never repeated: it may be a token, by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The line has another form.
    #[error("line {0}: must be `name:sha256-hex`, the digest in 64 hexadecimal digits")]
    Form(usize),
    /// Names are what the log tells callers apart by.
    #[error("line {0}: the name stands in an earlier line too")]
    Duplicate(usize),
    /// Nobody could pass.
    #[error("there is no token in it")]
    Empty,
}

impl FromStr for Tokens {
    type Err = TokensError;

    /// Reads `name:sha256-hex`, one per line; empty lines and those that begin with `#` are left out.
    fn from_str(text: &str) -> Result<Self, TokensError> {
        let lines =
            (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let tokens =
            lines.map(|(number, line)| parse(line).ok_or(TokensError::Form(number)).map(|token| (number, token)));
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        let mut names = HashSet::new();
        if let Some((number, _)) = tokens.iter().find(|(_, token)| !names.insert(token.name.clone())) {
            return Err(TokensError::Duplicate(*number));
        }
        if tokens.is_empty() {
            return Err(TokensError::Empty);
        }
        Ok(Self(tokens.into_iter().map(|(_, token)| token).collect()))
    }
}

fn parse(line: &str) -> Option<Token> {
    let (name, hex) = line.split_once(':')?;
    let (name, hex) = (name.trim(), hex.trim());
    if name.is_empty() || hex.len() != 2 * SHA256_OUTPUT_LEN || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; SHA256_OUTPUT_LEN];
    for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Token { name: name.into(), digest })
}

impl Tokens {
    /// Whose token this is. Digests of equal length are compared in constant time, and always all of them, so the time taken tells
    /// nothing about any.
    fn owner(&self, presented: &str) -> Option<Caller> {
        let presented = digest(&SHA256, presented.as_bytes());
        self.0.iter().fold(None, |found, token| match verify_slices_are_equal(presented.as_ref(), &token.digest) {
            Ok(()) => Some(Caller(token.name.clone())),
            Err(_) => found,
        })
    }
}

/// Lets a request pass to an open door, or with a known token. A path that does not exist is no different from a guarded one.
pub(super) async fn require_token(State(tokens): State<Tokens>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match bearer(request.headers()).map(|token| tokens.owner(token)) {
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
