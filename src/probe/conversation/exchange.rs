//! One conversation over one connection: says what the dialogue says, at the server's pace, and stamps every step.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::{
    check::{Check, TlsVerify},
    net::stream::Stream,
    phase::Phase,
    probe::Running,
    proxy_header::ProxyHeader,
    report::{
        Failure, FailureKind, Journal,
        journal::{Ending, Event, TlsSession},
    },
    secret::Mask,
    smtp::{Action, Command, Dialogue, Reply, ReplyError, ReplyParser, Verdict},
    tls::{
        TlsFacts,
        handshake::{HandshakeError, ServerName, TlsClient},
    },
};

/// How long the answer to QUIT is waited for, and a reply that may or may not follow.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a TLS goodbye may take to write.
const FAREWELL: Duration = Duration::from_millis(50);

/// A conversation and all that it needs.
pub(super) struct Exchange {
    check: Arc<Check>,
    journal: Journal,
    deadline: Instant,
    stream: Stream,
    /// When the last bytes arrived.
    arrived: std::time::Instant,
    /// When the connection was begun, which is when the banner's time begins.
    began: std::time::Instant,
    parser: ReplyParser,
    mask: Mask,
    host: String,
}

/// A reply that did not come.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no reply in time")]
    TimedOut,
    #[error("the server closed the connection")]
    Closed,
    #[error(transparent)]
    Garbled(#[from] ReplyError),
    #[error("the TLS session broke: {0}")]
    Tls(io::Error),
}

impl Lost {
    fn kind(&self) -> FailureKind {
        match self {
            Self::TimedOut => FailureKind::Timeout,
            Self::Closed => FailureKind::Closed,
            Self::Garbled(_) => FailureKind::Protocol,
            Self::Tls(_) => FailureKind::Tls,
        }
    }

    fn failure(&self, phase: Phase) -> Failure {
        Failure::new(phase, self.kind(), self)
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // rustls reports alerts and broken records so.
            io::ErrorKind::InvalidData => Self::Tls(error),
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Closed,
        }
    }
}

impl Exchange {
    pub(super) fn new(running: Running, tcp: TcpStream, began: std::time::Instant, host: String) -> Self {
        let Running { check, journal, deadline } = running;
        let mask = check.script.credentials.as_ref().map(|credentials| credentials.mask()).unwrap_or_default();
        let (stream, parser) = (Stream::plain(tcp), ReplyParser::default());
        Self { check, journal, deadline, stream, arrived: began, began, parser, mask, host }
    }

    /// Has the conversation, and gives the journal back.
    pub(super) async fn run(mut self, tls: &TlsClient) -> Journal {
        let (mut dialogue, first) = Dialogue::begin(self.check.script.clone());
        if let Err(failure) = self.converse(tls, &mut dialogue, first).await {
            // A server that took the PROXY header for a command has refused it and waits for the next one.
            let in_step = failure.phase == Phase::Proxy && failure.kind == FailureKind::Rejected;
            self.fail(failure);
            if in_step {
                self.quit(&mut dialogue).await;
            }
        }
        for warning in dialogue.warnings() {
            self.journal.note(std::time::Instant::now(), Event::Warned(warning.to_string()));
        }
        let farewell = self.deadline.min(Instant::now() + FAREWELL);
        // A goodbye that cannot be written is none.
        let _ = timeout_at(farewell, self.stream.close()).await;
        self.journal
    }

    /// # Errors
    /// The failure after which nothing more can be said.
    async fn converse(&mut self, tls: &TlsClient, dialogue: &mut Dialogue, first: Action) -> Result<(), Failure> {
        let check = Arc::clone(&self.check);
        if let Some(header) = &check.proxy {
            self.send_proxy_header(header).await?;
        }
        self.journal.note(self.began, Event::Began(Phase::Banner));
        if check.script.implicit_tls {
            let facts = self.handshake(tls).await?;
            self.trust(facts.as_ref())?;
        }
        let mut action = first;
        loop {
            action = match action {
                Action::Listen(phase) => self.answer(dialogue, phase).await?,
                Action::Begin(Phase::Quit, _) => {
                    self.quit(dialogue).await;
                    return Ok(());
                }
                Action::Begin(phase, command) => {
                    self.await_turn(phase, &command).await?;
                    self.journal.note(std::time::Instant::now(), Event::Began(phase));
                    self.say(phase, &command).await?;
                    self.answer(dialogue, phase).await?
                }
                Action::Continue(command) => {
                    self.await_turn(Phase::SaslAuth, &command).await?;
                    self.say(Phase::SaslAuth, &command).await?;
                    self.answer(dialogue, Phase::SaslAuth).await?
                }
                Action::Handshake => {
                    let facts = self.handshake(tls).await?;
                    match self.trust(facts.as_ref()) {
                        Ok(()) => dialogue.after_handshake(),
                        Err(failure) => self.part(dialogue, failure),
                    }
                }
                Action::Unsupported(phase, lacking) => {
                    self.part(dialogue, Failure::new(phase, FailureKind::Unsupported, lacking))
                }
                Action::Close => return Ok(()),
            };
        }
    }

    /// Fails the check while the dialogue is in step.
    fn part(&mut self, dialogue: &mut Dialogue, failure: Failure) -> Action {
        self.fail(failure);
        dialogue.quit()
    }

    fn fail(&mut self, mut failure: Failure) {
        failure.message = self.mask.apply(&failure.message);
        self.journal.note(std::time::Instant::now(), Event::Failed(failure));
    }

    async fn send_proxy_header(&mut self, header: &ProxyHeader) -> Result<(), Failure> {
        let unsupported =
            |error: &dyn ToString| Failure::new(Phase::Proxy, FailureKind::Unsupported, error.to_string());
        let (local, peer) = self.stream.ends().map_err(|error| Lost::from(error).failure(Phase::Proxy))?;
        let octets = header.encode(local, peer).map_err(|error| unsupported(&error))?;
        self.journal.note(std::time::Instant::now(), Event::Sent(shown(&octets)));
        self.write(&octets).await.map_err(|lost| lost.failure(Phase::Proxy))
    }

    /// Waits for the reply that ends a phase, or goes on with it, and takes what is next.
    async fn answer(&mut self, dialogue: &mut Dialogue, phase: Phase) -> Result<Action, Failure> {
        let reply = self.hear(self.deadline).await.map_err(|lost| lost.failure(phase))?;
        if self.check.proxy.is_some() && self.is_for_the_header(phase, &reply).await {
            return Err(Failure::rejected(Phase::Proxy, &reply.masked(&self.mask)));
        }
        Ok(self.judge(dialogue, phase, &reply))
    }

    fn judge(&mut self, dialogue: &mut Dialogue, phase: Phase, reply: &Reply) -> Action {
        let (verdict, next) = dialogue.reply(reply);
        let ending = match verdict {
            Verdict::Challenged => return next,
            Verdict::Accepted => Ending::Accepted,
            Verdict::Rejected => Ending::Rejected,
        };
        self.journal.note(self.arrived, Event::Ended(phase, ending));
        next
    }

    /// A server that expects no PROXY header takes it for a command and refuses it; that refusal may come in before EHLO's answer, or
    /// even the greeting.
    async fn is_for_the_header(&mut self, phase: Phase, reply: &Reply) -> bool {
        match phase {
            // These find fault with a command (RFC 5321, section 4.2.2), and the header is all that the server has heard.
            Phase::Banner => (500..=504).contains(&reply.code().value()),
            // If a second reply follows, the first was the header's.
            Phase::Ehlo if reply.code().is_negative() => {
                let by = self.deadline.min(Instant::now() + PATIENCE);
                self.hear(by).await.is_ok()
            }
            _ => false,
        }
    }

    /// Makes sure that the server has said nothing since its last reply. What comes before a command is not its answer.
    async fn await_turn(&mut self, phase: Phase, command: &Command) -> Result<(), Failure> {
        if !self.stream.has_more().await {
            return Ok(());
        }
        let by = self.deadline.min(Instant::now() + PATIENCE);
        let early = self.hear(by).await.map_err(|lost| match lost {
            Lost::Garbled(_) => lost.failure(phase),
            _ => Failure::new(phase, FailureKind::Protocol, format_args!("the server spoke before {command} was sent")),
        })?;
        if phase == Phase::Ehlo && self.check.proxy.is_some() && early.code().is_negative() {
            return Err(Failure::rejected(Phase::Proxy, &early.masked(&self.mask)));
        }
        let said = format!("the server spoke before {command} was sent: {} {}", early.code(), early.message());
        Err(Failure::new(phase, FailureKind::Protocol, said))
    }

    async fn say(&mut self, phase: Phase, command: &Command) -> Result<(), Failure> {
        self.journal.note(std::time::Instant::now(), Event::Sent(self.mask.apply(&command.to_string())));
        self.write(&command.to_wire()).await.map_err(|lost| lost.failure(phase))
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Lost> {
        timeout_at(self.deadline, self.stream.write(octets)).await.map_err(|_| Lost::TimedOut)?.map_err(Lost::from)
    }

    /// The next reply, in the journal with the instant at which its last byte arrived.
    async fn hear(&mut self, by: Instant) -> Result<Reply, Lost> {
        loop {
            let mut unread = self.stream.unread();
            let octets = unread.len();
            let parsed = self.parser.parse(&mut unread);
            let taken = octets - unread.len();
            self.stream.take(taken);
            if let Some(reply) = parsed.map_err(|error| error.masked(&self.mask))? {
                self.journal.note(self.arrived, Event::Received(reply.masked(&self.mask)));
                return Ok(reply);
            }
            // A server that never stops talking never lets the timer below be asked.
            if self.arrived >= by.into_std() {
                return Err(Lost::TimedOut);
            }
            let read = timeout_at(by, self.stream.read()).await.map_err(|_| Lost::TimedOut)?;
            self.arrived = read?.ok_or(Lost::Closed)?;
        }
    }

    /// Ends politely, if the dialogue is in step; whatever comes of that, it does not fail the check.
    async fn quit(&mut self, dialogue: &mut Dialogue) {
        let Action::Begin(phase, command) = dialogue.quit() else { return };
        self.deadline = self.deadline.min(Instant::now() + PATIENCE);
        if self.await_turn(phase, &command).await.is_err() {
            return;
        }
        self.journal.note(std::time::Instant::now(), Event::Began(phase));
        if self.say(phase, &command).await.is_ok()
            && let Ok(reply) = self.hear(self.deadline).await
        {
            self.judge(dialogue, phase, &reply);
        }
    }

    /// Goes over to TLS. The facts are `None` only where the server showed no certificate.
    async fn handshake(&mut self, tls: &TlsClient) -> Result<Option<TlsFacts>, Failure> {
        let released = self.stream.release().await;
        if released.is_err() && !self.check.script.implicit_tls {
            let message = "bytes came in clear text behind the answer to STARTTLS; somebody may have injected them";
            return Err(Failure::new(Phase::StartTls, FailureKind::Protocol, message));
        }
        let name = self.server_name()?;
        self.journal.note(std::time::Instant::now(), Event::Began(Phase::Tls));
        let Ok(tcp) = released else {
            // A greeting in clear text, which would meet the handshake if it came a moment later.
            self.journal.note(std::time::Instant::now(), Event::Ended(Phase::Tls, Ending::Failed));
            return Err(handshake_failure(&HandshakeError::NotTls));
        };
        let (outcome, facts) = tls.handshake(tcp, &name, self.deadline).await;
        let ended = std::time::Instant::now();
        if let Some(facts) = &facts {
            self.journal.note(ended, Event::Secured(Box::new(session(facts))));
        }
        let failure = match outcome {
            Ok(stream) => {
                self.stream.secured(stream);
                self.journal.note(ended, Event::Ended(Phase::Tls, Ending::Done));
                return Ok(facts);
            }
            Err(error) => handshake_failure(&error),
        };
        if failure.kind == FailureKind::Tls {
            self.journal.note(ended, Event::Ended(Phase::Tls, Ending::Failed));
        }
        Err(failure)
    }

    fn server_name(&self) -> Result<ServerName, Failure> {
        let name = self.check.tls_server_name.as_deref().unwrap_or(&self.host);
        name.parse()
            .map_err(|error| Failure::new(Phase::Tls, FailureKind::Unsupported, format_args!("{name}: {error}")))
    }

    /// Whether the check may go on with a server that showed this certificate.
    fn trust(&self, facts: Option<&TlsFacts>) -> Result<(), Failure> {
        let certificate = |message: &str| Err(Failure::new(Phase::Tls, FailureKind::Certificate, message));
        let Some(facts) = facts else { return certificate("the server showed no certificate") };
        if self.check.tls_verify == TlsVerify::Require
            && let Some(error) = facts.cert_error()
        {
            return certificate(&error);
        }
        let sends_credentials = self.check.script.phases().contains(&Phase::SaslAuth);
        if sends_credentials && !facts.key_proven() {
            return certificate(
                "the server did not prove that it holds the certificate's key; no credential is sent to it",
            );
        }
        Ok(())
    }
}

fn session(facts: &TlsFacts) -> TlsSession {
    TlsSession {
        version: facts.version,
        cipher: facts.cipher.map(str::to_owned),
        server_name: facts.server_name.clone(),
        problems: facts.errors.clone(),
        chain: facts.chain.clone(),
    }
}

fn handshake_failure(error: &HandshakeError) -> Failure {
    let kind = match error {
        HandshakeError::Closed => FailureKind::Closed,
        HandshakeError::TimedOut => FailureKind::Timeout,
        _ => FailureKind::Tls,
    };
    Failure::new(Phase::Tls, kind, error)
}

/// A PROXY header in a transcript: version 1 is a line, version 2 is shown in hexadecimal digits.
fn shown(header: &[u8]) -> String {
    match std::str::from_utf8(header) {
        Ok(line) if line.starts_with("PROXY ") => line.trim_end().to_owned(),
        _ => {
            let digits: String = header.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("(PROXY header, version 2: {digits})")
        }
    }
}
