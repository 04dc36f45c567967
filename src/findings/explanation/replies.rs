//! Replies that refuse something.

use std::time::Duration;

use super::super::reply_text::{asks_to_come_back, block_list, has, names_greylisting, wait};
use crate::{
    phase::Phase,
    report::{AuthEnded, Failure, Report},
    smtp::Script,
};

pub(super) const NEEDS_SMTPUTF8: &str = "An address has characters beyond ASCII, and only a server with SMTPUTF8 takes it \
                                         (RFC 6531). Write the address in ASCII, or enable SMTPUTF8 on the server.";

/// A reply that failed the check.
struct Refusal<'a> {
    phase: Phase,
    code: u16,
    enhanced: &'a str,
    text: &'a str,
    report: &'a Report,
    script: &'a Script,
}

pub(super) fn of(failure: &Failure, report: &Report, script: &Script) -> Option<String> {
    let enhanced = failure.enhanced_code.as_deref().unwrap_or_default();
    let (phase, text) = (failure.phase, &*failure.message);
    let refusal = Refusal { phase, code: failure.code?, enhanced, text, report, script };
    match phase {
        Phase::Proxy | Phase::Quit => None,
        Phase::SaslAuth => refusal.login(),
        // The first that knows it explains it.
        _ => [
            Refusal::wants_first,
            Refusal::greylisting,
            Refusal::block_list,
            Refusal::recipient,
            Refusal::message,
            Refusal::session,
        ]
        .into_iter()
        .find_map(|explain| explain(&refusal)),
    }
}

impl Refusal<'_> {
    fn has(&self, phrases: &[&str]) -> bool {
        has(self.text, phrases)
    }

    fn names_tls(&self) -> bool {
        self.has(&["starttls", "tls", "ssl", "encrypt", "secure connection"])
    }

    fn names_login(&self) -> bool {
        self.has(&["authenticat", "auth required", "log in", "login", "smtp auth"])
    }

    /// RFC 4954, section 6.
    fn login(&self) -> Option<String> {
        let is_in_clear = self.report.tls.is_none();
        let wants_tls =
            is_in_clear && (matches!(self.code, 523 | 530 | 538) || self.enhanced == "5.7.11" || self.names_tls());
        let tls = wants_tls.then_some(" It wants TLS first: set `starttls`.");
        if self.report.facts.auth_ended == Some(AuthEnded::BeforeCredentials) {
            let more = match self.code {
                _ if wants_tls => tls,
                504 => Some(" Most likely it does not support the mechanism: try another mechanism."),
                _ => None,
            };
            let early = "The server ended AUTH before any user name or password had been sent, so the reply says nothing about \
                         them.";
            return Some(format!("{early}{}", more.unwrap_or_default()));
        }
        let text = match (self.code, self.enhanced) {
            (454, _) | (_, "4.7.0") => {
                "The server could not check the password now: most likely its user database cannot be reached. Try again \
                 later."
            }
            (534, _) | (_, "5.7.9") => "The mechanism is too weak for this user or server. Try another mechanism.",
            (432, _) => {
                "The server has to store the password anew for this mechanism. Log in once with `plain`, inside TLS."
            }
            _ if wants_tls => "The server takes no password in clear text. It wants TLS first: set `starttls`.",
            (535, _) | (_, "5.7.8") => match self.report.facts.auth_ended {
                Some(AuthEnded::BeforePassword) => {
                    "The server refused the user name; the password had not been sent. Check `sasl_user`."
                }
                _ => {
                    "The server refused the user name or the password. Check both; some providers want a password for \
                      applications, or have logins disabled."
                }
            },
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// What the server wants before it takes mail: 530 is for both (RFC 3207, section 4; RFC 4954, section 6).
    fn wants_first(&self) -> Option<String> {
        let is_in_clear = self.report.tls.is_none();
        let before = &self.report.capabilities.before_tls;
        let can_upgrade = before.as_ref().is_some_and(|offered| offered.offers("STARTTLS"));
        let (is_certain, is_tls) = match (self.code, self.enhanced) {
            (523 | 538, _) | (_, "5.7.10" | "5.7.11") => (true, true),
            (530, _) if is_in_clear && self.names_tls() => (true, true),
            (530, _) if self.names_login() || !is_in_clear => (true, false),
            (530, _) => (false, can_upgrade),
            (500..600, "" | "5.7.1" | "5.7.0") if self.names_login() => (false, false),
            _ => return None,
        };
        let sure = |text: &str| if is_certain { format!("The {text}") } else { format!("Most likely the {text}") };
        Some(if is_tls {
            sure("server wants TLS before MAIL. Set `starttls`.")
        } else {
            sure(
                "server wants a login before it takes mail. Set `sasl_authentication`, with `sasl_user` and \
                  `sasl_password`.",
            )
        })
    }

    /// RFC 6647.
    fn greylisting(&self) -> Option<String> {
        if !matches!(self.code, 421 | 450 | 451) {
            return None;
        }
        let is_certain = names_greylisting(self.text);
        let is_of_policy = matches!(self.enhanced, "" | "4.2.0" | "4.2.1") || self.enhanced.starts_with("4.7.");
        let is_of_mail = matches!(self.phase, Phase::MailFrom | Phase::RcptTo | Phase::Data | Phase::Body);
        let is_likely = self.code != 421 && is_of_policy && is_of_mail && asks_to_come_back(self.text);
        if !is_certain && !is_likely {
            return None;
        }
        let sure = if is_certain { "The server" } else { "Most likely the server" };
        let when = wait(self.text).map_or("in 5 to 15 minutes".to_owned(), |wait| format!("in {}", in_words(wait)));
        Some(format!(
            "{sure} uses greylisting: it refuses a sender that it does not know yet, and takes the mail later. Come back \
             {when}, from the same address, with the same sender and recipient."
        ))
    }

    fn block_list(&self) -> Option<String> {
        let named = block_list(self.text)?;
        let refuses = match named {
            Some(name) => {
                format!("The server refuses the address that the check comes from: it is on the block list {name}")
            }
            None => "Most likely the server refuses the address that the check comes from, by a block list".to_owned(),
        };
        Some(format!("{refuses}. Have the address taken off the list, or check from another one."))
    }

    fn recipient(&self) -> Option<String> {
        const UNKNOWN: [&str; 15] = [
            "user unknown",
            "unknown user",
            "no such user",
            "no such recipient",
            "no such mailbox",
            "does not exist",
            "doesn't exist",
            "mailbox unavailable",
            "mailbox not found",
            "recipient not found",
            "invalid recipient",
            "unknown recipient",
            "not a valid mailbox",
            "unrouteable address",
            "no mailbox here",
        ];
        let to = self.script.to.as_ref().filter(|_| self.phase >= Phase::RcptTo)?;
        let unknown = |sure: &str| {
            format!("{sure} server knows no mailbox {to}. Check the address: the recipient is refused, not the sender.")
        };
        Some(match (self.code, self.enhanced) {
            (500.., "5.1.1") => unknown("The"),
            (_, "5.2.2" | "4.2.2") => "The recipient's mailbox is full. Only its owner can make space.".to_owned(),
            (500.., "5.6.7") => NEEDS_SMTPUTF8.to_owned(),
            _ if self.has(&["relay"]) => {
                "The server does not relay mail to the recipient's domain for this client. Log in with \
                                          `sasl_authentication`, or check the domain's own mail server."
                    .to_owned()
            }
            (550 | 551 | 553 | 554, _) if self.has(&UNKNOWN) => unknown("Most likely the"),
            _ => return None,
        })
    }

    fn message(&self) -> Option<String> {
        let is_certain = matches!(self.enhanced, "5.3.4" | "5.2.3");
        let is_likely = self.code == 552 && self.enhanced != "5.2.2" && self.has(&["size", "large", "big", "exceed"]);
        if !is_certain && !is_likely {
            return (self.code >= 500 && self.enhanced == "5.6.7").then(|| NEEDS_SMTPUTF8.to_owned());
        }
        let sure = if is_certain { "The message is" } else { "Most likely the message is" };
        let offered = &self.report.capabilities;
        let offered = offered.after_tls.as_ref().or(offered.before_tls.as_ref());
        let size = offered.and_then(|offered| offered.parameters("SIZE")).and_then(|size| size.parse::<u64>().ok());
        let limit = size.filter(|size| *size > 0).map(|size| format!(", which takes {size} octets (SIZE)"));
        Some(format!("{sure} too large for the server{}. Send a smaller one.", limit.unwrap_or_default()))
    }

    /// Refusals of the whole session.
    fn session(&self) -> Option<String> {
        Some(match (self.phase, self.code) {
            (Phase::StartTls, 454) => {
                "The server cannot do TLS at the moment: most likely it cannot read its certificate or key. Look into its log."
            }
            (_, 421) => {
                "The server ends the session: most likely it is too busy, shuts down, or limits the connections of a client. Try \
                 again later."
            }
            (Phase::Banner, 500..) => {
                "The server refuses the session with its greeting. Most likely it does not admit the address that the check \
                 comes from, or takes no mail at all."
            }
            _ => return None,
        }
        .to_owned())
    }
}

fn in_words(wait: Duration) -> String {
    let seconds = wait.as_secs();
    match (seconds, seconds / 60) {
        (1, _) => "a second".to_owned(),
        (..120, _) => format!("{seconds} seconds"),
        (_, minutes) if seconds.is_multiple_of(60) => format!("{minutes} minutes"),
        (_, minutes) => format!("{} minutes", minutes + 1),
    }
}
