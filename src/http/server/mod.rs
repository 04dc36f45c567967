//! The server loop: accepts connections, and ends the service in good order.

use std::{fmt, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

mod connection;
mod connection_limit;
mod shutdown;
mod tls;

pub use shutdown::{Lifecycle, Running};
pub use tls::{IdentityError, IdentityFault, ServerIdentity};

use connection::Server;
use connection_limit::Places;

/// How long nothing is accepted after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whom the server takes, and how long it waits for whom.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// With it callers are served over TLS, without it in clear text.
    pub identity: Option<ServerIdentity>,
    /// Connections at a time. Past them, one that is idle is closed for each new one.
    pub max_connections: usize,
    /// For a caller to make the TLS handshake, and to send the header of a request, the first and each later one.
    pub header_timeout: Duration,
    /// For a caller that does not read to take some more of its answer.
    pub body_timeout: Duration,
    /// For running checks to finish, once the service was told to stop.
    pub shutdown_grace: Duration,
    /// Of that, for callers to take the answers that are left once no check is running any more. By [`Self::body_timeout`] alone, one
    /// that hardly reads could keep the service for as long as it likes.
    pub last_answers: Duration,
}

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every check finished.
    Drained {
        /// Connections whose callers had still not taken their answers.
        unread: usize,
    },
    /// The grace was over first, or the operator had no patience.
    Aborted {
        /// Checks that were still running.
        checks: usize,
        /// Connections that were still open.
        connections: usize,
    },
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained { unread: 0 } => f.write_str("every check has finished"),
            Self::Drained { unread } => {
                write!(f, "every check has finished; connections with answers that nobody took: {unread}")
            }
            Self::Aborted { checks, connections } => {
                write!(f, "cut off {checks} running checks and {connections} connections")
            }
        }
    }
}

/// Serves until `shutdown` is ready, then drains.
///
/// While it drains, connections are still accepted: whoever asks for a new check is told that another instance may take it,
/// instead of being refused by the system. Running checks have [`ServerSettings::shutdown_grace`] to finish, or less: until
/// [`Lifecycle::force`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    shutdown: impl Future<Output = ()>,
    settings: ServerSettings,
) -> Ended {
    let ServerSettings { max_connections, shutdown_grace: grace, last_answers, .. } = settings;
    let places = Places::new(max_connections);
    let server = Arc::new(Server { router, settings, stop: watch::Sender::new(false) });
    let mut connections = JoinSet::new();
    let mut acceptor = Acceptor::new(listener);
    let mut ended = pin!(async {
        shutdown.await;
        tracing::info!(running = lifecycle.running(), "shutting down");
        lifecycle.drain();
        let deadline = Instant::now() + grace;
        tokio::select! {
            // A check that has not finished by then is cut with its connection, below.
            _ = timeout_at(deadline, lifecycle.over()) => deadline.min(Instant::now() + last_answers),
            () = lifecycle.forced() => Instant::now(),
        }
    });

    let deadline = loop {
        tokio::select! {
            deadline = &mut ended => break deadline,
            (stream, peer) = acceptor.accept() => match places.take() {
                Some(place) => {
                    tracing::trace!(%peer, "accepted");
                    connections.spawn(connection::serve(stream, peer, server.clone(), place));
                }
                None => tracing::debug!(%peer, "there is no place for another connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    };

    drop(acceptor);
    server.stop.send_replace(true);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    let closed = tokio::select! {
        closed = timeout_at(deadline, all_closed) => closed.is_ok(),
        () = lifecycle.forced() => false,
    };
    if closed {
        return Ended::Drained { unread: 0 };
    }
    let (checks, connections_left) = (lifecycle.running(), connections.len());
    connections.shutdown().await;
    match checks {
        0 => Ended::Drained { unread: connections_left },
        checks => Ended::Aborted { checks, connections: connections_left },
    }
}

/// A listener that outlives its errors.
#[derive(Debug)]
struct Acceptor {
    listener: TcpListener,
    /// While the system gives us no connection: when to ask again.
    paused_until: Option<Instant>,
}

impl Acceptor {
    fn new(listener: TcpListener) -> Self {
        Self { listener, paused_until: None }
    }

    /// The next connection. May be dropped and called again at any time.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(instant) = self.paused_until {
                sleep_until(instant).await;
            }
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.paused_until = None;
                    return accepted;
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a caller was gone before it was accepted")
                }
                Err(error) => {
                    // Out of file descriptors or memory: the connection waits on in the backlog, so asking at once would spin.
                    if self.paused_until.is_none() {
                        tracing::error!(%error, "cannot accept connections");
                    }
                    self.paused_until = Some(Instant::now() + ACCEPT_PAUSE);
                }
            }
        }
    }
}

/// Whether the error is about the connection that would have been accepted, and says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
