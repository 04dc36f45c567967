//! Failures whose cause is known as data, and those of the connection.

use super::certificate;
use crate::{
    destination::IpFamily,
    phase::Phase,
    report::{AuthEnded, Cause, Failure, FailureKind, Report, ReportedCapabilities},
    smtp::{Capabilities, Code, Mechanism, MechanismChoice, Script, reply::excerpt},
};

/// The port with TLS from the first byte (RFC 8314, section 7.3).
const SUBMISSIONS_PORT: u16 = 465;

pub(super) fn of_cause(cause: &Cause, failure: &Failure, report: &Report, script: &Script) -> Option<String> {
    of_name(cause)
        .or_else(|| of_client_certificate(cause).map(str::to_owned))
        .or_else(|| of_tls(cause, failure, report, script))
}

/// Causes about the name of the mail server.
fn of_name(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::NoSuchDomain { name } => {
            format!(
                "There is no domain {name}. Check its spelling; a name that is new may not be known everywhere yet."
            )
        }
        Cause::NoAddress { name, family: IpFamily::Any } => {
            format!("{name} exists, and has no address to connect to. Add an A or AAAA record.")
        }
        Cause::NoAddress { name, family } => {
            let (wanted, record) = if *family == IpFamily::Ipv4 { ("IPv4", "A") } else { ("IPv6", "AAAA") };
            format!(
                "{name} exists, and has no {wanted} address, which `ip_family` or `source_address` asks for. Add an {record} \
                 record, or check over the other family."
            )
        }
        Cause::NullMx { domain } => format!(
            "{domain} accepts no mail, and says so with a null MX record (RFC 7505). No mail to it can be delivered."
        ),
        Cause::NotAHostName { exchange } => format!(
            "The MX record of the domain has {exchange}, which is not a host name. An MX record must have the name of a \
             host, never an address."
        ),
        Cause::NoDnsAnswer => "DNS gave no usable answer, so it is not known whether the name exists: most likely its \
                               name servers, or the resolver here, have a fault. Try again later."
            .to_owned(),
        _ => return None,
    })
}

/// Causes about TLS, and what the server does not offer.
fn of_tls(cause: &Cause, failure: &Failure, report: &Report, script: &Script) -> Option<String> {
    Some(match cause {
        Cause::TlsExpected => {
            "This port expects TLS from the first byte. Set `implicit_tls`, or use a port with STARTTLS, such as 587."
                .to_owned()
        }
        Cause::Silence => silence(report.target.port).to_owned(),
        Cause::ClearText { line } => clear_text(line.as_deref(), script),
        Cause::Injection => {
            "Something came in clear text right behind the server's reply to STARTTLS: either the server \
                             does not wait for the handshake, or somebody on the way injected it. Do not trust this \
                             connection."
                .to_owned()
        }
        Cause::OldTls => {
            "The server has neither TLS 1.2 nor TLS 1.3, and older versions must not be used any more (RFC \
                          8996). Its TLS library or its configuration needs an update."
                .to_owned()
        }
        Cause::OtherTlsVersion => {
            "The check offers only one version of TLS, by `tls_version`, and of TLS 1.2 only cipher suites with ECDHE and AEAD: \
             the server takes none of that. Another `tls_version`, or another client, may be able to connect."
        }
        .to_owned(),
        Cause::TlsOfClient => {
            "The server and this client have no parameters of TLS in common: this client has TLS 1.3, and of TLS 1.2 only \
             cipher suites with ECDHE and AEAD. Another client may be able to connect."
        }
        .to_owned(),
        Cause::TlsSizeOfClient => {
            "The server's certificate chain, or another message of its handshake, is longer than the 64 KiB that this \
             client reads. That is a limit of this client: it tells nothing about the server."
        }
        .to_owned(),
        Cause::TlsFaultOfClient => {
            "This client could not do its part of the handshake, as the message tells: that says nothing about the server."
        }
        .to_owned(),
        Cause::CertificateErrors => return certificate::explain(report),
        Cause::NotOffered if failure.phase == Phase::StartTls => {
            "The server does not offer STARTTLS here, so the session cannot be encrypted. Enable TLS on the server, or \
             check that this is the right port."
                .to_owned()
        }
        Cause::NotOffered => auth_not_offered(report).to_owned(),
        Cause::PasswordInClear => "The server does not offer STARTTLS, and the mechanism would show the password to \
             everybody on the way. Give a port with TLS, or a mechanism that does not show the password."
            .to_owned(),
        Cause::NoUsableMechanism => no_usable_mechanism(report),
        Cause::NoTimeToCompute => {
            "The time limit of the check came while this client computed its answer to the server, as the mechanism wants \
             it: that says nothing about the server. Raise `timeout_ms`."
        }
        .to_owned(),
        Cause::SmtpUtf8 => super::replies::NEEDS_SMTPUTF8.to_owned(),
        _ => return None,
    })
}

fn auth_not_offered(report: &Report) -> &'static str {
    if report.tls.is_none() {
        "The server does not offer AUTH here. Most likely it does only inside TLS: set `starttls`."
    } else {
        "The server does not offer AUTH on this port. Log in on the submission port: 587, or 465 with `implicit_tls`."
    }
}

/// `auto` found nothing to choose.
fn no_usable_mechanism(report: &Report) -> String {
    let ReportedCapabilities { before_tls, after_tls } = &report.capabilities;
    let offered = after_tls.as_ref().or(before_tls.as_ref()).and_then(Capabilities::auth_mechanisms);
    let Some(offered) = offered else { return auth_not_offered(report).to_owned() };
    let shown = if offered.is_empty() { "none".to_owned() } else { offered.join(" ") };
    let shown = excerpt(&shown);
    let names = |mechanisms: &[Mechanism]| {
        offered.iter().any(|offered| mechanisms.iter().any(|name| name.name().eq_ignore_ascii_case(offered)))
    };
    let remedy = if report.tls.is_none() && names(&MechanismChoice::AUTO) {
        "Set `starttls`, so that a mechanism can be used that shows the password; without TLS `auto` uses none of these."
    } else if names(&[Mechanism::XOAuth2, Mechanism::OAuthBearer]) {
        "`xoauth2` and `oauthbearer` need a token, so `auto` never uses them: name one as `sasl_authentication`, with the token \
         as `sasl_password`."
    } else {
        "Enable one of SCRAM-SHA-256, CRAM-MD5, PLAIN and LOGIN on the server, or log in on another port."
    };
    format!("Of the mechanisms that the server offers ({shown}), `auto` can use none here. {remedy}")
}

fn of_client_certificate(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::ClientCertificateWanted => {
            "The server asked for a client certificate, was shown none, and ended the session: most likely it wants one. \
             Name one with `tls_client_certificate`, or have the server accept clients without one."
        }
        Cause::ClientCertificateRefused => {
            "The server ended the session after it was shown the client certificate: most likely it does not accept this \
             one. Name another with `tls_client_certificate`, or have the server trust its issuer."
        }
        Cause::ClientCertificateUnusable => {
            "The server asked for a client certificate, but with signature algorithms that the key of `tls_client_certificate` \
             does not have, so none was shown. Use a certificate with a key of another type."
        }
        _ => return None,
    })
}

fn silence(port: u16) -> &'static str {
    if port == SUBMISSIONS_PORT {
        "Most likely this port expects TLS from the first byte, as is usual for port 465: such a server sends no greeting \
         in clear text. Set `implicit_tls`."
    } else {
        "The server accepted the connection and sent no greeting in time. Most likely it delays its greeting on purpose (a \
         tarpit) or is overloaded: raise `timeout_ms`, or set `implicit_tls` if the port expects TLS from the first byte."
    }
}

/// What came in place of the server's first TLS message.
fn clear_text(line: Option<&str>, script: &Script) -> String {
    let line = line.unwrap_or_default();
    let is_reply = Code::parse(line.as_bytes()).is_some();
    let has_controls = line.contains(|c: char| c.is_control() && c != '\t');
    // U+FEFF: the mark of UTF-8 that some programs write before a text.
    let begins = line.trim_ascii_start().trim_start_matches('\u{feff}').starts_with(|c: char| c.is_ascii_graphic());
    let is_text = begins && (is_reply || !has_controls);
    match (is_text, script.implicit_tls) {
        (true, true) => {
            let (what, remedy) = in_place_of_tls(line);
            format!("The server speaks clear text on this port{what}: it answered {line:?}. {remedy}")
        }
        (true, false) => format!(
            "The server agreed to STARTTLS, and then went on in clear text: it answered {line:?}. Most likely its TLS is not \
             configured: look into its log."
        ),
        (false, true) => {
            "The server's answer is neither TLS nor clear text: most likely something else than a mail server \
                          is behind this port. Check host and port."
                .to_owned()
        }
        (false, false) => {
            "The server agreed to STARTTLS, and what it sent then is neither TLS nor clear text. Most likely \
                           something between it and this client changes the session."
                .to_owned()
        }
    }
}

/// What a greeting in clear text tells, and what to do.
fn in_place_of_tls(line: &str) -> (&'static str, &'static str) {
    const OTHER_PORT: &str = "Check host and port: 465 is the usual one for `implicit_tls`.";
    let has = |word: &str| line.to_ascii_lowercase().contains(word);
    match Code::parse(line.as_bytes()).map(Code::value) {
        Some(220) if has("ftp") && !has("smtp") => (", most likely FTP", OTHER_PORT),
        Some(220) => ("", "Set `starttls` in place of `implicit_tls`."),
        Some(400..500) => (
            ", and takes no session now",
            "Most likely it is too busy, or limits the connections of a client: try again later.",
        ),
        Some(500..) => {
            (", and refuses the session", "Most likely it does not admit the address that the check comes from.")
        }
        _ if ["* OK", "* PREAUTH", "* BYE"].iter().any(|greeting| line.starts_with(greeting)) => {
            (", and it is IMAP", OTHER_PORT)
        }
        _ if line.starts_with("+OK") => (", and it is POP3", OTHER_PORT),
        _ if line.starts_with("HTTP/") => (", and it is HTTP", OTHER_PORT),
        _ if line.starts_with("SSH-") => (", and it is SSH", OTHER_PORT),
        // The rest of the line did not come in time.
        _ if line.len() < 4 && line.bytes().all(|octet| octet.is_ascii_digit()) => ("", OTHER_PORT),
        _ => (", and that is no greeting of SMTP", OTHER_PORT),
    }
}

/// Failures that no reply and no cause explains.
pub(super) fn of_kind(failure: &Failure, report: &Report) -> Option<String> {
    let port = report.target.port;
    Some(match (failure.kind, failure.phase) {
        (FailureKind::Refused, _) => format!(
            "The host is there, and nothing listens on port {port}, or a firewall rejects the connection. Most likely the \
             mail server is not running, or the port is another one."
        ),
        (FailureKind::Timeout, Phase::Connect) => {
            "No answer came to the connection attempt. Most likely a firewall drops it, at the server or on the way out (many \
             networks block port 25), or the host is down."
                .to_owned()
        }
        (FailureKind::Unreachable, _) => "This machine has no route to the address. Check its network, and for an IPv6 \
                                          address whether it has IPv6; `ip_family` chooses the other one."
            .to_owned(),
        (FailureKind::Closed, Phase::Banner) => {
            "The server closed the connection before its greeting. Most likely it does not admit the address that the check \
             comes from, or has too many connections."
                .to_owned()
        }
        (FailureKind::Closed, Phase::SaslAuth) => match report.facts.auth_ended? {
            AuthEnded::BeforeCredentials if report.tls.is_some() => {
                "The server closed the connection before any user name or password had been sent, so that says nothing about \
                 them. Try another mechanism."
            }
            AuthEnded::BeforeCredentials => {
                "The server closed the connection before any user name or password had been sent, so that says nothing about \
                 them. Try another mechanism, or TLS."
            }
            AuthEnded::BeforePassword => {
                "The server closed the connection before the password had been sent, so that says nothing about it. Try another \
                 mechanism, or check `sasl_user`."
            }
        }
        .to_owned(),
        (FailureKind::Timeout, Phase::Dns | Phase::Proxy | Phase::Tls) => return None,
        (FailureKind::Timeout, _) => "The server did not answer in time. Senders wait for minutes (RFC 5321, section \
                                      4.5.3.2): raise `timeout_ms` to see whether the answer comes later."
            .to_owned(),
        _ => return None,
    })
}
