//! Tests that send raw bytes to a running sandbox.

mod client;

use std::{io::ErrorKind, net::Ipv6Addr};

use tokio::io::{AsyncReadExt, BufReader};

use self::client::{Client, connect, handshake, on_a_pipe, tcp};
use super::*;

/// Longer than any answer takes; a test that waits so long has failed.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

async fn sandbox() -> Sandbox {
    Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a loopback port is free")
}

#[tokio::test]
async fn a_message_goes_through() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    assert_eq!(
        client.ask("EHLO noit.local").await,
        "250-mx.sandbox.test greets noit.local\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES\r\n"
    );
    client
        .dialogue(&[
            ("MAIL FROM:<a@b.test> BODY=8BITMIME SIZE=9", "250 2.1.0 "),
            ("RCPT TO:<nobody@b.test>", "550 5.1.1 "),
            ("RCPT TO:<alice@b.test>", "250 2.1.5 "),
            ("RCPT TO:<postmaster>", "250 2.1.5 "),
            ("DATA", "354 "),
        ])
        .await;
    client.send(b"Subject: Testing\n.\n\xff\r\n..x").await;
    client.send(b"\r\n.\r\n").await;
    let queued = client.reply().await;
    assert_eq!(client.ask("QUIT").await, "221 2.0.0 Bye\r\n");
    assert_eq!(client.rest().await, "");

    let delivered = sandbox.delivered();
    assert_eq!(delivered.len(), 1);
    let message = &delivered[0];
    assert_eq!(queued, format!("250 2.0.0 Ok: queued as {}\r\n", message.id));
    assert_eq!(message.content, b"Subject: Testing\n.\n\xff\r\n.x\r\n");
    let envelope = Envelope {
        client: "noit.local".to_owned(),
        tls: false,
        authenticated: false,
        from: "a@b.test".to_owned(),
        parameters: vec!["BODY=8BITMIME".to_owned(), "SIZE=9".to_owned()],
        to: vec!["alice@b.test".to_owned(), "postmaster".to_owned()],
    };
    assert_eq!(message.envelope, envelope);
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    client
        .dialogue(&[
            ("MAIL FROM:<>", "503 5.5.1 "),
            ("RCPT TO:<a@b>", "503 5.5.1 "),
            ("DATA", "503 5.5.1 "),
            ("STARTTLS", "503 5.5.1 "),
            ("AUTH PLAIN", "503 5.5.1 "),
            ("NONSENSE", "500 5.5.2 "),
            ("NOOP", "250 2.0.0 "),
            ("VRFY alice", "252 2.0.0 "),
            ("HELO old.test", "250 mx.sandbox.test greets old.test\r\n"),
            ("AUTH PLAIN", "503 5.5.1 "),
            ("MAIL FROM:<é@b>", "553 5.6.7 "),
            ("MAIL FROM:<>", "250 2.1.0 "),
            ("MAIL FROM:<>", "503 5.5.1 "),
            ("RCPT TO:<é@b>", "553 5.6.7 "),
            ("DATA", "503 5.5.1 "),
            ("RCPT TO:<a@b>", "250 2.1.5 "),
            ("RSET", "250 2.0.0 "),
            ("DATA", "503 5.5.1 "),
            ("EHLO new.test", "250-"),
            ("MAIL FROM:<é@b> SMTPUTF8", "250 2.1.0 "),
            ("RCPT TO:<é@b>", "250 2.1.5 "),
            ("STARTTLS", "503 5.5.1 "),
            ("AUTH PLAIN", "503 5.5.1 "),
            ("EHLO new.test", "250-"),
            ("DATA", "503 5.5.1 "),
        ])
        .await;
    assert!(sandbox.delivered().is_empty());
}

#[tokio::test]
async fn special_recipients_have_their_replies() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    client
        .dialogue(&[
            ("EHLO a.test", "250-"),
            ("MAIL FROM:<>", "250 "),
            ("RCPT TO:<NOBODY@b>", "550 5.1.1 "),
            ("RCPT TO:<later@b>", "451 4.7.1 "),
            ("RCPT TO:<full@b>", "452 4.2.2 "),
        ])
        .await;
    let start = Instant::now();
    assert_eq!(client.ask("RCPT TO:<slow@b>").await, "250 2.1.5 Ok\r\n");
    assert!(start.elapsed() >= Duration::from_millis(740));
    for _ in 1..100 {
        client.dialogue(&[("RCPT TO:<a@b>", "250 ")]).await;
    }
    client.dialogue(&[("RCPT TO:<a@b>", "452 4.5.3 ")]).await;
    client.send("RSET\r\nMAIL FROM:<>\r\nRCPT TO:<hangup@b>\r\n").await;
    assert_eq!(client.rest().await, "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n");
}

#[tokio::test]
async fn a_group_is_answered_in_order() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    client.send("EHLO a.test\r\nMAIL FROM:<>\r\nRCPT TO:<later@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n").await;
    for expected in ["250-", "250 2.1.0 ", "451 4.7.1 ", "250 2.1.5 ", "354 "] {
        assert!(client.reply().await.starts_with(expected));
    }
    client.send("\r\n.\r\nNOOP\r\nQUIT\r\n").await;
    let rest = client.rest().await;
    assert!(rest.starts_with("250 2.0.0 Ok: queued as "), "{rest}");
    assert!(rest.ends_with("\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"));
    assert_eq!(sandbox.delivered()[0].content, b"\r\n");
}

#[tokio::test]
async fn auth_in_every_form() {
    let sandbox = sandbox().await;
    for exchange in [
        &[("AUTH PLAIN AHByb2JlAG9wZW4gc2VzYW1l", "235 2.7.0 ")][..],
        &[("AUTH PLAIN", "334 \r\n"), ("AHByb2JlAG9wZW4gc2VzYW1l", "235 2.7.0 ")],
        &[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
            ("cHJvYmU=", "334 UGFzc3dvcmQ6\r\n"),
            ("b3BlbiBzZXNhbWU=", "235 2.7.0 "),
        ],
        &[("AUTH LOGIN cHJvYmU=", "334 UGFzc3dvcmQ6\r\n"), ("b3BlbiBzZXNhbWU=", "235 2.7.0 ")],
        &[
            ("AUTH PLAIN AHByb2JlAHdyb25n", "535 5.7.8 "),
            ("AUTH PLAIN =", "501 5.5.2 "),
            ("AUTH PLAIN not-base64", "501 5.5.2 "),
            ("AUTH GSSAPI", "504 5.5.4 "),
            ("AUTH LOGIN", "334 "),
            ("*", "501 5.7.0 "),
            ("AUTH LOGIN", "334 "),
            ("cHJvYmU=", "334 "),
            ("d3Jvbmc=", "535 5.7.8 "),
            ("AUTH PLAIN AHByb2JlAG9wZW4gc2VzYW1l", "235 2.7.0 "),
        ],
    ] {
        let mut client = connect(&sandbox).await;
        client.dialogue(&[("EHLO a.test", "250-")]).await;
        client.dialogue(exchange).await;
        client
            .dialogue(&[
                ("AUTH PLAIN", "503 5.5.1 "),
                ("MAIL FROM:<>", "250 "),
                ("RCPT TO:<a@b>", "250 "),
                ("DATA", "354 "),
                (".", "250 2.0.0 Ok: queued as "),
            ])
            .await;
    }
    let delivered = sandbox.delivered();
    assert_eq!(delivered.len(), 5);
    for message in delivered {
        assert!(message.envelope.authenticated && message.content.is_empty());
    }
}

#[tokio::test]
async fn starttls_carries_nothing_over() {
    let sandbox = sandbox().await;
    for name in ["mx.sandbox.test", "localhost", "127.0.0.1", "::1"] {
        let mut client = connect(&sandbox).await;
        client
            .dialogue(&[
                ("EHLO clear.test", "250-"),
                ("AUTH PLAIN AHByb2JlAG9wZW4gc2VzYW1l", "235 "),
                ("STARTTLS", "220 2.0.0 "),
            ])
            .await;
        let stream = handshake(client.0.into_inner(), sandbox.ca_pem(), name).await;
        let mut client = Client(BufReader::new(stream));
        client.dialogue(&[("MAIL FROM:<>", "503 5.5.1 ")]).await;
        let capabilities = client.ask("EHLO tls.test").await;
        assert!(!capabilities.contains("STARTTLS") && capabilities.contains("AUTH PLAIN LOGIN"));
        client
            .dialogue(&[
                ("STARTTLS", "503 5.5.1 "),
                ("MAIL FROM:<>", "250 "),
                ("RCPT TO:<a@b>", "250 "),
                ("DATA", "354 "),
                ("Subject: x\r\n.", "250 "),
                ("QUIT", "221 "),
            ])
            .await;
        assert_eq!(client.rest().await, "");
        let delivered = sandbox.delivered();
        let envelope = &delivered.last().expect("a message").envelope;
        assert!(envelope.tls && !envelope.authenticated && envelope.client == "tls.test");
    }
}

#[tokio::test]
async fn commands_behind_starttls_end_the_connection() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    client.dialogue(&[("EHLO a.test", "250-")]).await;
    client.send("STARTTLS\r\nMAIL FROM:<evil@b>\r\n").await;
    let rest = client.rest().await;
    assert!(rest.starts_with("503 5.5.1 ") && rest.lines().count() == 1);
}

#[tokio::test]
async fn implicit_tls_greets_inside() {
    let sandbox = Sandbox::start(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).await.expect("a loopback port is free");
    assert_eq!(sandbox.smtps_addr().ip(), sandbox.addr().ip());
    let stream = tcp(sandbox.smtps_addr()).await;
    let stream = handshake(stream, sandbox.ca_pem(), "::1").await;
    let mut client = Client::greeted(stream).await;
    client.dialogue(&[("EHLO a.test", "250-"), ("STARTTLS", "503 5.5.1 "), ("QUIT", "221 ")]).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_next_one_taken() {
    let sandbox = sandbox().await;
    let mut client = connect(&sandbox).await;
    client.dialogue(&[("EHLO a.test", "250-")]).await;
    for (octets, expected) in [(MAX_MESSAGE_SIZE + 1, "552 5.3.4 "), (MAX_MESSAGE_SIZE, "250 2.0.0 ")] {
        client.dialogue(&[("MAIL FROM:<>", "250 "), ("RCPT TO:<a@b>", "250 "), ("DATA", "354 ")]).await;
        client.send(vec![b'x'; octets - 2]).await;
        client.dialogue(&[("\r\n.", expected)]).await;
    }
    let delivered = sandbox.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].content.len(), MAX_MESSAGE_SIZE);
}

#[tokio::test]
async fn garbage_is_refused_and_the_sandbox_goes_on() {
    let sandbox = sandbox().await;
    for garbage in [
        &b"\0\xff\xfe\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n",
        &[[b'x'; 60_000].as_slice(), b"\r\n"].concat(),
    ] {
        let mut client = connect(&sandbox).await;
        client.send(garbage).await;
        assert!(client.reply().await.starts_with("500 5.5.2 "));
        client.dialogue(&[("NOOP", "250 2.0.0 ")]).await;
    }
    let mut client = connect(&sandbox).await;
    client.dialogue(&[("EHLO a.test", "250-"), ("STARTTLS", "220 ")]).await;
    client.send("EHLO in.clear\r\n").await;
    let mut alert = Vec::new();
    // Reset or closed, the server has given up on this one.
    let _ = tokio::time::timeout(TEST_TIMEOUT, client.0.read_to_end(&mut alert)).await.expect("the server hangs up");
    assert!(!alert.starts_with(b"250"));
    assert_eq!(connect(&sandbox).await.ask("NOOP").await, "250 2.0.0 Ok\r\n");
}

#[tokio::test]
async fn connections_are_bounded() {
    let sandbox = sandbox().await;
    let mut clients = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        clients.push(connect(&sandbox).await);
    }
    let surplus = Client(BufReader::new(tcp(sandbox.addr()).await));
    assert_eq!(surplus.rest().await, "421 4.3.2 Too many connections\r\n");
    assert_eq!(clients[0].ask("NOOP").await, "250 2.0.0 Ok\r\n");
}

#[tokio::test]
async fn dropping_it_closes_its_connections() {
    let sandbox = sandbox().await;
    let (addr, mut client) = (sandbox.addr(), connect(&sandbox).await);
    client.dialogue(&[("EHLO a.test", "250-"), ("MAIL FROM:<>", "250 ")]).await;
    drop(sandbox);
    assert_eq!(client.rest().await, "");
    let refused = TcpStream::connect(addr).await.expect_err("nothing listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn only_loopback_addresses_are_accepted() {
    for ip in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Sandbox::start(ip.parse().expect("an address")).await;
        assert_eq!(refused.expect_err(ip).kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_gets_421() {
    let told = on_a_pipe(async |client| client.rest_of_pipe().await).await;
    assert_eq!(told, "421 4.4.2 Timeout, closing connection\r\n");
}

#[tokio::test(start_paused = true)]
async fn the_silent_recipient_stays_silent() {
    let start = Instant::now();
    let told = on_a_pipe(async |mut client| {
        client.dialogue(&[("EHLO a.test", "250-"), ("MAIL FROM:<>", "250 ")]).await;
        client.send("RCPT TO:<silent@b>\r\nRSET\r\n").await;
        client.rest_of_pipe().await
    })
    .await;
    assert_eq!(told, "");
    assert_eq!(start.elapsed(), CONNECTION_TIMEOUT);
}
