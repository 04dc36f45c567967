//! The stack, and the function inside it step by step, against real sockets on loopback.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;
use tokio::{net::TcpListener, time::Instant as Deadline};
use tower::{BoxError, Service, ServiceExt};
use tower_test::mock;

use super::{
    job::{CheckContext, Stop},
    resolve::Route,
    *,
};
use crate::{
    check::{Check, CheckSettings},
    destination::policy::Forbidden,
    phase::Phase,
    report::{Attempt, FailureKind, Outcome, PhaseEvent, PhaseListener},
    tls::TrustAnchors,
};

const MANY: Limits = Limits { checks: 9, checks_per_target: 9, max_timeout: Duration::from_secs(60) };

fn job(fields: serde_json::Value) -> CheckJob {
    let serde_json::Value::Object(fields) = fields else { panic!("an object") };
    CheckJob::new(Check::parse(fields.into_iter().collect(), &CheckSettings::new(MANY.max_timeout)).expect("a check"))
}

/// A check of a server that accepts the connection and never sends anything.
fn silent_check(server: &TcpListener, timeout_ms: u64) -> CheckJob {
    let server = address(server);
    job(json!({"to": "a@mx.test", "target": server.ip(), "port": server.port(), "timeout_ms": timeout_ms}))
}

async fn listener(ip: impl Into<IpAddr>) -> TcpListener {
    TcpListener::bind((ip.into(), 0)).await.expect("a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("bound")
}

fn runner(limits: Limits) -> CheckRunner {
    let resolver = Resolver::with_servers(&[]);
    CheckRunner::new(limits, resolver, Arc::default(), TlsClient::new(TrustAnchors::none()))
}

fn stack(limits: Limits) -> Probe {
    let resolver = Resolver::with_servers(&[]);
    probe(limits, resolver, Arc::default(), TlsClient::new(TrustAnchors::none()))
}

fn route(address: SocketAddr) -> Route {
    let address = TargetPolicy::default().admit_literal().address(address).expect("admitted");
    Route { host: "mx.test".to_owned(), address }
}

/// A port at which nothing listens, neither at this address nor at any other of the same family.
async fn closed(ip: [u8; 4]) -> SocketAddr {
    address(&listener(ip).await)
}

/// What a panic in a check would tell if its text were shown.
pub(crate) const SECRET: &str = "hunter2";

/// The whole stack, in which a check of this port panics while it connects.
pub(crate) fn panicking(limits: Limits, port: u16) -> Probe {
    let runner = Arc::new(runner(limits));
    let run = service_fn(move |job: CheckJob| {
        let runner = Arc::clone(&runner);
        let is_doomed = job.check.port == port;
        let listener = PhaseListener::new(move |event| {
            if matches!(event, PhaseEvent::Began(start) if start.name == Phase::Connect && is_doomed) {
                panic!("the password is {}", String::from(SECRET));
            }
        });
        async move { runner.run(job.with_observer(listener)).await }
    });
    BoxCloneSyncService::new(with_limits(limits, run))
}

#[tokio::test]
async fn per_address_limit_rejects_the_next_check() {
    let probe = stack(Limits { checks_per_target: 2, ..MANY });
    let [first, second, elsewhere] =
        [listener([127, 0, 0, 1]).await, listener([127, 0, 0, 1]).await, listener([127, 0, 0, 2]).await];
    let start = |server: &TcpListener| tokio::spawn(probe.clone().oneshot(silent_check(server, 60_000)));
    let is_busy = async || {
        let refused = probe.clone().oneshot(silent_check(&first, 60_000)).await;
        refused.is_err_and(|refusal| refusal == Refusal::TargetBusy)
    };

    // The port does not count.
    let (one, other) = (start(&first), start(&second));
    let (answered, _) = first.accept().await.expect("the first check");
    let _held = second.accept().await.expect("the second check");
    assert!(is_busy().await);
    let _elsewhere = start(&elsewhere);
    elsewhere.accept().await.expect("another address has permits of its own");

    // A permit comes back with the report.
    drop(answered);
    let report = one.await.expect("no panic").expect("a report");
    assert_eq!(report.failure.map(|failure| failure.kind), Some(FailureKind::Closed));
    let _third = start(&first);
    let _held_too = first.accept().await.expect("the third check");
    assert!(is_busy().await);

    // And where the caller hangs up.
    other.abort();
    assert!(other.await.expect_err("aborted").is_cancelled());
    let _fourth = start(&first);
    first.accept().await.expect("the fourth check");
}

#[tokio::test]
async fn failover_tries_the_next_address_until_one_connects() {
    let server = listener([127, 0, 0, 2]).await;
    let unresolved = Attempt { host: "mx0.test".to_owned(), address: None, error: "no address".to_owned() };
    let reached = address(&server);
    let routes = vec![
        Err(unresolved),
        Ok(route(closed([127, 0, 0, 1]).await)),
        Ok(route(reached)),
        Ok(route(closed([127, 0, 0, 3]).await)),
    ];
    let mut check = CheckContext::start(silent_check(&server, 9000));
    let connection = runner(MANY).connect(&mut check, routes).await.expect("a connection");
    assert_eq!(connection.tcp.socket().peer_addr().expect("connected"), reached);

    let report = check.end(Ok(())).expect("a report");
    let tried: Vec<_> =
        report.target.attempts.iter().map(|attempt| (attempt.address, attempt.error.as_str())).collect();
    assert_eq!(tried, [(None, "no address"), (Some([127, 0, 0, 1].into()), "connection refused")]);
    assert_eq!((report.target.address, report.failure), (Some(reached.ip()), None));
}

#[tokio::test]
async fn a_busy_address_does_not_hide_the_others() {
    let server = listener([127, 0, 0, 2]).await;
    let busy = SocketAddr::new([127, 0, 0, 9].into(), address(&server).port());
    let runner = runner(Limits { checks_per_target: 1, ..MANY });
    let _held = runner.per_address.try_acquire(busy.ip()).expect("a permit");
    let too_many = (Some(busy.ip()), "too many checks of this target are in flight");

    let mut check = CheckContext::start(silent_check(&server, 9000));
    let routes = vec![Ok(route(closed([127, 0, 0, 1]).await)), Ok(route(busy)), Ok(route(address(&server)))];
    let connection = runner.connect(&mut check, routes).await.expect("a connection");
    assert_eq!(connection.tcp.socket().peer_addr().expect("connected"), address(&server));
    let attempts = check.end(Ok(())).expect("a report").target.attempts;
    let tried: Vec<_> = attempts.iter().map(|attempt| (attempt.address, attempt.error.as_str())).collect();
    assert_eq!(tried, [(Some([127, 0, 0, 1].into()), "connection refused"), too_many]);

    // What another address answers is a result. Without any other address the check has not run.
    let mut check = CheckContext::start(silent_check(&server, 9000));
    let routes = vec![Ok(route(closed([127, 0, 0, 1]).await)), Ok(route(busy))];
    let stop = runner.connect(&mut check, routes).await.expect_err("nothing listens");
    assert!(matches!(&stop, Stop::Failed(failure) if failure.kind == FailureKind::Refused), "{stop:?}");
    let mut check = CheckContext::start(silent_check(&server, 9000));
    let stop = runner.connect(&mut check, vec![Ok(route(busy))]).await.expect_err("it is busy");
    assert!(matches!(stop, Stop::Refused(Refusal::TargetBusy)), "{stop:?}");
}

#[tokio::test(start_paused = true)]
async fn each_address_gets_an_equal_share_of_the_time_that_is_left() {
    let deadline = Deadline::now() + Duration::from_secs(9);
    for (left, ms) in [(3, 3000), (2, 4500), (1, 9000), (0, 9000)] {
        assert_eq!(run::share(deadline, left) - Deadline::now(), Duration::from_millis(ms), "{left}");
    }
    assert_eq!(run::share(Deadline::now() - Duration::from_secs(1), 2), Deadline::now(), "none is left");
}

#[tokio::test]
async fn the_last_attempt_stands_for_the_check() {
    let server = listener([127, 0, 0, 1]).await;
    let mut check = CheckContext::start(silent_check(&server, 9000));
    let routes = vec![Ok(route(closed([127, 0, 0, 1]).await))];
    let stop = runner(MANY).connect(&mut check, routes).await.expect_err("nothing listens");
    assert!(matches!(stop, Stop::Failed(_)), "{stop:?}");
    let report = check.end(Err(stop)).expect("a report");
    assert_eq!(report.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!((report.target.address, report.target.attempts.len()), (None, 1));
    assert_eq!((report.phases.len(), report.phases[0].ok), (1, false));
    assert!(report.metrics.connect_time.is_some(), "a refusal is an answer");
}

#[tokio::test]
async fn a_forbidden_address_is_never_dialled() {
    for (target, forbidden) in [
        ("169.254.169.254", true),
        ("0xa9fea9fe", true),
        ("2852039166", true),
        ("0251.0376.0251.0376", true),
        ("169.254.43518", true),
        ("[::ffff:169.254.169.254]", true),
        ("::ffff:a9fe:a9fe", true),
        ("0.0.0.0", true),
        ("0", true),
        ("[::]", true),
        ("[fe80::1]", true),
        ("255.255.255.255", true),
        ("224.0.0.1", true),
        ("127.0.0.1", false),
    ] {
        let limits = Limits { checks: 1, checks_per_target: 1, ..MANY };
        let resolver = Resolver::with_servers(&[]);
        let resolution = resolve::Resolution::new(limits, resolver, Arc::default());
        let mut check = CheckContext::start(job(json!({"to": "a@mx.test", "target": target})));
        match resolution.routes(&mut check).await {
            Ok(routes) => assert!(!forbidden && routes.len() == 1, "{target}: {routes:?}"),
            Err(Stop::Refused(Refusal::Forbidden(Forbidden::Address { .. }))) => assert!(forbidden, "{target}"),
            Err(stop) => panic!("{target}: {stop:?}"),
        }
    }
}

#[tokio::test]
async fn concurrency_limit_rejects_the_next_check_at_once() {
    let silent = listener([127, 0, 0, 1]).await;
    let probe = stack(Limits { checks: 1, ..MANY });
    let first = tokio::spawn(probe.clone().oneshot(silent_check(&silent, 60_000)));
    let _held = silent.accept().await.expect("the first check");
    assert_eq!(probe.clone().oneshot(silent_check(&silent, 60_000)).await.expect_err("refused"), Refusal::Overloaded);
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    let report = probe.oneshot(silent_check(&silent, 100)).await.expect("the permit is free again");
    let failure = report.failure.expect("a failure");
    assert_eq!((failure.phase.name(), failure.kind, report.outcome), ("banner", FailureKind::Timeout, Outcome::Failed));
    assert!(report.metrics.connect_time.is_some() && report.metrics.duration >= 100.0);
}

#[tokio::test(start_paused = true)]
async fn backstop_ends_a_check_that_outlives_its_deadline() {
    let (inner, mut handle) = mock::pair::<CheckJob, Report>();
    handle.allow(1);
    let mut stack = with_limits(MANY, inner.map_err(Refusal::from));
    let started = Deadline::now();
    let call = stack.ready().await.expect("ready").call(job(json!({"to": "a@mx.test"})));
    let _never_answered = handle.next_request().await.expect("the check");
    assert_eq!(call.await.expect_err("no report"), Refusal::Internal);
    assert_eq!(started.elapsed(), MANY.max_timeout + BACKSTOP_TIMEOUT);
}

#[test]
fn an_unknown_error_of_a_layer_is_internal() {
    assert_eq!(Refusal::from(BoxError::from(Refusal::TargetBusy)), Refusal::TargetBusy);
    assert_eq!(Refusal::from(BoxError::from("something else")), Refusal::Internal);
}

/// Checks a server that sends `extra` some time after its reply to EHLO, while the check is held up before its next
/// command.
#[cfg(target_os = "linux")]
async fn told_early(extra: &'static str) -> (Report, Vec<String>) {
    use std::{
        io::{BufRead, BufReader, Write},
        thread,
    };
    const HELD_UP: Duration = Duration::from_millis(300);
    let server = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = server.local_addr().expect("bound").port();
    let commands = thread::spawn(move || {
        let (mut client, _) = server.accept().expect("the check");
        client.write_all(b"220 mx.test\r\n").expect("sent");
        let mut commands = BufReader::new(client.try_clone().expect("a handle")).lines().map_while(Result::ok);
        let mut received: Vec<String> = commands.next().into_iter().collect();
        client.write_all(b"250 mx.test\r\n").expect("sent");
        thread::sleep(HELD_UP / 3);
        client.write_all(extra.as_bytes()).expect("sent");
        received.extend(commands);
        received
    });
    let probe = stack(MANY);
    // Linux begins to stamp some time after the probe has asked it to.
    thread::sleep(HELD_UP);
    let hold_up = PhaseListener::new(|event| {
        if matches!(event, PhaseEvent::Ended(ended) if ended.name == Phase::Ehlo) {
            thread::sleep(HELD_UP);
        }
    });
    let check = job(json!({"to": "a@mx.test", "target": "127.0.0.1", "port": port, "timeout_ms": 9000}));
    let report = probe.oneshot(check.with_observer(hold_up)).await.expect("a report");
    (report, commands.join().expect("no panic"))
}

/// The check does not look before MAIL, which could not make any harm: the stamp of what it reads tells.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reply_that_arrived_before_its_command_is_found_by_its_stamp() {
    let (report, received) = told_early("250 2.1.0 Ok\r\n").await;
    let failure = report.failure.expect("a failure");
    assert_eq!((failure.phase, failure.kind), (Phase::MailFrom, FailureKind::Protocol));
    assert_eq!(failure.message, "the server spoke before MAIL FROM:<> was sent: 250 Ok");
    let last = report.phases.last().expect("phases");
    assert_eq!((last.name, last.time_ms, last.code), (Phase::MailFrom, None, None));
    assert_eq!(received, ["EHLO noit.local", "MAIL FROM:<>"], "no look, and nothing after it");

    let (report, received) = told_early("421 4.3.2 closing\r\n").await;
    let failure = report.failure.expect("a failure");
    assert_eq!((failure.phase, failure.kind, failure.code), (Phase::MailFrom, FailureKind::Rejected, Some(421)));
    let last = report.phases.last().expect("phases");
    assert_eq!((last.name, last.time_ms, last.code), (Phase::MailFrom, None, Some(421)), "rejected, without a time");
    assert_eq!(received, ["EHLO noit.local", "MAIL FROM:<>"]);
}
