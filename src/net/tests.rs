//! The stamps of a connection, from Linux over loopback. The runtime is blocked on purpose: what arrives meanwhile is
//! read late.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{TimestampingFlag, setsockopt, sockopt};

use super::{
    dial::Dial,
    stream::Stream,
    tcp::{KeepStamping, TcpConnection},
};
use crate::{destination::policy::TargetPolicy, phase::Clock};

/// Far longer than loopback takes, and far shorter than [`BLOCKED`].
const SOON: Duration = Duration::from_millis(100);
const BLOCKED: Duration = Duration::from_millis(400);

/// A server that does this with its first client.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (port, thread::spawn(move || serve(listener.accept().expect("a client").0)))
}

async fn connect(port: u16) -> TcpConnection {
    let policy = TargetPolicy::default();
    let address = policy.admit_literal().address((Ipv4Addr::LOCALHOST, port).into()).expect("admitted");
    Dial::prepare(address, None).expect("a socket").connect().await.expect("a connection")
}

/// The greeting may have been read when the connection was established.
async fn read_greeting(stream: &mut Stream) {
    if stream.unread().is_empty() {
        assert!(stream.read().await.expect("read"));
    }
}

fn send(mut client: &TcpStream, text: &str) {
    client.write_all(text.as_bytes()).expect("sent");
}

/// One line: two commands can come in one segment.
fn receive(mut client: &TcpStream) {
    let mut octet = [0];
    while octet != *b"\n" {
        client.read_exact(&mut octet).expect("received");
    }
}

/// Linux begins to stamp some time after it is asked to: connects until a greeting has a stamp.
async fn stamping() -> KeepStamping {
    let keep = KeepStamping::start();
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        let (port, server) = server(|client| send(&client, "220 mx.test\r\n"));
        let mut stream = Stream::plain(connect(port).await);
        read_greeting(&mut stream).await;
        server.join().expect("no panic");
        if stream.arrived().clock == Clock::Kernel {
            return keep;
        }
        assert!(Instant::now() < until, "Linux stamps nothing");
    }
}

#[tokio::test]
async fn bytes_arrive_when_the_kernel_stamped_them() {
    let _stamping = stamping().await;
    let (port, server) = server(|client| {
        send(&client, "220 mx.test\r\n");
        receive(&client);
        send(&client, "250-mx.test\r\n");
        thread::sleep(SOON);
        send(&client, "250 SIZE\r\n");
        receive(&client);
    });
    let began = Instant::now();
    // The process knows late of both, the connection and the greeting.
    let (tcp, ()) = tokio::join!(connect(port), async { thread::sleep(BLOCKED) });
    let established = tcp.established_at();
    let mut stream = Stream::plain(tcp);
    let greeting = stream.arrived();
    assert!(greeting.clock == Clock::Kernel && greeting.at < began + SOON && stream.read_at() >= began + BLOCKED);
    assert!(established <= greeting.at, "the greeting comes after the connection");
    assert_eq!(stream.unread(), b"220 mx.test\r\n");
    stream.take(13);

    // The reply arrived when its last segment did.
    let mut sent = None;
    assert!(stream.write(b"EHLO me\r\n", |at| sent = Some(at)).await.expect("written"));
    thread::sleep(BLOCKED);
    assert!(stream.read().await.expect("read"));
    let time = stream.arrived().at.duration_since(sent.expect("told"));
    assert!(stream.arrived().clock == Clock::Kernel && time >= SOON && time < BLOCKED, "{time:?}");
    assert!(!stream.is_early() && stream.unread().ends_with(b"SIZE\r\n"));
    stream.write(b"QUIT\r\n", drop).await.expect("written");
    server.join().expect("no panic");
}

#[tokio::test]
async fn bytes_that_arrive_before_the_message_are_early() {
    let _stamping = stamping().await;
    let (port, server) = server(|client| {
        send(&client, "220 mx.test\r\n");
        thread::sleep(SOON);
        send(&client, "250 early\r\n");
        receive(&client);
        receive(&client);
        send(&client, "250 honest\r\n");
    });
    let mut stream = Stream::plain(connect(port).await);
    read_greeting(&mut stream).await;
    assert!(!stream.will_tell_early(), "there are unread bytes");
    stream.take(13);
    assert!(stream.will_tell_early());
    thread::sleep(BLOCKED);
    stream.write(b"EHLO me\r\n", drop).await.expect("written");
    assert!(stream.read().await.expect("read"));
    assert!(stream.is_early() && stream.unread() == b"250 early\r\n");
    stream.take(11);
    stream.write(b"MAIL FROM:<>\r\n", drop).await.expect("written");
    assert!(!stream.is_early());
    assert!(stream.read().await.expect("read"));
    assert!(!stream.is_early() && stream.unread() == b"250 honest\r\n");
    server.join().expect("no panic");
}

#[tokio::test]
async fn a_look_is_needed_where_there_are_no_stamps() {
    let (port, server) = server(|client| {
        thread::sleep(SOON);
        send(&client, "220 mx.test\r\n");
    });
    let tcp = connect(port).await;
    setsockopt(tcp.socket(), sockopt::Timestamping, &TimestampingFlag::empty()).expect("taken back");
    let mut stream = Stream::plain(tcp);
    assert!(stream.read().await.expect("read"));
    stream.take(13);
    assert_eq!((stream.arrived().clock, stream.arrived().at), (Clock::Process, stream.read_at()));
    assert!(!stream.will_tell_early());
    server.join().expect("no panic");
}
