//! What a connection holds of the octets that a caller sends, whatever is read of them and when.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use axum::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};

use super::{
    MAX_HEADER_SIZE,
    io::{ConnIo, READ_SIZE},
};

/// Random callers, each with its own seed, and what each of them does.
const RUNS: u64 = 200;
const STEPS: usize = 60;
/// Octets of one write, and of the buffer that hyper reads into.
const MAX_WRITE_SIZE: usize = 40_000;
const MAX_BUFFER_SIZE: usize = 10_000;
/// Much longer than anything here takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection, and what has to be true of it.
struct Run {
    random: fastrand::Rng,
    caller: TcpStream,
    io: ConnIo,
    /// What the caller has sent, and how much of it hyper has read.
    sent: Vec<u8>,
    taken: usize,
    /// Octets of the last read, which hyper can give back.
    last_read: usize,
    open_bodies: usize,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let caller = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("a connection");
        let io = ConnIo::new(super::Socket::from(socket));
        Self {
            random: fastrand::Rng::with_seed(seed),
            caller,
            io,
            sent: Vec::new(),
            taken: 0,
            last_read: 0,
            open_bodies: 0,
        }
    }

    async fn step(&mut self) {
        match self.random.u8(..8) {
            0..=2 => self.write(),
            3 | 4 => {
                let is_gone = poll_fn(|cx| Poll::Ready(self.io.poll_hang_up(cx))).await;
                assert!(is_gone.is_pending(), "the caller has not hung up");
            }
            5 => self.read().await,
            6 => self.give_back(),
            _ if self.open_bodies > 0 => self.close_body(),
            _ => {
                self.io.open_body();
                self.open_bodies += 1;
            }
        }
        // The runtime learns what has arrived.
        yield_now().await;
    }

    fn write(&mut self) {
        let size = self.random.usize(1..MAX_WRITE_SIZE);
        let octets: Vec<u8> = (self.sent.len()..self.sent.len() + size).map(|index| (index % 251) as u8).collect();
        // Not everything, once the buffers of the system are full.
        let written = self.caller.try_write(&octets).unwrap_or_default();
        self.sent.extend_from_slice(&octets[..written]);
    }

    async fn read(&mut self) {
        let mut octets = vec![0; self.random.usize(1..MAX_BUFFER_SIZE)];
        let mut buffer = ReadBuf::new(&mut octets);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.io).poll_read(cx, &mut buffer))).await;
        assert!(!matches!(read, Poll::Ready(Err(_))), "{read:?}");
        self.last_read = buffer.filled().len();
        if !self.io.has_dropped_bytes() {
            assert_eq!(buffer.filled(), &self.sent[self.taken..self.taken + self.last_read], "at {}", self.taken);
        }
        self.taken += self.last_read;
    }

    fn give_back(&mut self) {
        let count = self.random.usize(..=self.last_read);
        if !self.io.has_dropped_bytes() {
            let octets = Bytes::copy_from_slice(&self.sent[self.taken - count..self.taken]);
            self.io.unread(octets);
            self.taken -= count;
        }
        self.last_read = 0;
    }

    fn close_body(&mut self) {
        self.open_bodies -= 1;
        self.io.close_body(self.random.bool());
    }

    fn assert_bounded(&self) {
        let (held, limit) = (self.io.read_ahead_size(), MAX_HEADER_SIZE + READ_SIZE + MAX_BUFFER_SIZE);
        assert!(held <= limit, "{held} octets are held, and {limit} are the limit");
    }
}

#[tokio::test]
async fn any_caller_fills_the_read_ahead_and_no_more_and_its_hang_up_is_seen() {
    for seed in 0..RUNS {
        let mut run = Run::new(seed).await;
        for _ in 0..STEPS {
            run.step().await;
            run.assert_bounded();
        }
        while run.open_bodies > 0 {
            run.close_body();
        }
        run.caller.shutdown().await.expect("open");
        let hang_up = poll_fn(|cx| {
            let is_gone = run.io.poll_hang_up(cx);
            run.assert_bounded();
            is_gone
        });
        timeout(TEST_TIMEOUT, hang_up).await.unwrap_or_else(|_| panic!("seed {seed}: the hang-up is not seen"));
    }
}
