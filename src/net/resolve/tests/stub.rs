//! [`Stub`]: a scripted name server.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::AbortHandle,
};

use super::*;

pub(super) enum Answer {
    Records(Vec<RData>),
    /// These by TCP, and a truncated answer by UDP.
    OnlyByTcp(Vec<RData>),
    Code(ResponseCode),
    Garbage,
    Silence,
}

use Answer::{Code, Garbage, OnlyByTcp, Records, Silence};

/// The questions by UDP, in order, such as `A mx.example`.
type Questions = Arc<Mutex<Vec<String>>>;

/// A DNS server whose answers are a function of the question.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
    questions: Questions,
    tasks: [AbortHandle; 2],
}

impl Stub {
    pub(super) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let (udp, tcp) = same_port().await.expect("a free port");
        let address = udp.local_addr().expect("a bound socket");
        let questions = Questions::default();
        let answer = Arc::new(answer);
        let by_udp = serve_udp(udp, questions.clone(), answer.clone());
        let by_tcp = serve_tcp(tcp, answer);
        let tasks = [tokio::spawn(by_udp).abort_handle(), tokio::spawn(by_tcp).abort_handle()];
        Self { address, questions, tasks }
    }

    pub(super) fn resolver(&self) -> Resolver {
        Resolver::with_servers(&[self.address]).expect("a resolver")
    }

    pub(super) fn questions(&self) -> Vec<String> {
        self.questions.lock().expect("no test panics here").clone()
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
        let reply = match answer(&question) {
            Silence => continue,
            Garbage => [&buffer[..2], &[0xff; 20]].concat(),
            OnlyByTcp(_) => encode(query, vec![], |reply| reply.metadata.truncation = true),
            Records(records) => encode(query, records, |_| ()),
            Code(code) => encode(query, vec![], |reply| reply.metadata.response_code = code),
        };
        socket.send_to(&reply, client).await?;
    }
}

async fn serve_tcp(listener: TcpListener, answer: Arc<impl Fn(&str) -> Answer>) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        while let Ok(length) = stream.read_u16().await {
            let mut buffer = vec![0; length.into()];
            stream.read_exact(&mut buffer).await?;
            let (query, question) = parse(&buffer);
            if let Records(records) | OnlyByTcp(records) = answer(&question) {
                let reply = encode(query, records, |_| ());
                let length = u16::try_from(reply.len()).expect("a DNS message");
                stream.write_u16(length).await?;
                stream.write_all(&reply).await?;
            }
        }
    }
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
