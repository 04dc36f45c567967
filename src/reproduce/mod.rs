//! The check as command lines for bash: this program, swaks, openssl and curl.
//!
//! The password is the shell variable `SASL_PASSWORD`; names of the operator's settings are names, never a path or a
//! key. A line of which another value has the password in it is left out. Whatever a parameter holds, bash gives it to
//! the program as it is: [`quote`].
//!
//! A tool that cannot do the same has no command line. None sends a message or a credential where the check would not:
//! where a tool falls back to something that the check refuses, its line forbids that ([`swaks`], [`curl`]), or ends
//! before it ([`repeatable`]).

mod curl;
mod openssl;
mod quote;
mod smtp_check;
mod swaks;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::{
    check::Check,
    destination::{IpFamily, Target, address_text},
    phase::Phase,
    report::{FailureKind, Report, Reproduction},
    secret::{Mask, Secret},
    smtp::{Credentials, Mechanism, MechanismChoice, StartTls},
};
use quote::CommandLine;

/// Most octets of the parameters, and of the payload: what is longer is nothing to paste into a shell.
const MAX_TEXT_SIZE: usize = 4096;

/// The command lines that repeat the check, with the server that the report is about.
pub fn command_lines(check: &Check, report: &Report) -> Reproduction {
    if smtp_check::size(check.given.request()) > MAX_TEXT_SIZE {
        return Reproduction::default();
    }
    let secrets = check.given.password().map(secrets).unwrap_or_default();
    let finish = |line: CommandLine| line.finish(&secrets);
    let smtp_check = smtp_check::command_line(check).and_then(finish);
    let Some(to) = Connection::of(check, report) else {
        return Reproduction { smtp_check, ..Reproduction::default() };
    };
    let repeatable = repeatable(check, report);
    let repeatable = repeatable.as_deref();
    Reproduction {
        smtp_check,
        swaks: repeatable.and_then(|check| swaks::command_line(check, report, &to)).and_then(finish),
        openssl: openssl::command_line(check, report, &to).and_then(finish),
        curl: repeatable.and_then(|check| curl::command_line(check, report, &to)).and_then(finish),
    }
}

/// The password as it is in a text, and as it is in JSON.
fn secrets(password: &Secret) -> Vec<Mask> {
    let in_json = serde_json::to_string(password.expose()).map(Zeroizing::new).unwrap_or_default();
    let in_json = Secret::new(in_json.trim_matches('"').to_owned());
    vec![Mask::of(password), Mask::of(&in_json)]
}

/// What swaks and curl can repeat of a check.
///
/// Where EHLO is refused, both go on with HELO; where AUTH is not offered, curl goes on without it. So a check that
/// failed before AUTH is repeated up to EHLO: that comes to the same end, and sends neither credential nor message.
/// `None` where this program refused what the others may take: they read replies less strictly, and their TLS has
/// algorithms that this program's has not.
fn repeatable<'a>(check: &'a Check, report: &Report) -> Option<Cow<'a, Check>> {
    let Some(failure) = &report.failure else { return Some(Cow::Borrowed(check)) };
    let is_ehlo_refused =
        failure.kind == FailureKind::Rejected && matches!(failure.phase, Phase::Ehlo | Phase::EhloTls);
    if is_ehlo_refused || matches!(failure.kind, FailureKind::Protocol | FailureKind::Tls | FailureKind::Unexpected) {
        return None;
    }
    if failure.phase >= Phase::SaslAuth {
        return Some(Cow::Borrowed(check));
    }
    let mut shorter = check.clone();
    let last = if check.script.start_tls == StartTls::Off { Phase::Ehlo } else { Phase::StartTls };
    shorter.script.stop_after = Some(check.script.stop_after.map_or(last, |phase| phase.min(last)));
    Some(Cow::Owned(shorter))
}

/// The server that the check connected to, or tried to.
struct Connection {
    /// The address, or the host where there is none.
    server: String,
    port: u16,
    /// The name that the certificate must bear.
    server_name: String,
    /// The family of the addresses, where the host has none yet.
    family: IpFamily,
}

impl Connection {
    /// `None` where the name of the mail server is not known: other tools look up no MX record.
    fn of(check: &Check, report: &Report) -> Option<Self> {
        let tried = report.facts.unreached.last().map(|unreached| unreached.address);
        let address = report.target.address.or(tried);
        if address.is_none() && matches!(check.target, Target::MxOf(_)) {
            return None;
        }
        let host = &report.target.host;
        let server = address.map_or_else(|| host.clone(), address_text);
        let server_name = check.tls_server_name.as_ref().unwrap_or(host).clone();
        let family = if address.is_none() { check.ip_family } else { IpFamily::Any };
        Some(Self { server, port: report.target.port, server_name, family })
    }
}

/// The host before a port: an IPv6 address in brackets.
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { Cow::Owned(format!("[{host}]")) } else { Cow::Borrowed(host) }
}

/// Whether the check has this phase.
fn has(check: &Check, phase: Phase) -> bool {
    check.script.has_phase(phase)
}

/// Whether the reply to EHLO offers this mechanism of AUTH. The other tools do not try one that is not offered.
fn offers(report: &Report, mechanism: Mechanism) -> bool {
    let offered = report.capabilities.after_tls.as_ref().or(report.capabilities.before_tls.as_ref());
    let mechanisms = offered.and_then(|offered| offered.auth_mechanisms()).unwrap_or_default();
    mechanisms.iter().any(|offered| offered.eq_ignore_ascii_case(mechanism.name()))
}

/// The payload, if the check sends one. `Err`: it is too long for a command line, or made by this program, with an id
/// and a date of its own.
fn payload(check: &Check) -> Result<Option<Cow<'_, str>>, NoText> {
    let payload = &check.script.payload;
    match has(check, Phase::Body) {
        false => Ok(None),
        true if payload.len() > MAX_TEXT_SIZE || check.composes() => Err(NoText),
        true => Ok(Some(payload.text())),
    }
}

/// The login of a check, for tools that have to be told which mechanism.
struct Login<'a> {
    mechanism: Mechanism,
    credentials: &'a Credentials,
    /// The authorization identity; empty where the mechanism has none.
    authorization_id: &'a str,
}

impl<'a> Login<'a> {
    /// `None` where the server's offer decides on the mechanism, and the check did not come that far.
    fn of(credentials: &'a Credentials, report: &Report) -> Option<Self> {
        let chosen = report.sasl.as_ref().map(|sasl| sasl.mechanism);
        let is_chosen = |mechanism: &Mechanism| Some(mechanism.name()) == chosen;
        let chosen = || MechanismChoice::AUTO.into_iter().find(is_chosen);
        let mechanism = credentials.mechanism.named().or_else(chosen)?;
        let authorization_id = if mechanism.has_authorization_id() { &*credentials.authorization_id } else { "" };
        Some(Self { mechanism, credentials, authorization_id })
    }
}

/// A message that no other program can be given on a command line.
struct NoText;
