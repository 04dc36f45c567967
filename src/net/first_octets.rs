//! [`FirstOctets`]: a TCP connection that keeps a copy of the first octets that it reads, so that an error can quote an
//! answer that is not TLS.
//!
//! An answer that does not begin as TLS is read up to the end of its line before anything of it is passed on: it may
//! come in pieces, and a TLS client fails on the first of them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::tcp::TcpConnection;

/// Most octets that are copied.
const MAX_COPY_SIZE: usize = 512;

/// How long to wait for the rest of a line, from its first octet on.
pub const LINE_TIMEOUT: Duration = Duration::from_millis(200);

/// The copy, as far as it goes.
#[derive(Clone, Debug, Default)]
pub struct Copied(Arc<Mutex<Vec<u8>>>);

impl Copied {
    /// The first octets that were read.
    pub fn octets(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn extend(&self, octets: &[u8]) {
        let mut copy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_COPY_SIZE - copy.len();
        copy.extend_from_slice(&octets[..octets.len().min(room)]);
    }
}

/// A TCP connection, and the copy of what is read from it first.
#[derive(Debug)]
pub struct FirstOctets {
    tcp: TcpConnection,
    copy: Copied,
    deadline: Instant,
    beginning: Beginning,
}

#[derive(Debug)]
enum Beginning {
    /// Nothing has come.
    Awaited,
    /// These octets have come, which are not TLS. Until the time is over, they are kept back.
    Line { octets: Vec<u8>, timeout: Pin<Box<Sleep>> },
    /// What comes is passed on at once.
    Over,
}

impl FirstOctets {
    /// The connection, and the copy of the first octets that it will have read. It keeps back nothing after `deadline`.
    pub fn new(tcp: TcpConnection, deadline: Instant) -> (Self, Copied) {
        let copy = Copied::default();
        (Self { tcp, copy: copy.clone(), deadline, beginning: Beginning::Awaited }, copy)
    }

    /// The connection.
    pub fn tcp(&self) -> &TcpConnection {
        &self.tcp
    }

    /// The connection.
    pub fn tcp_mut(&mut self) -> &mut TcpConnection {
        &mut self.tcp
    }

    /// Waits for more of the line. Ready when it is complete, or nothing more is waited for.
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Beginning::Line { octets, timeout } = &mut self.beginning else { return Poll::Ready(()) };
        loop {
            if has_line(octets) {
                return Poll::Ready(());
            }
            let mut buffer = [0; MAX_COPY_SIZE];
            let mut more = ReadBuf::new(&mut buffer[octets.len()..]);
            match Pin::new(&mut self.tcp).poll_read(context, &mut more) {
                Poll::Ready(Ok(())) if !more.filled().is_empty() => {
                    self.copy.extend(more.filled());
                    octets.extend_from_slice(more.filled());
                }
                // The next read tells the end, or the error.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return timeout.as_mut().poll(context),
            }
        }
    }

    fn poll_beginning(&mut self, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if matches!(self.beginning, Beginning::Awaited) {
            let mut buffer = [0; MAX_COPY_SIZE];
            let size = buffer.len().min(read.remaining());
            let mut first = ReadBuf::new(&mut buffer[..size]);
            ready!(Pin::new(&mut self.tcp).poll_read(context, &mut first))?;
            self.copy.extend(first.filled());
            if first.filled().first().is_none_or(|octet| is_of_tls(*octet)) {
                read.put_slice(first.filled());
                self.beginning = Beginning::Over;
                return Poll::Ready(Ok(()));
            }
            let timeout = Box::pin(sleep_until(self.deadline.min(Instant::now() + LINE_TIMEOUT)));
            self.beginning = Beginning::Line { octets: first.filled().to_vec(), timeout };
        }
        ready!(self.poll_line(context));
        if let Beginning::Line { octets, .. } = &mut self.beginning {
            let size = octets.len().min(read.remaining());
            read.put_slice(&octets[..size]);
            octets.drain(..size);
            if octets.is_empty() {
                self.beginning = Beginning::Over;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether a record of TLS can begin with this octet (RFC 8446, section 5.1: `ContentType`).
fn is_of_tls(octet: u8) -> bool {
    (20..=24).contains(&octet)
}

/// Whether no more of these octets needs to be waited for: there is the end of a line that is not empty, or enough to
/// quote.
pub fn has_line(octets: &[u8]) -> bool {
    octets.trim_ascii_start().contains(&b'\n') || octets.len() >= MAX_COPY_SIZE
}

impl AsyncRead for FirstOctets {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.beginning {
            Beginning::Over => Pin::new(&mut self.tcp).poll_read(context, read),
            Beginning::Awaited | Beginning::Line { .. } => self.poll_beginning(context, read),
        }
    }
}

impl AsyncWrite for FirstOctets {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
