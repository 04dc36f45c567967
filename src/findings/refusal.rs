//! [`Refusal`]: a reply that refuses something, and its [`Meaning`], of which findings and explanations are made.
//!
//! The code and the enhanced status code decide (RFC 5321, section 4.2; RFC 3463). Words count only where these leave
//! the reason open, and only in a sentence about the party that they are about.

use super::{
    party::{self, Listing},
    reply_text::{self, Wait},
    sentence::Text,
    words::{AUTH, CLIENT_NAME, CLIENT_NAME_AT_HELLO, LOGIN, NO_MAILBOX, NO_RELAY, NO_SENDER, OTHER_LOGIN},
};
use crate::{
    phase::Phase,
    report::{Failure, FailureKind, PhaseReport, Report},
    smtp::Script,
};

/// A reply with a code from 400 to 599.
pub(super) struct Refusal<'a> {
    pub(super) phase: Phase,
    pub(super) code: u16,
    pub(super) enhanced: &'a str,
    pub(super) message: &'a str,
    text: Text,
    pub(super) report: &'a Report,
    pub(super) script: &'a Script,
}

/// What is refused, and why. `is_certain` is false where only words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// TLS is wanted first.
    WantsTls { is_certain: bool },
    /// A login is wanted first.
    WantsLogin { is_certain: bool },
    /// Greylisting (RFC 6647), and when to come back.
    Greylisted { is_certain: bool, wait: Wait },
    /// By a block list.
    Listed(Listing),
    /// The address of this client has no name in DNS that leads back to it.
    ReverseDns,
    /// This client.
    Client,
    /// The name that this client gave in EHLO.
    ClientName,
    /// The null sender.
    NullSender,
    /// Most likely the sender, whoever it is.
    Sender,
    /// The sender is not authenticated: SPF, DKIM or DMARC (RFC 7372).
    SenderAuthentication,
    /// There is no such mailbox.
    NoMailbox { is_certain: bool },
    /// The mailbox is full.
    MailboxFull,
    /// The recipient's domain has a null MX record (RFC 7505).
    NullMx,
    /// The recipient's domain is not one of the server.
    NoRelay,
    /// The message is too large.
    TooLarge { is_certain: bool },
    /// An address has characters beyond ASCII.
    NeedsUtf8,
    /// The enhanced code gives another reason.
    Other,
    /// Neither code nor words tell.
    Unknown,
}

impl<'a> Refusal<'a> {
    /// The reply that failed the check.
    pub(super) fn of_failure(failure: &'a Failure, report: &'a Report, script: &'a Script) -> Option<Self> {
        let is_by_reply = matches!(failure.kind, FailureKind::Rejected | FailureKind::Unexpected);
        let code = failure.code.filter(|code| is_by_reply && *code >= 400)?;
        let enhanced = failure.enhanced_code.as_deref().unwrap_or_default();
        Some(Self::new((failure.phase, code, enhanced, &failure.message), report, script))
    }

    /// The rejection that the check expected.
    pub(super) fn expected(report: &'a Report, script: &'a Script) -> Option<Self> {
        let is_rejection = |phase: &&PhaseReport| phase.expected == Some(true) && !phase.ok;
        let phase = report.phases.iter().find(is_rejection)?;
        let code = phase.code.filter(|code| *code >= 400)?;
        let enhanced = phase.enhanced_code.as_deref().unwrap_or_default();
        Some(Self::new((phase.name, code, enhanced, phase.message.as_deref().unwrap_or_default()), report, script))
    }

    fn new(
        (phase, code, enhanced, message): (Phase, u16, &'a str, &'a str),
        report: &'a Report,
        script: &'a Script,
    ) -> Self {
        Self { phase, code, enhanced, message, text: Text::of(message), report, script }
    }

    /// The reply, as evidence.
    pub(super) fn evidence(&self) -> String {
        let Self { code, enhanced, message, .. } = self;
        if enhanced.is_empty() { format!("{code} {message}") } else { format!("{code} {enhanced} {message}") }
    }

    pub(super) fn meaning(&self) -> Meaning {
        self.wanted_first()
            .or_else(|| self.client_name())
            .or_else(|| self.by_enhanced_code())
            .or_else(|| self.greylisting())
            .or_else(|| self.by_words())
            .or_else(|| self.likely_mailbox())
            .unwrap_or(if self.is_reason_open() { Meaning::Unknown } else { Meaning::Other })
    }

    pub(super) fn has(&self, phrases: &[&str]) -> bool {
        self.text.has(phrases)
    }

    /// Subject and detail of the enhanced code.
    fn detail(&self) -> &str {
        self.enhanced.get(2..).unwrap_or_default()
    }

    /// Whether code and enhanced code leave the reason open: none, `x.0.0`, "other" of the mail system, and the codes
    /// of security and policy.
    fn is_reason_open(&self) -> bool {
        let detail = self.detail();
        matches!(detail, "" | "0.0" | "3.0") && !matches!(self.code, 500..=504 | 552 | 555)
            || (detail.starts_with("7.") && !matches!(self.code, 500..=503))
    }

    fn is_of_envelope(&self) -> bool {
        self.phase >= Phase::MailFrom
    }

    pub(super) fn names_tls(&self) -> bool {
        self.has(&["starttls", "tls", "ssl", "encrypt", "encrypted", "encryption", "secure connection"])
    }

    /// What is wanted before mail is taken: 530 is for both (RFC 3207, section 4; RFC 4954, section 6).
    fn wanted_first(&self) -> Option<Meaning> {
        let is_in_clear = self.report.tls.is_none();
        let before = &self.report.capabilities.before_tls;
        let can_upgrade = before.as_ref().is_some_and(|offered| offered.offers("STARTTLS"));
        Some(match (self.code, self.detail()) {
            (523 | 538, _) | (_, "7.10" | "7.11") if is_in_clear => Meaning::WantsTls { is_certain: true },
            (530, _) if is_in_clear && self.names_tls() => Meaning::WantsTls { is_certain: true },
            (530, _) if !is_in_clear || self.has(&LOGIN) || self.has(&AUTH) => Meaning::WantsLogin { is_certain: true },
            (530, _) if can_upgrade => Meaning::WantsTls { is_certain: false },
            (530, _) => Meaning::WantsLogin { is_certain: false },
            _ => return None,
        })
    }

    /// Servers judge the name of EHLO there, or as late as at RCPT, as Postfix does, with any code.
    fn client_name(&self) -> Option<Meaning> {
        if matches!(self.code, 421 | 500 | 502 | 503) || self.phase == Phase::Body {
            return None;
        }
        let is_of_hello = matches!(self.phase, Phase::Ehlo | Phase::EhloTls);
        let is_refused = self.has(&CLIENT_NAME) || (is_of_hello && self.has(&CLIENT_NAME_AT_HELLO));
        let is_listed = || party::listing(&self.text, false).is_some();
        (is_refused && !is_listed()).then_some(Meaning::ClientName)
    }

    /// RFC 6647.
    fn greylisting(&self) -> Option<Meaning> {
        if !matches!(self.code, 421 | 450 | 451) {
            return None;
        }
        let is_certain = reply_text::names_greylisting(&self.text);
        // RFC 6647, section 5, wants 4.7.1; servers have these as well.
        let is_of_policy = matches!(self.detail(), "" | "0.0" | "2.0" | "2.1" | "7.0" | "7.1");
        let is_likely =
            self.code != 421 && is_of_policy && self.is_of_envelope() && reply_text::asks_to_come_back(&self.text);
        (is_certain || is_likely).then(|| Meaning::Greylisted { is_certain, wait: reply_text::wait(self.message) })
    }

    fn by_enhanced_code(&self) -> Option<Meaning> {
        let is_of_recipient = self.phase >= Phase::RcptTo;
        Some(match self.detail() {
            "1.1" if self.code >= 500 && is_of_recipient => Meaning::NoMailbox { is_certain: true },
            "2.2" if is_of_recipient => Meaning::MailboxFull,
            "2.3" | "3.4" if self.code >= 500 => Meaning::TooLarge { is_certain: true },
            "1.7" | "1.8" if self.is_of_envelope() && self.script.from.is_none() => Meaning::NullSender,
            "1.7" | "1.8" if self.is_of_envelope() => Meaning::Sender,
            "6.7" if self.code >= 500 && self.script.needs_utf8() => Meaning::NeedsUtf8,
            "1.10" if is_of_recipient && (self.code == 556 || self.has(&["null mx"])) => Meaning::NullMx,
            "7.25" => Meaning::ReverseDns,
            "7.20" | "7.21" | "7.22" | "7.23" | "7.24" | "7.26" | "7.515" => Meaning::SenderAuthentication,
            "7.9" if self.is_of_envelope() && self.has(&["spf", "dkim", "dmarc"]) => Meaning::SenderAuthentication,
            "7.27" if self.script.from.is_some() => Meaning::Sender,
            "7.7" | "7.27" | "7.28" => Meaning::Other,
            _ => return None,
        })
    }

    fn by_words(&self) -> Option<Meaning> {
        let is_size = self.code == 552 && matches!(self.detail(), "" | "0.0" | "3.0");
        let is_storage = self.has(&["quota", "storage", "mailbox full", "mailbox is full"]);
        if is_size && !is_storage && self.has(&["size", "too large", "too big", "larger", "exceeds"]) {
            return Some(Meaning::TooLarge { is_certain: false });
        }
        if !self.is_reason_open() {
            return None;
        }
        let listing = party::listing(&self.text, !self.is_of_envelope());
        if listing.is_some() {
            return listing.map(Meaning::Listed);
        }
        if (500..600).contains(&self.code) && self.names_login() {
            return Some(Meaning::WantsLogin { is_certain: false });
        }
        if self.phase == Phase::RcptTo && self.has(&NO_RELAY) {
            return Some(Meaning::NoRelay);
        }
        if self.has(&["bad dns ptr resource record"]) || party::refuses_client(&self.text) {
            let is_name = party::names_reverse_dns(&self.text);
            return Some(if is_name { Meaning::ReverseDns } else { Meaning::Client });
        }
        if self.is_of_envelope() && self.has(&NO_SENDER) {
            return Some(if self.script.from.is_none() { Meaning::NullSender } else { Meaning::Sender });
        }
        None
    }

    /// Policies about SPF, DKIM and DMARC use the words of logins, and so do replies about unused mailboxes.
    fn names_login(&self) -> bool {
        // Exchange has these codes for groups that take mail of their organization only.
        let is_of_group = matches!(self.detail(), "7.133" | "7.134" | "7.136");
        self.has(&LOGIN) && !is_of_group && !self.has(&OTHER_LOGIN)
    }

    /// A mailbox that is refused in words, where no code says another reason.
    fn likely_mailbox(&self) -> Option<Meaning> {
        let is_code = matches!(self.code, 550 | 551 | 553 | 554)
            && matches!(self.detail(), "" | "0.0" | "1.0" | "1.3" | "1.6" | "1.10" | "2.0" | "2.1" | "4.1" | "7.1");
        let is_refused = self.detail() == "4.1" && self.has(&["recipient address rejected"]);
        let of_sender = self.has(&["sender", "sender's", "verification failed for", "dns"]);
        let is_likely = self.phase == Phase::RcptTo && is_code && !of_sender && (self.has(&NO_MAILBOX) || is_refused);
        is_likely.then_some(Meaning::NoMailbox { is_certain: false })
    }

    /// Whether a reply to RCPT refuses the mailbox itself. 550, 551 and 553 are about it (RFC 5321, section 4.2.3),
    /// unless the text gives another reason.
    pub(super) fn refuses_mailbox(&self) -> bool {
        const OTHER_REASONS: [&str; 24] = [
            "sender",
            "client",
            "host",
            "ip",
            "you",
            "your",
            "policy",
            "spam",
            "spf",
            "dkim",
            "dmarc",
            "relay",
            "relaying",
            "relayed",
            "denied",
            "domain",
            "verify",
            "verification",
            "helo",
            "ehlo",
            "reputation",
            "blocked",
            "greylisted",
            "access",
        ];
        match self.meaning() {
            Meaning::NoMailbox { .. } => true,
            Meaning::Other => self.code >= 500 && self.detail() == "2.1",
            Meaning::Unknown => {
                matches!(self.code, 550 | 551 | 553) && self.enhanced.is_empty() && !self.has(&OTHER_REASONS)
            }
            _ => false,
        }
    }
}

/// Whether the greeting names LMTP.
pub(super) fn greets_by_lmtp(report: &Report) -> bool {
    let greeting = report.phases.iter().find(|phase| phase.name == Phase::Banner);
    greeting.and_then(|phase| phase.message.as_deref()).is_some_and(|text| Text::of(text).has(&["lmtp"]))
}
