//! The MTA-STS policy over HTTPS (RFC 8461, section 3.3): from an admitted address only, no redirect followed, within
//! a size and a time.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::lookups::Lookups;
use crate::{
    check::TlsVersion,
    destination::{HostName, policy::TargetPolicy},
    mail_dns::{
        Question, RecordKind,
        mta_sts::{MAX_POLICY_SIZE, policy_host},
        mx::{AddressState, HostAddresses},
    },
    net::dial::Dial,
    tls::{HandshakeError, ServerName, TlsClient},
    x509::problem::cert_error,
};

/// How long all of it may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 4;

/// What the policy host served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) body: Vec<u8>,
    pub(super) content_type: Option<String>,
}

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    /// DNS, TCP, a limit of ours or our own rules ended it: nothing is known of the policy.
    #[error("{0}")]
    Inconclusive(String),
    /// The certificate, HTTP or the text is wrong.
    #[error("{0}")]
    Failed(String),
}

/// Fetches policies.
#[derive(Clone, Debug)]
pub(super) struct PolicyFetcher {
    pub(super) policy: Arc<TargetPolicy>,
    pub(super) tls: TlsClient,
    /// 443, but for tests.
    pub(super) port: u16,
}

impl PolicyFetcher {
    pub(super) async fn fetch(
        &self,
        domain: &HostName,
        lookups: &Lookups,
        deadline: Instant,
    ) -> Result<Served, FetchError> {
        let deadline = deadline.min(Instant::now() + FETCH_TIMEOUT);
        let inconclusive = |text: &str| FetchError::Inconclusive(text.to_owned());
        let host = policy_host(domain.as_str());
        let name: HostName = host.parse().map_err(|error| FetchError::Inconclusive(format!("{host} {error}")))?;
        let fetched = timeout_at(deadline, async {
            let addresses = addresses(&host, lookups).await?;
            let mut last = inconclusive("no address of the policy host could be connected to");
            for address in addresses.into_iter().take(MAX_ADDRESSES) {
                match self.fetch_from(&name, address, deadline).await {
                    // Another address may be reachable. What one served is not asked of another.
                    Err(error @ FetchError::Inconclusive(_)) => last = error,
                    fetched => return fetched,
                }
            }
            Err(last)
        });
        fetched.await.unwrap_or_else(|_| Err(inconclusive("the policy was not fetched in time")))
    }

    async fn fetch_from(&self, host: &HostName, address: IpAddr, deadline: Instant) -> Result<Served, FetchError> {
        let admitted = self.policy.admit_host(host);
        let admitted = admitted.and_then(|admitted| admitted.address(SocketAddr::new(address, self.port)));
        let admitted =
            admitted.map_err(|rule| FetchError::Inconclusive(format!("the policy host is not asked: {rule}")))?;
        let connected = async { Dial::prepare(admitted, None)?.connect().await };
        let tcp = connected.await.map_err(|error| FetchError::Inconclusive(format!("the policy host: {error}")))?;
        let name: ServerName =
            host.as_str().parse().map_err(|_| FetchError::Failed(format!("{host} is no name for TLS")))?;
        let offer = self.tls.offer(TlsVersion::Any, None);
        let (outcome, facts) = Box::pin(self.tls.handshake(offer, tcp, &name, deadline)).await;
        let stream = outcome.map_err(|error| match error {
            HandshakeError::TimedOut => FetchError::Inconclusive("the TLS handshake took too long".to_owned()),
            error => FetchError::Failed(error.to_string()),
        })?;
        match facts {
            Some(facts) if facts.verified() => {}
            Some(facts) => {
                let error = cert_error(&facts.problems).unwrap_or_else(|| "it is not verified".to_owned());
                return Err(FetchError::Failed(format!("the certificate of {host}: {error}")));
            }
            None => return Err(FetchError::Failed(format!("{host} showed no certificate"))),
        }
        get(TokioIo::new(stream), host).await
    }
}

async fn addresses(host: &str, lookups: &Lookups) -> Result<Vec<IpAddr>, FetchError> {
    let (ipv4, ipv6) = (Question::new(host, RecordKind::A), Question::new(host, RecordKind::Aaaa));
    let (ipv4, ipv6) = tokio::join!(lookups.ask(&ipv4), lookups.ask(&ipv6));
    let found = HostAddresses::read(&[ipv4, ipv6]);
    match found.state {
        AddressState::Found => Ok(found.addresses),
        AddressState::NoName | AddressState::NoAddress | AddressState::NotAsked => {
            Err(FetchError::Inconclusive(format!("the policy host {host} has no address")))
        }
        AddressState::Inconclusive(failure) => {
            Err(FetchError::Inconclusive(format!("the addresses of {host}: {failure}")))
        }
    }
}

/// The request and its response.
async fn get<S>(stream: TokioIo<S>, host: &HostName) -> Result<Served, FetchError>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |_| FetchError::Failed("the policy host does not speak HTTP, or broke off".to_owned());
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let request = Request::get("/.well-known/mta-sts.txt")
        .header(header::HOST, host.as_str())
        .header(header::ACCEPT, "text/plain")
        .header(header::USER_AGENT, concat!("smtp-check/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Inconclusive("the request could not be made".to_owned()))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status != StatusCode::OK {
        // RFC 8461, section 3.3: redirects are not followed.
        let redirect = if status.is_redirection() { ", and redirects must not be followed" } else { "" };
        return Err(FetchError::Failed(format!("the policy host answered {}{redirect}", status.as_u16())));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match Limited::new(response.into_body(), MAX_POLICY_SIZE + 1).collect().await {
        Ok(body) => Ok(Served { body: body.to_bytes().to_vec(), content_type }),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(FetchError::Failed(format!("the policy is longer than {MAX_POLICY_SIZE} octets")))
        }
        Err(_) => Err(FetchError::Failed("the policy host broke off in the policy".to_owned())),
    }
}
