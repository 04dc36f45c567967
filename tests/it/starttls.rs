//! STARTTLS and implicit TLS: what is sent in clear text and what inside TLS, and that secrets are never in clear text.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    dns::{DnsServer, Zone},
    pki::{Ca, Identity, Leaf},
    smtpd::{Action, End, Script, SmtpServer, Step},
};

fn identity() -> Identity {
    Ca::new("Test CA").issue(Leaf::for_name("mx.test"))
}

#[tokio::test]
async fn a_message_is_delivered_inside_tls() {
    let server = SmtpServer::serve(Script::compliant().with_starttls(identity()));
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": true})).await;

    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let expected =
        ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls", "mailfrom", "rcptto", "data", "body", "quit"];
    assert_eq!(phase_names(&report), expected);
    for phase in report["phases"].as_array().expect("phases") {
        assert_eq!(phase["ok"], true, "{phase}");
        let name = phase["name"].as_str().expect("a name");
        assert_eq!(report["metrics"][format!("{name}_time")], phase["time_ms"]);
    }
    let session = server.next_session().await;
    assert_eq!(session.commands_in_clear(), ["EHLO noit.local", "STARTTLS"]);
    let inside = ["EHLO noit.local", "MAIL FROM:<>", "RCPT TO:<probe@example.test>", "DATA", "QUIT"];
    assert_eq!(session.commands()[2..], inside);
    assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
}

#[tokio::test]
async fn a_message_is_delivered_by_implicit_tls() {
    let server = SmtpServer::serve(Script::compliant().with_implicit_tls(identity()));
    let report = TestApp::start().await.check(json!({"port": server.port(), "implicit_tls": true})).await;

    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let expected = ["connect", "tls", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"];
    assert_eq!(phase_names(&report), expected);
    let metrics = report["metrics"].as_object().expect("metrics");
    assert!(!metrics.contains_key("starttls_time") && !metrics.contains_key("ehlo_tls_time"), "{report:#}");
    let session = server.next_session().await;
    assert!(session.commands_in_clear().is_empty(), "{session:?}");
    assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
}

#[tokio::test]
async fn a_rejected_starttls_never_continues_in_clear_text() {
    let app = TestApp::start().await;
    for (reply, code, temporary) in [
        ("454 4.7.0 TLS not available\r\n", 454, true),
        ("502 5.5.1 Not implemented\r\n", 502, false),
        ("250 2.0.0 Whatever\r\n", 250, false),
    ] {
        let compliant = Script::compliant().with_starttls(identity()).with_credentials("user", "correct horse");
        let server = SmtpServer::serve(compliant.on(Step::StartTls, reply));
        let report = app
            .check(json!({"port": server.port(), "starttls": true,
                "sasl_authentication": "plain", "sasl_user": "user", "sasl_password": "correct horse"}))
            .await;
        assert_eq!(failure(&report), ("starttls", "rejected", temporary), "{report:#}");
        assert_eq!(report["failure"]["code"], code);
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "starttls", "quit"]);
        assert_eq!((&report["tls"], &report["metrics"]["cert_error"]), (&json!(null), &json!(null)));
        assert_eq!(server.next_session().await.commands(), ["EHLO noit.local", "STARTTLS", "QUIT"]);
    }
}

#[tokio::test]
async fn starttls_is_tried_though_it_is_not_offered() {
    let app = TestApp::start().await;
    let refusing = SmtpServer::serve(Script::compliant());
    let report = app.check(json!({"port": refusing.port(), "starttls": true})).await;
    assert_eq!(failure(&report), ("starttls", "rejected", false), "{report:#}");
    assert_eq!(report["failure"]["code"], 502);

    let upgrading = Action::reply("220 2.0.0 Surprise\r\n").then_tls(identity());
    let server = SmtpServer::serve(Script::compliant().on(Step::StartTls, upgrading));
    let report = app.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["capabilities"]["before_tls"].get("STARTTLS"), None);
    assert_eq!(server.next_session().await.commands_in_clear(), ["EHLO noit.local", "STARTTLS"]);
}

#[tokio::test]
async fn bytes_after_the_starttls_reply_are_not_carried_into_tls() {
    let injected = Action::reply("220 2.0.0 Go\r\n250-mx.test\r\n250 X-INJECTED\r\n").then_tls(identity());
    let server = SmtpServer::serve(Script::compliant().on(Step::StartTls, injected));
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!(failure(&report), ("starttls", "protocol", false), "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "starttls"]);
    assert_eq!(report["phases"][3]["ok"], false);
    assert!(!report.to_string().contains("X-INJECTED"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_text_instead_of_implicit_tls_fails_the_handshake() {
    let server = SmtpServer::serve(Script::compliant());
    let app = TestApp::start().await;
    // It is chance whether the greeting arrives before the handshake begins.
    for _ in 0..200 {
        let report = app.check(json!({"port": server.port(), "implicit_tls": true})).await;
        assert_eq!(failure(&report), ("tls", "tls", false), "{report:#}");
        assert_eq!(phase_names(&report), ["connect", "tls", "banner"], "{report:#}");
        assert_eq!(report["tls"], json!(null));
        assert_eq!(report["metrics"].get("banner_time"), None);
    }
}

#[tokio::test]
async fn capabilities_before_and_after_tls_are_reported_apart() {
    let before = "250-mx.test at your service\r\n250-size 10240000\r\n250-X-UNKNOWN  two  words\r\n250-AUTH=LOGIN\r\n\
                  250-\r\n250-AUTH PLAIN\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n";
    let inside = "250-mx.test at your service\r\n250-XCLIENT NAME ADDR\r\n250 SIZE\r\n";
    let script = Script::compliant().with_starttls(identity()).on(Step::Ehlo, before).on(Step::EhloTls, inside);
    let server = SmtpServer::serve(script);
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!(
        report["capabilities"],
        json!({
            "before_tls": {"SIZE": "10240000", "X-UNKNOWN": "two  words", "AUTH=LOGIN": "", "AUTH": "PLAIN LOGIN", "STARTTLS": ""},
            "after_tls": {"XCLIENT": "NAME ADDR", "SIZE": ""},
        })
    );
}

#[tokio::test]
async fn capabilities_are_assigned_to_their_side_of_the_handshake() {
    let app = TestApp::start().await;
    let ehlo = "250-mx.test\r\n250 X-HELLO\r\n";
    let offered = json!({"X-HELLO": ""});
    let cases: [(Script, Value, Value); 4] = [
        (Script::compliant(), json!({}), json!({"before_tls": offered, "after_tls": null})),
        (
            Script::compliant().with_implicit_tls(identity()),
            json!({"implicit_tls": true}),
            json!({"before_tls": null, "after_tls": offered}),
        ),
        (
            Script::compliant().on(Step::StartTls, "454 no\r\n"),
            json!({"starttls": true}),
            json!({"before_tls": offered, "after_tls": null}),
        ),
        (
            Script::compliant().with_starttls(identity()).on(Step::EhloTls, "250 mx.test\r\n"),
            json!({"starttls": true}),
            json!({"before_tls": offered, "after_tls": {}}),
        ),
    ];
    for (script, mut parameters, capabilities) in cases {
        let server = SmtpServer::serve(script.on(Step::Ehlo, ehlo));
        parameters["port"] = json!(server.port());
        let report = app.check(parameters).await;
        assert_eq!(report["capabilities"], capabilities, "{report:#}");
    }
    let server = SmtpServer::serve(Script::compliant().on(Step::Ehlo, "550 no\r\n"));
    let report = app.check(json!({"port": server.port()})).await;
    assert_eq!(report["capabilities"], json!({"before_tls": null, "after_tls": null}));
}

#[tokio::test]
async fn sni_is_the_target_or_tls_server_name_and_never_an_address() {
    let dns =
        DnsServer::serve(Zone::new().a("mx.test", Ipv4Addr::LOCALHOST).a("xn--bcher-kva.test", Ipv4Addr::LOCALHOST));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let cases = [
        (json!({"target": "mx.test"}), Some("mx.test"), "mx.test"),
        (json!({"target": "mx.test", "tls_server_name": "other.test"}), Some("other.test"), "other.test"),
        (json!({"target": "127.0.0.1", "tls_server_name": "other.test"}), Some("other.test"), "other.test"),
        (json!({"target": "bücher.test"}), Some("xn--bcher-kva.test"), "xn--bcher-kva.test"),
        (json!({"target": "MX.test."}), Some("mx.test"), "mx.test"),
        (json!({"target": "127.0.0.1"}), None, "127.0.0.1"),
        (json!({"target": "mx.test", "tls_server_name": "127.0.0.1"}), None, "127.0.0.1"),
    ];
    for implicit in [false, true] {
        for (parameters, sni, server_name) in &cases {
            let compliant = Script::compliant();
            let script =
                if implicit { compliant.with_implicit_tls(identity()) } else { compliant.with_starttls(identity()) };
            let server = SmtpServer::serve(script);
            let mut parameters = parameters.clone();
            parameters["port"] = json!(server.port());
            parameters[if implicit { "implicit_tls" } else { "starttls" }] = json!(true);
            let report = app.check(parameters).await;
            assert_eq!(report["tls"]["server_name"], *server_name, "{report:#}");
            let tls = server.next_session().await.tls.expect("a handshake");
            assert_eq!(tls.server_name.as_deref(), *sni, "{report:#}");
        }
    }
}

#[tokio::test]
async fn the_report_names_version_and_cipher() {
    let (app, identity) = (TestApp::start().await, identity());
    for (config, version, cipher) in [
        (identity.server_config_tls13(), "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (identity.server_config_tls12(), "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let server = SmtpServer::serve(Script::compliant().with_starttls(config));
        let report = app.check(json!({"port": server.port(), "starttls": true})).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!((&report["tls"]["version"], &report["tls"]["cipher"]), (&json!(version), &json!(cipher)));
    }
}

#[tokio::test]
async fn sni_is_the_name_of_the_mx_host() {
    let zone = Zone::new().mx("example.test", 10, "mx.test").a("mx.test", Ipv4Addr::LOCALHOST);
    let (dns, ca) = (DnsServer::serve(zone), Ca::new("Test CA"));
    let app = TestApp::builder().dns_server(dns.addr()).trust(&ca).start().await;
    let server = SmtpServer::serve(Script::compliant().with_starttls(ca.issue(Leaf::for_name("mx.test"))));
    let parameters = json!({"to": "a@example.test", "port": server.port(), "starttls": true, "tls_verify": "require"});
    let report = app.post(&parameters).await.json();
    assert_eq!(
        (&report["outcome"], &report["tls"]["server_name"]),
        (&json!("delivered"), &json!("mx.test")),
        "{report:#}"
    );
    let tls = server.next_session().await.tls.expect("a handshake");
    assert_eq!(tls.server_name.as_deref(), Some("mx.test"));
}

#[tokio::test]
async fn an_unsolicited_reply_inside_tls_is_detected() {
    let server = SmtpServer::serve(
        Script::compliant().with_starttls(identity()).on(Step::MailFrom, "250 2.1.0 Ok\r\n250 2.1.5 Ok in advance\r\n"),
    );
    let report = TestApp::start().await.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!(failure(&report), ("rcptto", "protocol", false), "{report:#}");
    let session = server.next_session().await;
    assert!(!session.has_command("RCPT") && !session.has_command("QUIT"), "{session:?}");
}

#[tokio::test]
async fn a_refused_starttls_that_was_not_offered_is_not_temporary() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let warning = "the server does not offer STARTTLS: its reply to EHLO does not list it";
    let not_offered = || Script::compliant();
    let offered = || Script::compliant().with_starttls(&identity);
    for (script, reply, temporary, warnings) in [
        (not_offered(), "454 4.7.0 TLS not available\r\n", false, json!([warning])),
        (not_offered(), "502 5.5.1 not implemented\r\n", false, json!([warning])),
        (not_offered(), "421 4.3.2 shutting down\r\n", true, json!([warning])),
        (offered(), "454 4.7.0 TLS not available\r\n", true, json!([])),
        (offered(), "502 5.5.1 not implemented\r\n", false, json!([])),
    ] {
        let server = SmtpServer::serve(script.on(Step::StartTls, reply));
        let report = app.check(json!({"port": server.port(), "starttls": true})).await;
        assert_eq!(failure(&report), ("starttls", "rejected", temporary), "{report:#}");
        assert_eq!(report["warnings"], warnings, "{reply}");
    }
    // A 421 that comes before STARTTLS is no reply to it (RFC 5321, section 3.8).
    let closing = Script::compliant().on(Step::Ehlo, "250 mx.test\r\n421 4.3.2 shutting down\r\n");
    let server = SmtpServer::serve(closing);
    let report = app.check(json!({"port": server.port(), "starttls": true})).await;
    assert_eq!(failure(&report), ("starttls", "rejected", true), "{report:#}");
    assert_eq!(report["warnings"], json!([warning]));
}

/// Hanging up, and silence, are answers to a command that the server does not offer.
#[tokio::test]
async fn no_reply_to_a_command_that_was_not_offered_is_not_temporary() {
    let app = TestApp::start().await;
    let identity = identity();
    let login = json!({"sasl_authentication": "plain", "sasl_user": "user", "sasl_password": "secret"});
    let auth = |listed: &[&str]| Script::compliant().with_capabilities(listed);
    for (script, step, parameters, warning) in [
        (
            Script::compliant(),
            Step::StartTls,
            json!({"starttls": true}),
            Some("STARTTLS: its reply to EHLO does not list it"),
        ),
        (Script::compliant().with_starttls(&identity), Step::StartTls, json!({"starttls": true}), None),
        (auth(&[]), Step::Auth, login.clone(), Some("AUTH: its reply to EHLO does not list it")),
        (
            auth(&["AUTH LOGIN X"]),
            Step::Auth,
            login.clone(),
            Some("AUTH PLAIN: the mechanisms in its reply to EHLO are LOGIN X"),
        ),
        (auth(&["AUTH"]), Step::Auth, login.clone(), Some("AUTH PLAIN: the mechanisms in its reply to EHLO are none")),
        (auth(&["AUTH=login plain"]), Step::Auth, login, None),
    ] {
        for (action, kind) in [(Action::close(), "closed"), (Action::silence(), "timeout")] {
            let server = SmtpServer::serve(script.clone().on(step, action));
            let mut parameters = parameters.clone();
            parameters["port"] = server.port().into();
            parameters["timeout_ms"] = 500.into();
            let report = app.check(parameters).await;
            let phase = if step == Step::StartTls { "starttls" } else { "sasl_auth" };
            assert_eq!(failure(&report), (phase, kind, warning.is_none()), "{report:#}");
            let warnings = report["warnings"].as_array().expect("warnings").iter().filter_map(Value::as_str);
            let of_offer: Vec<_> = warnings.filter_map(|it| it.strip_prefix("the server does not offer ")).collect();
            assert_eq!(of_offer, Vec::from_iter(warning), "{report:#}");
        }
    }
}

#[tokio::test]
async fn a_refused_auth_that_was_not_offered_has_a_warning() {
    let app = TestApp::start().await;
    let login_only = || Script::compliant().with_capabilities(&["AUTH LOGIN"]);
    for (script, reply, temporary, warning) in [
        (Script::compliant(), "503 5.5.1 not available\r\n", false, Some("AUTH: its reply to EHLO does not list it")),
        // RFC 4954, section 6: what authenticates is down, and the server may offer no AUTH meanwhile.
        (Script::compliant(), "454 4.7.0 try later\r\n", true, Some("AUTH: its reply to EHLO does not list it")),
        (Script::compliant(), "421 4.3.2 shutting down\r\n", true, Some("AUTH: its reply to EHLO does not list it")),
        (login_only(), "504 5.5.4 no\r\n", false, Some("AUTH PLAIN: the mechanisms in its reply to EHLO are LOGIN")),
        (login_only(), "454 4.7.0 no\r\n", true, Some("AUTH PLAIN: the mechanisms in its reply to EHLO are LOGIN")),
        (Script::compliant().with_credentials("user", "secret"), "503 5.5.1 no\r\n", false, None),
    ] {
        let server = SmtpServer::serve(script.on(Step::Auth, reply));
        let login = json!({"port": server.port(), "sasl_authentication": "plain", "sasl_user": "user", "sasl_password": "secret"});
        let report = app.check(login).await;
        assert_eq!(failure(&report), ("sasl_auth", "rejected", temporary), "{report:#}");
        let warnings = report["warnings"].as_array().expect("warnings");
        let found = warnings.iter().filter_map(|it| it.as_str()?.strip_prefix("the server does not offer ")).next();
        assert_eq!(found, warning, "{report:#}");
    }
}
