//! Knot DNS with a signed root and a few zones below `test`, and Unbound in front of it.

use std::{
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use super::daemon::{Daemon, Ended, Home, on_free_ports};

const KNOT: &str = "/usr/sbin/knotd";
const KEYMGR: &str = "/usr/sbin/keymgr";
const UNBOUND: &str = "/usr/sbin/unbound";

/// How a zone below `test` is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// With the key that its parent names.
    Yes,
    /// With another one.
    Wrong,
    No,
}

/// A running Knot, which is authoritative for the root and all zones.
#[derive(Debug)]
pub(crate) struct Knot {
    daemon: Daemon,
    port: u16,
}

impl Knot {
    /// Starts it with these zones: names below `test`, and their records without those of the name server.
    pub(crate) async fn start(zones: &[(&str, Signed, &str)]) -> Self {
        on_free_ports(async |[port]| {
            let home = prepare(port, zones);
            let configuration = home.text("knot.conf");
            let daemon = Daemon::start(home, "output", Path::new(KNOT), &["-c", &configuration]);
            daemon.ready("server started").await?;
            Ok(Self { daemon, port })
        })
        .await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The file with the key of the root.
    pub(crate) fn anchors(&self) -> PathBuf {
        self.daemon.join("anchors")
    }
}

/// A running Unbound, which validates, and asks that Knot.
#[derive(Debug)]
pub(crate) struct Unbound {
    _daemon: Daemon,
    port: u16,
}

impl Unbound {
    pub(crate) async fn start(knot: &Knot) -> Self {
        on_free_ports(async |[port]| Self::start_on(port, knot).await).await
    }

    async fn start_on(port: u16, knot: &Knot) -> Result<Self, Ended> {
        let home = Home::new("unbound");
        let (anchors, knot) = (knot.anchors(), knot.address());
        home.file(
            "unbound.conf",
            &format!(
                "server:\n  interface: 127.0.0.1@{port}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  \
                 directory: \"{}\"\n  pidfile: \"\"\n  use-syslog: no\n  verbosity: 1\n  do-not-query-localhost: no\n  \
                 trust-anchor-file: \"{}\"\n  module-config: \"validator iterator\"\n  local-zone: \"test.\" nodefault\n\
                 remote-control:\n  control-enable: no\nforward-zone:\n  name: \".\"\n  forward-addr: {}@{}\n",
                home.text(""),
                anchors.display(),
                knot.ip(),
                knot.port(),
            ),
        );
        let configuration = home.text("unbound.conf");
        let daemon = Daemon::start(home, "output", Path::new(UNBOUND), &["-d", "-c", &configuration]);
        daemon.ready("start of service").await?;
        Ok(Self { _daemon: daemon, port })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// The configuration, the keys and the zone files: each zone needs the keys of those below it.
fn prepare(port: u16, zones: &[(&str, Signed, &str)]) -> Home {
    const SOA: &str = "@ 60 SOA ns.test. host.test. 1 60 60 600 60\n@ 60 NS ns.test.\n";
    let home = Home::new("knot");
    ["run", "keys", "zones"].into_iter().for_each(|name| home.dir(name, 0o700, None));
    let signed = "    dnssec-signing: on\n    dnssec-policy: manual\n";
    let mut configuration = format!(
        "server:\n    rundir: {0}\n    listen: 127.0.0.1@{port}\n    user: root:root\ndatabase:\n    storage: {1}\n\
         log:\n  - target: stderr\n    any: info\n\
         policy:\n  - id: manual\n    algorithm: ecdsap256sha256\n    manual: on\n\
         template:\n  - id: default\n    storage: {2}\n    zonefile-load: whole\n    zonefile-sync: -1\n\x20   \
         journal-content: none\n\
         zone:\n  - domain: .\n    file: root.zone\n{signed}  - domain: test\n    file: test.zone\n{signed}",
        home.text("run"),
        home.text("keys"),
        home.text("zones"),
    );
    for (name, how, _) in zones {
        let signed = if *how == Signed::No { "" } else { signed };
        write!(configuration, "  - domain: {name}\n    file: {name}.zone\n{signed}").expect("a text");
    }
    home.file("knot.conf", &configuration);
    let keymgr = |arguments: &str| keymgr(&home, arguments);
    for zone in [".", "test"].into_iter().chain(zones.iter().filter(|zone| zone.1 != Signed::No).map(|zone| zone.0)) {
        keymgr(&format!("{zone} generate algorithm=13 ksk=yes zsk=yes"));
    }
    // SHA-256 of the key.
    let ds = |zone: &str| {
        let all = keymgr(&format!("{zone} ds"));
        all.lines().find(|line| line.contains(" 13 2 ")).expect("a DS record").to_owned()
    };
    let mut parent = format!("$ORIGIN test.\n{SOA}ns 60 A 127.0.0.1\n");
    for (name, how, records) in zones {
        writeln!(parent, "{name}. 60 NS ns.test.").expect("a text");
        match how {
            Signed::Yes => parent += &(ds(name) + "\n"),
            Signed::Wrong => {
                let right = ds(name);
                parent += &(right[..right.len() - 8].to_owned() + "00000000\n");
            }
            Signed::No => {}
        }
        home.file(&format!("zones/{name}.zone"), &format!("$ORIGIN {name}.\n{SOA}{records}"));
    }
    home.file("zones/test.zone", &parent);
    let root = format!("$ORIGIN .\n{SOA}test. 60 NS ns.test.\nns.test. 60 A 127.0.0.1\n{}\n", ds("test"));
    home.file("zones/root.zone", &root);
    let key = keymgr(". dnskey");
    home.file("anchors", &key.replacen(". ", ". IN ", 1));
    home
}

fn keymgr(home: &Home, arguments: &str) -> String {
    let configuration = home.text("knot.conf");
    let output = Command::new(KEYMGR).args(["-c", &configuration]).args(arguments.split(' ')).output();
    let output = output.expect("keymgr comes with Knot: run tests/run, which installs it by tests/install");
    assert!(output.status.success(), "keymgr {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a text")
}
