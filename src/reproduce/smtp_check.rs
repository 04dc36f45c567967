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
    let CheckRequest { proxy_source_address, proxy_dest_address, tls_client_certificate, source_address, dkim, .. } =
        request;
    let texts = [to, target, ehlo, from, sasl_user, sasl_auth_id, tls_server_name, tls_client_certificate, dkim];
    let addresses = [source_address, proxy_source_address, proxy_dest_address];
    let expect = request.expect.as_ref().and_then(json).map_or(0, |text| text.len());
    expect + texts.into_iter().chain(addresses).flatten().map(String::len).sum::<usize>()
}

/// `None` where the payload or the message is too long, or the payload would be read as the name of a file.
pub(super) fn command_line(check: &Check) -> Option<CommandLine> {
    let text = check.given.has_payload.then(|| check.script.payload.text());
    if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_SIZE || text.starts_with('@') || text == "-") {
        return None;
    }
    let message = check.message.as_ref().map(|message| serde_json::to_string(&message.given).unwrap_or_default());
    if message.as_ref().is_some_and(|message| message.len() > MAX_TEXT_SIZE) {
        return None;
    }
    let message = message.map(Cow::Owned);
    let start = if check.script.credentials.is_some() { PASSWORD } else { "smtp-check run" };
    let switches = switches(check.given.request()).into_iter().filter(|(_, is_on)| *is_on);
    let values = values(check.given.request()).into_iter().chain([("--payload", text), ("--message", message)]);
    let line = switches.fold(CommandLine::new(start), |line, (flag, _)| line.literal(flag));
    let given = values.filter_map(|(flag, value)| Some((flag, value?)));
    Some(given.fold(line, |line, (flag, value)| line.assigned(flag, &value)))
}

fn switches(request: &CheckRequest) -> [(&'static str, bool); 6] {
    let CheckRequest { starttls, sasl_initial_response, proxy_protocol, implicit_tls, transcript, .. } = request;
    [
        ("--starttls", *starttls == Some(StartTls::Required)),
        ("--starttls=opportunistic", *starttls == Some(StartTls::Opportunistic)),
        ("--sasl-initial-response", *sasl_initial_response == Some(true)),
        ("--implicit-tls", *implicit_tls == Some(true)),
        ("--proxy-protocol", *proxy_protocol == Some(true)),
        ("--transcript", *transcript == Some(true)),
    ]
}

/// Every parameter is named here: one that is left out of [`switches`] and [`values`] would make another check.
const _: fn(CheckRequest) = |request| {
    let CheckRequest {
        to: _,
        target: _,
        port: _,
        ehlo: _,
        from: _,
        starttls: _,
        sasl_authentication: _,
        sasl_user: _,
        sasl_password: _,
        sasl_auth_id: _,
        sasl_initial_response: _,
        payload: _,
        message: _,
        dkim: _,
        proxy_protocol: _,
        proxy_family: _,
        proxy_source_address: _,
        proxy_dest_address: _,
        proxy_source_port: _,
        proxy_dest_port: _,
        proxy_version: _,
        implicit_tls: _,
        tls_verify: _,
        tls_server_name: _,
        ip_family: _,
        stop_after: _,
        timeout_ms: _,
        transcript: _,
        protocol: _,
        tls_version: _,
        tls_client_certificate: _,
        source_address: _,
        expect: _,
    } = request;
};

fn values(request: &CheckRequest) -> [(&'static str, Option<Cow<'_, str>>); 25] {
    [
        ("--to", text(&request.to)),
        ("--target", text(&request.target)),
        ("--port", number(request.port)),
        ("--ehlo", text(&request.ehlo)),
        ("--from", text(&request.from)),
        ("--sasl-authentication", choice(request.sasl_authentication)),
        ("--sasl-user", text(&request.sasl_user)),
        ("--sasl-auth-id", text(&request.sasl_auth_id)),
        ("--tls-verify", choice(request.tls_verify)),
        ("--tls-server-name", text(&request.tls_server_name)),
        ("--proxy-version", number(request.proxy_version)),
        ("--proxy-family", choice(request.proxy_family)),
        ("--proxy-source-address", text(&request.proxy_source_address)),
        ("--proxy-source-port", number(request.proxy_source_port)),
        ("--proxy-dest-address", text(&request.proxy_dest_address)),
        ("--proxy-dest-port", number(request.proxy_dest_port)),
        ("--ip-family", choice(request.ip_family)),
        ("--stop-after", choice(request.stop_after)),
        ("--timeout-ms", number(request.timeout_ms)),
        ("--protocol", choice(request.protocol)),
        ("--tls-version", choice(request.tls_version)),
        ("--tls-client-certificate", text(&request.tls_client_certificate)),
        ("--source-address", text(&request.source_address)),
        ("--dkim", text(&request.dkim)),
        ("--expect", request.expect.as_ref().and_then(json).map(Cow::Owned)),
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
