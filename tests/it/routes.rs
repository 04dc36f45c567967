//! What all routes have in common: problem documents, tokens, methods, headers.

use axum::http::{Method, Request, request::Builder};
use serde_json::{Value, json};
use smtp_check::http::TokenStore;

use super::support::{
    app::{TestApp, TestResponse, phase_names},
    smtpd::{Action, Script, SmtpServer, Step},
};

/// The digest of `open sesame`, as `sha256sum` prints it.
const TOKENS: &str = "monitoring:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n";

/// Every route and its method.
const ROUTES: [(Method, &str); 10] = [
    (Method::POST, "/v1/checks/smtp"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
    (Method::GET, "/version"),
    (Method::GET, "/metrics"),
    (Method::GET, "/openapi.json"),
    (Method::GET, "/docs"),
    (Method::GET, "/docs/"),
    (Method::GET, "/docs/swagger-ui.css"),
    (Method::GET, "/docs/findings"),
];

/// Paths that are no routes, although some look like one.
const UNKNOWN_PATHS: [&str; 12] = [
    "/console",
    "/v1",
    "/v1/checks",
    "/v1/checks/smtp/",
    "/v1/checks/SMTP",
    "/healthz/",
    "//healthz",
    "/healthz/../docs/",
    "/docs/nothing",
    "/docs/../openapi.json",
    "/%2e%2e/etc/passwd",
    "/favicon.ico",
];

async fn with_tokens() -> TestApp {
    TestApp::builder().tokens(TokenStore::new(TOKENS.parse().expect("tokens"))).start().await
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header("host", "test")
}

async fn answer(app: &TestApp, request: Builder) -> TestResponse {
    app.send(request.body(Default::default()).expect("a request")).await
}

#[track_caller]
fn assert_problem(answer: &TestResponse, status: u16, slug: &str) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("retry-after").is_some(), matches!(status, 429 | 503), "{answer:?}");
    let problem = answer.json();
    assert_eq!(
        (&problem["type"], &problem["status"]),
        (&json!(format!("urn:smtp-check:problem:{slug}")), &json!(status))
    );
    for text in ["title", "detail"] {
        assert!(problem[text].as_str().is_some_and(|text| text.len() > 5), "{problem}");
    }
    problem
}

#[tokio::test]
async fn an_unknown_path_is_404_with_every_method() {
    let app = TestApp::start().await;
    for path in UNKNOWN_PATHS {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            if method != Method::GET && path.starts_with("/docs/") {
                continue;
            }
            assert_problem(&answer(&app, request(method, path)).await, 404, "not-found");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow() {
    let app = TestApp::start().await;
    for (own, path) in ROUTES {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let answer = answer(&app, request(method.clone(), path)).await;
            if method == own {
                assert_ne!(answer.status, 405, "{path}");
                continue;
            }
            assert_problem(&answer, 405, "method-not-allowed");
            let allow = if own == Method::POST { "POST" } else { "GET,HEAD" };
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::start().await;
    for (_, path) in ROUTES.iter().filter(|(method, _)| method == Method::GET) {
        let (get, head) = (app.get(path).await, answer(&app, request(Method::HEAD, path)).await);
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
    let refused = answer(&app, request(Method::HEAD, "/v1/checks/smtp")).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow"), refused.body.len()), (405, Some("POST"), 0));
}

#[tokio::test]
async fn without_a_token_only_three_routes_are_open() {
    let app = with_tokens().await;
    for (method, path) in ROUTES {
        let open = ["/healthz", "/readyz", "/version"].contains(&path);
        for wrong in [None, Some("Bearer open sesam"), Some("Basic b3Blbjpz"), Some("Bearer"), Some("open sesame")] {
            let mut request = request(method.clone(), path);
            if let Some(wrong) = wrong {
                request = request.header("authorization", wrong);
            }
            let answer = answer(&app, request).await;
            if open {
                assert_eq!(answer.status, 200, "{path}");
            } else {
                let problem = assert_problem(&answer, 401, "unauthorized").to_string();
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
                assert!(!problem.contains("sesam"), "{problem}");
            }
        }
        let right = answer(&app, request(method, path).header("authorization", "Bearer open sesame")).await;
        assert_ne!(right.status, 401, "{path}");
    }
    // Without a token neither status nor method shows which routes exist.
    for path in UNKNOWN_PATHS {
        assert_problem(&app.get(path).await, 401, "unauthorized");
    }
    for (_, path) in ROUTES.iter().filter(|(_, path)| !["/healthz", "/readyz", "/version"].contains(path)) {
        let refused = answer(&app, request(Method::PATCH, path)).await;
        assert_problem(&refused, 401, "unauthorized");
        assert_eq!(refused.header("allow"), None);
    }
}

#[tokio::test]
async fn a_check_without_a_token_connects_to_no_server() {
    let app = with_tokens().await;
    let server = SmtpServer::serve(Script::compliant());
    let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port(), "stop_after": "ehlo"});
    assert_problem(&app.post(&check).await, 401, "unauthorized");
    let request = request(Method::POST, "/v1/checks/smtp")
        .header("content-type", "application/json")
        .header("authorization", "Bearer open sesame");
    let answer = app.send(request.body(check.to_string().into()).expect("a request")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["outcome"]), (200, &json!("completed")));
    assert_eq!((server.wait_for_sessions(1).await.len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_forbidden_target_is_403_without_a_connection() {
    let server = SmtpServer::serve(Script::compliant());
    let by_address = TestApp::builder().deny(&["127.0.0.0/8"]).start().await;
    let by_port = TestApp::builder().ports(&[25]).start().await;
    let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()});
    for app in [by_address, by_port] {
        assert_problem(&app.post(&check).await, 403, "target-forbidden");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_check_over_the_limit_gets_retry_after() {
    for (slug, status, checks, checks_per_target) in [("overloaded", 503, 2, 16), ("target-busy", 429, 16, 2)] {
        let app = TestApp::builder().max_checks(checks).max_checks_per_target(checks_per_target).start().await;
        let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
        let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": silent.port(), "timeout_ms": 60_000});
        let (first, second) = (app.start_check(check.clone()).await, app.start_check(check.clone()).await);
        silent.wait_for_open(2).await;
        let refused = app.post(&check).await;
        assert_problem(&refused, status, slug);
        assert!(refused.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok()).is_some_and(|s| s > 0));
        assert_eq!(app.get("/readyz").await.status, 200, "busy is not away");

        // The slot is released as soon as the client disconnects.
        drop(first);
        silent.wait_for_sessions(1).await;
        let third = app.start_check(check.clone()).await;
        silent.wait_for_open(2).await;
        assert_eq!(silent.connections(), 3, "{slug}");
        drop((second, third));
    }
}

#[tokio::test]
async fn server_timing_has_every_phase() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 nobody\r\n"));
    let answer = app.post(&json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()})).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let report = answer.json();
    let timing = answer.header("server-timing").expect("a header");
    let shown: Vec<(String, f64)> = timing
        .split(", ")
        .filter_map(|phase| {
            phase.split_once(";dur=").map(|(name, ms)| (name.to_owned(), ms.parse().expect("a number")))
        })
        .collect();
    let measured: Vec<(String, f64)> = report["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .map(|phase| (phase["name"].as_str().expect("a name").to_owned(), phase["time_ms"].as_f64().expect("ended")))
        .collect();
    assert_eq!(shown, measured);
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "rcptto", "quit"]);
}

#[tokio::test]
async fn an_unfinished_phase_is_not_in_server_timing() {
    let app = TestApp::start().await;
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": silent.port(), "timeout_ms": 3000});
    let answer = app.post(&check).await;
    let timing = answer.header("server-timing").expect("a header");
    assert!(timing.starts_with("connect;dur=") && !timing.contains("banner"), "{timing}");
}

#[tokio::test]
async fn version_is_the_one_of_the_program() {
    let version = TestApp::start().await.get("/version").await.json();
    assert_eq!((&version["name"], &version["version"]), (&json!("smtp-check"), &json!(env!("CARGO_PKG_VERSION"))));
}
