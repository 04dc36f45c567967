//! A check is over when its time is over, wherever the server leaves it waiting.

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

/// The time that a check is given, in ms.
const TIMEOUT: u32 = 400;
/// How much later its report may be there, in ms.
pub(crate) const GRACE: f64 = 100.0;
/// A machine under load may let any process wait for longer than that. It does not do so every time; a defect does.
pub(crate) const TRIES: usize = 20;

/// Asks until a report is in time. Too early it is never, and its failure is always a timeout.
async fn timed_out_in(app: &TestApp, phase: &str, parameters: Value) -> Value {
    let mut parameters = with_defaults(parameters);
    parameters["timeout_ms"] = json!(TIMEOUT);
    let (timeout, mut tries) = (f64::from(TIMEOUT), Vec::new());
    for _ in 0..TRIES {
        let (asked, wall_clock) = (Instant::now(), OffsetDateTime::now_utc());
        let report = app.check(parameters.clone()).await;
        let answered = asked.elapsed().as_secs_f64() * 1000.0 - before_it_began(&parameters, &report, wall_clock);
        let duration = report["metrics"]["duration"].as_f64().expect("always there");
        let (failed_in, kind, temporary) = failure(&report);
        assert_eq!((kind, temporary), ("timeout", true), "{report:#}");
        // The wall clock is in it, which is no stopwatch: a millisecond for that.
        assert!(duration >= timeout && answered >= timeout - 1.0, "{duration} ms, {answered} ms: {report:#}");
        if failed_in == phase && answered.max(duration) <= timeout + GRACE {
            assert_left_open(&report, phase);
            return report;
        }
        tries.push(format!("{failed_in} after {duration} ms, answered after {answered} ms"));
    }
    panic!("{phase}: not once in time: {tries:#?}");
}

/// How long, in ms, a large request was under way before its check began: to write and to read it takes a debug build longer than the
/// grace. A small one gets no such allowance.
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
async fn a_name_server_that_is_silent() {
    let dns = DnsServer::serve(Zone::new().silent("mx.test").silent("example.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let report = timed_out_in(&app, "dns", json!({"target": "mx.test"})).await;
    assert_eq!(phase_names(&report), ["dns"]);
    assert_eq!((&report["target"]["address"], &report["metrics"]["last_cmd"]), (&Value::Null, &Value::Null));
    timed_out_in(&app, "dns", json!({"target": null, "to": "probe@example.test"})).await;
}

/// A listener whose queue is full: the system drops every further SYN. Whoever fills the queue is kept along.
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
async fn an_address_that_does_not_answer() {
    let deaf = Deaf::new();
    let report = timed_out_in(&TestApp::start().await, "connect", json!({"port": deaf.addr().port()})).await;
    assert_eq!(phase_names(&report), ["connect"]);
    assert_eq!((&report["target"]["address"], &report["metrics"]["last_cmd"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_server_that_is_silent_in_clear() {
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
async fn a_server_that_is_silent_around_tls() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let deaf = |reply: &str| Action::reply(reply).then(Action::silence());
    for (script, implicit_tls, phase) in [
        (Script::new().with_greeting(Action::silence()), true, "tls"),
        (Script::compliant().on(Step::StartTls, Action::silence()), false, "starttls"),
        (Script::compliant().on(Step::StartTls, deaf("220 go\r\n")), false, "tls"),
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
async fn a_server_that_expects_no_proxy_header_and_says_nothing() {
    let server = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let check = json!({"port": server.port(), "proxy_protocol": true});
    let report = timed_out_in(&TestApp::start().await, "banner", check).await;
    assert_eq!(phase_names(&report), ["connect", "banner"]);
}

#[tokio::test]
async fn a_server_that_stops_reading() {
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

/// Neither a byte now and then nor a flood of them keeps a check from its end.
#[tokio::test]
async fn a_server_that_never_stops_talking() {
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

/// A mail server that never answers QUIT costs a second, or what is left of the check's time, and fails nothing.
#[tokio::test]
async fn a_quit_that_is_never_answered() {
    let app = TestApp::start().await;
    let trickle =
        (0..600).fold(Action::reply("221-"), |act, _| act.then(Action::reply("x").after(Duration::from_millis(5))));
    for act in [Action::silence(), trickle] {
        for (timeout_ms, rcpt, bound) in
            [(TIMEOUT, "250 ok\r\n", TIMEOUT), (TIMEOUT, "550 no such user\r\n", TIMEOUT), (30_000, "250 ok\r\n", 1000)]
        {
            let script = Script::compliant().on(Step::RcptTo, rcpt).on(Step::Quit, act.clone());
            let server = SmtpServer::serve(script);
            let check = json!({"port": server.port(), "timeout_ms": timeout_ms});
            let (bound, mut durations) = (f64::from(bound), Vec::new());
            while durations.iter().all(|duration| *duration > bound + GRACE) {
                assert!(durations.len() < TRIES, "{durations:?}");
                let report = app.check(check.clone()).await;
                if failure(&report).1 == "timeout" {
                    // The time was over before QUIT: a busy machine does that now and then, a silent QUIT must not.
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
                // The check's time begins with the check, the second for QUIT with QUIT. To the millisecond: it is stamped by itself.
                let quit = report["phases"].as_array().and_then(|phases| phases.last()?["started_ms"].as_f64());
                let begun = if timeout_ms == TIMEOUT { 0.0 } else { quit.expect("begun") };
                assert!(duration - begun >= bound - 1.0, "{duration} - {begun}");
                durations.push(duration - begun);
            }
        }
    }
}
