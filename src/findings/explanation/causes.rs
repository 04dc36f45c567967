//! Failures whose cause is known as data, and those of the connection.

use super::certificate;
use crate::{
    destination::IpFamily,
    phase::Phase,
    report::{Cause, Failure, FailureKind, Report},
    smtp::Script,
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
            "The check offers only one version of TLS, by `tls_version`, and most likely the server does not support it. Set \
             `tls_version` to `any`."
        }
        .to_owned(),
        Cause::TlsOfClient => {
            "The server and this client have no parameters of TLS in common: this client has TLS 1.3, and of TLS 1.2 only \
             cipher suites with ECDHE and AEAD. Another client may be able to connect."
        }
        .to_owned(),
        Cause::CertificateErrors => return certificate::explain(report),
        Cause::NotOffered if failure.phase == Phase::StartTls => {
            "The server does not offer STARTTLS here, so the session cannot be encrypted. Enable TLS on the server, or \
             check that this is the right port."
                .to_owned()
        }
        Cause::NotOffered if report.tls.is_none() => {
            "The server does not offer AUTH here. Most likely it does only inside \
                                                      TLS: set `starttls`."
                .to_owned()
        }
        Cause::NotOffered => {
            "The server does not offer AUTH on this port. Log in on the submission port: 587, or 465 with \
                              `implicit_tls`."
                .to_owned()
        }
        Cause::PasswordInClear => "The server does not offer STARTTLS, and the mechanism would show the password to \
             everybody on the way. Give a port with TLS, or a mechanism that does not show the password."
            .to_owned(),
        Cause::SmtpUtf8 => super::replies::NEEDS_SMTPUTF8.to_owned(),
        _ => return None,
    })
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

fn clear_text(line: Option<&str>, script: &Script) -> String {
    let words = line.map(|line| format!(": it answered {line:?}")).unwrap_or_default();
    if script.implicit_tls {
        format!("The server speaks clear text on this port{words}. Set `starttls` in place of `implicit_tls`.")
    } else {
        format!(
            "The server agreed to STARTTLS, and then went on in clear text{words}. Most likely its TLS is not configured: \
             look into its log."
        )
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
        (FailureKind::Timeout, Phase::Dns | Phase::Proxy | Phase::Tls) => return None,
        (FailureKind::Timeout, _) => "The server did not answer in time. Senders wait for minutes (RFC 5321, section \
                                      4.5.3.2): raise `timeout_ms` to see whether the answer comes later."
            .to_owned(),
        _ => return None,
    })
}
