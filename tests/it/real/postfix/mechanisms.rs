//! Every mechanism of AUTH, with Dovecot behind Postfix.

use serde_json::{Value, json};

use super::{Certificate, client_lines, login, not_ok, rejection, with};
use crate::support::{
    app::TestApp,
    introspection::Introspection,
    mta::{PASSWORD, Postfix, USER},
};

const TOKEN: &str = "ya29.a0AfH6SMBx-correct_horse";
const WRONG: &str = "ya29.a0AfH6SMBx-another_horse";

/// Mechanism, its name, and the secret that is right.
const MECHANISMS: [(&str, &str, &str); 6] = [
    ("plain", "PLAIN", PASSWORD),
    ("login", "LOGIN", PASSWORD),
    ("cram-md5", "CRAM-MD5", PASSWORD),
    ("scram-sha-256", "SCRAM-SHA-256", PASSWORD),
    ("xoauth2", "XOAUTH2", TOKEN),
    ("oauthbearer", "OAUTHBEARER", TOKEN),
];

async fn start() -> (TestApp, Postfix, Introspection, Certificate) {
    let certificate = Certificate::valid();
    let tokens = Introspection::start(TOKEN, USER).await;
    let app = TestApp::builder().trust(&certificate.ca).start();
    let (app, postfix) = tokio::join!(app, Postfix::start_with_tokens(&certificate.files, tokens.addr()));
    (app, postfix, tokens, certificate)
}

/// No secret is in the report, whether as it is or in base64.
fn assert_secretive(report: &Value, secret: &str) {
    super::assert_no_secret(report, secret);
    let lines = client_lines(report);
    let auth = lines.iter().position(|line| line.starts_with("AUTH ")).expect("AUTH");
    let end = lines.iter().position(|line| line.starts_with("MAIL ") || *line == "QUIT").expect("the next command");
    assert!(lines[auth + 1..end].iter().all(|line| *line == "***"), "{lines:#?}");
}

#[tokio::test]
async fn every_mechanism_logs_in_with_and_without_an_initial_response() {
    let (app, postfix, _tokens, _certificate) = start().await;
    for (mechanism, name, secret) in MECHANISMS {
        for initial_response in [false, true] {
            let more =
                json!({"sasl_password": secret, "sasl_initial_response": initial_response, "tls_verify": "require"});
            let report = app.check(with(login(postfix.submission(), mechanism), more)).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            assert!(not_ok(&report).is_empty());
            let goes_with_it = initial_response && !matches!(mechanism, "login" | "cram-md5");
            assert_eq!(report["sasl"], json!({"mechanism": name, "initial_response": goes_with_it}));
            assert_eq!(report["findings"], json!([]));
            let lines = client_lines(&report);
            let command = if goes_with_it { format!("AUTH {name} ***") } else { format!("AUTH {name}") };
            assert!(lines.contains(&&*command), "{lines:?}");
            assert_secretive(&report, secret);
            let queue_id = report["queue_id"].as_str().expect("a queue id");
            let line = postfix.wait_for_log(&format!("{queue_id}: client=")).await;
            assert!(line.ends_with(&format!("sasl_method={name}, sasl_username={USER}")), "{line}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_rejected_by_every_mechanism() {
    let (app, postfix, _tokens, _certificate) = start().await;
    for (mechanism, name, _) in MECHANISMS {
        let is_token = mechanism.contains("oauth");
        let wrong = if is_token { WRONG } else { "wrong horse, battery" };
        let more = json!({"sasl_password": wrong, "sasl_initial_response": true});
        let report = app.check(with(login(postfix.submission(), mechanism), more)).await;
        assert_eq!(rejection(&report), json!(["sasl_auth", "rejected", false, 535, "5.7.8"]), "{report:#}");
        assert_eq!(report["sasl"]["mechanism"], name);
        let warnings = report["warnings"].as_array().expect("warnings");
        let named: Vec<&str> = warnings.iter().filter_map(Value::as_str).collect();
        if is_token {
            assert!(named.iter().any(|text| text.starts_with("the server refused the token: {\"")), "{report:#}");
        } else {
            assert!(named.iter().all(|text| text.contains("`sasl_initial_response` has no effect")), "{report:#}");
        }
        assert_secretive(&report, wrong);
    }
}

#[tokio::test]
async fn auto_takes_the_best_that_dovecot_offers() {
    let (app, postfix, _tokens, _certificate) = start().await;
    let more = json!({"to": null, "stop_after": "sasl_auth"});
    let report = app.check(with(login(postfix.submission(), "auto"), more)).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert_eq!(report["sasl"], json!({"mechanism": "SCRAM-SHA-256", "initial_response": false}));
}
