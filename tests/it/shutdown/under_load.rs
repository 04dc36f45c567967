//! Shutdown with hundreds of checks in flight: one signal, two signals, and SIGKILL.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    app::with_defaults,
    pki::{Ca, Leaf},
    port::Port,
    program::{ServiceProcess, WAIT_TIMEOUT, program, status_and_json},
    smtpd::{Action, End, Gate, Script, SmtpServer, Step},
};

/// Checks in flight at each server.
const CHECKS_PER_SERVER: usize = 75;
/// All checks, at four servers.
const CHECKS: usize = 4 * CHECKS_PER_SERVER;

fn started(listen: &str, grace: &str) -> ServiceProcess {
    let mut command = program(&["serve", "--listen", listen, "--shutdown-grace", grace]);
    command.args(["--max-checks", "1024", "--max-checks-per-target", "1024"]);
    ServiceProcess::start(command)
}

/// Compliant servers, each of which makes every check wait for the gate in another phase.
fn slow_servers(gate: &Gate) -> Vec<(SmtpServer, Value)> {
    let compliant = Script::compliant;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let starttls = Action::reply("220 go\r\n").after_gate(gate).then_tls(&identity);
    let rows = [
        (compliant().with_greeting(Action::reply("220 mx.test\r\n").after_gate(gate)), false),
        (compliant().on(Step::StartTls, starttls), true),
        (compliant().on(Step::RcptTo, Action::reply("250 ok\r\n").after_gate(gate)), false),
        (compliant().on(Step::Body, Action::reply("250 ok\r\n").after_gate(gate)), false),
    ];
    let served = rows.map(|(script, starttls)| {
        let server = SmtpServer::serve(script);
        let check = with_defaults(json!({"port": server.port(), "starttls": starttls, "timeout_ms": 60_000}));
        (server, check)
    });
    served.into()
}

async fn ask(service: &ServiceProcess, check: &Value) -> TcpStream {
    let mut caller = TcpStream::connect(service.address).await.expect("it listens");
    let body = check.to_string();
    let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    caller.write_all(request.as_bytes()).await.expect("the service reads");
    caller
}

/// Starts the checks of each server, and waits until all of them are held.
async fn start_checks(service: &ServiceProcess, servers: &[(SmtpServer, Value)]) -> Vec<TcpStream> {
    let mut callers = Vec::new();
    for (server, check) in servers {
        for _ in 0..CHECKS_PER_SERVER {
            callers.push(ask(service, check).await);
        }
        server.wait_for_held(CHECKS_PER_SERVER).await;
    }
    callers
}

/// Everything received until the service closes the connection, and how it ended.
async fn read_to_end(mut caller: TcpStream) -> (String, std::io::Result<usize>) {
    let mut answer = String::new();
    let end = timeout(WAIT_TIMEOUT, caller.read_to_string(&mut answer)).await.expect("an end in time");
    (answer, end)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_in_flight_finishes_after_sigterm() {
    let (service, gate) = (started("127.0.0.1:0", "1h"), Gate::default());
    let servers = slow_servers(&gate);
    let callers = start_checks(&service, &servers).await;

    service.signal("TERM");
    assert_eq!(service.wait_for_log("shutting down")["running"], CHECKS);
    // The log line comes a moment before the state.
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while status_and_json(&service.get("/readyz", "")).0 == 200 {
        assert!(Instant::now() < deadline, "still ready");
    }
    // Many new requests meanwhile, all of them rejected.
    for (_, check) in servers.iter().cycle().take(CHECKS_PER_SERVER) {
        let (status, problem) = service.post("", check);
        assert_eq!((status, &problem["type"]), (503, &json!("urn:smtp-check:problem:shutting-down")));
    }
    assert_eq!(status_and_json(&service.get("/healthz", "")).0, 200);

    gate.open();
    for caller in callers {
        let (answer, end) = read_to_end(caller).await;
        assert!(end.is_ok(), "{end:?}: {answer}");
        let (status, report) = status_and_json(&answer);
        assert_eq!((status, &report["outcome"]), (200, &json!("delivered")), "{report}");
    }
    for (server, _) in &servers {
        let sessions = server.wait_for_sessions(CHECKS_PER_SERVER).await;
        assert!(sessions.iter().all(|session| session.end == End::Quit && session.violations.is_empty()));
        assert!(sessions.iter().all(|session| session.message.is_some()), "every message came whole");
        assert_eq!(server.connections(), CHECKS_PER_SERVER, "no new check was begun");
    }
    let (code, log) = service.end_with_log();
    assert_eq!(code, 0, "long before the grace was over: {log:#?}");
    assert!(log.last().is_some_and(|line| line.contains("stopped: every check has finished")), "{log:#?}");
}

/// Everything in flight is aborted: the connections of the clients and to the servers end, and the log has the counts.
async fn assert_aborted(service: ServiceProcess, servers: &[(SmtpServer, Value)], callers: Vec<TcpStream>) {
    for caller in callers {
        assert_eq!(read_to_end(caller).await.0, "", "no half of an answer");
    }
    for (server, _) in servers {
        let sessions = server.wait_for_sessions(CHECKS_PER_SERVER).await;
        assert!(sessions.iter().all(|session| matches!(session.end, End::Eof | End::Reset)));
    }
    service.wait_for_log(&format!("stopped: cut off {CHECKS} running checks and {CHECKS} connections"));
    assert_eq!(service.end(), 1);
}

/// Servers that never answer. A session that waits for a gate would not notice that its client disconnects.
fn silent_servers() -> Vec<(SmtpServer, Value)> {
    let silent_at = |step| {
        let server = SmtpServer::serve(Script::compliant().on(step, Action::silence()));
        let check = with_defaults(json!({"port": server.port(), "timeout_ms": 60_000}));
        (server, check)
    };
    [Step::Greeting, Step::Ehlo, Step::RcptTo, Step::Body].map(silent_at).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_longer_than_shutdown_grace_are_aborted_and_counted() {
    let (service, servers) = (started("127.0.0.1:0", "300ms"), silent_servers());
    let callers = start_checks(&service, &servers).await;
    service.signal("TERM");
    assert_aborted(service, &servers, callers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_aborts_all_checks_at_once() {
    for (first, second) in [("INT", "INT"), ("TERM", "INT")] {
        let (service, servers) = (started("127.0.0.1:0", "1h"), silent_servers());
        let callers = start_checks(&service, &servers).await;
        service.signal(first);
        assert_eq!(service.wait_for_log("shutting down")["running"], CHECKS);
        service.signal(second);
        assert_aborted(service, &servers, callers).await;
    }
}

/// The program writes no state, so that nothing can be corrupt; the port is free again, whatever its connections did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_after_sigkill_works_at_once() {
    let listen = format!("127.0.0.1:{}", Port::new().number());
    let servers = silent_servers();
    let compliant = SmtpServer::serve(Script::compliant());
    let check = with_defaults(json!({"port": compliant.port()}));
    for life in 1..=3 {
        let service = started(&listen, "1m");
        assert_eq!(service.post("", &check).0, 200, "in its life number {life}");
        let mut callers = Vec::new();
        for (server, check) in &servers {
            for _ in 0..CHECKS_PER_SERVER {
                callers.push(ask(&service, check).await);
            }
            server.wait_for_open(CHECKS_PER_SERVER).await;
        }
        // Killed with every connection open, and restarted while all clients still hold theirs.
        service.kill();
        let killed = Instant::now();
        let again = started(&listen, "1m");
        assert_eq!(again.post("", &check).0, 200);
        assert!(killed.elapsed() < WAIT_TIMEOUT, "{:?}", killed.elapsed());
        for caller in callers {
            assert_eq!(read_to_end(caller).await.0, "");
        }
        for (server, _) in &servers {
            server.wait_for_sessions(life * CHECKS_PER_SERVER).await;
        }
        again.signal("TERM");
        assert_eq!(again.end(), 0);
    }
}
