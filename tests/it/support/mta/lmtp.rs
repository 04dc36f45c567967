//! Dovecot 2.3 as an LMTP server (RFC 2033), with one mailbox.

use std::{fs, path::Path};

use super::daemon::{Daemon, Ended, Home, account, on_free_ports};
use super::{HOST, PemFiles, RECIPIENT};

const PROGRAM: &str = "/usr/sbin/dovecot";

/// A running LMTP server with STARTTLS. Every address but [`RECIPIENT`] is unknown.
#[derive(Debug)]
pub(crate) struct DovecotLmtp {
    daemon: Daemon,
    port: u16,
}

impl DovecotLmtp {
    /// Starts an instance and waits until it greets.
    pub(crate) async fn start(tls: &PemFiles) -> Self {
        on_free_ports(async |[port]: [u16; 1]| Self::start_on(port, tls).await).await
    }

    async fn start_on(port: u16, tls: &PemFiles) -> Result<Self, Ended> {
        let home = Home::new("lmtp");
        let owner @ (user, group) = account("postfix");
        home.dir("mail", 0o700, Some(owner));
        home.file("users", &format!("{RECIPIENT}:{{PLAIN}}unused:{user}:{group}::{}\n", home.text("mail")));
        home.file("dovecot.conf", &configuration(&home, port, tls));
        let configuration = home.text("dovecot.conf");
        let daemon = Daemon::start(home, "log", Path::new(PROGRAM), &["-F", "-c", &configuration]);
        daemon.ready("starting up for lmtp").await?;
        daemon.wait_for_greeting(port).await?;
        Ok(Self { daemon, port })
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The message that contains this text, when it is in the mailbox, with what Dovecot added.
    pub(crate) async fn delivered(&self, needle: &str) -> String {
        let new = self.daemon.join("mail/Maildir/new");
        self.daemon
            .wait_for(&format!("the mail with {needle:?}"), || {
                let files = fs::read_dir(&new).ok()?.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
                files.into_iter().find(|text| text.contains(needle))
            })
            .await
    }
}

fn configuration(home: &Home, port: u16, tls: &PemFiles) -> String {
    format!(
        "protocols = lmtp
base_dir = {run}
state_dir = {state}
log_path = {log}
hostname = {HOST}
postmaster_address = postmaster@example.test
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = username_format=%u {users}
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {users}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
",
        run = home.text("run"),
        state = home.text("state"),
        log = home.text("log"),
        users = home.text("users"),
        chain = tls.chain.display(),
        key = tls.key.display(),
    )
}
