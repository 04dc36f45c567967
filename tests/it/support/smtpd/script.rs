//! The script of a server: an [`Action`] for each [`Step`] of the session.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

/// The moment of an action: after the connection is made, or after a command of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The client has connected.
    Greeting,
    /// EHLO, or LHLO, outside TLS.
    Ehlo,
    /// EHLO, or LHLO, inside TLS. Without an action for it, that of [`Step::Ehlo`] is taken.
    EhloTls,
    /// STARTTLS.
    StartTls,
    /// AUTH with its mechanism.
    Auth,
    /// The n-th response of the client to a 334 challenge, from 1.
    SaslResponse(u8),
    /// MAIL.
    MailFrom,
    /// RCPT.
    RcptTo,
    /// DATA.
    Data,
    /// The message has ended with CR LF DOT CR LF. It is read only after a 3yz reply to DATA.
    Body,
    /// QUIT. The server closes the connection after its reply.
    Quit,
    /// Any other line.
    Other,
}

/// What the server does at one step: a sequence of operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Action(pub(super) Vec<Operation>);

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Wait(Duration),
    Pass(Gate),
    Send(Vec<u8>),
    ByteByByte(Vec<u8>),
    Repeat { first: Vec<u8>, again: Vec<u8>, at_least: usize },
    WaitForClient,
    Handshake(Arc<ServerConfig>),
    Silence,
    StopReading,
    Close,
    Fin,
    Reset,
}

/// Holds clients until it is opened: all that wait for a clone of it, now and later.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    /// Opens the gate.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        // The only error is a dropped sender, and `self` holds it.
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}

/// Not SMTP, not TLS, not UTF-8.
const GARBAGE: &[u8] = b"\x00\xff\xfe\x80\xc3\x28 \x07garbage\x1b[0m\xed\xa0\x80\r\n";
/// Size of one write of an endless text, in octets.
const CHUNK_SIZE: usize = 8 * 1024;

impl Action {
    /// Writes these bytes in one write. A second reply in them is unsolicited (STARTTLS injection, reply before the
    /// command).
    pub(crate) fn reply(bytes: impl AsRef<[u8]>) -> Self {
        Self(vec![Operation::Send(bytes.as_ref().to_vec())])
    }

    /// Writes these bytes one by one, each flushed.
    pub(crate) fn byte_by_byte(bytes: impl AsRef<[u8]>) -> Self {
        Self(vec![Operation::ByteByByte(bytes.as_ref().to_vec())])
    }

    /// Writes one line of binary garbage, which is not UTF-8 either.
    pub(crate) fn garbage() -> Self {
        Self::reply(GARBAGE)
    }

    /// Writes `start` and then an endless line, until the client closes.
    pub(crate) fn endless_line(start: &str) -> Self {
        Self::repeat(start.as_bytes(), &[b'x'; CHUNK_SIZE], usize::MAX)
    }

    /// Writes continuation lines of `code` until the client closes, and never the last line.
    pub(crate) fn endless_reply(code: u16) -> Self {
        let line = format!("{code}-and so on, and so on, and so on\r\n");
        Self::repeat(&[], line.repeat(CHUNK_SIZE / line.len()).as_bytes(), usize::MAX)
    }

    /// Repeats a reply, for `at_least` this many octets.
    pub(crate) fn many_replies(reply: &str, at_least: usize) -> Self {
        Self::repeat(&[], reply.repeat(1 + CHUNK_SIZE / reply.len()).as_bytes(), at_least)
    }

    /// Reads, sends nothing, and keeps the connection open until the client ends it.
    pub(crate) fn silence() -> Self {
        Self(vec![Operation::Silence])
    }

    /// Stops reading and keeps the connection open until the server is dropped: the client's writes block when the
    /// buffers are full (see [`Script::with_receive_buffer`]). The session is not recorded.
    pub(crate) fn stop_reading() -> Self {
        Self(vec![Operation::StopReading])
    }

    /// Closes cleanly: inside TLS with a `close_notify`, then FIN.
    pub(crate) fn close() -> Self {
        Self(vec![Operation::Close])
    }

    /// Closes with FIN only. Inside TLS that is a truncation: no `close_notify`.
    pub(crate) fn fin() -> Self {
        Self(vec![Operation::Fin])
    }

    /// Closes with RST.
    pub(crate) fn reset() -> Self {
        Self(vec![Operation::Reset])
    }

    /// Waits until the client sends something, for example a ClientHello, and discards it.
    pub(crate) fn wait_for_client() -> Self {
        Self(vec![Operation::WaitForClient])
    }

    /// Performs the TLS handshake; the session continues inside TLS.
    pub(crate) fn handshake(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self(vec![Operation::Handshake(config.into())])
    }

    /// This action, and then the next one.
    pub(crate) fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }

    /// This action, and then a TLS handshake.
    pub(crate) fn then_tls(self, config: impl Into<Arc<ServerConfig>>) -> Self {
        self.then(Self::handshake(config))
    }

    /// This action after a delay.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(vec![Operation::Wait(delay)]).then(self)
    }

    /// This action when the gate is open.
    pub(crate) fn after_gate(self, gate: &Gate) -> Self {
        Self(vec![Operation::Pass(gate.clone())]).then(self)
    }

    fn repeat(first: &[u8], again: &[u8], at_least: usize) -> Self {
        Self(vec![Operation::Repeat { first: first.to_vec(), again: again.to_vec(), at_least }])
    }
}

impl<Bytes: AsRef<[u8]>> From<Bytes> for Action {
    fn from(bytes: Bytes) -> Self {
        Self::reply(bytes)
    }
}

/// What a server replies in an AUTH exchange to the client's responses so far, in base64.
#[derive(Clone)]
pub(super) struct Sasl(pub(super) Arc<SaslReply>);

type SaslReply = dyn Fn(&[String]) -> String + Send + Sync;

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sasl")
    }
}

/// The script of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    acts: HashMap<Step, Action>,
    pub(super) compliant: bool,
    pub(super) implicit_tls: Option<Arc<ServerConfig>>,
    pub(super) starttls: Option<Arc<ServerConfig>>,
    pub(super) credentials: Option<(String, String)>,
    pub(super) sasl: Option<Sasl>,
    pub(super) capabilities: Vec<String>,
    pub(super) expects_proxy: bool,
    pub(super) receive_buffer: Option<usize>,
    pub(super) delay: Duration,
}

impl Script {
    /// A server that knows only its script: without one it sends no greeting, and answers 502 to every command.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A compliant server. [`Script::on`] replaces any of its actions.
    pub(crate) fn compliant() -> Self {
        let capabilities = ["PIPELINING", "SIZE 10240000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
        Self { compliant: true, ..Self::new() }.with_capabilities(&capabilities)
    }

    /// The action at a step; a text or bytes are a reply.
    pub(crate) fn on(mut self, step: Step, act: impl Into<Action>) -> Self {
        self.acts.insert(step, act.into());
        self
    }

    /// The action after the connection is made: `on(Step::Greeting, …)`.
    pub(crate) fn with_greeting(self, act: impl Into<Action>) -> Self {
        self.on(Step::Greeting, act)
    }

    /// TLS from the first byte (after the PROXY header, if one is expected).
    pub(crate) fn with_implicit_tls(mut self, config: impl Into<Arc<ServerConfig>>) -> Self {
        self.implicit_tls = Some(config.into());
        self
    }

    /// Offers STARTTLS. For a compliant server.
    pub(crate) fn with_starttls(mut self, config: impl Into<Arc<ServerConfig>>) -> Self {
        self.starttls = Some(config.into());
        self
    }

    /// Offers AUTH PLAIN and LOGIN, with and without TLS, and accepts this user only. For a compliant server.
    pub(crate) fn with_credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Offers AUTH with these mechanisms, and replies by this function of the client's responses so far. For a
    /// compliant server.
    pub(crate) fn with_sasl(
        mut self,
        mechanisms: &str,
        reply: impl Fn(&[String]) -> String + Send + Sync + 'static,
    ) -> Self {
        self.capabilities.push(format!("AUTH {mechanisms}"));
        self.sasl = Some(Sasl(Arc::new(reply)));
        self
    }

    /// The keywords of the EHLO reply, without STARTTLS and AUTH. For a compliant server.
    pub(crate) fn with_capabilities(mut self, capabilities: &[&str]) -> Self {
        self.capabilities = capabilities.iter().map(|&capability| capability.to_owned()).collect();
        self
    }

    /// Requires a PROXY header of version 1 or 2, and records it.
    pub(crate) fn expecting_proxy_header(mut self) -> Self {
        self.expects_proxy = true;
        self
    }

    /// Sets SO_RCVBUF to about this many octets, so that a client notices early when nobody reads.
    pub(crate) fn with_receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Waits before each action.
    pub(crate) fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(super) fn act(&self, step: Step) -> Option<&Action> {
        let clear = if step == Step::EhloTls { Step::Ehlo } else { step };
        self.acts.get(&step).or_else(|| self.acts.get(&clear))
    }
}
