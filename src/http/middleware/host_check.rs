//! Protection against DNS rebinding, for a service without tokens: requests must name it by `localhost` or an IP
//! address.
//!
//! An attacker's page can make its own host name resolve to the loopback address. The browser then takes the service
//! for the page's own origin, and the page can run checks and read their reports. But it can send requests only to its
//! own host name. It cannot own an IP address, nor `localhost`, which browsers resolve themselves (RFC 6761, section
//! 6.3).

use std::{future::ready, net::IpAddr};

use axum::{
    extract::Request,
    http::{header::HOST, uri::Authority},
    response::{IntoResponse, Response},
};
use futures_util::future::Either;

use super::{auth, stack::Next};
use crate::http::problem::{Problem, ProblemType};

/// Refuses requests for another host. A request without a host passes: no browser sends one.
pub(crate) fn require_local_host(request: Request, next: Next) -> impl Future<Output = Response> {
    let header = request.headers().get(HOST).filter(|host| !host.is_empty());
    let of_header = || header.map(|host| Authority::try_from(host.as_bytes()));
    let host = request.uri().authority().cloned().map(Ok).or_else(of_header);
    let passes = host.is_none_or(|host| host.is_ok_and(|authority| is_local(authority.host())));
    if passes || auth::PUBLIC_PATHS.contains(&request.uri().path()) {
        return Either::Left(next.run(request));
    }
    let problem = Problem::new(
        ProblemType::MisdirectedRequest,
        "without tokens, the service answers only to `localhost` and IP addresses; for other names, start it with --tokens-file or \
         --allow-unauthenticated",
    );
    Either::Right(ready(problem.into_response()))
}

fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ip_addresses_and_localhost_are_local() {
        for host in
            ["localhost", "LocalHost", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "192.0.2.1"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "0x7f.1", "", "[evil]"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
