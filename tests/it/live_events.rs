//! Live checks by server-sent events: each phase when it ends, and then the report.

use std::{io::Read, time::Duration};

use axum::http::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use serde_json::{Value, json};
use smtp_check::http::Ended;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    time::timeout,
};

use super::support::{
    app::{TestApp, failure, phase_names, with_defaults},
    dns::{DnsServer, Zone},
    events::{Events, named, report_of},
    pki::{Ca, Leaf},
    program::{ServiceProcess, WAIT_TIMEOUT, program},
    smtpd::{Action, End, Gate, Script, SmtpServer, Step},
};

async fn events(app: &TestApp, parameters: Value) -> Events {
    Events::of(app, parameters).await.unwrap_or_else(|answer| panic!("no stream: {answer:?}"))
}

/// The next event: its name, and the phase that it is about.
async fn next(events: &mut Events) -> (String, String) {
    let (name, data) = events.next().await.expect("one more event");
    (name, data["name"].as_str().expect("of a phase").to_owned())
}

fn event_of(name: &str, phase: &str) -> (String, String) {
    (name.to_owned(), phase.to_owned())
}

#[tokio::test]
async fn phases_arrive_one_by_one() {
    let app = TestApp::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let mut live = events(&app, json!({"port": port, "stop_after": "mailfrom"})).await;
    assert_eq!(live.headers["content-type"], "text/event-stream");
    assert_eq!(live.headers["cache-control"], "no-store");
    assert_eq!(live.headers["x-accel-buffering"], "no");
    let (server, _) = listener.accept().await.expect("the check connects");
    let mut server = BufReader::new(server);
    assert_eq!(next(&mut live).await, event_of("begin", "connect"));
    assert_eq!(next(&mut live).await, event_of("phase", "connect"));
    // The server answers only after the event of the previous phase was received.
    let mut line = String::new();
    for (phase, command, reply) in [
        ("banner", "", "220 mx.test ESMTP"),
        ("ehlo", "EHLO ", "250 mx.test"),
        ("mailfrom", "MAIL ", "250 2.1.0 Ok"),
        ("quit", "QUIT", "221 Bye"),
    ] {
        assert_eq!(next(&mut live).await, event_of("begin", phase));
        if !command.is_empty() {
            line.clear();
            timeout(WAIT_TIMEOUT, server.read_line(&mut line)).await.expect("in time").expect("a command");
            assert!(line.starts_with(command), "{line}");
        }
        server.write_all(format!("{reply}\r\n").as_bytes()).await.expect("the check reads");
        assert_eq!(next(&mut live).await, event_of("phase", phase));
    }
    let (name, report) = live.next().await.expect("the report");
    assert_eq!((name.as_str(), &report["outcome"]), ("report", &json!("completed")));
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "mailfrom", "quit"]);
    assert_eq!(live.next().await, None);
}

/// However a check ends, its phase events are the phases of the report, and the report has the same form as in JSON.
#[tokio::test]
async fn phase_events_match_the_report() {
    let ca = Ca::new("Test CA");
    let identity = || ca.issue(Leaf::for_name("mx.test"));
    let dns = DnsServer::serve(Zone::new().a("mx.test", [127, 0, 0, 1].into()).nxdomain("nowhere.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let injection = Action::reply("220 go\r\n250 injected\r\n");
    let encrypted = || Script::compliant().with_starttls(identity());
    let all = [
        (encrypted(), json!({"starttls": true, "target": "mx.test", "transcript": true}), ""),
        (encrypted().on(Step::StartTls, injection), json!({"starttls": true}), "starttls"),
        (encrypted(), json!({"starttls": true, "tls_verify": "require"}), "tls"),
        (Script::compliant().with_implicit_tls(identity()), json!({"implicit_tls": true}), ""),
        (
            Script::compliant().with_implicit_tls(identity()),
            json!({"implicit_tls": true, "tls_verify": "require"}),
            "tls",
        ),
        (Script::compliant(), json!({"implicit_tls": true}), "tls"),
        (Script::compliant().on(Step::RcptTo, "550 5.1.1 no\r\n"), json!({}), "rcptto"),
        (Script::compliant().on(Step::Ehlo, Action::silence()), json!({"timeout_ms": 4000}), "ehlo"),
        (Script::compliant().on(Step::Data, Action::close()), json!({}), "data"),
        (Script::compliant().on(Step::Quit, Action::reset()), json!({}), ""),
        (Script::compliant(), json!({"target": "nowhere.test"}), "dns"),
    ];
    for (script, mut parameters, failing) in all {
        let server = SmtpServer::serve(script);
        parameters["port"] = server.port().into();
        let received = events(&app, parameters.clone()).await.rest().await;
        let report = report_of(&received);
        assert_eq!(failure(&report).0, failing, "{report:#}");
        for phase in report["phases"].as_array().into_iter().flatten() {
            let begin = json!({"name": phase["name"], "started_ms": phase["started_ms"]});
            assert!(received.contains(&("begin".to_owned(), begin)), "{phase} in {received:?}");
            let fails = phase["name"] == failing || phase["time_ms"] == Value::Null;
            assert_eq!(phase["ok"] == false, fails, "{phase}");
        }
        let in_json = app.check(parameters).await;
        let members = |report: &Value| report.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>());
        assert_eq!(members(&report), members(&in_json));
        assert_eq!((phase_names(&report), &report["target"]), (phase_names(&in_json), &in_json["target"]));
    }
}

#[tokio::test]
async fn accept_json_gets_json() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (accept, content_type) in [
        ("application/json, text/event-stream;q=0.5", "application/json"),
        ("*/*", "application/json"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
    ] {
        let body = Full::from(with_defaults(json!({"port": server.port()})).to_string());
        let request = Request::builder().method(Method::POST).uri("/v1/checks/smtp").header("host", "test");
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, accept);
        let answer = app.send(request.body(body).expect("a request")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(content_type)), "{accept}");
    }
}

/// The response is a problem document with its status, as for a check in JSON.
async fn refused(app: &TestApp, parameters: Value, status: u16, slug: &str) {
    let Err(answer) = Events::of(app, parameters).await else { panic!("a stream in place of {slug}") };
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["type"], format!("urn:smtp-check:problem:{slug}"));
}

#[tokio::test]
async fn a_rejected_check_gets_a_problem_instead_of_a_stream() {
    let dns = DnsServer::serve(Zone::new().a("mx.test", [127, 0, 0, 3].into()).a("busy.test", [127, 0, 0, 1].into()));
    let builder = TestApp::builder().max_checks(2).max_checks_per_target(1).deny(&["127.0.0.3/32"]);
    let mut app = builder.dns_server(dns.addr()).start().await;
    refused(&app, json!({"port": 0}), 422, "invalid-parameters").await;
    refused(&app, json!({"target": "127.0.0.3"}), 403, "target-forbidden").await;
    refused(&app, json!({"target": "mx.test"}), 403, "target-forbidden").await;

    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let elsewhere = SmtpServer::serve_at(
        "127.0.0.2:0".parse().expect("an address"),
        Script::new().with_greeting(Action::silence()),
    );
    let parameters = json!({"port": silent.port(), "timeout_ms": 60_000});
    let first = events(&app, parameters.clone()).await;
    refused(&app, parameters, 429, "target-busy").await;
    refused(&app, json!({"target": "busy.test", "port": silent.port()}), 429, "target-busy").await;
    let second = events(&app, json!({"target": "127.0.0.2", "port": elsewhere.port(), "timeout_ms": 60_000})).await;
    refused(&app, json!({}), 503, "overloaded").await;

    app.shut_down();
    app.lifecycle.draining().await;
    refused(&app, json!({}), 503, "shutting-down").await;
    drop((first, second));
    assert_eq!(app.join().await, Ended::Drained { unread: 0 });
}

/// The stream begins before a slow name is resolved. Only then is its address found to be at its limit.
#[tokio::test]
async fn a_rejection_during_the_stream_is_the_last_event() {
    let zone = Zone::new().a("slow.test", [127, 0, 0, 7].into()).delayed("slow.test", Duration::from_millis(1500));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().max_checks_per_target(1).dns_server(dns.addr()).start().await;
    let silent = SmtpServer::serve_at(
        "127.0.0.7:0".parse().expect("an address"),
        Script::new().with_greeting(Action::silence()),
    );
    let busy = json!({"target": "127.0.0.7", "port": silent.port(), "timeout_ms": 60_000});
    let _holding = events(&app, busy).await;
    silent.wait_for_open(1).await;
    let received = events(&app, json!({"target": "slow.test", "port": silent.port()})).await.rest().await;
    let (last, problem) = received.last().expect("an event");
    assert_eq!(last, "problem");
    assert_eq!((&problem["type"], &problem["status"]), (&json!("urn:smtp-check:problem:target-busy"), &json!(429)));
    assert_eq!(named(&received, "report"), json!([]));
}

#[tokio::test]
async fn disconnect_ends_a_live_check() {
    for step in [Step::Greeting, Step::Ehlo, Step::RcptTo, Step::Body] {
        let app = TestApp::start().await;
        let server = SmtpServer::serve(Script::compliant().on(step, Action::silence()));
        let mut live = events(&app, json!({"port": server.port(), "timeout_ms": 60_000})).await;
        // The last event is the beginning of the silent phase.
        let silent = match step {
            Step::Greeting => "banner",
            Step::Ehlo => "ehlo",
            Step::RcptTo => "rcptto",
            _ => "body",
        };
        while next(&mut live).await != event_of("begin", silent) {}
        assert_eq!(app.lifecycle.running(), 1);
        drop(live);
        assert!(matches!(server.next_session().await.end, End::Eof | End::Reset), "{step:?}");
        timeout(WAIT_TIMEOUT, app.lifecycle.idle()).await.expect("its place is given back");
    }
}

#[tokio::test]
async fn a_live_check_finishes_during_shutdown() {
    let mut app = TestApp::start().await;
    let gate = Gate::default();
    let server =
        SmtpServer::serve(Script::compliant().with_greeting(Action::from("220 mx.test ESMTP\r\n").after_gate(&gate)));
    let live = events(&app, json!({"port": server.port()})).await;
    app.shut_down();
    app.lifecycle.draining().await;
    assert_eq!(app.lifecycle.running(), 1);
    gate.open();
    let report = report_of(&live.rest().await);
    assert_eq!(report["outcome"], "delivered");
    assert_eq!(app.join().await, Ended::Drained { unread: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_check_is_logged_once() {
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0"]));
    let server = SmtpServer::serve(Script::compliant());
    let mut caller =
        served.start_check("Accept: text/event-stream\r\n", &with_defaults(json!({"port": server.port()})));
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("event: report\n"), "{answer}");
    served.signal("TERM");
    let mut checked = 0;
    while let Ok(line) = served.log.recv_timeout(WAIT_TIMEOUT) {
        checked += usize::from(line.contains(r#""checked""#));
    }
    assert_eq!(checked, 1);
}
