//! [`Dialogue`]: the SMTP session as a state machine. A reply goes in, the next action comes out. No socket, no clock.
//!
//! It decides which commands are sent, in which order, and which replies count as success. The caller does the I/O and
//! measures.

use std::vec;

use super::{Capabilities, Code, Command, Credentials, Expectation, Mechanism, Protocol, Reply, Script, StartTls};
use crate::{phase::Phase, secret::Secret};

/// What the caller does next.
#[derive(Debug)]
pub enum Action {
    /// Wait for the greeting of the server (RFC 5321, section 3.1).
    AwaitGreeting(Phase),
    /// Begin a phase with this command and wait for its reply.
    Begin(Phase, Command),
    /// Call [`Dialogue::response_sent`], write this within the current phase, and wait for the next reply.
    Continue(Phase, Command),
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

/// A service extension that the check needs and the server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// SMTPUTF8 (RFC 6531).
    #[error("an address has characters beyond ASCII, and the server does not offer SMTPUTF8")]
    SmtpUtf8,
    /// STARTTLS (RFC 3207), where the mechanism of AUTH would show the password.
    #[error("no credential is sent in clear text: the server does not offer STARTTLS, and AUTH {} shows the password", .0.name())]
    StartTls(Mechanism),
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

/// Something that an operator should know, but that does not fail the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// An opportunistic STARTTLS that is left out.
    #[error("the server does not offer STARTTLS: the session went on in clear text")]
    StartTlsNotOffered,
    /// AUTH without TLS.
    #[error("the credentials were sent in clear text, without TLS")]
    ClearTextCredentials,
    /// 235 before the server asked for the password.
    #[error("the server accepted AUTH (235) before it asked for the password, so the password was not checked")]
    AcceptedWithoutPassword,
    /// A reply that ends AUTH before any response was sent.
    #[error(
        "the server ended AUTH ({0}) before it asked for user name or password: no credential was sent, so the reply tells \
         nothing about them"
    )]
    EndedBeforeCredentials(Code),
    /// A reply that ends AUTH after the user name and before the password was sent.
    #[error(
        "the server ended AUTH ({0}) after the user name and before it asked for the password: the password was not sent, so \
         the reply tells nothing about it"
    )]
    EndedBeforePassword(Code),
    /// 334 after the last response.
    #[error("the server sent one challenge more than the mechanism has responses, and got no answer to it")]
    ExtraChallenge,
    /// An 8-bit message to a server without 8BITMIME.
    #[error("the payload has characters beyond ASCII, and the server does not offer 8BITMIME; it was sent as it is")]
    EightBitNotOffered,
    /// A line that begins with a dot: the payload is sent as it is, without dot-stuffing.
    #[error("line {0} of the payload begins with a dot, which the server will remove (RFC 5321, section 4.5.2)")]
    LeadingDot(usize),
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
    responses: vec::IntoIter<Secret>,
    /// How many responses of the mechanism are not sent yet.
    responses_unsent: usize,
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
            responses: Vec::new().into_iter(),
            responses_unsent: 0,
            in_transaction: false,
            warnings: Vec::new(),
            script,
        };
        let action = dialogue.next_phase();
        (dialogue, action)
    }

    /// Takes the reply to the last action. Returns what it means, and the next action.
    pub fn reply(&mut self, reply: &Reply) -> (Verdict, Action) {
        if self.phase == Phase::SaslAuth
            && reply.code().value() == 334
            && let Some(response) = self.responses.next()
        {
            return (Verdict::Challenged, Action::Continue(self.phase, Command::SaslResponse(response)));
        }
        // 235 before the password is sent tells nothing about it.
        let is_early = self.phase == Phase::SaslAuth && self.responses_unsent > 0;
        let is_ok = !is_early && is_success(self.phase, reply.code().value());
        if self.phase == Phase::SaslAuth && !is_ok {
            self.warnings.extend(self.auth_warning(reply.code()));
        }
        self.in_transaction |= self.phase == Phase::MailFrom && reply.code().is_completion();
        match self.script.expectation(self.phase) {
            Some(expectation) if !(is_early && reply.code().is_completion()) => {
                self.compared(expectation, reply, is_ok)
            }
            _ if is_ok => (Verdict::Accepted, self.accepted(reply)),
            _ => (Verdict::Rejected, self.rejected(reply)),
        }
    }

    fn accepted(&mut self, reply: &Reply) -> Action {
        if matches!(self.phase, Phase::Ehlo | Phase::EhloTls) {
            self.ehlo = Some(reply.clone());
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

    /// The response of [`Action::Continue`] is about to be written. Until then it counts as not sent.
    pub fn response_sent(&mut self) {
        self.responses_unsent = self.responses_unsent.saturating_sub(1);
        // The last response contains the password.
        if self.responses_unsent == 0 && !self.in_tls {
            self.warnings.push(Warning::ClearTextCredentials);
        }
    }

    /// What an operator should know of a reply other than the expected one to AUTH or to a response.
    fn auth_warning(&self, code: Code) -> Option<Warning> {
        let credentials = self.script.credentials.as_ref()?;
        match (code.value(), self.responses_unsent) {
            // Positive, and still a rejection.
            (235, _) => Some(Warning::AcceptedWithoutPassword),
            (334, _) => Some(Warning::ExtraChallenge),
            (_, 0) => None,
            (_, unsent) if unsent == credentials.responses().len() => Some(Warning::EndedBeforeCredentials(code)),
            _ => Some(Warning::EndedBeforePassword(code)),
        }
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
            return self.quit();
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
            Phase::SaslAuth => match &self.script.credentials {
                Some(Credentials { mechanism, .. }) if self.would_show_password(*mechanism) => {
                    return Action::Unsupported(phase, Unsupported::StartTls(*mechanism));
                }
                Some(credentials) => {
                    self.responses = credentials.responses().into_iter();
                    self.responses_unsent = self.responses.len();
                    Command::Auth(credentials.mechanism)
                }
                None => return self.quit(),
            },
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

    /// Whether AUTH is to be left out. A caller that leaves TLS to the server has not chosen clear text.
    fn would_show_password(&self, mechanism: Mechanism) -> bool {
        self.is_opportunistic() && !self.in_tls && mechanism.shows_password()
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

/// Whether the code is the usual success in this phase (RFC 5321, section 4.3.2; RFC 3207, section 4; RFC 4954, section
/// 6).
fn is_success(phase: Phase, code: u16) -> bool {
    match phase {
        Phase::Banner | Phase::StartTls => code == 220,
        Phase::SaslAuth => code == 235,
        Phase::RcptTo => matches!(code, 250 | 251),
        Phase::Data => code == 354,
        Phase::Quit => code == 221,
        Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls => false,
        Phase::Ehlo | Phase::EhloTls | Phase::MailFrom | Phase::Body => code == 250,
    }
}

#[cfg(test)]
mod tests;
