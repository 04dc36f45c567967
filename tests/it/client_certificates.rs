//! Client certificates: what a server that asks for one is shown, what the report says of it, and the settings file.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio_rustls::rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use super::support::{
    app::{TestApp, failure},
    pki::{Asks, Ca, Identity, Leaf},
    program::{ServiceProcess, code, program, status_and_json, stderr},
    smtpd::{Action, Gate, Script, SmtpServer, Step},
    temp_dir::TempDir,
};

const VERSIONS: [(&SupportedProtocolVersion, &str); 2] = [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")];

fn client(ca: &Ca, name: &str) -> Identity {
    ca.issue(Leaf::for_name(name).client_only())
}

/// A server with one version of TLS that asks for a certificate of this authority.
fn asking(version: &'static SupportedProtocolVersion, ca: &Ca, asks: Asks) -> Script {
    let identity = Ca::new("Server CA").issue(Leaf::for_name("mx.test"));
    Script::compliant().with_starttls(identity.server_config_asking(&[version], ca, asks))
}

async fn check(app: &TestApp, server: &SmtpServer, name: Option<&str>) -> Value {
    app.check(json!({"port": server.port(), "starttls": true, "tls_client_certificate": name})).await
}

fn requested_and_shown(report: &Value) -> (&Value, &Value) {
    let certificate = &report["tls"]["client_certificate"];
    (&certificate["requested"], &certificate["shown"])
}

/// The explanation has this text, and STARTTLS is found to fail.
#[track_caller]
fn assert_explained(report: &Value, text: &str) {
    let explanation = report["failure"]["explanation"].as_str().unwrap_or_default();
    assert!(explanation.contains(text), "{explanation}");
    assert_eq!(
        (&report["findings"][0]["id"], &report["findings"][0]["severity"]),
        (&json!("starttls.failed"), &json!("error"))
    );
}

#[tokio::test]
async fn a_server_that_asks_is_shown_the_named_certificate() {
    let ca = Ca::new("Partner CA");
    let identity = client(&ca, "partner.test");
    let app = TestApp::builder().client_certificate("partner", &identity).start().await;
    for (version, name) in VERSIONS {
        for asks in [Asks::Optional, Asks::Required] {
            let server = SmtpServer::serve(asking(version, &ca, asks));
            let report = check(&app, &server, Some("partner")).await;
            assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
            assert_eq!(report["tls"]["version"], name);
            assert_eq!(requested_and_shown(&report), (&json!(true), &json!("partner")));
            let seen = server.next_session().await.tls.and_then(|tls| tls.client_certificate);
            assert_eq!(seen.as_deref(), Some(&identity.chain[0][..]));
        }
    }
}

/// In TLS 1.2 the refusal ends the handshake, in TLS 1.3 it comes after it (RFC 8446, section 4.4.2.4).
#[tokio::test]
async fn a_refused_certificate_is_not_called_a_missing_one() {
    let identity = client(&Ca::new("Another CA"), "stranger.test");
    let app = TestApp::builder().client_certificate("stranger", &identity).start().await;
    for ((version, _), phase) in VERSIONS.into_iter().zip(["tls", "ehlo_tls"]) {
        let server = SmtpServer::serve(asking(version, &Ca::new("Partner CA"), Asks::Required));
        let report = check(&app, &server, Some("stranger")).await;
        assert_eq!(failure(&report), (phase, "tls", false), "{report:#}");
        let message = "the server refused the client certificate that it was shown (alert unknown_ca)";
        assert_eq!(report["failure"]["message"], message);
        assert_explained(&report, "after it was shown the client certificate");
        assert_eq!(requested_and_shown(&report), (&json!(true), &json!("stranger")));
    }
}

#[tokio::test]
async fn a_check_without_a_certificate_tells_that_one_was_asked_for() {
    let (app, ca) = (TestApp::start().await, Ca::new("Partner CA"));
    for ((version, _), phase) in VERSIONS.into_iter().zip(["tls", "ehlo_tls"]) {
        let server = SmtpServer::serve(asking(version, &ca, Asks::Optional));
        let report = check(&app, &server, None).await;
        assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
        assert_eq!(requested_and_shown(&report), (&json!(true), &json!(null)));
        assert_eq!(server.next_session().await.tls.and_then(|tls| tls.client_certificate), None);

        let server = SmtpServer::serve(asking(version, &ca, Asks::Required));
        let report = check(&app, &server, None).await;
        assert_eq!(failure(&report), (phase, "tls", false), "{report:#}");
        let message = report["failure"]["message"].as_str().expect("a text");
        assert!(message.contains("asked for a client certificate, which this client does not have"), "{message}");
        assert_explained(&report, "was shown none");
        assert_eq!(requested_and_shown(&report), (&json!(true), &json!(null)));
    }
}

/// A server that closes the session in place of its reply, with no alert, may have another reason.
#[tokio::test]
async fn a_server_that_asked_and_then_closes_is_explained() {
    let (ca, identity) = (Ca::new("Partner CA"), Ca::new("Server CA").issue(Leaf::for_name("mx.test")));
    let app = TestApp::builder().client_certificate("partner", &client(&ca, "partner.test")).start().await;
    for (version, _) in VERSIONS {
        for (name, text) in [(None, "was shown none"), (Some("partner"), "after it was shown the client certificate")] {
            let closing = asking(version, &ca, Asks::Optional).on(Step::EhloTls, Action::close());
            let report = check(&app, &SmtpServer::serve(closing), name).await;
            assert_eq!(failure(&report), ("ehlo_tls", "closed", true), "{report:#}");
            let explanation = report["failure"]["explanation"].as_str().unwrap_or_default();
            assert!(explanation.contains(text) && explanation.contains("most likely"), "{report:#}");
            let found = report["findings"].as_array().expect("findings").iter();
            let found = found.filter(|one| one["id"] == "starttls.failed" && one["severity"] == "inconclusive");
            assert_eq!(found.count(), 1, "{report:#}");
        }
    }
    // A server that did not ask.
    let closing = Script::compliant().with_starttls(&identity).on(Step::EhloTls, Action::close());
    let report = check(&app, &SmtpServer::serve(closing), None).await;
    assert_eq!(report["failure"]["explanation"], json!(null), "{report:#}");
    assert!(!report["findings"].to_string().contains("starttls.failed"), "{report:#}");
}

#[tokio::test]
async fn a_certificate_that_was_not_shown_has_a_warning() {
    let ca = Ca::new("Partner CA");
    let app = TestApp::builder().client_certificate("partner", &client(&ca, "partner.test")).start().await;
    let silent = SmtpServer::serve(Script::compliant().with_starttls(ca.issue(Leaf::for_name("mx.test"))));
    let report = check(&app, &silent, Some("partner")).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let warning = "the server did not ask for a client certificate: `partner` was not shown";
    assert_eq!(report["warnings"], json!([warning]));
    assert_eq!(requested_and_shown(&report), (&json!(false), &json!(null)));

    for ((version, _), phase) in VERSIONS.into_iter().zip(["tls", "ehlo_tls"]) {
        let server = SmtpServer::serve(asking(version, &ca, Asks::OnlyRsa));
        let report = check(&app, &server, Some("partner")).await;
        assert_eq!(failure(&report), (phase, "tls", false), "{report:#}");
        let message = report["failure"]["message"].as_str().expect("a text");
        assert!(message.contains("no signature algorithm of the key that this client has"), "{message}");
        assert_eq!(requested_and_shown(&report), (&json!(true), &json!(null)));
    }
}

#[tokio::test]
async fn an_unknown_name_is_refused_and_the_known_ones_are_not_told() {
    let app = TestApp::builder().client_certificate("partner", &client(&Ca::new("CA"), "a.test")).start().await;
    for name in ["Partner", "partne", "", "../partner"] {
        let answer = app
            .post(&json!({"to": "a@b.test", "target": "127.0.0.1", "starttls": true, "tls_client_certificate": name}))
            .await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/tls_client_certificate".to_owned()]));
        assert!(!String::from_utf8_lossy(&answer.body).contains("`partner`"), "{:?}", answer.body);
    }
}

/// A settings file with a module and the client certificate `partner`.
fn settings(scratch: &TempDir, module: &str, chain: &Path, key: &Path) -> String {
    let (chain, key) = (chain.display(), key.display());
    let text = format!(
        "[modules.{module}]\nstarttls = true\ntls_client_certificate = 'partner'\nstop_after = 'starttls'\n\
         [client_certificates.partner]\ncert = '{chain}'\nkey = '{key}'\n"
    );
    scratch.write("settings.toml", text.as_bytes()).to_str().expect("UTF-8").to_owned()
}

/// Files of keys that are encrypted, in both forms, and of none that is known.
fn unusable_keys(scratch: &TempDir) -> [PathBuf; 3] {
    let encrypted = scratch
        .write("encrypted", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nkestrel\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let old_form = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nkestrel\n\
                     -----END RSA PRIVATE KEY-----\n";
    let old_form = scratch.write("old-form", old_form);
    let unknown = scratch.write("unknown", b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    [encrypted, old_form, unknown]
}

#[test]
fn a_bad_certificate_stops_the_start_and_names_its_table() {
    let (scratch, ca) = (TempDir::new(), Ca::new("CA"));
    let files = client(&ca, "partner.test").write_pem(scratch.path());
    let other = TempDir::new();
    let others = client(&ca, "other.test").write_pem(other.path());
    let secret = scratch.write("secret", b"-----BEGIN PRIVATE KEY-----\nkestrel-nine\n-----END PRIVATE KEY-----\n");
    let [encrypted, old_form, unknown] = unusable_keys(&scratch);
    let missing = scratch.path().join("missing.pem");
    let run = |path: &str| program(&["--config", path, "--listen=127.0.0.1:0"]).output().expect("the program starts");
    for (chain, key, named) in [
        (&missing, &files.key, ["`cert`", "missing.pem", "No such file"]),
        (&files.chain, &missing, ["`key`", "missing.pem", "No such file"]),
        (&files.key, &files.key, ["`cert`", "key.pem", "there is no certificate in it"]),
        (&files.chain, &files.chain, ["`key`", "chain.pem", "there is no private key in it"]),
        (&files.chain, &others.key, ["`key`", "key.pem", "it is not the key of the certificate"]),
        (&files.chain, &secret, ["`key`", "secret", "it is not PEM"]),
        (&files.chain, &encrypted, ["`key`", "encrypted", "it is encrypted; what is needed is a key without"]),
        (&files.chain, &old_form, ["`key`", "old-form", "it is encrypted; what is needed is a key without"]),
        (&files.chain, &unknown, ["`key`", "unknown", "no valid key of a supported kind: RSA of 2048 to 8192 bits"]),
        (&files.chain, &scratch.path().to_owned(), ["`key`", "", "it is no regular file"]),
    ] {
        let path = settings(&scratch, "mx", chain, key);
        let output = run(&path);
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{complaint}");
        for part in named.iter().chain(&[path.as_str(), "[client_certificates.partner]"]) {
            assert!(complaint.contains(part), "{part} in {complaint}");
        }
        assert!(!complaint.contains("kestrel"), "{complaint}");
    }
    for (text, named) in [
        ("[client_certificates.x]\nkey = 'kestrel'", "[client_certificates.x] `cert` is required"),
        ("[client_certificates.x]\ncert = 'a'\nkey = ['kestrel']", "[client_certificates.x] `key` must be a string"),
        ("[client_certificates]\nx = 'kestrel'", "`client_certificates.x`: must be a table"),
        ("client_certificates = 'kestrel'", "`client_certificates`: must be a table"),
        ("[client_certificates.'a b']\ncert = 'a'\nkey = 'b'", "[client_certificates.a b] its name has 1 to 64"),
        ("[client_certificate.x]\ncert = 'a'", "did you mean `[client_certificates.NAME]`?"),
        (
            "[modules.mx]\nstarttls = true\ntls_client_certificate = 'x'",
            "[modules.mx] `tls_client_certificate` is no name",
        ),
    ] {
        let file = scratch.write("settings.toml", text.as_bytes());
        let output = run(file.to_str().expect("UTF-8"));
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{complaint}");
        assert!(complaint.contains(named) && !complaint.contains("kestrel"), "{named} in {complaint}");
    }
}

/// What the next session of the server was shown.
async fn seen(server: &SmtpServer) -> Option<Vec<u8>> {
    server.next_session().await.tls.and_then(|tls| tls.client_certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_certificates_and_modules_again_or_neither() {
    let (scratch, ca) = (TempDir::new(), Ca::new("Partner CA"));
    let [old, new] = ["old.test", "new.test"].map(|name| client(&ca, name));
    let files = old.write_pem(scratch.path());
    let path = settings(&scratch, "one", &files.chain, &files.key);
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--config", &path]));
    let server = SmtpServer::serve(asking(&TLS13, &ca, Asks::Required));
    let probe = |module: &str| {
        let answer = served.get(&format!("/probe?module={module}&target=127.0.0.1:{}", server.port()), "");
        (answer.starts_with("HTTP/1.1 200 "), answer.contains("\nprobe_success 1.0\n"))
    };
    assert_eq!((probe("one"), seen(&server).await.as_deref()), ((true, true), Some(&old.chain[0][..])));

    // A check that runs keeps the certificate that it began with.
    let gate = Gate::default();
    let gated = asking(&TLS13, &ca, Asks::Required).with_greeting(Action::reply("220 mx.test\r\n").after_gate(&gate));
    let gated = SmtpServer::serve(gated);
    let parameters = json!({"to": "a@b.test", "target": "127.0.0.1", "port": gated.port(), "starttls": true,
        "tls_client_certificate": "partner"});
    let mut running = served.start_check("", &parameters);
    gated.wait_for_held(1).await;

    new.write_pem(scratch.path());
    settings(&scratch, "two", &files.chain, &files.key);
    served.signal("HUP");
    let read = served.wait_for_log("modules read again");
    assert_eq!((&read["names"], &read["client_certificates"]), (&json!("default two"), &json!("partner")));
    assert_eq!(probe("one"), (false, false));
    assert_eq!((probe("two"), seen(&server).await.as_deref()), ((true, true), Some(&new.chain[0][..])));

    gate.open();
    let mut answer = String::new();
    running.read_to_string(&mut answer).expect("an answer");
    let (status, report) = status_and_json(&answer);
    assert_eq!((status, &report["outcome"]), (200, &json!("delivered")), "{report:#}");
    assert_eq!(seen(&gated).await.as_deref(), Some(&old.chain[0][..]));

    // A good certificate with a bad module, and a good module with a bad certificate: neither counts.
    old.write_pem(scratch.path());
    let good = std::fs::read_to_string(settings(&scratch, "three", &files.chain, &files.key)).expect("written");
    let bad_module = good.replace("stop_after", "stop_atfer");
    let bad_key = good.replace("key.pem", "chain.pem");
    for (text, named) in [(bad_module, "`stop_atfer`"), (bad_key, "[client_certificates.partner] `key`")] {
        scratch.write("settings.toml", text.as_bytes());
        served.signal("HUP");
        let kept = served.wait_for_log("modules not read again");
        assert!(kept["error"].as_str().is_some_and(|error| error.contains(named)), "{kept}");
        assert_eq!(probe("three"), (false, false));
        assert_eq!((probe("two"), seen(&server).await.as_deref()), ((true, true), Some(&new.chain[0][..])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_shows_a_certificate_of_the_settings_file() {
    let (scratch, ca) = (TempDir::new(), Ca::new("Partner CA"));
    let identity = client(&ca, "partner.test");
    let files = identity.write_pem(scratch.path());
    let path = settings(&scratch, "mx", &files.chain, &files.key);
    // The files of a table that the check does not name are not read.
    let text = std::fs::read_to_string(&path).expect("written");
    scratch.write(
        "settings.toml",
        (text + "[client_certificates.other]\ncert = '/missing'\nkey = '/missing'\n").as_bytes(),
    );
    let server = SmtpServer::serve(asking(&TLS12, &ca, Asks::Required));
    let port = format!("--port={}", server.port());
    let run = |name: &str| {
        let name = format!("--tls-client-certificate={name}");
        let arguments = ["run", "--config", &path, "--to=a@b.test", "--target=127.0.0.1", &port, "--starttls", &name];
        program(&arguments).output().expect("the program starts")
    };
    let output = run("partner");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((code(&output), requested_and_shown(&report)), (0, (&json!(true), &json!("partner"))), "{report:#}");
    assert_eq!(seen(&server).await.as_deref(), Some(&identity.chain[0][..]));

    for (name, named) in [("others", "--tls-client-certificate: is no name"), ("other", "[client_certificates.other]")]
    {
        let output = run(name);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}
