//! `openssl s_client`: the TLS handshake, and what the server shows in it.

use std::net::IpAddr;

use super::{CommandLine, Connection, bracketed, has};
use crate::{
    check::{Check, TlsVerify, TlsVersion},
    phase::Phase,
    report::{FailureKind, Report},
    smtp::{Protocol, StartTls},
};

/// `None` where the check has no TLS, sends a PROXY header before it, expects certain replies, shows a client
/// certificate of the operator's, or comes from a source address; or where the time was over before TLS: openssl waits
/// for as long as the server does.
pub(super) fn command_line(check: &Check, report: &Report, to: &Connection) -> Option<CommandLine> {
    let script = &check.script;
    let is_left_out = script.start_tls == StartTls::Opportunistic && report.tls.is_none();
    let is_upgraded = has(check, Phase::StartTls) && !is_left_out;
    let is_special = script.expect.is_some()
        || check.proxy.is_some()
        || check.client_certificate.is_some()
        || check.source_address.is_some();
    let is_slow = report.tls.is_none()
        && report
            .failure
            .as_ref()
            .is_some_and(|failure| failure.kind == FailureKind::Timeout && failure.phase > Phase::Connect);
    if is_special || is_slow || !(is_upgraded || script.implicit_tls) {
        return None;
    }
    let connect = format!("{}:{}", bracketed(&to.server), to.port);
    let line = CommandLine::new("openssl s_client").flag("-connect", &connect);
    let line = match is_upgraded {
        true if script.protocol == Protocol::Lmtp => line.literal("-starttls lmtp").flag("-name", script.ehlo.as_str()),
        true => line.literal("-starttls smtp").flag("-name", script.ehlo.as_str()),
        false => line,
    };
    let line = match to.server_name.parse::<IpAddr>() {
        Ok(address) => line.literal("-noservername").flag("-verify_ip", &address.to_string()),
        Err(_) => line.flag("-servername", &to.server_name).flag("-verify_hostname", &to.server_name),
    };
    let line = line
        .literal_if(check.tls_version == TlsVersion::Tls12, "-tls1_2")
        .literal_if(check.tls_version == TlsVersion::Tls13, "-tls1_3");
    let line = line.literal_if(check.tls_verify == TlsVerify::Require, "-verify_return_error");
    Some(line.literal("</dev/null"))
}
