//! The policy as the program is told it.

use std::{net::SocketAddr, process::Output};

use serde_json::{Value, json};

use super::v4;
use crate::support::{
    dns::{Dns, Zone},
    program::program,
    scratch::Scratch,
    smtpd::{Script, Smtpd},
};

/// Where a setting of the program is given.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Flag,
    Environment,
    File,
}

/// One check by `smtp-check run`, with these settings given in one layer.
async fn run(layer: Layer, settings: &[(&str, String)], parameters: &[&str]) -> Output {
    let scratch = Scratch::new();
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
async fn run_heeds_the_policy_in_every_layer_of_the_settings() {
    let server = Smtpd::serve(Script::polite());
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
            // In a file a setting's name has underscores.
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
    let dns = Dns::serve(zone.mx("bad.test", 10, "metadata.test").a("metadata.test", v4("169.254.169.254")));
    let server = Smtpd::serve(Script::polite());
    let number = server.port().to_string();
    // The first of the two is there and refuses; the second knows.
    let lame = Dns::serve(Zone::new().servfail("domain.test").servfail("mail.test"));
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
