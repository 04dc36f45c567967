//! The service itself: the real router behind the real server loop, on a free port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde_json::Value;
use smtp_check::{
    check::Modules,
    destination::policy::{HostRules, TargetPolicy},
    http::{AccessConfig, AppState, BodyLimits, Ended, Lifecycle, ServerSettings, router, serve},
    net::resolve::Resolver,
    probe::{Limits, probe},
    tls::{TlsClient, TrustAnchors},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::pki::Ca;

/// How the service is to be set up. The defaults are the program's own, but that no certificate authority is trusted and no name
/// server is asked.
pub(crate) struct House {
    pub(crate) limits: Limits,
    pub(crate) deny: Vec<IpNet>,
    pub(crate) allow: Vec<IpNet>,
    pub(crate) hosts: HostRules,
    pub(crate) ports: Vec<u16>,
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) anchors: TrustAnchors,
    pub(crate) access: AccessConfig,
    pub(crate) body: BodyLimits,
    pub(crate) server: ServerSettings,
    pub(crate) modules: Modules,
}

impl Default for House {
    fn default() -> Self {
        Self {
            limits: Limits { checks: 1024, checks_per_target: 16, max_timeout: Duration::from_secs(60) },
            deny: Vec::new(),
            allow: Vec::new(),
            hosts: HostRules::default(),
            ports: Vec::new(),
            dns: Vec::new(),
            anchors: TrustAnchors::none(),
            access: AccessConfig::default(),
            modules: Modules::none(Duration::from_secs(60)),
            body: BodyLimits::new(1 << 20, Duration::from_secs(30), 1024),
            server: ServerSettings {
                identity: None,
                max_connections: 4096,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(30),
                shutdown_grace: Duration::from_secs(30),
                last_response_timeout: Duration::from_secs(5),
            },
        }
    }
}

impl House {
    /// Trusts this authority beside those that it trusts already.
    pub(crate) fn trusting(mut self, ca: &Ca) -> Self {
        self.anchors.add(ca.der().clone()).expect("a certificate");
        self
    }

    /// Asks this name server.
    pub(crate) fn asking(mut self, dns: SocketAddr) -> Self {
        self.dns.push(dns);
        self
    }

    /// Opens the doors.
    pub(crate) async fn open(self) -> App {
        let resolver = Resolver::with_servers(&self.dns).expect("a resolver");
        let policy = TargetPolicy::new(self.deny, self.allow, self.ports).with_hosts(self.hosts);
        let lifecycle = Lifecycle::default();
        let doors = AppState {
            lifecycle: lifecycle.clone(),
            body_limits: self.body,
            probe: probe(self.limits, resolver, Arc::new(policy), TlsClient::new(self.anchors)),
            max_timeout: self.limits.max_timeout,
            modules: self.modules,
            dropped_lines: None,
        };
        let router = router(doors, self.access).expect("a router");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let ended = tokio::spawn(serve(listener, router, lifecycle.clone(), shutdown, self.server));
        App { addr, lifecycle, stop: Some(stop), ended }
    }
}

/// A running service; gone when dropped.
pub(crate) struct App {
    addr: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

/// What a door answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body, which has to be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A header's value, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The pointers of a 422's violations.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
    }
}

impl App {
    /// The service with its defaults.
    pub(crate) async fn start() -> Self {
        House::default().open().await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.addr).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        connection.abort();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "test");
        self.send(request.body(Full::default()).expect("a request")).await
    }

    /// `POST /v1/checks/smtp` with these parameters.
    pub(crate) async fn post(&self, parameters: &Value) -> Answer {
        let request = Request::builder().method(Method::POST).uri("/v1/checks/smtp").header("host", "test");
        let body = Full::from(parameters.to_string());
        self.send(request.header(CONTENT_TYPE, "application/json").body(body).expect("a request")).await
    }

    /// Begins a check and leaves it running; its answer comes over the connection.
    pub(crate) async fn hold(&self, parameters: &Value) -> TcpStream {
        let mut caller = TcpStream::connect(self.addr).await.expect("a connection");
        let (body, json) = (parameters.to_string(), "Host: test\r\nContent-Type: application/json");
        let length = body.len();
        let request = format!("POST /v1/checks/smtp HTTP/1.1\r\n{json}\r\nContent-Length: {length}\r\n\r\n{body}");
        caller.write_all(request.as_bytes()).await.expect("sent");
        caller
    }

    /// Runs a check that is to run, and returns its report. What is not given is filled in: a recipient, and 127.0.0.1 as target.
    pub(crate) async fn check(&self, parameters: Value) -> Value {
        let answer = self.post(&filled_in(parameters)).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()
    }

    /// Asks for a check and does not wait for the answer: the connection that the answer would come on. To drop it is to hang up.
    pub(crate) async fn begin(&self, parameters: Value) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.expect("a connection");
        let body = filled_in(parameters).to_string();
        let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: test\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("the service reads");
        stream
    }

    /// Tells the service to stop, as SIGTERM does.
    pub(crate) fn terminate(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the service to end.
    pub(crate) async fn ended(mut self) -> Ended {
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.ended).await;
        ended.expect("the service ends in time").expect("no panic")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

/// Parameters with a recipient, and 127.0.0.1 as target, where these are not given.
pub(crate) fn filled_in(parameters: Value) -> Value {
    let mut body = serde_json::json!({"to": "probe@example.test", "target": "127.0.0.1"});
    let Value::Object(parameters) = parameters else { panic!("an object") };
    body.as_object_mut().expect("an object").extend(parameters);
    body
}

/// The names of a report's phases, in order.
pub(crate) fn phases(report: &Value) -> Vec<&str> {
    report["phases"].as_array().into_iter().flatten().filter_map(|phase| phase["name"].as_str()).collect()
}

/// Phase, kind and whether it is temporary: why a check failed.
pub(crate) fn failure(report: &Value) -> (&str, &str, bool) {
    let failure = &report["failure"];
    let text = |name: &str| failure[name].as_str().unwrap_or_default();
    (text("phase"), text("kind"), failure["temporary"] == true)
}
