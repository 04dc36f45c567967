//! Dovecot 2.3 as the SASL server of Postfix, with one password, and with access tokens if a server for them is given.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::daemon::{Daemon, Home};
use super::{PASSWORD, USER};

const PROGRAM: &str = "/usr/sbin/dovecot";

/// A running auth service. It answers a wrong password after half a second; no setting changes that.
#[derive(Debug)]
pub(super) struct Dovecot {
    daemon: Daemon,
}

impl Dovecot {
    /// Starts it, with PLAIN and LOGIN, and waits until it listens.
    pub(super) async fn start() -> Self {
        Self::start_in(Home::new("dovecot"), "plain login", "", "").await
    }

    /// The same with every mechanism that a check knows. `tokens` is asked about access tokens (RFC 7662).
    pub(super) async fn start_with_tokens(tokens: SocketAddr) -> Self {
        let passdb = "passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = HOME/oauth2.conf
}
";
        let oauth2 = format!(
            "introspection_mode = post
introspection_url = http://{tokens}/introspect
username_attribute = username
active_attribute = active
active_value = true
"
        );
        let mechanisms = "plain login cram-md5 scram-sha-256 oauthbearer xoauth2";
        Self::start_in(Home::new("dovecot"), mechanisms, passdb, &oauth2).await
    }

    async fn start_in(home: Home, mechanisms: &str, passdb: &str, oauth2: &str) -> Self {
        home.file("users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
        home.file("oauth2.conf", oauth2);
        let passdb = passdb.replace("HOME", &home.text(""));
        home.file("dovecot.conf", &configuration(&home, mechanisms, &passdb));
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

fn configuration(home: &Home, mechanisms: &str, passdb: &str) -> String {
    format!(
        "protocols =
base_dir = {run}
state_dir = {state}
log_path = {log}
ssl = no
auth_mechanisms = {mechanisms}
disable_plaintext_auth = no
auth_failure_delay = 0
{passdb}passdb {{
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
