//! Messages that a check builds and signs, and what the report says of them.

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure},
    dkim::{DkimKeys, KeyForm},
    program::{ServiceProcess, code, program, stderr},
    smtpd::{Script, Session, SmtpServer, Step},
    temp_dir::TempDir,
};

/// What the receiver makes of the octets of DATA (RFC 5321, section 4.5.2).
fn received(session: &Session) -> String {
    let wire = String::from_utf8(session.message.clone().expect("a message")).expect("UTF-8");
    wire.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect()
}

/// The header fields, unfolded, and the body.
fn parts(message: &str) -> (Vec<(String, String)>, &str) {
    let (headers, body) = message.split_once("\r\n\r\n").expect("a header section");
    let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = unfolded.split("\r\n").map(|line| line.split_once(": ").expect("a field"));
    (fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), body)
}

fn with(mut parameters: Value, more: &Value) -> Value {
    parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    parameters
}

#[tokio::test]
async fn a_message_is_built_and_reported() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    let parameters = json!({
        "port": server.port(), "from": "bounces@sender.test", "to": "to@mx.test",
        "message": {"subject": "Hello", "text": ".dot\n..two\nend", "headers": {"X-Purpose": "monitoring"}},
    });
    let report = app.check(parameters).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["warnings"], json!([]));
    let session = server.next_session().await;
    let message = received(&session);
    let (fields, body) = parts(&message);
    let id = report["id"].as_str().expect("an id");
    let message_id = format!("<{id}@sender.test>");
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    assert_eq!(field("From"), Some("<bounces@sender.test>"));
    assert_eq!(field("To"), Some("<to@mx.test>"));
    assert_eq!((field("Subject"), field("X-Purpose")), (Some("Hello"), Some("monitoring")));
    assert_eq!((field("Message-ID"), field("X-Smtp-Check-Id")), (Some(&*message_id), Some(id)));
    assert_eq!(field("MIME-Version"), Some("1.0"));
    assert_eq!(body, ".dot\r\n..two\r\nend\r\n");
    assert_eq!(report["message"], json!({"message_id": message_id, "octets": message.len(), "dkim": null}));
}

#[tokio::test]
async fn a_payload_has_no_message_in_the_report() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    for more in [json!({"payload": "From: a@b.test\n\nx"}), json!({}), json!({"stop_after": "rcptto"})] {
        let report = app.check(with(json!({"port": server.port()}), &more)).await;
        assert_eq!(report["message"], json!(null), "{report:#}");
    }
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_smtputf8() {
    let app = TestApp::start().await;
    let check = |port: u16| json!({"port": port, "transcript": true, "message": {"text": "x", "from": "Jürgen <jürgen@bücher.test>"}});
    let server = SmtpServer::serve(Script::compliant().with_capabilities(&["8BITMIME", "SMTPUTF8"]));
    let report = app.check(check(server.port())).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let session = server.next_session().await;
    assert!(session.has_command("MAIL FROM:<> BODY=8BITMIME SMTPUTF8"), "{:?}", session.commands());
    let message = received(&session);
    assert!(message.starts_with("From: =?utf-8?Q?J=C3=BCrgen?= <jürgen@xn--bcher-kva.test>\r\n"), "{message}");
    assert_eq!(report["message"]["octets"], json!(message.len()));

    let server = SmtpServer::serve(Script::compliant().with_capabilities(&["8BITMIME"]));
    let report = app.check(check(server.port())).await;
    assert_eq!(failure(&report), ("mailfrom", "unsupported", false), "{report:#}");
    // A name is encoded, and a domain has A-labels.
    let parameters = json!({"port": server.port(), "message": {"text": "grün", "from": "Jürgen <j@bücher.test>"}});
    assert_eq!(app.check(parameters).await["outcome"], "delivered");
}

#[tokio::test]
async fn a_message_is_told_whether_it_was_taken_or_not() {
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::Ed25519);
    let app = TestApp::builder().dkim_key("ours", &keys).start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 No such user\r\n"));
    let parameters = json!({"port": server.port(), "from": "a@sender.test", "dkim": "ours", "message": {"text": "x"}});
    let report = app.check(parameters.clone()).await;
    assert_eq!(failure(&report), ("rcptto", "rejected", false), "{report:#}");
    let dkim = json!({"domain": "sender.test", "selector": "s1", "algorithm": "ed25519-sha256"});
    assert_eq!(report["message"]["dkim"], dkim);
    let report = app.check(with(parameters, &json!({"stop_after": "rcptto"}))).await;
    assert_eq!(report["message"], json!(null), "{report:#}");
    assert_eq!(report["warnings"], json!(["`message`, `dkim` have no effect: with `stop_after` no message is sent"]));
}

#[tokio::test]
async fn a_signed_payload_is_sent_behind_its_signature() {
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::RsaPkcs8(2048));
    let app = TestApp::builder().dkim_key("ours", &keys).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let payload = "From: a@sender.test\nMessage-ID: <own@sender.test>\n\nworld\n";
    let report = app.check(json!({"port": server.port(), "dkim": "ours", "payload": payload})).await;
    let message = received(&server.next_session().await);
    let (signature, rest) = message.split_at(message.find("From:").expect("a From"));
    assert!(signature.starts_with("DKIM-Signature: v=1; a=rsa-sha256; s=s1; d=sender.test;"), "{message}");
    assert_eq!(rest, format!("{}\r\n", payload.replace('\n', "\r\n")));
    let dkim = json!({"domain": "sender.test", "selector": "s1", "algorithm": "rsa-sha256"});
    let expected = json!({"message_id": "<own@sender.test>", "octets": message.len(), "dkim": dkim});
    assert_eq!(report["message"], expected, "{report:#}");
    let reproduce = &report["reproduce"];
    assert!(reproduce["smtp_check"].as_str().is_some_and(|line| line.contains(" --dkim ours ")), "{reproduce}");
    assert!(!reproduce.to_string().contains("DKIM-Signature"), "{reproduce}");
    assert_eq!(json!([reproduce["swaks"], reproduce["curl"]]), json!([null, null]));
}

#[tokio::test]
async fn violations_have_pointers_and_tell_no_names() {
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::Ed25519);
    let app = TestApp::builder().dkim_key("kestrel", &keys).start().await;
    let message =
        json!({"subject": "a\r\nBcc: x@y.test", "text": "x", "headers": {"X-A\r\nB": "x", "date": "x"}, "from": "x"});
    let answer =
        app.post(&json!({"to": "a@b.test", "target": "127.0.0.1", "message": message, "dkim": "kestre"})).await;
    let pointers = ["/message/subject", "/message/from", "/message/headers/X-A\r\nB", "/message/headers/date", "/dkim"];
    assert_eq!((answer.status.as_u16(), answer.pointers()), (422, pointers.map(str::to_owned).to_vec()));
    assert!(!String::from_utf8_lossy(&answer.body).contains("kestrel"), "{:?}", answer.body);
    // A member that is given twice could hide the one that counts.
    let body =
        r#"{"to": "a@b.test", "target": "127.0.0.1", "message": {"text": "x", "headers": {"X-A": "1", "X-A": "2"}}}"#;
    let request = axum::http::Request::post("/v1/checks/smtp")
        .header("content-type", "application/json")
        .header("host", "localhost");
    let answer = app.send(request.body(body.to_owned().into()).expect("a request")).await;
    assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/message".to_owned()]));
}

/// A settings file with a module of this name that sends a signed message.
fn settings(scratch: &TempDir, module: &str, keys: &DkimKeys) -> String {
    let text = format!(
        "[modules.{module}]\nto = 'to@mx.test'\nfrom = 'probe@sender.test'\ndkim = 'ours'\n[modules.{module}.message]\ntext = 'Hello'\n\
         headers = {{X-Module = '{module}'}}\n{}",
        keys.table("ours")
    );
    scratch.write("settings.toml", text.as_bytes()).to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_bad_key_stops_the_start_and_names_its_table() {
    let scratch = TempDir::new();
    let make = |form| DkimKeys::make(&scratch, "s1", form);
    let pem = |name: &str, kind: &str| {
        scratch.write(name, format!("-----BEGIN {kind}-----\na2VzdHJlbA==\n-----END {kind}-----\n").as_bytes());
    };
    pem("secret.pem", "PRIVATE KEY");
    pem("certificate.pem", "CERTIFICATE");
    pem("encrypted.pem", "ENCRYPTED PRIVATE KEY");
    let old_form =
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\na2VzdHJlbA==\n\
                     -----END RSA PRIVATE KEY-----\n";
    scratch.write("old-form.pem", old_form);
    scratch.write("text.pem", b"-----BEGIN PRIVATE KEY-----\nkestrel-nine\n-----END PRIVATE KEY-----\n");
    make(KeyForm::RsaPkcs8(1024));
    std::fs::rename(scratch.path().join("s1.pem"), scratch.path().join("weak.pem")).expect("a file");
    let run = |text: &str| {
        let file = scratch.write("settings.toml", text.as_bytes());
        let path = file.to_str().expect("UTF-8").to_owned();
        let output = program(&["--config", &path, "--listen=127.0.0.1:0"]).output().expect("the program starts");
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{complaint}");
        assert!(!complaint.contains("kestrel") && !complaint.contains("a2Vzd"), "{complaint}");
        assert!(complaint.contains(&path), "{complaint}");
        complaint
    };
    let good = make(KeyForm::Ed25519).table("x");
    for (from, to, named) in [
        ("s1.pem", "missing.pem", "missing.pem: No such file"),
        ("/s1.pem", "", "it is no regular file"),
        ("s1.pem", "secret.pem", "secret.pem: it is neither an RSA key of 2048 to 8192 bits"),
        ("s1.pem", "weak.pem", "weak.pem: it is neither an RSA key of 2048 to 8192 bits"),
        ("s1.pem", "certificate.pem", "certificate.pem: there is no private key in it"),
        ("s1.pem", "encrypted.pem", "encrypted.pem: it is encrypted; what is needed is a key without"),
        ("s1.pem", "old-form.pem", "old-form.pem: it is encrypted; what is needed is a key without"),
        ("s1.pem", "text.pem", "text.pem: it is not PEM"),
        ("'sender.test'", "'not a domain'", "`domain` must be a domain name"),
        ("'sender.test'", "''", "`domain` must be a string that is not empty"),
        ("'s1'", "'s1; x=y'", "`selector` must be labels"),
        ("'s1'", "1", "`selector` must be a string"),
        ("domain = 'sender.test'", "", "`domain` is required"),
        ("selector = 's1'", "", "`selector` is required"),
        ("selector = 's1'", "selector = 's1'\nkind = 'kestrel'", "has no key `kind`"),
        ("[dkim.x]", "[dkim.'a b']", "its name has 1 to 64"),
    ] {
        let complaint = run(&good.replacen(from, to, 1));
        assert!(complaint.contains("[dkim.") && complaint.contains(named), "{named} in {complaint}");
    }
    let unknown = format!("{good}[modules.mx]\nfrom = 'a@b.test'\ndkim = 'y'\nmessage = {{text = 'x'}}\n");
    assert!(
        run(&unknown).contains("[modules.mx] `dkim` is no name that the operator's settings file has under [dkim]")
    );
    let message = "[modules.mx]\nmessage = {headers = {Date = 'x'}}\n";
    let complaint = run(message);
    for named in
        ["`message` must have `text` or `html`", "`message/headers/Date` is set by", "`message/from` is required"]
    {
        assert!(complaint.contains(named), "{named} in {complaint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_keys_again_and_running_checks_go_on() {
    let scratch = TempDir::new();
    let old = DkimKeys::make(&scratch, "old", KeyForm::RsaPkcs1(2048));
    let new = DkimKeys::make(&scratch, "new", KeyForm::Ed25519);
    let path = settings(&scratch, "one", &old);
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--config", &path]));
    let server = SmtpServer::serve(Script::compliant());
    let probe = |module: &str| served.get(&format!("/probe?module={module}&target=127.0.0.1:{}", server.port()), "");
    let answer = probe("one");
    assert!(answer.contains("\nprobe_success 1.0\n"), "{answer}");
    let message = received(&server.next_session().await);
    assert!(message.contains("a=rsa-sha256; s=old; d=sender.test;") && message.contains("\r\nX-Module: one\r\n"));

    settings(&scratch, "two", &new);
    served.signal("HUP");
    let read = served.wait_for_log("modules read again");
    assert_eq!((&read["names"], &read["dkim"]), (&json!("default two"), &json!("ours")));
    assert!(probe("two").contains("\nprobe_success 1.0\n"));
    assert!(received(&server.next_session().await).contains("a=ed25519-sha256; s=new; d=sender.test;"));

    std::fs::write(&new.file, b"kestrel").expect("a file");
    settings(&scratch, "three", &new);
    served.signal("HUP");
    let kept = served.wait_for_log("modules not read again");
    let error = kept["error"].as_str().expect("a text");
    assert!(error.contains("[dkim.ours] `key`") && !error.contains("kestrel"), "{error}");
    assert!(probe("two").contains("\nprobe_success 1.0\n"));
    assert!(received(&server.next_session().await).contains("a=ed25519-sha256; s=new;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_takes_a_message_and_signs_it() {
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::Ed25519);
    let path = settings(&scratch, "mx", &keys);
    let message = scratch.write("message.json", br#"{"subject": "From a file", "text": "x"}"#);
    let server = SmtpServer::serve(Script::compliant());
    let port = format!("--port={}", server.port());
    let run = |more: &[&str]| {
        let arguments =
            ["run", "--config", &path, "--to=a@b.test", "--from=a@sender.test", "--target=127.0.0.1", &port];
        program(&[&arguments, more].concat()).output().expect("the program starts")
    };
    let file = format!("--message=@{}", message.display());
    for (message, subject) in [(&*file, "From a file"), (r#"--message={"subject": "A flag", "text": "x"}"#, "A flag")] {
        let output = run(&[message, "--dkim=ours"]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((code(&output), &report["message"]["dkim"]["selector"]), (0, &json!("s1")), "{report:#}");
        let session = server.next_session().await;
        assert!(received(&session).contains(&format!("\r\nSubject: {subject}\r\n")));
        let line = report["reproduce"]["smtp_check"].as_str().expect("a line");
        let given = format!("--message '{{\"subject\":\"{subject}\",\"text\":\"x\"}}'");
        assert!(line.contains(&given) && line.contains("--dkim ours"), "{line}");
    }
    for (more, named) in [
        (&["--message={}"][..], "--message: must have `text` or `html`"),
        (&["--message={\"text\": 5}"], "--message/text: must be a string"),
        (&["--message=x"], "--message: is not JSON"),
        (&["--message=@/missing"], "--message: /missing: "),
        (&["--dkim=ours"], "--dkim: needs `--message`, or a `--payload` with a header field From"),
        (&["--dkim=theirs", &file], "--dkim: is no name"),
        (&["--payload=From: a@b.test", &file], "--message: must not be given together with `--payload`"),
    ] {
        let output = run(more);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(named), "{named} in {}", stderr(&output));
    }
}
