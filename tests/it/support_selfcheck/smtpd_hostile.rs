use std::{io, time::Duration};

use socket2::SockRef;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::client::{Client, blind};
use crate::support::{
    pki::{Ca, Leaf},
    smtpd::{Act, End, Script, Smtpd, Step},
};

/// Connects to a server that does this instead of greeting.
async fn met_with(act: impl Into<Act>) -> (Smtpd, Client) {
    let server = Smtpd::serve(Script::polite().greets(act));
    let client = Client::connect(server.addr()).await;
    (server, client)
}

#[tokio::test]
async fn close_is_a_fin_and_reset_is_a_rst() {
    for act in [Act::close(), Act::cut()] {
        let (server, mut client) = met_with(act).await;
        assert_eq!(client.read().await.expect("FIN"), b"");
        drop(client);
        assert_eq!(server.next_session().await.end, End::Script);
    }
    let (server, mut client) = met_with(Act::reply("220 hi\r\n").then(Act::await_client()).then(Act::reset())).await;
    client.read_until("220 hi\r\n").await;
    client.send("EHLO me.test\r\n").await;
    assert_eq!(client.read().await.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    assert_eq!(server.next_session().await.end, End::Script);
}

#[tokio::test]
async fn inside_tls_a_cut_is_a_truncation_and_a_close_is_not() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (act, seen) in [(Act::close(), Ok(Vec::new())), (Act::cut(), Err(io::ErrorKind::UnexpectedEof))] {
        let server = Smtpd::serve(Script::polite().with_implicit_tls(&identity).on(Step::Ehlo, act));
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
        let (server, mut client) = met_with(Act::silence()).await;
        client.send("anybody?").await;
        server.connected(1).await;
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
    let (_server, mut client) = met_with(Act::garbage()).await;
    let bytes = client.read().await.expect("the server writes");
    assert!(std::str::from_utf8(&bytes).is_err() && bytes.ends_with(b"\r\n"), "{bytes:?}");
}

#[tokio::test]
async fn a_drip_comes_whole_and_the_conversation_goes_on() {
    let (server, mut client) = met_with(Act::drip("220-one\r\n220 byte at a time\r\n")).await;
    assert_eq!(client.read_until(" time\r\n").await, "220-one\r\n220 byte at a time\r\n");
    client.ask("QUIT", "221 2.0.0 Bye").await;
    drop(client);
    assert_eq!(server.next_session().await.end, End::Quit);
}

#[tokio::test]
async fn endless_answers_end_with_the_client() {
    const ENOUGH: usize = 1024 * 1024;
    for act in [Act::endless_line("220 "), Act::endless_reply(220)] {
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
    let (_server, mut client) = met_with(Act::many_replies("220 hi\r\n", MEBIBYTE + 1).then(Act::close())).await;
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
async fn bytes_behind_the_starttls_answer_arrive_with_it() {
    let server = Smtpd::serve(Script::polite().on(Step::StartTls, "220 go\r\n250 injected\r\n"));
    let mut client = Client::connect(server.addr()).await;
    client.read_until("220 mx.test ESMTP\r\n").await;
    client.ask("EHLO me.test", "250 ENHANCEDSTATUSCODES").await;
    client.send("STARTTLS\r\n").await;
    assert_eq!(client.read().await.expect("the server writes"), b"220 go\r\n250 injected\r\n");
}

#[tokio::test]
async fn a_handshake_can_be_met_with_garbage_or_an_end() {
    for (act, kind) in [
        (Act::garbage(), io::ErrorKind::InvalidData),
        (Act::close(), io::ErrorKind::UnexpectedEof),
        (Act::reset(), io::ErrorKind::ConnectionReset),
    ] {
        let act = Act::reply("220 go\r\n").then(Act::await_client()).then(act);
        let server = Smtpd::serve(Script::polite().on(Step::StartTls, act));
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
    for (act, reads) in [(Act::silence(), true), (Act::stop_reading(), false)] {
        let script = Script::polite().with_receive_buffer(4096).greets(Act::reply("220 hi\r\n").then(act));
        let server = Smtpd::serve(script);
        let mut client = Client::connect(server.addr()).await;
        client.read_until("220 hi\r\n").await;
        SockRef::from(client.tcp()).set_send_buffer_size(4096).expect("the socket is open");
        let Client::Plain(tcp) = &mut client else { panic!("a plain connection") };
        let patience = Duration::from_millis(if reads { 10_000 } else { 300 });
        assert_eq!(timeout(patience, tcp.write_all(&message)).await.is_ok(), reads);
        assert!(server.sessions().is_empty());
    }
}
