//! The rules that turn a [`CheckRequest`] into a [`Check`]: one function for each parameter that has rules.
//!
//! A function adds the violations of its parameter, and returns its value. `None` is an absent value or an invalid one.

use std::{sync::Arc, time::Duration};

use super::{
    Check, CheckRequest, CheckSettings, ClientCertificate, DEFAULT_TIMEOUT, Given, Invalid, TlsVerify, expect, message,
    no_effect::{parameters_of_opportunistic_tls, parameters_without_effect},
    request::{DEFAULT_EHLO, DEFAULT_PAYLOAD, SaslAuthentication, StopAfter},
    sasl::credentials,
};
use crate::{
    destination::{IpFamily, Target},
    proxy_header::{MAX_V1_SIZE, ProxyAddress, ProxyFamily, ProxyHeader},
    smtp::{InvalidAddress, Mailbox, Payload, Protocol, Script, StartTls},
};

/// The check that the request asks for. `invalid` has the violations that were found when the request was read.
pub(super) fn check(request: CheckRequest, mut invalid: Invalid, settings: &CheckSettings) -> Result<Check, Invalid> {
    let protocol = request.protocol.unwrap_or_default();
    let port = request.port.unwrap_or(protocol.default_port());
    let (implicit_tls, start_tls) = encryption(&request, &mut invalid);
    let ip_family = request.ip_family.unwrap_or_default();
    let to: Option<Mailbox> = request.to.as_deref().and_then(|to| invalid.parsed("to", to.parse()));
    let target = target(&request, to.as_ref(), ip_family, &mut invalid);
    let source_address = settings.source_addresses.of_request(&request, target.as_ref(), &mut invalid);
    let ehlo = invalid.parsed("ehlo", request.ehlo.as_deref().unwrap_or(DEFAULT_EHLO).parse());
    let from = from(request.from.as_deref(), &mut invalid);
    let credentials = credentials(&request, &mut invalid);
    let payload = invalid.parsed("payload", Payload::parse(request.payload.as_deref().unwrap_or(DEFAULT_PAYLOAD)));
    let message = message::message(&request, from.as_ref(), to.as_ref(), &mut invalid);
    let dkim = message::dkim(&request, payload.as_ref(), settings, &mut invalid);
    let proxy = proxy(&request, port, &mut invalid);
    let tls_server_name = tls_server_name(&request, &mut invalid);
    let client_certificate = client_certificate(&request, settings, &mut invalid);
    stop_after(&request, &mut invalid);
    tls_verify(&request, &mut invalid);
    let (Some(target), Some(ehlo), Some(payload), true) = (target, ehlo, payload, invalid.is_empty()) else {
        return Err(invalid);
    };
    let script = Script {
        protocol,
        ehlo,
        implicit_tls,
        start_tls,
        credentials,
        from,
        to,
        payload,
        stop_after: request.stop_after.map(StopAfter::phase),
        resets: false,
        expect: request.expect.clone().map(Box::new),
    };
    expect::has_its_phases(&script, &mut invalid);
    if !invalid.is_empty() {
        return Err(invalid);
    }
    Ok(Check {
        no_effect: parameters_without_effect(&request, &target),
        no_effect_without_tls: parameters_of_opportunistic_tls(&request),
        target,
        port,
        ip_family: source_address.map_or(ip_family, IpFamily::of),
        source_address,
        timeout: request.timeout_ms.map_or(DEFAULT_TIMEOUT.min(settings.max_timeout), Duration::from_millis),
        proxy,
        tls_verify: request.tls_verify.unwrap_or_default(),
        tls_server_name,
        tls_version: request.tls_version.unwrap_or_default(),
        client_certificate,
        script,
        message,
        dkim,
        transcript: request.transcript.unwrap_or(false),
        keeps_certificates: false,
        given: Given::new(request),
    })
}

/// Whether TLS is there from the first octet, and when STARTTLS is sent.
fn encryption(request: &CheckRequest, invalid: &mut Invalid) -> (bool, StartTls) {
    let implicit_tls = request.implicit_tls.unwrap_or(false);
    let start_tls = request.starttls.unwrap_or_default();
    if implicit_tls && start_tls != StartTls::Off {
        invalid.add("implicit_tls", "must not be given together with `starttls`");
    }
    (implicit_tls, start_tls)
}

fn tls_server_name(request: &CheckRequest, invalid: &mut Invalid) -> Option<String> {
    let name: Target = invalid.parsed("tls_server_name", request.tls_server_name.as_deref()?.parse())?;
    Some(name.to_string())
}

fn target(request: &CheckRequest, to: Option<&Mailbox>, ip_family: IpFamily, invalid: &mut Invalid) -> Option<Target> {
    let is_before_rcpt = request.stop_after.is_some_and(|stop| stop != StopAfter::RcptTo);
    if request.to.is_none() && !invalid.is_about("to") {
        if !is_before_rcpt && !invalid.is_about("stop_after") {
            invalid.add("to", "is required (unless `stop_after` ends before `rcptto` and `target` is given)");
        } else if is_before_rcpt && request.target.is_none() && !invalid.is_about("target") {
            invalid.add("target", "is required when `to` is left out");
        }
    }
    if request.protocol == Some(Protocol::Lmtp) && request.target.is_none() && !invalid.is_about("target") {
        invalid.add("target", "is required with `protocol` lmtp: no DNS record names the LMTP servers of a domain");
    }
    let target = match (&request.target, to) {
        (Some(target), _) => invalid.parsed("target", target.parse()),
        (None, _) if invalid.is_about("target") => None,
        (None, Some(to)) => target_of_recipient(to, invalid),
        (None, None) => None,
    }?;
    if let Target::Address(address) = target
        && !ip_family.admits(address)
    {
        invalid.add("ip_family", format_args!("is {ip_family}, and the target is an address of the other family"));
    }
    Some(target)
}

fn target_of_recipient(to: &Mailbox, invalid: &mut Invalid) -> Option<Target> {
    let Some(domain) = to.domain() else {
        invalid.add("to", "has no domain: write it like user@example.com, or give `target`");
        return None;
    };
    invalid.parsed("to", Target::of_mail_domain(domain).map_err(|error| format!("its domain {error}")))
}

fn from(text: Option<&str>, invalid: &mut Invalid) -> Option<Mailbox> {
    if text == Some("<>") {
        invalid.add("from", "must not have angle brackets; the null sender is the empty string");
        return None;
    }
    let from: Mailbox = invalid.parsed("from", text.filter(|text| !text.is_empty())?.parse())?;
    if from.domain().is_none() {
        invalid.add("from", InvalidAddress::NoDomain);
    }
    Some(from)
}

fn proxy(request: &CheckRequest, port: u16, invalid: &mut Invalid) -> Option<ProxyHeader> {
    if !request.proxy_protocol.unwrap_or(false) {
        return None;
    }
    let is_v2 = request.proxy_version == Some(2);
    let family = request.proxy_family.unwrap_or(ProxyFamily::Tcp4);
    let (source, destination) = (request.proxy_source_address.as_deref(), request.proxy_dest_address.as_deref());
    let mut address = |name, text: Option<&str>| match text {
        None => Some(ProxyAddress::OfConnection),
        Some(text) if is_v2 => v2_address(name, text, family, invalid),
        Some(text) => v1_address(name, text, invalid),
    };
    let addresses = (address("proxy_source_address", source), address("proxy_dest_address", destination));
    let header = ProxyHeader {
        is_v2,
        family,
        source: addresses.0?,
        destination: addresses.1?,
        source_port: request.proxy_source_port,
        destination_port: request.proxy_dest_port.unwrap_or(port),
    };
    let length = header.shortest_v1_line();
    if !is_v2 && length > MAX_V1_SIZE {
        let is_source_longer = source.map_or(0, str::len) >= destination.map_or(0, str::len);
        let longer = if is_source_longer { "proxy_source_address" } else { "proxy_dest_address" };
        let detail = format_args!("makes a PROXY line of at least {length} octets; version 1 allows {MAX_V1_SIZE}");
        invalid.add(longer, detail);
    }
    Some(header)
}

fn v2_address(name: &str, text: &str, family: ProxyFamily, invalid: &mut Invalid) -> Option<ProxyAddress> {
    let address = text.parse().ok().filter(|address| family.is_of(*address));
    if address.is_none() {
        let family = family.name();
        invalid.add(name, format_args!("must be an IP address of the family {family} with `proxy_version: 2`"));
    }
    address.map(ProxyAddress::Ip)
}

fn v1_address(name: &str, text: &str, invalid: &mut Invalid) -> Option<ProxyAddress> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        invalid.add(name, "must not be empty and must not contain white space or control characters");
        return None;
    }
    Some(ProxyAddress::Verbatim(text.to_owned()))
}

fn client_certificate(
    request: &CheckRequest,
    settings: &CheckSettings,
    invalid: &mut Invalid,
) -> Option<Arc<ClientCertificate>> {
    let name = request.tls_client_certificate.as_deref()?;
    invalid.parsed("tls_client_certificate", settings.client_certificates.get(name))
}

/// Without TLS there is no certificate to require anything of.
fn tls_verify(request: &CheckRequest, invalid: &mut Invalid) {
    let start_tls = request.starttls.unwrap_or_default();
    let has_tls = start_tls == StartTls::Required || request.implicit_tls == Some(true);
    let is_known = !invalid.is_about("starttls") && !invalid.is_about("implicit_tls");
    if request.tls_verify != Some(TlsVerify::Require) || has_tls || !is_known {
        return;
    }
    let has = if start_tls == StartTls::Opportunistic { "may go on without" } else { "has no" };
    let detail = format_args!("is require, and the check {has} TLS: give `starttls: true` or `implicit_tls: true`");
    invalid.add("tls_verify", detail);
}

/// The phase must be one that the check has.
fn stop_after(request: &CheckRequest, invalid: &mut Invalid) {
    let has_start_tls = request.starttls == Some(StartTls::Required);
    let has_credentials = request.sasl_authentication.unwrap_or_default() != SaslAuthentication::Off;
    match request.stop_after {
        Some(StopAfter::StartTls) if !has_start_tls && !invalid.is_about("starttls") => {
            let has = if request.starttls == Some(StartTls::Opportunistic) { "may leave out" } else { "has no" };
            let detail = format_args!("is starttls, and the check {has} STARTTLS: give `starttls: true`");
            invalid.add("stop_after", detail);
        }
        Some(StopAfter::SaslAuth) if !has_credentials && !invalid.is_about("sasl_authentication") => {
            invalid.add("stop_after", "is sasl_auth, and the check has no AUTH: give `sasl_authentication`");
        }
        _ => {}
    }
}
