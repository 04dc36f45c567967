//! The limits of the check of a domain: policy, places, time and memory.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smtp_check::destination::policy::HostRules;
use tokio::{net::UdpSocket, time::timeout};

use super::{PATH, check, post, usual_zone, views};
use crate::support::{
    app::TestApp,
    dns::{DnsServer, Zone},
    events::Events,
    port::Port,
    smtpd::{Action, Script, Step},
};

const WAIT_TIMEOUT: Duration = Duration::from_secs(40);
/// How long after its timeout a check may end.
const LATE: Duration = Duration::from_millis(500);

async fn assert_refused(app: &TestApp, parameters: Value, status: u16, slug: &str) {
    let answer = post(app, &parameters).await;
    assert_eq!(answer.status, status, "{parameters}: {answer:?}");
    assert_eq!(answer.json()["type"], format!("urn:smtp-check:problem:{slug}"));
}

#[tokio::test]
async fn a_forbidden_domain_or_port_is_refused_before_dns_is_asked() {
    let dns = DnsServer::serve(usual_zone());
    let deny = vec!["secret.test".parse().expect("a rule")];
    let builder = TestApp::builder().host_rules(HostRules::new(deny, Vec::new())).ports(&[25]);
    let app = builder.dns_server(dns.addr()).start().await;
    assert_refused(&app, json!({"domain": "secret.test"}), 403, "target-forbidden").await;
    assert_refused(&app, json!({"domain": "a.secret.test"}), 403, "target-forbidden").await;
    assert_refused(&app, json!({"domain": "example.test", "port": 26}), 403, "target-forbidden").await;
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn a_forbidden_address_or_exchanger_is_a_part_of_the_report() {
    let zone = usual_zone().mx("example.test", 30, "mx.secret.test").a("mx.secret.test", [127, 0, 0, 4].into());
    let dns = DnsServer::serve(zone);
    let deny = vec!["secret.test".parse().expect("a rule")];
    let builder = TestApp::builder().host_rules(HostRules::new(deny, Vec::new())).deny(&["127.0.0.3/32"]);
    let app = builder.dns_server(dns.addr()).start().await;
    let port = Port::new();
    let [_allowed, denied, secret] =
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|address| port.serve(address, Script::compliant()));
    let report = check(&app, json!({"domain": "example.test", "port": port.number()})).await;
    assert_eq!(report["verdict"]["opportunistic"], "ok", "{report:#}");
    let address = &report["hosts"][1]["addresses"][0];
    assert_eq!((&address["report"], &address["views"]["opportunistic"]), (&json!(null), &json!("inconclusive")));
    assert!(address["refusal"].as_str().is_some_and(|refusal| !refusal.is_empty()), "{address:#}");
    let host = &report["hosts"][2];
    assert_eq!((&host["addresses"], &host["views"]["opportunistic"]), (&json!([]), &json!("inconclusive")));
    assert_eq!(host["reason"], "the operator of this service forbids the name");
    assert_eq!((denied.connections(), secret.connections()), (0, 0));
    assert!(!dns.queries().iter().any(|(name, _)| name == "mx.secret.test"));
}

#[tokio::test]
async fn one_check_too_many_is_refused() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().max_domain_checks(1).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let silent = port.serve("127.0.0.2", Script::new().with_greeting(Action::silence()));
    let parameters = json!({"domain": "example.test", "port": port.number(), "timeout_ms": 60_000});
    let first = Events::of_path(&app, PATH, &parameters).await.expect("a stream");
    silent.wait_for_open(1).await;
    assert_refused(&app, parameters.clone(), 503, "overloaded").await;
    let Err(answer) = Events::of_path(&app, PATH, &parameters).await else { panic!("a stream") };
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (503, Some("application/problem+json")));
    // Its place is free again when the caller has hung up.
    drop(first);
    timeout(WAIT_TIMEOUT, app.lifecycle.idle()).await.expect("the check ends");
    let answer = post(&app, &json!({"domain": "nowhere.test"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_session_that_finds_no_place_is_inconclusive() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().max_checks(1).dns_server(dns.addr()).start().await;
    let port = Port::new();
    let silent = Script::new().with_greeting(Action::silence());
    let held = port.serve("127.0.0.1", silent);
    let _other = app.start_check(json!({"port": port.number(), "timeout_ms": 60_000})).await;
    held.wait_for_open(1).await;
    let report = check(&app, json!({"domain": "example.test", "port": port.number(), "timeout_ms": 700})).await;
    for host in 0..2 {
        let address = &report["hosts"][host]["addresses"][0];
        assert_eq!((&address["refusal"], &address["report"]), (&json!("busy"), &json!(null)), "{address:#}");
        assert_eq!(address["views"]["opportunistic"], "inconclusive");
    }
    assert_eq!(report["verdict"]["opportunistic"], "inconclusive");
}

/// The report of a check with a timeout of one second, which has to keep it.
async fn check_in_time(app: &TestApp, port: u16) -> Value {
    let started = Instant::now();
    let report = check(app, json!({"domain": "example.test", "port": port, "timeout_ms": 1000})).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1) + LATE, "{took:?}");
    report
}

#[tokio::test]
async fn a_silent_mail_server_does_not_hold_the_check() {
    let dns = DnsServer::serve(usual_zone());
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    for step in [Step::Greeting, Step::RcptTo] {
        let port = Port::new();
        let _silent = port.serve("127.0.0.2", Script::compliant().on(step, Action::silence()));
        let _good = port.serve("127.0.0.3", Script::compliant());
        let report = check_in_time(&app, port.number()).await;
        let silent = &report["hosts"][0]["addresses"][0];
        assert_eq!(silent["report"]["failure"]["kind"], "timeout", "{silent:#}");
        assert_eq!(silent["views"]["opportunistic"], "inconclusive");
        assert_eq!(report["hosts"][1]["addresses"][0]["views"]["opportunistic"], "ok");
        assert_eq!(report["verdict"]["opportunistic"], "ok");
    }
}

#[tokio::test]
async fn a_silent_name_server_does_not_hold_the_check() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let app = TestApp::builder().dns_server(silent.local_addr().expect("bound")).start().await;
    let report = check_in_time(&app, 25).await;
    assert_eq!(report["mx_status"], "inconclusive", "{report:#}");
    assert_eq!(report["verdict"], views("inconclusive", "inconclusive", "inconclusive"));
    for name in ["mx", "spf", "dmarc", "mta_sts", "tls_rpt"] {
        let record = &report["dns"][name];
        assert_eq!(record["state"], "inconclusive", "{name}: {record:#}");
        assert!(record["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name}: {record:#}");
    }
}

/// One name whose server is silent leaves the rest as it is.
#[tokio::test]
async fn a_silent_name_holds_only_its_part() {
    let dns = DnsServer::serve(usual_zone().silent("_dmarc.example.test").silent("mx1.example.test"));
    let app = TestApp::builder().dns_server(dns.addr()).start().await;
    let port = Port::new();
    let _good = port.serve("127.0.0.3", Script::compliant());
    let report = check_in_time(&app, port.number()).await;
    assert_eq!(report["dns"]["dmarc"]["state"], "inconclusive", "{report:#}");
    assert_eq!((&report["dns"]["mx"]["state"], &report["dns"]["tls_rpt"]["state"]), (&json!("ok"), &json!("ok")));
    assert_eq!(report["hosts"][0]["addresses"], json!([]));
    assert_eq!(report["hosts"][0]["views"]["opportunistic"], "inconclusive");
    assert_eq!(report["verdict"]["opportunistic"], "ok");
}

/// Twenty hosts with eight addresses each are a hundred and sixty sessions, sixteen at a time.
#[tokio::test]
async fn the_memory_of_a_large_check_is_given_back() {
    let mut zone = Zone::new();
    for host in 0..20 {
        let name = format!("mx{host}.large.test");
        zone = zone.mx("large.test", host, &name);
        for address in 0..8 {
            zone = zone.a(&name, [127, 1, u8::try_from(host).expect("small"), 1 + address].into());
        }
    }
    let dns = DnsServer::serve(zone);
    // As much memory as one check has, beside what all share: the sessions have to wait for each other.
    let app = TestApp::builder().max_checks(1).dns_server(dns.addr()).start().await;
    let parameters =
        json!({"domain": "large.test", "port": 1, "mx_limit": 20, "addresses_per_host": 8, "timeout_ms": 60_000});
    let report = check(&app, parameters).await;
    let hosts = report["hosts"].as_array().expect("hosts");
    let sessions = hosts.iter().flat_map(|host| host["addresses"].as_array()).flatten();
    let kinds =
        sessions.map(|address| &address["report"]["failure"]["kind"]).filter(|kind| **kind == "refused").count();
    assert_eq!(kinds, 160, "{report:#}");
    let all_free = async {
        while !String::from_utf8_lossy(&app.get("/metrics").await.body).contains("\nsmtp_check_held_bytes 0\n") {}
    };
    timeout(WAIT_TIMEOUT, all_free).await.expect("the memory is given back");
}
