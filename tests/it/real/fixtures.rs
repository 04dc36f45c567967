//! Tests of the mail servers as fixtures: what a test reads from them is what a client did.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::mta::{Delivered, Ended, Exim, Postfix, free_port};

const MESSAGE: &str = "Subject: as sent\r\n\r\nOne line, grün\r\n..dot\r\n\tend  \r\n";

/// The message in the mailbox: no CR, and without dot-stuffing.
const STORED: &[u8] = "Subject: as sent\n\nOne line, grün\n.dot\n\tend  \n".as_bytes();

/// Sends one mail in clear text after a preface, and returns the last reply to it.
async fn send(port: u16, preface: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the server listens"));
    let body = format!("{MESSAGE}.");
    let commands = ["EHLO noit.local", "MAIL FROM:<>", "RCPT TO:<probe@example.test>", "DATA", &body];
    let mut line = String::new();
    stream.write_all(preface.as_bytes()).await.expect("the preface goes out");
    for command in std::iter::once(None).chain(commands.map(Some)) {
        if let Some(command) = command {
            stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("a command goes out");
        }
        loop {
            line.clear();
            stream.read_line(&mut line).await.expect("a reply");
            assert!(line.starts_with(['2', '3']), "{command:?}: {line:?}");
            if !line[3..].starts_with('-') {
                break;
            }
        }
    }
    line.trim_end().to_owned()
}

fn fields(delivered: &Delivered) -> Vec<&str> {
    delivered.trace.lines().filter(|line| !line.starts_with('\t')).filter_map(|line| line.split(':').next()).collect()
}

#[tokio::test]
async fn postfix_keeps_a_message_as_it_was_sent() {
    let postfix = Postfix::start(None).await;
    let reply = send(postfix.plain(), "").await;
    let queue_id = reply.strip_prefix("250 2.0.0 Ok: queued as ").expect("Postfix's words");
    let delivered = postfix.delivered(queue_id).await;
    assert_eq!(fields(&delivered), ["Return-Path", "X-Original-To", "Delivered-To", "Received"]);
    assert_eq!(delivered.message, STORED);
}

#[tokio::test]
async fn exim_keeps_a_message_as_it_was_sent() {
    let exim = Exim::start(None).await;
    let reply = send(exim.plain(), "").await;
    let queue_id = reply.strip_prefix("250 OK id=").expect("Exim's words");
    let delivered = exim.delivered(queue_id).await;
    assert_eq!(fields(&delivered), ["Return-path", "Received"]);
    assert_eq!(delivered.message, STORED);
}

#[tokio::test]
async fn both_servers_log_the_client_of_the_proxy_header() {
    let (postfix, exim) = tokio::join!(Postfix::start(None), Exim::start(None));
    send(postfix.proxy(), "PROXY TCP4 203.0.113.7 192.0.2.1 5555 25\r\n").await;
    send(exim.proxy(), "PROXY TCP6 2001:db8::7 2001:db8::1 5555 25\r\n").await;
    assert!(postfix.wait_for_log("client=").await.ends_with("[203.0.113.7]:5555"));
    let line = exim.wait_for_log("<= <>").await;
    assert!(line.contains("H=(noit.local) [2001:db8::7]:5555 P=esmtp PRX=127.0.0.1"), "{line}");
}

#[tokio::test]
async fn dropping_a_server_ends_it_and_no_other() {
    let (one, other) = tokio::join!(Postfix::start(None), Postfix::start(None));
    let (gone, there) = (one.plain(), other.plain());
    drop(one);
    // Its master is dead by now; a child that shares the socket can live a moment longer.
    let closed = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, gone)).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(40), closed).await.expect("the end of all its processes");
    TcpStream::connect((Ipv4Addr::LOCALHOST, there)).await.expect("the other lives");
}

#[tokio::test]
async fn a_taken_port_is_noticed_at_once() {
    let taken = free_port();
    let port = taken.local_addr().expect("the address of a bound socket").port();
    let postfix = Postfix::start_on([port; 7], None).await;
    assert!(matches!(postfix, Err(Ended { .. })), "{postfix:?}");
    let exim = Exim::start_on([port; 4], None).await;
    assert!(matches!(exim, Err(Ended { .. })), "{exim:?}");
}
