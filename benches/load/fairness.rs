//! Fairness: how a thousand stuck checks slow down other checks, and how fast a service at its limit rejects.
//!
//! Two services, one of them idle, get requests in turn: other load on the machine slows down both.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    caller::{Caller, HEALTH, Response, check},
    figures::{Figures, Times},
    support::{
        program::{ServiceProcess, program},
        smtpd::{Action, Script, SmtpServer},
    },
};

/// Checks that never end, and how many of them at one address: the default of `--max-checks-per-target`.
const STUCK_CHECKS: usize = 1000;
const STUCK_PER_ADDRESS: usize = 16;
/// The default of `--max-checks`.
const MAX_CHECKS: usize = 1024;
/// Healthy checks of each service.
const CHECKS_PER_SERVICE: usize = 3000;
/// Clients that send requests to a service at its limit, and for how long.
const CLIENTS: usize = 64;
const RUSH_DURATION: Duration = Duration::from_secs(3);
/// How much slower than the idle service the other one may be.
const MAX_SLOWDOWN: f64 = 2.0;

/// A service with the default limits.
fn service() -> ServiceProcess {
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--log-format=json", "--max-timeout=10m"]);
    command.env("RUST_LOG", "warn,smtp_check::cli=info");
    ServiceProcess::start(command)
}

fn parameters(server: &SmtpServer) -> Value {
    let addr = server.addr();
    json!({"to": "probe@example.test", "target": addr.ip().to_string(), "port": addr.port(), "timeout_ms": 600_000})
}

/// Checks that never end, and their servers.
struct StuckChecks {
    servers: Vec<SmtpServer>,
    callers: Vec<Caller>,
}

impl StuckChecks {
    async fn begin(service: SocketAddr, checks: usize, first_address: [u8; 4]) -> Self {
        let silent = |number: usize| {
            let address =
                Ipv4Addr::from(u32::from(Ipv4Addr::from(first_address)) + u32::try_from(number).expect("few"));
            SmtpServer::serve_at((address, 0).into(), Script::new().with_greeting(Action::silence()))
        };
        let servers: Vec<_> = (0..checks.div_ceil(STUCK_PER_ADDRESS)).map(silent).collect();
        let mut callers = Vec::new();
        for number in 0..checks {
            let mut caller = Caller::open(service).await;
            caller.send(&check(&parameters(&servers[number / STUCK_PER_ADDRESS]))).await;
            callers.push(caller);
        }
        for (number, server) in servers.iter().enumerate() {
            server.wait_for_held((checks - number * STUCK_PER_ADDRESS).min(STUCK_PER_ADDRESS)).await;
        }
        Self { servers, callers }
    }
}

async fn delivered(caller: &mut Caller, request: &[u8]) -> f64 {
    let Response { status, document, ms, .. } = caller.ask(request).await;
    assert_eq!((status, &document["outcome"]), (200, &json!("delivered")), "{document}");
    ms
}

/// Sends requests to both services in turn.
async fn in_turn(idle: SocketAddr, other: SocketAddr, request: &[u8]) -> (Times, Times) {
    let (mut idle, mut other) = (Caller::open(idle).await, Caller::open(other).await);
    let (mut idle_times, mut other_times) = (Times::default(), Times::default());
    for round in 0..CHECKS_PER_SERVICE + 100 {
        let (calm, busy) = (delivered(&mut idle, request).await, delivered(&mut other, request).await);
        // The first requests warm the caches.
        if round >= 100 {
            idle_times.push(calm);
            other_times.push(busy);
        }
    }
    (idle_times, other_times)
}

/// Many clients at once, each of which repeats its request as soon as it is rejected. Every response has this status
/// and a `Retry-After`.
fn rush(service: SocketAddr, request: Vec<u8>, status: u16) -> JoinSet<Times> {
    let mut callers = JoinSet::new();
    for _ in 0..CLIENTS {
        let request = request.clone();
        callers.spawn(async move {
            let (mut caller, mut times, begun) = (Caller::open(service).await, Times::default(), Instant::now());
            while begun.elapsed() < RUSH_DURATION {
                let answer = caller.ask(&request).await;
                assert!(answer.status == status && answer.retry_after.is_some_and(|seconds| seconds > 0), "{answer:?}");
                times.push(answer.ms);
            }
            times
        });
    }
    callers
}

async fn all(mut callers: JoinSet<Times>) -> Times {
    let mut times = Times::default();
    while let Some(caller) = callers.join_next().await {
        times.extend(caller.expect("no panic"));
    }
    times
}

fn ratio(figures: &mut Figures, what: &str, calm: &Times, busy: &Times) {
    figures.told(format!("{what}: idle service"), calm.shown());
    figures.told(format!("{what}: the other service"), busy.shown());
    let (p50, p99) = (busy.percentile(50) / calm.percentile(50), busy.percentile(99) / calm.percentile(99));
    let goal = format!("p99 ≤ {MAX_SLOWDOWN} ×");
    figures.held_to(format!("{what}: ratio"), format!("p50 {p50:.2} ×, p99 {p99:.2} ×"), &goal, p99 <= MAX_SLOWDOWN);
}

pub(crate) async fn measure() -> Figures {
    let mut figures = Figures::default();
    let (idle, other) = (service(), service());
    let healthy = SmtpServer::serve(Script::compliant());
    let request = check(&parameters(&healthy));

    let (calm, also_calm) = in_turn(idle.address, other.address, &request).await;
    ratio(&mut figures, "nothing stuck", &calm, &also_calm);

    let stuck = StuckChecks::begin(other.address, STUCK_CHECKS, [127, 0, 1, 1]).await;
    let (calm, busy) = in_turn(idle.address, other.address, &request).await;
    ratio(
        &mut figures,
        &format!("{STUCK_CHECKS} checks stuck at {} silent servers", stuck.servers.len()),
        &calm,
        &busy,
    );

    // One of the silent servers is at its limit.
    let full = check(&parameters(&stuck.servers[0]));
    let refused = rush(other.address, full, 429);
    let mut caller = Caller::open(other.address).await;
    let mut meanwhile = Times::default();
    while meanwhile.count() < 200 {
        meanwhile.push(delivered(&mut caller, &request).await);
    }
    let refused = all(refused).await;
    figures.told(format!("429 to {CLIENTS} callers that ask on and on, {} of them", refused.count()), refused.shown());
    figures.told("a healthy server's check meanwhile", meanwhile.shown());

    let more = StuckChecks::begin(other.address, MAX_CHECKS - STUCK_CHECKS, [127, 0, 2, 1]).await;
    let refused = rush(other.address, request, 503);
    let mut health = Times::default();
    while !refused.is_empty() && health.count() < 200 {
        let answer = caller.ask(HEALTH).await;
        assert_eq!(answer.status, 200);
        health.push(answer.ms);
    }
    let refused = all(refused).await;
    figures.told(
        format!("503 to {CLIENTS} callers of a service at its limit, {} of them", refused.count()),
        refused.shown(),
    );
    figures.told("/healthz meanwhile", health.shown());
    drop((stuck.callers, more.callers));
    figures
}
