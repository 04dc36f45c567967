//! The addresses of a name are checked by the policy, in whatever way DNS returns them.

use serde_json::{Value, json};

use super::{assert_forbidden, post, post_mail, v4, v6};
use crate::support::{
    app::{TestApp, failure, phase_names},
    dns::{DnsServer, Zone},
    port::Port,
    smtpd::{Script, SmtpServer},
};

#[tokio::test]
async fn a_name_is_checked_by_its_addresses() {
    let zone = Zone::new()
        .a("a.test", v4("127.0.0.1"))
        .aaaa("aaaa.test", v6("::1"))
        .aaaa("mapped.test", v6("::ffff:127.0.0.1"))
        .aaaa("nat64.test", v6("64:ff9b::7f00:1"))
        .a("both.test", v4("127.0.0.1"))
        .aaaa("both.test", v6("::1"))
        .cname("alias.test", "other.test")
        .cname("other.test", "a.test")
        .a("metadata.test", v4("169.254.169.254"))
        .a("zero.test", v4("0.0.0.0"))
        .mx("mail.test", 10, "a.test")
        .mx("twice.test", 10, "a.test")
        .mx("twice.test", 20, "aaaa.test")
        .mx("local.test", 10, "localhost")
        .mx("half.test", 10, "nowhere.test")
        .mx("half.test", 20, "alias.test");
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().deny(&["127.0.0.0/8", "::1/128"]).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::compliant()));
    for (name, net) in [
        ("a.test", "127.0.0.0/8"),
        ("aaaa.test", "::1/128"),
        ("mapped.test", "127.0.0.0/8"),
        ("nat64.test", "127.0.0.0/8"),
        ("both.test", ""),
        ("alias.test", "127.0.0.0/8"),
        ("metadata.test", "169.254.0.0/16"),
        ("zero.test", "0.0.0.0/8"),
    ] {
        let answer = post(&app, name, port.number()).await;
        assert_forbidden(&answer, net, name);
        let detail = answer.json()["detail"].to_string();
        assert!(!detail.contains("127.0.0.1") && !detail.contains("169.254.169.254"), "{name}: {detail}");
    }
    for domain in ["mail.test", "twice.test", "local.test", "half.test", "a.test"] {
        assert_forbidden(&post_mail(&app, &format!("a@{domain}"), port.number()).await, "", domain);
    }
    assert_eq!(servers.each_ref().map(SmtpServer::connections), [0, 0]);
}

#[tokio::test]
async fn denied_addresses_of_a_name_are_skipped() {
    let zone = Zone::new()
        .a("mixed.test", v4("127.0.0.2"))
        .a("mixed.test", v4("127.0.0.3"))
        .a("mixed.test", v4("0.0.0.0"))
        .aaaa("mixed.test", v6("::1"))
        .mx("domain.test", 10, "denied.test")
        .mx("domain.test", 20, "mixed.test")
        .a("denied.test", v4("127.0.0.2"));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().deny(&["127.0.0.2/31"]).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let [two, three, six] = ["127.0.0.2", "127.0.0.3", "::1"].map(|at| port.serve(at, Script::compliant()));
    for (parameters, host) in [
        (json!({"target": "mixed.test"}), "mixed.test"),
        (json!({"target": null, "to": "a@domain.test"}), "mixed.test"),
    ] {
        let mut parameters = parameters;
        parameters["port"] = port.number().into();
        let report = app.check(parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!((&report["target"]["host"], &report["target"]["address"]), (&json!(host), &json!("::1")));
        let attempts = report["target"]["attempts"].as_array().expect("those before");
        assert!(attempts.len() >= 3 && attempts.iter().all(|attempt| attempt["address"] == Value::Null), "{report:#}");
        assert!(
            attempts.iter().all(|attempt| attempt["error"].as_str().is_some_and(|error| error.contains("may not")))
        );
        assert_eq!(phase_names(&report)[..2], ["dns", "connect"]);
    }
    assert_eq!((two.connections(), three.connections(), six.connections()), (0, 0, 2));

    // A denied address is not tried after the allowed one refused.
    drop(six);
    let report = app.check(json!({"target": "mixed.test", "port": port.number()})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!((two.connections(), three.connections()), (0, 0));
}

#[tokio::test]
async fn a_forbidden_port_is_rejected_before_dns() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.1")).nxdomain("no.test").silent("silent.test"));
    let port = Port::new();
    let [server, other] = [port, Port::new()].map(|port| port.serve("127.0.0.1", Script::compliant()));
    let builder = TestApp::builder().allow(&["127.0.0.0/8"]).ports(&[25, server.port()]);
    let app = builder.dns_server(dns.addr()).start().await;
    let rule = format!("port {}", other.port());
    for target in ["127.0.0.1", "mail.test", "no.test", "silent.test"] {
        assert_forbidden(&post(&app, target, other.port()).await, &rule, target);
    }
    for to in ["a@mail.test", "a@no.test", "a@[127.0.0.1]"] {
        assert_forbidden(&post_mail(&app, to, other.port()).await, &rule, to);
    }
    assert_eq!(dns.queries(), [], "the port is known without DNS");
    for target in ["127.0.0.1", "mail.test"] {
        assert_eq!(post(&app, target, server.port()).await.status, 200, "{target}");
    }
    assert_eq!((server.connections(), other.connections()), (2, 0));
}

#[tokio::test]
async fn invalid_parameters_cause_no_dns_query() {
    let dns = DnsServer::serve(Zone::new().a("mail.test", v4("127.0.0.1")));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let answer = app.post(&json!({"to": "a@mail.test", "target": "mail.test", "ehlo": "a\r\nb"})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn dns_rebinding_is_prevented() {
    for (then, by_mx) in
        [("169.254.169.254", false), ("127.0.0.3", false), ("169.254.169.254", true), ("127.0.0.3", true)]
    {
        let zone = Zone::new().rebind("rebind.test", v4("127.0.0.2").into(), v4(then).into()).mx(
            "domain.test",
            10,
            "rebind.test",
        );
        let dns = DnsServer::serve(zone);
        let app = TestApp::builder().deny(&["127.0.0.3/32"]).dns_server(dns.addr()).start().await;
        let port = Port::new();
        let [first, second] = ["127.0.0.2", "127.0.0.3"].map(|at| port.serve(at, Script::compliant()));
        let mut check =
            json!({"to": "a@domain.test", "port": port.number(), "ip_family": "ipv4", "stop_after": "ehlo"});
        if !by_mx {
            check["target"] = "rebind.test".into();
        }
        assert_eq!(app.post(&check).await.json()["target"]["address"], "127.0.0.2", "{then} by MX: {by_mx}");
        let asked = dns.queries().into_iter().filter(|(name, _)| name == "rebind.test").count();
        assert_eq!(asked, 1, "{then} by MX: {by_mx}");
        // The next check resolves the name again, and checks it again.
        let net = if then == "127.0.0.3" { "127.0.0.3/32" } else { "169.254.0.0/16" };
        assert_forbidden(&app.post(&check).await, net, then);
        assert_eq!((first.connections(), second.connections()), (1, 0));
    }
}

#[tokio::test]
async fn a_cname_chain_is_checked_by_its_final_address() {
    let zone = (0..6)
        .fold(Zone::new(), |zone, at| zone.cname(&format!("alias{at}.test"), &format!("alias{}.test", at + 1)))
        .a("alias6.test", v4("169.254.169.254"))
        .aaaa("alias6.test", v6("64:ff9b::a9fe:a9fe"))
        .mx("domain.test", 10, "alias0.test");
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    assert_forbidden(&post(&app, "alias0.test", 80).await, "169.254.0.0/16", "a chain");
    assert_forbidden(&post_mail(&app, "a@domain.test", 80).await, "169.254.0.0/16", "a chain behind an MX record");
}

#[tokio::test]
async fn an_mx_record_with_an_address_does_not_bypass_the_policy() {
    let spellings = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0x7f.1"];
    let zone = spellings.into_iter().enumerate().fold(Zone::new(), |zone, (at, exchange)| {
        zone.mx(&format!("domain{at}.test"), 10, exchange).a(exchange, v4("127.0.0.1"))
    });
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().deny(&["127.0.0.0/8"]).dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (at, exchange) in spellings.into_iter().enumerate() {
        let check = json!({"to": format!("a@domain{at}.test"), "port": server.port()});
        let report = app.post(&check).await.json();
        assert_eq!(failure(&report), ("dns", "dns", false), "{exchange}: {report:#}");
        let message = report["failure"]["message"].as_str().expect("a text");
        assert!(message.ends_with("which is not a host name"), "{exchange}: {message}");
    }
    assert!(dns.queries().iter().all(|(name, _)| name.starts_with("domain")), "{:?}", dns.queries());
    assert_eq!(server.connections(), 0);
}
