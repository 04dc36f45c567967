//! The check of a whole domain: `POST /v1/checks/domain`.

mod answers;
mod bounds;
mod live;
mod mta_sts;
mod scrape;

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, TestResponse},
    dns::Zone,
};

const PATH: &str = "/v1/checks/domain";

/// The response to the check of a domain.
async fn post(app: &TestApp, parameters: &Value) -> TestResponse {
    app.post_to(PATH, parameters).await
}

/// The report of the check of a domain, which has to run.
async fn check(app: &TestApp, parameters: Value) -> Value {
    let answer = post(app, &parameters).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let report = answer.json();
    assert_eq!(answer.header("x-check-id"), report["id"].as_str());
    report
}

fn views(opportunistic: &str, mta_sts: &str, dane: &str) -> Value {
    json!({"opportunistic": opportunistic, "mta_sts": mta_sts, "dane": dane})
}

/// A domain with two mail exchangers, at 127.0.0.2 and 127.0.0.3, and the usual records.
fn usual_zone() -> Zone {
    Zone::new()
        .mx("example.test", 20, "mx2.example.test")
        .mx("example.test", 10, "mx1.example.test")
        .a("mx1.example.test", [127, 0, 0, 2].into())
        .a("mx2.example.test", [127, 0, 0, 3].into())
        .txt("example.test", "v=spf1 ip4:192.0.2.0/28 include:_spf.provider.test -all")
        .txt("_spf.provider.test", "v=spf1 ip4:192.0.2.0/24 -all")
        .txt("_dmarc.example.test", "v=DMARC1; p=reject; rua=mailto:reports@example.test")
        .txt("_smtp._tls.example.test", "v=TLSRPTv1; rua=mailto:reports@example.test")
        .txt("s1._domainkey.example.test", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
}
