//! Two thousand checks at once against servers of every scenario, by the program itself in a process of its own: every report is right,
//! and afterwards the process is as it was before.
//!
//! A test binary of its own, so that no other test is measured beside it.

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

/// So many checks at once, or a few less: each scenario of server gets the same share.
const CROWD: usize = 2000;
/// How long a check may last whose server lets it wait: longer than it needs to get to the phase in question.
const TIMEOUT_MS: u64 = 10_000;
/// For the others: a timeout there would be the crowd's fault.
const LONG_MS: u64 = 60_000;
/// How long the service may take to do what it should have done already, on a machine under load.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// A check holds some 100 KiB at the worst; a leak of what servers say would be megabytes each.
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

/// The report on this connection; where none comes, what came instead.
async fn report(mut stream: TcpStream) -> Result<Value, String> {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    if read.is_err() || !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("no report: {read:?} {answer:?}"));
    }
    Ok(status_and_json(&answer).1)
}

/// How slow the service is in the midst of it all: the longest time that it took to say that it is alive.
struct Pulse {
    slowest_ms: Arc<AtomicU64>,
    feeling: JoinHandle<()>,
}

impl Pulse {
    fn feel(addr: SocketAddr) -> Self {
        let slowest_ms = Arc::new(AtomicU64::new(0));
        let slowest = Arc::clone(&slowest_ms);
        let feeling = tokio::spawn(async move {
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
        Self { slowest_ms, feeling }
    }

    fn slowest_ms(&self) -> u64 {
        self.slowest_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.feeling.abort();
    }
}

/// What is wrong with a report: it is not the server's, or it came too late for a check whose time was over. A machine under load
/// lets every task wait; how long, the pulse tells.
fn complaint(scenario: &Scenario, report: &Value, pulse_ms: u64) -> Option<String> {
    let late = report["metrics"]["duration"].as_f64().expect("always there") - TIMEOUT_MS as f64;
    let is_late = scenario.times_out() && late > 1000.0 + 2.0 * pulse_ms as f64;
    let wrong = scenario.mismatch(report);
    wrong.or_else(|| is_late.then(|| format!("{}: {late} ms late: {report}", scenario.name)))
}

/// Waits until no more files are open than these.
async fn lets_go_of_all_but(process: Process, files: usize) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while process.open_files() > files {
        assert!(Instant::now() < deadline, "{} files are still open, {files} were before", process.open_files());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the process does nothing for half a second. What it has to clear away it may clear away first.
async fn comes_to_rest(process: Process) {
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
    let (places, authority) = (CROWD.to_string(), ca.write_pem(scratch.path()));
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--log-format=json"]);
    command.args(["--max-checks", &places, "--max-checks-per-target", &places]);
    command.args(["--header-timeout=60s", "--body-timeout=60s", "--ca-file"]).arg(authority);
    ServiceProcess::start(command)
}

/// How many files are open once that no longer changes.
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
    scenario.check(server, if scenario.times_out() { TIMEOUT_MS } else { LONG_MS })
}

/// Asks for so many checks of each scenario, all at once, and gives each scenario's number with what came. Those that are to be left waiting
/// go ahead: they have to get to where that is before their time is over.
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
    let each = CROWD / scenarios.len();

    // What is opened once and stays is open now. The connection of this first check is closed a moment after its answer.
    report(ask(addr, &check_of(&scenarios[0])).await).await.expect("a first report");
    let idle = timeout(WAIT_TIMEOUT, open_files_at_rest(process)).await.expect("it comes to rest");

    let pulse = Pulse::feel(addr);
    let answers = answers_of_all(addr, &scenarios, each).await;
    assert_eq!(answers.len(), each * scenarios.len());
    let pulse_ms = pulse.slowest_ms();
    drop(pulse);
    let complaints = answers.iter().filter_map(|(which, answer)| {
        let scenario = &scenarios[*which].1;
        answer.as_ref().map_or_else(
            |lost| Some(format!("{}: {lost}", scenario.name)),
            |report| complaint(scenario, report, pulse_ms),
        )
    });
    let complaints: Vec<_> = complaints.collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    assert!(complaints.is_empty(), "{} are wrong; pulse {pulse_ms} ms, load {load}: {complaints:#?}", complaints.len());

    // Every connection is over, at both ends.
    for (which, (server, scenario)) in scenarios.iter().enumerate() {
        let connections = each + usize::from(which == 0);
        let sessions = server.wait_for_sessions(connections).await;
        assert_eq!((sessions.len(), server.connections()), (connections, connections), "{}", scenario.name);
        assert!(sessions.iter().all(|session| session.end != End::Limit), "{}", scenario.name);
    }
    lets_go_of_all_but(process, idle).await;

    // Every place is free again, for as many checks more; and they all end when their callers hang up.
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let mut check = check_of(&scenarios[0]);
    check["port"] = json!(silent.port());
    let mut callers = Vec::new();
    for _ in 0..CROWD {
        callers.push(ask(addr, &check).await);
    }
    silent.wait_for_open(CROWD).await;
    drop(callers);
    silent.wait_for_sessions(CROWD).await;
    lets_go_of_all_but(process, idle).await;

    // And nothing goes on behind the scenes.
    comes_to_rest(process).await;
    let peak = process.peak_memory();
    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");

    service.signal("TERM");
    let (code, log) = service.end_with_log();
    assert_eq!(code, 0, "{log:#?}");
    let complaints: Vec<_> = log.iter().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
