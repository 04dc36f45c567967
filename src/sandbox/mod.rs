//! A small SMTP server to check against: behind `smtp-check demo` for a user who has no mail server at hand, and under the tests.
//!
//! It binds loopback addresses only, keeps the last messages in memory and relays nothing. It speaks ESMTP (RFC 5321) with
//! `PIPELINING`, `SIZE`, `8BITMIME`, `SMTPUTF8`, `ENHANCEDSTATUSCODES`, `STARTTLS` and `AUTH PLAIN LOGIN`; a second port speaks it
//! inside TLS from the first byte. The one user is [`USER`] with the password [`PASSWORD`]; nobody has to log in.
//!
//! # Recipients that teach
//!
//! The recipient's local part chooses the answer to RCPT, whatever the domain ([`RECIPIENTS`] is the same table as data):
//!
//! | local part | answer to `RCPT TO` |
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
//! `session` is the conversation, `command` the parser of its lines, `wire` the bounded reads and writes below it. `content` finds
//! the end of a message, `recipient` holds the table above, `auth` the SASL exchanges, `certificate` the CA, `maildrop` what has
//! arrived.

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

/// The name the sandbox greets with; its certificate bears it beside `localhost`, `127.0.0.1` and `::1`.
pub const HOST: &str = "mx.sandbox.test";

/// The largest message taken, in bytes: what `SIZE` announces (RFC 1870).
pub const MAX_MESSAGE: usize = 10 * 1024 * 1024;

/// One connection more is answered 421, or closed where it would speak TLS first.
const MAX_CONNECTIONS: usize = 256;

/// What a connection may last, whatever it does.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(600);

/// What a TLS handshake may last.
const MAX_HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// What to wait when the process has no file descriptor left for another connection.
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
    /// Starts a server on `addr`, port 0 for any free one, with its implicit-TLS port (always a free one) on the same address.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; what `bind` says; a CA that could not be made.
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

    /// Where it speaks SMTP, with STARTTLS.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it speaks SMTP inside TLS from the first byte (RFC 8314, section 3.3).
    pub fn smtps_addr(&self) -> SocketAddr {
        self.smtps_addr
    }

    /// The CA that signed the server's certificate, in PEM. Made at the start of this sandbox; its key is gone already.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The last messages taken, the oldest first. A message is here before its `250` goes out.
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

    /// The next connection, and whether it speaks TLS first.
    async fn accept(&self) -> io::Result<(TcpStream, bool)> {
        tokio::select! {
            accepted = self.smtp.accept() => Ok((accepted?.0, false)),
            accepted = self.smtps.accept() => Ok((accepted?.0, true)),
        }
    }
}

/// Takes connections, one task each. The tasks live in a set of its own, so that they end with it.
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

/// One connection from its first byte to its last. After STARTTLS a second session begins that knows nothing of the first.
async fn connection(stream: TcpStream, implicit_tls: bool, tls: TlsAcceptor, maildrop: Arc<Maildrop>) {
    let end = Instant::now() + MAX_CONNECTION_TIME;
    // Without it, the small writes of a TLS handshake wait for delayed ACKs, and a check would measure those.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sandbox: TCP_NODELAY failed");
    }
    let stream =
        if implicit_tls { Some(stream) } else { Session::clear(Wire::new(stream, end), &maildrop).run().await };
    let Some(stream) = stream else { return };
    let handshake_end = end.min(Instant::now() + MAX_HANDSHAKE_TIME);
    match timeout_at(handshake_end, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let session = Session::secured(Wire::new(stream, end), &maildrop, implicit_tls);
            // Inside TLS it refuses STARTTLS, so no stream comes back.
            session.run().await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "sandbox: TLS handshake failed"),
        Err(_) => tracing::debug!("sandbox: TLS handshake took too long"),
    }
}

#[cfg(test)]
mod tests;
