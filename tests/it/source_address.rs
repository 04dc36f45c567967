//! `source_address`: the address that the server sees, and the operator's list.

use serde_json::{Value, json};
use smtp_check::check::{CheckSettings, Modules, SourceAddresses};

use super::{
    support::{
        app::{TestApp, failure},
        dns::{DnsServer, Zone},
        port::Port,
        program::{ServiceProcess, code, program, stderr},
        smtpd::{Script, SmtpServer},
        temp_dir::TempDir,
    },
    target_resolution::{v4, v6, visit},
};

#[tokio::test]
async fn the_server_sees_the_address() {
    let app = TestApp::builder().source_addresses(&["127.0.0.2", "127.0.0.3"]).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for (source, seen) in
        [(json!(null), "127.0.0.1"), (json!("127.0.0.2"), "127.0.0.2"), (json!("::ffff:127.0.0.3"), "127.0.0.3")]
    {
        let report = app.check(json!({"port": server.port(), "source_address": source})).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!(server.next_session().await.peer.ip().to_string(), seen);
    }
}

#[tokio::test]
async fn many_checks_come_from_one_address() {
    let app = TestApp::builder().source_addresses(&["127.0.0.2"]).max_checks_per_target(64).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let parameters = json!({"port": server.port(), "source_address": "127.0.0.2"});
    let checks = (0..64).map(|_| app.check(parameters.clone()));
    for report in futures_util::future::join_all(checks).await {
        assert_eq!(report["outcome"], "delivered", "{report:#}");
    }
    assert!(server.wait_for_sessions(64).await.iter().all(|session| session.peer.ip().to_string() == "127.0.0.2"));
}

#[tokio::test]
async fn only_addresses_of_the_list_are_allowed() {
    let app = TestApp::builder().source_addresses(&["127.0.0.2", "::1"]).start().await;
    for (more, pointer) in [
        (json!({"source_address": "127.0.0.1"}), "/source_address"),
        (json!({"source_address": "mx.test"}), "/source_address"),
        (json!({"source_address": ""}), "/source_address"),
        (json!({"source_address": "0.0.0.0"}), "/source_address"),
        (json!({"source_address": 2_130_706_434}), "/source_address"),
        (json!({"source_address": "::1"}), "/source_address"),
        (json!({"source_address": "127.0.0.2", "target": "::1"}), "/source_address"),
        (json!({"source_address": "127.0.0.2", "target": "mx.test", "ip_family": "ipv6"}), "/source_address"),
    ] {
        let mut parameters = json!({"to": "a@b.test", "target": "127.0.0.1", "timeout_ms": 100});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let answer = app.post(&parameters).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec![pointer.to_owned()]), "{more}");
        // The list is the operator's: a caller learns nothing of it.
        assert!(!String::from_utf8_lossy(&answer.body).contains("127.0.0.2"), "{:?}", answer.body);
    }
    let none = TestApp::start().await;
    let answer = none.post(&json!({"to": "a@b.test", "target": "127.0.0.1", "source_address": "127.0.0.1"})).await;
    assert_eq!(answer.pointers(), ["/source_address"]);
}

#[tokio::test]
async fn addresses_of_the_other_family_are_not_tried() {
    let zone = Zone::new().a("mail.test", v4("127.0.0.1")).aaaa("mail.test", v6("::1")).aaaa("six.test", v6("::1"));
    let dns = DnsServer::serve(zone);
    let app = TestApp::builder().dns_server(dns.addr()).source_addresses(&["127.0.0.2", "::1"]).start().await;
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|address| port.serve(address, Script::compliant()));
    for (source, index) in [("127.0.0.2", 0), ("::1", 1)] {
        let report = visit(&app, "mail.test", port.number(), json!({"source_address": source})).await;
        assert_eq!((&report["outcome"], report["target"].get("attempts")), (&json!("completed"), None), "{report:#}");
        assert_eq!(servers[index].next_session().await.peer.ip().to_string(), source);
    }
    let report = visit(&app, "six.test", port.number(), json!({"source_address": "127.0.0.2"})).await;
    assert_eq!(failure(&report), ("dns", "dns", false), "{report:#}");
    // The name has an address, only none that the check may use.
    let explanation = report["failure"]["explanation"].as_str().unwrap_or_default();
    assert!(explanation.contains("no IPv4 address, which `ip_family` or `source_address` asks for"), "{explanation}");
}

/// 192.0.2.1 is of a network for documentation (RFC 5737): no machine has it.
#[tokio::test]
async fn an_address_that_went_away_is_a_refusal_and_no_failure() {
    let app = TestApp::builder().source_addresses(&["192.0.2.1"]).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let parameters =
        json!({"to": "a@b.test", "target": "127.0.0.1", "port": server.port(), "source_address": "192.0.2.1"});
    let answer = app.post(&parameters).await;
    assert_eq!(answer.status, 503, "{:?}", answer.body);
    assert_eq!(answer.json()["type"], "urn:smtp-check:problem:no-source-address");
    assert!(answer.header("retry-after").is_some());
    let metrics = app.get("/metrics").await;
    let line = "smtp_check_refusals_total{reason=\"no_source_address\"} 1";
    assert!(String::from_utf8_lossy(&metrics.body).contains(line), "{:?}", metrics.body);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_module_has_a_source_address() {
    let mut settings = CheckSettings::new(std::time::Duration::from_secs(60));
    settings.source_addresses = SourceAddresses::Listed(vec![v4("127.0.0.2").into()]);
    let Value::Object(table) = json!({"source_address": "127.0.0.2", "stop_after": "ehlo"}) else { panic!("a table") };
    let modules = Modules::parse([("from".to_owned(), table)], settings).expect("a good module");
    let app = TestApp::builder().modules(modules).start().await;
    let server = SmtpServer::serve(Script::compliant());
    let answer = app.get(&format!("/probe?module=from&target=127.0.0.1:{}", server.port())).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("\nprobe_success 1.0\n"), "{:?}", answer.body);
    assert_eq!(server.next_session().await.peer.ip().to_string(), "127.0.0.2");
    let answer = app.get("/probe?module=from&target=[::1]:25").await;
    assert_eq!((answer.status.as_u16(), answer.pointers()), (400, vec!["/module".to_owned()]), "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_a_setting_and_run_takes_any_address() {
    let server = SmtpServer::serve(Script::compliant());
    let scratch = TempDir::new();
    let file = scratch.write("settings.toml", b"source_address = ['127.0.0.2', '127.0.0.3']\n");
    let file = file.to_str().expect("UTF-8");
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--config", file]));
    let check = |source: &str| json!({"to": "a@b.test", "target": "127.0.0.1", "port": server.port(), "source_address": source});
    assert_eq!(served.post("", &check("127.0.0.3")).0, 200);
    assert_eq!(server.next_session().await.peer.ip().to_string(), "127.0.0.3");
    assert_eq!(served.post("", &check("127.0.0.4")).0, 422);

    // In `run` it is a parameter of the check, also where the file has the setting.
    let port = format!("--port={}", server.port());
    let run = |source: &[&str]| {
        let arguments = ["run", "--config", file, "--to=a@b.test", "--target=127.0.0.1", &port];
        program(&[&arguments, source].concat()).output().expect("the program starts")
    };
    for (source, seen) in [(&[][..], "127.0.0.1"), (&["--source-address=127.0.0.4"], "127.0.0.4")] {
        let output = run(source);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(server.next_session().await.peer.ip().to_string(), seen);
    }
    let output = run(&["--source-address=192.0.2.1"]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("--source-address: this machine does not have the source address"), "{said}");
    assert_eq!(said.lines().count(), 1, "no log line beside it: {said}");
}
