//! The router without a network: the response of every path.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{
        HeaderValue, Method, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
            LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
        request::Builder,
        response::Parts,
    },
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    check::{Check, CheckSettings, Modules},
    destination::policy::Forbidden,
    domain::Surveyor,
    net::{
        lookup::{DnsClient, DnssecMode},
        resolve::Resolver,
    },
    phase::Phase,
    probe::{CheckJob, Probe, Refusal},
    report::{
        Failure, FailureKind, Journal, Report, Via,
        fold::fold,
        journal::{Ending, Event, Heading},
    },
    tls::{TlsClient, TrustAnchors},
};

mod access;
mod bodies;

const MAX_BODY_SIZE: usize = 1000;

/// A state whose probe refuses every check.
pub(super) fn app_state() -> AppState {
    state_with(|_| Err(Refusal::Overloaded))
}

fn state_with(probe: impl Fn(CheckJob) -> Result<Report, Refusal> + Clone + Send + Sync + 'static) -> AppState {
    let probe = service_fn(move |job| std::future::ready(probe(job)));
    let budget = ByteBudget::new(100, MAX_BODY_SIZE);
    let probe = Probe::new(probe);
    AppState {
        surveyor: surveyor(&probe),
        max_domain_checks: 1,
        lifecycle: Lifecycle::default(),
        body_limits: BodyLimits::new(MAX_BODY_SIZE, Duration::from_secs(5), budget.clone()),
        budget,
        probe,
        modules: crate::http::ModuleStore::new(Modules::none(CheckSettings::new(Duration::from_secs(60)))),
        dropped_lines: None,
    }
}

/// A surveyor without name servers.
pub(super) fn surveyor(probe: &Probe) -> Surveyor {
    let dns = DnsClient::new(Resolver::with_servers(&[]), DnssecMode::Off);
    Surveyor::new(probe.clone(), dns, Arc::default(), TlsClient::new(TrustAnchors::none()), 443)
}

/// A state whose probe ends every check at once, with a report.
pub(super) fn app_with_reports() -> AppState {
    state_with(|job| Ok(report(&job)))
}

/// A report of a check that failed: `banner` never ended.
fn report(job: &CheckJob) -> Report {
    let started = Instant::now();
    let heading = Heading {
        id: job.id,
        started_at: OffsetDateTime::UNIX_EPOCH,
        is_clock_set: true,
        started,
        host: "example.com".to_owned(),
        port: job.check.port,
        via: Via::Mx,
        mechanism: None,
        transcript: false,
    };
    let mut journal = Journal::new(heading);
    let later = |micros| started + Duration::from_micros(micros);
    journal.note(started, Event::Began(Phase::Dns));
    journal.note(later(1500), Event::Ended(Phase::Dns, Ending::Done));
    journal.note(later(1500), Event::Began(Phase::Connect));
    journal.note(later(1750), Event::Ended(Phase::Connect, Ending::Done));
    journal.note(later(1500), Event::Began(Phase::Banner));
    journal.note(later(9000), Event::Failed(Failure::new(Phase::Banner, FailureKind::Timeout, "silence")));
    fold(journal, later(9000))
}

fn app() -> Router {
    router(app_state(), AccessConfig::default()).expect("a document")
}

/// The router in the real outer layers.
fn layered(router: Router) -> Router {
    let budget = ByteBudget::new(100, MAX_BODY_SIZE);
    with_outer_layers(router, AccessConfig::default(), Metrics::new(None, budget.clone()), budget)
}

/// Two test routes in the real outer layers: `/echo` responds with the members of its body, `/panic` panics.
fn test_routes(app_state: AppState) -> Router {
    let router = Router::new()
        .route("/echo", post(|JsonObject(members): JsonObject| async move { format!("{members:?}") }))
        .route("/panic", get(panicking))
        .with_state(Arc::new(app_state));
    layered(router)
}

async fn panicking() {
    panic!("the password is hunter2");
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(HOST, "localhost")
}

fn json_body(body: impl Into<Body>) -> Request {
    request(Method::POST, "/echo").header(CONTENT_TYPE, "application/json").body(body.into()).expect("a request")
}

async fn answer(app: Router, request: Request) -> (Parts, String) {
    let (parts, body) = app.oneshot(request).await.expect("infallible").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts, String::from_utf8_lossy(&body).into_owned())
}

/// Sends a request without a body.
async fn send(app: Router, request: Builder) -> (Parts, String) {
    answer(app, request.body(Body::empty()).expect("a request")).await
}

async fn get_path(app: Router, path: &str) -> (Parts, String) {
    send(app, request(Method::GET, path)).await
}

#[track_caller]
fn assert_problem((parts, body): &(Parts, String), status: u16, slug: &str) -> Value {
    assert_eq!(parts.status, status, "{body}");
    assert_eq!(parts.headers[CONTENT_TYPE], problem::PROBLEM_JSON);
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["type"], format!("urn:smtp-check:problem:{slug}"));
    assert_eq!(problem["status"], status);
    problem
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    for path in ["/console/", "/console/x", "/v2", "/healthz/", "/docs/nothing.js", "/docs/%ff", "/openapi.json/x"] {
        assert_problem(&get_path(app(), path).await, 404, "not-found");
    }
    for (method, path) in [
        (Method::POST, "/healthz"),
        (Method::DELETE, "/version"),
        (Method::PUT, "/openapi.json"),
        (Method::POST, "/docs/"),
    ] {
        let answer = send(app(), request(method, path)).await;
        assert_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.0.headers[ALLOW], "GET,HEAD", "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    let answer = get_path(test_routes(app_state()), "/panic").await;
    assert_problem(&answer, 500, "internal");
    assert!(!answer.1.contains("hunter2"));
}

#[tokio::test]
async fn health_routes_tell_the_state() {
    let app_state = app_state();
    let app = router(app_state.clone(), AccessConfig::default()).expect("a document");
    let (alive, body) = get_path(app.clone(), "/healthz").await;
    assert_eq!((alive.status, body.as_str()), (StatusCode::OK, r#"{"status":"ok"}"#));
    assert_eq!(get_path(app.clone(), "/readyz").await.0.status, 200);

    app_state.lifecycle.drain();
    assert_problem(&get_path(app.clone(), "/readyz").await, 503, "shutting-down");
    assert_eq!(get_path(app.clone(), "/healthz").await.0.status, 200, "alive while it drains");

    let version: Value = serde_json::from_str(&get_path(app, "/version").await.1).expect("JSON");
    assert_eq!(version["name"], "smtp-check");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_document_lists_the_routes() {
    let (parts, body) = get_path(app(), "/openapi.json").await;
    assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
    let document: Value = serde_json::from_str(&body).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    for path in ["/healthz", "/readyz", "/version"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
    assert_eq!(document, serde_json::to_value(super::document()).expect("JSON"));
}

#[tokio::test]
async fn the_page_needs_no_other_host() {
    let (redirect, _) = get_path(app(), "/docs").await;
    assert_eq!(redirect.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(redirect.headers[LOCATION], "/docs/");
    let (page, html) = get_path(app(), "/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.headers[CONTENT_SECURITY_POLICY].to_str().expect("ASCII").contains("default-src 'none'"));
    assert!(!html.contains("://") && !html.contains("<script>"), "{html}");
    for script in html.split("src=\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
        let (file, body) = get_path(app(), &format!("/docs/{script}")).await;
        assert_eq!(file.status, 200, "{script}");
        assert!(!body.is_empty());
    }
    let (_, script) = get_path(app(), "/docs/swagger-initializer.js").await;
    assert!(script.contains("\"/openapi.json\"") && script.contains("\"validatorUrl\": \"none\""), "{script}");
}

#[tokio::test]
async fn a_page_may_not_be_framed_and_runs_no_script_but_its_own() {
    let strict = Router::new().route("/page", get(|| async { axum::response::Html("<p>") }));
    let (console, _) = get_path(layered(strict), "/page").await;
    let (docs, _) = get_path(app(), "/docs/").await;
    for page in [&console, &docs] {
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert_eq!(page.headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(page.headers[REFERRER_POLICY], "no-referrer");
        assert!(
            page.headers.contains_key("cross-origin-opener-policy") && page.headers.contains_key("permissions-policy")
        );
    }
    let inline = |page: &Parts| format!("{:?}", page.headers[CONTENT_SECURITY_POLICY]).contains("unsafe");
    assert!(!inline(&console) && inline(&docs), "only Swagger UI sets inline styles");
}

#[tokio::test]
async fn every_response_has_no_store_and_nosniff() {
    for (app, path) in [
        (app(), "/healthz"),
        (app(), "/nothing"),
        (app(), "/docs/"),
        (test_routes(app_state()), "/panic"),
        (access::guarded(access::token_store(), None), "/docs/"),
    ] {
        let (answer, _) = get_path(app, path).await;
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(answer.headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(answer.headers["cross-origin-resource-policy"], "same-origin", "{path}");
    }
}

fn check_request(body: Value) -> Request {
    request(Method::POST, "/v1/checks/smtp")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request")
}

async fn post_check(app_state: AppState, body: Value) -> (Parts, String) {
    answer(router(app_state, AccessConfig::default()).expect("a document"), check_request(body)).await
}

#[tokio::test]
async fn a_failed_check_is_a_200() {
    let app_state = state_with(|job| Ok(report(&job)));
    let (parts, body) = post_check(app_state.clone(), json!({"to": "a@example.com", "port": "2525"})).await;
    assert_eq!(parts.status, 200);
    assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
    assert_eq!(parts.headers["server-timing"], "dns;dur=1.5, connect;dur=0.25");
    let report: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&report["success"], &report["target"]["port"]), (&json!(false), &json!(2525)));
    assert_eq!(app_state.lifecycle.running(), 0, "it ends with its response");
}

#[tokio::test]
async fn a_refused_check_is_a_problem() {
    let net = "169.254.0.0/16".parse().expect("a network");
    for (refusal, status, slug) in [
        (Refusal::Overloaded, 503, "overloaded"),
        (Refusal::NoSourceAddress, 503, "no-source-address"),
        (Refusal::TargetBusy, 429, "target-busy"),
        (Refusal::Forbidden(Forbidden::Address { net }), 403, "target-forbidden"),
        (Refusal::Internal, 500, "internal"),
    ] {
        let answer = post_check(state_with(move |_| Err(refusal.clone())), json!({"to": "a@example.com"})).await;
        assert_problem(&answer, status, slug);
        assert_eq!(answer.0.headers.contains_key("retry-after"), [429, 503].contains(&status));
    }
}

#[tokio::test]
async fn every_violation_is_reported_at_once() {
    let body = json!({"too": "a@example.com", "port": 0, "timeout_ms": 60_001});
    let problem = assert_problem(&post_check(app_state(), body).await, 422, "invalid-parameters");
    let pointers: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
    for pointer in ["/too", "/port", "/timeout_ms"] {
        assert!(pointers.contains(&&json!(pointer)), "{pointer} in {pointers:?}");
    }
}

#[tokio::test]
async fn a_draining_service_starts_no_check() {
    let app_state = state_with(|_| panic!("a check was started"));
    app_state.lifecycle.drain();
    assert_problem(&post_check(app_state, json!({"to": "a@example.com"})).await, 503, "shutting-down");
}

#[tokio::test]
async fn the_examples_of_the_document_have_the_members_of_a_report() {
    let names =
        |value: &Value| -> Vec<String> { value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect() };
    let job = CheckJob::new(
        Check::parse(vec![("to".into(), "a@example.com".into())], &CheckSettings::new(Duration::from_secs(60)))
            .expect("a check"),
    );
    let real = serde_json::to_value(report(&job)).expect("JSON");
    let document = serde_json::to_value(super::document()).expect("JSON");
    let examples =
        &document["paths"]["/v1/checks/smtp"]["post"]["responses"]["200"]["content"]["application/json"]["examples"];
    assert_eq!(names(examples), ["bad_certificate", "delivered", "rejected"]);
    for (name, example) in examples.as_object().into_iter().flatten() {
        assert_eq!(names(&example["value"]), names(&real), "{name}");
        assert_eq!(names(&example["value"]["phases"][0]), names(&real["phases"][0]), "{name}");
        for metric in ["duration", "last_cmd", "cert_error"] {
            assert!(example["value"]["metrics"].get(metric).is_some(), "{metric} of {name}");
        }
    }
}

#[test]
fn debug_shows_the_names_of_members_only() {
    let members = JsonObject::parse(br#"{"to": "a", "sasl_password": "hunter2"}"#).expect("an object");
    assert_eq!(format!("{members:?}"), r#"{"to", "sasl_password"}"#);
}
