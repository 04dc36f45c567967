//! DKIM signatures, verified by Exim when it receives the message, and by dkimpy as the message was delivered.

use serde_json::{Value, json};

use super::with;
use crate::support::{
    app::TestApp,
    dkim::{DOMAIN, DkimKeys, KeyForm},
    dns::{DnsServer, Zone},
    mta::Exim,
    temp_dir::TempDir,
};

/// What dkimpy says of a message with LF as its line ends.
fn dkimpy(keys: &DkimKeys, message: &[u8]) -> String {
    let message = String::from_utf8_lossy(message).replace('\n', "\r\n");
    keys.verified_by_dkimpy(&message, 0)
}

/// Messages that are hard to sign: each with whether it is a payload.
fn messages() -> Vec<Value> {
    let long = "A long line of a paragraph that nobody has wrapped. ".repeat(200);
    vec![
        json!({"message": {"subject": "Hello", "text": "Hello,\nworld\n"}}),
        json!({"message": {
            "subject": "Grüße aus dem Überwachungssystem ".repeat(5), "from": "Jürgen <probe@sender.test>",
            "text": ".\n..\n.dot\n\ttab \n  \n\n\n", "html": format!("<p>{long}</p>"), "reply_to": "noreply@sender.test",
            "headers": {"X-Purpose": "monitoring", "List-Unsubscribe": "<https://sender.test/unsubscribe>"},
        }}),
        json!({"message": {"text": ""}}),
        json!({"message": {"html": long}}),
        json!({"payload": "From: probe@sender.test\nSubject:  folded\n\t once \nMessage-ID: <a@sender.test>\n\n body  with \t space \n\n\n"}),
        json!({"payload": "From: probe@sender.test\n\n"}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn exim_and_dkimpy_verify_every_signature() {
    let scratch = TempDir::new();
    let keys = [
        ("rsa-sha256", DkimKeys::make(&scratch, "rsa1", KeyForm::RsaPkcs1(2048))),
        ("rsa-sha256", DkimKeys::make(&scratch, "20260101", KeyForm::RsaPkcs8(4096))),
        ("ed25519-sha256", DkimKeys::make(&scratch, "ed.x", KeyForm::Ed25519)),
    ];
    let zone = keys.iter().fold(Zone::new(), |zone, (_, keys)| zone.txt(&keys.record_name(), &keys.record));
    let dns = DnsServer::serve_on_port_53(zone);
    let app = keys.iter().fold(TestApp::builder(), |app, (_, keys)| app.dkim_key(&keys.selector, keys));
    let (app, exim) = tokio::join!(app.start(), Exim::start_with_dns(dns.addr().ip()));
    for (algorithm, keys) in &keys {
        let selector = &keys.selector;
        for message in messages() {
            let more = json!({"port": exim.plain(), "from": "probe@sender.test", "dkim": selector});
            let report = app.check(with(message, more)).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            let dkim = json!({"domain": DOMAIN, "selector": selector, "algorithm": algorithm});
            assert_eq!(report["message"]["dkim"], dkim, "{report:#}");
            let queue_id = report["queue_id"].as_str().expect("a queue id");
            let line = exim.wait_for_log(&format!("{queue_id} DKIM: d={DOMAIN} s={selector} ")).await;
            assert!(line.contains(&format!(" a={algorithm} ")), "{line}");
            assert!(line.contains("[verification succeeded]"), "{line}");
            let delivered = exim.delivered(queue_id).await.message;
            assert_eq!(dkimpy(keys, &delivered), "True", "{}", String::from_utf8_lossy(&delivered));
            // Exim writes an LF for each CR LF.
            let ends = delivered.iter().filter(|octet| **octet == b'\n').count();
            assert_eq!(report["message"]["octets"], json!(delivered.len() + ends));
        }
    }
    // What verifies anything verifies nothing.
    let changed = json!({"port": exim.plain(), "from": "probe@sender.test", "dkim": "rsa1", "message": {"text": "x"}});
    let report = app.check(changed).await;
    let delivered = exim.delivered(report["queue_id"].as_str().expect("a queue id")).await.message;
    let other = String::from_utf8_lossy(&delivered).replace("\n\nx\n", "\n\ny\n");
    let found = dkimpy(&keys[0].1, other.as_bytes());
    assert!(found.starts_with("body hash mismatch"), "{found}: {other}");
    assert!(dns.queries().iter().any(|(name, _)| name == "ed.x._domainkey.sender.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exim_refutes_a_signature_without_its_record() {
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::Ed25519);
    let other = TempDir::new();
    let wrong = DkimKeys::make(&other, "s1", KeyForm::Ed25519);
    let dns = DnsServer::serve_on_port_53(Zone::new().txt(&wrong.record_name(), &wrong.record));
    let (app, exim) =
        tokio::join!(TestApp::builder().dkim_key("ours", &keys).start(), Exim::start_with_dns(dns.addr().ip()));
    let check = json!({"port": exim.plain(), "from": "probe@sender.test", "dkim": "ours", "message": {"text": "x"}});
    let report = app.check(check).await;
    let queue_id = report["queue_id"].as_str().expect("a queue id");
    let line = exim.wait_for_log(&format!("{queue_id} DKIM: d=")).await;
    assert!(line.contains("[verification failed - signature did not verify"), "{line}");
}
