//! One question to one server: [`by_udp`] and, where the answer is too long for it, [`by_tcp`].
//!
//! Each question has its own socket, and each connection carries one question: whatever happens to one of them, the
//! others do not notice.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use hickory_resolver::proto::{ProtoError, op::ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep_until, timeout},
};

use super::{
    edns::Edns,
    message::{Answer, Question, Reading},
};

/// When the query is sent again for the first time. Each later wait is twice as long.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(250);

/// Packets of one query.
const MAX_PACKETS: u32 = 7;

/// How many of them have EDNS, if any has: some servers and firewalls drop such queries, others the long answers.
const MAX_EDNS_PACKETS: u32 = 2;

/// Octets of a datagram that are read. A longer one counts as truncated.
const MAX_DATAGRAM_SIZE: usize = 4096;

/// How long the server may be silent on a TCP connection before a probe asks whether it answers by TCP at all.
const TCP_SILENCE: Duration = FIRST_RETRANSMISSION;

/// How long a TCP connection may take for its one answer before another connection is tried. The server has the answer
/// at hand: it has just sent the beginning of it by UDP. Each later wait is twice as long.
const FIRST_TCP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// It could not be asked, or it closed the connection.
    #[error("it could not be asked")]
    Io(#[from] io::Error),
    /// The name is not fit for a query.
    #[error("the name does not fit into a DNS query")]
    Query(#[from] ProtoError),
    /// What came back cannot be read.
    #[error("the response cannot be read")]
    Unreadable,
    /// The answer is truncated by TCP too.
    #[error("the answer is truncated")]
    Truncated,
}

/// Asks by UDP, for as long as the caller waits. The answer; `None` where it is truncated. `heard` is called when a
/// datagram of the server arrives, `silent` each time that the query is sent again.
///
/// Without `edns` the query is as a C library sends it by default, which every server knows, and an answer has at most
/// 512 octets.
pub(super) async fn by_udp(
    server: SocketAddr,
    question: &Question,
    edns: Option<&Edns>,
    heard: impl Fn(),
    silent: impl Fn(),
) -> Result<Option<Answer>, ExchangeError> {
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of its own for each question, which a forger would have to guess.
    let socket = UdpSocket::bind((local, 0)).await?;
    // Connected: the system drops what comes from elsewhere, and reports a port that is closed.
    socket.connect(server).await?;
    let id = random_id();
    let mut buffer = vec![0; MAX_DATAGRAM_SIZE + 1];
    let edns = edns.filter(|edns| edns.begin());
    let (mut packets, mut with_edns) = (0, edns.is_some());
    let (mut send_at, mut wait) = (Instant::now(), FIRST_RETRANSMISSION);
    loop {
        let length = tokio::select! {
            biased;
            length = socket.recv(&mut buffer) => length?,
            () = sleep_until(send_at), if packets < MAX_PACKETS => {
                if packets > 0 {
                    silent();
                    wait *= 2;
                }
                with_edns &= packets < MAX_EDNS_PACKETS;
                socket.send(&question.query(id, with_edns)?).await?;
                packets += 1;
                send_at = Instant::now() + wait;
                continue;
            }
        };
        let answer = match question.read(id, &buffer[..length]) {
            Reading::Unrelated => continue,
            // Some old servers do not know EDNS (RFC 6891, section 7).
            Reading::Response { answer: Answer::Code(code), .. } if with_edns && is_about_edns(code) => {
                heard();
                (packets, with_edns, send_at) = (MAX_EDNS_PACKETS, false, Instant::now());
                continue;
            }
            Reading::Response { answer, is_truncated: false } if length <= MAX_DATAGRAM_SIZE => Some(answer),
            // Also a datagram that ends too early without saying so: not every server or router heeds the size.
            Reading::Response { .. } | Reading::Cut => None,
        };
        heard();
        if let Some(edns) = edns {
            edns.answered(with_edns);
        }
        return Ok(answer);
    }
}

fn is_about_edns(code: ResponseCode) -> bool {
    // hickory reads BADVERS as BADSIG, which has the same number.
    use ResponseCode::{BADSIG, BADVERS, FormErr, NotImp};
    matches!(code, FormErr | NotImp | BADVERS | BADSIG)
}

/// Asks by TCP, for as long as the caller waits. A connection that is silent is given up for another one. `silent` is
/// called for each connection that does not answer soon.
pub(super) async fn by_tcp(
    server: SocketAddr,
    question: &Question,
    silent: impl Fn(),
) -> Result<Answer, ExchangeError> {
    let mut patience = FIRST_TCP_TIMEOUT;
    loop {
        let mut answered = pin!(on_one_connection(server, question));
        if let Ok(answered) = timeout(TCP_SILENCE, &mut answered).await {
            return answered;
        }
        silent();
        if let Ok(answered) = timeout(patience - TCP_SILENCE, answered).await {
            return answered;
        }
        patience *= 2;
    }
}

async fn on_one_connection(server: SocketAddr, question: &Question) -> Result<Answer, ExchangeError> {
    let mut connection = TcpStream::connect(server).await?;
    let id = random_id();
    // By TCP there is nothing that EDNS would allow for.
    let query = question.query(id, false)?;
    let length = u16::try_from(query.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    // In one write: some servers expect the length and the query in one segment (RFC 7766, section 8).
    connection.write_all(&[&length.to_be_bytes(), query.as_slice()].concat()).await?;
    let mut response = vec![0; usize::from(connection.read_u16().await?)];
    connection.read_exact(&mut response).await?;
    match question.read(id, &response) {
        Reading::Response { answer, is_truncated: false } => Ok(answer),
        Reading::Response { is_truncated: true, .. } => Err(ExchangeError::Truncated),
        Reading::Cut | Reading::Unrelated => Err(ExchangeError::Unreadable),
    }
}

/// From a generator that cannot be predicted, as a forger would have to (RFC 5452).
fn random_id() -> u16 {
    hickory_resolver::proto::op::Message::query().metadata.id
}
