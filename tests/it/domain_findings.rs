//! The findings of a domain, as callers of `POST /v1/checks/domain` see them. Its servers are on loopback, which is a
//! finding too: `mx.not_public`.

use axum::http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    dns::{DnsServer, Zone},
    pki::{Ca, Leaf},
    smtpd::{Script, SmtpServer},
};

/// The report of a domain.
async fn check(app: &TestApp, parameters: Value) -> Value {
    let request = Request::builder().method(Method::POST).uri("/v1/checks/domain").header("host", "test");
    let request = request.header(CONTENT_TYPE, "application/json").body(Full::from(parameters.to_string()));
    let answer = app.send(request.expect("a request")).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()
}

/// Id, severity and subject of each finding.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    findings.map(|it| ["id", "severity", "subject"].map(|name| text(it, name)).join(" ")).collect()
}

#[tokio::test]
async fn a_domain_has_findings_with_the_record_to_publish() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf::for_name("mx.good.test"));
    let (good, bad) =
        (SmtpServer::serve(Script::compliant().with_starttls(&identity)), SmtpServer::serve(Script::compliant()));
    let loopback = [127, 0, 0, 1].into();
    let zone = Zone::new()
        .mx("good.test", 10, "mx.good.test")
        .a("mx.good.test", loopback)
        .txt("good.test", "v=spf1 ip4:192.0.2.1 -all")
        .txt("_dmarc.good.test", "v=DMARC1; p=reject; rua=mailto:dmarc@good.test")
        .nxdomain("_mta-sts.good.test")
        .nxdomain("_smtp._tls.good.test")
        .mx("bad.test", 10, "mx.bad.test")
        .a("mx.bad.test", loopback)
        .txt("bad.test", "v=spf1 +all")
        .nxdomain("_dmarc.bad.test")
        .nxdomain("_dmarc.test")
        .nxdomain("_mta-sts.bad.test")
        .nxdomain("_smtp._tls.bad.test");
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).trust(&ca).start().await;
    let report = check(&app, json!({"domain": "good.test", "port": good.port()})).await;
    let expected = ["mx.not_public error mx.good.test", "mta_sts.absent notice good.test"];
    assert_eq!(found(&report), expected, "{report:#}");
    assert_eq!(report["counts"], json!({"error": 1, "warning": 0, "notice": 1, "info": 0, "inconclusive": 0}));

    let report = check(&app, json!({"domain": "bad.test", "port": bad.port()})).await;
    let expected = [
        "dmarc.absent error bad.test",
        "mx.not_public error mx.bad.test",
        "spf.permissive warning bad.test",
        "starttls.not_offered warning mx.bad.test [127.0.0.1]",
        "mta_sts.absent notice bad.test",
    ];
    assert_eq!(found(&report), expected, "{report:#}");
    assert_eq!(report["findings"][2]["remedy"], "Publish `bad.test. IN TXT \"v=spf1 ~all\"`.");
    assert_eq!(report["findings"][2]["evidence"], json!(["v=spf1 +all"]));
}

/// A name server that fails proves nothing.
#[tokio::test]
async fn a_domain_that_cannot_be_looked_up_has_inconclusive_findings_only() {
    let zone = Zone::new()
        .servfail("lost.test")
        .servfail("_dmarc.lost.test")
        .nxdomain("_dmarc.test")
        .servfail("_mta-sts.lost.test")
        .servfail("_smtp._tls.lost.test");
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let report = check(&app, json!({"domain": "lost.test"})).await;
    let subjects = [
        "_dmarc.lost.test. TXT",
        "_mta-sts.lost.test. TXT",
        "_smtp._tls.lost.test. TXT",
        "lost.test. MX",
        "lost.test. TXT",
    ];
    let expected = subjects.map(|subject| format!("dns.inconclusive inconclusive {subject}"));
    assert_eq!(found(&report), expected, "{report:#}");
}
