//! Exim 4.96: one instance with four ports, each configured differently.

use std::{net::IpAddr, path::Path};

use super::daemon::{Daemon, Ended, Home, account, on_free_ports};
use super::{Delivered, HOST, PASSWORD, PemFiles, USER};

/// Debian's MTA packages exclude one another, so `tests/install` unpacks this one beside the tests.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/.mta/usr/sbin/exim4");

/// The account that is compiled into Debian's Exim. Without it Exim does not start.
const ACCOUNT: &str = "Debian-exim";

/// A client of this name is offered CRAM-MD5, without TLS too.
pub(crate) const CRAM_MD5: &str = "cram-md5.test";

/// A client of this name gets no challenge to AUTH PLAIN, but a refusal.
pub(crate) const NO_PROMPT: &str = "no-prompt.test";

/// A running Exim.
///
/// Without TLS its reply to QUIT comes 200 ms late: 4.96 leaves the socket corked, and the kernel opens it after that
/// time.
#[derive(Debug)]
pub(crate) struct Exim {
    daemon: Daemon,
    ports: [u16; 4],
    tls: bool,
}

impl Exim {
    /// Starts an instance and waits until it answers on every port. With a certificate every port except
    /// [`smtps`](Self::smtps) offers STARTTLS, and AUTH after it; without, there is no [`submission`](Self::submission)
    /// and no `smtps`.
    pub(crate) async fn start(tls: Option<&PemFiles>) -> Self {
        on_free_ports(async |ports| Self::start_on(ports, tls).await).await
    }

    /// Starts an instance that asks this name server, which must listen on port 53. It verifies DKIM signatures, and
    /// logs what it finds.
    pub(crate) async fn start_with_dns(name_server: IpAddr) -> Self {
        on_free_ports(async |ports| Self::start_in(ports, None, Some(name_server)).await).await
    }

    /// Starts an instance on these ports.
    pub(crate) async fn start_on(ports: [u16; 4], tls: Option<&PemFiles>) -> Result<Self, Ended> {
        Self::start_in(ports, tls, None).await
    }

    async fn start_in(ports: [u16; 4], tls: Option<&PemFiles>, name_server: Option<IpAddr>) -> Result<Self, Ended> {
        let home = Home::new("exim");
        home.dir("spool", 0o750, None);
        home.dir("log", 0o750, None);
        home.dir("mail", 0o700, Some(account(ACCOUNT)));
        home.file("exim.conf", &configuration(&home, &ports, tls));
        let configuration = home.text("exim.conf");
        let daemon = match name_server {
            None => Daemon::start(home, "log/main", Path::new(PROGRAM), &["-C", &configuration, "-bdf"]),
            Some(address) => {
                home.file("resolv.conf", &format!("nameserver {address}\n"));
                // Its resolver reads this file only, so it gets a mount namespace of its own.
                let run = "mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" -C \"$3\" -bdf";
                let resolv_conf = home.text("resolv.conf");
                let arguments = ["--mount", "/bin/sh", "-c", run, "sh", &resolv_conf, PROGRAM, &configuration];
                Daemon::start(home, "log/main", Path::new("/usr/bin/unshare"), &arguments)
            }
        };
        daemon.ready("daemon started").await?;
        let exim = Self { daemon, ports, tls: tls.is_some() };
        exim.daemon.wait_for_greeting(exim.plain()).await?;
        Ok(exim)
    }

    /// Mail for known recipients only, with or without AUTH.
    pub(crate) fn plain(&self) -> u16 {
        self.ports[0]
    }

    /// STARTTLS and then AUTH; without AUTH every recipient is rejected. AUTH before TLS gets 503. PLAIN takes any
    /// authorization identity, and the log line of the mail names it: `A=plain:USER as IDENTITY`.
    pub(crate) fn submission(&self) -> u16 {
        self.with_tls(self.ports[1])
    }

    /// The same under TLS from the first byte.
    pub(crate) fn smtps(&self) -> u16 {
        self.with_tls(self.ports[2])
    }

    /// Like [`plain`](Self::plain), with a PROXY header of version 1 or 2, whose destination is in the log: `proxied to
    /// [ADDRESS]:PORT`. Without a header the greeting comes after three seconds, and EHLO is answered with 503.
    pub(crate) fn proxy(&self) -> u16 {
        self.ports[3]
    }

    /// The message with this queue id, when it is in the mailbox.
    pub(crate) async fn delivered(&self, queue_id: &str) -> Delivered {
        let maildir = self.daemon.join("mail");
        self.daemon.wait_for(&format!("the mail {queue_id}"), || Delivered::find(&maildir, queue_id)).await
    }

    /// The first line of the main log that contains `needle`.
    pub(crate) async fn wait_for_log(&self, needle: &str) -> String {
        self.daemon.wait_for_log(needle).await
    }

    fn with_tls(&self, port: u16) -> u16 {
        assert!(self.tls, "this Exim was started without a certificate");
        port
    }
}

fn configuration(home: &Home, ports: &[u16; 4], tls: Option<&PemFiles>) -> String {
    let [plain, submission, smtps, proxy] = ports;
    let tls = match tls {
        Some(pem) => format!(
            "daemon_smtp_ports = {plain} : {submission} : {smtps} : {proxy}
tls_on_connect_ports = {smtps}
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}",
            chain = pem.chain.display(),
            key = pem.key.display(),
        ),
        None => format!("daemon_smtp_ports = {plain} : {proxy}\ntls_advertise_hosts ="),
    };
    let (access, delivery, authenticators) = (access(submission, smtps), delivery(home), authenticators());
    format!(
        r#"{tls}
exim_path = {PROGRAM}
# A process that gave up root would have to get it back to deliver, by a binary with the setuid bit.
exim_user = root
exim_group = root
spool_directory = {spool}
log_file_path = {log}/%s
pid_file_path = {pid}
log_selector = +incoming_port +proxy +received_recipients +dkim_verbose
keep_environment =
local_interfaces = 127.0.0.1
# A port that is taken is for the test to notice, at once.
daemon_startup_retries = 0
smtp_accept_max = 0
primary_hostname = {HOST}
qualify_domain = example.test
# It would look up a proxied client, whatever host_lookup says.
host_lookup_order =
smtputf8_advertise_hosts = *
hosts_proxy = ${{if ={{$received_port}}{{{proxy}}}{{127.0.0.1}}{{}}}}
acl_smtp_rcpt = recipient

{access}

{delivery}

{authenticators}"#,
        spool = home.text("spool"),
        log = home.text("log"),
        pid = home.text("pid"),
    )
}

/// Who may send to whom.
fn access(submission: &u16, smtps: &u16) -> String {
    format!(
        r#"begin acl
recipient:
  warn condition = ${{if def:proxy_external_address}}
    logwrite = proxied to [$proxy_external_address]:$proxy_external_port
  deny message = 5.7.1 authentication required
    condition = ${{if inlist{{$received_port}}{{{submission}:{smtps}}}}}
    !authenticated = *
  # The one address that needs no domain.
  accept local_parts = postmaster
    domains = :
    verify = recipient
  deny message = relay not permitted
    !domains = example.test
  deny !verify = recipient
  accept"#
    )
}

/// Where a message goes.
fn delivery(home: &Home) -> String {
    format!(
        r#"begin routers
mailbox:
  driver = accept
  domains = example.test
  local_parts = probe : postmaster : pröbe
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {mail}
  maildir_format
  return_path_add
  user = {ACCOUNT}"#,
        mail = home.text("mail"),
    )
}

/// Who is who.
fn authenticators() -> String {
    format!(
        r#"begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = ${{if eq{{$sender_helo_name}}{{{NO_PROMPT}}}{{}}{{:}}}}
  server_condition = ${{if and{{ {{eq{{$auth2}}{{{USER}}}}} {{eq{{$auth3}}{{{PASSWORD}}}}} }}}}
  server_set_id = $auth2${{if def:auth1{{ as $auth1}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{ {{eq{{$auth1}}{{{USER}}}}} {{eq{{$auth2}}{{{PASSWORD}}}}} }}}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{USER}}}{{{PASSWORD}}}fail}}
  server_set_id = $auth1
  server_advertise_condition = ${{if eq{{$sender_helo_name}}{{{CRAM_MD5}}}}}
"#
    )
}
