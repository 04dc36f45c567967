//! HTTPS with real clients: curl, and rustls.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use smtp_check::http::{TokenStore, reload::Reloadable};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::CertificateDer},
};

use super::support::{
    app::{TestApp, TestAppBuilder, with_defaults},
    curl::curl,
    pki::{Ca, Identity, Leaf, PemFiles},
    program::{ServiceProcess, WAIT_TIMEOUT, code, program, stderr},
    smtpd::{Action, End, Script, SmtpServer, Step},
    temp_dir::TempDir,
};

/// The timeout for the handshake, and then for the header.
const SHORT_TIMEOUT: Duration = Duration::from_millis(400);
/// The same where the handshake has to succeed, which takes time in a debug build.
const LONG_TIMEOUT: Duration = Duration::from_secs(5);

/// A certificate authority, a certificate for `localhost`, and its files.
struct Pki {
    ca: Ca,
    folder: TempDir,
    files: PemFiles,
}

impl Pki {
    fn new() -> Self {
        let (ca, folder) = (Ca::new("Test CA"), TempDir::new());
        let files = ca.issue(Leaf::for_name("localhost")).write_pem(folder.path());
        ca.write_pem(folder.path());
        Self { ca, folder, files }
    }

    /// Replaces the certificate by a new one.
    fn renew(&self) -> Identity {
        let identity = self.ca.issue(Leaf::for_name("localhost"));
        identity.write_pem(self.folder.path());
        identity
    }

    fn reloadable(&self) -> Reloadable {
        Reloadable::open(None, Some((self.files.chain.clone(), self.files.key.clone()))).expect("good files")
    }

    /// An HTTPS service in this process.
    fn builder(&self) -> TestAppBuilder {
        TestApp::builder().identity(self.reloadable().identity().expect("files"))
    }

    /// `serve` with the files.
    fn serve(&self) -> ServiceProcess {
        let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
        ServiceProcess::start({
            command.args(flags(&self.files.chain, &self.files.key));
            command
        })
    }

    fn curl(&self, port: u16, arguments: &[&str], path: &str) -> Output {
        self.curl_command(port, arguments, path).output().expect("curl, which tests/install brings")
    }

    fn curl_command(&self, port: u16, arguments: &[&str], path: &str) -> Command {
        let ca = self.folder.path().join("ca.pem");
        let mut curl = curl();
        curl.arg("--cacert").arg(ca).args(arguments);
        curl.arg(format!("https://localhost:{port}{path}"));
        curl
    }

    /// A client that trusts the authority.
    async fn connect(&self, app: &TestApp, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.ca.roots())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let tcp = TcpStream::connect(app.addr()).await.expect("a connection");
        let name = "localhost".try_into().expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
    }
}

fn flags(certificate: &Path, key: &Path) -> [String; 2] {
    [format!("--tls-cert={}", certificate.display()), format!("--tls-key={}", key.display())]
}

fn shown(caller: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    caller.get_ref().1.peer_certificates().expect("a chain")[0].clone().into_owned()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn ask(caller: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    caller.write_all(request).await.expect("sent");
    let mut answer = String::new();
    while !answer.ends_with('}') {
        answer.push(char::from(timeout(WAIT_TIMEOUT, caller.read_u8()).await.expect("in time").expect("more to read")));
    }
    answer
}

async fn closed(caller: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    // A clean end or not: that depends on what was in flight.
    let _ = timeout(WAIT_TIMEOUT, caller.read_to_end(&mut rest)).await.expect("closed in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_reaches_curl_over_http2() {
    let pki = Pki::new();
    let tokens = "nobody:8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8".parse().expect("tokens");
    let app = pki.builder().tokens(TokenStore::new(tokens)).start().await;
    let large = pki.folder.path().join("large");
    std::fs::write(&large, vec![b' '; 900_000]).expect("written");
    let large = format!("@{}", large.display());
    for body in ["{}", &large].into_iter().cycle().take(12) {
        let arguments =
            ["--http2", "--data-binary", body, "--output", "-", "--write-out", " %{http_version} %{http_code}"];
        let answer = text(&pki.curl(app.addr().port(), &arguments, "/v1/checks/smtp"));
        assert!(answer.contains("unauthorized") && answer.ends_with(" 2 401"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_works_with_http_1_and_2_over_tls_1_2_and_1_3() {
    let (pki, server) = (Pki::new(), SmtpServer::serve(Script::compliant()));
    let served = pki.serve();
    let port = served.address.port();
    let body = with_defaults(json!({"port": server.port()})).to_string();
    for (http, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        for tls in [&["--tlsv1.3"][..], &["--tlsv1.2", "--tls-max", "1.2"]] {
            let mut arguments =
                vec![http, "-w", "\n%{http_version}", "-H", "Content-Type: application/json", "-d", &body];
            arguments.extend(tls);
            let answer = text(&pki.curl(port, &arguments, "/v1/checks/smtp"));
            assert!(
                answer.contains(r#""outcome":"delivered""#) && answer.ends_with(&format!("\n{version}")),
                "{answer}"
            );
        }
    }
    let headers = text(&pki.curl(port, &["-D", "-", "-o", "/dev/null"], "/healthz"));
    assert!(headers.contains("strict-transport-security: max-age=31536000"), "{headers}");
    // TLS 1.1 is rejected, and so is clear text.
    assert!(!pki.curl(port, &["--tls-max", "1.1"], "/healthz").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_certificate_for_new_connections() {
    let slow = Script::compliant().on(Step::MailFrom, Action::from("250 ok\r\n").after(Duration::from_secs(1)));
    let (pki, server) = (Pki::new(), SmtpServer::serve(slow));
    let served = pki.serve();
    let port = served.address.port();
    let serial = |text: String| text.lines().find(|line| line.contains("Serial Number")).map(str::to_owned);
    let certificate = || serial(text(&pki.curl(port, &["-w", "%{certs}"], "/healthz")));
    let first = certificate();
    assert!(first.is_some());

    // Bad files, one of them without an end: the old certificate stays.
    let pipe = || {
        std::fs::remove_file(&pki.files.key).expect("there");
        assert!(Command::new("mkfifo").arg(&pki.files.key).status().expect("of coreutils").success());
    };
    let spoil: [&dyn Fn(); 2] = [&|| std::fs::write(&pki.files.key, "nonsense").expect("writable"), &pipe];
    for spoil in spoil {
        spoil();
        served.signal("HUP");
        served.wait_for_log("certificate and key not read again");
        assert_eq!(certificate(), first);
    }
    std::fs::remove_file(&pki.files.key).expect("there");

    let body = with_defaults(json!({"port": server.port()})).to_string();
    let arguments = ["-H", "Content-Type: application/json", "-d", &body];
    let running = pki.curl_command(port, &arguments, "/v1/checks/smtp").stdout(Stdio::piped()).spawn().expect("curl");
    server.wait_for_open(1).await;
    pki.renew();
    served.signal("HUP");
    served.wait_for_log("certificate and key read again");
    assert_ne!(certificate(), first);
    let report = text(&running.wait_with_output().expect("curl ends"));
    assert!(report.contains(r#""outcome":"delivered""#), "the check was not dropped: {report}");

    served.signal("TERM");
    assert_eq!(served.end(), 0);
}

#[test]
fn sighup_does_not_end_a_service_without_tls() {
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0"]));
    served.signal("HUP");
    served.wait_for_log("the system's DNS servers and hosts file read again");
    assert!(served.get("/healthz", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn healthcheck_asks_over_tls() {
    let pki = Pki::new();
    let served = pki.serve();
    let listen = format!("--listen={}", served.address);
    let check = |arguments: &[String]| {
        code(&program(&["healthcheck", &listen]).args(arguments).output().expect("the program starts"))
    };
    assert_eq!(check(&flags(&pki.files.chain, &pki.files.key)), 0);
    assert_eq!(check(&[]), 1, "it does not speak TLS");
    drop(served);
    assert_eq!(check(&flags(&pki.files.chain, &pki.files.key)), 1);
}

#[test]
fn bad_certificate_files_stop_the_start() {
    let (pki, other) = (Pki::new(), Pki::new());
    let empty = pki.folder.write("empty.pem", b"");
    let junk = pki.folder.write("junk.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = pki.folder.write("encrypted.pem", encrypted);
    let unknown = pki.folder.write("unknown.pem", b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    let missing = Path::new("/nonexistent.pem");
    let (chain, key) = (pki.files.chain.as_path(), pki.files.key.as_path());
    // A port in use: a program that gets as far as binding it would complain about the port, with code 1.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = format!("--listen={}", taken.local_addr().expect("bound"));
    for (arguments, complaint) in [
        (vec![format!("--tls-cert={}", chain.display())], "--tls-cert and --tls-key go together"),
        (vec![format!("--tls-key={}", key.display())], "--tls-cert and --tls-key go together"),
        (flags(missing, key).to_vec(), "--tls-cert: /nonexistent.pem: No such file"),
        (flags(chain, missing).to_vec(), "--tls-key: /nonexistent.pem: No such file"),
        (flags(&empty, key).to_vec(), "there is no certificate in it"),
        (flags(chain, &empty).to_vec(), "there is no private key in it"),
        (flags(chain, &encrypted).to_vec(), "is encrypted; what is needed is a key without a passphrase"),
        (flags(chain, &unknown).to_vec(), "is no valid key of a supported kind: RSA of 2048 to 8192 bits"),
        (flags(&junk, key).to_vec(), "--tls-cert: "),
        (flags(key, chain).to_vec(), "--tls-cert: "),
        (flags(chain, &other.files.key).to_vec(), "is not the key of the certificate"),
    ] {
        let output = program(&["serve", &listen]).args(&arguments).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(complaint), "{arguments:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn open_connections_keep_their_certificate_after_reload() {
    let pki = Pki::new();
    let reloadable = pki.reloadable();
    let app = TestApp::builder().identity(reloadable.identity().expect("files")).start().await;
    let mut old = pki.connect(&app, &[]).await;
    assert!(ask(&mut old, HEALTH).await.starts_with("HTTP/1.1 200 "));

    let renewed = pki.renew();
    reloadable.reload();
    assert!(ask(&mut old, HEALTH).await.starts_with("HTTP/1.1 200 "));
    assert_ne!(shown(&old), renewed.chain[0]);
    let mut new = pki.connect(&app, &[]).await;
    assert!(ask(&mut new, HEALTH).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(shown(&new), renewed.chain[0]);

    std::fs::write(&pki.files.chain, "nonsense").expect("writable");
    reloadable.reload();
    assert_eq!(shown(&pki.connect(&app, &[]).await), renewed.chain[0]);
}

#[tokio::test]
async fn bad_handshakes_are_closed_while_others_are_served() {
    let pki = Pki::new();
    for (header_timeout, max_connections) in [(SHORT_TIMEOUT, 100), (WAIT_TIMEOUT * 2, 1)] {
        let app = pki.builder().header_timeout(header_timeout).max_connections(max_connections).start().await;
        let begun = Instant::now();
        let mut silent = TcpStream::connect(app.addr()).await.expect("a connection");
        let mut halfway = TcpStream::connect(app.addr()).await.expect("a connection");
        // The beginning of a ClientHello.
        halfway.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.expect("sent");
        for garbage in [HEALTH, b"220 mx.test ESMTP\r\n", &[0xff; 3000]] {
            let mut caller = TcpStream::connect(app.addr()).await.expect("a connection");
            caller.write_all(garbage).await.expect("sent");
            closed(&mut caller).await;
        }
        // At the limit, it is closed for one of the connections after it.
        closed(&mut silent).await;
        if header_timeout == SHORT_TIMEOUT {
            closed(&mut halfway).await;
            assert!(begun.elapsed() >= SHORT_TIMEOUT);
        } else {
            assert!(ask(&mut pki.connect(&app, &[b"http/1.1"]).await, HEALTH).await.starts_with("HTTP/1.1 200 "));
        }
    }
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_closed() {
    let pki = Pki::new();
    let app = pki.builder().header_timeout(LONG_TIMEOUT).start().await;
    let mut callers = Vec::new();
    for beginning in [&b""[..], b"GET /healthz HTTP/1.1\r\nHost:"] {
        let mut caller = pki.connect(&app, &[b"http/1.1"]).await;
        caller.write_all(beginning).await.expect("sent");
        callers.push(caller);
    }
    let mut idle = pki.connect(&app, &[b"http/1.1"]).await;
    ask(&mut idle, HEALTH).await;
    let http2 = pki.connect(&app, &[b"h2"]).await;
    assert_eq!(http2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    callers.extend([idle, http2]);
    for caller in &mut callers {
        closed(caller).await;
    }
}

/// How a client disconnects.
#[derive(Clone, Copy, Debug)]
enum Leave {
    CloseNotify,
    Fin,
    Rst,
}

impl Leave {
    /// The rest of the connection: after a shutdown of one side it is still held.
    async fn go(self, mut caller: TlsStream<TcpStream>) -> Option<TlsStream<TcpStream>> {
        match self {
            Self::CloseNotify => caller.shutdown().await.expect("sent"),
            Self::Fin => caller.get_mut().0.shutdown().await.expect("sent"),
            Self::Rst => {
                socket2::SockRef::from(caller.get_ref().0).set_linger(Some(Duration::ZERO)).expect("open");
                return None;
            }
        }
        Some(caller)
    }
}

#[tokio::test]
async fn to_hang_up_ends_the_check() {
    let pki = Pki::new();
    let app = pki.builder().start().await;
    for leave in [Leave::CloseNotify, Leave::Fin, Leave::Rst] {
        for protocol in ["http/1.1", "h2"] {
            let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
            let body = with_defaults(json!({"port": silent.port(), "timeout_ms": 60_000}));
            let mut caller = pki.connect(&app, &[protocol.as_bytes()]).await;
            caller.write_all(&request(protocol, &body.to_string())).await.expect("sent");
            silent.wait_for_open(1).await;
            let kept = leave.go(caller).await;
            let session = timeout(WAIT_TIMEOUT, silent.next_session()).await.expect("the check ends with its caller");
            assert!(matches!(session.end, End::Eof | End::Reset), "{leave:?} {protocol}: {:?}", session.end);
            drop(kept);
        }
    }
    timeout(WAIT_TIMEOUT, app.lifecycle.idle()).await.expect("over");
}

/// The request for a check, over HTTP/1.1 or HTTP/2.
fn request(protocol: &str, body: &str) -> Vec<u8> {
    if protocol == "http/1.1" {
        let head = "POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        return format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // `POST` and `https` are entries of HPACK's static table; path, authority and content type are literals (RFC 7541,
    // appendix A).
    let mut header = vec![0x83, 0x87];
    for (name, value) in [(&[0x04][..], "/v1/checks/smtp"), (&[0x01], "x"), (&[0x0f, 0x10], "application/json")] {
        header.extend_from_slice(name);
        header.push(value.len() as u8);
        header.extend(value.bytes());
    }
    bytes.extend([0, 0, header.len() as u8, 0x01, 0x04, 0, 0, 0, 1]);
    bytes.extend(header);
    bytes.extend([0, 0, body.len() as u8, 0x00, 0x01, 0, 0, 0, 1]);
    bytes.extend(body.bytes());
    bytes
}
