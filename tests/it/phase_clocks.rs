//! The clock of each phase: the kernel's stamps of the replies, and the process's clock where there are none.
#![cfg(target_os = "linux")]

use std::{
    io::{BufRead, BufReader, Result, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Identity, Leaf},
    smtpd::{Script, SmtpServer},
};

fn identity() -> Identity {
    Ca::new("Test CA").issue(Leaf::for_name("mx.test"))
}

/// Linux begins to stamp some time after the service has asked it to: checks a server until a reply has a stamp.
async fn stamping_app() -> TestApp {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    let begun = async {
        let parameters = json!({"port": server.port(), "stop_after": "ehlo"});
        while !clocks(&app.check(parameters.clone()).await).contains(&("ehlo", "kernel")) {}
    };
    timeout(Duration::from_secs(40), begun).await.expect("Linux stamps");
    app
}

/// Name and clock of each phase.
fn clocks(report: &Value) -> Vec<(&str, &str)> {
    let phases = report["phases"].as_array().expect("phases").iter();
    phases.map(|phase| (phase["name"].as_str().expect("text"), phase["clock"].as_str().expect("text"))).collect()
}

/// A server in a thread of its own, which replies whatever the runtime of the test does.
fn serve(tls: Option<Arc<ServerConfig>>, converse: impl Fn(&mut dyn Peer) -> Result<()> + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            client.set_nodelay(true).expect("set");
            let tls = tls.clone().map(|tls| ServerConnection::new(tls).expect("a session"));
            // A client that disconnects early ends its connection only.
            drop(match tls {
                Some(tls) => converse(&mut BufReader::new(StreamOwned::new(tls, client))),
                None => converse(&mut BufReader::new(client)),
            });
        }
    });
    port
}

/// The client of a server.
trait Peer {
    fn command(&mut self) -> Result<String>;
    fn reply(&mut self, text: &str) -> Result<()>;
    /// Sends these as records of their own in one segment; inside TLS only.
    fn reply_in_records(&mut self, texts: &[&str]) -> Result<()>;
}

impl Peer for BufReader<TcpStream> {
    fn command(&mut self) -> Result<String> {
        let mut line = String::new();
        self.read_line(&mut line).map(|_| line)
    }

    fn reply(&mut self, text: &str) -> Result<()> {
        self.get_mut().write_all(text.as_bytes())
    }

    fn reply_in_records(&mut self, texts: &[&str]) -> Result<()> {
        self.reply(&texts.concat())
    }
}

impl Peer for BufReader<StreamOwned<ServerConnection, TcpStream>> {
    fn command(&mut self) -> Result<String> {
        let mut line = String::new();
        self.read_line(&mut line).map(|_| line)
    }

    fn reply(&mut self, text: &str) -> Result<()> {
        self.reply_in_records(&[text])
    }

    fn reply_in_records(&mut self, texts: &[&str]) -> Result<()> {
        let StreamOwned { conn, sock } = self.get_mut();
        while conn.is_handshaking() {
            conn.complete_io(sock)?;
        }
        for text in texts {
            conn.writer().write_all(text.as_bytes())?;
        }
        let mut records = Vec::new();
        while conn.wants_write() {
            conn.write_tls(&mut records)?;
        }
        sock.write_all(&records)
    }
}

/// A session in which each reply comes this long after its command.
fn delayed(peer: &mut dyn Peer, delay: Duration) -> Result<()> {
    thread::sleep(delay);
    peer.reply("220 mx.test\r\n")?;
    loop {
        let command = peer.command()?;
        thread::sleep(delay);
        match command.get(..4).unwrap_or_default() {
            "" => return Ok(()),
            "QUIT" => return peer.reply("221 bye\r\n"),
            "DATA" => {
                peer.reply("354 go\r\n")?;
                while peer.command()? != ".\r\n" {}
                thread::sleep(delay);
                peer.reply("250 ok\r\n")?;
            }
            _ => peer.reply("250 ok\r\n")?,
        }
    }
}

#[tokio::test]
async fn the_kernel_takes_the_time_of_each_phase_that_has_a_reply() {
    let app = stamping_app().await;
    let server = SmtpServer::serve(Script::compliant().with_starttls(identity()).with_credentials("probe", "secret"));
    let report = app
        .check(json!({"port": server.port(), "starttls": true,
            "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "secret"}))
        .await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let names = phase_names(&report);
    assert_eq!(names.len(), 12, "{names:?}");
    for (name, clock) in clocks(&report) {
        let expected = if ["connect", "tls"].contains(&name) { "process" } else { "kernel" };
        assert_eq!(clock, expected, "{name}: {report:#}");
    }
}

#[tokio::test]
async fn time_that_the_process_waits_for_a_core_is_not_the_servers() {
    /// How long the runtime is blocked between two polls of anything.
    const BLOCKED: Duration = Duration::from_millis(150);
    const DELAY: Duration = Duration::from_millis(20);
    let app = stamping_app().await;
    for tls in [None, Some(identity().server_config_tls12()), Some(identity().server_config_tls13())] {
        let implicit_tls = tls.is_some();
        let port = serve(tls, |peer| delayed(peer, DELAY));
        let blocking = tokio::spawn(async {
            loop {
                thread::sleep(BLOCKED);
                tokio::task::yield_now().await;
            }
        });
        let report = app.check(json!({"port": port, "implicit_tls": implicit_tls, "timeout_ms": 60_000})).await;
        blocking.abort();
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let mut shortest = f64::MAX;
        for phase in report["phases"].as_array().expect("phases") {
            if phase["clock"] == "kernel" && phase["name"] != "banner" {
                let time = phase["time_ms"].as_f64().expect("a time");
                assert!(time >= 20.0, "{report:#}");
                shortest = shortest.min(time);
            }
        }
        // The server may have to wait for a core as well, but not for each of its replies.
        assert!(shortest < 100.0, "{report:#}");
        let connect = &report["phases"][0];
        assert!(connect["name"] == "connect" && connect["clock"] == "process", "{report:#}");
        let ends: Vec<f64> = ["connect_time", "banner_time"]
            .iter()
            .map(|name| report["metrics"][*name].as_f64().expect("a time"))
            .collect();
        assert!(ends[0] <= ends[1] + 0.002, "the greeting comes after the connection: {report:#}");
    }
}

/// Octets of one read have one stamp: it does not tell which of two replies came before the command.
#[tokio::test]
async fn two_records_in_one_segment_are_found_before_the_next_command() {
    let app = stamping_app().await;
    for version in [identity().server_config_tls12(), identity().server_config_tls13()] {
        let (tell, told) = std::sync::mpsc::channel();
        let port = serve(Some(version), move |peer| {
            peer.reply("220 mx.test\r\n")?;
            peer.command()?;
            peer.reply_in_records(&["250 mx.test\r\n", "250 again\r\n"])?;
            // All that comes after EHLO.
            tell.send(peer.command().unwrap_or_default()).expect("the test waits");
            Ok(())
        });
        let report = app.check(json!({"port": port, "implicit_tls": true})).await;
        assert_eq!(failure(&report), ("mailfrom", "protocol", false), "{report:#}");
        assert_eq!(phase_names(&report), ["connect", "tls", "banner", "ehlo"], "{report:#}");
        assert_eq!(told.recv().expect("told"), "", "nothing was sent");
    }
}
