//! A scripted DNS server: answers from a [`Zone`], over UDP and TCP on one port of 127.0.0.1, and records the queries.
//!
//! Answers have a TTL of zero, so that no resolver caches them. Negative answers have the SOA record that makes them
//! valid (RFC 2308).

mod zone;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::{Message, Metadata},
    rr::RecordType,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

pub(crate) use self::zone::Zone;
use self::zone::{Answer, normal};

/// Maximum size of a query over UDP, in octets (RFC 6891 suggests 4096).
const MAX_DATAGRAM_SIZE: usize = 4096;
/// No TCP connection of a test lasts longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts to find a port that is free for UDP and TCP.
const ATTEMPTS: usize = 50;

/// A running DNS server. Dropping it closes its port.
#[derive(Debug)]
pub(crate) struct DnsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    zone: Zone,
    queries: Mutex<Vec<Query>>,
}

#[derive(Debug, Clone)]
struct Query {
    name: String,
    record_type: RecordType,
    over_tcp: bool,
}

impl DnsServer {
    /// Serves a zone on a free port.
    pub(crate) fn serve(zone: Zone) -> Self {
        Self::serve_on(zone, (0..ATTEMPTS).map(|_| (Ipv4Addr::LOCALHOST, 0)))
    }

    /// Serves a zone on port 53, the only one of a `resolv.conf`, at an address of this machine that is free. For root.
    pub(crate) fn serve_on_port_53(zone: Zone) -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        Self::serve_on(zone, (1..=u8::MAX).map(|third| (Ipv4Addr::new(127, third, high, low), 53)))
    }

    fn serve_on(zone: Zone, candidates: impl Iterator<Item = (Ipv4Addr, u16)>) -> Self {
        let (udp, tcp) = bind(candidates);
        let addr = udp.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { zone, queries: Mutex::default() });
        let tasks = [tokio::spawn(serve_udp(udp, shared.clone())), tokio::spawn(serve_tcp(tcp, shared.clone()))];
        Self { addr, shared, tasks }
    }

    /// Where it listens, UDP and TCP.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// All queries so far: the name in lower case without its last dot, and the type.
    pub(crate) fn queries(&self) -> Vec<(String, RecordType)> {
        let queries = self.shared.queries.lock().expect("no writer panics");
        queries.iter().map(|query| (query.name.clone(), query.record_type)).collect()
    }

    /// The number of queries over TCP.
    pub(crate) fn queries_over_tcp(&self) -> usize {
        self.shared.queries.lock().expect("no writer panics").iter().filter(|query| query.over_tcp).count()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn bind(mut candidates: impl Iterator<Item = (Ipv4Addr, u16)>) -> (UdpSocket, TcpListener) {
    let bound = candidates.find_map(|candidate| {
        let udp = StdUdpSocket::bind(candidate).ok()?;
        let tcp = StdTcpListener::bind(udp.local_addr().ok()?).ok()?;
        Some((udp, tcp))
    });
    let (udp, tcp) = bound.expect("some port is free for UDP and TCP");
    udp.set_nonblocking(true).expect("a socket can be non-blocking");
    tcp.set_nonblocking(true).expect("a socket can be non-blocking");
    let inside = "a fixture starts inside a tokio runtime";
    (UdpSocket::from_std(udp).expect(inside), TcpListener::from_std(tcp).expect(inside))
}

async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let socket = Arc::new(socket);
    let mut answering = JoinSet::new();
    let mut datagram = vec![0; MAX_DATAGRAM_SIZE];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                // An ICMP error of an earlier answer does not stop the server.
                let Ok((length, peer)) = received else { continue };
                let (query, socket, shared) = (datagram[..length].to_vec(), socket.clone(), shared.clone());
                answering.spawn(async move {
                    if let Some(answer) = shared.answer(&query, false).await {
                        let _ = socket.send_to(&answer, peer).await;
                    }
                });
            }
            Some(_) = answering.join_next() => {}
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((tcp, _)) = accepted else { continue };
                open.spawn(timeout(CONNECTION_TIMEOUT, serve_connection(tcp, shared.clone())));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// Messages with their length before them (RFC 1035, 4.2.2), until the client closes.
async fn serve_connection(mut tcp: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    loop {
        let mut query = vec![0; usize::from(tcp.read_u16().await?)];
        tcp.read_exact(&mut query).await?;
        let Some(answer) = shared.answer(&query, true).await else {
            continue;
        };
        let length = u16::try_from(answer.len()).expect("a test's answer is short");
        tcp.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}

impl Shared {
    /// The answer's bytes; `None` if the message is not a query, or the zone is silent about it.
    async fn answer(&self, query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?.clone();
        let name = normal(&question.name().to_ascii());
        let record_type = question.query_type();
        let asked = Query { name: name.clone(), record_type, over_tcp };
        self.queries.lock().expect("no writer panics").push(asked);

        let Answer { response_code, answers, authorities, truncated, delay } = self.zone.answer(&question)?;
        sleep(delay).await;
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata = Metadata::response_from_request(&query.metadata);
        response.metadata.recursion_available = true;
        response.metadata.response_code = response_code;
        response.add_query(question);
        if truncated && !over_tcp {
            response.metadata.truncation = true;
        } else {
            response.add_answers(answers).add_authorities(authorities);
        }
        Some(response.to_vec().expect("hickory encodes what hickory made"))
    }
}
