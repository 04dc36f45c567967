//! swaks (version 20201014 and later).

use super::{CommandLine, Connection, Login, has, payload};
use crate::{
    check::{Check, TlsVerify, TlsVersion},
    phase::Phase,
    proxy_header::{ProxyAddress, ProxyFamily, ProxyHeader},
    report::Report,
    smtp::{Credentials, Mailbox, Mechanism, Protocol, StartTls},
    x509::problem::CertificateErrorKind,
};

/// `None` where swaks cannot do the same. `connection` is `None` where the mail server is not known: swaks looks up MX
/// records.
pub(super) fn command_line(check: &Check, report: &Report, connection: Option<&Connection>) -> Option<CommandLine> {
    let script = &check.script;
    if has_unsupported_envelope(check) || ignores_wrong_name(check, report) || has_special_needs(check) {
        return None;
    }
    let message = payload(check).ok()?;
    let line = match connection {
        Some(to) => CommandLine::new("swaks").flag("--server", &to.server).number("--port", to.port, ""),
        None => CommandLine::new("swaks").number("--port", check.port, ""),
    };
    let line = line.literal_if(script.protocol == Protocol::Lmtp, "--protocol LMTP");
    let line = line.maybe("--local-interface", check.source_address.map(|address| address.to_string()).as_deref());
    let line = proxy(line, check.proxy.as_ref())?;
    let line = line.flag("--ehlo", &script.ehlo.to_string());
    let has_starttls = has(check, Phase::StartTls);
    let line = line
        .literal_if(has_starttls && script.start_tls == StartTls::Required, "--tls")
        .literal_if(has_starttls && script.start_tls == StartTls::Opportunistic, "--tls-optional")
        .literal_if(script.implicit_tls, "--tls-on-connect");
    let version = match check.tls_version {
        TlsVersion::Any => None,
        TlsVersion::Tls12 => Some("tlsv1_2"),
        TlsVersion::Tls13 => Some("tlsv1_3"),
    };
    let line = line.maybe("--tls-protocol", version.filter(|_| has_starttls || script.implicit_tls));
    let line = match connection {
        Some(to) if has(check, Phase::StartTls) || script.implicit_tls => {
            let is_address = to.server_name.parse::<std::net::IpAddr>().is_ok();
            let line = line.maybe("--tls-sni", (!is_address).then_some(&*to.server_name));
            line.literal_if(check.tls_verify == TlsVerify::Require, "--tls-verify")
        }
        _ => line,
    };
    let line = login(line, script.credentials.as_ref().filter(|_| has(check, Phase::SaslAuth)), report)?;
    let from = script.from.as_ref().map_or("<>".to_owned(), Mailbox::to_string);
    let line = line.maybe("--from", has(check, Phase::MailFrom).then_some(&*from));
    let line = line.maybe("--to", script.to.as_ref().map(Mailbox::to_string).as_deref());
    // Without its fix-up swaks sends the data as they are; it then needs the end of the data as well.
    let line = match message {
        Some(text) => line.literal("--no-data-fixup").flag("--data", &data(&text)),
        None => line.maybe("--quit-after", stop(script.stop_after, script.start_tls != StartTls::Off)),
    };
    Some(line.number("--timeout", check.timeout.as_secs().max(1), "s"))
}

/// swaks does not know the operator's client certificates, nor what is expected: it would go on where this program
/// stops.
fn has_special_needs(check: &Check) -> bool {
    check.client_certificate.is_some() || check.script.expect.is_some()
}

/// A comma separates recipients, and swaks has no SMTPUTF8.
fn has_unsupported_envelope(check: &Check) -> bool {
    let mailboxes = [&check.script.from, &check.script.to].into_iter().flatten();
    mailboxes.map(Mailbox::to_string).any(|mailbox| mailbox.contains(',') || !mailbox.is_ascii())
}

/// `--tls-verify` verifies the chain and, in this version, not the name.
fn ignores_wrong_name(check: &Check, report: &Report) -> bool {
    let errors = report.tls.as_ref().map(|tls| &tls.errors[..]).unwrap_or_default();
    check.tls_verify == TlsVerify::Require && errors.contains(&CertificateErrorKind::WrongName)
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
    if !is_known || !authorization_id.is_empty() {
        return None;
    }
    let line = line.flag("--auth", mechanism.name()).flag("--auth-user", &credentials.user);
    Some(line.literal("--auth-password=\"$SASL_PASSWORD\""))
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
    let line = line.flag("--proxy-family", family).flag("--proxy-source", &address(source)?);
    let line = line.flag("--proxy-source-port", &source_port.as_ref()?.to_string());
    Some(line.flag("--proxy-dest", &address(destination)?).flag("--proxy-dest-port", &destination_port.to_string()))
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
