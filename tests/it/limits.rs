//! Concurrency limits: a check over the limit is rejected at once, and every finished check releases its slot.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::support::{
    app::{TestApp, TestAppBuilder, TestResponse, with_defaults},
    dns::{DnsServer, Zone},
    port::Port,
    program::{ServiceProcess, program},
    smtpd::{Action, Script, SmtpServer, Step},
};

/// Much longer than a rejection takes, and much shorter than the running checks.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);

fn builder(max_checks: usize, max_checks_per_target: usize) -> TestAppBuilder {
    TestApp::builder().max_checks(max_checks).max_checks_per_target(max_checks_per_target)
}

async fn post(app: &TestApp, parameters: Value) -> TestResponse {
    timeout(REFUSAL_TIMEOUT, app.post(&with_defaults(parameters))).await.expect("an answer at once")
}

fn assert_rejected(answer: &TestResponse, status: StatusCode, slug: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{:?}", answer.headers);
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:smtp-check:problem:{slug}"));
    assert_eq!(problem["status"], status.as_u16());
}

fn assert_report(answer: &TestResponse) {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
}

fn silent_at(addr: &str) -> SmtpServer {
    SmtpServer::serve_at(
        addr.parse::<SocketAddr>().expect("an address"),
        Script::new().with_greeting(Action::silence()),
    )
}

/// Starts `count` checks of a server that does not answer, and waits until all of them run.
async fn start_checks(app: &TestApp, server: &SmtpServer, count: usize) -> Vec<TcpStream> {
    let mut callers = Vec::new();
    for _ in 0..count {
        let check = json!({"target": server.addr().ip().to_string(), "port": server.port(), "timeout_ms": 60_000});
        callers.push(app.start_check(check).await);
    }
    server.wait_for_open(count).await;
    callers
}

#[tokio::test]
async fn global_limit_rejects_the_next_check() {
    let app = builder(3, 16).start().await;
    let (silent, compliant) = (silent_at("127.0.0.1:0"), SmtpServer::serve(Script::compliant()));
    let callers = start_checks(&app, &silent, 3).await;
    for _ in 0..3 {
        assert_rejected(
            &post(&app, json!({"port": compliant.port()})).await,
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
        );
    }
    assert_eq!(compliant.connections(), 0, "nothing was connected to");
    assert_eq!((app.get("/healthz").await.status, app.get("/readyz").await.status), (StatusCode::OK, StatusCode::OK));

    // Invalid parameters are still reported: validation needs no slot.
    assert_eq!(post(&app, json!({"port": 0})).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    drop(callers);
    silent.wait_for_sessions(3).await;
    assert_all_slots_free(&app, 3).await;
}

/// Waits until no check runs, and then starts as many as the limit allows.
async fn assert_all_slots_free(app: &TestApp, slots: usize) {
    timeout(REFUSAL_TIMEOUT, app.lifecycle.idle()).await.expect("every check ends");
    let server = silent_at("127.0.0.3:0");
    drop(start_checks(app, &server, slots).await);
    server.wait_for_sessions(slots).await;
}

#[tokio::test]
async fn per_address_limit_rejects_the_next_check() {
    let dns = DnsServer::serve(Zone::new().a("mx.test", [127, 0, 0, 1].into()));
    let app = builder(16, 2).dns_server(dns.addr()).start().await;
    let silent = silent_at("127.0.0.1:0");
    let (same, other) = (
        SmtpServer::serve(Script::compliant()),
        SmtpServer::serve_at("127.0.0.2:0".parse().expect("an address"), Script::compliant()),
    );
    let callers = start_checks(&app, &silent, 2).await;
    // The limit is per address: another port or another spelling is the same target.
    for target in ["127.0.0.1", "[127.0.0.1]", "::ffff:127.0.0.1", "::ffff:7f00:1", "mx.test"] {
        for port in [silent.port(), same.port()] {
            let answer = post(&app, json!({"target": target, "port": port})).await;
            assert_rejected(&answer, StatusCode::TOO_MANY_REQUESTS, "target-busy");
        }
    }
    assert_eq!((silent.connections(), same.connections()), (2, 0), "nothing more was connected to");

    // Another address has its own limit.
    assert_report(&post(&app, json!({"target": "127.0.0.2", "port": other.port()})).await);

    drop(callers);
    silent.wait_for_sessions(2).await;
    assert_all_slots_free(&app, 2).await;
    assert_report(&post(&app, json!({"port": same.port()})).await);
}

/// Clients at the same time, and requests of each: many more than the limit.
const CLIENTS: usize = 200;
const REQUESTS_PER_CLIENT: usize = 3;

/// Many clients request this check, and all of them are rejected; meanwhile the health routes answer. Nobody waits for
/// a slot: none becomes free.
async fn reject_many(app: &TestApp, parameters: &Value, status: StatusCode, slug: &str) {
    let running = app.lifecycle.running();
    let callers = async {
        for _ in 0..REQUESTS_PER_CLIENT {
            let mut callers = Vec::new();
            for _ in 0..CLIENTS {
                callers.push(app.start_check(parameters.clone()).await);
            }
            for mut caller in callers {
                let mut head = [0; 12];
                caller.read_exact(&mut head).await.expect("an answer");
                assert_eq!(head, format!("HTTP/1.1 {}", status.as_u16()).as_bytes());
            }
        }
    };
    let meanwhile = async {
        for _ in 0..10 {
            let answers = [app.get("/healthz").await.status, app.get("/readyz").await.status];
            assert_eq!(answers, [StatusCode::OK; 2], "busy is not broken");
            assert_rejected(&post(app, parameters.clone()).await, status, slug);
        }
    };
    let both = async { tokio::join!(callers, meanwhile) };
    timeout(REFUSAL_TIMEOUT, both).await.expect("answers at once");
    assert_eq!(app.lifecycle.running(), running, "the checks in their way are there still");
}

#[tokio::test]
async fn many_checks_over_the_limit_are_rejected_at_once() {
    let app = builder(20, 20).start().await;
    let (silent, compliant) = (silent_at("127.0.0.1:0"), SmtpServer::serve(Script::compliant()));
    let callers = start_checks(&app, &silent, 20).await;
    reject_many(&app, &json!({"port": compliant.port()}), StatusCode::SERVICE_UNAVAILABLE, "overloaded").await;
    assert_eq!((compliant.connections(), silent.connections()), (0, 20));
    drop(callers);
    silent.wait_for_sessions(20).await;
    assert_all_slots_free(&app, 20).await;
}

#[tokio::test]
async fn one_slow_target_does_not_use_up_the_global_limit() {
    let app = builder(20, 16).start().await;
    let silent = silent_at("127.0.0.1:0");
    let others = SmtpServer::serve_at("127.0.0.2:0".parse().expect("an address"), Script::compliant());
    let callers = start_checks(&app, &silent, 16).await;
    let elsewhere = async {
        for _ in 0..20 {
            assert_report(&post(&app, json!({"target": "127.0.0.2", "port": others.port()})).await);
        }
    };
    let parameters = json!({"port": silent.port()});
    tokio::join!(reject_one_by_one(&app, &parameters), elsewhere);
    assert_eq!((silent.connections(), others.connections()), (16, 20));
    drop(callers);
}

/// A name with silent name servers is a slow target too, although it has no address yet.
#[tokio::test]
async fn one_slow_name_does_not_use_up_the_global_limit() {
    let dns = DnsServer::serve(Zone::new().silent("silent.test").a("mx.test", [127, 0, 0, 1].into()));
    let app = builder(20, 4).dns_server(dns.addr()).start().await;
    let compliant = SmtpServer::serve(Script::compliant());
    let slow = json!({"target": "silent.test", "timeout_ms": 60_000});
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(app.start_check(slow.clone()).await);
    }
    let all_run = async {
        while app.lifecycle.running() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(REFUSAL_TIMEOUT, all_run).await.expect("all of them begin");
    for target in ["silent.test", "SILENT.test."] {
        let answer = post(&app, json!({"target": target, "timeout_ms": 60_000})).await;
        assert_rejected(&answer, StatusCode::TOO_MANY_REQUESTS, "target-busy");
    }
    assert_report(&post(&app, json!({"target": "mx.test", "port": compliant.port()})).await);

    drop(callers);
    timeout(REFUSAL_TIMEOUT, app.lifecycle.idle()).await.expect("every check ends");
    let report = post(&app, json!({"target": "silent.test", "timeout_ms": 100})).await;
    assert_eq!(report.json()["failure"]["kind"], "timeout", "there is a place again");
}

/// Names below one zone with silent name servers use at most half of the global limit.
#[tokio::test]
async fn one_slow_zone_does_not_use_up_the_global_limit() {
    let slow: Vec<String> = (0..10).map(|number| format!("a{number}.slow.test")).collect();
    let zone = slow.iter().fold(Zone::new(), |zone, name| zone.silent(name));
    let dns = DnsServer::serve(zone.a("one.test", [127, 0, 0, 3].into()).a("two.test", [127, 0, 0, 4].into()));
    let app = builder(10, 4).dns_server(dns.addr()).start().await;
    let compliant = SmtpServer::serve(Script::compliant());
    let mut callers = Vec::new();
    for name in &slow[..5] {
        callers.push(app.start_check(json!({"target": name, "timeout_ms": 60_000})).await);
    }
    let all_wait = async {
        while slow[..5].iter().any(|name| !dns.queries().iter().any(|(asked, _)| asked == name)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(REFUSAL_TIMEOUT, all_wait).await.expect("all of them are asked for");
    for name in &slow[5..] {
        let answer = post(&app, json!({"target": name, "timeout_ms": 60_000})).await;
        assert_rejected(&answer, StatusCode::SERVICE_UNAVAILABLE, "overloaded");
    }
    // The other half is for checks with a known address.
    let mut silent = vec![silent_at("127.0.0.2:0")];
    callers.extend(start_checks(&app, &silent[0], 4).await);
    assert_report(&post(&app, json!({"target": "127.0.0.1", "port": compliant.port()})).await);

    // A resolved name releases its slot, however long its check runs.
    drop(callers);
    timeout(REFUSAL_TIMEOUT, app.lifecycle.idle()).await.expect("every check ends");
    let mut callers = Vec::new();
    for (name, at) in [("one.test", "127.0.0.3:0"), ("two.test", "127.0.0.4:0")] {
        let server = silent_at(at);
        for _ in 0..4 {
            callers.push(app.start_check(json!({"target": name, "port": server.port(), "timeout_ms": 60_000})).await);
        }
        server.wait_for_open(4).await;
        silent.push(server);
    }
}

/// One client that repeats its request.
async fn reject_one_by_one(app: &TestApp, parameters: &Value) {
    for _ in 0..CLIENTS {
        assert_rejected(&post(app, parameters.clone()).await, StatusCode::TOO_MANY_REQUESTS, "target-busy");
    }
}

#[tokio::test]
async fn every_outcome_releases_the_slot() {
    let dns = DnsServer::serve(
        Zone::new().nxdomain("nowhere.test").silent("silent.test").a("mx.test", [127, 0, 0, 1].into()),
    );
    let app = builder(1, 1).deny(&["127.0.0.9/32"]).dns_server(dns.addr()).start().await;
    let compliant = SmtpServer::serve(Script::compliant());
    let rejecting = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 no\r\n"));
    let closing = SmtpServer::serve(Script::new().with_greeting(Action::close()));
    let resetting = SmtpServer::serve(Script::compliant().on(Step::Ehlo, Action::reset()));
    let babbling = SmtpServer::serve(Script::new().with_greeting(Action::endless_line("220 ")));
    let silent = silent_at("127.0.0.1:0");
    let rows = [
        (json!({"port": compliant.port()}), 200, None),
        (json!({"port": compliant.port(), "stop_after": "ehlo"}), 200, None),
        (json!({"port": compliant.port(), "target": "mx.test"}), 200, None),
        (json!({"port": rejecting.port()}), 200, Some("rejected")),
        (json!({"port": closing.port()}), 200, Some("closed")),
        (json!({"port": resetting.port()}), 200, Some("closed")),
        (json!({"port": babbling.port()}), 200, Some("protocol")),
        (json!({"port": silent.port(), "timeout_ms": 100}), 200, Some("timeout")),
        (json!({"port": compliant.port(), "implicit_tls": true}), 200, Some("tls")),
        (json!({"port": Port::new().number()}), 200, Some("refused")),
        (json!({"target": "nowhere.test"}), 200, Some("dns")),
        (json!({"target": "silent.test", "timeout_ms": 100}), 200, Some("timeout")),
        (json!({"target": "127.0.0.9"}), 403, None),
        (json!({"port": 0}), 422, None),
    ];
    for _ in 0..3 {
        for (parameters, status, kind) in &rows {
            let answer = post(&app, parameters.clone()).await;
            assert_eq!(answer.status.as_u16(), *status, "{parameters}: {:?}", answer.body);
            assert_eq!(answer.json()["failure"]["kind"].as_str(), *kind, "{parameters}");
        }
    }
    assert_eq!(app.lifecycle.running(), 0);
}

#[tokio::test]
async fn a_rejected_check_uses_no_slot() {
    let app = builder(2, 1).start().await;
    let (silent, other) = (
        silent_at("127.0.0.1:0"),
        SmtpServer::serve_at("127.0.0.2:0".parse().expect("an address"), Script::compliant()),
    );
    let callers = start_checks(&app, &silent, 1).await;
    for _ in 0..5 {
        assert_rejected(
            &post(&app, json!({"port": silent.port()})).await,
            StatusCode::TOO_MANY_REQUESTS,
            "target-busy",
        );
        assert_report(&post(&app, json!({"target": "127.0.0.2", "port": other.port()})).await);
    }
    drop(callers);
}

/// A check that moves to its next address has released the one before.
#[tokio::test]
async fn a_failed_address_is_released_before_the_next_is_tried() {
    let dns = DnsServer::serve(Zone::new().a("mx.test", [127, 0, 0, 4].into()).a("mx.test", [127, 0, 0, 5].into()));
    let app = builder(8, 1).dns_server(dns.addr()).start().await;
    let second = silent_at("127.0.0.5:0");
    let waiting = app.start_check(json!({"target": "mx.test", "port": second.port(), "timeout_ms": 60_000})).await;
    second.wait_for_open(1).await;
    let first = SmtpServer::serve_at("127.0.0.4:0".parse().expect("an address"), Script::compliant());
    assert_report(&post(&app, json!({"target": "127.0.0.4", "port": first.port()})).await);
    let answer = post(&app, json!({"target": "127.0.0.5", "port": second.port()})).await;
    assert_rejected(&answer, StatusCode::TOO_MANY_REQUESTS, "target-busy");
    drop(waiting);
}

#[test]
fn each_rejection_by_a_limit_is_logged() {
    for (setting, status, reason) in [
        ("--max-checks=1", 503, "too many checks are in flight"),
        ("--max-checks-per-target=1", 429, "too many checks of this target are in flight"),
    ] {
        let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", setting]));
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = silent.local_addr().expect("bound").port();
        let parameters = json!({"to": "a@mx.test", "target": "127.0.0.1", "port": port, "timeout_ms": 30_000});
        let _running = served.start_check("", &parameters);
        let _held = silent.accept().expect("the first check");
        assert_eq!(served.post("", &parameters).0, status, "{setting}");
        let line = served.wait_for_log("refused");
        assert_eq!((&line["asked"], &line["port"]), (&json!("127.0.0.1"), &json!(port)), "{line:#}");
        assert_eq!((&line["reason"], line["id"].is_string()), (&json!(reason), true), "{line:#}");
    }
}

/// No connection gives way, and the next ones get reserved slots.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_healthz_answer_while_every_connection_has_a_check() {
    let silent = silent_at("127.0.0.1:0");
    let served = ServiceProcess::start(program(&["--listen=127.0.0.1:0", "--max-connections=2"]));
    let check = json!({"to": "a@b.test", "target": "127.0.0.1", "port": silent.port()}).to_string();
    let get = |path| tokio::task::block_in_place(|| served.get(path, ""));
    let mut checks = Vec::new();
    // A connection may give way just before it is known to have a check.
    while checks.len() < 2 || !get("/openapi.json").starts_with("HTTP/1.1 503 ") {
        assert!(checks.len() < 20, "the service is not full");
        let mut caller = TcpStream::connect(served.address).await.expect("it listens");
        let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{check}", check.len());
        caller.write_all(request.as_bytes()).await.expect("sent");
        checks.push(caller);
        silent.wait_for_open(checks.len()).await;
    }
    for path in ["/metrics", "/healthz", "/readyz", "/version"] {
        let answer = get(path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}
