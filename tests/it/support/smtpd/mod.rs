//! A scripted SMTP server: follows a [`Script`], and records what each client did.
//!
//! ```ignore
//! let script = Script::compliant().with_starttls(&identity).on(Step::RcptTo, "550 5.1.1 no such user\r\n");
//! let server = SmtpServer::serve(script);
//! // … run a check against server.addr() …
//! let session = server.next_session().await;
//! assert_eq!(session.end, End::Quit);
//! ```

mod compliant;
mod connection;
mod script;
mod session;
mod stream;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

pub(crate) use self::{
    script::{Action, Gate, Script, Step},
    session::{End, Session, Tls},
};

/// Timeout of every wait for the server.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);
/// Added to the timeout for each connection, where many are waited for.
const WAIT_TIMEOUT_PER_CONNECTION: Duration = Duration::from_millis(20);
/// The accept queue; the kernel can reduce it to its own limit.
const BACKLOG: i32 = 4096;

/// A running server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub(crate) struct SmtpServer {
    addr: SocketAddr,
    record: Arc<Record>,
    delivered: AtomicUsize,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Record {
    sessions: Mutex<Vec<Session>>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    accepted: usize,
    ended: usize,
    held: usize,
}

impl Record {
    /// Records that a client is held: before a gate, or in silence.
    fn hold(&self) {
        self.counts.send_modify(|counts| counts.held += 1);
    }
}

impl SmtpServer {
    /// Serves on a free port of 127.0.0.1.
    pub(crate) fn serve(script: Script) -> Self {
        Self::serve_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// Serves at this address, for example `[::1]:0`, or a second loopback address with the port of the first.
    pub(crate) fn serve_at(addr: SocketAddr, script: Script) -> Self {
        allow_many_connections();
        let listener = listen(addr, script.receive_buffer);
        let addr = listener.local_addr().expect("a bound socket has an address");
        let record = Arc::new(Record { sessions: Mutex::default(), counts: watch::Sender::default() });
        let accepting = tokio::spawn(accept_all(listener, Arc::new(script), record.clone()));
        Self { addr, record, delivered: AtomicUsize::new(0), accepting }
    }

    /// The address it listens on.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The number of connections accepted since the start.
    pub(crate) fn connections(&self) -> usize {
        self.record.counts.borrow().accepted
    }

    /// All sessions that have ended, in the order of their ends.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.record.sessions.lock().expect("no writer panics").clone()
    }

    /// Waits for the next session to end, and returns it.
    pub(crate) async fn next_session(&self) -> Session {
        let index = self.delivered.fetch_add(1, Ordering::Relaxed);
        self.wait_for_sessions(index + 1).await.swap_remove(index)
    }

    /// Waits until `count` sessions have ended, and returns all that have ended.
    pub(crate) async fn wait_for_sessions(&self, count: usize) -> Vec<Session> {
        self.wait_for("ended", count, |counts| counts.ended).await;
        self.sessions()
    }

    /// Waits until `count` clients are held: before a [`Gate`], or in silence.
    pub(crate) async fn wait_for_held(&self, count: usize) {
        self.wait_for("are held back", count, |counts| counts.held).await;
    }

    /// Takes the sessions that have ended since the last call, for a server with too many sessions to keep.
    pub(crate) fn take_sessions(&self) -> Vec<Session> {
        std::mem::take(&mut self.record.sessions.lock().expect("no writer panics"))
    }

    /// Waits until `count` connections are open at the same time.
    pub(crate) async fn wait_for_open(&self, count: usize) {
        self.wait_for("are open", count, |counts| counts.accepted - counts.ended).await;
    }

    async fn wait_for(&self, what: &str, count: usize, number: fn(&Counts) -> usize) {
        let patience =
            WAIT_TIMEOUT + WAIT_TIMEOUT_PER_CONNECTION * u32::try_from(count).expect("a count of connections is small");
        let mut counts = self.record.counts.subscribe();
        let reached = timeout(patience, counts.wait_for(|counts| number(counts) >= count)).await.is_ok();
        assert!(reached, "{count} connections {what}: not within {patience:?}, {:?}", *self.record.counts.borrow());
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Raises the limit of open files of this process: the default is often 1024, and thousands of connections take two
/// each.
fn allow_many_connections() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("every process has this limit");
        setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to the hard limit it is free to raise");
    });
}

fn listen(addr: SocketAddr, receive_buffer: Option<usize>) -> TcpListener {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("the system has TCP");
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).expect("the kernel rounds a size that it does not like");
    }
    socket.bind(&addr.into()).expect("the loopback address is ours and the port is free");
    socket.listen(BACKLOG).expect("a bound socket can listen");
    socket.set_nonblocking(true).expect("a socket can be non-blocking");
    TcpListener::from_std(socket.into()).expect("a fixture starts inside a tokio runtime")
}

/// Owns the tasks of all connections, so that aborting this task ends them too.
async fn accept_all(listener: TcpListener, script: Arc<Script>, record: Arc<Record>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tcp, peer)) = accepted else { continue };
                record.counts.send_modify(|counts| counts.accepted += 1);
                open.spawn(serve_one(tcp, peer, script.clone(), record.clone()));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn serve_one(tcp: TcpStream, peer: SocketAddr, script: Arc<Script>, record: Arc<Record>) {
    let session = connection::serve(tcp, peer, script, record.clone()).await;
    record.sessions.lock().expect("no writer panics").push(session);
    record.counts.send_modify(|counts| counts.ended += 1);
}
