//! A Postfix behind a PROXY header, and one that expects none.

use super::*;

/// Through the port that expects a PROXY header.
fn proxied(postfix: &Postfix, version: u8, family: &str) -> Value {
    json!({
        "port": postfix.proxy(), "proxy_protocol": true, "proxy_version": version, "proxy_family": family, "transcript": true,
    })
}

#[tokio::test]
async fn postfix_logs_the_client_of_the_proxy_header() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    for (version, family, source, destination) in [
        (1, "TCP4", "203.0.113.7", "192.0.2.1"),
        (1, "TCP6", "2001:db8::7", "2001:db8::1"),
        (2, "TCP4", "203.0.113.8", "192.0.2.2"),
        (2, "TCP6", "2001:db8::8", "2001:db8::2"),
    ] {
        let addresses = json!({
            "proxy_source_address": source, "proxy_dest_address": destination,
            "proxy_source_port": 5555, "proxy_dest_port": 2525,
        });
        let report = app.check(with(proxied(&postfix, version, family), addresses)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(phase_names(&report)[..2], ["connect", "banner"]);
        let header = client_lines(&report)[0];
        assert_eq!(header == format!("PROXY {family} {source} {destination} 5555 2525"), version == 1, "{header}");
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.wait_for_log(&format!("{queue_id}: client=")).await;
        assert!(line.ends_with(&format!("client=unknown[{source}]:5555")), "{line}");
    }
}

#[tokio::test]
async fn proxy_header_defaults_to_the_connection_addresses() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    for (version, family, own) in
        [(1, "TCP4", "127.0.0.1"), (1, "TCP6", "::ffff:127.0.0.1"), (2, "TCP4", ""), (2, "TCP6", "")]
    {
        let report = app.check(proxied(&postfix, version, family)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let queue_id = report["queue_id"].as_str().expect("a queue id");
        let line = postfix.wait_for_log(&format!("{queue_id}: client=")).await;
        // An IPv4-mapped address is the IPv4 address to Postfix.
        let (_, port) = line.split_once("client=unknown[127.0.0.1]:").expect("the service's own address");
        if version == 1 {
            let header = format!("PROXY {family} {own} {own} {port} {}", postfix.proxy());
            assert_eq!(client_lines(&report)[0], header);
        }
        // In version 2, the port that Postfix has seen stands before the server's.
        let ports = format!("{:04x}{:04x})", port.parse::<u16>().expect("a port"), postfix.proxy());
        assert_eq!(client_lines(&report)[0].ends_with(&ports), version == 2, "{}", client_lines(&report)[0]);
    }
}

#[tokio::test]
async fn an_unexpected_proxy_header_is_not_reported_as_ehlo() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    // Version 2 contains a line `QUIT`: Postfix answers the lines before it, replies 221 and closes.
    for (version, words) in [(1, "Error: command not recognized"), (2, "Error: bad syntax")] {
        for round in 0..40 {
            let parameters = with(proxied(&postfix, version, "TCP4"), json!({"port": postfix.plain()}));
            let report = app.check(parameters).await;
            let expected = json!(["proxy", "rejected", false, 500, "5.5.2"]);
            assert_eq!(rejection(&report), expected, "version {version}, round {round}: {report:#}");
            assert_eq!(report["failure"]["message"], words);
            // If EHLO was sent before the error reply came, it has its own reply with version 1.
            assert!(version == 1 || report["metrics"].get("ehlo_time").is_none(), "{report:#}");
            let ehlo = report["phases"].as_array().into_iter().flatten().find(|phase| phase["name"] == "ehlo");
            assert!(ehlo.is_none_or(|ehlo| ehlo["code"] == 250 || ehlo["time_ms"].is_null()), "{report:#}");
            assert!(report["metrics"]["banner_time"].is_f64());
            // The one line of version 1 is answered, so the dialogue is in sync and ends with QUIT.
            if version == 1 {
                assert_eq!(phase_names(&report).iter().filter(|phase| **phase == "quit").count(), 1, "{report:#}");
                assert!(!not_ok(&report).contains(&"quit"), "{report:#}");
                postfix.wait_for_log_lines(" quit=1 unknown=0/1 ", round + 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_proxy_header_is_rejected() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let headers = [
        ("TCP4", "nonsense", "192.0.2.1"),
        ("TCP4", "2001:db8::7", "192.0.2.1"),
        ("TCP4", "203.0.113.7", "999.0.0.1"),
        ("TCP6", "203.0.113.7", "192.0.2.1"),
        ("TCP6", "[2001:db8::7]", "2001:db8::1"),
    ];
    for (nth, (family, source, destination)) in headers.into_iter().enumerate() {
        let addresses = json!({
            "proxy_source_address": source, "proxy_dest_address": destination,
            "proxy_source_port": 5555, "proxy_dest_port": 2525,
        });
        let report = app.check(with(proxied(&postfix, 1, family), addresses)).await;
        // It sends no greeting then, only 421.
        assert_eq!(rejection(&report), json!(["banner", "rejected", true, 421, "4.3.0"]), "{report:#}");
        assert_eq!(client_lines(&report)[0], format!("PROXY {family} {source} {destination} 5555 2525"));
        assert_eq!(phase_names(&report)[..2], ["connect", "banner"]);
        assert!(report["metrics"]["banner_time"].is_f64());
        postfix.wait_for_log_lines("haproxy read: ", nth + 1).await;
    }
}

#[tokio::test]
async fn without_proxy_header_the_server_stays_silent() {
    let (app, postfix) = tokio::join!(TestApp::start(), Postfix::start(None));
    let report = app.check(json!({"port": postfix.proxy(), "timeout_ms": 2000})).await;
    assert_eq!(failure(&report), ("banner", "timeout", true), "{report:#}");
    assert_eq!((phase_names(&report), not_ok(&report)), (vec!["connect", "banner"], vec!["banner"]));
    assert!(report["metrics"].get("banner_time").is_none());
}
