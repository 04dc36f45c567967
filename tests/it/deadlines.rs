//! The deadline of a check holds in every phase, whatever the server does.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::support::{
    app::{TestApp, failure, phase_names, with_defaults},
    dns::{DnsServer, Zone},
    pki::{Ca, Leaf},
    smtpd::{Action, Script, SmtpServer, Step},
};

/// `timeout_ms` of the checks.
const TIMEOUT_MS: u32 = 400;
/// Tolerance after the deadline, in ms.
pub(crate) const TOLERANCE_MS: f64 = 100.0;
/// On a busy machine a process can be late by more than the tolerance. That does not happen every time; a defect does.
pub(crate) const MAX_TRIES: usize = 20;

/// Repeats the check until a report is in time. No report may be early, and the failure is always a timeout.
async fn timed_out_in(app: &TestApp, phase: &str, parameters: Value) -> Value {
    let mut parameters = with_defaults(parameters);
    parameters["timeout_ms"] = json!(TIMEOUT_MS);
    let (timeout, mut tries) = (f64::from(TIMEOUT_MS), Vec::new());
    for _ in 0..MAX_TRIES {
        let (asked, wall_clock) = (Instant::now(), OffsetDateTime::now_utc());
        let report = app.check(parameters.clone()).await;
        let answered = asked.elapsed().as_secs_f64() * 1000.0 - before_it_began(&parameters, &report, wall_clock);
        let duration = report["metrics"]["duration"].as_f64().expect("always there");
        let (failed_in, kind, temporary) = failure(&report);
        assert_eq!((kind, temporary), ("timeout", true), "{report:#}");
        // `started_at` is of the wall clock, which is not monotonic: one millisecond of tolerance.
        assert!(duration >= timeout && answered >= timeout - 1.0, "{duration} ms, {answered} ms: {report:#}");
        if failed_in == phase && answered.max(duration) <= timeout + TOLERANCE_MS {
            assert_left_open(&report, phase);
            return report;
        }
        tries.push(format!("{failed_in} after {duration} ms, answered after {answered} ms"));
    }
    panic!("{phase}: not once in time: {tries:#?}");
}

/// How long, in ms, a large request was in transit before its check began: in a debug build, to write and to read it
/// takes longer than the tolerance. A small request gets no such allowance.
fn before_it_began(parameters: &Value, report: &Value, asked: OffsetDateTime) -> f64 {
    if parameters.get("payload").is_none() {
        return 0.0;
    }
    let began = report["started_at"].as_str().expect("a text");
    let began = OffsetDateTime::parse(began, &Rfc3339).expect("a date");
    (began - asked).as_seconds_f64() * 1000.0
}

fn assert_left_open(report: &Value, phase: &str) {
    let listed = report["phases"].as_array().expect("an array").iter().find(|listed| listed["name"] == phase);
    let listed = listed.unwrap_or_else(|| panic!("{phase} is not listed: {report:#}"));
    assert_eq!((&listed["ok"], &listed["time_ms"]), (&json!(false), &Value::Null));
    assert_eq!(report["metrics"].get(format!("{phase}_time")), None);
}

#[tokio::test]
async fn timeout_in_dns() {
    let dns = DnsServer::serve(Zone::new().silent("mx.test").silent("example.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let report = timed_out_in(&app, "dns", json!({"target": "mx.test"})).await;
    assert_eq!(phase_names(&report), ["dns"]);
    assert_eq!((&report["target"]["address"], &report["metrics"]["last_cmd"]), (&Value::Null, &Value::Null));
    timed_out_in(&app, "dns", json!({"target": null, "to": "probe@example.test"})).await;
}

/// A listener with a full accept queue: the kernel drops every further SYN. The connections that fill the queue are
/// kept open.
struct Deaf {
    listener: Socket,
    _queue: Vec<StdTcpStream>,
}

impl Deaf {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("the system has TCP");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listener.listen(0).expect("a bound socket can listen");
        let mut deaf = Self { listener, _queue: Vec::new() };
        let addr = deaf.addr();
        while let Ok(queued) = StdTcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            deaf._queue.push(queued);
        }
        deaf
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr().ok().and_then(|addr| addr.as_socket()).expect("a bound socket has an address")
    }
}

#[tokio::test]
async fn timeout_in_connect() {
    let deaf = Deaf::new();
    let report = timed_out_in(&TestApp::start().await, "connect", json!({"port": deaf.addr().port()})).await;
    assert_eq!(phase_names(&report), ["connect"]);
    assert_eq!((&report["target"]["address"], &report["metrics"]["last_cmd"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn timeout_in_every_phase_without_tls() {
    let app = TestApp::start().await;
    let credentials = json!({"sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse"});
    for (step, phase) in [
        (Step::Greeting, "banner"),
        (Step::Ehlo, "ehlo"),
        (Step::Auth, "sasl_auth"),
        (Step::SaslResponse(1), "sasl_auth"),
        (Step::MailFrom, "mailfrom"),
        (Step::RcptTo, "rcptto"),
        (Step::Data, "data"),
        (Step::Body, "body"),
    ] {
        let script = Script::compliant().with_credentials("probe", "correct horse").on(step, Action::silence());
        let server = SmtpServer::serve(script);
        let mut check = credentials.clone();
        check["port"] = server.port().into();
        timed_out_in(&app, phase, check).await;
    }
}

#[tokio::test]
async fn timeout_around_tls() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let deaf = |reply: &str| Action::reply(reply).then(Action::silence());
    for (script, implicit_tls, phase) in [
        (Script::new().with_greeting(Action::silence()), true, "tls"),
        (Script::compliant().with_starttls(&identity).on(Step::StartTls, Action::silence()), false, "starttls"),
        (Script::compliant().with_starttls(&identity).on(Step::StartTls, deaf("220 go\r\n")), false, "tls"),
        (Script::compliant().with_starttls(&identity).on(Step::EhloTls, Action::silence()), false, "ehlo_tls"),
        (Script::compliant().with_implicit_tls(&identity).with_greeting(Action::silence()), true, "banner"),
        (Script::compliant().with_implicit_tls(&identity).on(Step::Body, Action::silence()), true, "body"),
    ] {
        let server = SmtpServer::serve(script);
        let check = json!({"port": server.port(), "implicit_tls": implicit_tls, "starttls": !implicit_tls});
        timed_out_in(&app, phase, check).await;
    }
}

#[tokio::test]
async fn timeout_after_the_proxy_header() {
    let server = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let check = json!({"port": server.port(), "proxy_protocol": true});
    let report = timed_out_in(&TestApp::start().await, "banner", check).await;
    assert_eq!(phase_names(&report), ["connect", "banner"]);
}

#[tokio::test]
async fn timeout_while_the_server_does_not_read() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let payload = ("x".repeat(70) + "\r\n").repeat(12_000);
    for implicit_tls in [false, true] {
        let mut script = Script::compliant()
            .with_receive_buffer(4096)
            .on(Step::Data, Action::reply("354 go on\r\n").then(Action::stop_reading()));
        if implicit_tls {
            script = script.with_implicit_tls(&identity);
        }
        let server = SmtpServer::serve(script);
        let check = json!({"port": server.port(), "payload": payload, "implicit_tls": implicit_tls});
        timed_out_in(&app, "body", check).await;
    }
}

/// Neither a byte now and then nor a flood of bytes extends the deadline.
#[tokio::test]
async fn timeout_although_the_server_keeps_sending() {
    let app = TestApp::start().await;
    let trickle =
        (0..300).fold(Action::reply("250-"), |act, _| act.then(Action::reply("x").after(Duration::from_millis(5))));
    for (step, phase) in [(Step::Greeting, "banner"), (Step::MailFrom, "mailfrom")] {
        let server = SmtpServer::serve(Script::compliant().on(step, trickle.clone()));
        timed_out_in(&app, phase, json!({"port": server.port()})).await;
    }
    let hello = Action::wait_for_client().then(Action::reply("\x16\x03\x03\x3f\x7f"));
    let server = SmtpServer::serve(Script::new().with_greeting(hello.then(trickle)));
    timed_out_in(&app, "tls", json!({"port": server.port(), "implicit_tls": true})).await;
}

/// An unanswered QUIT costs at most a second, or the rest of the time, and fails nothing.
#[tokio::test]
async fn unanswered_quit_costs_at_most_one_second() {
    let app = TestApp::start().await;
    let trickle =
        (0..600).fold(Action::reply("221-"), |act, _| act.then(Action::reply("x").after(Duration::from_millis(5))));
    for act in [Action::silence(), trickle] {
        for (timeout_ms, rcpt, bound) in [
            (TIMEOUT_MS, "250 ok\r\n", TIMEOUT_MS),
            (TIMEOUT_MS, "550 no such user\r\n", TIMEOUT_MS),
            (30_000, "250 ok\r\n", 1000),
        ] {
            let script = Script::compliant().on(Step::RcptTo, rcpt).on(Step::Quit, act.clone());
            let server = SmtpServer::serve(script);
            let check = json!({"port": server.port(), "timeout_ms": timeout_ms});
            let (bound, mut durations) = (f64::from(bound), Vec::new());
            while durations.iter().all(|duration| *duration > bound + TOLERANCE_MS) {
                assert!(durations.len() < MAX_TRIES, "{durations:?}");
                let report = app.check(check.clone()).await;
                if failure(&report).1 == "timeout" {
                    // The time was over before QUIT: that happens now and then on a busy machine, and is not the fault
                    // of QUIT.
                    durations.push(f64::INFINITY);
                    continue;
                }
                if rcpt.starts_with('2') {
                    assert_eq!((&report["outcome"], &report["failure"]), (&json!("delivered"), &Value::Null));
                } else {
                    assert_eq!(failure(&report), ("rcptto", "rejected", false), "{report:#}");
                }
                assert_left_open(&report, "quit");
                let duration = report["metrics"]["duration"].as_f64().expect("always there");
                // The deadline counts from the start of the check, the second for QUIT from QUIT. Tolerance of 1 ms:
                // both are stamped separately.
                let quit = report["phases"].as_array().and_then(|phases| phases.last()?["started_ms"].as_f64());
                let begun = if timeout_ms == TIMEOUT_MS { 0.0 } else { quit.expect("begun") };
                assert!(duration - begun >= bound - 1.0, "{duration} - {begun}");
                durations.push(duration - begun);
            }
        }
    }
}
