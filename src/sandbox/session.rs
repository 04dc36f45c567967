//! Session: the order of commands, and the reply to each (RFC 5321, section 4.1.4).

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use super::{
    HOST, MAX_MESSAGE_SIZE,
    auth::{self, Credentials, Mechanism},
    command::{Command, MailFrom, Mailbox},
    maildrop::{Envelope, Maildrop},
    recipient::Reaction,
    wire::{Fault, Reply, Wire},
};
use crate::secret::Secret;

/// The most recipients of a message: the least that RFC 5321, section 4.5.3.1.8 allows.
const MAX_RECIPIENTS: usize = 100;

/// One client's session, in clear text or inside TLS.
pub(super) struct Session<'a, S> {
    wire: Wire<S>,
    maildrop: &'a Maildrop,
    tls: bool,
    greets: bool,
    client: Option<Client>,
    authenticated: bool,
    transaction: Option<Transaction>,
}

/// The client, as its EHLO or HELO describes it.
struct Client {
    name: String,
    extended: bool,
}

/// A mail transaction: from MAIL to the end of its message.
struct Transaction {
    mail: MailFrom,
    recipients: Vec<String>,
}

/// What a session does after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Command,
    StartTls,
    Close,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    /// A session that begins in clear text, with a greeting.
    pub(super) fn clear(wire: Wire<S>, maildrop: &'a Maildrop) -> Self {
        Self { wire, maildrop, tls: false, greets: true, client: None, authenticated: false, transaction: None }
    }

    /// A session inside TLS. After STARTTLS there is no second greeting (RFC 3207, section 4.2).
    pub(super) fn secured(wire: Wire<S>, maildrop: &'a Maildrop, greets: bool) -> Self {
        Self { tls: true, greets, ..Self::clear(wire, maildrop) }
    }

    /// Runs the session. Returns the stream if a TLS handshake comes next.
    pub(super) async fn run(mut self) -> Option<S> {
        match self.dialogue().await {
            Ok(Next::StartTls) => return Some(self.wire.into_inner()),
            Ok(_) => {}
            Err(Fault::Gone) => return None,
            // The connection is closed in any case, read or not.
            Err(Fault::Refused(reply) | Fault::Closing(reply)) => {
                let _ = self.wire.reply(&reply).await;
            }
        }
        self.wire.close().await;
        None
    }

    async fn dialogue(&mut self) -> Result<Next, Fault> {
        if self.greets {
            let greeting = format!("220 {HOST} ESMTP smtp-check sandbox");
            self.wire.reply(&greeting).await?;
        }
        loop {
            match self.next_command().await {
                Ok(Next::Command) => {}
                Err(Fault::Refused(reply)) => self.wire.reply(&reply).await?,
                end => return end,
            }
        }
    }

    async fn next_command(&mut self) -> Result<Next, Fault> {
        let line = self.wire.line().await?;
        let reply = match Command::parse(&line)? {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => self.helo(name),
            Command::StartTls => return self.starttls().await,
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial).await?,
            Command::Mail(mail) => self.mail(mail)?,
            Command::Rcpt(mailbox) => return self.rcpt(mailbox).await,
            Command::Data => self.data().await?,
            Command::Rset => {
                self.transaction = None;
                "250 2.0.0 Ok".into()
            }
            Command::Noop => "250 2.0.0 Ok".into(),
            Command::Vrfy => "252 2.0.0 Cannot VRFY, but will accept and try".into(),
            Command::Quit => {
                self.wire.reply("221 2.0.0 Bye").await?;
                return Ok(Next::Close);
            }
        };
        self.wire.reply(&reply).await?;
        Ok(Next::Command)
    }

    fn ehlo(&mut self, name: String) -> Reply {
        let starttls = if self.tls { "" } else { "250-STARTTLS\r\n" };
        let reply = format!(
            "250-{HOST} greets {name}\r\n250-PIPELINING\r\n250-SIZE {MAX_MESSAGE_SIZE}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
             {starttls}250-AUTH PLAIN LOGIN\r\n250 ENHANCEDSTATUSCODES"
        );
        self.introduce(name, true);
        reply.into()
    }

    fn helo(&mut self, name: String) -> Reply {
        let reply = format!("250 {HOST} greets {name}");
        self.introduce(name, false);
        reply.into()
    }

    fn introduce(&mut self, name: String, extended: bool) {
        self.client = Some(Client { name, extended });
        self.transaction = None;
    }

    /// Commands that were sent together with STARTTLS end the connection: they would pass from clear text into TLS
    /// (CVE-2011-0411).
    async fn starttls(&mut self) -> Result<Next, Fault> {
        if self.tls {
            return Err("503 5.5.1 TLS is already active".into());
        }
        if !self.is_extended() {
            return Err("503 5.5.1 Send EHLO first".into());
        }
        if self.transaction.is_some() {
            return Err("503 5.5.1 Not in the middle of a mail transaction".into());
        }
        if self.wire.has_more() {
            return Err(Fault::Closing("503 5.5.1 STARTTLS must be the last command of a group".into()));
        }
        self.wire.reply("220 2.0.0 Ready to start TLS").await?;
        Ok(Next::StartTls)
    }

    async fn auth(&mut self, mechanism: Mechanism, initial: Option<Secret>) -> Result<Reply, Fault> {
        if !self.is_extended() {
            return Err("503 5.5.1 Send EHLO first".into());
        }
        if self.authenticated || self.transaction.is_some() {
            return Err("503 5.5.1 AUTH is not allowed here".into());
        }
        let credentials = match mechanism {
            Mechanism::Plain => Credentials::plain(&self.response(initial, "").await?)?,
            Mechanism::Login => {
                let user = self.response(initial, "Username:").await?;
                Credentials::login(&user, self.response(None, "Password:").await?)
            }
        };
        if !credentials.are_valid() {
            return Err("535 5.7.8 Authentication credentials invalid".into());
        }
        self.authenticated = true;
        Ok("235 2.7.0 Authentication successful".into())
    }

    /// The initial response, or the response to the challenge.
    async fn response(&mut self, initial: Option<Secret>, challenge: &str) -> Result<Secret, Fault> {
        let response = match initial {
            Some(initial) => initial,
            None => {
                self.wire.reply(&auth::challenge(challenge)).await?;
                Secret::new(self.wire.line().await?)
            }
        };
        Ok(auth::decode(response.expose())?)
    }

    fn mail(&mut self, mail: MailFrom) -> Result<Reply, Fault> {
        if self.client.is_none() {
            return Err("503 5.5.1 Send EHLO or HELO first".into());
        }
        if self.transaction.is_some() {
            return Err("503 5.5.1 Nested MAIL command".into());
        }
        if !mail.smtputf8 && !mail.path.is_ascii() {
            return Err("553 5.6.7 The address needs SMTPUTF8".into());
        }
        self.transaction = Some(Transaction { mail, recipients: Vec::new() });
        Ok("250 2.1.0 Ok".into())
    }

    async fn rcpt(&mut self, mailbox: Mailbox) -> Result<Next, Fault> {
        let transaction = self.transaction.as_mut().ok_or("503 5.5.1 Send MAIL first")?;
        if !transaction.mail.smtputf8 && !mailbox.path.is_ascii() {
            return Err("553 5.6.7 The address needs SMTPUTF8".into());
        }
        if transaction.recipients.len() >= MAX_RECIPIENTS {
            return Err("452 4.5.3 Too many recipients".into());
        }
        match Reaction::to(&mailbox.local_part) {
            Reaction::Accept => {}
            Reaction::AcceptAfter(delay) => sleep(delay).await,
            Reaction::Refuse(refusal) => return Err(refusal.into()),
            Reaction::Silence => return Err(self.wire.ignore().await),
            Reaction::HangUp => return Ok(Next::Close),
        }
        transaction.recipients.push(mailbox.path);
        self.wire.reply("250 2.1.5 Ok").await?;
        Ok(Next::Command)
    }

    async fn data(&mut self) -> Result<Reply, Fault> {
        // Without an accepted recipient, the transaction stays open for another RCPT.
        let transaction = self.transaction.take_if(|open| !open.recipients.is_empty());
        let transaction = transaction.ok_or("503 5.5.1 Send MAIL and RCPT first")?;
        self.wire.reply("354 End data with <CR><LF>.<CR><LF>").await?;
        let content = self.wire.content().await?;
        let envelope = Envelope {
            client: self.client.as_ref().map_or_else(String::new, |client| client.name.clone()),
            tls: self.tls,
            authenticated: self.authenticated,
            from: transaction.mail.path,
            parameters: transaction.mail.parameters,
            to: transaction.recipients,
        };
        let id = self.maildrop.keep(envelope, content);
        Ok(format!("250 2.0.0 Ok: queued as {id}").into())
    }

    fn is_extended(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.extended)
    }
}
