//! Where a request comes from. Behind a reverse proxy the TCP peer is the proxy, and only a header tells the client's address: it is
//! believed of proxies that the operator trusts, and of nobody else.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use crate::destination::policy::canonical_net;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub IpAddr);

/// The networks whose hosts may say for whom they pass a request on. The default trusts none, and so no header is ever looked at.
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
    /// Each proxy adds the address that it was reached from at the right, and what stands further left was there before: so the
    /// client is the rightmost address that is not a trusted proxy's own. Where it cannot be told, it is the last proxy that was.
    ///
    /// A proxy writes `X-Forwarded-For` or `Forwarded` (RFC 7239) and mostly passes the other on as it came. Which of the two it
    /// writes is not known here, so where both are given they have to agree, or the proxy itself is taken for the client.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let told = |name, read: fn(&str) -> Option<IpAddr>| {
            headers.contains_key(&name).then(|| self.walk(peer, elements(headers, &name), read))
        };
        match (told(X_FORWARDED_FOR, address), told(FORWARDED, forwarded_for)) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// Goes from proxy to proxy, up to the first address that none of them vouches for.
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

/// The elements of a list (RFC 9110, section 5.6.1) that may be spread over several lines, from the last to the first. What is not
/// ASCII is `None`.
///
/// A comma within a quoted string cuts it as well, on purpose: to find the quotes one would have to begin at the left, where
/// strangers write, and one quote of theirs would swallow all that the proxies added. Of such a string half a quote is left, which
/// [`forwarded_for`] does not read.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| {
        line.as_bytes()
            .rsplit(|byte| *byte == b',')
            .map(|element| str::from_utf8(element).ok().filter(|text| text.is_ascii()))
    })
}

/// An address as proxies write it: alone, in brackets, with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: IpAddr = match text.parse() {
        Ok(address) => address,
        Err(_) => bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?,
    };
    Some(address.to_canonical())
}

/// The address in the `for` of one element of `Forwarded`; `None` where there is none, or `unknown`, or a made-up name, or two, or
/// anything that is out of order.
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

/// Notes the client's address on the request.
pub(crate) fn identify(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> impl Future<Output = Response> {
    // Without a server loop, as in tests of the router alone, there is no peer.
    let peer =
        request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let client = proxies.client(peer, request.headers());
    request.extensions_mut().insert(ClientAddress(client));
    next.run(request)
}

#[cfg(test)]
mod tests;
