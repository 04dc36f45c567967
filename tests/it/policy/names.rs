//! Rules about host names: denied names are never resolved, and an allow list forbids all others.

use serde_json::{Value, json};
use smtp_check::destination::policy::HostRules;

use super::{assert_forbidden, post, post_mail, v4};
use crate::support::{
    app::{TestApp, TestAppBuilder},
    dns::{DnsServer, Zone},
    port::Port,
    smtpd::{Script, SmtpServer},
};

/// A service that denies some names and allows others.
fn with_rules(deny: &[&str], allow: &[&str]) -> TestAppBuilder {
    let rules = |names: &[&str]| names.iter().map(|name| name.parse().expect("a rule")).collect::<Vec<_>>();
    TestApp::builder().host_rules(HostRules::new(rules(deny), rules(allow)))
}

const DENIED: &str = "the target's name falls under";
const UNLISTED: &str = "the target's name is not one of those";
const NAMELESS: &str = "an address without a name";

#[tokio::test]
async fn a_denied_name_is_forbidden_in_every_spelling_and_never_resolved() {
    let zone = Zone::new()
        .a("bad.test", v4("127.0.0.1"))
        .a("mx.bad.test", v4("127.0.0.1"))
        .a("notbad.test", v4("127.0.0.1"))
        .a("xn--bcher-kva.test", v4("127.0.0.1"))
        .mx("bad.test", 10, "notbad.test");
    let dns = DnsServer::serve(zone);
    let app = with_rules(&["bad.test", "bücher.test", "localhost"], &[]).dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for target in [
        "bad.test",
        "BAD.Test",
        "bad.test.",
        "mx.bad.test",
        "a.b.c.bad.test",
        "ｂａｄ.test",
        "bad。test",
        "bücher.test",
        "BÜCHER.test.",
        "bu\u{308}cher.test",
        "xn--bcher-kva.test",
        "XN--BCHER-KVA.test",
        "localhost",
        "LocalHost.",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "anything.localhost",
    ] {
        assert_forbidden(&post(&app, target, server.port()).await, DENIED, target);
    }
    for to in ["a@bad.test", "a@Sub.BAD.test", "a@bücher.test", "a@localhost"] {
        assert_forbidden(&post_mail(&app, to, server.port()).await, DENIED, to);
    }
    assert_eq!(dns.queries(), [], "the name is enough");
    assert_eq!(server.connections(), 0);

    assert_eq!(post(&app, "notbad.test", server.port()).await.status, 200, "another name, for all that it ends so");
    assert_eq!(post(&app, "127.0.0.1", server.port()).await.status, 200, "names are denied, not machines");
}

#[tokio::test]
async fn denied_mx_hosts_are_skipped() {
    let zone = Zone::new()
        .mx("domain.test", 10, "mx.bad.test")
        .mx("domain.test", 20, "mx.good.test")
        .mx("hopeless.test", 10, "mx.bad.test")
        .mx("hopeless.test", 20, "gone.test")
        .mx("curious.test", 10, "no-such-host.bad.test")
        .a("mx.bad.test", v4("127.0.0.2"))
        .a("mx.good.test", v4("127.0.0.3"));
    let dns = DnsServer::serve(zone);
    let app = with_rules(&["bad.test"], &[]).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let [bad, good] = ["127.0.0.2", "127.0.0.3"].map(|at| port.serve(at, Script::compliant()));
    let parameters = json!({"to": "a@domain.test", "target": null, "port": port.number(), "stop_after": "ehlo"});
    let report = app.check(parameters).await;
    assert_eq!((&report["outcome"], &report["target"]["host"]), (&json!("completed"), &json!("mx.good.test")));
    let error = "the target's name falls under bad.test, to whose hosts this service may not connect";
    let skipped = json!([{"host": "mx.bad.test", "address": null, "error": error}]);
    assert_eq!(report["target"]["attempts"], skipped, "{report:#}");

    // The third name does not exist: about forbidden names not even that is disclosed.
    for domain in ["hopeless.test", "curious.test"] {
        assert_forbidden(&post_mail(&app, &format!("a@{domain}"), port.number()).await, DENIED, domain);
    }
    assert_eq!((bad.connections(), good.connections()), (0, 1));
}

#[tokio::test]
async fn an_allow_list_of_names_forbids_all_others() {
    let zone = Zone::new()
        .a("good.test", v4("127.0.0.1"))
        .a("mx.good.test", v4("127.0.0.1"))
        .a("alias.test", v4("127.0.0.1"))
        .a("other.test", v4("127.0.0.1"))
        .a("mx.elsewhere.test", v4("127.0.0.1"))
        .cname("www.good.test", "other.test")
        .mx("good.test", 10, "mx.elsewhere.test")
        .mx("customer.test", 10, "mx.good.test")
        .mx("unlisted.test", 10, "mx.elsewhere.test")
        .a("meta.good.test", v4("169.254.169.254"));
    let dns = DnsServer::serve(zone);
    let app = with_rules(&[], &["good.test"]).allow(&["127.0.0.2/32"]).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _servers = ["127.0.0.1", "127.0.0.2"].map(|at| port.serve(at, Script::compliant()));
    for target in ["good.test", "mx.good.test", "MX.GOOD.TEST.", "www.good.test", "127.0.0.2", "0x7f.2"] {
        assert_eq!(post(&app, target, port.number()).await.status, 200, "{target}");
    }
    for (target, rule) in [
        ("other.test", UNLISTED),
        ("localhost", UNLISTED),
        ("notgood.test", UNLISTED),
        ("good.test.evil.test", UNLISTED),
        ("127.0.0.1", NAMELESS),
        ("::1", NAMELESS),
        ("2130706433", NAMELESS),
        ("::ffff:127.0.0.1", NAMELESS),
        // An allowed name does not allow a denied address.
        ("meta.good.test", "169.254.0.0/16"),
        ("169.254.169.254", "169.254.0.0/16"),
    ] {
        assert_forbidden(&post(&app, target, port.number()).await, rule, target);
    }
    // An allowed domain allows its MX hosts, and an allowed MX host takes mail for any domain.
    for to in ["a@good.test", "a@customer.test", "a@[127.0.0.2]"] {
        assert_eq!(post_mail(&app, to, port.number()).await.status, 200, "{to}");
    }
    for (to, rule) in [
        ("a@unlisted.test", UNLISTED),
        // It has no MX record: the domain itself is the host.
        ("a@other.test", UNLISTED),
        ("a@[127.0.0.1]", NAMELESS),
        ("a@[IPv6:::1]", NAMELESS),
    ] {
        assert_forbidden(&post_mail(&app, to, port.number()).await, rule, to);
    }
}

#[tokio::test]
async fn the_longest_rule_wins_and_allow_wins_a_tie() {
    let names = ["good.test", "secret.good.test", "open.secret.good.test", "same.test"];
    let zone = names.into_iter().fold(Zone::new(), |zone, name| zone.a(name, v4("127.0.0.1")));
    let dns = DnsServer::serve(zone);
    let builder = with_rules(&["secret.good.test", "same.test"], &["good.test", "open.secret.good.test", "same.test"]);
    let app = builder.dns_server(dns.addr()).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (target, status) in names.into_iter().zip([200, 403, 200, 200]) {
        assert_eq!(post(&app, target, server.port()).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn no_other_parameter_changes_the_destination() {
    let zone = Zone::new().a("good.test", v4("127.0.0.1")).a("bad.test", v4("127.0.0.2"));
    let dns = DnsServer::serve(zone);
    let builder = with_rules(&["bad.test"], &["good.test", "bad.test.good.test"]).deny(&["127.0.0.2/32"]);
    let app = builder.dns_server(dns.addr()).start().await;
    let port = Port::new();
    let [good, bad] = ["127.0.0.1", "127.0.0.2"].map(|at| port.serve(at, Script::compliant()));
    let parameters = |target: &str, elsewhere: &str, address: &str| {
        json!({
            "to": format!("a@{elsewhere}"), "from": format!("a@{elsewhere}"), "ehlo": elsewhere, "target": target,
            "tls_server_name": elsewhere, "proxy_protocol": true, "proxy_source_address": address,
            "proxy_dest_address": address, "port": port.number(), "stop_after": "ehlo",
        })
    };
    let report = app.check(parameters("good.test", "bad.test", "127.0.0.2")).await;
    assert_eq!(report["target"]["address"], "127.0.0.1", "{report:#}");
    let asked: Vec<_> = dns.queries().into_iter().map(|(name, _)| name).collect();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "good.test"), "{asked:?}");
    assert_forbidden(&app.post(&parameters("bad.test", "good.test", "127.0.0.1")).await, DENIED, "bad.test");
    assert_eq!((good.connections(), bad.connections()), (1, 0));
    assert_eq!(report["target"].get("attempts"), None::<&Value>);
}
