//! swaks (version 20201014 and later).

use std::net::IpAddr;

use super::{CommandLine, Connection, Login, has, offers, payload};
use crate::{
    check::{Check, TlsVerify, TlsVersion},
    destination::IpFamily,
    phase::Phase,
    proxy_header::{ProxyAddress, ProxyFamily, ProxyHeader},
    report::{FailureKind, Report},
    smtp::{Credentials, Mailbox, Mechanism, Protocol, StartTls},
};

/// `None` where swaks cannot do the same.
pub(super) fn command_line(check: &Check, report: &Report, to: &Connection) -> Option<CommandLine> {
    let script = &check.script;
    if has_unsupported_envelope(check) || has_special_needs(check) || ends_differently(report) {
        return None;
    }
    let message = payload(check).ok()?;
    let line = CommandLine::new("swaks").flag("--server", &to.server).number("--port", to.port, "");
    let line = match to.family {
        IpFamily::Any => line,
        IpFamily::Ipv4 => line.literal("-4"),
        IpFamily::Ipv6 => line.literal("-6"),
    };
    let line = line.literal_if(script.protocol == Protocol::Lmtp, "--protocol LMTP");
    let line = line.maybe("--local-interface", check.source_address.map(|address| address.to_string()).as_deref());
    let line = proxy(line, check.proxy.as_ref())?;
    let line = value(line, "--ehlo", script.ehlo.as_str())?;
    let line = tls(line, check, report, to)?;
    let line = login(line, script.credentials.as_ref().filter(|_| has(check, Phase::SaslAuth)), report)?;
    let from = script.from.as_ref().map_or("<>", Mailbox::as_str);
    let line = if has(check, Phase::MailFrom) { value(line, "--from", from)? } else { line };
    let line = match &script.to {
        Some(to) => value(line, "--to", to.as_str())?,
        None => line,
    };
    // Without its fix-up swaks sends the data as they are; it then needs the end of the data as well.
    let line = match message {
        Some(text) => line.literal("--no-data-fixup").assigned("--data", &data(&text)),
        None => line.maybe("--quit-after", stop(script.stop_after, script.start_tls != StartTls::Off)),
    };
    Some(line.number("--timeout", check.timeout.as_secs().max(1), "s"))
}

/// Adds a flag with a value. swaks takes one that begins with a dash for a flag, and `0` for none.
fn value(line: CommandLine, name: &str, value: &str) -> Option<CommandLine> {
    if value.starts_with('-') || value == "0" { None } else { Some(line.flag(name, value)) }
}

/// `--tls-optional` goes on in clear text where the server refuses STARTTLS. `--tls-optional-strict` does not, and
/// would send a password in clear text where the server does not offer it.
fn tls(line: CommandLine, check: &Check, report: &Report, to: &Connection) -> Option<CommandLine> {
    let script = &check.script;
    let has_starttls = has(check, Phase::StartTls);
    if !has_starttls && !script.implicit_tls {
        return Some(line);
    }
    let may_be_left_out = script.start_tls == StartTls::Opportunistic && report.tls.is_none();
    if has_starttls && may_be_left_out && has(check, Phase::SaslAuth) {
        return None;
    }
    let line = line
        .literal_if(has_starttls && !may_be_left_out, "--tls")
        .literal_if(has_starttls && may_be_left_out, "--tls-optional-strict")
        .literal_if(script.implicit_tls, "--tls-on-connect");
    let versions = match check.tls_version {
        TlsVersion::Any => "tlsv1_2,tlsv1_3",
        TlsVersion::Tls12 => "tlsv1_2",
        TlsVersion::Tls13 => "tlsv1_3",
    };
    let is_address = to.server_name.parse::<IpAddr>().is_ok();
    Some(line.flag("--tls-protocol", versions).maybe("--tls-sni", (!is_address).then_some(&*to.server_name)))
}

/// swaks does not know the operator's client certificates, nor what is expected: it would go on where this program
/// stops. Its `--tls-verify` verifies the chain and, in this version, not the name.
fn has_special_needs(check: &Check) -> bool {
    check.client_certificate.is_some() || check.script.expect.is_some() || check.tls_verify == TlsVerify::Require
}

/// A comma separates recipients, and swaks has no SMTPUTF8.
fn has_unsupported_envelope(check: &Check) -> bool {
    let mailboxes = [&check.script.from, &check.script.to].into_iter().flatten();
    mailboxes.map(Mailbox::as_str).any(|mailbox| mailbox.contains(',') || !mailbox.is_ascii())
}

/// The timeout of swaks is that of one reply, in whole seconds, and after one to EHLO it goes on with HELO. And swaks
/// takes 250 only.
fn ends_differently(report: &Report) -> bool {
    let failure = report.failure.as_ref();
    let is_slow = failure.is_some_and(|failure| failure.kind == FailureKind::Timeout && failure.phase > Phase::Connect);
    is_slow || report.phases.iter().any(|phase| phase.ok && phase.name == Phase::RcptTo && phase.code == Some(251))
}

/// An argument that begins with `@` is a file; `@@` is one `@`. One of a single line is a file, too: the end of the
/// data makes this one longer.
fn data(text: &str) -> String {
    let at = if text.starts_with('@') { "@" } else { "" };
    format!("{at}{text}\r\n.")
}

/// swaks has neither SCRAM-SHA-256 nor the mechanisms of access tokens.
fn login(line: CommandLine, credentials: Option<&Credentials>, report: &Report) -> Option<CommandLine> {
    let Some(credentials) = credentials else { return Some(line) };
    let Login { mechanism, credentials, authorization_id } = Login::of(credentials, report)?;
    let is_known = matches!(mechanism, Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5);
    let is_unread = |text: &str| text.starts_with('-') || matches!(text, "0" | "<>");
    let is_unwritable = is_unread(&credentials.user) || is_unread(credentials.password.expose());
    if !is_known || !authorization_id.is_empty() || is_unwritable || !offers(report, mechanism) {
        return None;
    }
    if mechanism == Mechanism::Plain && sends_more(credentials, report) {
        return None;
    }
    let line = line.flag("--auth", mechanism.name()).flag("--auth-user", &credentials.user);
    Some(line.literal("--auth-password=\"$SASL_PASSWORD\""))
}

/// Whether the check failed in AUTH without an initial response, or before the credentials were sent. For PLAIN, swaks
/// sends them with AUTH, which may come to another end.
fn sends_more(credentials: &Credentials, report: &Report) -> bool {
    let failure = report.failure.as_ref().filter(|failure| failure.phase == Phase::SaslAuth);
    failure.is_some_and(|failure| {
        !credentials.initial_response || report.facts.auth_ended.is_some() || failure.code.is_none_or(|code| code < 400)
    })
}

/// Where a part of the header comes from the connection, only this program knows it.
fn proxy(line: CommandLine, header: Option<&ProxyHeader>) -> Option<CommandLine> {
    let Some(ProxyHeader { is_v2, family, source, destination, source_port, destination_port }) = header else {
        return Some(line);
    };
    let address = |address: &ProxyAddress| match address {
        ProxyAddress::OfConnection => None,
        ProxyAddress::Ip(ip) => Some(ip.to_string()),
        ProxyAddress::Verbatim(text) => Some(text.clone()),
    };
    let family = match (is_v2, family) {
        (false, family) => family.name(),
        (true, ProxyFamily::Tcp4) => "AF_INET",
        (true, ProxyFamily::Tcp6) => "AF_INET6",
    };
    let line = line.literal(if *is_v2 { "--proxy-version 2" } else { "--proxy-version 1" });
    let line = line.flag("--proxy-family", family);
    let line = value(line, "--proxy-source", &address(source)?)?;
    let line = line.flag("--proxy-source-port", &source_port.as_ref()?.to_string());
    let line = value(line, "--proxy-dest", &address(destination)?)?;
    Some(line.flag("--proxy-dest-port", &destination_port.to_string()))
}

fn stop(after: Option<Phase>, start_tls: bool) -> Option<&'static str> {
    Some(match after? {
        Phase::Banner => "BANNER",
        Phase::Ehlo if start_tls => "FIRST-EHLO",
        Phase::Ehlo | Phase::StartTls => "EHLO",
        Phase::SaslAuth => "AUTH",
        Phase::MailFrom => "MAIL",
        Phase::RcptTo => "RCPT",
        _ => return None,
    })
}
