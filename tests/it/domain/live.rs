//! The check of a domain as server-sent events.

use std::{collections::BTreeSet, time::Duration};

use axum::http::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use serde_json::{Value, json};
use smtp_check::destination::policy::HostRules;
use tokio::time::timeout;

use super::{PATH, usual_zone};
use crate::support::{
    app::TestApp,
    dns::DnsServer,
    events::{Events, named},
    port::Port,
    smtpd::{Action, End, Gate, Script},
};

const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

async fn events(app: &TestApp, parameters: Value) -> Events {
    Events::of_path(app, PATH, &parameters).await.unwrap_or_else(|answer| panic!("no stream: {answer:?}"))
}

#[tokio::test]
async fn records_and_servers_come_before_the_report() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _servers = ["127.0.0.2", "127.0.0.3"].map(|address| port.serve(address, Script::compliant()));
    let live = events(&app, json!({"domain": "example.test", "port": port.number(), "dkim_selectors": ["s1"]})).await;
    assert_eq!(live.headers["content-type"], "text/event-stream");
    assert_eq!(live.headers["x-accel-buffering"], "no");
    let id = live.headers["x-check-id"].clone();
    let received = live.rest().await;
    let (last, report) = received.last().expect("an event");
    assert_eq!((last.as_str(), report["id"].as_str()), ("report", id.to_str().ok()));

    let records = named(&received, "record");
    let records = records.as_array().expect("records");
    let names: BTreeSet<_> = records.iter().filter_map(|record| record["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["dkim", "dmarc", "mta_sts", "mx", "spf", "tls_rpt"]));
    assert_eq!(records.len(), names.len());
    for record in records {
        let name = record["name"].as_str().expect("a name");
        assert_eq!(record["value"], report["dns"][name], "{name}");
    }

    let servers = named(&received, "server");
    assert_eq!(servers.as_array().map(Vec::len), Some(2), "{servers:#}");
    for server in servers.as_array().into_iter().flatten() {
        let hosts = report["hosts"].as_array().expect("hosts");
        let host = hosts.iter().find(|host| host["name"] == server["host"]).expect("a host of the report");
        let address = &host["addresses"][0];
        for member in ["address", "report", "refusal"] {
            assert_eq!(server[member], address[member], "{member}");
        }
        assert_eq!(server["views"]["opportunistic"], "ok");
    }
    assert_eq!(received.len(), 6 + 2 + 1);
}

/// A server that has not greeted yet holds back neither the records nor another server.
#[tokio::test]
async fn each_part_is_told_as_soon_as_it_is_known() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let gate = Gate::default();
    let greeting = Action::from("220 mx.test ESMTP\r\n").after_gate(&gate);
    let _slow = port.serve("127.0.0.2", Script::compliant().with_greeting(greeting));
    let _quick = port.serve("127.0.0.3", Script::compliant());
    let mut live = events(&app, json!({"domain": "example.test", "port": port.number(), "timeout_ms": 60_000})).await;
    let mut before = Vec::new();
    for _ in 0..7 {
        before.push(live.next().await.expect("an event"));
    }
    assert_eq!(named(&before, "record").as_array().map(Vec::len), Some(6));
    assert_eq!(named(&before, "server")[0]["host"], "mx2.example.test");
    gate.open();
    let after = live.rest().await;
    assert_eq!(named(&after, "server")[0]["host"], "mx1.example.test");
    assert_eq!(after.len(), 2);
}

#[tokio::test]
async fn hanging_up_ends_the_check() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let silent = port.serve("127.0.0.2", Script::new().with_greeting(Action::silence()));
    let parameters = json!({"domain": "example.test", "port": port.number(), "mx_limit": 1, "timeout_ms": 60_000});
    let live = events(&app, parameters).await;
    silent.wait_for_open(1).await;
    assert_eq!(app.lifecycle.running(), 1);
    drop(live);
    assert!(matches!(silent.next_session().await.end, End::Eof | End::Reset));
    timeout(WAIT_TIMEOUT, app.lifecycle.idle()).await.expect("its place is given back");
}

#[tokio::test]
async fn a_refusal_has_a_status_of_its_own() {
    let deny = vec!["secret.test".parse().expect("a rule")];
    let app = TestApp::builder().host_rules(HostRules::new(deny, Vec::new())).start().await;
    for (parameters, status) in [(json!({"domain": "secret.test"}), 403), (json!({"domain": "1"}), 422)] {
        let Err(answer) = Events::of_path(&app, PATH, &parameters).await else { panic!("a stream: {parameters}") };
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn json_is_the_default() {
    let dns = DnsServer::serve(usual_zone().null_mx("null.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for (accept, content_type) in [
        ("*/*", "application/json"),
        ("application/json, text/event-stream;q=0.5", "application/json"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
    ] {
        let request = Request::builder().method(Method::POST).uri(PATH).header("host", "test");
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, accept);
        let answer = app.send(request.body(Full::from(r#"{"domain":"null.test"}"#)).expect("a request")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(content_type)), "{accept}");
    }
}
