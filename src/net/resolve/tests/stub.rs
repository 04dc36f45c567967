//! [`Stub`]: a scripted name server.

use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::{
    op::{Edns, Message, ResponseCode, ResponseCode::FormErr},
    rr::rdata::NS,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::AbortHandle,
};

use super::*;

pub(super) enum Answer {
    Records(Vec<RData>),
    /// These by TCP, and a truncated answer by UDP.
    OnlyByTcp(Vec<RData>),
    /// These by the second TCP connection and the later ones: the first is silent.
    OnlyByLaterTcp(Vec<RData>),
    /// A truncated answer by UDP, and these by TCP with the mark that they are truncated.
    TruncatedByTcp(Vec<RData>),
    /// A truncated answer by UDP, and none by TCP.
    SilentByTcp,
    /// A truncated answer by UDP, and a TCP connection that is closed in place of an answer.
    ClosedByTcp,
    /// These by TCP, and by UDP as many octets of the same response, which is not marked as truncated.
    Cut(usize, Vec<RData>),
    /// These to a query without EDNS, and FORMERR to others.
    OnlyWithoutEdns(Vec<RData>),
    /// These to a query without EDNS, and nothing to others.
    SilentToEdns(Vec<RData>),
    /// These by TCP, and by UDP a response with them that is changed in this way.
    Changed(Vec<RData>, fn(&mut Message)),
    /// These, and an additional record that is none.
    OddAdditional(Vec<RData>),
    /// A referral to the servers of another zone.
    Referral,
    Code(ResponseCode),
    Garbage,
    Silence,
}

use Answer::{
    Changed, ClosedByTcp, Code, Cut, Garbage, OddAdditional, OnlyByLaterTcp, OnlyByTcp, OnlyWithoutEdns, Records,
    Referral, Silence, SilentByTcp, SilentToEdns, TruncatedByTcp,
};

/// The questions by UDP, in order, such as `A mx.example`.
type Questions = Arc<Mutex<Vec<String>>>;

/// A DNS server whose answers are a function of the question.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
    questions: Questions,
    connections: Arc<AtomicUsize>,
    tasks: [AbortHandle; 2],
}

impl Stub {
    pub(super) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let (udp, tcp) = same_port().await.expect("a free port");
        let address = udp.local_addr().expect("a bound socket");
        let questions = Questions::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let by_udp = serve_udp(udp, questions.clone(), answer.clone());
        let by_tcp = serve_tcp(tcp, connections.clone(), answer);
        let tasks = [tokio::spawn(by_udp).abort_handle(), tokio::spawn(by_tcp).abort_handle()];
        Self { address, questions, connections, tasks }
    }

    pub(super) fn resolver(&self) -> Resolver {
        Resolver::with_servers(&[self.address])
    }

    pub(super) fn questions(&self) -> Vec<String> {
        self.questions.lock().expect("no test panics here").clone()
    }

    /// TCP connections so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn same_port() -> io::Result<(UdpSocket, TcpListener)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
            return Ok((udp, tcp));
        }
    }
}

async fn serve_udp(socket: UdpSocket, questions: Questions, answer: Arc<impl Fn(&str) -> Answer>) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        let (query, question) = parse(&buffer[..length]);
        questions.lock().expect("no test panics here").push(question.clone());
        let has_edns = query.edns.is_some();
        let reply = match answer(&question) {
            Silence => continue,
            SilentToEdns(_) if has_edns => continue,
            Garbage => garbage(&buffer),
            OnlyByTcp(_) | OnlyByLaterTcp(_) | TruncatedByTcp(_) | SilentByTcp | ClosedByTcp => {
                encode(query, vec![], |reply| reply.metadata.truncation = true)
            }
            Cut(octets, records) => {
                let mut reply = encode(query, records, |_| ());
                reply.truncate(octets);
                reply
            }
            OnlyWithoutEdns(_) if has_edns => {
                Message::error_msg(query.metadata.id, query.metadata.op_code, FormErr).to_vec().expect("a DNS message")
            }
            Records(records) | OnlyWithoutEdns(records) | SilentToEdns(records) => encode(query, records, |_| ()),
            Changed(records, change) => encode(query, records, change),
            OddAdditional(records) => {
                let mut reply = encode(query, records, |_| ());
                // ARCOUNT, the last field of the header.
                reply[11] += 1;
                [reply, vec![0xff; 5]].concat()
            }
            Referral => encode(query, vec![], |reply| {
                reply.metadata.recursion_available = false;
                reply.add_authority(Record::from_rdata(name("example."), 60, RData::NS(NS(name("ns.example.")))));
            }),
            Code(code) => encode(query, vec![], |reply| {
                reply.metadata.response_code = code;
                // The upper bits of a code are in the OPT record.
                reply.edns = (code.high() > 0).then(Edns::new);
            }),
        };
        socket.send_to(&reply, client).await?;
    }
}

async fn serve_tcp<F>(listener: TcpListener, connections: Arc<AtomicUsize>, answer: Arc<F>) -> io::Result<()>
where
    F: Fn(&str) -> Answer + Send + Sync + 'static,
{
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        open.spawn(serve_connection(stream, is_first, answer.clone()));
    }
}

async fn serve_connection<F: Fn(&str) -> Answer>(
    mut stream: TcpStream,
    is_first: bool,
    answer: Arc<F>,
) -> io::Result<()> {
    while let Ok(length) = stream.read_u16().await {
        let mut buffer = vec![0; length.into()];
        stream.read_exact(&mut buffer).await?;
        let (query, question) = parse(&buffer);
        let reply = match answer(&question) {
            OnlyByLaterTcp(_) if is_first => continue,
            Records(records) | OnlyByTcp(records) | OnlyByLaterTcp(records) | Cut(_, records) | Changed(records, _) => {
                encode(query, records, |_| ())
            }
            TruncatedByTcp(records) => encode(query, records, |reply| reply.metadata.truncation = true),
            ClosedByTcp => break,
            Garbage => garbage(&buffer),
            _ => continue,
        };
        let length = u16::try_from(reply.len()).expect("a DNS message");
        stream.write_u16(length).await?;
        stream.write_all(&reply).await?;
    }
    Ok(())
}

/// The id of the query, and nothing that could be read.
fn garbage(query: &[u8]) -> Vec<u8> {
    [&query[..2], &[0xff; 20]].concat()
}

fn parse(bytes: &[u8]) -> (Message, String) {
    let query = Message::from_vec(bytes).expect("a DNS query");
    let asked = &query.queries[0];
    let question = format!("{} {}", asked.query_type(), to_text(asked.name()));
    (query, question)
}

fn encode(query: Message, records: Vec<RData>, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut name = query.queries[0].name().clone();
    let mut reply = query.into_response();
    reply.metadata.recursion_available = true;
    for record in records {
        let next = match &record {
            RData::CNAME(CNAME(next)) => next.clone(),
            _ => name.clone(),
        };
        reply.add_answers([Record::from_rdata(name, 60, record)]);
        name = next;
    }
    change(&mut reply);
    reply.to_vec().expect("a DNS message")
}
