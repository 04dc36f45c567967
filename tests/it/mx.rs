//! Without `target`, a check goes to the MX hosts of the recipient's domain (RFC 5321, section 5.1).

use std::{collections::HashSet, net::Ipv4Addr};

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    dns::{DnsServer, Zone},
    pki::{Ca, Leaf},
    port::Port,
    smtpd::{End, Script, SmtpServer, Step},
};

/// A check of this recipient's mail server with `stop_after` EHLO.
async fn visit(app: &TestApp, to: &str, port: u16, more: Value) -> Value {
    let mut parameters = json!({"to": to, "target": null, "port": port, "stop_after": "ehlo"});
    parameters.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    app.check(parameters).await
}

async fn app_with_dns(dns: &DnsServer) -> TestApp {
    TestApp::builder().dns_server(dns.addr()).start().await
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn target(host: &str, address: &str, port: u16) -> Value {
    json!({"host": host, "address": address, "port": port, "via": "mx"})
}

fn attempt(host: &str, address: Option<&str>, error: &str) -> Value {
    json!({"host": host, "address": address, "error": error})
}

fn metric(report: &Value, name: &str) -> Option<f64> {
    report["metrics"][name].as_f64()
}

#[tokio::test]
async fn the_most_preferred_mx_host_is_used() {
    let zone = Zone::new()
        .mx("domain.test", 20, "backup.test")
        .mx("domain.test", 10, "MX1.test")
        .mx("domain.test", 30, "last.test")
        .a("mx1.test", v4("127.0.0.2"))
        .a("backup.test", v4("127.0.0.3"))
        .a("last.test", v4("127.0.0.4"))
        .a("domain.test", v4("127.0.0.5"));
    let dns = DnsServer::serve(zone);
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let servers = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].map(|at| port.serve(at, Script::compliant()));
    let report = app.check(json!({"to": "someone@Domain.test", "target": null, "port": port.number()})).await;

    assert_eq!(report["outcome"], "delivered", "{report:#}");
    assert_eq!(report["target"], target("mx1.test", "127.0.0.2", port.number()));
    assert_eq!(
        phase_names(&report),
        ["dns", "connect", "banner", "ehlo", "mailfrom", "rcptto", "data", "body", "quit"]
    );
    assert!(metric(&report, "dns_time").is_some());
    assert_eq!(servers.each_ref().map(SmtpServer::connections), [1, 0, 0, 0]);
    assert!(servers[0].next_session().await.has_command("RCPT TO:<someone@Domain.test>"));
    assert_eq!(dns.queries()[0], ("domain.test".to_owned(), RecordType::MX));
}

#[tokio::test]
async fn mx_hosts_of_equal_preference_are_shuffled() {
    let zone = Zone::new().mx("domain.test", 10, "a.test").mx("domain.test", 10, "b.test");
    let dns = DnsServer::serve(zone.a("a.test", v4("127.0.0.2")).a("b.test", v4("127.0.0.3")));
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let _servers = ["127.0.0.2", "127.0.0.3"].map(|at| port.serve(at, Script::compliant()));
    let mut used = HashSet::new();
    // The probability that forty random orders are all the same is about 10^-12.
    for _ in 0..40 {
        let report = visit(&app, "a@domain.test", port.number(), json!({})).await;
        used.insert(report["target"]["host"].as_str().expect("a host").to_owned());
        assert_eq!(report["target"].get("attempts"), None, "{report:#}");
    }
    assert_eq!(used, HashSet::from(["a.test".to_owned(), "b.test".to_owned()]));
}

#[tokio::test]
async fn failover_to_the_next_mx_host() {
    let zone = Zone::new()
        .mx("domain.test", 10, "two.test")
        .a("two.test", v4("127.0.0.2"))
        .a("two.test", v4("127.0.0.3"))
        .mx("domain.test", 20, "nothing.test")
        .empty("nothing.test")
        .mx("domain.test", 30, "no.test")
        .nxdomain("no.test")
        .mx("domain.test", 40, "broken.test")
        .servfail("broken.test")
        // A common mistake: an address in place of a name.
        .mx("domain.test", 50, "127.0.0.9")
        .mx("domain.test", 60, "good.test")
        .a("good.test", v4("127.0.0.4"))
        .mx("domain.test", 70, "unneeded.test");
    let dns = DnsServer::serve(zone);
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let server = port.serve("127.0.0.4", Script::compliant());
    let report = visit(&app, "a@domain.test", port.number(), json!({})).await;

    assert_eq!(report["outcome"], "completed", "{report:#}");
    let mut expected = target("good.test", "127.0.0.4", port.number());
    expected["attempts"] = json!([
        attempt("two.test", Some("127.0.0.2"), "connection refused"),
        attempt("two.test", Some("127.0.0.3"), "connection refused"),
        attempt("nothing.test", None, "nothing.test has no address"),
        attempt("no.test", None, "there is no domain no.test"),
        attempt("broken.test", None, "the DNS server answered SERVFAIL when asked for broken.test"),
        attempt("127.0.0.9", None, "the MX record names 127.0.0.9, which is not a host name"),
    ]);
    assert_eq!(report["target"], expected);
    assert_eq!(phase_names(&report), ["dns", "connect", "banner", "ehlo", "quit"]);
    assert_eq!(server.next_session().await.end, End::Quit);
}

#[tokio::test]
async fn no_failover_after_a_mx_host_was_reached() {
    let zone = Zone::new().mx("domain.test", 10, "first.test").mx("domain.test", 20, "second.test");
    let dns = DnsServer::serve(zone.a("first.test", v4("127.0.0.2")).a("second.test", v4("127.0.0.3")));
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let first = port.serve("127.0.0.2", Script::compliant().on(Step::Greeting, "554 5.3.2 no mail here\r\n"));
    let second = port.serve("127.0.0.3", Script::compliant());
    let report = visit(&app, "a@domain.test", port.number(), json!({})).await;
    assert_eq!(failure(&report), ("banner", "rejected", false), "{report:#}");
    assert_eq!(report["target"], target("first.test", "127.0.0.2", port.number()));
    assert_eq!((first.connections(), second.connections()), (1, 0));
}

#[tokio::test]
async fn failed_attempts_of_all_mx_hosts_are_listed() {
    let zone = Zone::new().mx("domain.test", 10, "no.test").mx("domain.test", 20, "mail.test");
    let dns = DnsServer::serve(zone.a("mail.test", v4("127.0.0.2")));
    let port = Port::new().number();
    let report = visit(&app_with_dns(&dns).await, "a@domain.test", port, json!({})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!(report["target"]["address"], Value::Null);
    let attempts = [
        attempt("no.test", None, "there is no domain no.test"),
        attempt("mail.test", Some("127.0.0.2"), "connection refused"),
    ];
    assert_eq!(report["target"]["attempts"], json!(attempts));
    assert_eq!(phase_names(&report), ["dns", "connect"]);
}

#[tokio::test]
async fn a_domain_without_mx_uses_its_address_records() {
    let zone = Zone::new().a("four.test", v4("127.0.0.1")).aaaa("six.test", "::1".parse().expect("an address"));
    let dns = DnsServer::serve(zone.empty("nothing.test"));
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let _servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::compliant()));
    for (domain, address) in [("four.test", "127.0.0.1"), ("six.test", "::1")] {
        let report = visit(&app, &format!("a@{domain}"), port.number(), json!({})).await;
        assert_eq!(report["target"], target(domain, address, port.number()), "{report:#}");
    }
    let report = visit(&app, "a@nothing.test", port.number(), json!({})).await;
    assert_eq!(failure(&report), ("dns", "dns", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "nothing.test has no address");
}

#[tokio::test]
async fn null_mx_is_reported() {
    let dns = DnsServer::serve(Zone::new().null_mx("nomail.test").a("nomail.test", v4("127.0.0.1")));
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "a@nomail.test", server.port(), json!({})).await;
    assert_eq!(failure(&report), ("dns", "dns", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "nomail.test accepts no mail: its MX record is the null MX");
    assert_eq!(report["target"], json!({"host": "nomail.test", "address": null, "port": server.port(), "via": "mx"}));
    assert!(metric(&report, "dns_time").is_some(), "it was answered: {report:#}");
    assert_eq!(server.connections(), 0, "nor is its address tried");
}

#[tokio::test]
async fn a_domain_that_cannot_be_resolved_fails_the_check_as_dns() {
    let zone = Zone::new()
        .nxdomain("no.test")
        .servfail("broken.test")
        .refused("private.test")
        .mx("lost.test", 10, "no.test")
        .mx("lost.test", 20, "nothing.test")
        .empty("nothing.test")
        .mx("later.test", 10, "no.test")
        .mx("later.test", 20, "broken.test");
    let dns = DnsServer::serve(zone);
    let app = app_with_dns(&dns).await;
    let no = attempt("no.test", None, "there is no domain no.test");
    let nothing = attempt("nothing.test", None, "nothing.test has no address");
    let broken = attempt("broken.test", None, "the DNS server answered SERVFAIL when asked for broken.test");
    for (domain, temporary, message, attempts) in [
        ("no.test", false, "there is no domain no.test", Value::Null),
        ("broken.test", true, "the DNS server answered SERVFAIL when asked for broken.test", Value::Null),
        ("private.test", true, "the DNS server answered REFUSED when asked for private.test", Value::Null),
        ("lost.test", false, "there is no domain no.test", json!([no, nothing])),
        ("later.test", true, "the DNS server answered SERVFAIL when asked for broken.test", json!([no, broken])),
    ] {
        let report = visit(&app, &format!("a@{domain}"), 25, json!({})).await;
        assert_eq!(failure(&report), ("dns", "dns", temporary), "{report:#}");
        assert_eq!(report["failure"]["message"], message, "{domain}");
        assert_eq!(report["target"]["attempts"], attempts, "{domain}");
        assert_eq!((&report["target"]["host"], &report["target"]["via"]), (&json!(domain), &json!("mx")));
        assert_eq!(phase_names(&report), ["dns"], "{domain}");
        assert!(metric(&report, "dns_time").is_some(), "it was answered: {report:#}");
    }
}

#[tokio::test]
async fn an_international_domain_is_resolved_in_punycode() {
    let zone = Zone::new().mx("xn--bcher-kva.test", 10, "mail.test").a("mail.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone);
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "a@bücher.test", server.port(), json!({})).await;
    assert_eq!(report["target"], target("mail.test", "127.0.0.1", server.port()), "{report:#}");
    assert_eq!(dns.queries()[0], ("xn--bcher-kva.test".to_owned(), RecordType::MX));
}

#[tokio::test]
async fn a_domain_literal_is_connected_to_directly() {
    let dns = DnsServer::serve(Zone::new());
    let app = app_with_dns(&dns).await;
    let port = Port::new();
    let _servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::compliant()));
    for (to, address) in [("a@[127.0.0.1]", "127.0.0.1"), ("a@[IPv6:::1]", "::1")] {
        let report = visit(&app, to, port.number(), json!({})).await;
        let expected = json!({"host": address, "address": address, "port": port.number(), "via": "request"});
        assert_eq!(report["target"], expected, "{to}: {report:#}");
        assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "quit"], "{to}");
    }
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn mail_for_localhost_goes_to_loopback() {
    let dns = DnsServer::serve(Zone::new());
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "root@localhost", server.port(), json!({})).await;
    assert_eq!(report["target"], target("localhost", "127.0.0.1", server.port()), "{report:#}");
}

#[tokio::test]
async fn cname_records_are_followed() {
    let zone = Zone::new()
        .cname("alias.test", "domain.test")
        .mx("domain.test", 10, "mx.test")
        .cname("mx.test", "mail.test")
        .a("mail.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone);
    let server = SmtpServer::serve(Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "a@alias.test", server.port(), json!({})).await;
    assert_eq!(report["target"], target("mx.test", "127.0.0.1", server.port()), "{report:#}");
}

#[tokio::test]
async fn ip_family_applies_to_every_mx_host() {
    let zone = Zone::new().mx("domain.test", 10, "four.test").mx("domain.test", 20, "both.test");
    let zone = zone.a("four.test", v4("127.0.0.1")).a("both.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone.aaaa("both.test", "::1".parse().expect("an address")));
    let server = SmtpServer::serve_at("[::1]:0".parse().expect("an address"), Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "a@domain.test", server.port(), json!({"ip_family": "ipv6"})).await;
    let mut expected = target("both.test", "::1", server.port());
    expected["attempts"] = json!([attempt("four.test", None, "four.test has no IPv6 address")]);
    assert_eq!(report["target"], expected, "{report:#}");
    assert!(!dns.queries().iter().any(|(_, record_type)| *record_type == RecordType::A));
}

#[tokio::test]
async fn the_certificate_is_verified_for_the_name_of_the_mx_host() {
    let ca = Ca::new("Test CA");
    let zone = Zone::new()
        .mx("good.test", 10, "mail.test")
        .mx("bad.test", 10, "other.test")
        .a("mail.test", v4("127.0.0.1"))
        .a("other.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).trust(&ca).start().await;
    let identity = ca.issue(Leaf::for_name("mail.test").and_name("bad.test"));
    let server = SmtpServer::serve(Script::compliant().with_starttls(identity.server_config()));
    for (domain, host, errors) in
        [("good.test", "mail.test", json!([])), ("bad.test", "other.test", json!(["wrong_name"]))]
    {
        let more = json!({"starttls": true, "stop_after": "starttls"});
        let report = visit(&app, &format!("a@{domain}"), server.port(), more).await;
        assert_eq!(report["outcome"], "completed", "{report:#}");
        assert_eq!(report["target"]["host"], host);
        assert_eq!(report["tls"]["server_name"], host);
        assert_eq!(report["tls"]["errors"], errors, "{report:#}");
        let tls = server.next_session().await.tls.expect("a handshake");
        assert_eq!(tls.server_name.as_deref(), Some(host));

        let more = json!({"starttls": true, "stop_after": "starttls", "tls_verify": "require"});
        let report = visit(&app, &format!("a@{domain}"), server.port(), more).await;
        assert_eq!(report["success"], errors == json!([]), "{report:#}");
        server.next_session().await;
    }
}

#[tokio::test]
async fn an_unresolvable_mx_host_does_not_use_up_the_deadline() {
    for (silent_at, good_at) in [(20, 10), (10, 20)] {
        let zone = Zone::new().mx("domain.test", silent_at, "silent.test").mx("domain.test", good_at, "good.test");
        let dns = DnsServer::serve(zone.silent("silent.test").a("good.test", v4("127.0.0.1")));
        let server = SmtpServer::serve(Script::compliant());
        let report =
            visit(&app_with_dns(&dns).await, "a@domain.test", server.port(), json!({"timeout_ms": 4000})).await;
        assert_eq!(report["outcome"], "completed", "{report:#}");
        let mut expected = target("good.test", "127.0.0.1", server.port());
        if silent_at < good_at {
            let error = "no DNS server answered in time when asked for silent.test";
            expected["attempts"] = json!([attempt("silent.test", None, error)]);
        }
        assert_eq!(report["target"], expected);
    }
}

#[tokio::test]
async fn an_unreachable_mx_host_leaves_time_for_the_next() {
    let zone = Zone::new().mx("domain.test", 10, "first.test").mx("domain.test", 20, "second.test");
    let dns = DnsServer::serve(zone.a("first.test", v4("127.0.0.2")).a("second.test", v4("127.0.0.3")));
    let port = Port::new();
    let _swallower = port.blackhole("127.0.0.2");
    let _server = port.serve("127.0.0.3", Script::compliant());
    let report = visit(&app_with_dns(&dns).await, "a@domain.test", port.number(), json!({"timeout_ms": 4000})).await;
    let mut expected = target("second.test", "127.0.0.3", port.number());
    let error = "no answer to the connection attempt";
    expected["attempts"] = json!([attempt("first.test", Some("127.0.0.2"), error)]);
    assert_eq!(report["target"], expected, "{report:#}");
}

#[tokio::test]
async fn a_domain_with_a_hundred_mx_hosts_is_tried_within_limits() {
    let mut zone = Zone::new().truncated("huge.test");
    for host in 0..100u8 {
        let name = format!("mx{host}.huge.test");
        zone = zone.mx("huge.test", host.into(), &name);
        zone = (0..10u8).fold(zone, |zone, last| zone.a(&name, Ipv4Addr::new(127, 2, host, last + 1)));
    }
    let dns = DnsServer::serve(zone);
    let app = app_with_dns(&dns).await;
    let port = Port::new().number();
    let report = visit(&app, "a@huge.test", port, json!({"timeout_ms": 20_000})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    let attempts = report["target"]["attempts"].as_array().expect("those that were tried");
    let hosts: HashSet<_> = attempts.iter().map(|attempt| attempt["host"].as_str()).collect();
    assert!((2..=16).contains(&hosts.len()), "{} hosts", hosts.len());
    assert!((20..=64).contains(&attempts.len()), "{} addresses", attempts.len());
    assert_eq!(attempts[0]["address"], "127.2.0.1", "the most preferred first");
    assert!(dns.queries().len() <= 2 + 2 * 16, "{} questions", dns.queries().len());
}

#[tokio::test]
async fn a_duplicate_mx_host_is_tried_once() {
    let zone = Zone::new().mx("domain.test", 10, "mail.test").mx("domain.test", 20, "MAIL.test");
    let dns = DnsServer::serve(zone.a("mail.test", v4("127.0.0.2")));
    let report = visit(&app_with_dns(&dns).await, "a@domain.test", Port::new().number(), json!({})).await;
    assert_eq!(report["target"]["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
}
