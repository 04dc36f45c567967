//! One connection: listens to the client, finds the step it has come to, and performs the act for it.

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    Record,
    polite::{self, Exchange},
    script::{Act, Move, Script, Step},
    session::{End, Line, Session, Tls},
    wire::Wire,
};

/// No test's connection lasts longer.
const LONGEST_SESSION: Duration = Duration::from_secs(120);

/// Serves one client to the end.
pub(super) async fn hold(tcp: TcpStream, peer: SocketAddr, script: Arc<Script>, record: Arc<Record>) -> Session {
    let mut conversation = Conversation::new(tcp, script, record);
    let end = match timeout(LONGEST_SESSION, conversation.run()).await {
        Ok(Err(end)) => end,
        Err(_) => End::Limit,
    };
    Session {
        peer,
        received: conversation.wire.received,
        lines: conversation.lines,
        message: conversation.message,
        proxy_header: conversation.proxy_header,
        tls: conversation.tls,
        violations: conversation.violations,
        end,
    }
}

#[derive(Debug)]
struct Conversation {
    wire: Wire,
    script: Arc<Script>,
    record: Arc<Record>,
    next: Next,
    exchange: Exchange,
    /// The commands accepted so far, of those that others need before them.
    accepted: Accepted,
    lines: Vec<Line>,
    message: Option<Vec<u8>>,
    proxy_header: Option<Vec<u8>>,
    tls: Option<Tls>,
    violations: Vec<String>,
}

/// What the client's next bytes are.
#[derive(Debug, Clone, Copy)]
enum Next {
    Command,
    SaslResponse(u8),
    Message,
}

#[derive(Debug, Default)]
struct Accepted {
    ehlo: bool,
    mail: bool,
    recipient: bool,
}

impl Conversation {
    fn new(tcp: TcpStream, script: Arc<Script>, record: Arc<Record>) -> Self {
        Self {
            wire: Wire::new(tcp),
            script,
            record,
            next: Next::Command,
            exchange: Exchange::default(),
            accepted: Accepted::default(),
            lines: Vec::new(),
            message: None,
            proxy_header: None,
            tls: None,
            violations: Vec::new(),
        }
    }

    /// Goes on until there is an end, which is the error.
    async fn run(&mut self) -> Result<Infallible, End> {
        if self.script.expects_proxy {
            self.proxy_header = self.wire.read_proxy_header().await?;
            if self.proxy_header.is_none() {
                self.violations.push("no PROXY header".to_owned());
                self.wire.close().await;
                return Err(End::Script);
            }
        }
        if let Some(config) = self.script.implicit_tls.clone() {
            self.wire.handshake(config, &mut self.tls).await?;
        }
        self.act_at(Step::Greeting).await?;
        loop {
            let step = self.listen().await?;
            self.act_at(step).await?;
            if step == Step::Quit {
                self.wire.close().await;
                return Err(End::Quit);
            }
        }
    }

    /// Reads what the client says next, and tells which step that is.
    async fn listen(&mut self) -> Result<Step, End> {
        if let Next::Message = self.next {
            self.message = Some(self.wire.read_message().await?);
            return Ok(Step::Body);
        }
        let bytes = self.wire.read_line().await?;
        let Some(text) = bytes.strip_suffix(b"\r\n") else {
            self.violations.push(format!("a line without CR LF: {:?}", String::from_utf8_lossy(&bytes)));
            return Ok(Step::Other);
        };
        let text = String::from_utf8_lossy(text).into_owned();
        self.lines.push(Line { text: text.clone(), in_tls: self.wire.in_tls(), at: Instant::now() });
        if let Next::SaslResponse(number) = self.next {
            self.exchange.push(&text);
            return Ok(Step::SaslResponse(number));
        }
        let step = self.step(&text);
        if step == Step::Auth {
            self.exchange = Exchange::begin(&text);
        }
        Ok(step)
    }

    fn step(&self, command: &str) -> Step {
        let verb = command.split(' ').next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if self.wire.in_tls() => Step::EhloTls,
            "EHLO" => Step::Ehlo,
            "STARTTLS" => Step::StartTls,
            "AUTH" => Step::Auth,
            "MAIL" => Step::MailFrom,
            "RCPT" => Step::RcptTo,
            "DATA" => Step::Data,
            "QUIT" => Step::Quit,
            _ => Step::Other,
        }
    }

    /// Performs the act for a step, and notes what the answer makes of the conversation.
    async fn act_at(&mut self, step: Step) -> Result<(), End> {
        if self.wire.has_unread().await {
            self.violations.push(format!("talk before the answer to {step:?}"));
        }
        let act = self.choose(step);
        let code = reply_code(&act);
        let was_in_tls = self.wire.in_tls();
        if !self.script.delay.is_zero() {
            sleep(self.script.delay).await;
        }
        for movement in act.0 {
            self.perform(movement).await?;
        }
        let positive = code / 100 == 2;
        match step {
            Step::Ehlo | Step::EhloTls => self.accepted.ehlo = positive,
            Step::MailFrom => self.accepted.mail = positive,
            Step::RcptTo => self.accepted.recipient |= positive,
            _ => {}
        }
        if self.wire.in_tls() != was_in_tls {
            self.accepted = Accepted::default();
        }
        self.next = match (step, code) {
            (Step::Auth, 334) => Next::SaslResponse(1),
            (Step::SaslResponse(number), 334) => Next::SaslResponse(number.saturating_add(1)),
            (Step::Data, 300..=399) => Next::Message,
            _ => Next::Command,
        };
        Ok(())
    }

    fn choose(&mut self, step: Step) -> Act {
        let in_order = match step {
            Step::StartTls | Step::Auth | Step::MailFrom => self.accepted.ehlo,
            Step::RcptTo => self.accepted.mail,
            Step::Data => self.accepted.recipient,
            _ => true,
        };
        if !in_order {
            self.violations.push(format!("{step:?} out of order"));
            return Act::reply("503 5.5.1 Bad sequence of commands\r\n");
        }
        match self.script.act(step) {
            Some(act) => act.clone(),
            None if self.script.polite => polite::act(&self.script, step, &self.exchange),
            None => match step {
                Step::Greeting => Act::default(),
                Step::Quit => Act::reply("221 2.0.0 Bye\r\n"),
                _ => Act::reply("502 5.5.1 Not in the script\r\n"),
            },
        }
    }

    async fn perform(&mut self, movement: Move) -> Result<(), End> {
        match movement {
            Move::Wait(delay) => sleep(delay).await,
            Move::Send(bytes) => self.wire.write(&bytes).await?,
            Move::Drip(bytes) => {
                for byte in bytes {
                    self.wire.write(&[byte]).await?;
                    yield_now().await;
                }
            }
            Move::Repeat { first, again, at_least } => {
                self.wire.write(&first).await?;
                let mut written = first.len();
                while written < at_least {
                    self.wire.write(&again).await?;
                    written = written.saturating_add(again.len());
                }
            }
            Move::AwaitClient => self.wire.discard().await?,
            Move::Handshake(config) => self.wire.handshake(config, &mut self.tls).await?,
            Move::Pass(gate) => {
                self.record.holds_back();
                gate.pass().await;
            }
            Move::Silence => {
                self.record.holds_back();
                self.wire.read_to_end().await?;
            }
            Move::StopReading => pending().await,
            Move::Close => {
                self.wire.close().await;
                return Err(End::Script);
            }
            Move::Cut => {
                self.wire.cut().await;
                return Err(End::Script);
            }
            Move::Reset => {
                self.wire.reset();
                return Err(End::Script);
            }
        }
        Ok(())
    }
}

/// The code that an act begins to answer with; 0 if it doesn't.
fn reply_code(act: &Act) -> u16 {
    let sent = act.0.iter().find_map(|movement| match movement {
        Move::Send(bytes) | Move::Drip(bytes) => Some(bytes),
        _ => None,
    });
    sent.and_then(|bytes| bytes.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
