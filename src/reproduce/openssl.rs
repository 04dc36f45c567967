//! `openssl s_client`: the TLS handshake, and what the server shows in it.

use std::net::IpAddr;

use super::{CommandLine, Connection, bracketed, has};
use crate::{
    check::{Check, TlsVerify},
    phase::Phase,
};

/// `None` where the check has no TLS, or sends a PROXY header before it.
pub(super) fn command_line(check: &Check, to: &Connection) -> Option<CommandLine> {
    let script = &check.script;
    let is_upgraded = has(check, Phase::StartTls);
    if check.proxy.is_some() || !(is_upgraded || script.implicit_tls) {
        return None;
    }
    let connect = format!("{}:{}", bracketed(&to.server), to.port);
    let line = CommandLine::new("openssl s_client").flag("-connect", &connect);
    let line = match is_upgraded {
        true => line.literal("-starttls smtp").flag("-name", &script.ehlo.to_string()),
        false => line,
    };
    let line = match to.server_name.parse::<IpAddr>() {
        Ok(address) => line.literal("-noservername").flag("-verify_ip", &address.to_string()),
        Err(_) => line.flag("-servername", &to.server_name).flag("-verify_hostname", &to.server_name),
    };
    let line = line.literal_if(check.tls_verify == TlsVerify::Require, "-verify_return_error");
    Some(line.literal("</dev/null"))
}
