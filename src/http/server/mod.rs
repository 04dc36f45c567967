//! The server loop: accepts connections, and shuts down gracefully.

use std::{fmt, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

pub(super) mod byte_budget;
mod connection;
mod connection_limit;
mod shutdown;
mod tls;

pub use byte_budget::ByteBudget;
pub use shutdown::{Lifecycle, Running};
pub use tls::ServerIdentity;

pub(super) use connection::{BodyAllowance, HeldRequest};

use connection::{Server, StreamAllowance};
use connection_limit::{ConnectionLimit, ConnectionPermit};

/// How long an evicted connection has to give its file descriptor back.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How the server treats its callers: over TLS or not, how many, and how long it waits for them.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The certificate and key of HTTPS. Without them the service speaks HTTP in clear text.
    pub identity: Option<ServerIdentity>,
    /// Connections at a time. Past them, one whose caller has to go on is closed for each new one.
    pub max_connections: usize,
    /// Connections beyond them, in which only the health routes answer.
    pub reserved_connections: usize,
    /// For a caller to make the TLS handshake, and to send the header of a request, the first and each later one.
    pub header_timeout: Duration,
    /// For a caller that does not read to take some more of its response.
    pub body_timeout: Duration,
    /// What callers may make the service hold in memory.
    pub budget: ByteBudget,
    /// For running checks to finish, once the service is to stop.
    pub shutdown_grace: Duration,
    /// Of that, for callers to take the last responses once no check is running. By [`Self::body_timeout`] alone, a
    /// caller that reads a little at a time could keep the service up without end.
    pub last_response_timeout: Duration,
}

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every check finished.
    Drained {
        /// Connections whose callers had not taken their responses.
        unread: usize,
    },
    /// Checks were cut off, by the end of [`ServerSettings::shutdown_grace`] or by [`Lifecycle::force`].
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
                write!(f, "every check has finished; connections with responses that were not read: {unread}")
            }
            Self::Aborted { checks, connections } => {
                write!(f, "cut off {checks} running checks and {connections} connections")
            }
        }
    }
}

/// Serves until `shutdown` is ready, then drains.
///
/// While it drains, connections are still accepted: a request for a new check is told that another instance may take
/// it, instead of being refused by the system. Running checks have [`ServerSettings::shutdown_grace`] to finish, or
/// until [`Lifecycle::force`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    shutdown: impl Future<Output = ()>,
    settings: ServerSettings,
) -> Ended {
    let limit = ConnectionLimit::new(settings.max_connections, settings.reserved_connections);
    let server =
        Arc::new(Server { router, settings, streams: StreamAllowance::default(), stop: watch::Sender::new(false) });
    let mut drained = pin!(drain(&lifecycle, shutdown, &server.settings));
    let mut connections = JoinSet::new();
    let mut accepted = None;
    let deadline = loop {
        tokio::select! {
            deadline = &mut drained => break deadline,
            (stream, peer, permit) = accept(&listener, &limit, &mut accepted) => {
                tracing::trace!(%peer, "accepted");
                connections.spawn(connection::serve(stream, peer, server.clone(), permit));
            }
            Some(_) = connections.join_next() => {}
            pool = server.settings.budget.exhausted() => {
                if !limit.evict_holder(pool) {
                    server.settings.budget.refuse_stalled_body();
                }
            }
        }
    };
    drop(listener);
    server.stop.send_replace(true);
    close(connections, &lifecycle, deadline).await
}

/// The next connection, once there is a slot for it. Until then it waits, and those after it in the system's queue:
/// none is reset.
///
/// `accepted` is the connection that waits, so that nothing is lost when the future is dropped.
async fn accept(
    listener: &TcpListener,
    limit: &Arc<ConnectionLimit>,
    accepted: &mut Option<(TcpStream, SocketAddr)>,
) -> (TcpStream, SocketAddr, ConnectionPermit) {
    loop {
        if accepted.is_none() {
            match listener.accept().await {
                Ok(connection) => *accepted = Some(connection),
                // The caller has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted, an idle one is closed for it");
                    limit.evict();
                    sleep(ACCEPT_RETRY_INTERVAL).await;
                    continue;
                }
            }
        }
        limit.available().await;
        if let Some(permit) = limit.try_acquire()
            && let Some((stream, peer)) = accepted.take()
        {
            return (stream, peer, permit);
        }
    }
}

/// Waits for `shutdown`, and then for the running checks. Returns until when callers may take their last responses.
async fn drain(lifecycle: &Lifecycle, shutdown: impl Future<Output = ()>, settings: &ServerSettings) -> Instant {
    shutdown.await;
    tracing::info!(running = lifecycle.running(), "shutting down");
    lifecycle.drain();
    let deadline = Instant::now() + settings.shutdown_grace;
    tokio::select! {
        _ = timeout_at(deadline, lifecycle.over()) => deadline.min(Instant::now() + settings.last_response_timeout),
        () = lifecycle.forced() => Instant::now(),
    }
}

/// Waits until every connection is closed. What is left at the deadline is cut off.
async fn close(mut connections: JoinSet<()>, lifecycle: &Lifecycle, deadline: Instant) -> Ended {
    let all_closed = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout_at(deadline, all_closed) => {}
        () = lifecycle.forced() => {}
    }
    let (checks, left) = (lifecycle.running(), connections.len());
    connections.shutdown().await;
    if checks == 0 || left == 0 {
        return Ended::Drained { unread: left };
    }
    Ended::Aborted { checks, connections: left }
}

#[cfg(test)]
mod tests;
