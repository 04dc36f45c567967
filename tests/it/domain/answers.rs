//! What the report says of a domain.

use serde_json::json;

use super::{check, post, usual_zone, views};
use crate::support::{
    app::TestApp,
    dns::{DnsServer, Zone},
    pki::{Ca, Leaf},
    port::Port,
    smtpd::{Action, Script, Step},
};

#[tokio::test]
async fn each_exchanger_is_asked_once_and_takes_no_mail() {
    let ca = Ca::new("Test CA");
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().trust(&ca).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let with_tls = |name: &str| Script::compliant().with_starttls(ca.issue(Leaf::for_name(name)).server_config());
    let servers =
        [port.serve("127.0.0.2", with_tls("mx1.example.test")), port.serve("127.0.0.3", with_tls("mx2.example.test"))];
    let parameters = json!({
        "domain": "Example.test", "port": port.number(), "dkim_selectors": ["s1", "s2"], "sending_ips": ["192.0.2.25"],
    });
    let report = check(&app, parameters).await;

    assert_eq!(report["domain"], "example.test");
    // Nothing is proven here, so that it cannot be told whether DANE applies.
    assert_eq!(report["verdict"], views("ok", "not_applicable", "inconclusive"), "{report:#}");
    assert_eq!(report["mx_status"], "has_mx");
    let dns = &report["dns"];
    assert_eq!(dns["mx"]["records"], json!(["10 mx1.example.test.", "20 mx2.example.test."]));
    assert_eq!(dns["mx"]["looked_up"], json!(["example.test. MX"]));
    assert_eq!((&dns["spf"]["state"], &dns["spf"]["lookups"]), (&json!("ok"), &json!(1)));
    assert_eq!(dns["spf"]["tree"][0]["term"], "include:_spf.provider.test");
    assert_eq!(
        (&dns["dmarc"]["policy"], &dns["dmarc"]["found_at"]),
        (&json!("reject"), &json!("_dmarc.example.test."))
    );
    assert_eq!((&dns["dkim"][0]["state"], &dns["dkim"][1]["state"]), (&json!("ok"), &json!("absent")));
    assert_eq!((&dns["mta_sts"]["state"], &dns["tls_rpt"]["state"]), (&json!("absent"), &json!("ok")));
    let sender = &report["senders"][0];
    assert_eq!((&sender["ip"], &sender["ptr"], &sender["spf"]), (&json!("192.0.2.25"), &json!(null), &json!("pass")));
    for (index, server) in servers.iter().enumerate() {
        let (host, address) = (&report["hosts"][index], &report["hosts"][index]["addresses"][0]);
        assert_eq!(host["name"], format!("mx{}.example.test", index + 1));
        assert_eq!(host["preference"], json!(10 * (index + 1)));
        assert_eq!(address["address"], format!("127.0.0.{}", index + 2));
        assert_eq!((&address["refusal"], &address["report"]["success"]), (&json!(null), &json!(true)), "{address:#}");
        assert_eq!(address["report"]["tls"]["verified"], true);
        assert_eq!(address["views"], views("ok", "not_applicable", "inconclusive"));
        let session = server.next_session().await;
        assert!(session.has_command("RCPT TO:<postmaster@example.test>") && session.has_command("RSET"));
        assert!(session.has_command("MAIL FROM:<>") && !session.has_command("DATA"), "{:?}", session.commands());
        assert_eq!((server.connections(), session.message), (1, None));
    }
}

#[tokio::test]
async fn depth_tls_asks_for_no_recipient() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let server = port.serve("127.0.0.2", Script::compliant());
    let parameters = json!({"domain": "example.test", "port": port.number(), "depth": "tls", "mx_limit": 1});
    let report = check(&app, parameters).await;
    assert_eq!(report["verdict"]["opportunistic"], "ok", "{report:#}");
    assert_eq!(report["hosts"].as_array().map(Vec::len), Some(1));
    let session = server.next_session().await;
    assert!(!session.has_command("MAIL") && session.has_command("QUIT"), "{:?}", session.commands());
}

#[tokio::test]
async fn a_domain_without_mail_is_an_answer() {
    let dns = DnsServer::serve(Zone::new().null_mx("null.test").nxdomain("nowhere.test").servfail("broken.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for (domain, status, state, verdict) in [
        ("null.test", "null_mx", "ok", views("not_applicable", "not_applicable", "not_applicable")),
        ("nowhere.test", "no_such_domain", "absent", views("fail", "not_applicable", "not_applicable")),
        ("broken.test", "inconclusive", "inconclusive", views("inconclusive", "inconclusive", "inconclusive")),
    ] {
        let report = check(&app, json!({"domain": domain})).await;
        assert_eq!(report["mx_status"], status, "{report:#}");
        assert_eq!((&report["dns"]["mx"]["state"], &report["verdict"]), (&json!(state), &verdict), "{domain}");
        assert_eq!(report["hosts"], json!([]));
    }
}

#[tokio::test]
async fn a_domain_without_mx_records_is_its_own_exchanger() {
    let dns = DnsServer::serve(Zone::new().a("plain.test", [127, 0, 0, 4].into()));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _server = port.serve("127.0.0.4", Script::compliant());
    let report = check(&app, json!({"domain": "plain.test", "port": port.number()})).await;
    assert_eq!((&report["mx_status"], &report["dns"]["mx"]["state"]), (&json!("no_mx"), &json!("absent")));
    let host = &report["hosts"][0];
    assert_eq!((&host["name"], &host["addresses"][0]["report"]["success"]), (&json!("plain.test"), &json!(true)));
}

#[tokio::test]
async fn what_a_server_refuses_is_told_apart() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for (step, reply, to, view) in [
        (Step::RcptTo, "550 5.1.1 no\r\n", None, "ok"),
        (Step::RcptTo, "550 5.1.1 no\r\n", Some("a@example.test"), "fail"),
        (Step::RcptTo, "450 4.2.0 greylisted\r\n", Some("a@example.test"), "inconclusive"),
        (Step::Greeting, "554 5.7.1 you are listed\r\n", None, "inconclusive"),
        (Step::Ehlo, "421 4.3.2 too busy\r\n", None, "inconclusive"),
    ] {
        let port = Port::new();
        let _server = port.serve("127.0.0.2", Script::compliant().on(step, Action::from(reply)));
        let mut parameters = json!({"domain": "example.test", "port": port.number(), "mx_limit": 1});
        if let Some(to) = to {
            parameters["to"] = to.into();
        }
        let report = check(&app, parameters).await;
        assert_eq!(report["verdict"]["opportunistic"], view, "{reply} {to:?}: {report:#}");
    }
}

#[tokio::test]
async fn bad_input_is_named_by_pointers() {
    let app = TestApp::start().await;
    for (parameters, pointers) in [
        (json!({}), vec!["/domain"]),
        (json!({"domain": "192.0.2.1", "mx_limit": 21}), vec!["/domain", "/mx_limit"]),
        (json!({"domain": format!("{}a.test", "abcdefg.".repeat(32))}), vec!["/domain"]),
        (json!({"domain": "a.test", "depth": "data", "timeout_ms": 1}), vec!["/depth", "/timeout_ms"]),
        (json!({"domain": "a.test", "sending_ips": ["192.0.2.1", "x"]}), vec!["/sending_ips/1"]),
        (json!({"domain": "a.test", "expect": {"mta_sts_mode": "on"}}), vec!["/expect/mta_sts_mode"]),
        (json!({"domain": "a.test", "targt": 1}), vec!["/targt"]),
    ] {
        let answer = post(&app, &parameters).await;
        let mut found = answer.pointers();
        found.sort();
        assert_eq!((answer.status.as_u16(), found), (422, pointers.into_iter().map(str::to_owned).collect()));
        assert_eq!(answer.json()["type"], "urn:smtp-check:problem:invalid-parameters");
    }
}
