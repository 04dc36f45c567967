//! The client's IP address. Behind a reverse proxy the TCP peer is the proxy, and only a header has the client's
//! address. The header counts only if a trusted proxy sent it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED},
    response::Response,
};
use ipnet::IpNet;

use super::stack::Next;
use crate::destination::policy::canonical_net;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The IP address of the client: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientIp(pub IpAddr);

/// The networks of the trusted proxies. The default trusts none, so no header is read.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        Self(nets.into_iter().map(canonical_net).collect())
    }
}

impl TrustedProxies {
    /// The client of a request that came from `peer`.
    ///
    /// Each proxy appends the address of its own peer. So the client is the rightmost address that is not a trusted
    /// proxy's; what is further left, the client may have made up. If an address cannot be read, the proxy that sent it
    /// is taken for the client.
    ///
    /// A proxy writes `X-Forwarded-For` or `Forwarded` (RFC 7239), and mostly passes the other one on unchanged.
    /// Nothing tells which one it writes. So if both are present they must agree; otherwise the proxy itself is taken
    /// for the client.
    fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let named_by = |name, read: fn(&str) -> Option<IpAddr>| {
            headers.contains_key(&name).then(|| self.walk(peer, elements(headers, &name), read))
        };
        match (named_by(X_FORWARDED_FOR, address), named_by(FORWARDED, forwarded_for)) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// The first address, from the right, that is not a trusted proxy's.
    fn walk<'a>(
        &self,
        peer: IpAddr,
        hops: impl Iterator<Item = Option<&'a str>>,
        read: fn(&str) -> Option<IpAddr>,
    ) -> IpAddr {
        let mut client = peer;
        for hop in hops {
            let Some(address) = hop.and_then(read) else { break };
            client = address;
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// The elements of a list (RFC 9110, section 5.6.1) over all its header lines, from the last to the first. `None`: not
/// ASCII.
///
/// A comma in a quoted string splits it, too, on purpose. A parser of quotes would have to begin at the left, which the
/// client writes, and one open quote there would swallow everything that the proxies appended. [`forwarded_for`]
/// refuses half a quoted string.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| {
        line.as_bytes()
            .rsplit(|byte| *byte == b',')
            .map(|element| str::from_utf8(element).ok().filter(|text| text.is_ascii()))
    })
}

/// Parses an address as proxies write it: alone, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: IpAddr = match text.parse() {
        Ok(address) => address,
        Err(_) => bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?,
    };
    Some(address.to_canonical())
}

/// The address of the `for` parameter of one `Forwarded` element. `None`: no such parameter, more than one, `unknown`,
/// an obfuscated name, or a syntax error.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
        if value.contains(['"', '\\']) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    address(found?)
}

/// Records the client's address as the [`ClientIp`] of the request.
pub(crate) fn record_client_ip(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    // Tests of the router alone have no peer.
    let peer =
        request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let client = proxies.client_ip(peer, request.headers());
    request.extensions_mut().insert(ClientIp(client));
    next.run(request)
}

#[cfg(test)]
mod tests;
