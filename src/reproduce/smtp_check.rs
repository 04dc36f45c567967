//! This program: `smtp-check run`, with one flag for each parameter that was given.

use std::borrow::Cow;

use super::{CommandLine, MAX_TEXT_SIZE};
use crate::{
    check::{Check, CheckRequest},
    smtp::{Expectations, StartTls},
};

/// The command, with the password in a variable: every user of a machine can read its command lines.
const PASSWORD: &str = "SMTP_CHECK_SASL_PASSWORD=\"$SASL_PASSWORD\" smtp-check run";

/// Octets of the texts that were given, without the payload.
pub(super) fn size(request: &CheckRequest) -> usize {
    let CheckRequest { to, target, ehlo, from, sasl_user, sasl_auth_id, tls_server_name, .. } = request;
    let CheckRequest { proxy_source_address, proxy_dest_address, tls_client_certificate, source_address, .. } = request;
    let texts = [to, target, ehlo, from, sasl_user, sasl_auth_id, tls_server_name, tls_client_certificate];
    let addresses = [source_address, proxy_source_address, proxy_dest_address];
    let expect = request.expect.as_ref().and_then(json).map_or(0, |text| text.len());
    expect + texts.into_iter().chain(addresses).flatten().map(String::len).sum::<usize>()
}

/// `None` where the payload is too long, or would be read as the name of a file.
pub(super) fn command_line(check: &Check) -> Option<CommandLine> {
    let text = check.given.has_payload.then(|| check.script.payload.text());
    if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_SIZE || text.starts_with('@') || text == "-") {
        return None;
    }
    let start = if check.script.credentials.is_some() { PASSWORD } else { "smtp-check run" };
    let switches = switches(check.given.request()).into_iter().filter(|(_, is_on)| *is_on);
    let values = values(check.given.request()).into_iter().chain([("--payload", text)]);
    let line = switches.fold(CommandLine::new(start), |line, (flag, _)| line.literal(flag));
    let given = values.filter_map(|(flag, value)| Some((flag, value?)));
    Some(given.fold(line, |line, (flag, value)| line.assigned(flag, &value)))
}

fn switches(request: &CheckRequest) -> [(&'static str, bool); 5] {
    let CheckRequest { starttls, proxy_protocol, implicit_tls, transcript, .. } = request;
    [
        ("--starttls", *starttls == Some(StartTls::Required)),
        ("--starttls=opportunistic", *starttls == Some(StartTls::Opportunistic)),
        ("--implicit-tls", *implicit_tls == Some(true)),
        ("--proxy-protocol", *proxy_protocol == Some(true)),
        ("--transcript", *transcript == Some(true)),
    ]
}

/// Every parameter is named here: one that is left out would make another check.
fn values(request: &CheckRequest) -> [(&'static str, Option<Cow<'_, str>>); 24] {
    let CheckRequest {
        to,
        target,
        port,
        ehlo,
        from,
        starttls: _,
        sasl_authentication,
        sasl_user,
        sasl_password: _,
        sasl_auth_id,
        payload: _,
        proxy_protocol: _,
        proxy_family,
        proxy_source_address,
        proxy_dest_address,
        proxy_source_port,
        proxy_dest_port,
        proxy_version,
        implicit_tls: _,
        tls_verify,
        tls_server_name,
        ip_family,
        stop_after,
        timeout_ms,
        transcript: _,
        protocol,
        tls_version,
        tls_client_certificate,
        source_address,
        expect,
    } = request;
    [
        ("--to", text(to)),
        ("--target", text(target)),
        ("--port", number(*port)),
        ("--ehlo", text(ehlo)),
        ("--from", text(from)),
        ("--sasl-authentication", choice(*sasl_authentication)),
        ("--sasl-user", text(sasl_user)),
        ("--sasl-auth-id", text(sasl_auth_id)),
        ("--tls-verify", choice(*tls_verify)),
        ("--tls-server-name", text(tls_server_name)),
        ("--proxy-version", number(*proxy_version)),
        ("--proxy-family", choice(*proxy_family)),
        ("--proxy-source-address", text(proxy_source_address)),
        ("--proxy-source-port", number(*proxy_source_port)),
        ("--proxy-dest-address", text(proxy_dest_address)),
        ("--proxy-dest-port", number(*proxy_dest_port)),
        ("--ip-family", choice(*ip_family)),
        ("--stop-after", choice(*stop_after)),
        ("--timeout-ms", number(*timeout_ms)),
        ("--protocol", choice(*protocol)),
        ("--tls-version", choice(*tls_version)),
        ("--tls-client-certificate", text(tls_client_certificate)),
        ("--source-address", text(source_address)),
        ("--expect", expect.as_ref().and_then(json).map(Cow::Owned)),
    ]
}

fn json(expect: &Expectations) -> Option<String> {
    serde_json::to_string(expect).ok()
}

fn text(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}

fn number(number: Option<impl ToString>) -> Option<Cow<'static, str>> {
    number.map(|number| Cow::Owned(number.to_string()))
}

fn choice(choice: Option<impl Into<&'static str>>) -> Option<Cow<'static, str>> {
    choice.map(|choice| Cow::Borrowed(choice.into()))
}
