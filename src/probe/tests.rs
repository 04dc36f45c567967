//! The layers one by one, each over a mock of what lies below it, and then the stack.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::Semaphore};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use super::{failover::Failover, per_target::PerTargetLayer, resolve::Resolve, *};
use crate::{
    destination::policy::Forbidden,
    report::{FailureKind, Outcome, Via, fold::fold, journal::Heading},
    tls::TrustAnchors,
};

fn check(fields: serde_json::Value) -> Arc<Check> {
    let serde_json::Value::Object(fields) = fields else { panic!("an object") };
    Arc::new(Check::parse(fields.into_iter().collect(), Duration::from_secs(60)).expect("a check"))
}

fn underway(check: Arc<Check>) -> CheckContext {
    let heading = Heading {
        id: Uuid::nil(),
        started_at: OffsetDateTime::UNIX_EPOCH,
        started: Instant::now(),
        host: "mx.test".to_owned(),
        port: 25,
        via: Via::Request,
        transcript: false,
    };
    let deadline = Deadline::now() + check.timeout;
    CheckContext { check, caller: None, journal: Journal::new(heading), deadline }
}

fn route(address: &str) -> Route {
    let address: SocketAddr = address.parse().expect("an address");
    Route {
        host: "mx.test".to_owned(),
        address: TargetPolicy::default().admit_literal().address(address).expect("admitted"),
    }
}

fn visit(address: &str) -> Visit {
    let underway = underway(check(json!({"to": "a@mx.test"})));
    Visit { connect_by: underway.deadline, underway, route: route(address) }
}

fn report(journal: Journal) -> Report {
    fold(journal, Instant::now())
}

fn unreached(visit: Visit) -> Visited {
    let failure = Failure::new(crate::phase::Phase::Connect, FailureKind::Refused, "refused");
    let began = Instant::now();
    Visited::Unreached(visit.underway, Unreached { began, answered: Some(began), failure })
}

/// Makes a service ready and calls it, so that the call is below before this returns.
async fn call<S: Service<R, Error = Refusal>, R>(service: &mut S, request: R) -> S::Future {
    service.ready().await.expect("ready").call(request)
}

#[tokio::test]
async fn an_address_has_so_many_places() {
    let (below, mut handle) = mock::pair::<Visit, Visited>();
    let mut service = PerTargetLayer::new(2).layer(below.map_err(Refusal::from));
    handle.allow(9);
    let first = call(&mut service, visit("127.0.0.1:25")).await;
    // The port does not count, and a clone shares the count.
    let second = call(&mut service.clone(), visit("127.0.0.1:587")).await;
    let (arrived, answer) = handle.next_request().await.expect("the first");
    let third = call(&mut service, visit("127.0.0.1:25")).await;
    assert_eq!(third.await.expect_err("refused"), Refusal::TargetBusy);
    drop(call(&mut service, visit("127.0.0.2:25")).await);

    answer.send_response(Visited::Over(arrived.underway.journal));
    assert!(matches!(first.await, Ok(Visited::Over(_))));
    let _freed_by_an_answer = call(&mut service, visit("127.0.0.1:25")).await;
    assert_eq!(call(&mut service, visit("127.0.0.1:25")).await.await.expect_err("refused"), Refusal::TargetBusy);
    drop(second);
    let freed_by_a_hang_up = call(&mut service, visit("127.0.0.1:25")).await;
    drop(freed_by_a_hang_up);
}

#[tokio::test]
async fn the_next_address_is_tried_until_one_is_reached() {
    let (below, mut handle) = mock::pair::<Visit, Visited>();
    let mut service = Failover::new(below.map_err(Refusal::from));
    handle.allow(9);
    let unresolved = Attempt { host: "mx0.test".to_owned(), address: None, error: "no address".to_owned() };
    let routes =
        vec![Err(unresolved.clone()), Ok(route("127.0.0.1:25")), Ok(route("127.0.0.2:25")), Ok(route("127.0.0.3:25"))];
    let routed = Routed { underway: underway(check(json!({"to": "a@mx.test", "timeout_ms": 9000}))), routes };
    let journal = tokio::spawn(call(&mut service, routed).await);

    let (first, answer) = handle.next_request().await.expect("the first");
    let share = first.connect_by.saturating_duration_since(Deadline::now());
    assert!(share <= Duration::from_secs(3), "a third of the time, and no more: {share:?}");
    answer.send_response(unreached(first));
    let (second, answer) = handle.next_request().await.expect("the second");
    assert_eq!(second.route.address.socket_addr().ip().to_string(), "127.0.0.2");
    answer.send_response(Visited::Over(second.underway.journal));

    let report = report(journal.await.expect("no panic").expect("a journal"));
    let tried: Vec<_> =
        report.target.attempts.iter().map(|attempt| (attempt.address, attempt.error.as_str())).collect();
    assert_eq!(tried, [(None, "no address"), (Some([127, 0, 0, 1].into()), "refused")]);
    assert_eq!(report.failure, None);
}

#[tokio::test]
async fn the_last_attempt_stands_for_the_check() {
    let (below, mut handle) = mock::pair::<Visit, Visited>();
    let mut service = Failover::new(below.map_err(Refusal::from));
    handle.allow(9);
    let routed =
        Routed { underway: underway(check(json!({"to": "a@mx.test"}))), routes: vec![Ok(route("127.0.0.1:25"))] };
    let journal = tokio::spawn(call(&mut service, routed).await);
    let (first, answer) = handle.next_request().await.expect("the first");
    assert_eq!(first.connect_by, first.underway.deadline, "one address may take all the time");
    answer.send_response(unreached(first));
    let report = report(journal.await.expect("no panic").expect("a journal"));
    assert_eq!(report.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!((report.target.address, report.target.attempts.len()), (None, 1));
    assert_eq!((report.phases.len(), report.phases[0].ok), (1, false));
    assert!(report.metrics.connect_time.is_some(), "a refusal is an answer");
}

#[tokio::test]
async fn what_the_policy_forbids_never_gets_below() {
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
        let (below, mut handle) = mock::pair::<Routed, Journal>();
        let resolver = Resolver::with_servers(&[]).expect("a resolver");
        let limits = Limits { checks: 1, checks_per_target: 1, max_timeout: Duration::from_secs(60) };
        let mut service = Resolve::new(resolver, Arc::default(), limits, below.map_err(Refusal::from));
        handle.allow(1);
        let call =
            tokio::spawn(call(&mut service, underway(check(json!({"to": "a@mx.test", "target": target})))).await);
        if forbidden {
            let refusal = call.await.expect("no panic").expect_err("refused");
            assert!(matches!(refusal, Refusal::Forbidden(Forbidden::Address { .. })), "{target}: {refusal:?}");
        } else {
            let (routed, _answer) = handle.next_request().await.expect("let through");
            assert_eq!(routed.routes.len(), 1, "{target}");
        }
    }
}

fn stack(limits: Limits) -> Probe {
    let resolver = Resolver::with_servers(&[]).expect("a resolver");
    probe(limits, resolver, Arc::default(), TlsClient::new(TrustAnchors::none()))
}

/// On this port the conversation of [`panicking`] does.
pub(crate) const PANICKING: u16 = 1;
/// What the words of its panic hold.
pub(crate) const SECRET: &str = "hunter2";

/// All layers around a conversation that panics in the middle; on other ports it ends once it may.
pub(crate) fn panicking(limits: Limits, may_finish: Arc<Semaphore>) -> Probe {
    let conversation = service_fn(move |visit: Visit| {
        let may_finish = Arc::clone(&may_finish);
        async move {
            tokio::task::yield_now().await;
            if visit.route.address.socket_addr().port() == PANICKING {
                panic!("the password is {}", String::from(SECRET));
            }
            may_finish.acquire().await.expect("never closed").forget();
            Ok(Visited::Over(visit.underway.journal))
        }
    });
    around(conversation, limits, Resolver::with_servers(&[]).expect("a resolver"), Arc::default())
}

/// A check of a server on this port that accepts and never says anything.
fn silent_check(port: u16, timeout_ms: u64) -> CheckJob {
    let fields = json!({"to": "a@mx.test", "target": "127.0.0.1", "port": port, "timeout_ms": timeout_ms});
    CheckJob { id: Uuid::now_v7(), check: check(fields), caller: None, listener: None, parent: None }
}

#[tokio::test]
async fn one_check_more_than_the_house_holds_is_refused_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let probe = stack(Limits { checks: 1, checks_per_target: 9, max_timeout: Duration::from_secs(60) });
    let first = tokio::spawn(probe.clone().oneshot(silent_check(port, 60_000)));
    let _held = silent.accept().await.expect("the first check");
    assert_eq!(probe.clone().oneshot(silent_check(port, 60_000)).await.expect_err("refused"), Refusal::Overloaded);
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    let report = probe.oneshot(silent_check(port, 100)).await.expect("a place is free again");
    let failure = report.failure.expect("a failure");
    assert_eq!((failure.phase.name(), failure.kind, report.outcome), ("banner", FailureKind::Timeout, Outcome::Failed));
    assert!(report.metrics.connect_time.is_some() && report.metrics.duration >= 100.0);
}

#[test]
fn what_is_not_ours_is_stuck() {
    assert_eq!(Refusal::from(tower::BoxError::from(Refusal::TargetBusy)), Refusal::TargetBusy);
    assert_eq!(Refusal::from(tower::BoxError::from("something else")), Refusal::Internal);
}
