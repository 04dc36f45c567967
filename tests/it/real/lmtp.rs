//! Checks against Dovecot's LMTP server.

use serde_json::json;

use super::{Certificate, client_lines, not_ok, rejection};
use crate::support::{
    app::{TestApp, failure, phase_names},
    mta::{DovecotLmtp, HOST},
};

#[tokio::test]
async fn a_message_is_delivered_into_the_mail_store() {
    let certificate = Certificate::valid();
    let app = TestApp::builder().trust(&certificate.ca).start().await;
    let dovecot = DovecotLmtp::start(&certificate.files).await;
    for (starttls, verify) in [(json!(false), "record"), (json!(true), "require"), (json!("opportunistic"), "record")] {
        let subject = format!("by LMTP, {starttls}");
        let report = app
            .check(json!({"port": dovecot.port(), "protocol": "lmtp", "starttls": starttls, "tls_verify": verify,
                "tls_server_name": HOST, "payload": format!("Subject: {subject}\n\nhi"), "transcript": true}))
            .await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert!(not_ok(&report).is_empty(), "{report:#}");
        assert_eq!(client_lines(&report)[0], "LHLO noit.local");
        let has_tls = starttls != json!(false);
        assert_eq!((report["tls"]["verified"] == true, phase_names(&report).contains(&"ehlo_tls")), (has_tls, has_tls));
        let message = dovecot.delivered(&subject).await;
        assert!(message.contains("with LMTP") && message.ends_with("\nhi\n"), "{message}");
        // The message is in no queue: the id in the reply is that of the session, as in the trace.
        let id = report["queue_id"].as_str().expect("an id");
        assert!(message.split_whitespace().any(|word| word == id), "{id} in {message}");
    }
}

#[tokio::test]
async fn rejections_of_an_lmtp_server_are_reported() {
    let certificate = Certificate::valid();
    let (app, dovecot) = tokio::join!(TestApp::start(), DovecotLmtp::start(&certificate.files));
    let unknown = app.check(json!({"port": dovecot.port(), "protocol": "lmtp", "to": "nobody@example.test"})).await;
    assert_eq!(rejection(&unknown), json!(["rcptto", "rejected", false, 550, "5.1.1"]), "{unknown:#}");
    // It speaks no SMTP.
    let smtp = app.check(json!({"port": dovecot.port(), "stop_after": "ehlo"})).await;
    assert_eq!(failure(&smtp), ("ehlo", "rejected", false), "{smtp:#}");
}
