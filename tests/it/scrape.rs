//! `GET /probe`: the checks that Prometheus requests, and their metrics.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use smtp_check::check::{CheckSettings, Modules};

use super::support::{
    app::{TestApp, TestAppBuilder, TestResponse},
    pki::{Ca, Leaf},
    program::{ServiceProcess, code, program, stderr},
    smtpd::{Action, End, Script, SmtpServer, Step},
    temp_dir::TempDir,
};

/// The service with these modules.
fn with_modules(modules: Value) -> TestAppBuilder {
    let Value::Object(modules) = modules else { panic!("tables") };
    let tables = modules.into_iter().map(|(name, table)| (name, table.as_object().expect("a table").clone()));
    TestApp::builder()
        .modules(Modules::parse(tables, CheckSettings::new(Duration::from_secs(60))).expect("good modules"))
}

/// The samples of a response: name and labels as they are written, and the value.
fn samples(answer: &TestResponse) -> BTreeMap<String, f64> {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let text = std::str::from_utf8(&answer.body).expect("UTF-8");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

async fn ask(app: &TestApp, query: &str, headers: &[(&str, &str)]) -> TestResponse {
    let request = Request::get(format!("/probe?{query}")).header("host", "test");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.send(request.body(Default::default()).expect("a request")).await
}

fn has(samples: &BTreeMap<String, f64>, start: &str) -> bool {
    samples.keys().any(|name| name.starts_with(start))
}

#[tokio::test]
async fn without_a_module_the_check_ends_after_ehlo() {
    let server = SmtpServer::serve(Script::compliant());
    let app = TestApp::start().await;
    let answer = ask(&app, &format!("target=127.0.0.1:{}", server.port()), &[]).await;
    let samples = samples(&answer);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.ends_with(b"# EOF\n"));
    assert_eq!(samples["probe_success"], 1.0);
    assert_eq!((samples["probe_timeout_seconds"], samples["probe_ip_protocol"]), (10.0, 4.0));
    assert_eq!(samples["probe_smtp_status_code{phase=\"banner\"}"], 220.0);
    let duration = samples["probe_duration_seconds"];
    assert!(samples["probe_smtp_duration_seconds{phase=\"ehlo\"}"] <= duration && duration < 10.0);
    assert!(!has(&samples, "probe_smtp_failure_info") && !has(&samples, "probe_ssl") && !has(&samples, "probe_tls"));
    let session = server.next_session().await;
    assert_eq!(session.commands(), ["EHLO noit.local", "QUIT"]);
    assert_eq!(session.end, End::Quit);
}

#[tokio::test]
async fn accept_openmetrics_gets_openmetrics() {
    let server = SmtpServer::serve(Script::compliant());
    let app = TestApp::start().await;
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, media_type) in [
        (prometheus, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = ask(&app, &format!("target=127.0.0.1:{}", server.port()), &[("accept", accept)]).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some(media_type)));
    }
}

#[tokio::test]
async fn a_rejected_check_is_200_with_probe_success_0() {
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 no \"such\" user\r\n"));
    let app = with_modules(json!({"mail": {"to": "probe@example.test", "from": "a@b.test"}})).start().await;
    let query = format!("module=mail&target=127.0.0.1:{}&to=nobody%2Bx@example.test", server.port());
    let samples = samples(&ask(&app, &query, &[]).await);
    assert_eq!(samples["probe_success"], 0.0);
    assert_eq!(samples["probe_smtp_failure_info{phase=\"rcptto\",kind=\"rejected\"}"], 1.0);
    assert_eq!(samples["probe_smtp_status_code{phase=\"rcptto\"}"], 550.0);
    assert_eq!(samples["probe_smtp_enhanced_status_code_info{phase=\"rcptto\",enhanced_code=\"5.1.1\"}"], 1.0);
    let session = server.next_session().await;
    assert_eq!(session.commands()[1..3], ["MAIL FROM:<a@b.test>", "RCPT TO:<nobody+x@example.test>"]);
}

#[tokio::test]
async fn probe_reports_good_and_bad_certificates() {
    let ca = Ca::new("Example Root");
    let good =
        SmtpServer::serve(Script::compliant().with_starttls(ca.issue(Leaf::for_name("mx.test")).server_config()));
    let expired = Leaf::for_name("elsewhere.test").expired().self_signed().server_config();
    let bad = SmtpServer::serve(Script::compliant().with_starttls(expired));
    let tls = json!({"tls": {"starttls": true, "tls_server_name": "mx.test", "stop_after": "starttls"}});
    let app = with_modules(tls).trust(&ca).start().await;

    let of_good = samples(&ask(&app, &format!("module=tls&target=127.0.0.1:{}", good.port()), &[]).await);
    assert_eq!((of_good["probe_success"], of_good["probe_smtp_certificate_verified"]), (1.0, 1.0));
    let expiry = of_good["probe_ssl_earliest_cert_expiry"];
    assert_eq!(of_good["probe_ssl_last_chain_expiry_timestamp_seconds"], expiry);
    assert_eq!(of_good["probe_tls_version_info{version=\"TLS 1.3\"}"], 1.0);
    assert!(has(&of_good, "probe_tls_cipher_info{cipher=\"TLS_"));
    let info = of_good.keys().find(|name| name.starts_with("probe_ssl_last_chain_info{")).expect("a certificate");
    for part in
        ["fingerprint_sha256=\"", "issuer=\"CN=Example Root\"", "subjectalternative=\"mx.test\"", "serialnumber=\""]
    {
        assert!(info.contains(part), "{info}");
    }

    let of_bad = samples(&ask(&app, &format!("module=tls&target=127.0.0.1:{}", bad.port()), &[]).await);
    assert_eq!((of_bad["probe_success"], of_bad["probe_smtp_certificate_verified"]), (1.0, 0.0));
    assert!(of_bad["probe_ssl_earliest_cert_expiry"] < expiry && !has(&of_bad, "probe_ssl_last_chain_expiry"));
    for error in ["expired", "wrong_name", "self_signed"] {
        assert_eq!(of_bad[&format!("probe_smtp_certificate_error_info{{error=\"{error}\"}}")], 1.0);
    }
}

#[tokio::test]
async fn the_scrape_timeout_header_limits_the_check() {
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let app = TestApp::start().await;
    let query = format!("target=127.0.0.1:{}", silent.port());
    let samples = samples(&ask(&app, &query, &[("x-prometheus-scrape-timeout-seconds", "0.8")]).await);
    assert_eq!((samples["probe_success"], samples["probe_timeout_seconds"]), (0.0, 0.3));
    assert_eq!(samples["probe_smtp_failure_info{phase=\"banner\",kind=\"timeout\"}"], 1.0);
    assert!(samples["probe_duration_seconds"] >= 0.3, "{samples:?}");
    assert!(!has(&samples, "probe_smtp_duration_seconds{phase=\"banner\"}"), "it never ended");
}

#[tokio::test]
async fn the_secrets_of_a_module_are_never_shown() {
    let (user, password) = ("probe", "open sesame");
    let server =
        SmtpServer::serve(Script::compliant().with_credentials(user, password).on(Step::RcptTo, "550 open sesame\r\n"));
    let sasl = json!({"sasl_authentication": "plain", "sasl_user": user, "sasl_password": password, "to": "a@b.test"});
    let app = with_modules(json!({"submission": sasl})).start().await;
    for debug in ["", "&debug=true"] {
        let query = format!("module=submission&target=127.0.0.1:{}{debug}", server.port());
        let answer = ask(&app, &query, &[]).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, StatusCode::OK);
        for secret in ["open sesame", "b3BlbiBzZXNhbWU", "AHByb2JlAG9wZW4gc2VzYW1l"] {
            assert!(!text.contains(secret), "{text}");
        }
        let session = server.next_session().await;
        assert!(session.has_command("AUTH") && session.has_command("RCPT"), "{session:?}");
    }
}

#[tokio::test]
async fn the_password_of_a_module_goes_to_no_other_server() {
    let ca = Ca::new("Example Root");
    let serve = |name| {
        let script = Script::compliant().with_starttls(ca.issue(Leaf::for_name(name)).server_config());
        SmtpServer::serve(script.with_credentials("probe", "open sesame"))
    };
    let (own, other) = (serve("smtp.example.test"), serve("stranger.test"));
    let module = json!({
        "starttls": true, "tls_verify": "require", "tls_server_name": "smtp.example.test", "stop_after": "sasl_auth",
        "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "open sesame",
    });
    let app = with_modules(json!({"submission": module})).trust(&ca).start().await;
    for (server, success) in [(&own, 1.0), (&other, 0.0)] {
        let samples = samples(&ask(&app, &format!("module=submission&target=127.0.0.1:{}", server.port()), &[]).await);
        assert_eq!(samples["probe_success"], success);
        assert_eq!(samples.contains_key("probe_smtp_failure_info{phase=\"tls\",kind=\"certificate\"}"), success == 0.0);
        assert_eq!(server.next_session().await.has_command("AUTH"), success == 1.0);
    }
}

#[tokio::test]
async fn debug_explains_the_check() {
    let server = SmtpServer::serve(Script::compliant().on(Step::Ehlo, "250-mx\r\n250 X \u{1b}[31m\r\n"));
    let sasl = json!({"m": {"stop_after": "ehlo", "ehlo": "probe.test", "sasl_password": "open sesame"}});
    let app = with_modules(sasl).start().await;
    let answer = ask(&app, &format!("debug=true&module=m&target=127.0.0.1:{}", server.port()), &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("text/plain; charset=utf-8")));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for part in [
        "# Phases",
        "completed\n",
        "C: EHLO probe.test\n",
        "# Report\n{",
        "\nprobe_success 1.0\n",
        "# Module `m`\n{",
        "\"sasl_password\": \"***\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("open sesame"), "{text}");
}

#[tokio::test]
async fn an_invalid_query_is_400_with_the_parameter() {
    let app = TestApp::start().await;
    for (query, headers, pointers) in [
        ("", &[][..], &["/target"][..]),
        ("module=nothing", &[], &["/target", "/module"]),
        ("target=127.0.0.1&module=nothing", &[], &["/module"]),
        ("target=mx.test:99999", &[], &["/target"]),
        ("target=mx.test&target=mx.test", &[], &["/target"]),
        ("target=mx.test&port=25&timeout=5", &[], &["/port", "/timeout"]),
        ("target=mx.test&to=%00", &[], &["/to"]),
        ("target=mx.test&to=a%FF@b.test", &[], &["/to"]),
        ("target=%&debug=maybe", &[], &["/debug"]),
        ("target=%", &[], &["/target"]),
        (
            "target=mx.test&port=1",
            &[("x-prometheus-scrape-timeout-seconds", "NaN")],
            &["/port", "/X-Prometheus-Scrape-Timeout-Seconds"],
        ),
    ] {
        let answer = ask(&app, query, headers).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {:?}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["type"], "urn:smtp-check:problem:invalid-parameters");
        assert_eq!(answer.json()["status"], 400);
        assert_eq!(answer.pointers(), pointers, "{query}");
    }
}

#[tokio::test]
async fn the_documented_example_is_a_real_response() {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("JSON");
    let responses = &document["paths"]["/probe"]["get"]["responses"];
    let app = TestApp::start().await;
    let shown = &responses["400"]["content"]["application/problem+json"]["example"];
    assert_eq!(ask(&app, "module=submision", &[]).await.json(), *shown);

    let ca = Ca::new("Example Root");
    let server = Script::compliant().with_starttls(ca.issue(Leaf::for_name("mx.test")).server_config());
    let server = SmtpServer::serve(server.on(Step::RcptTo, "550 5.1.1 User unknown\r\n"));
    let module = json!({"starttls": true, "tls_server_name": "mx.test", "to": "a@b.test", "stop_after": "rcptto"});
    let app = with_modules(json!({"default": module})).trust(&ca).start().await;
    let answer = ask(&app, &format!("target=127.0.0.1:{}", server.port()), &[]).await;
    let described =
        |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    for media_type in ["text/plain", "application/openmetrics-text"] {
        let example = responses["200"]["content"][media_type]["example"].as_str().expect("an example");
        assert_eq!(described(std::str::from_utf8(&answer.body).expect("UTF-8")), described(example));
    }
}

#[tokio::test]
async fn a_rejected_check_gives_no_metrics() {
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let mut app = TestApp::builder().max_checks_per_target(1).deny(&["127.9.0.0/16"]).start().await;
    assert_eq!(ask(&app, "target=127.9.9.9", &[]).await.status, StatusCode::FORBIDDEN);

    let held = app.start_check(json!({"to": "a@b.test", "port": silent.port()})).await;
    silent.wait_for_open(1).await;
    let query = format!("target=127.0.0.1:{}", silent.port());
    let busy = ask(&app, &query, &[]).await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));

    app.shut_down();
    app.lifecycle.draining().await;
    let draining = ask(&app, &query, &[]).await;
    assert_eq!(draining.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(draining.json()["type"], "urn:smtp-check:problem:shutting-down");
    drop(held);
}

#[tokio::test]
async fn probes_and_checks_share_the_rate_limit() {
    let server = SmtpServer::serve(Script::compliant());
    let app = TestApp::builder().rate_limit("2/h").start().await;
    let query = format!("target=127.0.0.1:{}", server.port());
    let first = ask(&app, &query, &[]).await;
    assert_eq!((first.status, first.header("ratelimit-policy").is_some()), (StatusCode::OK, true));
    app.check(json!({"port": server.port()})).await;
    assert_eq!(ask(&app, &query, &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn modules_are_read_from_the_settings_file() {
    let scratch = TempDir::new();
    let text = "max_timeout = '5s'\n[modules.mx]\nstop_after = 'banner'\ntimeout_ms = 100\n[modules.login]\n\
                sasl_authentication = 'plain'\nsasl_user = 'probe'\nsasl_password = 'open sesame'\n";
    let file = scratch.write("settings.toml", text.as_bytes());
    let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
    command.arg("--config").arg(file);
    let served = ServiceProcess::start(command);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let answer = served.get(&format!("/probe?module=mx&target=127.0.0.1:{port}"), "");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nprobe_timeout_seconds 0.1\n"), "{answer}");
    served.signal("TERM");
    let (code, log) = served.end_with_log();
    assert!(code == 0 && !log.iter().any(|line| line.contains("open sesame")), "{log:?}");
}

#[test]
fn a_bad_module_stops_the_start_without_showing_its_password() {
    let scratch = TempDir::new();
    for (text, parts) in [
        ("[modules.mx]\nprot = 25", &["[modules.mx]", "`prot`", "`port`"][..]),
        ("max_timeout = '1s'\n[modules.mx]\ntimeout_ms = 2000", &["[modules.mx]", "`timeout_ms`", "from 100 to 1000"]),
        ("[modules.mx]\nport = 2026-11-22", &["[modules.mx]", "`port`"]),
        ("[modules.mx]\ntimeout_ms = nan", &["[modules.mx]", "`timeout_ms`"]),
        ("[modules]\nmx = 25", &["`modules.mx`", "a table", "integer"]),
        ("modules = [25]", &["`modules`", "a table", "array"]),
        ("[modules.mx]\nsasl_password = hunter22", &["line 2"]),
        ("[modules.mx]\nsasl_password = 'hunter22\nstarttls = true", &["line 2"]),
        ("[modules.mx]\nsasl_password = ['hunter22']", &["`sasl_password` must be a string"]),
        ("[modules.mx]\nsasl_authentication = 'plain'\nsasl_password = 'hunter22'", &["`sasl_user` is required"]),
        ("[modules.mx]\nsasl_password = 'a'\nsasl_password = 'hunter22'", &["line 3", "duplicate key"]),
    ] {
        let file = scratch.write("settings.toml", text.as_bytes());
        let path = file.to_str().expect("UTF-8");
        let output = program(&["--config", path, "--listen=127.0.0.1:0"]).output().expect("the program starts");
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{complaint}");
        for part in parts.iter().chain([&path]) {
            assert!(complaint.contains(part), "{part} in {complaint}");
        }
        assert!(!complaint.contains("hunter22"), "{complaint}");
    }
}
