//! The whole dialogue: it ends in order whatever the server replies, and sends no secret too early.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use smtp_check::{
    check::{Check, CheckSettings},
    phase::Phase,
    smtp::{
        Action, Command, Dialogue, Mechanism, MechanismChoice, Protocol, Reply, ReplyParser, Script, StartTls, Verdict,
    },
};

use super::{PASSWORD, assert_framed, assert_printable, assert_secretive, knows_password, wire_line};

/// The maximum number of actions: greeting, twice EHLO, STARTTLS and its handshake, AUTH with three responses and the
/// work for one of them, MAIL, RCPT, DATA, the message, QUIT, and the end.
const MAX_ACTIONS: usize = 16;

/// `data` is a line of words that choose the script, see [`parameter`], and after it what the server sends.
///
/// With the word `untrusted` the certificate is not good enough; with `refused` the first error reply counts as one to
/// the PROXY header.
pub fn dialogue(data: &[u8]) {
    if knows_password(data) {
        return;
    }
    let opening = data.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let mut server = data.get(opening.len() + 1..).unwrap_or_default();
    let opening = String::from_utf8_lossy(opening);
    let has_word = |word: &str| opening.split(' ').any(|other| other == word);
    let Ok(check) = Check::parse(parameters(&opening), &CheckSettings::new(Duration::from_secs(60))) else { return };

    let mut witness = Witness::of(&check.script);
    let mut parser = ReplyParser::default();
    let mut may_refuse_header = has_word("refused");
    let (mut dialogue, mut action) = Dialogue::begin(&check.script);
    for _ in 0..MAX_ACTIONS {
        witness.sees(&action);
        action = match action {
            Action::Close => return,
            Action::Handshake if has_word("untrusted") => dialogue.quit(),
            Action::Handshake => {
                witness.shakes_hands();
                dialogue.after_handshake()
            }
            Action::Unsupported(..) | Action::Reset | Action::Violated { in_sync: true, .. } => dialogue.quit(),
            Action::Violated { in_sync: false, .. } => return,
            Action::Compute(_, work) => {
                let (verdict, next) = dialogue.computed(work.run());
                witness.judges(verdict);
                next
            }
            Action::AwaitGreeting(_) | Action::Begin(..) | Action::Continue(..) | Action::Quit => {
                if let Action::Begin(_, command) | Action::Continue(_, command) = &action {
                    dialogue.sending(command);
                }
                let Ok(Some(reply)) = parser.parse(&mut server) else { return };
                if std::mem::take(&mut may_refuse_header) && reply.code().is_negative() {
                    witness.hears_refusal(&reply);
                    dialogue.quit()
                } else {
                    let (verdict, next) = dialogue.reply(&reply);
                    witness.receives(&reply, verdict);
                    next
                }
            }
        };
        assert_secretive(&format!("{action:?} {dialogue:?}"));
        dialogue.warnings().iter().for_each(|warning| assert_printable(&warning.to_string()));
    }
    panic!("no end of it: {}", data.escape_ascii());
}

/// The parameters of a check with a recipient and a target, and those of the words.
fn parameters(words: &str) -> Vec<(String, Value)> {
    let mut parameters = Map::new();
    for (name, value) in [("to", json!("to@mx.test")), ("target", json!("mx.test"))] {
        parameters.insert(name.to_owned(), value);
    }
    for (name, value) in words.split(' ').flat_map(parameter) {
        parameters.insert(name.to_owned(), value);
    }
    parameters.into_iter().collect()
}

/// The parameter of a word; `None` if it has none.
fn parameter(word: &str) -> Vec<(&'static str, Value)> {
    match word {
        "implicit_tls" => vec![("implicit_tls", json!(true))],
        "starttls" => vec![("starttls", json!(true))],
        "opportunistic" => vec![("starttls", json!("opportunistic"))],
        "lmtp" => vec![("protocol", json!("lmtp"))],
        "initial" => vec![("sasl_initial_response", json!(true))],
        "plain" | "login" | "cram-md5" | "scram-sha-256" | "xoauth2" | "oauthbearer" | "auto" => {
            vec![("sasl_authentication", json!(word)), ("sasl_user", json!("user")), ("sasl_password", json!(PASSWORD))]
        }
        "from" => vec![("from", json!("from@mx.test"))],
        "from_utf8" => vec![("from", json!("absenderin@bücher.test"))],
        "to_utf8" => vec![("to", json!("empfänger@mx.test"))],
        "8bit" => vec![("payload", json!("Subject: Grüße\n\nbis bald"))],
        "dots" => vec![("payload", json!("Subject: dots\n\n.\u{2e}\n.x"))],
        "empty" => vec![("payload", json!(""))],
        _ => match word.split_once('=') {
            Some(("stop_after", phase)) => vec![("stop_after", json!(phase))],
            // `rcptto:5xx`, for example.
            Some(("expect", reply)) => {
                let (phase, code) = reply.split_once(':').unwrap_or((reply, ""));
                vec![("expect", json!({phase: {"code": code}}))]
            }
            _ => Vec::new(),
        },
    }
}

/// An observer of the connection that knows the RFCs, but not the code.
struct Witness<'a> {
    script: &'a Script,
    phases: Vec<Phase>,
    mechanism: Option<MechanismChoice>,
    has_initial_response: bool,
    tls_is_wanted: bool,
    /// TLS may be left out, but only where it is not offered.
    is_opportunistic: bool,
    hello: &'static str,
    in_tls: bool,
    /// The phases that succeeded, in order.
    passed: Vec<Phase>,
    phase: Phase,
    /// Keywords of the last EHLO.
    offered: Vec<String>,
    last_code: u16,
    responses: usize,
    failed: bool,
    has_quit: bool,
}

impl<'a> Witness<'a> {
    fn of(script: &'a Script) -> Self {
        Self {
            script,
            phases: script.phases(),
            mechanism: script.credentials.as_ref().map(|credentials| credentials.mechanism),
            has_initial_response: false,
            tls_is_wanted: script.implicit_tls || script.start_tls != StartTls::Off,
            is_opportunistic: script.start_tls == StartTls::Opportunistic,
            hello: if script.protocol == Protocol::Lmtp { "LHLO noit.local" } else { "EHLO noit.local" },
            in_tls: script.implicit_tls,
            passed: Vec::new(),
            phase: Phase::Banner,
            offered: Vec::new(),
            last_code: 0,
            responses: 0,
            failed: false,
            has_quit: false,
        }
    }

    fn sees(&mut self, action: &Action) {
        match action {
            Action::AwaitGreeting(phase) => self.begins(*phase),
            Action::Handshake => self.begins(Phase::Tls),
            Action::Begin(phase, command) => {
                self.begins(*phase);
                self.reads(command);
            }
            Action::Continue(_, command) => {
                assert_eq!((self.phase, self.last_code), (Phase::SaslAuth, 334), "speaks unasked");
                self.responses += 1;
                assert!(self.responses <= self.challenges(), "more responses than the mechanism has");
                self.reads(command);
            }
            Action::Unsupported(phase, _) => {
                self.begins(*phase);
                let lacking = match *phase {
                    Phase::MailFrom => !self.offers("SMTPUTF8"),
                    Phase::SaslAuth => self.mechanism == Some(MechanismChoice::Auto) || self.leaves_out_auth(),
                    _ => false,
                };
                assert!(lacking, "lacks nothing");
            }
            Action::Compute(..) => assert_eq!((self.phase, self.last_code), (Phase::SaslAuth, 334), "works unasked"),
            Action::Violated { in_sync, .. } => {
                assert_eq!((self.phase, *in_sync), (Phase::SaslAuth, self.last_code == 235));
            }
            Action::Quit => {
                assert!(!self.has_quit, "QUIT twice");
                assert!(!(300..400).contains(&self.last_code), "QUIT where the server waits for something else");
                (self.has_quit, self.phase) = (true, Phase::Quit);
            }
            Action::Reset => {
                assert!(self.passed.contains(&Phase::MailFrom) || self.phase == Phase::MailFrom, "no transaction");
                assert!(!matches!(self.phase, Phase::Body | Phase::Quit), "the message is sent");
                assert!(!(300..400).contains(&self.last_code), "RSET where the server waits for something else");
            }
            Action::Close => {
                let waits_for_handshake = self.failed && (self.phase, self.last_code) == (Phase::StartTls, 220);
                let out_of_step = (300..400).contains(&self.last_code) || waits_for_handshake;
                assert!(self.has_quit || out_of_step, "goes without a word");
            }
        }
    }

    /// Each phase happens once and in order: only after all before it succeeded.
    fn begins(&mut self, phase: Phase) {
        assert!(!self.failed && !self.has_quit, "{phase} after the end");
        if self.is_opportunistic && phase > Phase::StartTls && self.passed.last() == Some(&Phase::Ehlo) {
            assert!(!self.offers("STARTTLS"), "TLS left out though it is offered");
            self.phases.retain(|phase| !matches!(phase, Phase::StartTls | Phase::Tls | Phase::EhloTls));
        }
        let before: Vec<Phase> = self.phases.iter().copied().take_while(|other| *other != phase).collect();
        assert!(self.phases.contains(&phase), "{phase} is none of the script's");
        assert_eq!(self.passed, before, "{phase} out of turn");
        self.phase = phase;
    }

    fn reads(&mut self, command: &Command) {
        assert_secretive(&format!("{command} {command:?}"));
        if let Command::Body(payload) = command {
            assert_eq!((self.phase, self.last_code), (Phase::Body, 354), "a message that nobody waits for");
            assert_framed(&payload.to_wire());
            return;
        }
        let line = wire_line(command);
        let verb = line.split(' ').next().unwrap_or_default();
        match self.phase {
            Phase::Ehlo | Phase::EhloTls => assert_eq!(line, self.hello),
            Phase::StartTls => assert_eq!(line, "STARTTLS"),
            Phase::SaslAuth if self.responses == 0 => self.reads_auth(&line),
            Phase::SaslAuth => self.reads_response(&line),
            Phase::MailFrom => {
                assert!(line.starts_with("MAIL FROM:<"), "{line}");
                for parameter in line.split(' ').skip(2) {
                    let keyword = parameter.rsplit('=').next().unwrap_or_default();
                    assert!(self.offers(keyword), "{parameter} is not offered");
                }
                assert!(line.is_ascii() || line.ends_with(" SMTPUTF8"), "{line}");
            }
            Phase::RcptTo => assert!(line.starts_with("RCPT TO:<"), "{line}"),
            Phase::Data => assert_eq!(line, "DATA"),
            phase => panic!("{verb} in {phase}"),
        }
    }

    fn reads_auth(&mut self, line: &str) {
        let mut words = line.split(' ').skip(1);
        let name = words.next().expect("a mechanism");
        let all = [
            Mechanism::Plain,
            Mechanism::Login,
            Mechanism::CramMd5,
            Mechanism::ScramSha256,
            Mechanism::XOAuth2,
            Mechanism::OAuthBearer,
        ];
        let mechanism = all.into_iter().find(|mechanism| mechanism.name() == name).expect("a mechanism");
        match self.mechanism {
            Some(MechanismChoice::Only(asked)) => assert_eq!(mechanism, asked),
            _ => assert!(self.in_tls || !matches!(name, "PLAIN" | "LOGIN"), "{name} in clear text"),
        }
        self.mechanism = Some(MechanismChoice::Only(mechanism));
        if let Some(initial) = words.next() {
            (self.has_initial_response, self.responses) = (true, 1);
            self.reads_response(initial);
        }
    }

    fn reads_response(&self, line: &str) {
        let response = STANDARD.decode(line).expect("base64");
        let holds_password = response.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        let (at, _) = self.password_at();
        assert_eq!(holds_password, Some(self.responses) == at, "the password is in its response only");
        assert!(self.in_tls || !self.tls_is_wanted, "credentials in clear text where TLS was asked for");
    }

    fn shakes_hands(&mut self) {
        self.in_tls = true;
        self.offered.clear();
        self.passed.push(Phase::Tls);
    }

    fn receives(&mut self, reply: &Reply, verdict: Verdict) {
        self.last_code = reply.code().value();
        let expected: &[u16] = match self.phase {
            Phase::Banner | Phase::StartTls => &[220],
            Phase::Ehlo | Phase::EhloTls | Phase::MailFrom | Phase::Body => &[250],
            Phase::SaslAuth => &[334, 235],
            Phase::RcptTo => &[250, 251],
            Phase::Data => &[354],
            Phase::Quit => &[221],
            phase => panic!("{phase} has no reply"),
        };
        let is_ok = expected.contains(&self.last_code);
        let may_go_on = !matches!(self.phase, Phase::StartTls | Phase::Data) && (200..300).contains(&self.last_code);
        let due = match self.phase {
            Phase::SaslAuth => self.due_in_auth(reply),
            _ => vec![self.due(reply, is_ok, may_go_on)],
        };
        assert!(due.contains(&verdict), "{verdict:?} for {} in {}", self.last_code, self.phase);
        self.judges(verdict);
        if matches!(self.passed.last(), Some(Phase::Ehlo | Phase::EhloTls)) && self.passed.last() == Some(&self.phase) {
            let first_word = |line: &str| line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            self.offered = reply.lines().skip(1).map(|line| first_word(&line)).collect();
        }
    }

    /// What a reply means that counts as a success or not without an expectation.
    fn due(&self, reply: &Reply, is_ok: bool, may_go_on: bool) -> Verdict {
        match self.script.expectation(self.phase) {
            Some(expectation) if expectation.matches(reply) => Verdict::AsExpected { is_ok: is_ok || may_go_on },
            Some(_) => Verdict::Unexpected { is_ok },
            None if is_ok => Verdict::Accepted,
            None => Verdict::Rejected,
        }
    }

    /// 235 is believed once the last response was sent. Of a signature the witness knows nothing: the server never has
    /// one that is right.
    fn due_in_auth(&self, reply: &Reply) -> Vec<Verdict> {
        let judged = |is_ok| vec![self.due(reply, is_ok, false)];
        let (at, is_strict) = self.password_at();
        let sent = self.responses;
        let has_proof = match self.mechanism {
            Some(MechanismChoice::Only(Mechanism::CramMd5)) => sent >= 1,
            Some(MechanismChoice::Only(Mechanism::ScramSha256)) => sent >= 2,
            _ => at.is_some_and(|at| sent >= at),
        };
        // Whatever is expected of AUTH, it is not this.
        let early = match self.script.expectation(self.phase) {
            Some(_) => Verdict::Unexpected { is_ok: false },
            None => Verdict::Rejected,
        };
        match self.last_code {
            334 if is_strict && sent < self.challenges() => vec![Verdict::Challenged],
            334 if sent >= self.challenges() => judged(false),
            334 => vec![Verdict::Challenged, Verdict::Spoiled],
            235 if at == Some(sent) => judged(true),
            235 if sent == 1 && self.mechanism == Some(MechanismChoice::Only(Mechanism::CramMd5)) => judged(true),
            235 if is_strict => vec![early],
            235 => vec![early, Verdict::Spoiled],
            200..300 if !has_proof => vec![early],
            _ => judged(false),
        }
    }

    fn judges(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Challenged => {}
            Verdict::Rejected
            | Verdict::Spoiled
            | Verdict::AsExpected { is_ok: false }
            | Verdict::Unexpected { .. } => self.failed = true,
            Verdict::Accepted | Verdict::AsExpected { is_ok: true } => self.passed.push(self.phase),
        }
    }

    /// A check that leaves TLS to the server shows no password without it.
    fn leaves_out_auth(&self) -> bool {
        self.is_opportunistic && !self.in_tls && self.password_at().0.is_some()
    }

    fn hears_refusal(&mut self, reply: &Reply) {
        self.last_code = reply.code().value();
        self.failed = true;
    }

    fn offers(&self, keyword: &str) -> bool {
        self.offered.iter().any(|offered| offered == keyword)
    }

    /// The most responses that the mechanism has.
    fn challenges(&self) -> usize {
        match self.mechanism {
            Some(MechanismChoice::Only(mechanism)) => match mechanism {
                Mechanism::Plain | Mechanism::CramMd5 => 1,
                Mechanism::Login | Mechanism::XOAuth2 | Mechanism::OAuthBearer => 2,
                Mechanism::ScramSha256 => 3,
            },
            Some(MechanismChoice::Auto) | None => 0,
        }
    }

    /// The number of the response that holds the password, and whether each challenge before it is answered.
    fn password_at(&self) -> (Option<usize>, bool) {
        match self.mechanism {
            Some(MechanismChoice::Only(Mechanism::Plain)) => (Some(1), true),
            Some(MechanismChoice::Only(Mechanism::Login)) => (Some(2), true),
            Some(MechanismChoice::Only(Mechanism::XOAuth2 | Mechanism::OAuthBearer)) => (Some(1), false),
            _ => (None, false),
        }
    }
}
