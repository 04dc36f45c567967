//! curl (version 7.66 and later).

use std::{borrow::Cow, fmt::Write};

use super::{CommandLine, Connection, Login, bracketed, has, offers, payload};
use crate::{
    check::{Check, TlsVerify, TlsVersion},
    destination::IpFamily,
    phase::Phase,
    report::Report,
    smtp::{Credentials, Mailbox, Mechanism, Protocol, StartTls},
    x509::problem::CertificateErrorKind,
};

/// `None` where curl cannot do the same: it ends a session after EHLO or AUTH, or sends a message; it has no LMTP, and
/// not the operator's client certificates. It sends an address beyond ASCII to a server without SMTPUTF8, too.
pub(super) fn command_line(check: &Check, report: &Report, to: &Connection) -> Option<CommandLine> {
    let script = &check.script;
    let stops_elsewhere = matches!(script.stop_after, Some(Phase::Banner | Phase::MailFrom | Phase::RcptTo));
    let is_special = check.proxy.is_some()
        || check.client_certificate.is_some()
        || script.protocol == Protocol::Lmtp
        || script.expect.is_some()
        || has_envelope_beyond_ascii(check);
    if is_special || stops_elsewhere || is_less_strict(check, report) {
        return None;
    }
    let message = payload(check).ok()?.map(message);
    // curl doubles the dot at the start of a line; this program sends the payload as it is.
    if message.is_some() && script.payload.first_line_with_leading_dot().is_some() {
        return None;
    }
    let is_upgraded = has(check, Phase::StartTls);
    // `--ssl` goes on in clear text where the server refuses STARTTLS.
    if is_upgraded && script.start_tls == StartTls::Opportunistic && report.tls.is_none() {
        return None;
    }
    let has_tls = is_upgraded || script.implicit_tls;
    let line = match &message {
        Some(text) => CommandLine::new("printf %s").word(text).literal("| curl -sS"),
        None => CommandLine::new("curl -sS"),
    };
    let line = line.number("--max-time", check.timeout.as_secs_f64(), "");
    let Connection { server, port, server_name, .. } = to;
    let host = if has_tls { server_name } else { server };
    let line = line.maybe("--connect-to", (host != server).then(|| connect_to(host, server, *port)).as_deref());
    let line = line.literal_if(is_upgraded, "--ssl-reqd");
    let line = match check.tls_version {
        TlsVersion::Any => line.literal_if(has_tls, "--tlsv1.2"),
        TlsVersion::Tls12 => line.literal_if(has_tls, "--tlsv1.2 --tls-max 1.2"),
        TlsVersion::Tls13 => line.literal_if(has_tls, "--tlsv1.3"),
    };
    let line = match to.family {
        IpFamily::Any => line,
        IpFamily::Ipv4 => line.literal("--ipv4"),
        IpFamily::Ipv6 => line.literal("--ipv6"),
    };
    let line = line.maybe("--interface", check.source_address.map(|address| address.to_string()).as_deref());
    let line = line.literal_if(has_tls && check.tls_verify == TlsVerify::Record, "--insecure");
    let line = login(line, script.credentials.as_ref().filter(|_| has(check, Phase::SaslAuth)), report)?;
    let line = match message {
        Some(_) => {
            let from = script.from.as_ref().map_or("", Mailbox::as_str);
            let line = line.flag("--mail-from", from).flag("--mail-rcpt", script.to.as_ref()?.as_str());
            line.literal("--upload-file -")
        }
        // Anything that the server answers with 250: without a command, curl sends HELP.
        None => line.literal("--request NOOP"),
    };
    let scheme = if script.implicit_tls { "smtps" } else { "smtp" };
    let path = percent_encoded(script.ehlo.as_str());
    Some(line.word(&format!("{scheme}://{}:{}/{path}", bracketed(host), port)))
}

fn has_envelope_beyond_ascii(check: &Check) -> bool {
    [&check.script.from, &check.script.to].into_iter().flatten().any(|mailbox| !mailbox.is_ascii())
}

/// Whether curl may go on where the check failed, or with a server that the check has not judged. curl takes any 2yz
/// reply, and judges certificates in its own way; the name of a server may be in the subject.
fn is_less_strict(check: &Check, report: &Report) -> bool {
    let is_positive = report.failure.as_ref().and_then(|failure| failure.code).is_some_and(|code| code < 300);
    if check.tls_verify == TlsVerify::Record {
        return is_positive;
    }
    let has_names = report.metrics.cert_subject_alternative_names.as_ref().is_some_and(|names| !names.is_empty());
    let is_judged_alike = |kind: &CertificateErrorKind| match kind {
        CertificateErrorKind::Expired
        | CertificateErrorKind::NotYetValid
        | CertificateErrorKind::SelfSigned
        | CertificateErrorKind::UnknownIssuer
        | CertificateErrorKind::BadSignature => true,
        CertificateErrorKind::WrongName => has_names,
        _ => false,
    };
    is_positive || report.tls.as_ref().is_some_and(|tls| !tls.errors.iter().all(is_judged_alike))
}

/// curl ends the data with one CR LF less where they are empty or end in one.
fn message(payload: Cow<'_, str>) -> Cow<'_, str> {
    if payload.is_empty() || payload.ends_with("\r\n") { Cow::Owned(format!("{payload}\r\n")) } else { payload }
}

fn connect_to(host: &str, server: &str, port: u16) -> String {
    format!("{}:{port}:{}:{port}", bracketed(host), bracketed(server))
}

/// `--user` ends the name at the first colon. Where AUTH is not offered, curl goes on without a login. Few builds of
/// curl have SCRAM-SHA-256. With a token curl takes OAUTHBEARER where both are offered. It does not escape the identity
/// of OAUTHBEARER, and takes the user name for it.
fn login(line: CommandLine, credentials: Option<&Credentials>, report: &Report) -> Option<CommandLine> {
    let Some(credentials) = credentials else { return Some(line) };
    let Login { mechanism, credentials, authorization_id } = Login::of(credentials, report)?;
    let is_bearer = mechanism == Mechanism::OAuthBearer;
    let user = if is_bearer && !authorization_id.is_empty() { authorization_id } else { &credentials.user };
    let is_unwritable = user.contains(':') || (is_bearer && user.contains([',', '=']));
    let takes_other = mechanism == Mechanism::XOAuth2 && offers(report, Mechanism::OAuthBearer);
    if mechanism == Mechanism::ScramSha256 || takes_other || is_unwritable || !offers(report, mechanism) {
        return None;
    }
    let has_initial_response = credentials.initial_response && mechanism.has_initial_response();
    let line = line.flag("--login-options", &format!("AUTH={}", mechanism.name()));
    let line = line.literal_if(has_initial_response, "--sasl-ir");
    let line = line.maybe("--sasl-authzid", (!is_bearer && !authorization_id.is_empty()).then_some(authorization_id));
    let line = line.flag("--user", &format!("{user}:"));
    Some(match mechanism {
        Mechanism::XOAuth2 | Mechanism::OAuthBearer => line.literal("--oauth2-bearer \"$SASL_PASSWORD\""),
        _ => line.joined("\"$SASL_PASSWORD\""),
    })
}

/// The name of EHLO is the path of the URL.
fn percent_encoded(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
