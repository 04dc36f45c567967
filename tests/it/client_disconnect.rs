//! A client that disconnects ends its check at once: the connection to the mail server is closed and the limit is
//! released.

use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::support::{
    app::TestApp,
    dns::{DnsServer, Zone},
    smtpd::{Script, SmtpServer},
};

/// Much longer than the end of a check takes, and much shorter than the check would run.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);
/// Interval between two looks at a state that sends no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// When the client disconnects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Banner,
    Handshake,
    Rcpt,
    /// The server does not read, and the message is partly written.
    Message,
    /// The server has read the message and has not replied.
    Verdict,
}

/// Accepts one client, brings it to this moment, and sends nothing more.
async fn bring_to(moment: Moment, listener: &TcpListener) -> BufReader<TcpStream> {
    let (tcp, _) = listener.accept().await.expect("a client");
    let mut tcp = BufReader::new(tcp);
    if moment == Moment::Handshake {
        tcp.read_u8().await.expect("a ClientHello");
    }
    if matches!(moment, Moment::Banner | Moment::Handshake) {
        return tcp;
    }
    tcp.write_all(b"220 mx.test\r\n").await.expect("the client reads");
    let mut line = String::new();
    loop {
        line.clear();
        tcp.read_line(&mut line).await.expect("the client writes text");
        let verb = line.get(..4).unwrap_or_default();
        if verb == "DATA" {
            tcp.write_all(b"354 go on\r\n").await.expect("the client reads");
        } else if (verb, moment) == ("RCPT", Moment::Rcpt)
            || (verb, moment) == ("line", Moment::Message)
            || line == ".\r\n"
        {
            return tcp;
        } else if ["EHLO", "MAIL", "RCPT"].contains(&verb) {
            tcp.write_all(b"250 ok\r\n").await.expect("the client reads");
        }
    }
}

/// Waits for the end of a connection, and discards what is still received.
async fn ends(tcp: &mut BufReader<TcpStream>) {
    let mut rest = Vec::new();
    // FIN or RST: that depends on what was in flight.
    let end = timeout(WAIT_TIMEOUT, tcp.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection outlives its caller");
}

/// The one check of `max_checks(1)` is over: the next check is run. It is requested again and again, because the mail
/// server can see the end of its connection a moment before the limit is released.
async fn accepts_next_check(app: &TestApp) {
    let server = SmtpServer::serve(Script::compliant());
    let check = super::support::app::with_defaults(json!({"port": server.port()}));
    let free = async {
        loop {
            let answer = app.post(&check).await;
            if answer.status != 503 {
                return answer;
            }
            sleep(POLL_INTERVAL).await;
        }
    };
    let answer = timeout(WAIT_TIMEOUT, free).await.expect("the place is given back");
    assert_eq!(answer.json()["outcome"], "delivered");
    assert_eq!(app.lifecycle.running(), 0);
}

async fn hangs_up(moment: Moment, parameters: Value, hang_up: fn(TcpStream)) {
    let app = TestApp::builder().max_checks(1).start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut check = parameters;
    check["port"] = listener.local_addr().expect("bound").port().into();
    check["timeout_ms"] = 60_000.into();
    let caller = app.start_check(check).await;
    let mut server = timeout(WAIT_TIMEOUT, bring_to(moment, &listener)).await.expect("the check gets there");
    assert_eq!(app.lifecycle.running(), 1);
    hang_up(caller);
    ends(&mut server).await;
    accepts_next_check(&app).await;
}

fn by_fin(caller: TcpStream) {
    drop(caller);
}

fn by_rst(caller: TcpStream) {
    SockRef::from(&caller).set_linger(Some(Duration::ZERO)).expect("the socket is open");
    drop(caller);
}

#[tokio::test]
async fn disconnect_ends_the_check_in_every_phase() {
    let message = json!({"payload": "line of a message\r\n".repeat(40_000)});
    for (moment, parameters) in [
        (Moment::Banner, json!({})),
        (Moment::Handshake, json!({"implicit_tls": true})),
        (Moment::Rcpt, json!({})),
        (Moment::Message, message.clone()),
        (Moment::Verdict, message),
    ] {
        for hang_up in [by_fin, by_rst] {
            hangs_up(moment, parameters.clone(), hang_up).await;
        }
    }
}

#[tokio::test]
async fn disconnect_during_name_resolution_ends_the_check() {
    let dns = DnsServer::serve(Zone::new().silent("mx.test"));
    let app = TestApp::builder().max_checks(1).dns_server(dns.addr()).start().await;
    let caller = app.start_check(json!({"target": "mx.test", "timeout_ms": 60_000})).await;
    let asked = async {
        while dns.queries().is_empty() {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(WAIT_TIMEOUT, asked).await.expect("the name is asked for");
    drop(caller);
    accepts_next_check(&app).await;
}

/// Some clients send an extra line after the body, or the next request before they have the response (pipelining).
/// Others send more than the service reads ahead, or than the system holds.
#[tokio::test]
async fn disconnect_after_extra_bytes_ends_the_check() {
    let next = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    for more in ["\r\n", next, &"G".repeat(60 * 1024), &next.repeat(5000), &"G".repeat(9_000_000)] {
        let app = TestApp::builder().max_checks(1).start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let mut caller = app.start_check(json!({"port": port, "timeout_ms": 60_000})).await;
        caller.write_all(more.as_bytes()).await.expect("the service reads");
        let mut server =
            timeout(WAIT_TIMEOUT, bring_to(Moment::Banner, &listener)).await.expect("the check gets there");
        drop(caller);
        ends(&mut server).await;
        accepts_next_check(&app).await;
    }
}

/// `GET /probe` reads no body, so what the caller sends of one lies before the hang-up.
#[tokio::test]
async fn disconnect_after_an_unread_body_ends_the_check() {
    for sent in [10, 300_000, 1_000_000] {
        for hang_up in [by_fin, by_rst] {
            let app = TestApp::builder().max_checks(1).start().await;
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let mut caller = TcpStream::connect(app.addr()).await.expect("a connection");
            let head = format!(
                "GET /probe?target=127.0.0.1:{port} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n{}",
                "x".repeat(sent)
            );
            caller.write_all(head.as_bytes()).await.expect("the service reads");
            let mut server =
                timeout(WAIT_TIMEOUT, bring_to(Moment::Banner, &listener)).await.expect("the check gets there");
            hang_up(caller);
            ends(&mut server).await;
            accepts_next_check(&app).await;
        }
    }
}
