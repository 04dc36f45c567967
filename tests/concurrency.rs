//! Two thousand checks at once of servers of every scenario, by the program in a process of its own: every report is
//! right, and afterwards the process uses as much as before.
//!
//! A test binary of its own, so that no other test runs beside it.

#[path = "it/support"]
#[expect(dead_code, unused_imports, reason = "the fixtures are there for all tests, and this is one")]
mod support {
    pub(crate) mod pki;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod scenarios;
    pub(crate) mod smtpd;
    pub(crate) mod temp_dir;
}

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use support::{
    pki::Ca,
    process::Process,
    program::{ServiceProcess, program, status_and_json},
    scenarios::{self, Scenario},
    smtpd::{Action, End, Script, SmtpServer},
    temp_dir::TempDir,
};

/// Checks at once, rounded down to the same number for each scenario.
const CHECKS: usize = 2000;
/// `timeout_ms` of checks that end by it: longer than they need to reach their phase.
const TIMEOUT_MS: u64 = 10_000;
/// `timeout_ms` of the others: a timeout would be an effect of the load.
const LONG_TIMEOUT_MS: u64 = 600_000;
/// Timeout for what the service should have done already, on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// A check uses at most about 100 KiB; a leak of server replies would be megabytes each.
const MAX_MEMORY_KIB: u64 = 512 * 1024;

async fn ask(addr: SocketAddr, check: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    let body = check.to_string();
    let head =
        "POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("the service reads");
    stream
}

/// The report on this connection, or what came instead.
async fn report(mut stream: TcpStream) -> Result<Value, String> {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    if read.is_err() || !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("no report: {read:?} {answer:?}"));
    }
    Ok(status_and_json(&answer).1)
}

/// How slow the service is under this load: the longest time of a response of `/healthz`.
struct HealthMonitor {
    slowest_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl HealthMonitor {
    fn start(addr: SocketAddr) -> Self {
        let slowest_ms = Arc::new(AtomicU64::new(0));
        let slowest = Arc::clone(&slowest_ms);
        let task = tokio::spawn(async move {
            loop {
                let asked = Instant::now();
                let mut stream = TcpStream::connect(addr).await.expect("a connection");
                let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                stream.write_all(request).await.expect("the service reads");
                stream.read_to_end(&mut Vec::new()).await.expect("an answer");
                let ms = u64::try_from(asked.elapsed().as_millis()).expect("a short time");
                slowest.fetch_max(ms, Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
            }
        });
        Self { slowest_ms, task }
    }

    fn slowest_ms(&self) -> u64 {
        self.slowest_ms.load(Ordering::Relaxed)
    }
}

impl Drop for HealthMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error in a report: it is not the expected one, or it came too late after its timeout. On a busy machine every
/// task is late; the slowest health response shows by how much.
fn error_of(scenario: &Scenario, report: &Value, slowest_ms: u64) -> Option<String> {
    let late = report["metrics"]["duration"].as_f64().expect("always there") - TIMEOUT_MS as f64;
    let is_late = scenario.times_out() && late > 1000.0 + 2.0 * slowest_ms as f64;
    let wrong = scenario.mismatch(report);
    wrong.or_else(|| is_late.then(|| format!("{}: {late} ms late: {report}", scenario.name)))
}

/// Waits until at most this many files are open.
async fn wait_for_open_files(process: Process, files: usize) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while process.open_files() > files {
        assert!(Instant::now() < deadline, "{} files are still open, {files} were before", process.open_files());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the process is idle for half a second. It can first finish its cleanup.
async fn wait_until_idle(process: Process) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        let used = process.processor_time();
        sleep(Duration::from_millis(500)).await;
        let used = process.processor_time() - used;
        if used < 10 {
            return;
        }
        assert!(Instant::now() < deadline, "{used} ticks of 10 ms were used for nothing");
    }
}

fn start(ca: &Ca, scratch: &TempDir) -> ServiceProcess {
    let (places, authority) = (CHECKS.to_string(), ca.write_pem(scratch.path()));
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--log-format=json"]);
    command.args(["--max-checks", &places, "--max-checks-per-target", &places]);
    command.args(["--max-timeout=10m", "--header-timeout=10m", "--body-timeout=10m", "--ca-file"]).arg(authority);
    ServiceProcess::start(command)
}

/// The number of open files, when it no longer changes.
async fn open_files_at_rest(process: Process) -> usize {
    let mut before = process.open_files();
    loop {
        sleep(Duration::from_millis(50)).await;
        match process.open_files() {
            same if same == before => return same,
            other => before = other,
        }
    }
}

fn check_of((server, scenario): &(SmtpServer, Scenario)) -> Value {
    scenario.check(server, if scenario.times_out() { TIMEOUT_MS } else { LONG_TIMEOUT_MS })
}

/// Requests this many checks of each scenario at once, and returns the index of the scenario with each result. Those
/// that end by timeout start first: they have to reach their phase before that.
async fn answers_of_all(
    addr: SocketAddr,
    scenarios: &[(SmtpServer, Scenario)],
    each: usize,
) -> Vec<(usize, Result<Value, String>)> {
    let mut asked = JoinSet::new();
    let (waiting, busy): (Vec<_>, Vec<_>) = (0..scenarios.len()).partition(|which| scenarios[*which].1.times_out());
    for group in [&waiting, &busy] {
        for number in 0..each * group.len() {
            let which = group[number % group.len()];
            let check = check_of(&scenarios[which]);
            asked.spawn(async move { (which, report(ask(addr, &check).await).await) });
        }
        for (server, _) in group.iter().map(|which| &scenarios[*which]).filter(|(_, scenario)| scenario.times_out()) {
            server.wait_for_held(each).await;
        }
    }
    let mut answers = Vec::new();
    while let Some(answer) = asked.join_next().await {
        answers.push(answer.expect("no panic"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_checks_at_once() {
    let (ca, scratch) = (Ca::new("Test CA"), TempDir::new());
    let service = start(&ca, &scratch);
    let (addr, process) = (service.address, Process::of(service.id()));
    let scenarios: Vec<_> = scenarios::all(&ca)
        .into_iter()
        .map(|scenario| (SmtpServer::serve(scenario.script.clone()), scenario))
        .collect();
    let each = CHECKS / scenarios.len();

    // Files that stay open are open now. The connection of this first check is closed a moment after its response.
    report(ask(addr, &check_of(&scenarios[0])).await).await.expect("a first report");
    let idle = timeout(WAIT_TIMEOUT, open_files_at_rest(process)).await.expect("it comes to rest");

    let monitor = HealthMonitor::start(addr);
    let answers = answers_of_all(addr, &scenarios, each).await;
    assert_eq!(answers.len(), each * scenarios.len());
    let slowest_ms = monitor.slowest_ms();
    drop(monitor);
    let errors = answers.iter().filter_map(|(which, answer)| {
        let scenario = &scenarios[*which].1;
        answer.as_ref().map_or_else(
            |lost| Some(format!("{}: {lost}", scenario.name)),
            |report| error_of(scenario, report, slowest_ms),
        )
    });
    let errors: Vec<_> = errors.collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    assert!(
        errors.is_empty(),
        "{} are wrong; slowest health response {slowest_ms} ms, load {load}: {errors:#?}",
        errors.len()
    );

    // Every connection is closed, at both ends.
    for (which, (server, scenario)) in scenarios.iter().enumerate() {
        let connections = each + usize::from(which == 0);
        let sessions = server.wait_for_sessions(connections).await;
        assert_eq!((sessions.len(), server.connections()), (connections, connections), "{}", scenario.name);
        assert!(sessions.iter().all(|session| session.end != End::Limit), "{}", scenario.name);
    }
    wait_for_open_files(process, idle).await;

    // Every slot is free again for as many checks; and they all end when their clients disconnect.
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let mut check = check_of(&scenarios[0]);
    check["port"] = json!(silent.port());
    let mut callers = Vec::new();
    for _ in 0..CHECKS {
        callers.push(ask(addr, &check).await);
    }
    silent.wait_for_open(CHECKS).await;
    drop(callers);
    silent.wait_for_sessions(CHECKS).await;
    wait_for_open_files(process, idle).await;

    // Nothing runs in the background.
    wait_until_idle(process).await;
    let peak = process.peak_memory();
    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");

    service.signal("TERM");
    let (code, log) = service.end_with_log();
    assert_eq!(code, 0, "{log:#?}");
    let errors: Vec<_> = log.iter().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
