//! A real Prometheus with the shipped settings scrapes the program; promtool reads its metrics.

use serde_json::json;

use crate::{
    dashboards::{choices, expression, expressions},
    support::{
        pki::{Ca, Identity, Leaf},
        port::Port,
        program::{ServiceProcess, program},
        prometheus::{Prometheus, promtool},
        smtpd::{Action, Script, SmtpServer, Step},
        temp_dir::TempDir,
    },
};

/// Its digest, as `sha256sum` prints it, is in the file below.
const TOKEN: &str = "open sesame";
const TOKENS: &[u8] = b"prometheus:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n";
const BEARER: &str = "Authorization: Bearer open sesame\r\n";

/// The program with tokens.
fn served(directory: &TempDir, more: &[&str]) -> ServiceProcess {
    let tokens = directory.write("tokens", TOKENS);
    let tokens = tokens.to_str().expect("UTF-8");
    ServiceProcess::start(program(&[&["serve", "--listen", "127.0.0.1:0", "--tokens-file", tokens], more].concat()))
}

/// Two servers: one takes all mail, one rejects every recipient.
fn servers() -> [SmtpServer; 2] {
    [
        SmtpServer::serve(Script::compliant()),
        SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 nobody\r\n")),
    ]
}

async fn check_both(served: &ServiceProcess, servers: &[SmtpServer; 2]) {
    for server in servers {
        let check = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()});
        let (status, report) = tokio::task::block_in_place(|| served.post(BEARER, &check));
        assert_eq!(status, 200, "{report:#}");
    }
}

/// The body of a response.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a body").1
}

#[track_caller]
fn assert_clean(arguments: &[&str], stdin: &str) {
    let output = promtool(arguments, stdin);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(complaints, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_about_the_service_has_data() {
    let (directory, servers) = (TempDir::new(), servers());
    let served = served(&directory, &[]);
    check_both(&served, &servers).await;
    let prometheus = Prometheus::start(&served.address.to_string(), TOKEN, &[]).await;

    let up = prometheus.eventually(r#"up{job="smtp-check"} == 1"#).await;
    assert_eq!(up.len(), 1, "{up:?}");
    let failed = prometheus.eventually(r#"smtp_check_checks_total{outcome="failed"}"#).await;
    let label = |name: &str| failed[0].0.get(name).map(String::as_str);
    assert_eq!((failed.len(), label("phase"), label("kind"), failed[0].1), (1, Some("rcptto"), Some("rejected"), 1.0));
    let quantile = "histogram_quantile(0.5, smtp_check_phase_duration_seconds_bucket{phase=\"banner\"})";
    let quantile = prometheus.eventually(quantile).await[0].1;
    assert!((0.0..10.0).contains(&quantile), "{quantile}");
    let scrapes =
        prometheus.eventually(r#"smtp_check_http_requests_total{door="/metrics", caller="prometheus"}"#).await;
    assert!(scrapes[0].1 >= 1.0, "{scrapes:?}");

    for expression in expressions().iter().filter(|expression| !expression.contains("probe_")) {
        prometheus.eventually(expression).await;
    }
}

/// The program with the shipped modules.
fn served_with_modules(directory: &TempDir) -> ServiceProcess {
    served(directory, &["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/smtp-check.toml")])
}

/// A server with STARTTLS.
fn secured(identity: &Identity) -> SmtpServer {
    let handshake = Action::reply("220 go\r\n").then(Action::handshake(identity));
    SmtpServer::serve(Script::compliant().on(Step::StartTls, handshake))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_about_targets_has_data() {
    let directory = TempDir::new();
    let server = secured(&Ca::new("test CA").issue(Leaf::for_name("mx.test")));
    let (well, away) = (server.addr().to_string(), format!("127.0.0.1:{}", Port::new().number()));
    let served = served_with_modules(&directory);
    let targets = [("postfix:25", &*well), ("mx2.example.com:25", &*away)];
    let prometheus = Prometheus::start(&served.address.to_string(), TOKEN, &targets).await;

    for (target, module, success) in [(&well, "starttls", 1), (&away, "default", 0)] {
        let labels = format!("job=\"smtp\", instance=\"{target}\", module=\"{module}\"");
        assert_eq!(prometheus.eventually(&format!("probe_success{{{labels}}} == {success}")).await.len(), 1);
    }
    let failure = prometheus.eventually("probe_smtp_failure_info").await;
    let label = |name: &str| failure[0].0.get(name).map(String::as_str);
    assert_eq!((label("instance"), label("phase"), label("kind")), (Some(&*away), Some("connect"), Some("refused")));
    let banner = "quantile_over_time(0.95, probe_smtp_duration_seconds{phase=\"banner\"}[1m]) > 0";
    assert_eq!(prometheus.eventually(banner).await.len(), 1);
    for outcome in ["completed", "failed"] {
        // Probes are counted as checks.
        prometheus.eventually(&format!("smtp_check_checks_total{{outcome=\"{outcome}\"}} > 0")).await;
    }
    for expression in expressions().iter().filter(|expression| expression.contains("probe_")) {
        prometheus.eventually(expression).await;
    }
    for (label, expression) in choices() {
        let found = prometheus.eventually(&expression).await;
        assert!(found.iter().all(|(labels, _)| labels.contains_key(&label)), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_fires_the_shipped_alert() {
    let directory = TempDir::new();
    let ca = Ca::new("test CA");
    let good = secured(&ca.issue(Leaf::for_name("mx.test")));
    let expired = ca.issue(Leaf::for_name("mx.test").expired());
    let expired = SmtpServer::serve(Script::compliant().with_implicit_tls(&expired));
    let (good, expired) = (good.addr().to_string(), expired.addr().to_string());
    let served = served_with_modules(&directory);
    let targets = [("postfix:25", &*good), ("mx1.example.com:465", &*expired)];
    let prometheus = Prometheus::start(&served.address.to_string(), TOKEN, &targets).await;

    let days_left = |target: &str| expression("Certificate days left", target);
    assert!(prometheus.eventually(&days_left(&good)).await[0].1 > 0.0);
    assert!(prometheus.eventually(&days_left(&expired)).await[0].1 < 0.0);
    let alerts = prometheus.eventually(r#"ALERTS{alertname="SmtpCertificateExpired", alertstate="firing"}"#).await;
    let instances: Vec<_> = alerts.iter().map(|(labels, _)| &*labels["instance"]).collect();
    assert_eq!(instances, [expired]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stacked_phases_are_no_longer_than_the_check() {
    let directory = TempDir::new();
    let identity = Ca::new("test CA").issue(Leaf::for_name("mx.test"));
    let (upgraded, implicit) =
        (secured(&identity), SmtpServer::serve(Script::compliant().with_implicit_tls(&identity)));
    let (upgraded, implicit) = (upgraded.addr().to_string(), implicit.addr().to_string());
    let served = served_with_modules(&directory);
    let targets = [("postfix:25", &*upgraded), ("mx1.example.com:465", &*implicit)];
    let prometheus = Prometheus::start(&served.address.to_string(), TOKEN, &targets).await;

    let both = format!("{upgraded}|{implicit}");
    prometheus.eventually("count(probe_success{job=\"smtp\"} == 1) == 2").await;
    for (target, handshake_is_a_phase) in [(&upgraded, true), (&implicit, false), (&both, true)] {
        let stack = expression("Phase times of $target", target);
        let phases = prometheus.eventually(&stack).await;
        let has = |name: &str| phases.iter().any(|(labels, _)| labels["phase"] == name);
        assert_eq!((has("banner"), has("connect"), has("tls")), (true, false, handshake_is_a_phase), "{phases:?}");
        let share =
            format!("sum by (instance) ({stack}) / on (instance) probe_duration_seconds{{instance=~\"{target}\"}}");
        for (_, share) in prometheus.eventually(&share).await {
            assert!(0.0 < share && share <= 1.0, "{target}: {share}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_metrics_of_the_service() {
    let (directory, servers) = (TempDir::new(), servers());
    let served = served(&directory, &[]);
    check_both(&served, &servers).await;
    let answer = tokio::task::block_in_place(|| served.get("/metrics", BEARER));
    assert_clean(&["check", "metrics"], body(&answer));
}

#[test]
fn promtool_accepts_the_shipped_settings_and_alert_tests() {
    assert_clean(&["check", "config", "prometheus.yml"], "");
    assert_clean(&["test", "rules", "rules.test.yml"], "");
}
