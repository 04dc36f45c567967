//! The check as command lines for bash: this program, swaks, openssl and curl.
//!
//! The password is the shell variable `SASL_PASSWORD`; names of the operator's settings are names, never a path or a
//! key. Whatever a parameter holds, bash gives it to the program as it is: [`quote`]. A tool that cannot do the same
//! has no command line.

mod curl;
mod openssl;
mod quote;
mod smtp_check;
mod swaks;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::{
    check::Check,
    destination::Target,
    phase::Phase,
    report::{Report, Reproduction},
    smtp::{Credentials, Mechanism, MechanismChoice},
};
use quote::CommandLine;

/// Most octets of the parameters, and of the payload: what is longer is nothing to paste into a shell.
const MAX_TEXT_SIZE: usize = 4096;

/// The command lines that repeat the check, with the server that the report is about.
pub fn command_lines(check: &Check, report: &Report) -> Reproduction {
    if smtp_check::size(check.given.request()) > MAX_TEXT_SIZE {
        return Reproduction::default();
    }
    let connection = Connection::of(check, report);
    Reproduction {
        smtp_check: smtp_check::command_line(check).map(CommandLine::finish),
        swaks: swaks::command_line(check, report, connection.as_ref()).map(CommandLine::finish),
        openssl: connection.as_ref().and_then(|to| openssl::command_line(check, report, to)).map(CommandLine::finish),
        curl: connection.as_ref().and_then(|to| curl::command_line(check, report, to)).map(CommandLine::finish),
    }
}

/// The server that the check connected to, or tried to.
struct Connection {
    /// The address, or the host where there is none.
    server: String,
    port: u16,
    /// The name that the certificate must bear.
    server_name: String,
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
        let server = address.map_or_else(|| host.clone(), |address| address.to_string());
        let server_name = check.tls_server_name.as_ref().unwrap_or(host).clone();
        Some(Self { server, port: report.target.port, server_name })
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
