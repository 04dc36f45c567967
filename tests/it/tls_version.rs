//! `tls_version`: the only version of TLS that is offered to the server.

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure},
    pki::{Ca, Leaf},
    smtpd::{Script, SmtpServer},
};

#[tokio::test]
async fn a_version_is_a_text() {
    let app = TestApp::start().await;
    for (given, detail) in [
        (json!(1.2), "must be a text, in quotes: \"1.2\""),
        (json!(1.1), "must be one of any, 1.2, 1.3"),
        (json!("1.1"), "must be one of any, 1.2, 1.3"),
    ] {
        let answer = app.post(&json!({"to": "a@b.test", "target": "127.0.0.1", "tls_version": given})).await;
        let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/tls_version".to_owned()]));
        assert_eq!(problem["errors"][0]["detail"], detail, "{problem:#}");
    }
}

#[tokio::test]
async fn only_the_given_version_is_offered() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (offered, version) in [("any", "TLSv1.3"), ("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let server = SmtpServer::serve(Script::compliant().with_starttls(&identity));
        let report = app.check(json!({"port": server.port(), "starttls": true, "tls_version": offered})).await;
        assert_eq!((&report["outcome"], &report["tls"]["version"]), (&json!("delivered"), &json!(version)));
        assert_eq!(report["warnings"], json!([]));
    }
}

#[tokio::test]
async fn a_server_without_the_version_is_not_called_too_old() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for (offered, config, name) in
        [("1.2", identity.server_config_tls13(), "TLS 1.2"), ("1.3", identity.server_config_tls12(), "TLS 1.3")]
    {
        for starttls in [true, false] {
            let script = Script::compliant();
            let script =
                if starttls { script.with_starttls(config.clone()) } else { script.with_implicit_tls(config.clone()) };
            let server = SmtpServer::serve(script);
            let parameters = json!({"port": server.port(), "starttls": starttls, "implicit_tls": !starttls,
                "tls_version": offered});
            let report = app.check(parameters).await;
            assert_eq!(failure(&report), ("tls", "tls", false), "{report:#}");
            let message = format!("the server does not support {name}, the only version of TLS that this check offers");
            assert_eq!(report["failure"]["message"], message);
            let explanation = report["failure"]["explanation"].as_str().expect("a text");
            assert!(explanation.contains("`tls_version`") && !explanation.contains("old"), "{explanation}");
            assert!(
                report["findings"].as_array().is_some_and(|all| all.iter().all(|one| one["id"] != "starttls.failed"))
            );
            assert_eq!(report["tls"], json!(null));
        }
    }
}

#[tokio::test]
async fn without_tls_the_parameters_of_tls_have_a_warning() {
    let server = SmtpServer::serve(Script::compliant());
    let client = Ca::new("CA").issue(Leaf::for_name("client.test").client_only());
    let app = TestApp::builder().client_certificate("partner", &client).start().await;
    let report =
        app.check(json!({"port": server.port(), "tls_version": "1.3", "tls_client_certificate": "partner"})).await;
    let warning = "`tls_version`, `tls_client_certificate` have no effect: without `starttls` or `implicit_tls` there \
                   is no TLS";
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([warning])), "{report:#}");
    let ends = json!({"to": null, "port": server.port(), "starttls": true, "tls_version": "1.2", "stop_after": "ehlo",
        "tls_client_certificate": "partner"});
    let warning = "`starttls`, `tls_version`, `tls_client_certificate` have no effect: with this `stop_after` the check \
                   ends before STARTTLS";
    assert_eq!(app.check(ends).await["warnings"], json!([warning]));
}
