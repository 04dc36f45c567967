//! What the others notice when a thousand checks are stuck, and how soon a full house says no.
//!
//! Two houses side by side, one of them idle, are asked in turn: what else the machine does slows both of them.

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

/// Checks that never end, and so many of them at one address, which is what `--max-checks-per-target` allows unless told otherwise.
const STUCK: usize = 1000;
const STUCK_PER_ADDRESS: usize = 16;
/// What `--max-checks` allows unless told otherwise.
const HOUSE: usize = 1024;
/// Healthy checks of each house.
const ROUNDS: usize = 3000;
/// Callers that come to a full house, again and again for so long.
const CROWD: usize = 64;
const RUSH: Duration = Duration::from_secs(3);
/// By how much a stuck house may be slower than an idle one.
const FAIR: f64 = 2.0;

/// A service with the program's own limits.
fn house() -> ServiceProcess {
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--log-format=json", "--max-timeout=10m"]);
    command.env("RUST_LOG", "warn,smtp_check::cli=info");
    ServiceProcess::start(command)
}

fn parameters(server: &SmtpServer) -> Value {
    let addr = server.addr();
    json!({"to": "probe@example.test", "target": addr.ip().to_string(), "port": addr.port(), "timeout_ms": 600_000})
}

/// Checks that hang, with the servers that let them.
struct StuckChecks {
    servers: Vec<SmtpServer>,
    callers: Vec<Caller>,
}

impl StuckChecks {
    async fn begin(house: SocketAddr, checks: usize, first_address: [u8; 4]) -> Self {
        let silent = |number: usize| {
            let address =
                Ipv4Addr::from(u32::from(Ipv4Addr::from(first_address)) + u32::try_from(number).expect("few"));
            SmtpServer::serve_at((address, 0).into(), Script::new().with_greeting(Action::silence()))
        };
        let servers: Vec<_> = (0..checks.div_ceil(STUCK_PER_ADDRESS)).map(silent).collect();
        let mut callers = Vec::new();
        for number in 0..checks {
            let mut caller = Caller::open(house).await;
            caller.say(&check(&parameters(&servers[number / STUCK_PER_ADDRESS]))).await;
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

/// Asks both houses in turn.
async fn in_turn(idle: SocketAddr, other: SocketAddr, request: &[u8]) -> (Times, Times) {
    let (mut idle, mut other) = (Caller::open(idle).await, Caller::open(other).await);
    let (mut idle_times, mut other_times) = (Times::default(), Times::default());
    for round in 0..ROUNDS + 100 {
        let (calm, busy) = (delivered(&mut idle, request).await, delivered(&mut other, request).await);
        // The first ones warm the caches.
        if round >= 100 {
            idle_times.push(calm);
            other_times.push(busy);
        }
    }
    (idle_times, other_times)
}

/// Many callers at once, each of whom asks again as soon as it is refused. Every answer is this status, with a time to come again.
fn rush(house: SocketAddr, request: Vec<u8>, status: u16) -> JoinSet<Times> {
    let mut callers = JoinSet::new();
    for _ in 0..CROWD {
        let request = request.clone();
        callers.spawn(async move {
            let (mut caller, mut times, begun) = (Caller::open(house).await, Times::default(), Instant::now());
            while begun.elapsed() < RUSH {
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
    figures.told(format!("{what}: idle house"), calm.shown());
    figures.told(format!("{what}: the other house"), busy.shown());
    let (p50, p99) = (busy.percentile(50) / calm.percentile(50), busy.percentile(99) / calm.percentile(99));
    let goal = format!("p99 ≤ {FAIR} ×");
    figures.held_to(format!("{what}: ratio"), format!("p50 {p50:.2} ×, p99 {p99:.2} ×"), &goal, p99 <= FAIR);
}

pub(crate) async fn measure() -> Figures {
    let mut figures = Figures::default();
    let (idle, other) = (house(), house());
    let healthy = SmtpServer::serve(Script::compliant());
    let request = check(&parameters(&healthy));

    let (calm, also_calm) = in_turn(idle.address, other.address, &request).await;
    ratio(&mut figures, "nothing stuck", &calm, &also_calm);

    let stuck = StuckChecks::begin(other.address, STUCK, [127, 0, 1, 1]).await;
    let (calm, busy) = in_turn(idle.address, other.address, &request).await;
    ratio(&mut figures, &format!("{STUCK} checks stuck at {} silent servers", stuck.servers.len()), &calm, &busy);

    // One of the silent servers has its fill.
    let full = check(&parameters(&stuck.servers[0]));
    let refused = rush(other.address, full, 429);
    let mut caller = Caller::open(other.address).await;
    let mut meanwhile = Times::default();
    while meanwhile.count() < 200 {
        meanwhile.push(delivered(&mut caller, &request).await);
    }
    let refused = all(refused).await;
    figures.told(format!("429 to {CROWD} callers that ask on and on, {} of them", refused.count()), refused.shown());
    figures.told("a healthy server's check meanwhile", meanwhile.shown());

    let more = StuckChecks::begin(other.address, HOUSE - STUCK, [127, 0, 2, 1]).await;
    let refused = rush(other.address, request, 503);
    let mut health = Times::default();
    while !refused.is_empty() && health.count() < 200 {
        let answer = caller.ask(HEALTH).await;
        assert_eq!(answer.status, 200);
        health.push(answer.ms);
    }
    let refused = all(refused).await;
    figures.told(format!("503 to {CROWD} callers of a full house, {} of them", refused.count()), refused.shown());
    figures.told("/healthz meanwhile", health.shown());
    drop((stuck.callers, more.callers));
    figures
}
