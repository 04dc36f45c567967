//! The service under test: the real router and the real server loop, on a free port of this process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde_json::Value;
use smtp_check::{
    check::{CheckSettings, Modules, SourceAddresses},
    destination::policy::{HostRules, TargetPolicy},
    domain::{DEFAULT_MAX_DOMAIN_CHECKS, Surveyor},
    http::{
        AccessConfig, AppState, BodyLimits, ByteBudget, Ended, Lifecycle, ServerIdentity, ServerSettings, TokenStore,
        router, serve,
    },
    net::{
        lookup::{DnsClient, DnssecMode},
        resolve::Resolver,
    },
    probe::{Limits, probe},
    tls::{TlsClient, TrustAnchors},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::{
    dkim::DkimKeys,
    pki::{Ca, Identity},
};

pub(crate) use super::response::TestResponse;

/// Settings of a [`TestApp`]. The defaults are those of the program, except that no certificate authority is trusted
/// and no name server is asked.
pub(crate) struct TestAppBuilder {
    limits: Limits,
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
    host_rules: HostRules,
    ports: Vec<u16>,
    dns_servers: Vec<SocketAddr>,
    trust_anchors: TrustAnchors,
    dnssec: DnssecMode,
    /// `--dns-trust-anchor`; `None` for the built-in ones.
    dns_anchors: Option<PathBuf>,
    mta_sts_port: u16,
    max_domain_checks: usize,
    access: AccessConfig,
    max_body: usize,
    server: ServerSettings,
    settings: CheckSettings,
    modules: Option<Modules>,
}

impl Default for TestAppBuilder {
    fn default() -> Self {
        Self {
            limits: Limits { checks: 1024, checks_per_target: 16, max_timeout: Duration::from_secs(60) },
            deny: Vec::new(),
            allow: Vec::new(),
            host_rules: HostRules::default(),
            ports: Vec::new(),
            dns_servers: Vec::new(),
            trust_anchors: TrustAnchors::none(),
            dnssec: DnssecMode::Off,
            dns_anchors: None,
            mta_sts_port: 443,
            max_domain_checks: DEFAULT_MAX_DOMAIN_CHECKS,
            access: AccessConfig::default(),
            settings: CheckSettings::new(Duration::from_secs(60)),
            modules: None,
            max_body: 1 << 20,
            server: ServerSettings {
                identity: None,
                max_connections: 4096,
                reserved_connections: 32,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(30),
                budget: ByteBudget::new(1, 1),
                shutdown_grace: Duration::from_secs(30),
                last_response_timeout: Duration::from_secs(5),
            },
        }
    }
}

impl TestAppBuilder {
    /// `--max-checks`.
    pub(crate) fn max_checks(mut self, checks: usize) -> Self {
        self.limits.checks = checks;
        self
    }

    /// `--max-checks-per-target`.
    pub(crate) fn max_checks_per_target(mut self, checks: usize) -> Self {
        self.limits.checks_per_target = checks;
        self
    }

    /// `--target-deny`.
    pub(crate) fn deny(mut self, networks: &[&str]) -> Self {
        self.deny.extend(networks.iter().map(|network| network.parse::<IpNet>().expect("a network")));
        self
    }

    /// `--target-allow`.
    pub(crate) fn allow(mut self, networks: &[&str]) -> Self {
        self.allow.extend(networks.iter().map(|network| network.parse::<IpNet>().expect("a network")));
        self
    }

    /// Rules about host names.
    pub(crate) fn host_rules(mut self, rules: HostRules) -> Self {
        self.host_rules = rules;
        self
    }

    /// `--target-ports`.
    pub(crate) fn ports(mut self, ports: &[u16]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    /// Asks this name server, after those that were added before.
    pub(crate) fn dns_server(mut self, address: SocketAddr) -> Self {
        self.dns_servers.push(address);
        self
    }

    /// `--dnssec`, with the trust anchors of this file.
    pub(crate) fn dnssec(mut self, mode: DnssecMode, anchors: &Path) -> Self {
        self.dnssec = mode;
        self.dns_anchors = Some(anchors.to_owned());
        self
    }

    /// `--mta-sts-port`.
    pub(crate) fn mta_sts_port(mut self, port: u16) -> Self {
        self.mta_sts_port = port;
        self
    }

    /// `--max-domain-checks`.
    pub(crate) fn max_domain_checks(mut self, checks: usize) -> Self {
        self.max_domain_checks = checks;
        self
    }

    /// Trusts this certificate authority too.
    pub(crate) fn trust(mut self, ca: &Ca) -> Self {
        self.trust_anchors.add(ca.der().clone()).expect("a certificate");
        self
    }

    /// Requires tokens.
    pub(crate) fn tokens(mut self, tokens: TokenStore) -> Self {
        self.access.tokens = Some(tokens);
        self
    }

    /// `--rate-limit`.
    pub(crate) fn rate_limit(mut self, rate: &str) -> Self {
        self.access.rate_limit = Some(rate.parse().expect("a rate"));
        self
    }

    /// `--max-body`.
    pub(crate) fn max_body(mut self, size: usize) -> Self {
        self.max_body = size;
        self
    }

    /// The modules of `GET /probe`.
    pub(crate) fn modules(mut self, modules: Modules) -> Self {
        self.modules = Some(modules);
        self
    }

    /// `[client_certificates.NAME]`.
    pub(crate) fn client_certificate(mut self, name: &str, identity: &Identity) -> Self {
        self.settings.client_certificates.insert(name.to_owned(), identity.client_certificate(name));
        self
    }

    /// `[dkim.NAME]`.
    pub(crate) fn dkim_key(mut self, name: &str, keys: &DkimKeys) -> Self {
        self.settings.dkim.insert(name.to_owned(), keys.key(name));
        self
    }

    /// `--source-address`.
    pub(crate) fn source_addresses(mut self, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.settings.source_addresses = SourceAddresses::Listed(addresses);
        self
    }

    /// Serves HTTPS with this identity.
    pub(crate) fn identity(mut self, identity: ServerIdentity) -> Self {
        self.server.identity = Some(identity);
        self
    }

    /// `--max-connections`.
    pub(crate) fn max_connections(mut self, connections: usize) -> Self {
        self.server.max_connections = connections;
        self
    }

    /// `--header-timeout`.
    pub(crate) fn header_timeout(mut self, timeout: Duration) -> Self {
        self.server.header_timeout = timeout;
        self
    }

    /// `--shutdown-grace`.
    pub(crate) fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.server.shutdown_grace = grace;
        self
    }

    /// Starts the service on a free port of 127.0.0.1.
    pub(crate) async fn start(self) -> TestApp {
        let resolver = Resolver::with_servers(&self.dns_servers);
        let policy = TargetPolicy::new(self.deny, self.allow, self.ports).with_hosts(self.host_rules);
        let (policy, tls) = (Arc::new(policy), TlsClient::new(self.trust_anchors));
        let dns = match &self.dns_anchors {
            None => DnsClient::new(resolver.clone(), self.dnssec),
            Some(file) => {
                let anchors = DnsClient::read_anchors(file).expect("trust anchors");
                DnsClient::with_anchors(resolver.clone(), self.dnssec, anchors)
            }
        };
        let probe = probe(self.limits, resolver, Arc::clone(&policy), tls.clone());
        let lifecycle = Lifecycle::default();
        let budget = ByteBudget::new(self.limits.checks, self.max_body);
        let state = AppState {
            lifecycle: lifecycle.clone(),
            body_limits: BodyLimits::new(self.max_body, Duration::from_secs(30), budget.clone()),
            budget: budget.clone(),
            surveyor: Surveyor::new(probe.clone(), dns, policy, tls, self.mta_sts_port),
            max_domain_checks: self.max_domain_checks,
            probe,
            modules: smtp_check::http::ModuleStore::new(self.modules.unwrap_or_else(|| Modules::none(self.settings))),
            dropped_lines: None,
        };
        let router = router(state, self.access).expect("a router");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let ended = tokio::spawn(serve(
            listener,
            router,
            lifecycle.clone(),
            shutdown,
            ServerSettings { budget, ..self.server },
        ));
        TestApp { addr, lifecycle, stop: Some(stop), ended }
    }
}

/// A running service. Dropping it ends it.
pub(crate) struct TestApp {
    addr: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

impl TestApp {
    /// The service with other settings than the defaults.
    pub(crate) fn builder() -> TestAppBuilder {
        TestAppBuilder::default()
    }

    /// The service with the default settings.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> TestResponse {
        let stream = TcpStream::connect(self.addr).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        connection.abort();
        TestResponse { status: parts.status, headers: parts.headers, body }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "test");
        self.send(request.body(Full::default()).expect("a request")).await
    }

    /// `POST /v1/checks/smtp` with these parameters.
    pub(crate) async fn post(&self, parameters: &Value) -> TestResponse {
        self.post_to("/v1/checks/smtp", parameters).await
    }

    /// `POST path` with these parameters.
    pub(crate) async fn post_to(&self, path: &str, parameters: &Value) -> TestResponse {
        let request = Request::builder().method(Method::POST).uri(path).header("host", "test");
        let body = Full::from(parameters.to_string());
        self.send(request.header(CONTENT_TYPE, "application/json").body(body).expect("a request")).await
    }

    /// Runs a check, which has to be answered by 200, and returns its report. Parameters: see [`with_defaults`].
    pub(crate) async fn check(&self, parameters: Value) -> Value {
        let answer = self.post(&with_defaults(parameters)).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()
    }

    /// The report of the check of a domain.
    pub(crate) async fn check_domain(&self, parameters: Value) -> Value {
        let response = self.post_to("/v1/checks/domain", &parameters).await;
        assert_eq!(response.status, StatusCode::OK, "{}", String::from_utf8_lossy(&response.body));
        response.json()
    }

    /// Requests a check without waiting for the response, and returns the connection. To drop it is to hang up.
    pub(crate) async fn start_check(&self, parameters: Value) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.expect("a connection");
        let body = with_defaults(parameters).to_string();
        let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: test\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("the service reads");
        stream
    }

    /// Begins the shutdown, as SIGTERM does.
    pub(crate) fn shut_down(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the service to end.
    pub(crate) async fn join(mut self) -> Ended {
        let ended = tokio::time::timeout(Duration::from_secs(40), &mut self.ended).await;
        ended.expect("the service ends in time").expect("no panic")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

/// Parameters with a recipient, and 127.0.0.1 as target, where these are not given.
pub(crate) fn with_defaults(parameters: Value) -> Value {
    let mut body = serde_json::json!({"to": "probe@example.test", "target": "127.0.0.1"});
    let Value::Object(parameters) = parameters else { panic!("an object") };
    body.as_object_mut().expect("an object").extend(parameters);
    body
}

/// The names of a report's phases, in order.
pub(crate) fn phase_names(report: &Value) -> Vec<&str> {
    report["phases"].as_array().into_iter().flatten().filter_map(|phase| phase["name"].as_str()).collect()
}

/// Phase, kind and whether it is temporary: why a check failed.
pub(crate) fn failure(report: &Value) -> (&str, &str, bool) {
    let failure = &report["failure"];
    let text = |name: &str| failure[name].as_str().unwrap_or_default();
    (text("phase"), text("kind"), failure["temporary"] == true)
}
