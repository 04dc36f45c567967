//! A panic in one check, behind the real router and all layers: its caller gets a 500, all others go on.

use std::{net::SocketAddr, panic, thread, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::*;
use crate::{
    check::{CheckSettings, Modules},
    http::{AccessConfig, AppState, BodyLimits, router, tests::surveyor},
    probe::{
        Limits,
        tests::{SECRET, panicking},
    },
    telemetry::{LogFormat, log_panic, tests::MemoryLog},
};

/// Far longer than any test takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// More panics than checks may run at a time.
const PANICS: usize = 5;

/// A service that runs two checks at once, both of the same address, and panics in those of one port.
async fn start(lifecycle: &Lifecycle, panicking_port: u16) -> SocketAddr {
    let limits = Limits { checks: 2, checks_per_target: 2, max_timeout: TEST_TIMEOUT };
    let budget = ByteBudget::new(2, 1000);
    let probe = panicking(limits, panicking_port);
    let state = AppState {
        surveyor: surveyor(&probe),
        max_domain_checks: 1,
        lifecycle: lifecycle.clone(),
        body_limits: BodyLimits::new(1000, TEST_TIMEOUT, budget.clone()),
        budget: budget.clone(),
        probe,
        modules: crate::http::ModuleStore::new(Modules::none(CheckSettings::new(TEST_TIMEOUT))),
        dropped_lines: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let settings = ServerSettings {
        identity: None,
        max_connections: 16,
        reserved_connections: 32,
        header_timeout: TEST_TIMEOUT,
        body_timeout: TEST_TIMEOUT,
        budget,
        shutdown_grace: TEST_TIMEOUT,
        last_response_timeout: TEST_TIMEOUT,
    };
    let router = router(state, AccessConfig::default()).expect("a document");
    tokio::spawn(serve(listener, router, lifecycle.clone(), std::future::pending(), settings));
    address
}

async fn ask(caller: &mut TcpStream, port: u16) {
    let check = json!({"to": "a@mx.test", "target": "127.0.0.1", "port": port, "sasl_authentication": "plain",
        "sasl_user": "probe", "sasl_password": SECRET});
    let (body, json) = (check.to_string(), "Host: x\r\nContent-Type: application/json");
    let length = body.len();
    let request = format!("POST /v1/checks/smtp HTTP/1.1\r\n{json}\r\nContent-Length: {length}\r\n\r\n{body}");
    caller.write_all(request.as_bytes()).await.expect("sent");
}

/// The next response on a kept connection: its status, and its document.
async fn answer(caller: &mut TcpStream) -> (u16, Value) {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(caller.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("ASCII");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        caller.read_exact(&mut body).await.expect("a body");
        (head[9..12].parse().expect("a status"), serde_json::from_slice(&body).expect("JSON"))
    };
    timeout_at(Instant::now() + TEST_TIMEOUT, read).await.expect("in time")
}

#[tokio::test]
async fn a_panic_in_one_check_is_a_500_for_its_caller_alone() {
    let (lifecycle, lines) = (Lifecycle::default(), MemoryLog::default());
    let mail_server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = mail_server.local_addr().expect("bound").port();
    let panicking_port = port.checked_add(1).unwrap_or(1);
    let _log = tracing::subscriber::set_default(lines.subscriber(LogFormat::Json, false, "info"));
    let address = start(&lifecycle, panicking_port).await;
    let mut other = TcpStream::connect(address).await.expect("a connection");
    ask(&mut other, port).await;
    let (held, _) = mail_server.accept().await.expect("the check");
    let mut unlucky = TcpStream::connect(address).await.expect("a connection");

    // The program's own hook for this thread, the usual one for the threads of other tests.
    let (usual, this) = (panic::take_hook(), thread::current().id());
    panic::set_hook(Box::new(
        move |panic| if thread::current().id() == this { log_panic(panic) } else { usual(panic) },
    ));
    let mut answers = Vec::new();
    for _ in 0..PANICS {
        ask(&mut unlucky, panicking_port).await;
        answers.push(answer(&mut unlucky).await);
    }
    drop(panic::take_hook());

    // No request was refused as overloaded, so each gave its permit back; and all of them had the same connection.
    for (status, problem) in answers {
        assert_eq!((status, &problem["type"]), (500, &json!("urn:smtp-check:problem:internal")), "{problem}");
        assert!(!problem.to_string().contains(SECRET), "{problem}");
    }
    assert_eq!(lifecycle.running(), 1, "the other check goes on");
    ask(&mut unlucky, port).await;
    drop((held, mail_server.accept().await.expect("the next check")));
    for caller in [&mut other, &mut unlucky] {
        let (status, report) = answer(caller).await;
        assert_eq!((status, &report["target"]["port"]), (200, &json!(port)), "{report}");
    }

    let log = lines.text();
    assert!(!log.contains(SECRET), "{log}");
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let panicked: Vec<_> = log.iter().filter(|line| line["message"] == "panicked").collect();
    assert_eq!(panicked.len(), PANICS, "{log:#?}");
    for line in panicked {
        let id = line["span"]["id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        assert!(id.is_some_and(|id| id.get_version_num() == 7), "{line}");
        assert!(line["place"].as_str().is_some_and(|place| place.contains("probe/tests.rs")), "{line}");
    }
}
