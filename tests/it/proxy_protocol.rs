//! The PROXY header: its bytes for every parameter, its place before everything else, and servers that do not expect
//! it.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Leaf},
    smtpd::{Action, Script, Session, SmtpServer, Step},
};

/// A check of a server at `at` that expects the header.
async fn check_at(at: &str, parameters: &Value) -> (Value, Session) {
    let at: SocketAddr = at.parse().expect("an address");
    let server = SmtpServer::serve_at(at, Script::compliant().expecting_proxy_header());
    let mut all = json!({"port": server.port(), "target": at.ip().to_string(), "proxy_protocol": true});
    for (name, value) in parameters.as_object().expect("an object") {
        all[name] = value.clone();
    }
    (TestApp::start().await.check(all).await, server.next_session().await)
}

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

#[tokio::test]
async fn version_1_header_is_exact() {
    let long = "x".repeat(60);
    // `{client}` is the connection's own source port, `{port}` that of the check.
    for (at, parameters, line) in [
        (V4, json!({}), "PROXY TCP4 127.0.0.1 127.0.0.1 {client} {port}\r\n"),
        (V4, json!({"proxy_version": 1, "proxy_family": "TCP4"}), "PROXY TCP4 127.0.0.1 127.0.0.1 {client} {port}\r\n"),
        (V6, json!({"proxy_family": "TCP6"}), "PROXY TCP6 ::1 ::1 {client} {port}\r\n"),
        (V4, json!({"proxy_family": "TCP6"}), "PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 {client} {port}\r\n"),
        (
            V4,
            json!({"proxy_source_address": "192.0.2.1", "proxy_source_port": 4242}),
            "PROXY TCP4 192.0.2.1 127.0.0.1 4242 {port}\r\n",
        ),
        (
            V4,
            json!({"proxy_dest_address": "192.0.2.2", "proxy_dest_port": 25}),
            "PROXY TCP4 127.0.0.1 192.0.2.2 {client} 25\r\n",
        ),
        (
            V4,
            json!({"proxy_source_address": "192.0.2.1", "proxy_source_port": 0, "proxy_dest_address": "192.0.2.2", "proxy_dest_port": 65535}),
            "PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n",
        ),
        // An address of the other family, in another form, or no address at all: sent as given.
        (
            V6,
            json!({"proxy_source_address": "192.0.2.1", "proxy_dest_address": "2001:DB8::0007"}),
            "PROXY TCP4 192.0.2.1 2001:DB8::0007 {client} {port}\r\n",
        ),
        (
            V4,
            json!({"proxy_source_address": "not-an-address", "proxy_dest_address": long, "proxy_source_port": 1, "proxy_dest_port": 2}),
            "PROXY TCP4 not-an-address {long} 1 2\r\n",
        ),
    ] {
        let (report, session) = check_at(at, &parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let line = line
            .replace("{client}", &session.peer.port().to_string())
            .replace("{port}", &report["target"]["port"].to_string())
            .replace("{long}", &long);
        let header = session.proxy_header.expect("a header");
        assert_eq!(String::from_utf8_lossy(&header), line, "{parameters}");
        assert_eq!(phase_names(&report)[..3], ["connect", "banner", "ehlo"]);
    }
}

#[tokio::test]
async fn version_2_header_is_parsed_by_an_independent_parser() {
    for (at, parameters, source, destination) in [
        (V4, json!({}), "127.0.0.1:{client}", "127.0.0.1:{port}"),
        (V6, json!({"proxy_family": "TCP6"}), "[::1]:{client}", "[::1]:{port}"),
        (V4, json!({"proxy_family": "TCP6"}), "[::ffff:127.0.0.1]:{client}", "[::ffff:127.0.0.1]:{port}"),
        (
            V4,
            json!({"proxy_source_address": "192.0.2.1", "proxy_source_port": 0, "proxy_dest_address": "192.0.2.2", "proxy_dest_port": 65535}),
            "192.0.2.1:0",
            "192.0.2.2:65535",
        ),
        (
            V6,
            json!({"proxy_family": "TCP6", "proxy_source_address": "2001:db8::1", "proxy_dest_address": "2001:db8::2", "proxy_source_port": 1}),
            "[2001:db8::1]:1",
            "[2001:db8::2]:{port}",
        ),
    ] {
        let mut parameters = parameters;
        parameters["proxy_version"] = json!(2);
        let (report, session) = check_at(at, &parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let header = session.proxy_header.expect("a header");
        let (parsed, length) = ProxyHeader::parse(&header, ParseConfig::default()).expect("a header");
        let addresses = parsed.proxied_address().expect("addresses");
        let expected = |text: &str| {
            let text = text.replace("{client}", &session.peer.port().to_string());
            let text = text.replace("{port}", &report["target"]["port"].to_string());
            text.parse::<SocketAddr>().expect("an address")
        };
        assert_eq!((addresses.source, addresses.destination), (expected(source), expected(destination)));
        assert_eq!((length, &header[12..13]), (header.len(), &[0x21][..]));
    }
}

#[tokio::test]
async fn without_proxy_protocol_its_parameters_are_ignored() {
    let server = SmtpServer::serve(Script::compliant());
    let parameters =
        json!({"port": server.port(), "proxy_family": "TCP6", "proxy_source_address": "x", "proxy_version": 2});
    let report = TestApp::start().await.check(parameters).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    let warning = "`proxy_family`, `proxy_source_address`, `proxy_version` have no effect: without `proxy_protocol` there is no \
                   PROXY header";
    assert_eq!(report["warnings"], json!([warning]));
    assert!(server.next_session().await.received.starts_with(b"EHLO"));
}

#[tokio::test]
async fn tcp4_has_no_form_for_an_ipv6_connection() {
    for version in [1, 2] {
        for (given, named) in [(None, "proxy_source_address"), (Some("192.0.2.1"), "proxy_dest_address")] {
            let server = SmtpServer::serve_at(V6.parse().expect("an address"), Script::compliant());
            let mut parameters =
                json!({"port": server.port(), "target": "::1", "proxy_protocol": true, "proxy_version": version});
            if let Some(given) = given {
                parameters["proxy_source_address"] = json!(given);
            }
            let report = TestApp::start().await.check(parameters).await;
            assert_eq!(failure(&report), ("proxy", "unsupported", false), "{report:#}");
            assert!(report["failure"]["message"].as_str().is_some_and(|text| text.contains(named)), "{report:#}");
            assert!(report["metrics"]["connect_time"].is_number(), "{report:#}");
            assert!(server.next_session().await.received.is_empty());
        }
    }
}

#[tokio::test]
async fn a_version_1_header_that_is_too_long_is_not_sent() {
    let server = SmtpServer::serve(Script::compliant());
    // At least 107 octets, and more with the ports and addresses of any connection.
    let parameters = json!({"port": server.port(), "proxy_protocol": true, "proxy_source_address": "x".repeat(78)});
    let report = TestApp::start().await.check(parameters).await;
    assert_eq!(failure(&report), ("proxy", "unsupported", false), "{report:#}");
    assert!(report["failure"]["message"].as_str().is_some_and(|text| text.contains("proxy_source_address")));
    assert!(server.next_session().await.received.is_empty());
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let app = TestApp::start().await;
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    for version in [1, 2] {
        for (parameter, script) in [
            ("implicit_tls", Script::compliant().with_implicit_tls(&identity)),
            ("starttls", Script::compliant().with_starttls(&identity)),
        ] {
            let server = SmtpServer::serve(script.expecting_proxy_header());
            let mut parameters = json!({"port": server.port(), "proxy_protocol": true, "proxy_version": version});
            parameters[parameter] = json!(true);
            let report = app.check(parameters).await;
            assert_eq!(report["outcome"], "delivered", "{report:#}");
            let session = server.next_session().await;
            assert!(session.proxy_header.is_some() && session.tls.is_some(), "{session:?}");
        }
    }
}

/// The reply to the header of a server that takes it for a command.
const REFUSAL: &str = "500 5.5.2 Error: command not recognized\r\n";

fn is_refused(report: &Value) {
    assert_eq!(
        report["failure"],
        json!({"phase": "proxy", "kind": "rejected", "temporary": false, "code": 500, "enhanced_code": "5.5.2",
            "message": "Error: command not recognized", "explanation": null}),
        "{report:#}"
    );
    assert_eq!(report["outcome"], "failed");
}

#[tokio::test]
async fn a_header_taken_for_a_command_is_not_reported_as_ehlo() {
    let app = TestApp::start().await;
    let banner = "220 mx.test ESMTP\r\n";
    for (what, script) in [
        ("a real server", Script::compliant()),
        ("at once, instead of a greeting", Script::compliant().with_greeting(REFUSAL)),
        ("in one packet with the greeting", Script::compliant().with_greeting(format!("{banner}{REFUSAL}"))),
        (
            "once EHLO is written",
            Script::new().with_greeting(
                Action::reply(banner)
                    .then(Action::wait_for_client())
                    .then(Action::wait_for_client())
                    .then(Action::reply(format!("{REFUSAL}250 mx.test\r\n"))),
            ),
        ),
    ] {
        let server = SmtpServer::serve(script);
        let report = app.check(json!({"port": server.port(), "proxy_protocol": true})).await;
        assert_eq!(report["failure"]["phase"], "proxy", "{what}: {report:#}");
        is_refused(&report);
        assert!(server.next_session().await.has_command("QUIT") || what.starts_with("once"), "{what}");
    }
}

#[tokio::test]
async fn garbage_after_a_rejection_fails_as_protocol() {
    let app = TestApp::start().await;
    for garbage in ["x".repeat(8193) + "\ny", "garbage\r\n".to_owned(), "550-a\r\n250 b\r\n".to_owned()] {
        let server = SmtpServer::serve(
            Script::compliant().expecting_proxy_header().on(Step::Ehlo, format!("{REFUSAL}{garbage}")),
        );
        let report = app.check(json!({"port": server.port(), "proxy_protocol": true})).await;
        assert_eq!(failure(&report), ("ehlo", "protocol", false), "{report:#}");
        assert_eq!(report["metrics"]["last_code"], 500);
        assert!(!server.next_session().await.has_command("QUIT"), "{garbage}");
    }
}

#[tokio::test]
async fn rejected_ehlo_after_an_accepted_header_is_reported_as_ehlo() {
    let server = SmtpServer::serve(Script::compliant().expecting_proxy_header().on(Step::Ehlo, REFUSAL));
    let report = TestApp::start().await.check(json!({"port": server.port(), "proxy_protocol": true})).await;
    assert_eq!(failure(&report), ("ehlo", "rejected", false), "{report:#}");
    assert!(server.next_session().await.has_command("QUIT"));
}

#[tokio::test]
async fn no_wait_after_421() {
    let refusal = Action::reply("421 4.3.2 Busy\r\n");
    let server = SmtpServer::serve(Script::compliant().expecting_proxy_header().on(Step::Ehlo, refusal));
    let report = TestApp::start().await.check(json!({"port": server.port(), "proxy_protocol": true})).await;
    assert_eq!(failure(&report), ("ehlo", "rejected", true), "{report:#}");
    let duration = report["metrics"]["duration"].as_f64().expect("always there");
    assert!(duration < 1000.0, "{duration}");
}

#[tokio::test]
async fn rejected_banner_after_an_accepted_header_is_reported_as_banner() {
    for (reply, temporary) in [("554 5.3.2 No SMTP here\r\n", false), ("421 4.3.2 Busy\r\n", true)] {
        let server = SmtpServer::serve(Script::compliant().expecting_proxy_header().with_greeting(reply));
        let report = TestApp::start().await.check(json!({"port": server.port(), "proxy_protocol": true})).await;
        assert_eq!(failure(&report), ("banner", "rejected", temporary), "{report:#}");
    }
}

#[tokio::test]
async fn a_rejected_header_fails_a_check_with_stop_after_banner() {
    let app = TestApp::start().await;
    for greeting in ["220 hi\r\n500 5.5.2 what\r\n", "500 5.5.2 what\r\n"] {
        let server = SmtpServer::serve(Script::compliant().with_greeting(greeting));
        let report = app.check(json!({"port": server.port(), "proxy_protocol": true, "stop_after": "banner"})).await;
        assert_eq!(failure(&report), ("proxy", "rejected", false), "{greeting:?}: {report:#}");
        assert_eq!((&report["failure"]["code"], &report["failure"]["message"]), (&json!(500), &json!("what")));
    }
    // After the one error reply to the one line, the dialogue is in sync.
    let script = Script::compliant().expecting_proxy_header().with_greeting("220 hi\r\n500 5.5.2 what\r\n");
    let server = SmtpServer::serve(script);
    let report = app.check(json!({"port": server.port(), "proxy_protocol": true, "stop_after": "banner"})).await;
    assert_eq!(failure(&report), ("proxy", "rejected", false), "{report:#}");
    assert_eq!(phase_names(&report), ["connect", "banner", "quit"]);
    assert!(server.next_session().await.has_command("QUIT"));
    // The error reply comes when QUIT is already sent, and the reply to QUIT after it.
    let server = SmtpServer::serve(Script::compliant().on(Step::Quit, "500 5.5.2 what\r\n221 bye\r\n"));
    let report = app.check(json!({"port": server.port(), "proxy_protocol": true, "stop_after": "banner"})).await;
    assert_eq!(failure(&report), ("proxy", "rejected", false), "{report:#}");
}
