//! A check with `target`: address literals, host names, and how a name is resolved. What follows where an address does
//! not answer is tested in `target_failover`.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    dns::{DnsServer, Zone},
    port::Port,
    smtpd::{Script, SmtpServer},
};

/// A check with `stop_after` EHLO: enough to know which server was reached.
pub(super) async fn visit(app: &TestApp, target: &str, port: u16, more: Value) -> Value {
    let mut parameters = json!({"target": target, "port": port, "stop_after": "ehlo"});
    parameters.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    app.check(parameters).await
}

pub(super) fn target(host: &str, address: &str, port: u16) -> Value {
    json!({"host": host, "address": address, "port": port, "via": "request"})
}

pub(super) fn attempt(host: &str, address: &str, error: &str) -> Value {
    json!({"host": host, "address": address, "error": error})
}

pub(super) fn v4(text: &str) -> std::net::Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

pub(super) fn v6(text: &str) -> std::net::Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

pub(super) fn metric(report: &Value, name: &str) -> Option<f64> {
    report["metrics"][name].as_f64()
}

#[tokio::test]
async fn address_literals_are_accepted_in_every_spelling() {
    let dns = DnsServer::serve(Zone::new());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _servers = [port.serve("127.0.0.1", Script::compliant()), port.serve("::1", Script::compliant())];
    for (given, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("[127.0.0.1]", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
    ] {
        let report = visit(&app, given, port.number(), json!({})).await;
        assert_eq!(report["outcome"], "completed", "{given}: {report:#}");
        assert_eq!(report["target"], target(address, address, port.number()), "{given}");
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "quit"], "{given}");
        assert_eq!(metric(&report, "dns_time"), None, "{given}");
    }
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn name_resolution_is_a_phase_with_a_time() {
    let delay = Duration::from_millis(60);
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.1")).delayed("mail.test", delay));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app, "mail.test", server.port(), json!({})).await;

    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert_eq!(report["target"], target("mail.test", "127.0.0.1", server.port()));
    assert_eq!(phase_names(&report), ["dns", "connect", "banner", "ehlo", "quit"]);
    let dns_phase = &report["phases"][0];
    assert_eq!(
        (&dns_phase["ok"], &dns_phase["code"], &dns_phase["message"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let figure = |name| metric(&report, name).unwrap_or_else(|| panic!("{name} in {report:#}"));
    assert!(figure("dns_time") >= 60.0, "{report:#}");
    let connect = &report["phases"][1];
    let end_of_dns = dns_phase["started_ms"].as_f64().expect("a number") + figure("dns_time");
    assert!(
        connect["started_ms"].as_f64().expect("a number") >= end_of_dns - 0.002,
        "no phase overlaps it: {report:#}"
    );
    assert!(figure("duration") >= figure("dns_time") + figure("banner_time") - 0.002);
}

#[tokio::test]
async fn ipv4_is_preferred_and_ip_family_chooses() {
    let dns = DnsServer::serve(Zone::new().aaaa("both.test", v6("::1")).a("both.test", v4("127.0.0.1")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _servers = [port.serve("127.0.0.1", Script::compliant()), port.serve("::1", Script::compliant())];
    for (family, address, asked) in [
        ("any", "127.0.0.1", &[RecordType::A, RecordType::AAAA][..]),
        ("ipv4", "127.0.0.1", &[RecordType::A]),
        ("ipv6", "::1", &[RecordType::AAAA]),
    ] {
        let before = dns.queries().len();
        let report = visit(&app, "both.test", port.number(), json!({"ip_family": family})).await;
        assert_eq!(report["target"], target("both.test", address, port.number()), "{family}: {report:#}");
        let mut types: Vec<_> = dns.queries()[before..].iter().map(|(_, record_type)| *record_type).collect();
        types.sort_unstable();
        assert_eq!(types, asked, "{family}");
    }
}

#[tokio::test]
async fn ipv6_is_used_without_ipv4() {
    let dns = DnsServer::serve(Zone::new().aaaa("six.test", v6("::1")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve_at("[::1]:0".parse().expect("an address"), Script::compliant());
    let report = visit(&app, "six.test", server.port(), json!({})).await;
    assert_eq!(report["target"], target("six.test", "::1", server.port()), "{report:#}");

    let report = visit(&app, "six.test", server.port(), json!({"ip_family": "ipv4"})).await;
    assert_eq!(failure(&report), ("dns", "dns", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "six.test has no IPv4 address");
}

#[tokio::test]
async fn an_address_of_the_wrong_ip_family_is_rejected() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (given, family) in [("127.0.0.1", "ipv6"), ("::ffff:127.0.0.1", "ipv6"), ("::1", "ipv4")] {
        let parameters = json!({"to": "a@b.test", "target": given, "port": server.port(), "ip_family": family});
        let answer = app.post(&parameters).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/ip_family".to_owned()]), "{given}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_are_normalized_before_the_query() {
    let zone = Zone::new().a("mail.test", v4("127.0.0.1")).a("xn--bcher-kva.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (given, asked) in [
        ("mail.test.", "mail.test"),
        ("MAIL.Test", "mail.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER。test。", "xn--bcher-kva.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"),
    ] {
        let before = dns.queries().len();
        let report = visit(&app, given, server.port(), json!({})).await;
        assert_eq!(report["target"], target(asked, "127.0.0.1", server.port()), "{given}: {report:#}");
        let queries = dns.queries().split_off(before);
        assert!(!queries.is_empty() && queries.iter().all(|(name, _)| name == asked), "{given}: {queries:?}");
    }
}

#[tokio::test]
async fn localhost_is_loopback_without_a_dns_query() {
    let dns = DnsServer::serve(Zone::new());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _servers = [port.serve("127.0.0.1", Script::compliant()), port.serve("::1", Script::compliant())];
    for (family, address) in [("any", "127.0.0.1"), ("ipv4", "127.0.0.1"), ("ipv6", "::1")] {
        let report = visit(&app, "localhost", port.number(), json!({"ip_family": family})).await;
        assert_eq!(report["target"], target("localhost", address, port.number()), "{family}: {report:#}");
    }
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn a_cname_is_followed_and_the_host_keeps_its_name() {
    let zone = Zone::new()
        .cname("alias.test", "other.test")
        .cname("other.test", "mail.test")
        .a("mail.test", v4("127.0.0.1"))
        .cname("dangling.test", "nowhere.test");
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app, "alias.test", server.port(), json!({})).await;
    assert_eq!(report["target"], target("alias.test", "127.0.0.1", server.port()), "{report:#}");

    let report = visit(&app, "dangling.test", server.port(), json!({})).await;
    assert_eq!(failure(&report), ("dns", "dns", false), "{report:#}");
}

#[tokio::test]
async fn a_name_without_an_address_fails_the_check_as_dns() {
    let zone = Zone::new().nxdomain("no.test").empty("nothing.test").mx("nothing.test", 10, "mail.test");
    let dns = DnsServer::serve(zone.servfail("broken.test").refused("private.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (name, temporary, message) in [
        ("no.test", false, "there is no domain no.test"),
        ("nothing.test", false, "nothing.test has no address"),
        ("broken.test", true, "the DNS server answered SERVFAIL when asked for broken.test"),
        ("private.test", true, "the DNS server answered REFUSED when asked for private.test"),
    ] {
        let report = visit(&app, name, server.port(), json!({})).await;
        assert_eq!(failure(&report), ("dns", "dns", temporary), "{report:#}");
        assert_eq!(report["failure"]["message"], message);
        assert_eq!(report["target"], json!({"host": name, "address": null, "port": server.port(), "via": "request"}));
        assert_eq!(phase_names(&report), ["dns"], "{name}");
        assert_eq!(report["phases"][0]["ok"], false, "{name}");
        assert!(metric(&report, "dns_time").is_some(), "it was answered: {report:#}");
        assert_eq!(report["metrics"]["last_cmd"], Value::Null, "no command was tried: {report:#}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_silent_name_server_ends_with_the_timeout_of_the_check() {
    let dns = DnsServer::serve(Zone::new().silent("silent.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for parameters in [json!({"target": "silent.test"}), json!({"target": null, "to": "a@silent.test"})] {
        let mut parameters = parameters;
        parameters["timeout_ms"] = json!(300);
        let report = app.check(parameters).await;
        assert_eq!(failure(&report), ("dns", "timeout", true), "{report:#}");
        assert_eq!(phase_names(&report), ["dns"]);
        assert_eq!((&report["phases"][0]["ok"], &report["phases"][0]["time_ms"]), (&json!(false), &Value::Null));
        assert_eq!(metric(&report, "dns_time"), None, "it was never answered: {report:#}");
        let duration = metric(&report, "duration").expect("always there");
        assert!((300.0..5000.0).contains(&duration), "{report:#}");
    }
}

#[tokio::test]
async fn an_unreachable_name_server_is_a_temporary_dns_failure() {
    let gone = DnsServer::serve(Zone::new()).addr();
    let app = TestApp::builder().dns_server(gone).start().await;
    let report = app.check(json!({"target": "mail.test", "timeout_ms": 1000})).await;
    let (phase, kind, temporary) = failure(&report);
    assert!(phase == "dns" && matches!(kind, "dns" | "timeout") && temporary, "{report:#}");
    assert!(metric(&report, "duration").expect("always there") < 5000.0, "{report:#}");
}

#[tokio::test]
async fn failover_to_the_next_name_server() {
    let broken = DnsServer::serve(Zone::new().servfail("mail.test"));
    let good = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.1")));
    let app = TestApp::builder().dns_server(broken.addr()).dns_server(good.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app, "mail.test", server.port(), json!({})).await;
    assert_eq!(report["outcome"], "completed", "{report:#}");
    assert!(!broken.queries().is_empty() && !good.queries().is_empty());
}

#[tokio::test]
async fn the_checked_address_is_the_one_connected_to() {
    let zone = Zone::new().rebind("rebind.test", v4("127.0.0.2").into(), v4("127.0.0.3").into());
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().deny(&["127.0.0.3/32"]).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let [allowed, denied] = ["127.0.0.2", "127.0.0.3"].map(|address| port.serve(address, Script::compliant()));
    let report = visit(&app, "rebind.test", port.number(), json!({"ip_family": "ipv4"})).await;
    assert_eq!(report["target"], target("rebind.test", "127.0.0.2", port.number()), "{report:#}");
    assert_eq!(dns.queries(), [("rebind.test".to_owned(), RecordType::A)], "one look-up");

    let again = json!({"to": "a@b.test", "target": "rebind.test", "port": port.number(), "ip_family": "ipv4"});
    assert_eq!(app.post(&again).await.status, 403, "each check looks anew");
    assert_eq!(dns.queries().len(), 2);
    assert_eq!((allowed.connections(), denied.connections()), (1, 0));
}

#[tokio::test]
async fn a_long_dns_answer_comes_over_tcp_and_is_bounded() {
    let zone =
        (0..=255).fold(Zone::new().truncated("many.test"), |zone, last| zone.a("many.test", [127, 1, 0, last].into()));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new().number();
    let report = visit(&app, "many.test", port, json!({"timeout_ms": 20_000})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!(dns.queries_over_tcp(), 2, "A of 4096 octets and AAAA");
    let attempts = report["target"]["attempts"].as_array().expect("all of them").len();
    assert!((1..=64).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn a_slow_name_server_is_waited_for() {
    let zone = Zone::new().a("slow.test", [127, 0, 0, 1].into()).delayed("slow.test", Duration::from_millis(2300));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let report = app.check(json!({"target": "slow.test", "port": server.port()})).await;
    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert!(report["metrics"]["dns_time"].as_f64().is_some_and(|ms| ms >= 2300.0), "{report:#}");
}
