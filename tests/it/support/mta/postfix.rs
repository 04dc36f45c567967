//! Postfix 3.7: one instance with seven ports, each configured differently.

use std::net::SocketAddr;
use std::path::Path;

use super::daemon::{Daemon, Ended, Home, account, group, on_free_ports};
use super::dovecot::Dovecot;
use super::{Delivered, HOST, PemFiles, RECIPIENT};

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// A running Postfix.
#[derive(Debug)]
pub(crate) struct Postfix {
    daemon: Daemon,
    ports: [u16; 7],
    /// Dropped with the server that uses it; only with TLS.
    sasl: Option<Dovecot>,
}

impl Postfix {
    /// Starts an instance and waits until it answers on every port. Without a certificate there is no
    /// [`submission`](Self::submission) and no [`smtps`](Self::smtps), and it starts faster.
    pub(crate) async fn start(tls: Option<&PemFiles>) -> Self {
        on_free_ports(async |ports| Self::start_on(ports, tls).await).await
    }

    /// The same with these lines at the end of main.cf.
    pub(crate) async fn start_with(tls: &PemFiles, settings: &str) -> Self {
        on_free_ports(async |ports| Self::start_on_with(ports, Some(tls), settings).await).await
    }

    /// Starts an instance on these ports.
    pub(crate) async fn start_on(ports: [u16; 7], tls: Option<&PemFiles>) -> Result<Self, Ended> {
        Self::start_on_with(ports, tls, "").await
    }

    /// The same with every mechanism that a check knows. `tokens` is asked about access tokens (RFC 7662).
    pub(crate) async fn start_with_tokens(tls: &PemFiles, tokens: SocketAddr) -> Self {
        on_free_ports(async |ports| {
            let sasl = Dovecot::start_with_tokens(tokens).await;
            Self::start_on_with_sasl(ports, Some(tls), Some(sasl), "").await
        })
        .await
    }

    async fn start_on_with(ports: [u16; 7], tls: Option<&PemFiles>, settings: &str) -> Result<Self, Ended> {
        let sasl = match tls {
            Some(_) => Some(Dovecot::start().await),
            None => None,
        };
        Self::start_on_with_sasl(ports, tls, sasl, settings).await
    }

    async fn start_on_with_sasl(
        ports: [u16; 7],
        tls: Option<&PemFiles>,
        sasl: Option<Dovecot>,
        settings: &str,
    ) -> Result<Self, Ended> {
        let home = Home::new("postfix");
        make_directories(&home);
        home.file("etc/main.cf", &(main_cf(&home, tls, sasl.as_ref()) + settings));
        home.file("etc/master.cf", &master_cf(&ports, tls.is_some()));
        let configuration = home.text("etc");
        let daemon = Daemon::start(home, "log", Path::new(MASTER), &["-s", "-c", &configuration]);
        daemon.ready("daemon started").await?;
        let postfix = Self { daemon, ports, sasl };
        postfix.greet().await?;
        Ok(postfix)
    }

    async fn greet(&self) -> Result<(), Ended> {
        // Not the two ports where the client sends first; they are known to be bound.
        let [plain, submission, _smtps, _proxy, small, strict, relay] = self.ports;
        self.daemon.wait_for_greeting(plain).await?;
        self.daemon.wait_for_greeting(small).await?;
        self.daemon.wait_for_greeting(relay).await?;
        if self.sasl.is_some() {
            self.daemon.wait_for_greeting(submission).await?;
            self.daemon.wait_for_greeting(strict).await?;
        }
        Ok(())
    }

    /// No TLS, no AUTH; mail for known recipients only.
    pub(crate) fn plain(&self) -> u16 {
        self.ports[0]
    }

    /// STARTTLS and then AUTH; without AUTH every recipient is rejected. AUTH before TLS gets 503.
    pub(crate) fn submission(&self) -> u16 {
        self.with_tls(self.ports[1])
    }

    /// The same under TLS from the first byte.
    pub(crate) fn smtps(&self) -> u16 {
        self.with_tls(self.ports[2])
    }

    /// Like [`plain`](Self::plain), with a PROXY header of version 1 or 2, whose source port is in the log. Anything
    /// else in its place is answered with 421, silence after five seconds.
    pub(crate) fn proxy(&self) -> u16 {
        self.ports[3]
    }

    /// Like [`plain`](Self::plain), for messages of at most 2048 bytes.
    pub(crate) fn small(&self) -> u16 {
        self.ports[4]
    }

    /// Like [`plain`](Self::plain), and STARTTLS is required before MAIL.
    pub(crate) fn strict(&self) -> u16 {
        self.with_tls(self.ports[5])
    }

    /// Like [`plain`](Self::plain), but an open relay: takes mail for any recipient from anybody, and discards it.
    pub(crate) fn relay(&self) -> u16 {
        self.ports[6]
    }

    /// The message with this queue id, when it is in the mailbox.
    pub(crate) async fn delivered(&self, queue_id: &str) -> Delivered {
        let maildir = self.daemon.join("mail");
        self.daemon.wait_for(&format!("the mail {queue_id}"), || Delivered::find(&maildir, queue_id)).await
    }

    /// The first line of the mail log that contains `needle`.
    pub(crate) async fn wait_for_log(&self, needle: &str) -> String {
        self.daemon.wait_for_log(needle).await
    }

    /// The first `count` lines of the log that contain `needle`.
    pub(crate) async fn wait_for_log_lines(&self, needle: &str, count: usize) -> Vec<String> {
        self.daemon.wait_for_log_lines(needle, count).await
    }

    fn with_tls(&self, port: u16) -> u16 {
        assert!(self.sasl.is_some(), "this Postfix was started without a certificate");
        port
    }
}

/// What `postfix start` creates by shell scripts, which take a second.
fn make_directories(home: &Home) {
    let postfix @ (user, _) = account("postfix");
    let postdrop = (user, group("postdrop"));
    home.dir("etc", 0o755, None);
    home.dir("data", 0o700, Some(postfix));
    home.dir("mail", 0o700, Some(postfix));
    home.dir("queue", 0o755, None);
    home.dir("queue/pid", 0o755, None);
    for queue in ["incoming", "active", "bounce", "defer", "deferred", "hold", "trace", "corrupt", "private"] {
        home.dir(&format!("queue/{queue}"), 0o700, Some(postfix));
    }
    home.dir("queue/public", 0o710, Some(postdrop));
    home.dir("queue/maildrop", 0o730, Some(postdrop));
}

fn main_cf(home: &Home, tls: Option<&PemFiles>, sasl: Option<&Dovecot>) -> String {
    let (user, group) = account("postfix");
    let mut text = format!(
        "compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = {home}
inet_interfaces = 127.0.0.1
# A PROXY header of a family that is left out here is refused.
inet_protocols = all
myhostname = {HOST}
myorigin = example.test
mynetworks =
mydestination =
alias_maps =
local_recipient_maps =
# Nothing leaves the machine, nobody is asked.
default_transport = discard
relay_transport = discard
notify_classes =
disable_dns_lookups = yes
smtpd_peername_lookup = no
# A message stays as it was sent: no Date, no Message-Id, no From is added.
local_header_rewrite_clients =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = inline:{{ {{ {RECIPIENT} = mail/ }},
    {{ postmaster@example.test = mail/ }}, {{ pröbe@example.test = mail/ }} }}
virtual_mailbox_base = {home}
virtual_minimum_uid = 1
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access
    inline:{{ {{ greylisted@example.test = 450 4.2.0 Greylisted for 300 seconds }} }}
# All tests share one client address, and errors are what they are about.
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
",
        queue = home.text("queue"),
        data = home.text("data"),
        log = home.text("log"),
        home = home.text(""),
    );
    if let Some((pem, sasl)) = tls.zip(sasl) {
        text += &format!(
            "smtpd_tls_chain_files = {key}, {chain}
smtpd_tls_loglevel = 1
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
",
            key = pem.key.display(),
            chain = pem.chain.display(),
            socket = sasl.socket().display(),
        );
    }
    text
}

fn master_cf(ports: &[u16; 7], tls: bool) -> String {
    let [plain, submission, smtps, proxy, small, strict, relay] = ports;
    let mut text = String::from(SERVICES);
    let mut smtpd = |port: &u16, options: &str| text += &format!("127.0.0.1:{port} inet n - n - - smtpd {options}\n");
    smtpd(plain, "");
    smtpd(proxy, "-o smtpd_upstream_proxy_protocol=haproxy -o smtpd_client_port_logging=yes");
    smtpd(small, "-o message_size_limit=2048");
    // A plain `permit` would not do: Postfix does not start without a restriction that rejects.
    smtpd(relay, "-o mynetworks=127.0.0.0/8 -o smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination");
    if tls {
        const SASL: &str = "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject";
        smtpd(submission, &format!("-o smtpd_tls_security_level=may {SASL}"));
        smtpd(strict, "-o smtpd_tls_security_level=encrypt");
        smtpd(smtps, &format!("-o smtpd_tls_wrappermode=yes {SASL}"));
    }
    text
}

/// The processes that smtpd uses, none of them in a chroot. Those that only send mail to other hosts are left out.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";
