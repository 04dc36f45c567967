//! Drives one dialogue over one connection: says what it says, at the server's pace, and stamps every step.

mod proxy;
mod secure;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    time::{Instant as Deadline, timeout_at},
};

use self::secure::Secured;
use crate::{
    check::Check,
    net::stream::Stream,
    phase::Phase,
    probe::CheckContext,
    report::{
        Failure, FailureKind, Journal,
        journal::{Ending, Event},
    },
    secret::Mask,
    smtp::{Action, Command, Dialogue, Reply, ReplyError, ReplyParser, Verdict, reply::excerpt},
    tls::TlsClient,
};

/// How long the answer to QUIT is waited for, and a reply that may or may not follow.
const PATIENCE: Duration = Duration::from_secs(1);
/// A shorter message goes out in a segment or two, and is never seen on its way.
const LONG_MESSAGE: usize = 2048;
/// How long a TLS goodbye may take to write.
const FAREWELL: Duration = Duration::from_millis(50);

/// A dialogue's connection, and all that it takes to hold it there.
pub(super) struct Driver {
    check: Arc<Check>,
    journal: Journal,
    deadline: Deadline,
    stream: Stream,
    /// When the connection was begun, which is when the banner's time begins.
    began: Instant,
    parser: ReplyParser,
    mask: Mask,
    host: String,
    /// False once a command was written in part only.
    in_step: bool,
}

/// A reply that did not come.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no reply in time")]
    TimedOut,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server spoke before all was sent")]
    OutOfTurn,
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
            Self::OutOfTurn | Self::Garbled(_) => FailureKind::Protocol,
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

impl Driver {
    pub(super) fn new(underway: CheckContext, tcp: TcpStream, began: Instant, host: String) -> Self {
        let CheckContext { check, journal, deadline, .. } = underway;
        let (stream, parser, mask) = (Stream::plain(tcp), ReplyParser::default(), Mask::default());
        Self { check, journal, deadline, stream, began, parser, mask, host, in_step: true }
    }

    /// Has the conversation.
    pub(super) async fn run(&mut self, tls: &TlsClient) {
        let check = Arc::clone(&self.check);
        let (mut dialogue, first) = Dialogue::begin(&check.script);
        if let Err(failure) = self.converse(tls, &mut dialogue, first).await {
            // A server that took the PROXY header for a command has refused it and waits for the next one.
            let in_step = failure.phase == Phase::Proxy && failure.kind == FailureKind::Rejected;
            self.fail(failure);
            if in_step {
                dialogue.quit();
                self.quit(&mut dialogue).await;
            }
        }
        for warning in dialogue.warnings() {
            self.journal.note(Instant::now(), Event::Warned(warning.to_string()));
        }
        let farewell = self.deadline.min(Deadline::now() + FAREWELL);
        // A goodbye that cannot be written is none.
        let _ = timeout_at(farewell, self.stream.close()).await;
    }

    /// What happened.
    pub(super) fn into_journal(self) -> Journal {
        self.journal
    }

    /// # Errors
    /// The failure after which nothing more can be said.
    async fn converse(&mut self, tls: &TlsClient, dialogue: &mut Dialogue<'_>, first: Action) -> Result<(), Failure> {
        let check = Arc::clone(&self.check);
        if let Some(header) = &check.proxy {
            self.send_proxy_header(header).await?;
        }
        self.journal.note(self.began, Event::Began(Phase::Banner));
        if check.script.implicit_tls
            && let Secured::Distrusted(failure) = self.handshake(tls).await?
        {
            return Err(failure);
        }
        let mut action = first;
        loop {
            action = match action {
                Action::AwaitGreeting(phase) => self.answer(dialogue, phase).await?,
                Action::Quit => {
                    self.quit(dialogue).await;
                    return Ok(());
                }
                Action::Begin(phase, command) => {
                    self.begin(phase, &command).await?;
                    self.answer(dialogue, phase).await?
                }
                Action::Continue(phase, command) => {
                    self.await_turn(phase, &command).await?;
                    self.say(phase, &command, None).await?;
                    self.answer(dialogue, phase).await?
                }
                Action::Handshake => match self.handshake(tls).await? {
                    Secured::Trusted => dialogue.after_handshake(),
                    Secured::Distrusted(failure) => self.part(dialogue, failure),
                },
                Action::Unsupported(phase, lacking) => {
                    self.part(dialogue, Failure::new(phase, FailureKind::Unsupported, lacking))
                }
                Action::Close => return Ok(()),
            };
        }
    }

    /// Fails the check while the dialogue is in step.
    fn part(&mut self, dialogue: &mut Dialogue<'_>, failure: Failure) -> Action {
        self.fail(failure);
        dialogue.quit()
    }

    fn fail(&mut self, mut failure: Failure) {
        failure.message = self.mask.apply(&failure.message);
        self.journal.note(Instant::now(), Event::Failed(failure));
    }

    /// Waits for the reply that ends a phase, or goes on with it, and takes what is next.
    async fn answer(&mut self, dialogue: &mut Dialogue<'_>, phase: Phase) -> Result<Action, Failure> {
        let reply = self.hear(self.deadline).await.map_err(|lost| self.lose(&lost, phase))?;
        // Our kernel takes a long message at once, and the server may have spoken before the end of it came there.
        let is_long = phase == Phase::Body && self.check.script.payload.len() >= LONG_MESSAGE;
        if is_long && self.stream.is_still_sending() {
            self.in_step = false;
        }
        if !self.in_step && !reply.code().is_negative() {
            // What was not sent can be refused, but not accepted.
            let reply = reply.masked(&self.mask);
            let said = format!("the server spoke before all was sent: {} {}", reply.code(), reply.message());
            return Err(Failure::new(phase, FailureKind::Protocol, said));
        }
        if self.refuses_header(phase, &reply) {
            return Err(self.header_refused(&reply));
        }
        if self.is_ambiguous(phase, &reply)
            && let Some(own) = self.second_reply().await.map_err(|lost| self.lose(&lost, phase))?
        {
            let refused = self.header_refused(&reply);
            self.fail(refused);
            // Version 2 is several lines to such a server, so that another refusal may be the header's as well.
            if !own.code().is_negative() {
                self.judge(dialogue, phase, &own);
            }
            return Ok(dialogue.quit());
        }
        Ok(self.judge(dialogue, phase, &reply))
    }

    fn judge(&mut self, dialogue: &mut Dialogue<'_>, phase: Phase, reply: &Reply) -> Action {
        let (verdict, next) = dialogue.reply(reply);
        let ending = match verdict {
            Verdict::Challenged => return next,
            // It is over once nothing is found behind the reply, which the handshake looks for.
            Verdict::Accepted if phase == Phase::StartTls => return next,
            Verdict::Accepted => Ending::Accepted,
            Verdict::Rejected => Ending::Rejected,
        };
        self.journal.note(self.stream.arrived(), Event::Ended(phase, ending));
        next
    }

    /// Makes sure that the server has said nothing since its last reply. What comes before a command is not its answer.
    async fn await_turn(&mut self, phase: Phase, command: &Command) -> Result<(), Failure> {
        if !self.stream.has_more().await {
            return Ok(());
        }
        let by = self.deadline.min(Deadline::now() + PATIENCE);
        let early = self.hear(by).await.map_err(|lost| match lost {
            Lost::Garbled(_) => self.lose(&lost, phase),
            _ => {
                let said = self.overhear();
                let said = format_args!("the server spoke before {} was sent: {said:?}", command.in_words());
                Failure::new(phase, FailureKind::Protocol, said)
            }
        })?;
        if self.may_refuse_header(phase, &early) {
            return Err(self.header_refused(&early));
        }
        let early = early.masked(&self.mask);
        let (command, code) = (command.in_words(), early.code());
        let said = format!("the server spoke before {command} was sent: {code} {}", early.message());
        Err(Failure::new(phase, FailureKind::Protocol, said))
    }

    /// Begins a phase with a command.
    async fn begin(&mut self, phase: Phase, command: &Command) -> Result<(), Failure> {
        self.await_turn(phase, command).await?;
        self.say(phase, command, Some(Event::Began(phase))).await
    }

    /// Writes a command; the event in front of it, if any, has the same instant.
    async fn say(&mut self, phase: Phase, command: &Command, event: Option<Event>) -> Result<(), Failure> {
        self.mask_from(command);
        let octets = command.to_wire();
        let shown = self.check.transcript.then(|| self.mask.apply(&command.to_string()));
        let now = Instant::now();
        event.into_iter().chain(shown.map(Event::Sent)).for_each(|event| self.journal.note(now, event));
        let Err(lost) = self.write(&octets).await else { return Ok(()) };
        self.in_step = false;
        match command {
            // A message may be refused before all of it is written. The refusal is heard next, as its answer.
            Command::Body(_) if self.stream.has_more().await => Ok(()),
            // Whoever hung up may have said why.
            _ => Box::pin(self.await_turn(phase, command)).await.and(Err(lost.failure(phase))),
        }
    }

    /// From the password on, the server may echo it. Not before: what a mask hid of a server that was told nothing yet would tell its
    /// owner, by the report, which of the guesses in its greeting were right.
    fn mask_from(&mut self, command: &Command) {
        if let Command::SaslResponse(response) = command
            && let Some(credentials) =
                self.check.script.credentials.as_ref().filter(|who| who.is_password_response(response))
        {
            self.mask = credentials.mask();
        }
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Lost> {
        let written = timeout_at(self.deadline, self.stream.write(octets)).await.map_err(|_| Lost::TimedOut)?;
        if written? { Ok(()) } else { Err(Lost::OutOfTurn) }
    }

    /// The next reply, in the journal with the instant at which its last byte arrived.
    async fn hear(&mut self, by: Deadline) -> Result<Reply, Lost> {
        loop {
            let mut unread = self.stream.unread();
            let octets = unread.len();
            let parsed = self.parser.parse(&mut unread);
            let taken = octets - unread.len();
            self.stream.take(taken);
            if let Some(reply) = parsed.map_err(|error| error.masked(&self.mask))? {
                self.journal.note(self.stream.arrived(), Event::Received(reply.masked(&self.mask)));
                return Ok(reply);
            }
            if taken > 0 {
                self.stream.acknowledge_at_once();
            }
            // A server that never stops talking never lets the timer below be asked.
            if self.stream.arrived() >= by.into_std() {
                return Err(Lost::TimedOut);
            }
            let read = timeout_at(by, self.stream.read()).await.map_err(|_| Lost::TimedOut)?;
            if !read? {
                return Err(Lost::Closed);
            }
        }
    }

    /// What becomes of a phase whose reply did not come. What came of the reply is all that the server said about it.
    fn lose(&mut self, lost: &Lost, phase: Phase) -> Failure {
        let last_words = self.overhear();
        match lost {
            Lost::TimedOut | Lost::Closed | Lost::Tls(_) if !last_words.is_empty() => {
                Failure::new(phase, lost.kind(), format_args!("{lost} after {last_words:?}"))
            }
            Lost::Garbled(ReplyError::CodeChanged { .. }) => {
                Failure::new(phase, lost.kind(), format_args!("{lost}, in {last_words:?}"))
            }
            _ => lost.failure(phase),
        }
    }

    /// The beginning of the last line of a reply that is not whole. The transcript gets all of its lines.
    fn overhear(&mut self) -> String {
        let lines = self.mask.apply(&self.parser.partial_reply());
        let last = excerpt(lines.lines().last().unwrap_or_default()).to_owned();
        if self.check.transcript {
            self.journal.note(self.stream.arrived(), Event::Overheard(lines));
        }
        last
    }

    /// Ends politely, if the dialogue is in step; whatever comes of that, it does not fail the check.
    async fn quit(&mut self, dialogue: &mut Dialogue<'_>) {
        self.deadline = self.deadline.min(Deadline::now() + PATIENCE);
        if !self.in_step {
            return;
        }
        let mut begun = self.begin(Phase::Quit, &Command::Quit).await;
        // Heard only now, since nothing was said before: the header is refused, and that does fail the check.
        if let Err(failure) = &begun
            && failure.phase == Phase::Proxy
        {
            self.fail(failure.clone());
            begun = self.begin(Phase::Quit, &Command::Quit).await;
        }
        if begun.is_ok() {
            drop(self.answer(dialogue, Phase::Quit).await);
        }
    }
}
