//! The scripted SMTP server: compliant replies, actions in their place, and the record of each session.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::client::{Client, blind, strict};
use crate::support::{
    pki::{Ca, Leaf},
    smtpd::{Action, End, Gate, Script, SmtpServer, Step, Tls},
};

async fn greeted(server: &SmtpServer) -> Client {
    let mut client = Client::connect(server.addr()).await;
    assert_eq!(client.read_until("\r\n").await, "220 mx.test ESMTP\r\n");
    client
}

#[tokio::test]
async fn a_compliant_server_takes_a_message_and_records_it() {
    let server = SmtpServer::serve(Script::compliant());
    let mut client = greeted(&server).await;
    let capabilities = client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
    assert_eq!(capabilities.lines().next(), Some("250-mx.test"));
    assert!(capabilities.contains("250-SIZE 10240000\r\n") && !capabilities.contains("STARTTLS"), "{capabilities}");
    client.ask("MAIL FROM:<>", "250 2.1.0 Ok").await;
    client.ask("RCPT TO:<a@mx.test>", "250 2.1.5 Ok").await;
    client.ask("DATA", "354 End data with <CR><LF>.<CR><LF>").await;
    client.send("Subject: x\r\n\r\n..\r\n.").await;
    client.send("\r\n").await;
    client.read_until("queued as 4F2A81234\r\n").await;
    client.ask("quit", "221 2.0.0 Bye").await;
    assert_eq!(client.read().await.expect("FIN, not RST"), b"");
    let peer = client.tcp().local_addr().expect("a connected socket has an address");
    drop(client);

    let session = server.next_session().await;
    assert_eq!(session.end, End::Quit);
    assert_eq!(session.peer, peer);
    assert_eq!(session.commands(), ["EHLO me.test", "MAIL FROM:<>", "RCPT TO:<a@mx.test>", "DATA", "quit"]);
    assert_eq!(session.message.as_deref(), Some(&b"Subject: x\r\n\r\n..\r\n"[..]));
    assert_eq!(session.violations, [""; 0]);
    assert!(session.received.ends_with(b"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nquit\r\n"));
    assert!(session.lines.windows(2).all(|pair| pair[0].at <= pair[1].at && !pair[0].in_tls));
    assert!(session.has_command("QUIT") && !session.has_command("RSET"));
    assert_eq!((session.tls, session.proxy_header), (None, None));
}

#[tokio::test]
async fn an_empty_message_is_one() {
    let server = SmtpServer::serve(Script::compliant());
    for ending in [".\r\n", "\r\n.\r\n"] {
        let mut client = greeted(&server).await;
        client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
        client.ask("MAIL FROM:<>", "250 2.1.0 Ok").await;
        client.ask("RCPT TO:<a@mx.test>", "250 2.1.5 Ok").await;
        client.ask("DATA", "354 End data with <CR><LF>.<CR><LF>").await;
        client.send(ending).await;
        client.read_until("queued as 4F2A81234\r\n").await;
        drop(client);
        let session = server.next_session().await;
        assert_eq!(session.message.as_deref(), ending.strip_suffix(".\r\n").map(str::as_bytes));
        assert_eq!(session.end, End::Eof);
    }
}

#[tokio::test]
async fn credentials_are_verified() {
    let server = SmtpServer::serve(Script::compliant().with_credentials("user", "secret"));
    let mut client = greeted(&server).await;
    client.ask("EHLO me.test", "250 AUTH PLAIN LOGIN").await;
    for (password, verdict) in
        [("wrong", "535 5.7.8 Authentication credentials invalid"), ("secret", "235 2.7.0 Authentication successful")]
    {
        let plain = STANDARD.encode(format!("id\0user\0{password}"));
        client.ask(&format!("AUTH PLAIN {plain}"), verdict).await;
        client.ask("AUTH PLAIN", "334 ").await;
        client.ask(&plain, verdict).await;
        client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
        client.ask(&STANDARD.encode("user"), "334 UGFzc3dvcmQ6").await;
        client.ask(&STANDARD.encode(password), verdict).await;
    }
    client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.ask("*", "501 5.7.0 Authentication cancelled").await;
    client.ask("AUTH LOGIN =", "334 UGFzc3dvcmQ6").await;
    client.ask("no base64", "501 5.5.2 Cannot decode response").await;
    client.ask("AUTH GSSAPI", "504 5.5.4 Unrecognized authentication type").await;
}

#[tokio::test]
async fn a_single_sasl_answer_can_be_replaced() {
    let script =
        Script::compliant().with_credentials("user", "secret").on(Step::SaslResponse(2), "454 4.7.0 not now\r\n");
    let server = SmtpServer::serve(script);
    let mut client = greeted(&server).await;
    client.ask("EHLO me.test", "250 AUTH PLAIN LOGIN").await;
    client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.ask("dXNlcg==", "334 UGFzc3dvcmQ6").await;
    client.ask("c2VjcmV0", "454 4.7.0 not now").await;
}

#[tokio::test]
async fn starttls_upgrades_and_resets_the_session() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name("mx.test"));
    let script = Script::compliant().with_starttls(identity.server_config_tls12()).with_credentials("user", "secret");
    let server = SmtpServer::serve(script.on(Step::EhloTls, "250-mx.test\r\n250 AUTH PLAIN\r\n"));
    let mut client = greeted(&server).await;
    let before = client.ask("EHLO me.test", "250 AUTH PLAIN LOGIN").await;
    assert!(before.contains("250-STARTTLS\r\n"), "{before}");
    client.ask("STARTTLS", "220 2.0.0 Ready to start TLS").await;
    let mut client = client.upgrade(strict(ca.roots()), "mx.test").await.expect("the certificate is good");
    client.ask("MAIL FROM:<>", "503 5.5.1 Bad sequence of commands").await;
    client.ask("EHLO me.test", "250 AUTH PLAIN").await;
    client.ask("QUIT", "221 2.0.0 Bye").await;
    assert_eq!(client.read().await.expect("a close_notify comes before the FIN"), b"");
    drop(client);

    let session = server.next_session().await;
    assert_eq!(session.end, End::Quit);
    assert_eq!(
        session.tls,
        Some(Tls {
            server_name: Some("mx.test".to_owned()),
            version: Some("TLSv1_2".to_owned()),
            client_certificate: None
        })
    );
    assert_eq!(session.commands_in_clear(), ["EHLO me.test", "STARTTLS"]);
    assert_eq!(session.commands().len(), 5);
    assert_eq!(session.violations, ["MailFrom out of order"]);
}

#[tokio::test]
async fn a_handshake_that_the_client_gives_up_is_recorded() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let server = SmtpServer::serve(Script::compliant().with_implicit_tls(&identity));
    let client = Client::connect(server.addr()).await;
    let refused = client.upgrade(strict(Ca::new("Another CA").roots()), "mx.test").await;
    assert_eq!(refused.map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidData));
    let session = server.next_session().await;
    assert!(matches!(session.end, End::Tls(_)), "{:?}", session.end);
    assert_eq!(
        session.tls,
        Some(Tls { server_name: Some("mx.test".to_owned()), version: None, client_certificate: None })
    );
}

#[tokio::test]
async fn a_proxy_header_of_either_version_is_taken_and_recorded() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let server = SmtpServer::serve(Script::compliant().expecting_proxy_header().with_implicit_tls(&identity));
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    second.extend([192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 0, 25]);
    for header in [b"PROXY TCP4 192.0.2.1 192.0.2.2 258 25\r\n".as_slice(), b"PROXY UNKNOWN\r\n", &second] {
        let mut client = Client::connect(server.addr()).await;
        client.send(header).await;
        let mut client = client.upgrade(blind(), "mx.test").await.expect("TLS comes after the header");
        client.read_until("220 mx.test ESMTP\r\n").await;
        client.ask("QUIT", "221 2.0.0 Bye").await;
        drop(client);
        let session = server.next_session().await;
        assert_eq!(session.proxy_header.as_deref(), Some(header));
        assert_eq!(session.received, b"QUIT\r\n");
        assert_eq!(session.end, End::Quit);
    }
    let mut client = Client::connect(server.addr()).await;
    client.send("EHLO without.a.header\r\n").await;
    assert_eq!(client.read().await.expect("FIN"), b"");
    drop(client);
    let session = server.next_session().await;
    assert_eq!((session.proxy_header, session.end), (None, End::Script));
    assert_eq!(session.violations, ["no PROXY header"]);
}

#[tokio::test]
async fn an_empty_script_answers_502() {
    let script = Script::new()
        .with_greeting("220 hi\r\n")
        .on(Step::Ehlo, "250-hi\r\n250 SIZE 1000\r\n")
        .on(Step::MailFrom, "452 4.3.1 full\r\n");
    let server = SmtpServer::serve_at((Ipv6Addr::LOCALHOST, 0).into(), script);
    assert!(server.addr().is_ipv6());
    let mut client = Client::connect(server.addr()).await;
    client.read_until("220 hi\r\n").await;
    client.ask("DATA", "503 5.5.1 Bad sequence of commands").await;
    client.ask("EHLO me.test", "250 SIZE 1000").await;
    client.ask("AUTH PLAIN", "502 5.5.1 Not in the script").await;
    client.ask("MAIL FROM:<>", "452 4.3.1 full").await;
    client.ask("RCPT TO:<a@b.test>", "503 5.5.1 Bad sequence of commands").await;
    client.send("NOOP\n").await;
    client.read_until("502 5.5.1 Not in the script\r\n").await;
    client.ask("QUIT", "221 2.0.0 Bye").await;
    drop(client);
    let session = server.next_session().await;
    let lone_lf = r#"a line without CR LF: "NOOP\n""#;
    assert_eq!(session.violations, ["Data out of order", "RcptTo out of order", lone_lf]);
}

#[tokio::test]
async fn pipelining_before_the_reply_is_a_violation() {
    let server = SmtpServer::serve(Script::compliant());
    let mut client = greeted(&server).await;
    client.send("EHLO me.test\r\nMAIL FROM:<>\r\n").await;
    client.read_until("250 2.1.0 Ok\r\n").await;
    drop(client);
    assert_eq!(server.next_session().await.violations, ["talk before the answer to Ehlo"]);
}

#[tokio::test]
async fn an_action_can_be_delayed() {
    let delay = Duration::from_millis(150);
    let server = SmtpServer::serve(Script::compliant().with_greeting(Action::reply("220 late\r\n").after(delay)));
    let start = Instant::now();
    let mut client = Client::connect(server.addr()).await;
    client.read_until("220 late\r\n").await;
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

#[tokio::test]
async fn every_action_can_be_delayed() {
    let delay = Duration::from_millis(50);
    let server = SmtpServer::serve(Script::compliant().with_delay(delay));
    let begun = Instant::now();
    let mut client = greeted(&server).await;
    client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
    assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gate_holds_clients_until_it_is_open() {
    let gate = Gate::default();
    let server = SmtpServer::serve(Script::compliant().with_greeting(Action::reply("220 hi\r\n").after_gate(&gate)));
    let mut clients = [Client::connect(server.addr()).await, Client::connect(server.addr()).await];
    server.wait_for_held(2).await;
    gate.open();
    for client in &mut clients {
        client.read_until("220 hi\r\n").await;
    }
    Client::connect(server.addr()).await.read_until("220 hi\r\n").await;
}

#[tokio::test]
async fn sessions_can_be_taken_away() {
    let server = SmtpServer::serve(Script::compliant());
    for _ in 0..2 {
        drop(greeted(&server).await);
    }
    server.wait_for_sessions(2).await;
    assert_eq!((server.take_sessions().len(), server.take_sessions().len()), (2, 0));
}

#[tokio::test]
async fn several_servers_share_a_port_on_addresses_of_their_own() {
    let first = SmtpServer::serve(Script::compliant());
    let second = SmtpServer::serve_at(
        (Ipv4Addr::new(127, 0, 0, 2), first.port()).into(),
        Script::new().with_greeting("554 no\r\n"),
    );
    Client::connect(second.addr()).await.read_until("554 no\r\n").await;
    assert_eq!((first.connections(), second.connections()), (0, 1));
}

#[tokio::test]
async fn two_thousand_connections_are_held_at_once() {
    const MANY: usize = 2000;
    let server = SmtpServer::serve(Script::compliant().with_greeting(Action::silence()));
    let mut clients = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        clients.push(Client::connect(server.addr()).await);
    }
    server.wait_for_open(MANY).await;
    assert_eq!((server.connections(), server.sessions().len()), (MANY, 0));
    drop(clients);
    assert!(server.wait_for_sessions(MANY).await.iter().all(|session| session.end == End::Eof));
}

#[tokio::test]
async fn dropping_a_server_ends_its_connections() {
    let server = SmtpServer::serve(Script::compliant().on(Step::Ehlo, Action::silence()));
    let mut client = greeted(&server).await;
    client.send("EHLO me.test\r\n").await;
    server.wait_for_open(1).await;
    let addr = server.addr();
    drop(server);
    assert!(matches!(client.read().await.as_deref(), Ok([]) | Err(_)));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
