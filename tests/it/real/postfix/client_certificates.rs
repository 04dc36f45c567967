//! Client certificates of Postfix: `smtpd_tls_ask_ccert` on one port, `smtpd_tls_req_ccert` on another.

use serde_json::{Value, json};

use super::Certificate;
use crate::support::{
    app::{TestApp, failure},
    mta::{HOST, Postfix},
    pki::{Ca, Leaf},
    temp_dir::TempDir,
};

/// Postfix requires the certificate where TLS is mandatory, and asks for one elsewhere.
async fn asking(certificate: &Certificate, authority: &Ca, scratch: &TempDir) -> Postfix {
    let file = authority.write_pem(scratch.path());
    let settings = format!(
        "smtpd_tls_ask_ccert = yes\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = {}\n# Nothing is resumed.\n\
         smtpd_tls_session_cache_database =\n",
        file.display()
    );
    Postfix::start_with(&certificate.files, &settings).await
}

fn shown(report: &Value) -> Value {
    report["tls"]["client_certificate"].clone()
}

#[tokio::test]
async fn a_certificate_is_shown_accepted_and_refused_in_both_versions() {
    let (certificate, scratch) = (Certificate::valid(), TempDir::new());
    let (authority, stranger) = (Ca::new("Partner CA"), Ca::new("Another CA"));
    let leaf = |name: &str| Leaf::for_name(name).client_only();
    let app = TestApp::builder()
        .client_certificate("partner", &authority.issue(leaf("partner.test")))
        .client_certificate("stranger", &stranger.issue(leaf("stranger.test")))
        .start();
    let (app, postfix) = tokio::join!(app, asking(&certificate, &authority, &scratch));
    let check = async |port: u16, name: Option<&str>, version: &str| {
        let is_smtps = port == postfix.smtps();
        app.check(
            json!({"to": null, "port": port, "implicit_tls": is_smtps, "starttls": !is_smtps, "tls_server_name": HOST,
            "tls_version": version, "tls_client_certificate": name, "stop_after": "ehlo"}),
        )
        .await
    };
    let mut trusted = 0;
    for version in ["1.2", "1.3"] {
        let report = check(postfix.smtps(), Some("partner"), version).await;
        assert_eq!((&report["outcome"], &report["warnings"]), (&json!("completed"), &json!([])), "{report:#}");
        assert_eq!(shown(&report), json!({"requested": true, "shown": "partner"}));
        trusted += 1;
        let lines = postfix.wait_for_log_lines("Trusted TLS connection established", trusted).await;
        assert!(lines[trusted - 1].contains(&format!("TLSv{version}")), "{lines:?}");

        // Postfix accepts every handshake, and says then what it thinks of the certificate.
        let report = check(postfix.smtps(), Some("stranger"), version).await;
        assert_eq!(failure(&report), ("banner", "rejected", true), "{report:#}");
        assert!(
            report["failure"]["message"].as_str().is_some_and(|text| text.contains("certificate not trusted")),
            "{report:#}"
        );
        assert_eq!(shown(&report), json!({"requested": true, "shown": "stranger"}));

        let report = check(postfix.smtps(), None, version).await;
        assert_eq!(failure(&report), ("banner", "rejected", true), "{report:#}");
        let message = report["failure"]["message"].as_str().expect("a text");
        assert!(message.contains("No client certificate presented"), "{message}");
        assert_eq!(shown(&report), json!({"requested": true, "shown": null}));
    }
    let starttls = json!({"port": postfix.submission(), "starttls": true, "tls_server_name": HOST,
        "stop_after": "starttls"});
    for (name, requested) in [
        (None, json!({"requested": true, "shown": null})),
        (Some("partner"), json!({"requested": true, "shown": "partner"})),
    ] {
        let mut parameters = starttls.clone();
        parameters["tls_client_certificate"] = json!(name);
        let report = app.check(parameters).await;
        assert_eq!((&report["outcome"], shown(&report)), (&json!("completed"), requested), "{report:#}");
    }
}
