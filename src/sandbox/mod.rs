//! Sandbox mail server: a small SMTP server to check against, for `smtp-check demo` and for the tests.
//!
//! It binds loopback addresses only, keeps the last messages in memory and relays nothing. It speaks ESMTP (RFC 5321)
//! with `PIPELINING`, `SIZE`, `8BITMIME`, `SMTPUTF8`, `ENHANCEDSTATUSCODES`, `STARTTLS` and `AUTH PLAIN LOGIN`. A
//! second port uses TLS from the first byte. The only user is [`USER`] with the password [`PASSWORD`]; login is
//! optional.
//!
//! # Special recipients
//!
//! The recipient's local part selects the reply to RCPT, in any domain ([`RECIPIENTS`] is the same table as data):
//!
//! | local part | reply to `RCPT TO` |
//! |---|---|
//! | `nobody` | `550 5.1.1`, the user is unknown |
//! | `later` | `451 4.7.1`, greylisted |
//! | `full` | `452 4.2.2`, the mailbox is full |
//! | `slow` | `250`, after 750 ms |
//! | `silent` | none, ever |
//! | `hangup` | none: the connection is closed |
//! | any other | `250` |
//!
//! # Layout
//!
//! `session` is the dialogue, `command` the parser of its lines, `wire` the bounded reads and writes below it.
//! `content` finds the end of a message, `recipient` has the table above, `auth` the SASL exchanges, `certificate` the
//! CA, `maildrop` the received messages.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use self::{certificate::Identity, maildrop::Maildrop, session::Session, wire::Wire};

mod auth;
mod certificate;
mod command;
mod content;
mod maildrop;
mod recipient;
mod session;
mod wire;

pub use auth::{PASSWORD, USER};
pub use maildrop::{Envelope, Message};
pub use recipient::RECIPIENTS;

/// The host name in the greeting. The certificate has it, and also `localhost`, `127.0.0.1` and `::1`.
pub const HOST: &str = "mx.sandbox.test";

/// The largest accepted message, in bytes; `SIZE` announces it (RFC 1870).
pub const MAX_MESSAGE_SIZE: usize = 10 * 1024 * 1024;

/// The most connections. One more gets 421, or is closed on the port with TLS.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may last in all.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a TLS handshake may last.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause when the process has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running sandbox mail server. It stops, and closes its connections, when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    smtps_addr: SocketAddr,
    ca_pem: String,
    maildrop: Arc<Maildrop>,
    _acceptor: JoinSet<()>,
}

impl Sandbox {
    /// Starts a server on `addr`, on a free port if the port is 0. Its port for implicit TLS is any free one on the
    /// same address.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; the error of `bind`; a CA that could not be
    /// made.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        if !addr.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the sandbox listens on loopback addresses only"));
        }
        let Identity { ca_pem, tls } = Identity::generate()?;
        let listeners = Listeners::bind(addr).await?;
        let maildrop = Arc::new(Maildrop::default());
        let (addr, smtps_addr) = (listeners.smtp.local_addr()?, listeners.smtps.local_addr()?);
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(listeners, tls, Arc::clone(&maildrop)));
        Ok(Self { addr, smtps_addr, ca_pem, maildrop, _acceptor: acceptor })
    }

    /// Address for SMTP with STARTTLS.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Address for SMTP with implicit TLS (RFC 8314, section 3.3).
    pub fn smtps_addr(&self) -> SocketAddr {
        self.smtps_addr
    }

    /// The CA that signed the server's certificate, in PEM. It was made for this sandbox, and its key was not kept.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The last accepted messages, the oldest first. A message is stored before its `250` is sent.
    pub fn delivered(&self) -> Vec<Arc<Message>> {
        self.maildrop.messages()
    }
}

struct Listeners {
    smtp: TcpListener,
    smtps: TcpListener,
}

impl Listeners {
    async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { smtp: TcpListener::bind(addr).await?, smtps: TcpListener::bind((addr.ip(), 0)).await? })
    }

    /// The next connection, and whether it begins with TLS.
    async fn accept(&self) -> io::Result<(TcpStream, bool)> {
        tokio::select! {
            accepted = self.smtp.accept() => Ok((accepted?.0, false)),
            accepted = self.smtps.accept() => Ok((accepted?.0, true)),
        }
    }
}

/// Accepts connections, one task each. The tasks end with the set, and the set with this future.
async fn accept(listeners: Listeners, tls: TlsAcceptor, maildrop: Arc<Maildrop>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, implicit_tls) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "sandbox: accept failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if connections.len() >= MAX_CONNECTIONS {
            if !implicit_tls {
                let _ = stream.try_write(b"421 4.3.2 Too many connections\r\n");
            }
            continue;
        }
        connections.spawn(connection(stream, implicit_tls, tls.clone(), Arc::clone(&maildrop)));
    }
}

/// Serves one connection. After STARTTLS, a new session begins without the state of the first (RFC 3207, section 4.2).
async fn connection(stream: TcpStream, implicit_tls: bool, tls: TlsAcceptor, maildrop: Arc<Maildrop>) {
    let end = Instant::now() + CONNECTION_TIMEOUT;
    // Otherwise the small writes of a TLS handshake wait for delayed ACKs, and a check measures that.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sandbox: TCP_NODELAY failed");
    }
    let stream =
        if implicit_tls { Some(stream) } else { Session::clear(Wire::new(stream, end), &maildrop).run().await };
    let Some(stream) = stream else { return };
    let handshake_end = end.min(Instant::now() + HANDSHAKE_TIMEOUT);
    match timeout_at(handshake_end, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let session = Session::secured(Wire::new(stream, end), &maildrop, implicit_tls);
            // It refuses STARTTLS, so it returns no stream.
            session.run().await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "sandbox: TLS handshake failed"),
        Err(_) => tracing::debug!("sandbox: TLS handshake took too long"),
    }
}

#[cfg(test)]
mod tests;
