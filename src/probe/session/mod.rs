//! The SMTP session of a check over one connection.
//!
//! [`Dialogue`] decides what to send and judges the replies. The session does the I/O for it, keeps the deadline, and
//! notes every step in the journal with its instant.

mod auth;
mod error;
mod exchange;
mod facts;
mod proxy;
mod quit;
mod timer;
mod tls;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::Instant as Deadline;

use self::{error::ReadError, timer::Timer, tls::Handshake};
use super::job::CheckContext;
use crate::{
    check::Check,
    net::{stream::Stream, tcp::TcpConnection},
    permits::Permit,
    phase::Phase,
    report::{
        Failure, FailureKind, Journal,
        journal::{Ending, Event},
    },
    secret::Mask,
    smtp::{Action, Command, Dialogue, Reply, ReplyParser, Verdict, dialogue::Warning},
    tls::{ClientAuth, TlsClient},
};

/// How long to wait for the rest of a reply that came early, and for a second reply that may not come.
const OPTIONAL_REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// From this size on the kernel is asked whether a message was acknowledged. A shorter one is sent in a segment or two.
const MIN_TRACKED_MESSAGE_SIZE: usize = 2048;
/// How long sending TLS's close_notify may take (RFC 8446, section 6.1).
const CLOSE_TIMEOUT: Duration = Duration::from_millis(50);

/// A connection to the mail server.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) tcp: TcpConnection,
    /// When the attempt began: the phase `banner` is measured from here.
    pub(super) began: Instant,
    pub(super) host: String,
    /// Held for as long as the check is connected.
    pub(super) permit: Permit<IpAddr>,
}

/// A session with a mail server.
pub(super) struct Session<'c> {
    check: Arc<Check>,
    journal: &'c mut Journal,
    /// The check's, or sooner once QUIT is sent.
    deadline: Deadline,
    timer: Timer,
    stream: Stream,
    /// When the connection attempt began: the phase `banner` is measured from here.
    connect_began: Instant,
    parser: ReplyParser,
    mask: Mask,
    /// The text of a 334 reply is not shown: it may hold what no mask knows.
    hides_challenges: bool,
    host: String,
    /// False once a command was written in part only.
    in_sync: bool,
    /// What the TLS handshake was about a client certificate, if the server has not replied since.
    client_auth: ClientAuth,
    _permit: Permit<IpAddr>,
}

impl Session<'_> {
    pub(super) fn new(context: &mut CheckContext, connection: Connection) -> Session<'_> {
        let Connection { tcp, began, host, permit } = connection;
        Session {
            check: Arc::clone(&context.check),
            journal: &mut context.journal,
            deadline: context.deadline,
            timer: Timer::new(context.deadline),
            stream: Stream::plain(tcp),
            connect_began: began,
            parser: ReplyParser::keeping_whole_text(context.check.script.expects_text()),
            mask: Mask::default(),
            hides_challenges: false,
            host,
            in_sync: true,
            client_auth: ClientAuth::NotAsked,
            _permit: permit,
        }
    }

    /// Holds the session to its end. What happened is in the journal, failures included.
    pub(super) async fn run(mut self, tls: &TlsClient) {
        let check = Arc::clone(&self.check);
        let (mut dialogue, first) = Dialogue::begin(&check.script);
        if let Err(failure) = self.drive(tls, &mut dialogue, first).await {
            // A server that took the PROXY header for a command waits for the next one.
            let in_sync = failure.phase == Phase::Proxy && failure.kind == FailureKind::Rejected;
            if failure.phase == Phase::SaslAuth {
                dialogue.auth_broke_off(failure.kind == FailureKind::Closed);
            }
            self.fail(failure);
            if in_sync {
                dialogue.quit();
                self.quit(&mut dialogue).await;
            }
        }
        if let Some(sasl) = dialogue.sasl() {
            self.journal.note(Instant::now(), Event::Authenticating(sasl));
        }
        for warning in dialogue.warnings() {
            self.journal.note(Instant::now(), Event::Warned(warning.to_string()));
            if *warning == Warning::StartTlsNotOffered {
                for no_effect in &check.no_effect_without_tls {
                    self.journal.note(Instant::now(), Event::Warned(no_effect.to_string()));
                }
            }
            if let Some(fact) = facts::of_warning(warning) {
                self.journal.note(Instant::now(), Event::Noted(fact));
            }
        }
        let by = self.deadline.min(Deadline::now() + CLOSE_TIMEOUT);
        // The check is over, whether this can be sent or not.
        let _ = self.timer.limit(by, self.stream.close()).await;
    }

    /// Does what the dialogue asks for, until it ends.
    ///
    /// # Errors
    /// The failure after which nothing more can be sent.
    async fn drive(&mut self, tls: &TlsClient, dialogue: &mut Dialogue<'_>, first: Action) -> Result<(), Failure> {
        let check = Arc::clone(&self.check);
        if let Some(header) = &check.proxy {
            self.send_proxy_header(header).await?;
        }
        self.journal.note(self.connect_began, Event::Began(Phase::Banner));
        if check.script.implicit_tls
            && let Handshake::Untrusted(failure) = self.handshake(tls).await?
        {
            return Err(failure);
        }
        let mut action = first;
        loop {
            action = match action {
                Action::AwaitGreeting(phase) => self.await_reply(dialogue, phase, None).await?,
                Action::Quit => {
                    self.quit(dialogue).await;
                    return Ok(());
                }
                Action::Reset => {
                    self.reset().await;
                    self.quit(dialogue).await;
                    return Ok(());
                }
                Action::Begin(phase, command) => {
                    self.exchange(dialogue, phase, &command, Some(Event::Began(phase))).await?
                }
                Action::Continue(phase, command) => self.exchange(dialogue, phase, &command, None).await?,
                Action::Compute(phase, work) => self.compute(dialogue, phase, work).await?,
                Action::Violated { phase, violation, in_sync } => {
                    let action = self.fail_and_quit(dialogue, Failure::new(phase, FailureKind::Protocol, violation));
                    if in_sync { action } else { Action::Close }
                }
                Action::Handshake => match self.handshake(tls).await? {
                    Handshake::Trusted => dialogue.after_handshake(),
                    Handshake::Untrusted(failure) => self.fail_and_quit(dialogue, failure),
                },
                Action::Unsupported(phase, lacking) => self.fail_and_quit(dialogue, facts::unsupported(phase, lacking)),
                Action::Close => return Ok(()),
            };
        }
    }

    /// Fails the check; QUIT can still be sent.
    fn fail_and_quit(&mut self, dialogue: &mut Dialogue<'_>, failure: Failure) -> Action {
        self.fail(failure);
        dialogue.quit()
    }

    fn fail(&mut self, mut failure: Failure) {
        failure.message = self.mask.apply(&failure.message);
        self.journal.note(Instant::now(), Event::Failed(failure));
    }

    /// Sends a command, and has the dialogue judge its reply, or the 421 that came before it. `event`, if any, is noted
    /// with the instant at which the command leaves.
    async fn exchange(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        phase: Phase,
        command: &Command,
        event: Option<Event>,
    ) -> Result<Action, Failure> {
        if let Some(closing) = self.expect_silence(phase, command).await? {
            return Ok(self.apply_reply(dialogue, phase, &closing));
        }
        dialogue.sending(command);
        let closing = self.send(phase, command, event).await?;
        self.reply_to(dialogue, phase, command, closing).await
    }

    /// Has the dialogue judge the 421 that closed the session, or waits for the reply to the command.
    async fn reply_to(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        phase: Phase,
        command: &Command,
        closing: Option<Reply>,
    ) -> Result<Action, Failure> {
        match closing {
            Some(closing) => Ok(self.apply_reply(dialogue, phase, &closing)),
            None => self.await_reply(dialogue, phase, Some(command)).await,
        }
    }

    /// Waits for the reply to `command`, or for the greeting, and has the dialogue judge it.
    async fn await_reply(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        phase: Phase,
        command: Option<&Command>,
    ) -> Result<Action, Failure> {
        let reply = self.read_reply(self.deadline).await.map_err(|error| self.read_failure(&error, phase))?;
        // What may refuse a PROXY header is early in any case, and is told apart below.
        if let Some(command) = command.filter(|_| self.stream.is_early() && !self.is_ambiguous(phase, &reply)) {
            // The reply to the command is still to come.
            self.in_sync = false;
            let closing = self.early_reply(phase, command, reply)?;
            return Ok(self.apply_reply(dialogue, phase, &closing));
        }
        // Our kernel takes a long message at once; the server may have replied before the end of it arrived there.
        let is_long = phase == Phase::Body && self.check.script.payload.len() >= MIN_TRACKED_MESSAGE_SIZE;
        if is_long && self.stream.is_still_sending() {
            self.in_sync = false;
        }
        if !self.in_sync && !reply.code().is_negative() {
            // A message that was not sent whole can be refused, but not accepted.
            let reply = self.shown(&reply);
            let message = format!("the server spoke before all was sent: {} {}", reply.code(), reply.message());
            return Err(Failure::new(phase, FailureKind::Protocol, message));
        }
        if self.refuses_header(phase, &reply) {
            return Err(self.header_refused(&reply));
        }
        if self.is_ambiguous(phase, &reply)
            && let Some(own) = self.second_reply().await.map_err(|error| self.read_failure(&error, phase))?
        {
            let refused = self.header_refused(&reply);
            self.fail(refused);
            // Such a server reads a header of version 2 as several lines: this refusal, too, may be for the header.
            if !own.code().is_negative() {
                self.apply_reply(dialogue, phase, &own);
            }
            return Ok(dialogue.quit());
        }
        Ok(self.apply_reply(dialogue, phase, &reply))
    }

    fn apply_reply(&mut self, dialogue: &mut Dialogue<'_>, phase: Phase, reply: &Reply) -> Action {
        let judged = dialogue.reply(reply);
        self.apply(phase, judged)
    }

    /// Notes how the phase ended, if it did.
    fn apply(&mut self, phase: Phase, (verdict, next): (Verdict, Action)) -> Action {
        let ending = match verdict {
            Verdict::Challenged => return next,
            // The phase ends once the handshake has seen that nothing follows the reply.
            Verdict::Accepted | Verdict::AsExpected { is_ok: true } if phase == Phase::StartTls => return next,
            Verdict::Accepted => Ending::Accepted,
            Verdict::Rejected => Ending::Rejected,
            Verdict::AsExpected { is_ok } => Ending::AsExpected { is_ok },
            Verdict::Unexpected { is_ok } => Ending::Unexpected { is_ok },
            Verdict::Spoiled => Ending::Spoiled,
        };
        self.journal.note(self.stream.arrived(), Event::Ended(phase, ending));
        next
    }

    /// Makes sure that the server has sent nothing since its last reply: what arrives before a command is not its
    /// reply. The exception is 421, which is returned: the server may send it at any time, and closes the connection
    /// (RFC 5321, section 3.8).
    ///
    /// Where the stamp of the reply to the command will tell as well, this is left to [`Self::await_reply`].
    async fn expect_silence(&mut self, phase: Phase, command: &Command) -> Result<Option<Reply>, Failure> {
        if self.is_told_by_stamps(command) || !self.stream.has_more().await {
            return Ok(None);
        }
        let by = self.deadline.min(Deadline::now() + OPTIONAL_REPLY_TIMEOUT);
        let early = self.read_reply(by).await.map_err(|error| match error {
            ReadError::Garbled(_) => self.read_failure(&error, phase),
            _ => {
                let partial = self.partial_reply();
                let message = format_args!("the server spoke before {} was sent: {partial:?}", command.in_words());
                Failure::new(phase, FailureKind::Protocol, message)
            }
        })?;
        self.early_reply(phase, command, early).map(Some)
    }

    /// Whether the stamp of a reply that comes before this command will tell that it did. That is known only after the
    /// command has left, and only if no other reply is read along with it. So the server is looked at before a password
    /// leaves, and where a PROXY header may be refused.
    fn is_told_by_stamps(&mut self, command: &Command) -> bool {
        let is_harmless = command.response().is_none();
        is_harmless && self.in_sync && self.check.proxy.is_none() && self.stream.will_tell_early()
    }

    /// What a reply means that came before this command: 421 ends the session, and is returned.
    fn early_reply(&mut self, phase: Phase, command: &Command, early: Reply) -> Result<Reply, Failure> {
        if early.code().value() == 421 {
            return Ok(early);
        }
        if self.may_refuse_header(phase, &early) {
            return Err(self.header_refused(&early));
        }
        let early = self.shown(&early);
        let (command, code) = (command.in_words(), early.code());
        let message = format!("the server spoke before {command} was sent: {code} {}", early.message());
        Err(Failure::new(phase, FailureKind::Protocol, message))
    }
}
