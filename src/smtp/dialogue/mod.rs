//! The conversation as a value: a reply goes in, the next action comes out. No socket, no clock.
//!
//! Whoever drives it writes and reads, measures and gives up; what is said, in which order, and what counts as success is decided here.

use std::vec;

use super::{Capabilities, Command, Credentials, EhloName, Mailbox, Payload, Reply};
use crate::{phase::Phase, secret::Secret};

/// What one check says to the server.
#[derive(Clone, Debug)]
pub struct Script {
    /// The name that EHLO gives.
    pub ehlo: EhloName,
    /// TLS from the first byte; the first EHLO is then the one inside TLS.
    pub implicit_tls: bool,
    /// Upgrade by STARTTLS after the first EHLO.
    pub start_tls: bool,
    /// Log in.
    pub credentials: Option<Credentials>,
    /// The envelope's sender; `None` is the null reverse-path.
    pub from: Option<Mailbox>,
    /// The envelope's recipient; `None` only where [`Self::stop_after`] ends before RCPT.
    pub to: Option<Mailbox>,
    /// The message.
    pub payload: Payload,
    /// End with QUIT after this phase.
    pub stop_after: Option<Phase>,
}

impl Script {
    /// The phases of this script, in order, QUIT left out. STARTTLS takes the handshake and the EHLO after it along.
    pub fn phases(&self) -> Vec<Phase> {
        let all = [
            (Phase::Banner, true),
            (Phase::Ehlo, true),
            (Phase::StartTls, self.start_tls),
            (Phase::Tls, self.start_tls),
            (Phase::EhloTls, self.start_tls),
            (Phase::SaslAuth, self.credentials.is_some()),
            (Phase::MailFrom, true),
            (Phase::RcptTo, true),
            (Phase::Data, true),
            (Phase::Body, true),
        ];
        let last = match self.stop_after {
            Some(Phase::StartTls) => Phase::EhloTls,
            Some(phase) => phase,
            None => Phase::Body,
        };
        all.into_iter().filter(|(phase, wanted)| *wanted && *phase <= last).map(|(phase, _)| phase).collect()
    }

    fn sends(&self, phase: Phase) -> bool {
        self.phases().contains(&phase)
    }

    /// An address of the envelope has characters beyond ASCII (RFC 6531).
    fn needs_utf8(&self) -> bool {
        let beyond_ascii = |mailbox: &Option<Mailbox>| mailbox.as_ref().is_some_and(|mailbox| !mailbox.is_ascii());
        beyond_ascii(&self.from) || (self.sends(Phase::RcptTo) && beyond_ascii(&self.to))
    }

    fn needs_8bit(&self) -> bool {
        self.sends(Phase::Body) && self.payload.is_8bit()
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Action {
    /// Wait for a reply without writing anything: the greeting.
    Listen(Phase),
    /// Begin a phase with this command and wait for its reply.
    Begin(Phase, Command),
    /// Write this within the phase under way and wait for the next reply.
    Continue(Phase, Command),
    /// Do the TLS handshake, then ask [`Dialogue::after_handshake`].
    Handshake,
    /// The phase cannot be begun: the server lacks what it needs. [`Dialogue::quit`] is in order.
    Unsupported(Phase, Unsupported),
    /// Say QUIT, and close whatever comes of it. Only for a dialogue in step: no reply is outstanding.
    Quit,
    /// Nothing more is to be said.
    Close,
}

/// Something that the check needs and the server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// SMTPUTF8 (RFC 6531).
    #[error("an address has characters beyond ASCII, and the server does not offer SMTPUTF8")]
    SmtpUtf8,
}

/// What a reply means for the phase that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A challenge: the phase goes on.
    Challenged,
    /// The expected reply: the phase ended well.
    Accepted,
    /// Any other reply: the phase ended, and with it the check.
    Rejected,
}

/// Something that an operator should know and that does not fail the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// AUTH outside of TLS.
    #[error("the credentials were sent in clear text, without TLS")]
    ClearTextCredentials,
    /// 235 before the password was asked for.
    #[error("the server answered AUTH with 235 before it had asked for the password, so that was not checked")]
    AcceptedUnasked,
    /// 334 after the last response.
    #[error("the server asked for more than the mechanism has to say, and nothing more was sent")]
    OneChallengeTooMany,
    /// An 8-bit message to a server without 8BITMIME.
    #[error("the payload has characters beyond ASCII, and the server does not offer 8BITMIME; it was sent as it is")]
    EightBitUnannounced,
    /// Dots are not stuffed.
    #[error("line {0} of the payload begins with a dot, which the server will take off (RFC 5321, section 4.5.2)")]
    LeadingDot(usize),
}

/// The state of one conversation.
#[derive(Debug)]
pub struct Dialogue<'a> {
    script: &'a Script,
    phases: vec::IntoIter<Phase>,
    phase: Phase,
    in_tls: bool,
    /// The last reply to EHLO, which is what the server offers.
    ehlo: Option<Reply>,
    responses: vec::IntoIter<Secret>,
    warnings: Vec<Warning>,
}

impl<'a> Dialogue<'a> {
    /// A conversation that has not begun, and its first action.
    pub fn begin(script: &'a Script) -> (Self, Action) {
        let mut dialogue = Self {
            phases: script.phases().into_iter(),
            phase: Phase::Banner,
            in_tls: script.implicit_tls,
            ehlo: None,
            responses: Vec::new().into_iter(),
            warnings: Vec::new(),
            script,
        };
        let action = dialogue.next_phase();
        (dialogue, action)
    }

    /// Takes the reply to the last action: what it means, and what to do next.
    pub fn reply(&mut self, reply: &Reply) -> (Verdict, Action) {
        if self.phase == Phase::SaslAuth
            && reply.code().value() == 334
            && let Some(response) = self.responses.next()
        {
            // The password is in the last one.
            if self.responses.len() == 0 {
                self.warn_of_clear_text();
            }
            return (Verdict::Challenged, Action::Continue(self.phase, Command::SaslResponse(response)));
        }
        // 235 before all was asked for says nothing about the credentials.
        let unasked = self.phase == Phase::SaslAuth && self.responses.len() > 0;
        if unasked || !is_expected(self.phase, reply.code().value()) {
            self.warn_of_odd_auth(reply.code().value());
            // A server that answered 3yz waits for more than a command: QUIT would be taken for that.
            let in_step = self.phase != Phase::Quit && !reply.code().is_intermediate();
            return (Verdict::Rejected, if in_step { self.quit() } else { Action::Close });
        }
        if matches!(self.phase, Phase::Ehlo | Phase::EhloTls) {
            self.ehlo = Some(reply.clone());
        }
        (Verdict::Accepted, self.next_phase())
    }

    /// The handshake is done and the caller trusts the server with what comes.
    pub fn after_handshake(&mut self) -> Action {
        self.in_tls = true;
        self.next_phase()
    }

    /// Ends the conversation politely, wherever it stands.
    pub fn quit(&mut self) -> Action {
        self.phase = Phase::Quit;
        Action::Quit
    }

    /// What an operator should know, in the order in which it came up.
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
            Phase::Banner => return Action::Listen(phase),
            Phase::Tls => return Action::Handshake,
            Phase::Ehlo | Phase::EhloTls => Command::Ehlo(self.script.ehlo.clone()),
            Phase::StartTls => Command::StartTls,
            Phase::SaslAuth => match &self.script.credentials {
                Some(credentials) => {
                    self.responses = credentials.responses().into_iter();
                    Command::Auth(credentials.mechanism)
                }
                None => return self.quit(),
            },
            Phase::MailFrom => match self.mail_from() {
                Ok(command) => command,
                Err(lacking) => return Action::Unsupported(phase, lacking),
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

    fn mail_from(&mut self) -> Result<Command, Unsupported> {
        let utf8 = self.script.needs_utf8();
        if utf8 && !self.offers("SMTPUTF8") {
            return Err(Unsupported::SmtpUtf8);
        }
        let eight_bit = self.script.needs_8bit() && self.offers("8BITMIME");
        if self.script.needs_8bit() && !eight_bit {
            self.warnings.push(Warning::EightBitUnannounced);
        }
        Ok(Command::MailFrom { reverse_path: self.script.from.clone(), eight_bit, utf8 })
    }

    fn offers(&self, keyword: &str) -> bool {
        self.ehlo.as_ref().is_some_and(|ehlo| Capabilities::from_ehlo(ehlo).offers(keyword))
    }

    /// Words for AUTH replies that are rejections and do not read like it.
    fn warn_of_odd_auth(&mut self, code: u16) {
        match code {
            235 if self.phase == Phase::SaslAuth => self.warnings.push(Warning::AcceptedUnasked),
            334 if self.phase == Phase::SaslAuth => self.warnings.push(Warning::OneChallengeTooMany),
            _ => {}
        }
    }

    fn warn_of_clear_text(&mut self) {
        if !self.in_tls {
            self.warnings.push(Warning::ClearTextCredentials);
        }
    }
}

/// The replies that end a phase well (RFC 5321, section 4.3.2; RFC 3207; RFC 4954).
fn is_expected(phase: Phase, code: u16) -> bool {
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
