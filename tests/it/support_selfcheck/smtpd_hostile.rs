//! The scripted SMTP server as a hostile one: closed connections, garbage, endless and unsolicited replies.

use std::{io, time::Duration};

use socket2::SockRef;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::client::{Client, blind};
use crate::support::{
    pki::{Ca, Leaf},
    smtpd::{Action, End, Script, SmtpServer, Step},
};

/// Connects to a server with this action in place of the greeting.
async fn met_with(act: impl Into<Action>) -> (SmtpServer, Client) {
    let server = SmtpServer::serve(Script::compliant().with_greeting(act));
    let client = Client::connect(server.addr()).await;
    (server, client)
}

#[tokio::test]
async fn close_is_a_fin_and_reset_is_a_rst() {
    for act in [Action::close(), Action::fin()] {
        let (server, mut client) = met_with(act).await;
        assert_eq!(client.read().await.expect("FIN"), b"");
        drop(client);
        assert_eq!(server.next_session().await.end, End::Script);
    }
    let (server, mut client) =
        met_with(Action::reply("220 hi\r\n").then(Action::wait_for_client()).then(Action::reset())).await;
    client.read_until("220 hi\r\n").await;
    client.send("EHLO me.test\r\n").await;
    assert_eq!(client.read().await.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    assert_eq!(server.next_session().await.end, End::Script);
}

#[tokio::test]
async fn inside_tls_fin_is_a_truncation_and_close_is_not() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (act, seen) in [(Action::close(), Ok(Vec::new())), (Action::fin(), Err(io::ErrorKind::UnexpectedEof))] {
        let server = SmtpServer::serve(Script::compliant().with_implicit_tls(&identity).on(Step::Ehlo, act));
        let mut client = Client::connect(server.addr())
            .await
            .upgrade(blind(), "mx.test")
            .await
            .expect("a blind client takes anything");
        client.read_until("220 mx.test ESMTP\r\n").await;
        client.send("EHLO me.test\r\n").await;
        assert_eq!(client.read().await.map_err(|error| error.kind()), seen);
    }
}

#[tokio::test]
async fn silence_records_on_and_tells_eof_from_reset() {
    for (linger, end) in [(None, End::Eof), (Some(Duration::ZERO), End::Reset)] {
        let (server, mut client) = met_with(Action::silence()).await;
        client.send("anybody?").await;
        server.wait_for_open(1).await;
        if linger.is_none() {
            let Client::Plain(tcp) = &mut client else { panic!("a plain connection") };
            tcp.shutdown().await.expect("the server reads");
        }
        SockRef::from(client.tcp()).set_linger(linger).expect("the socket is open");
        drop(client);
        let session = server.next_session().await;
        assert_eq!(session.end, end);
        assert!(end == End::Reset || session.received == b"anybody?");
    }
}

#[tokio::test]
async fn garbage_is_neither_smtp_nor_utf8() {
    let (_server, mut client) = met_with(Action::garbage()).await;
    let bytes = client.read().await.expect("the server writes");
    assert!(std::str::from_utf8(&bytes).is_err() && bytes.ends_with(b"\r\n"), "{bytes:?}");
}

#[tokio::test]
async fn byte_by_byte_sends_the_whole_reply() {
    let (server, mut client) = met_with(Action::byte_by_byte("220-one\r\n220 byte at a time\r\n")).await;
    assert_eq!(client.read_until(" time\r\n").await, "220-one\r\n220 byte at a time\r\n");
    client.ask("QUIT", "221 2.0.0 Bye").await;
    drop(client);
    assert_eq!(server.next_session().await.end, End::Quit);
}

#[tokio::test]
async fn endless_answers_end_with_the_client() {
    const ENOUGH: usize = 1024 * 1024;
    for act in [Action::endless_line("220 "), Action::endless_reply(220)] {
        let (server, mut client) = met_with(act).await;
        let mut all = Vec::new();
        while all.len() < ENOUGH {
            all.extend(client.read().await.expect("there is no end"));
        }
        assert!(all.starts_with(b"220"));
        let lines = all.iter().filter(|&&byte| byte == b'\n').count();
        let continued = all.windows(5).filter(|window| window == b"\n220-").count();
        assert!(lines == 0 || (lines > 1000 && continued + 1 >= lines), "{lines} lines, {continued} of them continued");
        drop(client);
        assert_eq!(server.next_session().await.end, End::Reset);
    }
}

#[tokio::test]
async fn many_replies_are_as_many_bytes_as_asked_for() {
    const MEBIBYTE: usize = 1024 * 1024;
    let (_server, mut client) = met_with(Action::many_replies("220 hi\r\n", MEBIBYTE + 1).then(Action::close())).await;
    let mut all = Vec::new();
    loop {
        let bytes = client.read().await.expect("FIN");
        if bytes.is_empty() {
            break;
        }
        all.extend(bytes);
    }
    assert!(all.len() > MEBIBYTE && all.len() < MEBIBYTE + 64 * 1024, "{}", all.len());
    assert!(all.chunks(8).all(|reply| reply == b"220 hi\r\n"));
}

#[tokio::test]
async fn bytes_after_the_starttls_reply_arrive_with_it() {
    let server = SmtpServer::serve(Script::compliant().on(Step::StartTls, "220 go\r\n250 injected\r\n"));
    let mut client = Client::connect(server.addr()).await;
    client.read_until("220 mx.test ESMTP\r\n").await;
    client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
    client.send("STARTTLS\r\n").await;
    assert_eq!(client.read().await.expect("the server writes"), b"220 go\r\n250 injected\r\n");
}

#[tokio::test]
async fn a_handshake_can_be_answered_with_garbage_or_close() {
    for (act, kind) in [
        (Action::garbage(), io::ErrorKind::InvalidData),
        (Action::close(), io::ErrorKind::UnexpectedEof),
        (Action::reset(), io::ErrorKind::ConnectionReset),
    ] {
        let act = Action::reply("220 go\r\n").then(Action::wait_for_client()).then(act);
        let server = SmtpServer::serve(Script::compliant().on(Step::StartTls, act));
        let mut client = Client::connect(server.addr()).await;
        client.read_until("220 mx.test ESMTP\r\n").await;
        client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
        client.ask("STARTTLS", "220 go").await;
        let failed = client.upgrade(blind(), "mx.test").await;
        assert_eq!(failed.map(|_| ()).map_err(|error| error.kind()), Err(kind));
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_blocks_the_client() {
    let message = vec![b'x'; 1024 * 1024];
    for (act, reads) in [(Action::silence(), true), (Action::stop_reading(), false)] {
        let script = Script::compliant().with_receive_buffer(4096).with_greeting(Action::reply("220 hi\r\n").then(act));
        let server = SmtpServer::serve(script);
        let mut client = Client::connect(server.addr()).await;
        client.read_until("220 hi\r\n").await;
        SockRef::from(client.tcp()).set_send_buffer_size(4096).expect("the socket is open");
        let Client::Plain(tcp) = &mut client else { panic!("a plain connection") };
        let patience = Duration::from_millis(if reads { 40_000 } else { 300 });
        assert_eq!(timeout(patience, tcp.write_all(&message)).await.is_ok(), reads);
        assert!(server.sessions().is_empty());
    }
}
