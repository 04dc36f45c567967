//! [`NoEffect`]: parameters that are given and can have no effect. A check that leaves them aside says so: its success
//! tells nothing about them.

use std::fmt;

use super::{
    CheckRequest, TlsVerify, TlsVersion,
    request::{DEFAULT_EHLO, DEFAULT_PAYLOAD, StopAfter},
};
use crate::{
    destination::{IpFamily, Target},
    proxy_header::ProxyFamily,
    smtp::{Mechanism, MechanismChoice, StartTls},
};

/// Parameters that can have no effect, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEffect {
    parameters: Vec<&'static str>,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NoMechanism,
    NoAuthorizationIdentity(&'static str),
    ServerSpeaksFirst(&'static str),
    NoTls,
    NoProxyHeader,
    EndsBeforeTls,
    EndsBeforeAuth,
    EndsBeforeEhlo,
    EndsBeforeMail,
    EndsBeforeRcpt,
    SendsNoMessage,
    TargetIsAddress,
    OnlyWithDebug,
    StartTlsNotOffered,
}

impl NoEffect {
    /// The transcript that a module of `/probe` asks for: only the caller decides.
    pub(super) fn transcript_of_module() -> Self {
        Self { parameters: vec!["transcript"], reason: Reason::OnlyWithDebug }
    }

    /// What is said of them. `shown` gives the form of a parameter's name: a flag, for example.
    pub fn text(&self, shown: impl Fn(&str) -> String) -> String {
        let names: Vec<String> = self.parameters.iter().map(|name| shown(name)).collect();
        let (have, names) = (if names.len() == 1 { "has" } else { "have" }, names.join(", "));
        let reason = match self.reason {
            Reason::NoMechanism => format!("without {} there is no AUTH", shown("sasl_authentication")),
            Reason::NoAuthorizationIdentity(mechanism) => format!("{mechanism} has no authorization identity"),
            Reason::ServerSpeaksFirst(mechanism) => format!("with {mechanism} the server speaks first"),
            Reason::NoTls => {
                format!("without {} or {} there is no TLS", shown("starttls"), shown("implicit_tls"))
            }
            Reason::NoProxyHeader => format!("without {} there is no PROXY header", shown("proxy_protocol")),
            Reason::EndsBeforeTls => format!("with this {} the check ends before STARTTLS", shown("stop_after")),
            Reason::EndsBeforeAuth => format!("with this {} the check ends before AUTH", shown("stop_after")),
            Reason::EndsBeforeEhlo => format!("with this {} the check ends before EHLO", shown("stop_after")),
            Reason::EndsBeforeMail => format!("with this {} the check ends before MAIL FROM", shown("stop_after")),
            Reason::EndsBeforeRcpt => {
                format!(
                    "{} is given, and with this {} the check ends before RCPT TO",
                    shown("target"),
                    shown("stop_after")
                )
            }
            Reason::TargetIsAddress => "the target is an address".to_owned(),
            Reason::SendsNoMessage => format!("with {} no message is sent", shown("stop_after")),
            Reason::StartTlsNotOffered => "the server does not offer STARTTLS".to_owned(),
            Reason::OnlyWithDebug => "/probe shows the transcript where its query has debug=true".to_owned(),
        };
        format!("{names} {have} no effect: {reason}")
    }
}

/// With the names of the HTTP body.
impl fmt::Display for NoEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(|name| format!("`{name}`")))
    }
}

/// The parameters of a valid request that can have no effect. An empty text, or a default of another parameter's
/// feature, counts as not given: exports of other programs have every parameter. Those have `proxy_protocol`, too:
/// without it, somebody has written the others.
pub(super) fn parameters_without_effect(request: &CheckRequest, target: &Target) -> Vec<NoEffect> {
    let ends_before = |phase| ends_before(request, phase);
    let is_set = |text: &Option<String>, default| is_given(text) && text.as_deref() != Some(default);
    let is_address = matches!(target, Target::Address(_));
    let after = [
        (Reason::EndsBeforeEhlo, ends_before(StopAfter::Ehlo) && is_set(&request.ehlo, DEFAULT_EHLO), "ehlo"),
        (Reason::EndsBeforeMail, ends_before(StopAfter::MailFrom) && is_given(&request.from), "from"),
        (
            Reason::EndsBeforeRcpt,
            ends_before(StopAfter::RcptTo) && request.target.is_some() && is_given(&request.to),
            "to",
        ),
        (
            Reason::TargetIsAddress,
            is_address && request.ip_family.is_some_and(|family| family != IpFamily::Any),
            "ip_family",
        ),
        (Reason::SendsNoMessage, request.stop_after.is_some() && is_set(&request.payload, DEFAULT_PAYLOAD), "payload"),
        (Reason::SendsNoMessage, request.stop_after.is_some() && request.message.is_some(), "message"),
        (Reason::SendsNoMessage, request.stop_after.is_some() && request.dkim.is_some(), "dkim"),
    ];
    let (before, ends_before_auth) = about_auth(request);
    let rows =
        before.into_iter().chain(about_tls(request)).chain(about_proxy(request)).chain(ends_before_auth).chain(after);
    grouped(rows.filter(|(_, applies, _)| *applies).map(|(reason, _, name)| (reason, name)))
}

/// The parameters that have no effect if the server offers no STARTTLS and the check goes on without it.
pub(super) fn parameters_of_opportunistic_tls(request: &CheckRequest) -> Vec<NoEffect> {
    let is_opportunistic = request.starttls == Some(StartTls::Opportunistic);
    let rows = about_tls(&CheckRequest { starttls: None, ..request.clone() });
    let named = rows.into_iter().filter(|(_, applies, _)| is_opportunistic && *applies);
    grouped(named.map(|(_, _, name)| (Reason::StartTlsNotOffered, name)))
}

/// Parameters that follow each other for the same reason are named together.
fn grouped(named: impl Iterator<Item = (Reason, &'static str)>) -> Vec<NoEffect> {
    let mut found: Vec<NoEffect> = Vec::new();
    for (reason, name) in named {
        match found.last_mut() {
            Some(last) if last.reason == reason => last.parameters.push(name),
            _ => found.push(NoEffect { parameters: vec![name], reason }),
        }
    }
    found
}

/// A reason, whether it applies, and the parameter that then has no effect.
type Row = (Reason, bool, &'static str);

/// The rows about AUTH, and those of a check that ends before it.
fn about_auth(request: &CheckRequest) -> ([Row; 6], [Row; 5]) {
    let mechanism = request.sasl_authentication.unwrap_or_default().choice();
    let only = mechanism.and_then(MechanismChoice::named);
    let name = only.map_or("", Mechanism::name);
    let lacks = |has: fn(Mechanism) -> bool| only.is_some_and(|only| !has(only));
    let (no_id, no_initial) = (lacks(Mechanism::has_authorization_id), lacks(Mechanism::has_initial_response));
    let password = request.sasl_password.as_ref().is_some_and(|password| !password.expose().is_empty());
    let (user, id) = (is_given(&request.sasl_user), is_given(&request.sasl_auth_id));
    let initial = request.sasl_initial_response == Some(true);
    let is_off = mechanism.is_none();
    let ends_before = !is_off && ends_before(request, StopAfter::SaslAuth);
    let before = [
        (Reason::NoMechanism, is_off && user, "sasl_user"),
        (Reason::NoMechanism, is_off && password, "sasl_password"),
        (Reason::NoMechanism, is_off && id, "sasl_auth_id"),
        (Reason::NoMechanism, is_off && initial, "sasl_initial_response"),
        (Reason::NoAuthorizationIdentity(name), no_id && id, "sasl_auth_id"),
        (Reason::ServerSpeaksFirst(name), no_initial && initial, "sasl_initial_response"),
    ];
    let ends = [
        (Reason::EndsBeforeAuth, ends_before, "sasl_authentication"),
        (Reason::EndsBeforeAuth, ends_before, "sasl_user"),
        (Reason::EndsBeforeAuth, ends_before, "sasl_password"),
        (Reason::EndsBeforeAuth, ends_before && !no_id && id, "sasl_auth_id"),
        (Reason::EndsBeforeAuth, ends_before && !no_initial && initial, "sasl_initial_response"),
    ];
    (before, ends)
}

/// The rows about the PROXY header.
fn about_proxy(request: &CheckRequest) -> [Row; 6] {
    let no_proxy = request.proxy_protocol != Some(true);
    let is_every_parameter_given = request.proxy_protocol.is_some();
    [
        (
            Reason::NoProxyHeader,
            no_proxy && request.proxy_family.is_some_and(|it| it != ProxyFamily::Tcp4 || !is_every_parameter_given),
            "proxy_family",
        ),
        (Reason::NoProxyHeader, no_proxy && is_given(&request.proxy_source_address), "proxy_source_address"),
        (Reason::NoProxyHeader, no_proxy && is_given(&request.proxy_dest_address), "proxy_dest_address"),
        (Reason::NoProxyHeader, no_proxy && request.proxy_source_port.is_some(), "proxy_source_port"),
        (Reason::NoProxyHeader, no_proxy && request.proxy_dest_port.is_some(), "proxy_dest_port"),
        (
            Reason::NoProxyHeader,
            no_proxy && request.proxy_version.is_some_and(|version| version != 1 || !is_every_parameter_given),
            "proxy_version",
        ),
    ]
}

/// The rows about TLS: a check may have none, or end before it.
fn about_tls(request: &CheckRequest) -> [Row; 8] {
    let starttls = request.starttls.is_some_and(|starttls| starttls != StartTls::Off);
    let no_tls = !starttls && request.implicit_tls != Some(true);
    let ends_before_tls = starttls && ends_before(request, StopAfter::StartTls);
    let verify = request.tls_verify == Some(TlsVerify::Require);
    let server_name = is_given(&request.tls_server_name);
    let version = request.tls_version.is_some_and(|version| version != TlsVersion::Any);
    let client_certificate = request.tls_client_certificate.is_some();
    [
        (Reason::NoTls, no_tls && server_name, "tls_server_name"),
        (Reason::NoTls, no_tls && version, "tls_version"),
        (Reason::NoTls, no_tls && client_certificate, "tls_client_certificate"),
        (Reason::EndsBeforeTls, ends_before_tls, "starttls"),
        (Reason::EndsBeforeTls, ends_before_tls && verify, "tls_verify"),
        (Reason::EndsBeforeTls, ends_before_tls && server_name, "tls_server_name"),
        (Reason::EndsBeforeTls, ends_before_tls && version, "tls_version"),
        (Reason::EndsBeforeTls, ends_before_tls && client_certificate, "tls_client_certificate"),
    ]
}

fn ends_before(request: &CheckRequest, phase: StopAfter) -> bool {
    request.stop_after.is_some_and(|stop| stop.phase() < phase.phase())
}

fn is_given(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
