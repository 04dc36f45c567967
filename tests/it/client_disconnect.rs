//! A caller that hangs up ends its check at once: the mail server sees the end of the connection, and the check's place is free again.

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

/// Far longer than an end may take, and far shorter than the check would go on.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked again for what tells nobody.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Where the caller hangs up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Banner,
    Handshake,
    Rcpt,
    /// The server reads slowly, and the message is stuck half-way.
    Message,
    /// The server has read the message and thinks about it.
    Verdict,
}

/// A mail server that is met by one client, brings it to this moment, and says nothing more.
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

/// Waits for the end of a connection, however much was under way before it.
async fn ends(tcp: &mut BufReader<TcpStream>) {
    let mut rest = Vec::new();
    // Whether it ends by FIN or by RST depends on what was under way.
    let end = timeout(WAIT_TIMEOUT, tcp.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection outlives its caller");
}

/// The one check of `max_checks(1)` is over: the next check is run. It is requested again and again, because the mail server can see the
/// end of its connection a moment before the limit is released.
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
async fn to_hang_up_ends_the_check_wherever_it_is() {
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
async fn to_hang_up_while_the_name_is_looked_up_ends_the_check() {
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

/// Some clients write a line too many behind the body; some send the next request before they have this one's answer.
#[tokio::test]
async fn to_hang_up_behind_more_bytes_than_the_request_ends_the_check() {
    for more in ["\r\n", "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"] {
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
