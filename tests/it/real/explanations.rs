//! What the explanations say of the refusals of real servers.

use serde_json::{Value, json};

use super::{Certificate, login, with};
use crate::support::{
    app::TestApp,
    mta::{Exim, Postfix},
    pki::{Ca, Leaf},
};

#[track_caller]
fn assert_explained(report: &Value, texts: &[&str]) {
    let explanation = report["failure"]["explanation"].as_str().unwrap_or_default();
    assert!(texts.iter().all(|text| explanation.contains(text)), "{texts:?} in {explanation:?}: {report:#}");
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().expect("findings").iter().filter_map(|finding| finding["id"].as_str()).collect()
}

#[tokio::test]
async fn refusals_of_postfix() {
    let certificate = Certificate::valid();
    let app = TestApp::builder().trust(&certificate.ca).start();
    let (app, postfix) = tokio::join!(app, Postfix::start(Some(&certificate.files)));
    let plain = postfix.plain();
    let long = format!("Subject: long\n\n{}", "x\n".repeat(2000));
    let wrong = json!({"sasl_password": "wrong horse"});
    for (parameters, texts) in [
        (json!({"port": plain, "to": "greylisted@example.test"}), &["uses greylisting", "in 5 minutes"][..]),
        (json!({"port": plain, "to": "nobody@example.test"}), &["knows no mailbox nobody@example.test"]),
        (json!({"port": plain, "to": "a@elsewhere.test"}), &["does not relay"]),
        (json!({"port": postfix.small(), "payload": long}), &["too large", "2048 octets"]),
        (json!({"port": postfix.strict()}), &["The server wants TLS before MAIL", "`starttls`"]),
        (json!({"port": plain, "starttls": true}), &["does not offer STARTTLS"]),
        (json!({"port": plain, "implicit_tls": true}), &["clear text", "220 mx.example.test ESMTP"]),
        (with(login(postfix.submission(), "plain"), wrong.clone()), &["refused the user name or the password"]),
        (with(login(postfix.submission(), "login"), wrong), &["refused the user name or the password"]),
        (with(login(postfix.submission(), "plain"), json!({"starttls": false})), &["AUTH", "inside TLS"]),
        (with(login(plain, "plain"), json!({"starttls": false})), &["AUTH", "inside TLS"]),
    ] {
        let report = app.check(parameters).await;
        assert_explained(&report, texts);
    }
    // TLS from the first byte: Postfix says nothing, whatever the port.
    let report = app.check(json!({"port": postfix.smtps(), "timeout_ms": 500})).await;
    assert_explained(&report, &["sent no greeting", "`implicit_tls`"]);
}

#[tokio::test]
async fn findings_about_postfix() {
    let expired = Leaf::for_name("elsewhere.test").expired();
    let certificate = Certificate::of(expired);
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(Some(&certificate.files)));
    let report = app.check(json!({"port": postfix.plain(), "to": "greylisted@example.test"})).await;
    assert_eq!(ids(&report), ["starttls.not_offered", "smtp.temporary_refusal"]);
    let report = app.check(json!({"port": postfix.strict(), "starttls": true})).await;
    assert_eq!(ids(&report), ["cert.expired", "cert.name_mismatch", "cert.untrusted"]);
    let report = app.check(json!({"port": postfix.strict(), "starttls": true, "tls_verify": "require"})).await;
    assert_explained(&report, &["is for elsewhere.test, not for 127.0.0.1", "The certificate expired on "]);
    assert_eq!(report["findings"][0]["severity"], "error");
}

#[tokio::test]
async fn refusals_of_exim() {
    let certificate = Certificate::valid();
    let (app, exim) = tokio::join!(TestApp::start(), Exim::start(Some(&certificate.files)));
    for (parameters, texts) in [
        (
            json!({"port": exim.plain(), "to": "nobody@example.test"}),
            &["Most likely", "no mailbox nobody@example.test"][..],
        ),
        (json!({"port": exim.plain(), "to": "a@elsewhere.test"}), &["does not relay"]),
        (json!({"port": exim.submission()}), &["Most likely", "wants a login"]),
        (
            with(login(exim.submission(), "plain"), json!({"sasl_password": "wrong horse"})),
            &["refused the user name or the password"],
        ),
    ] {
        assert_explained(&app.check(parameters).await, texts);
    }
    let other = Ca::new("another CA");
    let app = TestApp::builder().trust(&other).start().await;
    let required = json!({"port": exim.smtps(), "implicit_tls": true, "tls_verify": "require", "tls_server_name": "mx.example.test"});
    let report = app.check(required).await;
    assert_explained(&report, &["does not trust"]);
    assert_eq!(ids(&report), ["cert.untrusted"]);
}
