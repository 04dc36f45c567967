//! By which name the service may be asked, where it asks nobody for a token.
//!
//! A page in somebody's browser can have its own name lead to the loopback address (DNS rebinding), and is of the same origin as the
//! service then: it may run checks, and read what comes of them. But it cannot ask by another name than its own. So an address, and
//! `localhost`, which browsers resolve themselves (RFC 6761, section 6.3), are the only names that a stranger's page cannot have.

use std::{future::ready, net::IpAddr};

use axum::{
    extract::Request,
    http::{header::HOST, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::future::Either;

use super::auth;
use crate::http::problem::{Problem, ProblemType};

/// Refuses requests that ask for another host. A request without a host is from no browser.
pub(crate) fn require(request: Request, next: Next) -> impl Future<Output = Response> {
    let host = request.headers().get(HOST).filter(|host| !host.is_empty());
    let of_header = || host.map(|host| Authority::try_from(host.as_bytes()));
    let asked = request.uri().authority().cloned().map(Ok).or_else(of_header);
    let is_own = asked.is_none_or(|asked| asked.is_ok_and(|authority| is_own(authority.host())));
    if is_own || auth::OPEN.contains(&request.uri().path()) {
        return Either::Left(next.run(request));
    }
    let problem = Problem::new(
        ProblemType::MisdirectedRequest,
        "where no token is asked for, ask by `localhost` or an address; to be asked by any name, the service needs --tokens-file, or \
         --allow-unauthenticated",
    );
    Either::Right(ready(problem.into_response()))
}

fn is_own(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_nobody_elses() {
        for host in
            ["localhost", "LocalHost", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "192.0.2.1"]
        {
            assert!(is_own(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "0x7f.1", "", "[evil]"]
        {
            assert!(!is_own(host), "{host}");
        }
    }
}
