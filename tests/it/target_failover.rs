//! A check of a host with several addresses: the next one is tried where a connection cannot be made.

use serde_json::{Value, json};

use super::{
    deadlines::{MAX_TRIES, TOLERANCE_MS},
    support::{
        app::{TestApp, failure, phase_names},
        dns::{DnsServer, Zone},
        port::Port,
        smtpd::{End, Script, Step},
    },
    target_resolution::{attempt, metric, target, v4, v6, visit},
};

#[tokio::test]
async fn failover_to_the_next_address_when_one_refuses() {
    let zone = Zone::new()
        .a("mail.test", v4("127.0.0.2"))
        .a("mail.test", v4("127.0.0.3"))
        .a("mail.test", v4("127.0.0.4"))
        .aaaa("mail.test", v6("::1"));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for reached in ["127.0.0.2", "127.0.0.4", "::1"] {
        let port = Port::new();
        let server = port.serve(reached, Script::compliant());
        let report = visit(&app, "mail.test", port.number(), json!({})).await;

        assert_eq!(report["outcome"], "completed", "{report:#}");
        let before: Vec<_> = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"]
            .into_iter()
            .take_while(|address| *address != reached)
            .map(|address| attempt("mail.test", address, "connection refused"))
            .collect();
        let mut expected = target("mail.test", reached, port.number());
        if !before.is_empty() {
            expected["attempts"] = before.into();
        }
        assert_eq!(report["target"], expected);
        assert_eq!(
            phase_names(&report),
            ["dns", "connect", "banner", "ehlo", "quit"],
            "the connection that came about"
        );
        assert_eq!(server.next_session().await.end, End::Quit);
    }
}

#[tokio::test]
async fn no_failover_after_a_server_was_reached() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.2")).a("mail.test", v4("127.0.0.3")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let first = port.serve("127.0.0.2", Script::compliant().on(Step::Greeting, "421 4.3.2 later\r\n"));
    let second = port.serve("127.0.0.3", Script::compliant());
    let report = visit(&app, "mail.test", port.number(), json!({})).await;
    assert_eq!(failure(&report), ("banner", "rejected", true), "{report:#}");
    assert_eq!(report["target"], target("mail.test", "127.0.0.2", port.number()));
    assert_eq!((first.connections(), second.connections()), (1, 0));
}

#[tokio::test]
async fn failed_attempts_of_all_addresses_are_listed() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.2")).aaaa("mail.test", v6("::1")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new().number();
    let report = visit(&app, "mail.test", port, json!({})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!((&report["success"], &report["outcome"]), (&json!(false), &json!("failed")));
    let attempts = ["127.0.0.2", "::1"].map(|address| attempt("mail.test", address, "connection refused"));
    let expected = json!({"host": "mail.test", "address": null, "port": port, "via": "request", "attempts": attempts});
    assert_eq!(report["target"], expected);
    assert_eq!(phase_names(&report), ["dns", "connect"]);
    assert_eq!(report["phases"][1]["ok"], false);
    // The first address has had half of the time.
    assert!(metric(&report, "connect_time").is_some(), "no is an answer: {report:#}");
    assert_eq!(metric(&report, "banner_time"), None);

    let report = visit(&app, "127.0.0.2", port, json!({})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!(report["target"]["attempts"], json!([attempt("127.0.0.2", "127.0.0.2", "connection refused")]));
}

#[tokio::test]
async fn an_unreachable_address_leaves_time_for_the_next() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.2")).a("mail.test", v4("127.0.0.3")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _swallower = port.blackhole("127.0.0.2");
    let _server = port.serve("127.0.0.3", Script::compliant());
    let report = visit(&app, "mail.test", port.number(), json!({"timeout_ms": 6000})).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert_eq!(report["target"]["address"], "127.0.0.3");
    let silent = attempt("mail.test", "127.0.0.2", "no answer to the connection attempt");
    assert_eq!(report["target"]["attempts"], json!([silent]));
    // The first address has had half of the time.
    assert!(metric(&report, "connect_time").expect("it was answered") < 3000.0, "its own time only: {report:#}");
    assert!(metric(&report, "banner_time").expect("it was answered") < 3000.0, "its own time only: {report:#}");
}

#[tokio::test]
async fn no_reachable_address_ends_in_time() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.2")).a("mail.test", v4("127.0.0.3")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _swallowers = ["127.0.0.2", "127.0.0.3"].map(|address| port.blackhole(address));
    let silent = ["127.0.0.2", "127.0.0.3"].map(|at| attempt("mail.test", at, "no answer to the connection attempt"));
    let (timeout, mut durations) = (1000.0, Vec::new());
    while durations.iter().all(|duration| *duration > timeout + TOLERANCE_MS) {
        assert!(durations.len() < MAX_TRIES, "{durations:?}");
        let report = visit(&app, "mail.test", port.number(), json!({"timeout_ms": timeout})).await;
        assert_eq!(failure(&report), ("connect", "timeout", true), "{report:#}");
        assert_eq!(report["target"]["address"], Value::Null);
        assert_eq!(report["target"]["attempts"], json!(silent));
        assert_eq!(phase_names(&report), ["dns", "connect"]);
        assert_eq!((&report["phases"][1]["ok"], &report["phases"][1]["time_ms"]), (&json!(false), &Value::Null));
        assert_eq!(metric(&report, "connect_time"), None, "{report:#}");
        let duration = metric(&report, "duration").expect("always there");
        assert!(duration >= timeout, "{duration}");
        durations.push(duration);
    }
}
