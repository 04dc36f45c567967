//! `GET /metrics`: the metrics of the service itself.

use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};
use smtp_check::http::TokenStore;

use super::support::{
    app::TestApp,
    events::Events,
    program::WAIT_TIMEOUT,
    smtpd::{Action, Script, SmtpServer, Step},
};

/// All samples of the service, without the series that have only `# HELP` and `# TYPE`.
async fn samples(app: &TestApp) -> Vec<String> {
    let answer = app.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The value of this series; `None` where there is none yet.
async fn value(app: &TestApp, series: &str) -> Option<f64> {
    let samples = samples(app).await;
    samples.iter().find_map(|sample| sample.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until the series has this value: a disconnect is noticed a moment later, and not always before the next
/// request.
async fn becomes(app: &TestApp, series: &str, expected: f64) {
    let reached = async {
        while value(app, series).await != Some(expected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(WAIT_TIMEOUT, reached).await;
    assert!(waited.is_ok(), "{series} is never {expected}");
}

fn check(port: u16) -> Value {
    json!({"to": "a@example.test", "target": "127.0.0.1", "port": port})
}

const DELIVERED: &str = r#"smtp_check_checks_total{outcome="delivered",phase="",kind=""}"#;

#[tokio::test]
async fn checks_are_counted_by_how_they_ended() {
    let app = TestApp::start().await;
    let compliant = SmtpServer::serve(Script::compliant());
    let strict = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 \"nobody\" {here}\r\n"));
    assert_eq!(value(&app, DELIVERED).await, Some(0.0), "the zero before the first one");
    app.check(check(compliant.port())).await;
    app.check(check(strict.port())).await;
    app.check(check(strict.port())).await;
    let rejected = r#"smtp_check_checks_total{outcome="failed",phase="rcptto",kind="rejected"}"#;
    assert_eq!((value(&app, DELIVERED).await, value(&app, rejected).await), (Some(1.0), Some(2.0)));
    assert_eq!(value(&app, "smtp_check_check_duration_seconds_count").await, Some(3.0));
    for (phase, count) in [("connect", 3.0), ("banner", 3.0), ("rcptto", 3.0), ("body", 1.0)] {
        let series = format!("smtp_check_phase_duration_seconds_count{{phase=\"{phase}\"}}");
        assert_eq!(value(&app, &series).await, Some(count), "{phase}");
    }
    // Server text is never a label: every reply could make a new series.
    assert!(!samples(&app).await.concat().contains("nobody"));
}

#[tokio::test]
async fn a_live_check_is_counted_once() {
    let app = TestApp::start().await;
    let compliant = SmtpServer::serve(Script::compliant());
    let Ok(mut events) = Events::of(&app, check(compliant.port())).await else { panic!("no stream") };
    while events.next().await.is_some() {}
    assert_eq!(value(&app, DELIVERED).await, Some(1.0));
    assert_eq!(value(&app, "smtp_check_check_duration_seconds_count").await, Some(1.0));
    assert_eq!(value(&app, "smtp_check_checks_abandoned_total").await, Some(0.0));
}

#[tokio::test]
async fn a_check_is_in_flight_until_its_caller_hangs_up_and_then_abandoned() {
    let app = TestApp::start().await;
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let caller = app.start_check(check(silent.port())).await;
    silent.wait_for_open(1).await;
    assert_eq!(value(&app, "smtp_check_checks_in_flight").await, Some(1.0));
    drop(caller);
    becomes(&app, "smtp_check_checks_abandoned_total", 1.0).await;
    becomes(&app, "smtp_check_checks_in_flight", 0.0).await;
}

fn refused(reason: &str) -> String {
    format!("smtp_check_refusals_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    for (reason, checks, checks_per_target) in [("overloaded", 1, 16), ("target_busy", 16, 1)] {
        let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
        let app = TestApp::builder().max_checks(checks).max_checks_per_target(checks_per_target).start().await;
        let _held = app.start_check(check(silent.port())).await;
        silent.wait_for_open(1).await;
        assert_eq!(value(&app, &refused(reason)).await, Some(0.0));
        app.post(&check(silent.port())).await;
        assert_eq!(value(&app, &refused(reason)).await, Some(1.0));
    }
    let app = TestApp::builder().ports(&[25]).rate_limit("1/h").start().await;
    for _ in 0..3 {
        app.post(&check(26)).await;
    }
    assert_eq!(value(&app, &refused("forbidden")).await, Some(1.0));
    assert_eq!(value(&app, &refused("rate_limited")).await, Some(2.0));
}

#[tokio::test]
async fn requests_over_the_connection_limit_are_answered_and_counted() {
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let app = TestApp::builder().max_connections(1).start().await;
    let held = app.start_check(check(silent.port())).await;
    silent.wait_for_open(1).await;
    let answer = app.get("/docs/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-content-type-options")), (503, Some("nosniff")));
    assert_eq!(answer.json()["type"], "urn:smtp-check:problem:overloaded");
    drop(held);
    let mut turned_away = 1.0;
    while app.get("/metrics").await.status == 503 {
        turned_away += 1.0;
    }
    assert_eq!(value(&app, &refused("overloaded")).await, Some(turned_away));
    let requests = "smtp_check_http_requests_total{door=\"\",status=\"503\",caller=\"\"}";
    assert_eq!(value(&app, requests).await, Some(turned_away));
}

#[tokio::test]
async fn shutdown_rejections_are_counted_without_readiness_probes() {
    let app = TestApp::start().await;
    app.lifecycle.drain();
    assert_eq!(app.get("/readyz").await.status, 503);
    assert_eq!(app.post(&check(25)).await.status, 503);
    assert_eq!(value(&app, &refused("shutting_down")).await, Some(1.0));
}

#[tokio::test]
async fn requests_are_counted_by_route_status_and_token_name() {
    // The digest of `open sesame`, as `sha256sum` prints it.
    let tokens = "monitoring:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n";
    let app = TestApp::builder().tokens(TokenStore::new(tokens.parse().expect("tokens"))).start().await;
    assert_eq!(app.get("/metrics").await.status, 401);
    assert_eq!(app.get("/healthz").await.status, 200);
    let mut text = String::new();
    for path in ["/nothing/here?a=b", "/docs/swagger-ui.css", "/v1/checks/smtp", "/metrics"] {
        let request = Request::get(path).header("host", "test").header("authorization", "Bearer open sesame");
        let answer = app.send(request.body(Default::default()).expect("a request")).await;
        text = String::from_utf8(answer.body.to_vec()).unwrap_or_default();
    }
    for (door, status, caller) in [
        ("", 401, ""),
        ("/healthz", 200, ""),
        ("", 404, "monitoring"),
        ("/docs/{*file}", 200, "monitoring"),
        ("/v1/checks/smtp", 405, "monitoring"),
    ] {
        let labels = format!("{{door=\"{door}\",status=\"{status}\",caller=\"{caller}\"}}");
        assert!(text.contains(&format!("smtp_check_http_requests_total{labels} 1\n")), "{labels}: {text}");
    }
    assert!(!text.contains("nothing"), "a path that a stranger chose is no label: {text}");
}

#[tokio::test]
async fn the_process_and_its_build_are_described() {
    let app = TestApp::start().await;
    let answer = app.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("smtp_check_build_info{{version=\"{version}\",revision=\"")), "{text}");
    for (name, least) in [
        ("process_resident_memory_bytes", 1e6),
        ("process_cpu_seconds_total", 0.0),
        ("process_open_fds", 4.0),
        ("process_max_fds", 16.0),
        ("process_start_time_seconds", 1.7e9),
    ] {
        let value = value(&app, name).await.unwrap_or_else(|| panic!("{name} is there"));
        assert!(value.is_finite() && value >= least, "{name}: {value}");
    }
}
