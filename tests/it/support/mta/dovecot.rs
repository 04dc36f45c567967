//! Dovecot 2.3 as the SASL server of Postfix, with one password.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::daemon::{Daemon, Home};
use super::{PASSWORD, USER};

const PROGRAM: &str = "/usr/sbin/dovecot";

/// A running auth service with PLAIN and LOGIN. It answers a wrong password after half a second; no setting changes
/// that.
#[derive(Debug)]
pub(super) struct Dovecot {
    daemon: Daemon,
}

impl Dovecot {
    /// Starts it and waits until it listens.
    pub(super) async fn start() -> Self {
        let home = Home::new("dovecot");
        home.file("users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
        home.file("dovecot.conf", &configuration(&home));
        let configuration = home.text("dovecot.conf");
        let dovecot = Self { daemon: Daemon::start(home, "log", Path::new(PROGRAM), &["-F", "-c", &configuration]) };
        let socket = dovecot.socket();
        dovecot.daemon.wait_for("its socket", || UnixStream::connect(&socket).ok()).await;
        dovecot
    }

    /// The socket for `smtpd_sasl_path`.
    pub(super) fn socket(&self) -> PathBuf {
        self.daemon.join("auth")
    }
}

fn configuration(home: &Home) -> String {
    format!(
        "protocols =
base_dir = {run}
state_dir = {state}
log_path = {log}
ssl = no
auth_mechanisms = plain login
disable_plaintext_auth = no
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = username_format=%u {users}
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
# Without this, one client address that fails often is made to wait, and all tests share an address.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
",
        run = home.text("run"),
        state = home.text("state"),
        log = home.text("log"),
        users = home.text("users"),
        socket = home.text("auth"),
    )
}
