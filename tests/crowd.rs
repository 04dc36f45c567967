//! Two thousand checks at once against servers of every kind, by the program itself in a process of its own: every report is right,
//! and afterwards the process is as it was before.
//!
//! A test binary of its own, so that no other test is measured beside it.

#[path = "it/support"]
#[expect(dead_code, unused_imports, reason = "the fixtures are there for all tests, and this is one")]
mod support {
    pub(crate) mod pki;
    pub(crate) mod scratch;
    pub(crate) mod smtpd;
}

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use support::{
    pki::{Ca, Leaf},
    smtpd::{Act, End, Script, Smtpd, Step},
};

/// So many checks at once.
const CROWD: usize = 2000;
/// How long a check may last whose server lets it wait: longer than a crowd needs to get to the phase in question.
const TIMEOUT_MS: u64 = 10_000;
/// How long the service may take to do what it should have done already, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);
/// A check holds some 100 KiB at the worst; a leak of what servers say would be megabytes each.
const MOST_MEMORY_KIB: u64 = 512 * 1024;

/// The program, serving on a free port; killed when dropped.
struct Service {
    child: Child,
    addr: SocketAddr,
    log: Receiver<String>,
}

impl Service {
    fn start() -> Self {
        let places = CROWD.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-check"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SMTP_CHECK_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["serve", "--listen=127.0.0.1:0", "--max-checks", &places, "--max-checks-per-target", &places])
            .args(["--log-format=json", "--header-timeout=60s", "--body-timeout=60s"])
            .env("RUST_LOG", "warn,smtp_check=info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, log) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut service = Self { child, addr: SocketAddr::from(([0, 0, 0, 0], 0)), log };
        service.addr = loop {
            let line = service.log.recv_timeout(PATIENCE).expect("it says where it listens");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if line["message"] == "listening" {
                break line["address"].as_str().and_then(|addr| addr.parse().ok()).expect("an address");
            }
        };
        service
    }

    /// What `/proc` says of the process under this name.
    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("the process lives")
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the process lives").count()
    }

    /// The most memory that it ever had, in KiB.
    fn peak_memory(&self) -> u64 {
        let status = self.proc("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).expect("a figure in kB")
    }

    /// The processor time that it has used, in ticks of 10 ms.
    fn processor_time(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        // utime and stime, counted from the field behind the program's name.
        [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum()
    }

    /// Waits until no more files are open than these.
    async fn lets_go_of_all_but(&self, files: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.open_files() > files {
            assert!(Instant::now() < deadline, "{} files are still open, {files} were before", self.open_files());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for a check; the answer is still to come.
    async fn ask(&self, check: &Value) -> TcpStream {
        ask(self.addr, check).await
    }

    /// Tells the service to stop, and returns its exit code and what else it had to say.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill is there").success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(5));
        };
        (status.code(), self.log.iter().collect())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn ask(addr: SocketAddr, check: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    let body = check.to_string();
    let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nConnection: close";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("the service reads");
    stream
}

/// The report on this connection, which has to come.
async fn report(mut stream: TcpStream) -> Value {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// A kind of server, what is asked of it, and what comes of that: the outcome, or why there is none.
struct Kind {
    name: &'static str,
    server: Smtpd,
    check: Value,
    comes_of_it: Outcome,
}

/// The report's outcome; where it failed, the phase and kind, and whether it is temporary.
type Outcome = Result<&'static str, (&'static str, &'static str, bool)>;

impl Kind {
    /// Whether the server lets a check wait until its time is over.
    fn waits(&self) -> bool {
        matches!(self.comes_of_it, Err((_, "timeout", _)))
    }

    fn is_right(&self, report: &Value) -> bool {
        let (outcome, failure) = (&report["outcome"], &report["failure"]);
        match self.comes_of_it {
            Ok(expected) => outcome == expected && failure.is_null(),
            Err((phase, why, temporary)) => {
                let failed = (&failure["phase"], &failure["kind"], &failure["temporary"]);
                // Not the 100 ms of a service that is left in peace: here four thousand tasks want the same processors.
                let in_time = report["metrics"]["duration"].as_f64().is_some_and(|ms| ms < 1.5 * TIMEOUT_MS as f64);
                let right = outcome == "failed" && failed == (&json!(phase), &json!(why), &json!(temporary));
                right && (in_time || !self.waits())
            }
        }
    }
}

fn kinds() -> Vec<Kind> {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let polite = Script::polite;
    let many = 2 * 1024 * 1024;
    let login = json!({"sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse"});
    let instead_of_hello =
        |act: Act| polite().on(Step::StartTls, Act::reply("220 go\r\n").then(Act::await_client()).then(act));
    let starttls = json!({"starttls": true});
    let keywords: String = (0..1000).map(|number| format!("250-X{number:04}\r\n")).collect();
    let large = json!({"payload": ("x".repeat(70) + "\r\n").repeat(300)});
    let rows: Vec<(_, _, _, Outcome)> = vec![
        ("polite", polite(), json!({}), Ok("delivered")),
        (
            "polite, one byte at a time",
            polite().on(Step::Ehlo, Act::drip("250-mx.test\r\n250 8BITMIME\r\n")),
            json!({}),
            Ok("delivered"),
        ),
        ("polite with TLS", polite().with_starttls(&identity), starttls.clone(), Ok("delivered")),
        (
            "large EHLO",
            polite().on(Step::Ehlo, keywords + "250 LAST\r\n"),
            json!({"stop_after": "ehlo"}),
            Ok("completed"),
        ),
        ("rejecting", polite().on(Step::RcptTo, "550 5.1.1 no\r\n"), json!({}), Err(("rcptto", "rejected", false))),
        ("busy", polite().greets("421 4.3.2 busy\r\n"), json!({}), Err(("banner", "rejected", true))),
        ("silent", Script::new().greets(Act::silence()), json!({}), Err(("banner", "timeout", true))),
        (
            "silent behind MAIL",
            polite().on(Step::MailFrom, Act::silence()),
            json!({}),
            Err(("mailfrom", "timeout", true)),
        ),
        ("silent in the handshake", instead_of_hello(Act::silence()), starttls.clone(), Err(("tls", "timeout", true))),
        ("swallowing", polite().on(Step::Body, Act::silence()), json!({}), Err(("body", "timeout", true))),
        ("hanging up", polite().on(Step::Ehlo, Act::close()), json!({}), Err(("ehlo", "closed", true))),
        ("resetting", polite().on(Step::Data, Act::reset()), json!({}), Err(("data", "closed", true))),
        (
            "resetting the message",
            polite()
                .with_receive_buffer(4096)
                .on(Step::Data, Act::reply("354 go\r\n").then(Act::await_client()).then(Act::reset())),
            large,
            Err(("body", "closed", true)),
        ),
        ("garbage", Script::new().greets(Act::garbage()), json!({}), Err(("banner", "protocol", false))),
        (
            "endless line",
            Script::new().greets(Act::endless_line("220 ")),
            json!({}),
            Err(("banner", "protocol", false)),
        ),
        (
            "endless reply",
            polite().on(Step::RcptTo, Act::endless_reply(250)),
            json!({}),
            Err(("rcptto", "protocol", false)),
        ),
        (
            "endless replies",
            polite().greets(Act::many_replies("220 hi\r\n", many)),
            json!({}),
            Err(("ehlo", "protocol", false)),
        ),
        (
            "endless challenges",
            polite().on(Step::Auth, "334 \r\n").on(Step::SaslResponse(1), "334 \r\n"),
            login,
            Err(("sasl_auth", "rejected", false)),
        ),
        ("garbled handshake", instead_of_hello(Act::garbage()), starttls.clone(), Err(("tls", "tls", false))),
        (
            "endless handshake",
            instead_of_hello(Act::endless_line("\x16\x03\x03")),
            starttls.clone(),
            Err(("tls", "tls", false)),
        ),
        (
            "empty records",
            instead_of_hello(Act::reply(b"\x17\x03\x03\0\0".repeat(10_000))),
            starttls.clone(),
            Err(("tls", "tls", false)),
        ),
        (
            "injecting",
            polite().on(Step::StartTls, "220 go\r\n250 ok\r\n"),
            starttls,
            Err(("starttls", "protocol", false)),
        ),
        ("endless goodbye", polite().on(Step::Quit, Act::endless_line("221 ")), json!({}), Ok("delivered")),
        ("silent goodbye", polite().on(Step::Quit, Act::silence()), json!({}), Ok("delivered")),
        (
            "goodbye before its time",
            polite().on(Step::RcptTo, Act::reply("250 ok\r\n").then(Act::cut())),
            json!({}),
            Err(("data", "closed", true)),
        ),
    ];
    rows.into_iter()
        .map(|(name, script, mut check, comes_of_it)| {
            let server = Smtpd::serve(script);
            let waits = matches!(comes_of_it, Err((_, "timeout", _)));
            let fields = check.as_object_mut().expect("an object");
            fields.insert("to".to_owned(), "probe@example.test".into());
            fields.insert("target".to_owned(), "127.0.0.1".into());
            fields.insert("port".to_owned(), server.port().into());
            // A full minute for whoever has no need to wait: a timeout there would be the crowd's fault.
            fields.insert("timeout_ms".to_owned(), if waits { TIMEOUT_MS } else { 60_000 }.into());
            Kind { name, server, check, comes_of_it }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_checks_at_once() {
    let service = Service::start();
    let kinds = kinds();
    // What is opened once and stays is open now.
    report(service.ask(&kinds[0].check).await).await;
    let idle = timeout(PATIENCE, async {
        // The connection of the first check is closed a moment after its answer.
        let mut before = service.open_files();
        loop {
            sleep(Duration::from_millis(50)).await;
            match service.open_files() {
                same if same == before => break same,
                other => before = other,
            }
        }
    });
    let idle = idle.await.expect("it comes to rest");

    // Those that are to be left waiting go ahead: they have to get to where that is before their time is over.
    let mut asked = JoinSet::new();
    let (waiting, busy): (Vec<_>, Vec<_>) = (0..kinds.len()).partition(|which| kinds[*which].waits());
    for group in [&waiting, &busy] {
        for number in 0..CROWD / kinds.len() * group.len() {
            let (which, addr) = (group[number % group.len()], service.addr);
            let check = kinds[which].check.clone();
            asked.spawn(async move { (which, report(ask(addr, &check).await).await) });
        }
        for which in group.iter().filter(|which| kinds[**which].waits()) {
            kinds[*which].server.connected(CROWD / kinds.len()).await;
        }
    }
    assert_eq!(asked.len(), CROWD);
    let mut wrong = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let (which, report) = answer.expect("every check has a report");
        let kind = &kinds[which];
        if !kind.is_right(&report) {
            wrong.push(format!("{}: {} {} {}", kind.name, report["outcome"], report["failure"], report["metrics"]));
        }
    }
    assert!(wrong.is_empty(), "{} reports are wrong: {wrong:#?}", wrong.len());

    // Every connection is over, at both ends.
    for (which, kind) in kinds.iter().enumerate() {
        let extra = usize::from(which == 0);
        let connections = CROWD / kinds.len() + extra;
        let sessions = kind.server.ended(connections).await;
        assert_eq!((sessions.len(), kind.server.connections()), (connections, connections), "{}", kind.name);
        assert!(sessions.iter().all(|session| session.end != End::Limit), "{}", kind.name);
    }
    service.lets_go_of_all_but(idle).await;

    // Every place is free again, for as many checks more; and they all end when their callers hang up.
    let silent = Smtpd::serve(Script::new().greets(Act::silence()));
    let mut check = kinds[0].check.clone();
    check["port"] = silent.port().into();
    let mut callers = Vec::new();
    for _ in 0..CROWD {
        callers.push(service.ask(&check).await);
    }
    silent.connected(CROWD).await;
    drop(callers);
    silent.ended(CROWD).await;
    service.lets_go_of_all_but(idle).await;

    // And nothing goes on behind the scenes.
    let used = service.processor_time();
    sleep(Duration::from_millis(500)).await;
    let used = service.processor_time() - used;
    assert!(used < 10, "{used} ticks of 10 ms were used for nothing");
    let peak = service.peak_memory();
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");

    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log:#?}");
    let complaints: Vec<_> = log.iter().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
