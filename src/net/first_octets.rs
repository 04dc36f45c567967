//! [`FirstOctets`]: a TCP connection that keeps a copy of the first octets that it reads, so that an error can quote an
//! answer that is not TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tcp::TcpConnection;

/// Most octets that are copied.
const MAX_COPY_SIZE: usize = 128;

/// A TCP connection, and where to put the copy until there is one.
#[derive(Debug)]
pub struct FirstOctets {
    tcp: TcpConnection,
    copy: Option<Arc<OnceLock<Vec<u8>>>>,
}

impl FirstOctets {
    /// The connection, and the copy of the first octets that it will have read.
    pub fn new(tcp: TcpConnection) -> (Self, Arc<OnceLock<Vec<u8>>>) {
        let copy = Arc::new(OnceLock::new());
        (Self { tcp, copy: Some(Arc::clone(&copy)) }, copy)
    }

    /// The connection.
    pub fn tcp(&self) -> &TcpConnection {
        &self.tcp
    }

    /// The connection.
    pub fn tcp_mut(&mut self) -> &mut TcpConnection {
        &mut self.tcp
    }
}

impl AsyncRead for FirstOctets {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = read.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, read))?;
        let octets = &read.filled()[before..];
        if !octets.is_empty()
            && let Some(copy) = self.copy.take()
        {
            copy.get_or_init(|| octets[..octets.len().min(MAX_COPY_SIZE)].to_vec());
        }
        Poll::Ready(Ok(()))
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
