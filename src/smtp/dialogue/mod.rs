//! [`Dialogue`]: the SMTP session as a state machine. A reply goes in, the next action comes out. No socket, no clock.
//!
//! It decides which commands are sent, in which order, and which replies count as success. The caller does the I/O and
//! measures.

mod auth;
mod warning;

use std::vec;

pub use warning::{AuthStep, EarlyEnd, EndedBy, Unsupported, Warning};

use self::auth::Auth;
use super::{
    Capabilities, Command, Expectation, Protocol, Reply, Script, StartTls,
    sasl::{Violation, exchange::Work},
};
use crate::phase::Phase;

/// What the caller does next.
#[derive(Debug)]
pub enum Action {
    /// Wait for the greeting of the server (RFC 5321, section 3.1).
    AwaitGreeting(Phase),
    /// Begin a phase with this command and wait for its reply.
    Begin(Phase, Command),
    /// Write this within the current phase, and wait for the next reply.
    Continue(Phase, Command),
    /// Do this work, which can take long, and give its result to [`Dialogue::computed`].
    Compute(Phase, Box<Work>),
    /// The server broke the rules of the phase. Where the session is in sync, call [`Dialogue::quit`]; else close the
    /// connection.
    Violated {
        /// The phase.
        phase: Phase,
        /// What the server did.
        violation: Violation,
        /// No reply is outstanding, and the server waits for a command.
        in_sync: bool,
    },
    /// Do the TLS handshake, then call [`Dialogue::after_handshake`].
    Handshake,
    /// The phase cannot begin: the server does not offer what it needs. Call [`Dialogue::quit`].
    Unsupported(Phase, Unsupported),
    /// Send QUIT, and close the connection whatever the reply is. No reply is outstanding at this point.
    Quit,
    /// Send RSET, so that no mail is sent, and then as [`Self::Quit`].
    Reset,
    /// Close the connection without QUIT.
    Close,
}

/// What a reply means for its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A SASL challenge: the phase goes on.
    Challenged,
    /// The expected reply: the phase succeeded.
    Accepted,
    /// Any other reply: the phase failed, and with it the check.
    Rejected,
    /// The reply is against the rules of the phase: [`Action::Violated`] follows.
    Spoiled,
    /// The reply that the check expects, `is_ok` or a rejection: the check is a success so far.
    AsExpected {
        /// Whether the phase succeeded.
        is_ok: bool,
    },
    /// Not the reply that the check expects: the check failed.
    Unexpected {
        /// Whether the phase would have succeeded without an expectation.
        is_ok: bool,
    },
}

/// The state of one session.
#[derive(Debug)]
pub struct Dialogue<'a> {
    script: &'a Script,
    phases: vec::IntoIter<Phase>,
    phase: Phase,
    in_tls: bool,
    /// The last reply to EHLO.
    ehlo: Option<Reply>,
    /// Boxed: most checks have none.
    auth: Option<Box<Auth>>,
    /// The server has accepted MAIL: a mail transaction is open (RFC 5321, section 3.3).
    in_transaction: bool,
    warnings: Vec<Warning>,
}

impl<'a> Dialogue<'a> {
    /// The state at the start of a session, and the first action.
    pub fn begin(script: &'a Script) -> (Self, Action) {
        let mut dialogue = Self {
            phases: script.phases().into_iter(),
            phase: Phase::Banner,
            in_tls: script.implicit_tls,
            ehlo: None,
            auth: None,
            in_transaction: false,
            warnings: Vec::new(),
            script,
        };
        let action = dialogue.next_phase();
        (dialogue, action)
    }

    /// Takes the reply to the last action. Returns what it means, and the next action.
    pub fn reply(&mut self, reply: &Reply) -> (Verdict, Action) {
        if self.phase == Phase::SaslAuth {
            return self.auth_reply(reply);
        }
        self.in_transaction |= self.phase == Phase::MailFrom && reply.code().is_completion();
        self.judged(reply, is_success(self.phase, reply.code().value()))
    }

    /// What a reply means: `is_ok` without an expectation.
    fn judged(&mut self, reply: &Reply, is_ok: bool) -> (Verdict, Action) {
        match self.script.expectation(self.phase) {
            Some(expectation) => self.compared(expectation, reply, is_ok),
            None if is_ok => (Verdict::Accepted, self.accepted(reply)),
            None => (Verdict::Rejected, self.rejected(reply)),
        }
    }

    fn accepted(&mut self, reply: &Reply) -> Action {
        if matches!(self.phase, Phase::Ehlo | Phase::EhloTls) {
            self.ehlo = Some(reply.clone().without_whole_text());
        }
        self.next_phase()
    }

    fn rejected(&mut self, reply: &Reply) -> Action {
        // After a 3yz reply the server waits for data and would take QUIT as such (RFC 5321, section 4.2.1).
        let in_sync = self.phase != Phase::Quit && !reply.code().is_intermediate();
        if in_sync { self.quit() } else { Action::Close }
    }

    /// What a reply means where the check expects a certain one.
    fn compared(&mut self, expectation: &Expectation, reply: &Reply, is_ok: bool) -> (Verdict, Action) {
        let code = reply.code();
        if expectation.matches(reply) {
            // Of these phases, a positive reply other than the usual one lets the session go on: 252, for example.
            let may_go_on =
                matches!(self.phase, Phase::Banner | Phase::Ehlo | Phase::MailFrom | Phase::RcptTo | Phase::Body);
            let is_ok = is_ok || (may_go_on && code.is_completion());
            let next = if is_ok { self.accepted(reply) } else { self.rejected(reply) };
            return (Verdict::AsExpected { is_ok }, next);
        }
        let next = match self.phase {
            // The server waits for the handshake.
            Phase::StartTls if is_ok => Action::Close,
            _ if code.is_intermediate() => Action::Close,
            // The message is the server's by now, or refused.
            Phase::Body => self.quit(),
            // The server closes the connection (RFC 5321, section 3.8).
            _ if code.value() == 421 => self.quit(),
            _ if self.in_transaction => {
                self.phase = Phase::Quit;
                Action::Reset
            }
            _ => self.quit(),
        };
        (Verdict::Unexpected { is_ok }, next)
    }

    /// The handshake is done, and the caller trusts the server with the rest of the session.
    pub fn after_handshake(&mut self) -> Action {
        self.in_tls = true;
        self.next_phase()
    }

    /// Ends the session with QUIT at this point.
    pub fn quit(&mut self) -> Action {
        self.phase = Phase::Quit;
        Action::Quit
    }

    /// The warnings so far, in order.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn next_phase(&mut self) -> Action {
        if self.phase == Phase::Quit {
            return Action::Close;
        }
        let Some(phase) = self.phases.next() else {
            let resets = self.script.resets && self.in_transaction;
            self.phase = Phase::Quit;
            return if resets { Action::Reset } else { Action::Quit };
        };
        self.phase = phase;
        let command = match phase {
            Phase::Banner => return Action::AwaitGreeting(phase),
            Phase::Tls => return Action::Handshake,
            Phase::Ehlo | Phase::EhloTls => match self.script.protocol {
                Protocol::Smtp => Command::Ehlo(self.script.ehlo.clone()),
                Protocol::Lmtp => Command::Lhlo(self.script.ehlo.clone()),
            },
            Phase::StartTls if self.is_opportunistic() && !self.offers("STARTTLS") => return self.skip_tls(),
            Phase::StartTls => Command::StartTls,
            Phase::SaslAuth => return self.begin_auth(),
            Phase::MailFrom => match self.mail_from() {
                Ok(command) => command,
                Err(unsupported) => return Action::Unsupported(phase, unsupported),
            },
            Phase::RcptTo => match &self.script.to {
                Some(recipient) => Command::RcptTo(recipient.clone()),
                None => return self.quit(),
            },
            Phase::Data => Command::Data,
            Phase::Body => {
                self.warnings.extend(self.script.payload.first_line_with_leading_dot().map(Warning::LeadingDot));
                Command::Body(self.script.payload.clone())
            }
            Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Quit => return self.quit(),
        };
        Action::Begin(phase, command)
    }

    fn is_opportunistic(&self) -> bool {
        self.script.start_tls == StartTls::Opportunistic
    }

    /// Goes on in clear text: STARTTLS, the handshake and the EHLO after it are left out.
    fn skip_tls(&mut self) -> Action {
        self.warnings.push(Warning::StartTlsNotOffered);
        let of_tls = self.phases.as_slice().iter().take_while(|phase| matches!(phase, Phase::Tls | Phase::EhloTls));
        for _ in 0..of_tls.count() {
            self.phases.next();
        }
        self.next_phase()
    }

    fn mail_from(&mut self) -> Result<Command, Unsupported> {
        let utf8 = self.script.needs_utf8();
        if utf8 && !self.offers("SMTPUTF8") {
            return Err(Unsupported::SmtpUtf8);
        }
        let eight_bit = self.script.needs_8bit() && self.offers("8BITMIME");
        if self.script.needs_8bit() && !eight_bit {
            self.warnings.push(Warning::EightBitNotOffered);
        }
        Ok(Command::MailFrom { reverse_path: self.script.from.clone(), eight_bit, utf8 })
    }

    /// Whether the server offers `keyword`, or may: a reply of which something is left out is not complete.
    fn offers(&self, keyword: &str) -> bool {
        self.ehlo.as_ref().is_some_and(|ehlo| ehlo.left_out() > 0 || Capabilities::from_ehlo(ehlo).offers(keyword))
    }
}

/// Whether the code is the usual success in this phase (RFC 5321, section 4.3.2; RFC 3207, section 4). AUTH has rules
/// of its own.
fn is_success(phase: Phase, code: u16) -> bool {
    match phase {
        Phase::Banner | Phase::StartTls => code == 220,
        Phase::RcptTo => matches!(code, 250 | 251),
        Phase::Data => code == 354,
        Phase::Quit => code == 221,
        Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls | Phase::SaslAuth => false,
        Phase::Ehlo | Phase::EhloTls | Phase::MailFrom | Phase::Body => code == 250,
    }
}

#[cfg(test)]
mod tests;
