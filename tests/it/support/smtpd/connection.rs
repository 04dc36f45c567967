//! One connection: reads from the client, finds the step, and performs its action.

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
    compliant::{self, SaslExchange},
    script::{Action, Operation, Script, Step},
    session::{End, Line, Session, Tls},
    stream::RecordedStream,
};

/// No connection of a test lasts longer.
const SESSION_TIMEOUT: Duration = Duration::from_secs(600);

/// Serves one client to the end.
pub(super) async fn serve(tcp: TcpStream, peer: SocketAddr, script: Arc<Script>, record: Arc<Record>) -> Session {
    let mut connection = Connection::new(tcp, script, record);
    let end = match timeout(SESSION_TIMEOUT, connection.run()).await {
        Ok(Err(end)) => end,
        Err(_) => End::Limit,
    };
    Session {
        peer,
        received: connection.stream.received,
        lines: connection.lines,
        message: connection.message,
        proxy_header: connection.proxy_header,
        tls: connection.tls,
        violations: connection.violations,
        end,
    }
}

#[derive(Debug)]
struct Connection {
    stream: RecordedStream,
    script: Arc<Script>,
    record: Arc<Record>,
    next: Next,
    exchange: SaslExchange,
    /// The accepted commands that other commands require before them.
    accepted: Accepted,
    lines: Vec<Line>,
    message: Option<Vec<u8>>,
    proxy_header: Option<Vec<u8>>,
    tls: Option<Tls>,
    violations: Vec<String>,
}

/// What the client sends next.
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

impl Connection {
    fn new(tcp: TcpStream, script: Arc<Script>, record: Arc<Record>) -> Self {
        Self {
            stream: RecordedStream::new(tcp),
            script,
            record,
            next: Next::Command,
            exchange: SaslExchange::default(),
            accepted: Accepted::default(),
            lines: Vec::new(),
            message: None,
            proxy_header: None,
            tls: None,
            violations: Vec::new(),
        }
    }

    /// Runs until the end of the connection, which is the error.
    async fn run(&mut self) -> Result<Infallible, End> {
        if self.script.expects_proxy {
            self.proxy_header = self.stream.read_proxy_header().await?;
            if self.proxy_header.is_none() {
                self.violations.push("no PROXY header".to_owned());
                self.stream.close().await;
                return Err(End::Script);
            }
        }
        if let Some(config) = self.script.implicit_tls.clone() {
            self.stream.handshake(config, &mut self.tls).await?;
        }
        self.act_at(Step::Greeting).await?;
        loop {
            let step = self.listen().await?;
            self.act_at(step).await?;
            if step == Step::Quit {
                self.stream.close().await;
                return Err(End::Quit);
            }
        }
    }

    /// Reads the next line or message, and returns its step.
    async fn listen(&mut self) -> Result<Step, End> {
        if let Next::Message = self.next {
            self.message = Some(self.stream.read_message().await?);
            return Ok(Step::Body);
        }
        let bytes = self.stream.read_line().await?;
        let Some(text) = bytes.strip_suffix(b"\r\n") else {
            self.violations.push(format!("a line without CR LF: {:?}", String::from_utf8_lossy(&bytes)));
            return Ok(Step::Other);
        };
        let text = String::from_utf8_lossy(text).into_owned();
        self.lines.push(Line { text: text.clone(), in_tls: self.stream.in_tls(), at: Instant::now() });
        if let Next::SaslResponse(number) = self.next {
            self.exchange.push(&text);
            return Ok(Step::SaslResponse(number));
        }
        let step = self.step(&text);
        if step == Step::Auth {
            self.exchange = SaslExchange::begin(&text);
        }
        Ok(step)
    }

    fn step(&self, command: &str) -> Step {
        let verb = command.split(' ').next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" if self.stream.in_tls() => Step::EhloTls,
            "EHLO" | "LHLO" => Step::Ehlo,
            "STARTTLS" => Step::StartTls,
            "AUTH" => Step::Auth,
            "MAIL" => Step::MailFrom,
            "RCPT" => Step::RcptTo,
            "DATA" => Step::Data,
            "QUIT" => Step::Quit,
            _ => Step::Other,
        }
    }

    /// Performs the action of a step, and updates the state of the session.
    async fn act_at(&mut self, step: Step) -> Result<(), End> {
        if self.stream.has_unread().await {
            self.violations.push(format!("talk before the answer to {step:?}"));
        }
        let act = self.choose(step);
        let code = reply_code(&act);
        let was_in_tls = self.stream.in_tls();
        if !self.script.delay.is_zero() {
            sleep(self.script.delay).await;
        }
        for operation in act.0 {
            self.perform(operation).await?;
        }
        let positive = code / 100 == 2;
        match step {
            Step::Ehlo | Step::EhloTls => self.accepted.ehlo = positive,
            Step::MailFrom => self.accepted.mail = positive,
            Step::RcptTo => self.accepted.recipient |= positive,
            _ => {}
        }
        if self.stream.in_tls() != was_in_tls {
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

    fn choose(&mut self, step: Step) -> Action {
        let in_order = match step {
            Step::StartTls | Step::Auth | Step::MailFrom => self.accepted.ehlo,
            Step::RcptTo => self.accepted.mail,
            Step::Data => self.accepted.recipient,
            _ => true,
        };
        if !in_order {
            self.violations.push(format!("{step:?} out of order"));
            return Action::reply("503 5.5.1 Bad sequence of commands\r\n");
        }
        match self.script.act(step) {
            Some(act) => act.clone(),
            None if self.script.compliant => compliant::act(&self.script, step, &self.exchange),
            None => match step {
                Step::Greeting => Action::default(),
                Step::Quit => Action::reply("221 2.0.0 Bye\r\n"),
                _ => Action::reply("502 5.5.1 Not in the script\r\n"),
            },
        }
    }

    async fn perform(&mut self, operation: Operation) -> Result<(), End> {
        match operation {
            Operation::Wait(delay) => sleep(delay).await,
            Operation::Send(bytes) => self.stream.write(&bytes).await?,
            Operation::ByteByByte(bytes) => {
                for byte in bytes {
                    self.stream.write(&[byte]).await?;
                    yield_now().await;
                }
            }
            Operation::Repeat { first, again, at_least } => {
                self.stream.write(&first).await?;
                let mut written = first.len();
                while written < at_least {
                    self.stream.write(&again).await?;
                    written = written.saturating_add(again.len());
                }
            }
            Operation::WaitForClient => self.stream.discard().await?,
            Operation::Handshake(config) => self.stream.handshake(config, &mut self.tls).await?,
            Operation::Pass(gate) => {
                self.record.hold();
                gate.pass().await;
            }
            Operation::Silence => {
                self.record.hold();
                self.stream.read_to_end().await?;
            }
            Operation::StopReading => pending().await,
            Operation::Close => {
                self.stream.close().await;
                return Err(End::Script);
            }
            Operation::Fin => {
                self.stream.fin().await;
                return Err(End::Script);
            }
            Operation::Reset => {
                self.stream.reset();
                return Err(End::Script);
            }
        }
        Ok(())
    }
}

/// The code of the first reply of an action; 0 if it sends none.
fn reply_code(act: &Action) -> u16 {
    let sent = act.0.iter().find_map(|operation| match operation {
        Operation::Send(bytes) | Operation::ByteByByte(bytes) => Some(bytes),
        _ => None,
    });
    sent.and_then(|bytes| bytes.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
