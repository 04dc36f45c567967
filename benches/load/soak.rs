//! Soak test: the service at its limit for a long time, a third of the servers hostile. No report may be wrong, and
//! nothing may leak.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use crate::{
    caller::{Caller, check},
    figures::{Figures, Times},
    support::{
        pki::Ca,
        process::Process,
        program::{ServiceProcess, program},
        scenarios::{self, Scenario},
        smtpd::{End, SmtpServer},
        temp_dir::TempDir,
    },
};

/// Checks in flight, as many as the limit allows.
const CHECKS: usize = 1024;
/// The delay of healthy servers before each reply, in ms: one server each.
const DELAYS: [u64; 5] = [100, 200, 300, 400, 500];
/// The same for hostile servers: without it their checks would end at once, and nearly all checks would be theirs.
const HOSTILE_DELAY_MS: u64 = 300;
/// A check of a silent server gets five replies first, on a machine that can be busy.
const TIMEOUT_MS: u64 = 10_000;
/// `timeout_ms` of the others: a timeout would be wrong.
const LONG_TIMEOUT_MS: u64 = 60_000;
/// How late, in ms, a check may end after its timeout, or a reply of a healthy server may be measured.
const MAX_LATENESS_MS: f64 = 250.0;
/// The maximum growth of memory after a fifth of the time; a short run is still growing then.
const MAX_MEMORY_GROWTH: f64 = 1.1;
const SHORT_RUN: Duration = Duration::from_secs(300);
/// Maximum number of errors that are shown.
const MAX_SHOWN: usize = 20;

/// A server and its scenario.
#[derive(Debug)]
struct Opened {
    server: SmtpServer,
    scenario: Scenario,
    delay_ms: u64,
    request: Vec<u8>,
}

impl Opened {
    fn new(scenario: Scenario, delay_ms: u64) -> Self {
        let server = SmtpServer::serve(scenario.script.clone().with_delay(Duration::from_millis(delay_ms)));
        let request = check(&scenario.check(&server, if scenario.times_out() { TIMEOUT_MS } else { LONG_TIMEOUT_MS }));
        Self { server, scenario, delay_ms, request }
    }

    /// Sessions of healthy servers with violations or without QUIT, and all that exceeded the limits.
    fn odd_sessions(&self, healthy: bool) -> Vec<String> {
        let sessions = self.server.take_sessions().into_iter();
        let odd = sessions.filter(|session| {
            session.end == End::Limit || healthy && (session.end != End::Quit || !session.violations.is_empty())
        });
        odd.map(|session| format!("{}: {:?}, {:?}", self.scenario.name, session.end, session.violations)).collect()
    }
}

#[derive(Debug, Default)]
struct Tally {
    /// How often the log has the id of a report: there has to be one line for each.
    ids: HashMap<String, u8>,
    hostile: usize,
    wrong: Vec<String>,
    wrong_count: usize,
    durations: Times,
    lateness: Times,
}

impl Tally {
    fn complain(&mut self, complaint: String) {
        self.wrong_count += 1;
        if self.wrong.len() < MAX_SHOWN {
            self.wrong.push(complaint);
        }
    }

    fn take(&mut self, opened: &Opened, report: &Value, healthy: bool) {
        let id = report["id"].as_str().unwrap_or_default().to_owned();
        self.ids.entry(id).or_default();
        self.hostile += usize::from(!healthy);
        if let Some(complaint) = opened.scenario.mismatch(report) {
            self.complain(complaint);
        }
        let duration = report["metrics"]["duration"].as_f64().unwrap_or_default();
        if healthy {
            self.durations.push(duration);
            self.time_phases(opened, report);
        } else if opened.scenario.times_out() {
            self.lateness.push(duration - TIMEOUT_MS as f64);
            if duration < TIMEOUT_MS as f64 {
                self.complain(format!("{}: over after {duration} ms", opened.scenario.name));
            }
        }
    }

    /// A phase with one reply lasts as long as the delay of its server.
    fn time_phases(&mut self, opened: &Opened, report: &Value) {
        for phase in report["phases"].as_array().into_iter().flatten() {
            let one_reply = !phase["code"].is_null() && phase["name"] != "sasl_auth";
            if let Some(time) = phase["time_ms"].as_f64().filter(|_| one_reply) {
                let late = time - opened.delay_ms as f64;
                self.lateness.push(late);
                if late < 0.0 {
                    self.complain(format!("{}: {} took {time} ms", opened.scenario.name, phase["name"]));
                }
            }
        }
    }

    /// Reads log lines: one for each check, and no warning or error.
    fn read_log(&mut self, lines: impl Iterator<Item = String>) {
        for line in lines {
            let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            match (line["level"].as_str(), line["message"].as_str()) {
                (Some("INFO"), Some("checked")) => {
                    let id = line["id"].as_str().unwrap_or_default();
                    *self.ids.entry(id.to_owned()).or_default() += 1;
                }
                (Some("INFO"), _) => {}
                _ => self.complain(format!("logged: {line}")),
            }
        }
    }
}

/// One client after another in one slot: its next check starts when the one before is over.
async fn occupy(
    place: usize,
    service: SocketAddr,
    servers: Arc<Vec<Opened>>,
    healthy: bool,
    end: Instant,
    tally: Arc<Mutex<Tally>>,
) {
    let mut caller = Caller::open(service).await;
    // Not all at once: they would stay in step.
    sleep(Duration::from_millis(place as u64 * 2)).await;
    let mut next = place;
    while Instant::now() < end {
        let opened = &servers[next % servers.len()];
        let answer = caller.ask(&opened.request).await;
        let mut tally = tally.lock().expect("no panic");
        if answer.status == 200 {
            tally.take(opened, &answer.document, healthy);
        } else {
            tally.complain(format!("{}: {} {}", opened.scenario.name, answer.status, answer.document));
        }
        drop(tally);
        next += 1;
    }
}

pub(crate) async fn run(duration: Duration) -> Figures {
    let (ca, scratch) = (Ca::new("Test CA"), TempDir::new());
    let places = CHECKS.to_string();
    let mut command = program(&["serve", "--listen=127.0.0.1:0", "--log-format=json"]);
    command.args(["--max-checks", &places, "--max-checks-per-target", &places]);
    command.arg("--ca-file").arg(ca.write_pem(scratch.path()));
    let service = ServiceProcess::start(command);
    let process = Process::of(service.id());

    let healthy = DELAYS
        .iter()
        .flat_map(|delay| scenarios::healthy(&ca).into_iter().map(|scenario| Opened::new(scenario, *delay)));
    let healthy = Arc::new(healthy.collect::<Vec<_>>());
    let hostile = Arc::new(
        scenarios::hostile(&ca).into_iter().map(|scenario| Opened::new(scenario, HOSTILE_DELAY_MS)).collect::<Vec<_>>(),
    );
    let tally = Arc::new(Mutex::new(Tally::default()));

    // Files that stay open are open now.
    Caller::open(service.address).await.ask(&healthy[0].request).await;
    sleep(Duration::from_secs(2)).await;
    let files_before = process.open_files();
    tally.lock().expect("no panic").read_log(service.log.try_iter());
    tally.lock().expect("no panic").ids.clear();

    let (begun, mut callers) = (Instant::now(), JoinSet::new());
    for place in 0..CHECKS {
        let is_healthy = place % 3 != 0;
        let servers = Arc::clone(if is_healthy { &healthy } else { &hostile });
        callers.spawn(occupy(place, service.address, servers, is_healthy, begun + duration, Arc::clone(&tally)));
    }
    let (mut early, mut late) = (0, 0);
    let mut seconds = interval(Duration::from_secs(1));
    while begun.elapsed() < duration {
        seconds.tick().await;
        late = process.memory();
        if begun.elapsed() < duration / 5 {
            early = late;
        }
        let mut tally = tally.lock().expect("no panic");
        tally.read_log(service.log.try_iter());
        for (servers, is_healthy) in [(&healthy, true), (&hostile, false)] {
            servers.iter().flat_map(|opened| opened.odd_sessions(is_healthy)).for_each(|odd| tally.complain(odd));
        }
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("every caller is answered");
    }
    let lasted = begun.elapsed();
    let processor = process.processor_time() as f64 / 100.0;
    let files_after = wait_for_open_files(process, files_before).await;
    service.signal("TERM");
    let (code, log) = service.end_with_log();
    let mut tally = Arc::into_inner(tally).expect("all callers are gone").into_inner().expect("no panic");
    tally.read_log(log.into_iter());
    for wrong in &tally.wrong {
        eprintln!("{wrong}");
    }
    figures(&tally, lasted, (early, late), (files_before, files_after), processor, code)
}

/// Waits, with a timeout, until at most this many files are open, and returns their number.
async fn wait_for_open_files(process: Process, files: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.open_files() > files && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    process.open_files()
}

fn figures(
    tally: &Tally,
    lasted: Duration,
    memory: (u64, u64),
    files: (usize, usize),
    processor: f64,
    code: i32,
) -> Figures {
    let mut figures = Figures::default();
    let checks = tally.ids.len();
    let not_once = tally.ids.values().filter(|lines| **lines != 1).count();
    let rate = checks as f64 / lasted.as_secs_f64();
    let (early, late) = (memory.0 as f64 / 1024.0, memory.1 as f64 / 1024.0);
    figures.told(
        format!("checks in {:.0} s, {CHECKS} in flight", lasted.as_secs_f64()),
        format!("{checks} ({rate:.0}/s), {} of them of hostile servers", tally.hostile),
    );
    figures.held_to(
        "wrong reports, sessions and log lines",
        tally.wrong_count.to_string(),
        "0",
        tally.wrong_count == 0,
    );
    figures.held_to("checks without their one line in the log", not_once.to_string(), "0", not_once == 0);
    figures.held_to(
        "memory after a fifth of the time, and at the end",
        format!("{early:.1} MiB, {late:.1} MiB"),
        if lasted < SHORT_RUN { "" } else { "≤ 1.1 ×" },
        late <= early * MAX_MEMORY_GROWTH || lasted < SHORT_RUN,
    );
    figures.held_to("open files before and after", format!("{}, {}", files.0, files.1), "no more", files.1 <= files.0);
    figures.told("a healthy server's check, its servers' delays included", tally.durations.shown());
    figures.held_to(
        format!("lateness of {} timed phases and timeouts", tally.lateness.count()),
        tally.lateness.shown(),
        &format!("p99 ≤ {MAX_LATENESS_MS:.0} ms"),
        tally.lateness.percentile(99) <= MAX_LATENESS_MS,
    );
    figures.told("processor time", format!("{processor:.1} s, {:.2} ms per check", processor * 1000.0 / checks as f64));
    figures.held_to("exit code after SIGTERM", code.to_string(), "0", code == 0);
    figures
}
