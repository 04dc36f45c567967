//! The MTA-STS policy: fetched over HTTPS, and what it makes of the mail exchangers (RFC 8461).

use serde_json::{Value, json};

use super::{check, usual_zone};
use crate::support::{
    app::{TestApp, TestAppBuilder},
    dns::{DnsServer, Zone},
    https::HttpsServer,
    pki::{Ca, Identity, Leaf},
    port::Port,
    smtpd::Script,
};

const POLICY: &str = "version: STSv1\r\nmode: enforce\r\nmx: *.example.test\r\nmax_age: 604800\r\n";
const HOST: &str = "mta-sts.example.test";

fn zone() -> Zone {
    usual_zone().txt("_mta-sts.example.test", "v=STSv1; id=20260101").a(HOST, [127, 0, 0, 1].into())
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The report of a domain whose policy host has this certificate and gives this response. Both exchangers have valid
/// certificates.
async fn report_with(ca: &Ca, builder: TestAppBuilder, identity: &Identity, response: String) -> (Value, Vec<String>) {
    let https = HttpsServer::serve(identity.server_config(), response);
    let dns = DnsServer::serve(zone());
    let app = builder.trust(ca).mta_sts_port(https.port()).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let serve = |address, name| {
        port.serve(address, Script::compliant().with_starttls(ca.issue(Leaf::for_name(name)).server_config()))
    };
    let _servers = [serve("127.0.0.2", "mx1.example.test"), serve("127.0.0.3", "mx2.example.test")];
    let report = check(&app, json!({"domain": "example.test", "port": port.number()})).await;
    (report, https.requests())
}

#[tokio::test]
async fn a_policy_is_fetched_and_judged() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name(HOST));
    let (report, requests) = report_with(&ca, TestApp::builder(), &identity, ok(POLICY)).await;
    let mta_sts = &report["dns"]["mta_sts"];
    assert_eq!((&mta_sts["state"], &mta_sts["reason"]), (&json!("ok"), &json!(null)), "{mta_sts:#}");
    assert_eq!(mta_sts["policy"], json!({"mode": "enforce", "mx": ["*.example.test"], "max_age": 604_800}));
    assert_eq!(mta_sts["policy_url"], "https://mta-sts.example.test/.well-known/mta-sts.txt");
    assert_eq!(mta_sts["records"], json!(["v=STSv1; id=20260101"]));
    assert_eq!(report["verdict"]["mta_sts"], "ok", "{report:#}");
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert!(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nhost: mta-sts.example.test\r\n"), "{request}");
}

#[tokio::test]
async fn an_exchanger_beyond_the_policy_fails() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name(HOST));
    let policy = POLICY.replace("*.example.test", "mx1.example.test");
    let (report, _) = report_with(&ca, TestApp::builder(), &identity, ok(&policy)).await;
    assert_eq!(report["hosts"][0]["views"]["mta_sts"], "ok", "{report:#}");
    assert_eq!(report["hosts"][1]["views"]["mta_sts"], "fail");
    assert_eq!(report["verdict"]["mta_sts"], "ok", "one exchanger is enough");
    let policy = POLICY.replace("enforce", "none");
    let (report, _) = report_with(&ca, TestApp::builder(), &identity, ok(&policy)).await;
    assert_eq!(report["dns"]["mta_sts"]["policy"]["mode"], "none", "{report:#}");
    assert_eq!(report["verdict"]["mta_sts"], "not_applicable");
}

#[tokio::test]
async fn what_is_wrong_with_the_policy_host_makes_it_invalid() {
    let ca = Ca::new("Test CA");
    let good = ca.issue(Leaf::for_name(HOST));
    let redirect = "HTTP/1.1 301 Moved\r\nLocation: https://www.example.test/\r\nContent-Length: 0\r\n\r\n";
    let endless = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}");
    for (identity, response, reason) in [
        (&good, redirect.to_owned(), "the policy host answered 301, and redirects must not be followed"),
        (&good, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(), "the policy host answered 404"),
        (&good, ok(&"x".repeat(100_000)), "the policy is longer than 65536 octets"),
        (&good, endless(&"x".repeat(100_000)), "the policy is longer than 65536 octets"),
        (&good, "220 mx.test ESMTP\r\n".to_owned(), "the policy host does not speak HTTP, or broke off"),
        (&ca.issue(Leaf::for_name("www.example.test")), ok(POLICY), "the certificate of mta-sts.example.test: "),
        (&ca.issue(Leaf::for_name(HOST).expired()), ok(POLICY), "the certificate of mta-sts.example.test: "),
        (&Leaf::for_name(HOST).self_signed(), ok(POLICY), "the certificate of mta-sts.example.test: "),
        (&good, ok("version: STSv1\r\nmode: strict\r\n"), ""),
    ] {
        let (report, requests) = report_with(&ca, TestApp::builder(), identity, response).await;
        let mta_sts = &report["dns"]["mta_sts"];
        assert_eq!(mta_sts["state"], "invalid", "{reason}: {mta_sts:#}");
        assert!(mta_sts["reason"].as_str().is_some_and(|found| found.starts_with(reason)), "{reason}: {mta_sts:#}");
        assert_eq!((&mta_sts["policy"], &report["verdict"]["mta_sts"]), (&json!(null), &json!("not_applicable")));
        // Nothing is sent to a host that is not proven.
        let is_proven = !reason.starts_with("the certificate");
        assert_eq!(requests.len(), usize::from(is_proven), "{reason}");
    }
}

#[tokio::test]
async fn a_policy_host_that_is_not_reached_is_inconclusive() {
    let ca = Ca::new("Test CA");
    let dns = DnsServer::serve(zone());
    // Nothing listens on the port.
    let unused = Port::new();
    let builder = || TestApp::builder().trust(&ca).dns_server(dns.addr());
    let refusing = builder().mta_sts_port(unused.number()).start().await;
    let https = HttpsServer::serve(ca.issue(Leaf::for_name(HOST)).server_config(), ok(POLICY));
    let denied = builder().deny(&["127.0.0.1/32"]).mta_sts_port(https.port()).start().await;
    let nameless = DnsServer::serve(usual_zone().txt("_mta-sts.example.test", "v=STSv1; id=1"));
    let nameless = TestApp::builder().trust(&ca).dns_server(nameless.addr()).start().await;
    for (app, reason) in [
        (&refusing, "the policy host: "),
        (&denied, "the policy host is not asked: "),
        (&nameless, "the policy host mta-sts.example.test has no address"),
    ] {
        let report = check(app, json!({"domain": "example.test", "port": unused.number()})).await;
        let mta_sts = &report["dns"]["mta_sts"];
        assert_eq!(mta_sts["state"], "inconclusive", "{reason}: {mta_sts:#}");
        assert!(mta_sts["reason"].as_str().is_some_and(|found| found.starts_with(reason)), "{reason}: {mta_sts:#}");
        assert_eq!(report["verdict"]["mta_sts"], "inconclusive");
    }
    assert!(https.requests().is_empty(), "a forbidden address was asked");
}
