//! The destination policy from the settings of the program.

use std::{net::SocketAddr, process::Output};

use serde_json::{Value, json};

use super::v4;
use crate::support::{
    dns::{DnsServer, Zone},
    program::{ServiceProcess, WAIT_TIMEOUT, program},
    smtpd::{Script, SmtpServer},
    temp_dir::TempDir,
};

/// A source of settings.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Flag,
    Environment,
    File,
}

/// One check by `smtp-check run`, with these settings given in one source.
async fn run(layer: Layer, settings: &[(&str, String)], parameters: &[&str]) -> Output {
    let scratch = TempDir::new();
    let mut command = program(&["run", "--stop-after", "ehlo"]);
    command.args(parameters);
    match layer {
        Layer::Flag => command.args(settings.iter().map(|(name, value)| format!("--{name}={value}"))),
        Layer::Environment => command.envs(
            settings
                .iter()
                .map(|(name, value)| (format!("SMTP_CHECK_{}", name.to_uppercase().replace('-', "_")), value)),
        ),
        Layer::File => {
            let lines: Vec<_> =
                settings.iter().map(|(name, value)| format!("{} = '{value}'\n", name.replace('-', "_"))).collect();
            command.arg("--config").arg(scratch.write("settings.toml", lines.concat().as_bytes()))
        }
    };
    // The servers of these tests live on this thread.
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    ended.expect("no panic").expect("the program starts")
}

#[tokio::test]
async fn run_applies_the_policy_of_every_settings_source() {
    let server = SmtpServer::serve(Script::compliant());
    let number = server.port().to_string();
    let (deny, local) = ("target-deny", "127.0.0.0/8".to_owned());
    let other_port = format!("port {number}");
    for layer in [Layer::Flag, Layer::Environment, Layer::File] {
        for (settings, code, complaint) in [
            (vec![], 0, ""),
            (vec![(deny, local.clone())], 2, "127.0.0.0/8"),
            (vec![(deny, "192.0.2.0/24,127.0.0.1".into())], 2, "127.0.0.1/32"),
            (vec![(deny, local.clone()), ("target-allow", "127.0.0.1/32".into())], 0, ""),
            (vec![(deny, local.clone()), ("target-allow", "127.0.0.2/32".into())], 2, "127.0.0.0/8"),
            (vec![("target-ports", "25,587".into())], 2, &*other_port),
            (vec![("target-ports", format!("25,{number}"))], 0, ""),
            (vec![(deny, "10.0.0.0/33".into())], 2, deny),
            (vec![("target-allow", "localhost".into())], 2, "target-allow"),
            (vec![("target-ports", "0".into())], 2, "target-ports"),
            (vec![("dns-server", "dns.test".into())], 2, "dns-server"),
        ] {
            let before = server.connections();
            let output = run(layer, &settings, &["--target", "127.0.0.1", "--port", &number]).await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{layer:?} {settings:?}: {stderr}");
            // Names in the file have underscores.
            assert!(stderr.replace('_', "-").contains(complaint), "{layer:?} {settings:?}: {stderr}");
            let connected = usize::from(code == 0);
            assert_eq!(server.connections() - before, connected, "{layer:?} {settings:?}");
            assert_eq!(output.stdout.is_empty(), code == 2, "{layer:?} {settings:?}");
        }
    }
}

#[tokio::test]
async fn run_asks_the_name_server_that_it_was_given() {
    let zone = Zone::new().mx("domain.test", 10, "mail.test").a("mail.test", v4("127.0.0.1")).null_mx("nomail.test");
    let dns = DnsServer::serve(zone.mx("bad.test", 10, "metadata.test").a("metadata.test", v4("169.254.169.254")));
    let server = SmtpServer::serve(Script::compliant());
    let number = server.port().to_string();
    // The first of the two answers REFUSED; the second has the name.
    let lame = DnsServer::serve(Zone::new().servfail("domain.test").servfail("mail.test"));
    let both = |a: SocketAddr, b: SocketAddr| format!("{a},{b}");
    for layer in [Layer::Flag, Layer::Environment, Layer::File] {
        for (to, dns_server, code, expected) in [
            ("a@domain.test", dns.addr().to_string(), 0, json!(null)),
            ("a@domain.test", both(lame.addr(), dns.addr()), 0, json!(null)),
            ("a@nomail.test", dns.addr().to_string(), 1, json!("dns")),
            ("a@bad.test", dns.addr().to_string(), 2, json!(null)),
        ] {
            let output = run(layer, &[("dns-server", dns_server)], &["--to", to, "--port", &number]).await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{layer:?} {to}: {stderr}");
            if code == 2 {
                assert!(stderr.contains("169.254.0.0/16") && output.stdout.is_empty(), "{layer:?} {to}: {stderr}");
                continue;
            }
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON in a pipe");
            assert_eq!(report["failure"]["kind"], expected, "{layer:?} {to}: {report:#}");
            assert_eq!(report["target"]["via"], "mx");
            if code == 0 {
                let target = json!({"host": "mail.test", "address": "127.0.0.1", "port": server.port(), "via": "mx"});
                assert_eq!(report["target"], target, "{layer:?} {to}");
            }
        }
    }
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn run_applies_the_name_rules_of_every_settings_source() {
    let server = SmtpServer::serve(Script::compliant());
    let number = server.port().to_string();
    let (deny, allow) = ("target-deny-host", "target-allow-host");
    for layer in [Layer::Flag, Layer::Environment, Layer::File] {
        for (settings, code, complaint) in [
            (vec![(deny, "LocalHost.".to_owned())], 2, "falls under localhost"),
            (vec![(deny, "example.com,localhost".into())], 2, "falls under localhost"),
            (vec![(deny, "host,example.com".into())], 0, ""),
            (vec![(allow, "example.com,localhost".into())], 0, ""),
            (vec![(allow, "example.com".into())], 2, "not one of those"),
            (vec![(deny, "localhost".into()), (allow, "localhost".into())], 0, ""),
            (vec![(deny, "*.example.com".into())], 2, deny),
            (vec![(allow, ".example.com".into())], 2, allow),
            (vec![(allow, "192.0.2.1".into())], 2, allow),
        ] {
            let output = run(layer, &settings, &["--target", "localhost", "--ip-family=ipv4", "--port", &number]).await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{layer:?} {settings:?}: {stderr}");
            assert!(stderr.replace('_', "-").contains(complaint), "{layer:?} {settings:?}: {stderr}");
        }
    }
    assert_eq!(server.connections(), 9);
}

#[tokio::test]
async fn each_forbidden_target_is_logged_in_one_line() {
    let zone = (1..=60).fold(Zone::new(), |zone, last| zone.a("many.test", [169, 254, 1, last].into()));
    let zone = zone.mx("domain.test", 10, "mx.bad.test").a("mx.bad.test", v4("127.0.0.1"));
    let zone = zone.mx("mixed.test", 10, "many.test").mx("mixed.test", 20, "good.test").a("good.test", v4("127.0.0.1"));
    let dns = DnsServer::serve(zone);
    let server = SmtpServer::serve(Script::compliant());
    let (port, resolver) = (server.port(), dns.addr().to_string());
    // The servers of this test live on this thread.
    let served = tokio::task::spawn_blocking(move || refused_and_logged(port, &resolver));
    let lines = served.await.expect("no panic");
    let of_each = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();

    assert_eq!(of_each("asked"), ["169.254.169.254", "many.test", "sub.bad.test", "domain.test", "good.test"]);
    assert_eq!(of_each("host"), ["169.254.169.254", "many.test", "sub.bad.test", "mx.bad.test", "good.test"]);
    assert_eq!(of_each("port"), [port, port, port, port, 1].map(Value::from));
    let addresses = [json!("169.254.169.254"), json!("169.254.1.1"), json!(null), json!(null), json!(null)];
    assert_eq!(of_each("address"), addresses);
    let rules = of_each("rule").iter().map(|rule| rule.as_str().expect("a text").to_owned()).collect::<Vec<_>>();
    for (rule, part) in rules.iter().zip(["169.254.0.0/16", "169.254.0.0/16", "bad.test", "bad.test", "port 1"]) {
        assert!(rule.contains(part), "{rules:#?}");
    }
    for line in &lines {
        assert_eq!((&line["level"], &line["caller"]), (&json!("WARN"), &json!("one")), "{line}");
        assert!(line["id"].as_str().is_some_and(|id| id.len() == 36), "{line}");
    }
}

/// Requests five forbidden checks and one with a forbidden first MX host, and returns the log lines about them.
fn refused_and_logged(port: u16, resolver: &str) -> Vec<Value> {
    let scratch = TempDir::new();
    // SHA-256 of `open sesame`.
    let digest = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    let tokens = scratch.write("tokens", format!("one:{digest}\n").as_bytes());
    let mut command =
        program(&["serve", "--listen=127.0.0.1:0", "--dns-server", resolver, "--target-deny-host=bad.test"]);
    command.arg("--tokens-file").arg(tokens).arg(format!("--target-ports={port}"));
    let served = ServiceProcess::start(command);
    let checks = [
        (403, json!({"to": "a@b.test", "target": "169.254.169.254", "port": port})),
        (403, json!({"to": "a@b.test", "target": "many.test", "port": port})),
        (403, json!({"to": "a@b.test", "target": "Sub.bad.test", "port": port})),
        (403, json!({"to": "a@domain.test", "port": port})),
        (403, json!({"to": "a@b.test", "target": "good.test", "port": 1})),
        (200, json!({"to": "a@mixed.test", "port": port, "ip_family": "ipv4", "stop_after": "ehlo"})),
    ];
    for (status, check) in &checks {
        let (seen, answer) = served.post("Authorization: Bearer open sesame\r\n", check);
        assert_eq!(seen, *status, "{check}: {answer}");
    }
    let mut lines = Vec::new();
    let mut answered = 0;
    while answered < checks.len() {
        let line = served.log.recv_timeout(WAIT_TIMEOUT).expect("as many answers as requests");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        answered += usize::from(line["message"] == "answered");
        if line["level"] != "INFO" || line["message"] == "refused" {
            lines.push(line);
        }
    }
    lines
}
