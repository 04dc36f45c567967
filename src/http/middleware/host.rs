//! The host that a request names: exactly one, in the grammar of RFC 3986.
//!
//! Two programs that read different hosts out of one request can be played off against each other: a proxy's rules hold
//! for the one, the answer comes from the other. So a request whose host can be read in two ways gets 400 (RFC 9112,
//! section 3.2).

use std::{future::ready, net::Ipv6Addr};

use axum::{
    extract::Request,
    http::{Version, header::HOST, uri::Scheme},
    response::{IntoResponse, Response},
};
use futures_util::future::Either;

use super::stack::Next;
use crate::http::problem::{Problem, ProblemType};

/// Refuses requests without a host, with several, or with one that is no host.
pub(crate) fn require_valid_host(request: Request, next: Next) -> impl Future<Output = Response> {
    match judge(&request) {
        Ok(()) => Either::Left(next.run(request)),
        Err(reason) => Either::Right(ready(Problem::new(ProblemType::InvalidHost, reason).into_response())),
    }
}

/// # Errors
/// The `detail` of the problem.
fn judge(request: &Request) -> Result<(), &'static str> {
    let (is_http2, uri) = (request.version() >= Version::HTTP_2, request.uri());
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next();
    if headers.next().is_some() {
        return Err("send one `Host` header, not several");
    }
    let host = header
        .map(|host| parse(host.as_bytes()).ok_or("`Host` must be a host name or an IP address, and perhaps a port"));
    let host = host.transpose()?;
    // The target of an HTTP/1 request to a proxy (RFC 9112, section 3.2.2), and `:authority` (RFC 9113, section 8.3.1).
    let authority = uri.authority().map(|authority| parse(authority.as_str().as_bytes()));
    let authority =
        authority.map(|authority| authority.ok_or("the authority must be a host, without a user")).transpose()?;
    match (host, authority) {
        (None, None) if is_http2 => Err("send `:authority`"),
        (None, _) if request.version() == Version::HTTP_11 => Err("send a `Host` header"),
        (Some(host), Some(authority)) if is_http2 => {
            let default_port = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
            let is_same = host.name.eq_ignore_ascii_case(authority.name)
                && host.port.unwrap_or(default_port) == authority.port.unwrap_or(default_port);
            if is_same { Ok(()) } else { Err("`Host` and `:authority` must be the same") }
        }
        _ => Ok(()),
    }
}

/// A host and its port.
#[derive(Debug, PartialEq)]
struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

/// Parses `uri-host [ ":" port ]` (RFC 9110, section 7.2). An empty name is valid: it means that there is no authority.
fn parse(bytes: &[u8]) -> Option<Host<'_>> {
    let text = str::from_utf8(bytes).ok()?;
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (name, port) = text.split_at(end);
    let is_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_registered_name(name),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    is_name.then_some(Host { name, port })
}

/// `reg-name` (RFC 3986, section 3.2.2), which an IPv4 address is too.
fn is_registered_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => {
                [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn passes(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        judge(&request.body(Body::empty()).expect("a request")).is_ok()
    }

    #[test]
    fn an_http1_request_has_one_valid_host() {
        for host in
            ["x", "mx.example", "LOCALHOST:2580", "192.0.2.1", "[::1]", "[::1]:80", "", "a:", "a_b", "%41", "a:65535"]
        {
            assert!(passes(Version::HTTP_11, "/", &[host]), "{host}");
        }
        for host in [
            "evil.test@127.0.0.1",
            "a b",
            "a/b",
            "http://a",
            "a,b:x",
            "a:-1",
            "a:65536",
            "[::1",
            "[::1]x",
            "[v]",
            "::1",
            "%4",
            "%zz",
            "a?b",
            "a\\b",
            "a#",
        ] {
            assert!(!passes(Version::HTTP_11, "/", &[host]), "{host}");
        }
        assert!(!passes(Version::HTTP_11, "/", &[]));
        assert!(!passes(Version::HTTP_11, "/", &["x", "x"]), "even if they are the same");
        assert!(!passes(Version::HTTP_10, "/", &["x", "y"]));
        assert!(passes(Version::HTTP_10, "/", &[]), "HTTP/1.0 has no such header");
    }

    #[test]
    fn the_target_of_a_proxy_request_needs_a_host_header_too() {
        assert!(passes(Version::HTTP_11, "http://x/", &["y"]), "the target wins");
        assert!(!passes(Version::HTTP_11, "http://x/", &[]));
        assert!(!passes(Version::HTTP_11, "http://user@x/", &["x"]));
    }

    #[test]
    fn authority_and_host_of_an_http2_request_agree() {
        for (uri, hosts) in [
            ("http://x/", &[][..]),
            ("http://x/", &["X"]),
            ("http://x/", &["x:80"]),
            ("https://x:443/", &["x"]),
            ("/", &["x"]),
        ] {
            assert!(passes(Version::HTTP_2, uri, hosts), "{uri} {hosts:?}");
        }
        for (uri, hosts) in [
            ("/", &[][..]),
            ("http://x/", &["y"]),
            ("http://x/", &["x:81"]),
            ("https://x/", &["x:80"]),
            ("http://x/", &["x", "x"]),
            ("http://x/", &[""]),
            ("http://a@x/", &[]),
        ] {
            assert!(!passes(Version::HTTP_2, uri, hosts), "{uri} {hosts:?}");
        }
    }
}
