//! What a name leads to is judged, whatever way DNS takes to get there.

use serde_json::{Value, json};

use super::{assert_forbidden, denying, post, post_mail, v4, v6};
use crate::support::{
    app::{House, failure, phases},
    dns::{Dns, Zone},
    port::Port,
    smtpd::{Script, Smtpd},
};

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
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
    let dns = Dns::serve(zone);
    let app = denying(&["127.0.0.0/8", "::1/128"]).asking(dns.addr()).open().await;
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::polite()));
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
    assert_eq!(servers.each_ref().map(Smtpd::connections), [0, 0]);
}

#[tokio::test]
async fn of_several_addresses_the_denied_ones_are_skipped() {
    let zone = Zone::new()
        .a("mixed.test", v4("127.0.0.2"))
        .a("mixed.test", v4("127.0.0.3"))
        .a("mixed.test", v4("0.0.0.0"))
        .aaaa("mixed.test", v6("::1"))
        .mx("domain.test", 10, "denied.test")
        .mx("domain.test", 20, "mixed.test")
        .a("denied.test", v4("127.0.0.2"));
    let dns = Dns::serve(zone);
    let app = denying(&["127.0.0.2/31"]).asking(dns.addr()).open().await;
    let port = Port::new();
    let [two, three, six] = ["127.0.0.2", "127.0.0.3", "::1"].map(|at| port.serve(at, Script::polite()));
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
        assert_eq!(phases(&report)[..2], ["dns", "connect"]);
    }
    assert_eq!((two.connections(), three.connections(), six.connections()), (0, 0, 2));

    // A denied address is no second choice where the allowed one refuses.
    drop(six);
    let report = app.check(json!({"target": "mixed.test", "port": port.number()})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!((two.connections(), three.connections()), (0, 0));
}

#[tokio::test]
async fn another_port_is_forbidden_before_anything_is_asked() {
    let dns = Dns::serve(Zone::new().a("mail.test", v4("127.0.0.1")).nxdomain("no.test").silent("silent.test"));
    let port = Port::new();
    let [server, other] = [port, Port::new()].map(|port| port.serve("127.0.0.1", Script::polite()));
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    let house = House { allow, ports: vec![25, server.port()], ..House::default() };
    let app = house.asking(dns.addr()).open().await;
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
async fn nothing_is_looked_up_for_parameters_that_are_no_check() {
    let dns = Dns::serve(Zone::new().a("mail.test", v4("127.0.0.1")));
    let app = House::default().asking(dns.addr()).open().await;
    let answer = app.post(&json!({"to": "a@mail.test", "target": "mail.test", "ehlo": "a\r\nb"})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(dns.queries(), []);
}
