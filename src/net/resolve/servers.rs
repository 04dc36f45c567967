//! [`NameServers`]: the name servers, asked one after the other, those that are dead last.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    edns::Edns,
    error::ResolveError,
    exchange::{ExchangeError, by_tcp, by_udp},
    health::Health,
    message::{Answer, MAX_ALIASES, QueryFlags, Question},
    special, to_text,
};
use crate::destination::HostName;

/// The name servers, in the order in which they are asked.
#[derive(Debug, Default)]
pub(super) struct NameServers {
    servers: Vec<Arc<Server>>,
    options: Options,
    /// Counts questions, to begin with another server each time.
    turn: AtomicUsize,
}

/// How servers are asked (resolv.conf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// How long one server is waited for before the next one is asked too.
    pub(super) server_timeout: Duration,
    /// How long a question to one server may take, in server timeouts.
    pub(super) attempts: u32,
    /// Whether each question begins with the next server.
    pub(super) rotate: bool,
    /// Whether the servers are asked by TCP only.
    pub(super) tcp_only: bool,
    /// Whether AAAA records are not asked for, as if there were none.
    pub(super) no_aaaa: bool,
    /// Whether queries by UDP allow for answers of more than 512 octets (RFC 6891).
    pub(super) edns: bool,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    tcp_only: bool,
    /// `None` if it is asked without EDNS.
    edns: Option<Edns>,
    udp: Health,
    /// Apart from that of UDP: where TCP is blocked, the short answers are still to be had.
    tcp: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// A server that is asked.
#[derive(Debug)]
struct Turn {
    server: Arc<Server>,
    /// By what the server is asked at the moment.
    transport: watch::Receiver<Transport>,
}

impl Options {
    /// Without options. The time that a question may take is longer than a recursive server needs for a slow
    /// delegation; the check's own deadline is usually earlier.
    pub(super) const DEFAULT: Self = Self {
        server_timeout: Duration::from_secs(2),
        attempts: 10,
        rotate: false,
        tcp_only: false,
        no_aaaa: false,
        edns: false,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl NameServers {
    pub(super) fn new(servers: &[SocketAddr], options: Options) -> Self {
        // The health of a single server would make no difference.
        let has_others = servers.len() > 1;
        let server = |address: &SocketAddr| Server {
            address: *address,
            tcp_only: options.tcp_only,
            edns: options.edns.then(Edns::default),
            udp: Health::new(has_others),
            tcp: Health::new(has_others),
        };
        Self { servers: servers.iter().map(server).map(Arc::new).collect(), options, turn: AtomicUsize::default() }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    /// The records of the answer, aliases followed; none if the name has none of this type. Each exchange with a server
    /// takes a permit of `sockets`.
    ///
    /// # Errors
    /// No server gave an answer.
    pub(super) async fn query(
        &self,
        name: &HostName,
        record_type: RecordType,
        sockets: &Arc<Semaphore>,
    ) -> Result<Vec<RData>, ResolveError> {
        if self.options.no_aaaa && record_type == RecordType::AAAA {
            return Ok(Vec::new());
        }
        let unaskable = |error: ExchangeError| ResolveError::of_exchange(name.as_str(), &error);
        let mut question = Question::new(name, record_type).map_err(|error| unaskable(error.into()))?;
        let name = name.as_str();
        let mut names = vec![question.name.clone()];
        for _ in 0..MAX_ALIASES {
            let answer = match special::answer(&question.name, question.record_type) {
                Some(answer) => answer,
                None => self.ask(name, &question, sockets).await?,
            };
            match answer {
                Answer::Records(records) => return Ok(records),
                Answer::Alias(alias) if names.contains(&alias) => break,
                Answer::Alias(alias) => {
                    names.push(alias.clone());
                    question = question.of_alias(alias);
                }
                Answer::Code(code) => return Err(ResolveError::of_code(name, code)),
                Answer::Message(_) => return Err(ResolveError::Unreadable { name: name.to_owned() }),
                Answer::Referral => return Err(ResolveError::Lame { name: name.to_string() }),
                Answer::OtherRecords => return Err(ResolveError::OtherRecords { name: name.to_string() }),
            }
        }
        Err(ResolveError::AliasLoop { name: name.to_string() })
    }

    /// The whole response of the first server that has one.
    ///
    /// # Errors
    /// No server gave an answer; one whose code is neither NOERROR nor NXDOMAIN is none.
    pub(super) async fn message(
        &self,
        name: &Name,
        record_type: RecordType,
        flags: QueryFlags,
        sockets: &Arc<Semaphore>,
    ) -> Result<Message, ResolveError> {
        let text = to_text(name);
        match self.ask(&text, &Question::of_message(name.clone(), record_type, flags), sockets).await? {
            Answer::Message(message) => Ok(*message),
            _ => Err(ResolveError::Unreadable { name: text }),
        }
    }

    /// The first definite answer.
    ///
    /// After a failure the next server is asked instead. After the server timeout, or once the server is known to be
    /// dead, the next one is asked too, and the answer of the slow one still counts, unless its socket is needed. For
    /// an answer that is truncated, a server is dead if it does not answer by TCP.
    async fn ask(&self, name: &str, question: &Question, sockets: &Arc<Semaphore>) -> Result<Answer, ResolveError> {
        let mut turns = self.order().into_iter();
        let mut asked = JoinSet::new();
        let mut failure = None;
        loop {
            let mut turn = None;
            if let Some(server) = turns.next() {
                let permit = match sockets.clone().try_acquire_owned() {
                    Ok(permit) => permit,
                    Err(_) => {
                        asked.shutdown().await;
                        sockets.clone().acquire_owned().await.map_err(|_| ResolveError::no_answer(name, false))?
                    }
                };
                let (tells_transport, transport) = watch::channel(server.first_transport());
                turn = Some(Turn { server: server.clone(), transport });
                let exchange = server.ask(question.clone(), tells_transport);
                let exchange = timeout(self.options.server_timeout * self.options.attempts, exchange);
                asked.spawn(async move {
                    let _permit = permit;
                    exchange.await
                });
            }
            let answered = tokio::select! {
                biased;
                answered = asked.join_next() => answered,
                () = self.patience(turn.as_mut()) => match turn {
                    // All were asked; some failed, and the others do not answer.
                    None if failure.is_some() => None,
                    _ => continue,
                },
            };
            let Some(answered) = answered else {
                return Err(failure.unwrap_or_else(|| ResolveError::no_answer(name, self.servers.is_empty())));
            };
            // A task that panicked counts as a question without an answer.
            let Ok(Ok(answered)) = answered else { continue };
            failure = Some(match answered {
                Ok(Answer::Code(code)) if code != ResponseCode::NXDomain => ResolveError::of_code(name, code),
                Ok(Answer::Referral) => ResolveError::Lame { name: name.to_string() },
                Ok(Answer::OtherRecords) => ResolveError::OtherRecords { name: name.to_string() },
                Ok(answer) => return Ok(answer),
                Err(error) => ResolveError::of_exchange(name, &error),
            });
        }
    }

    /// The servers in their order, dead ones last.
    fn order(&self) -> Vec<Arc<Server>> {
        let mut servers = self.servers.clone();
        if self.options.rotate && !servers.is_empty() {
            let turn = self.turn.fetch_add(1, Relaxed) % servers.len();
            servers.rotate_left(turn);
        }
        let (dead, mut order): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|server| server.health(server.first_transport()).is_dead());
        dead.iter().for_each(|server| server.probe_if_due(server.first_transport()));
        order.extend(dead);
        order
    }

    /// How long to wait before the next server is asked too.
    async fn patience(&self, turn: Option<&mut Turn>) {
        let died = async {
            match turn {
                Some(turn) => turn.died().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = sleep(self.options.server_timeout) => {}
            () = died => {}
        }
    }
}

impl Turn {
    /// Waits until the server is known to be dead by the transport that it is asked by.
    async fn died(&mut self) {
        loop {
            let transport = *self.transport.borrow_and_update();
            let changed = async {
                if self.transport.changed().await.is_err() {
                    // The exchange is over.
                    pending().await
                }
            };
            tokio::select! {
                () = self.server.health(transport).died() => return,
                () = changed => {}
            }
        }
    }
}

impl Server {
    fn first_transport(&self) -> Transport {
        if self.tcp_only { Transport::Tcp } else { Transport::Udp }
    }

    fn health(&self, transport: Transport) -> &Health {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        }
    }

    async fn ask(
        self: Arc<Self>,
        question: Question,
        transport: watch::Sender<Transport>,
    ) -> Result<Answer, ExchangeError> {
        if !self.tcp_only {
            let (heard, silent) = (|| self.udp.heard(), || self.probe_if_due(Transport::Udp));
            if let Some(answer) = by_udp(self.address, &question, self.edns.as_ref(), heard, silent).await? {
                return Ok(answer);
            }
            transport.send_replace(Transport::Tcp);
            if self.tcp.is_dead() {
                self.probe_if_due(Transport::Tcp);
            }
        }
        let answer = by_tcp(self.address, &question, || self.probe_if_due(Transport::Tcp)).await?;
        self.tcp.heard();
        Ok(answer)
    }

    /// Finds out whether the server answers anything by this transport: a name may be slow where its server is not. In
    /// a task of its own: a caller that gives up early would end it.
    fn probe_if_due(self: &Arc<Self>, transport: Transport) {
        let Some(probe) = self.health(transport).begin_probe() else { return };
        let server = self.clone();
        tokio::spawn(async move {
            let (health, question) = (server.health(transport), Question::root_servers());
            let asked = async {
                match transport {
                    Transport::Udp => _ = by_udp(server.address, &question, None, || health.heard(), || ()).await,
                    Transport::Tcp => {
                        if by_tcp(server.address, &question, || ()).await.is_ok() {
                            health.heard();
                        }
                    }
                }
            };
            let is_silent = timeout(Health::PROBE_TIMEOUT, asked).await.is_err();
            if health.end_probe(probe, is_silent) {
                let consequence = match transport {
                    Transport::Udp => "the DNS server does not answer, others are asked first",
                    Transport::Tcp => {
                        "the DNS server does not answer by TCP, others are asked if its answer is truncated"
                    }
                };
                tracing::warn!(server = %server.address, "{consequence}");
            }
        });
    }
}
