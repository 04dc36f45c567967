//! AUTH within a dialogue (RFC 4954): which mechanism, and what a reply means for it.

use super::{
    Action, AuthStep, Dialogue, EarlyEnd, EndedBy, Unsupported, Verdict, Warning, warning::MAX_COMMAND_LINE_SIZE,
};
use crate::{
    phase::Phase,
    smtp::{
        Capabilities, Command, Credentials, Mechanism, MechanismChoice, Reply,
        sasl::{Bears, Exchange, Next, SaslFacts, Violation, exchange::Computed},
    },
};

/// The AUTH exchange of a dialogue.
#[derive(Debug)]
pub(super) struct Auth {
    exchange: Exchange,
    mechanism: Mechanism,
    has_initial_response: bool,
    step: AuthStep,
    /// The most of the credentials that was sent.
    sent: Bears,
}

impl Auth {
    /// The warning about an end at this point; `None` once the server has what tells whether the password is right.
    fn early_end(&self, by: EndedBy) -> Option<Warning> {
        if self.sent.is_secret() {
            return None;
        }
        let has_user_name = self.sent != Bears::Nothing;
        let is_refused = matches!(by, EndedBy::Reply(_)) && self.step == AuthStep::Sent;
        let lacks_initial = self.mechanism.has_initial_response() && !self.has_initial_response;
        let could_be_initial = is_refused && lacks_initial && !has_user_name;
        Some(Warning::EndedEarly(EarlyEnd { by, after: self.step, has_user_name, could_be_initial }))
    }
}

impl Dialogue<'_> {
    /// What the report tells of AUTH; `None` before the command is sent.
    pub fn sasl(&self) -> Option<SaslFacts> {
        let auth = self.auth.as_ref().filter(|auth| auth.step != AuthStep::None)?;
        let iterations = auth.exchange.iterations();
        Some(SaslFacts {
            mechanism: auth.mechanism,
            initial_response: auth.has_initial_response,
            iterations,
            is_server_proven: auth.exchange.is_proven(),
        })
    }

    /// The command is about to be written. Until then what it bears counts as not sent.
    pub fn sending(&mut self, command: &Command) {
        let Some(auth) = &mut self.auth else { return };
        auth.step = AuthStep::Sent;
        let Some(response) = command.response() else { return };
        auth.sent = auth.sent.max(response.bears());
        if response.bears() == Bears::Password && !self.in_tls {
            self.warnings.push(Warning::ClearTextCredentials);
        }
        let line = command.to_wire().len();
        if matches!(command, Command::Auth { .. }) && line > MAX_COMMAND_LINE_SIZE {
            self.warnings.push(Warning::LongAuthCommand(line));
        }
    }

    /// Takes the result of [`Action::Compute`]; `None` if the work failed.
    pub fn computed(&mut self, computed: Option<Computed>) -> (Verdict, Action) {
        match self.auth.as_mut().map(|auth| auth.exchange.computed(computed)) {
            Some(next) => self.follow(next),
            None => (Verdict::Rejected, Action::Close),
        }
    }

    /// AUTH ends without a reply: the session broke off, by a close of the server or otherwise.
    pub fn auth_broke_off(&mut self, is_closed: bool) {
        let by = if is_closed { EndedBy::Close } else { EndedBy::Other };
        self.warnings.extend(self.auth.as_ref().and_then(|auth| auth.early_end(by)));
    }

    pub(super) fn begin_auth(&mut self) -> Action {
        let Some(credentials) = &self.script.credentials else { return self.quit() };
        let mechanism = match self.mechanism(credentials.mechanism) {
            Ok(mechanism) => mechanism,
            Err(unsupported) => return Action::Unsupported(Phase::SaslAuth, unsupported),
        };
        self.warnings.extend(warnings_of_choice(credentials, mechanism));
        let mut exchange = Exchange::new(credentials, mechanism);
        let initial = if credentials.initial_response { exchange.initial_response() } else { None };
        let has_initial_response = initial.is_some();
        let auth = Auth { exchange, mechanism, has_initial_response, step: AuthStep::None, sent: Bears::Nothing };
        self.auth = Some(Box::new(auth));
        Action::Begin(Phase::SaslAuth, Command::Auth { mechanism, initial })
    }

    fn mechanism(&self, choice: MechanismChoice) -> Result<Mechanism, Unsupported> {
        match choice {
            // A caller that leaves TLS to the server has not chosen clear text.
            MechanismChoice::Only(mechanism)
                if self.is_opportunistic() && !self.in_tls && mechanism.shows_password() =>
            {
                Err(Unsupported::StartTls(mechanism))
            }
            MechanismChoice::Only(mechanism) => Ok(mechanism),
            MechanismChoice::Auto if self.in_tls => self.best_mechanism().ok_or(Unsupported::Mechanism),
            MechanismChoice::Auto => self.best_mechanism().ok_or(Unsupported::MechanismInClear),
        }
    }

    /// The best mechanism that the server offers and that may be used here. What is left out of a reply to EHLO may
    /// offer any: then the best is tried.
    fn best_mechanism(&self) -> Option<Mechanism> {
        let ehlo = self.ehlo.as_ref()?;
        let capabilities = Capabilities::from_ehlo(ehlo);
        let offered = capabilities.auth_mechanisms().unwrap_or_default();
        let is_offered = |mechanism: &Mechanism| offered.iter().any(|it| it.eq_ignore_ascii_case(mechanism.name()));
        let usable =
            || MechanismChoice::AUTO.into_iter().filter(|mechanism| self.in_tls || !mechanism.shows_password());
        let unseen = || usable().next().filter(|_| ehlo.left_out() > 0);
        usable().find(is_offered).or_else(unseen)
    }

    /// What a reply to AUTH or to a response means.
    pub(super) fn auth_reply(&mut self, reply: &Reply) -> (Verdict, Action) {
        let Some(auth) = &mut self.auth else { return self.judged(reply, false) };
        let code = reply.code();
        if code.value() == 334 {
            auth.step = AuthStep::Challenged;
            let text = (reply.left_out() == 0).then(|| reply.message());
            let next = auth.exchange.challenge(text.as_deref());
            if !matches!(next, Next::Exhausted) {
                return self.follow(next);
            }
            self.warnings.push(Warning::ExtraChallenge);
            return self.judged(reply, false);
        }
        let (sent, violation) = (auth.sent, auth.exchange.accepted().err());
        self.warnings.extend(match auth.early_end(EndedBy::Reply(code)) {
            Some(_) if code.value() == 235 => Some(Warning::AcceptedWithoutPassword),
            early => early,
        });
        match violation {
            Some(violation) if code.value() == 235 => self.violated(violation, true),
            // Before the password is sent, a positive reply tells nothing about it, whatever the check expects.
            _ if code.is_completion() && !sent.is_secret() => {
                let is_expecting = self.script.expectation(Phase::SaslAuth).is_some();
                let verdict = if is_expecting { Verdict::Unexpected { is_ok: false } } else { Verdict::Rejected };
                (verdict, self.rejected(reply))
            }
            _ => self.judged(reply, code.value() == 235),
        }
    }

    fn follow(&mut self, next: Next) -> (Verdict, Action) {
        let command = match next {
            Next::Respond(response) => Command::SaslResponse(response),
            Next::Refused(refusal, response) => {
                self.warnings.push(Warning::Refused(refusal));
                Command::SaslResponse(response)
            }
            Next::Compute(work) => return (Verdict::Challenged, Action::Compute(Phase::SaslAuth, work)),
            Next::Violated(violation) => {
                self.auth_broke_off(false);
                return self.violated(violation, false);
            }
            Next::Exhausted => return (Verdict::Rejected, Action::Close),
        };
        (Verdict::Challenged, Action::Continue(Phase::SaslAuth, command))
    }

    fn violated(&mut self, violation: Violation, in_sync: bool) -> (Verdict, Action) {
        (Verdict::Spoiled, Action::Violated { phase: Phase::SaslAuth, violation, in_sync })
    }
}

/// Parameters that the mechanism leaves aside. Where the caller named the mechanism, this is said before the session.
fn warnings_of_choice(credentials: &Credentials, mechanism: Mechanism) -> impl Iterator<Item = Warning> {
    let is_chosen = credentials.mechanism == MechanismChoice::Auto;
    let no_id = is_chosen && !mechanism.has_authorization_id() && !credentials.authorization_id.is_empty();
    let no_initial = is_chosen && !mechanism.has_initial_response() && credentials.initial_response;
    [
        no_id.then_some(Warning::NoAuthorizationId(mechanism.name())),
        no_initial.then_some(Warning::NoInitialResponse(mechanism.name())),
    ]
    .into_iter()
    .flatten()
}
