//! Whom a check may talk to: what the operator denies is never connected to, whatever name or spelling it comes under.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Output,
};

use serde_json::{Value, json};

use super::support::{
    app::{Answer, App, House, failure, phases},
    dns::{Dns, Zone},
    port::Port,
    program::program,
    scratch::Scratch,
    smtpd::{Script, Smtpd},
};

async fn post(app: &App, target: &str, port: u16) -> Answer {
    app.post(&json!({"to": "a@b.test", "target": target, "port": port, "stop_after": "ehlo"})).await
}

async fn post_mail(app: &App, to: &str, port: u16) -> Answer {
    app.post(&json!({"to": to, "port": port, "stop_after": "ehlo"})).await
}

/// The answer is a 403 that says of which network the target is, or which port is forbidden.
fn assert_forbidden(answer: &Answer, rule: &str, of: &str) {
    assert_eq!(answer.status, 403, "{of}: {:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{of}");
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:smtp-check:problem:target-forbidden", "{of}");
    assert_eq!((&problem["status"], &problem["title"]), (&json!(403), &json!("The target is forbidden")), "{of}");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains(rule), "{of}: {detail:?} should name {rule}");
}

fn denying(nets: &[&str]) -> House {
    let deny = nets.iter().map(|net| net.parse().expect("a network")).collect();
    House { deny, ..House::default() }
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

/// Every network that is denied unless allowed, and its addresses in every spelling that somebody may take for another one.
const BUILT_IN: [(&str, &[&str]); 7] = [
    (
        "169.254.0.0/16",
        &[
            "169.254.169.254",
            "169.254.169.254.",
            "[169.254.169.254]",
            "2852039166",
            "0xa9fea9fe",
            "0XA9.0xFE.0xa9.0xfe",
            "0251.0376.0251.0376",
            "025177524776",
            "169.16689662",
            "169.254.43518",
            "0xa9.254.0124776",
            "１６９.２５４.１６９.２５４",
            "169。254。169。254",
            "①⑥⑨.254.169.254",
            "::ffff:169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "0:0:0:0:0:FFFF:A9FE:A9FE",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "[64:ff9b::a9fe:a9fe]",
            "2002:a9fe:a9fe::1",
            "169.254.0.0",
            "169.254.255.255",
        ],
    ),
    (
        "0.0.0.0/8",
        &["0", "0.0.0.0", "00", "0x0", "0.0", "[0.0.0.0]", "0.1.2.3", "0.255.255.255", "::ffff:0.0.0.0", "0x00ffffff"],
    ),
    ("255.255.255.255/32", &["255.255.255.255", "4294967295", "0xffffffff", "037777777777", "::ffff:255.255.255.255"]),
    ("224.0.0.0/4", &["224.0.0.1", "239.255.255.255", "3758096385", "0xe0000001", "::ffff:224.0.0.1", "2002:e000:1::"]),
    ("::/128", &["::", "[::]", "0:0:0:0:0:0:0:0"]),
    ("fe80::/10", &["fe80::1", "[FE80::1]", "febf:ffff::1", "fe80:0:0:0:0:0:a9fe:a9fe"]),
    ("ff00::/8", &["ff02::1", "[ff02::1]", "ffff::1"]),
];

#[tokio::test]
async fn the_built_in_networks_are_denied_in_every_spelling() {
    let app = App::start().await;
    // On Linux 0.0.0.0 and :: lead to this machine.
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::polite()));
    for (net, targets) in BUILT_IN {
        for target in targets {
            assert_forbidden(&post(&app, target, port.number()).await, net, target);
        }
    }
    assert_eq!(servers.each_ref().map(Smtpd::connections), [0, 0]);
}

#[tokio::test]
async fn loopback_and_private_networks_are_allowed_unless_denied() {
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::polite()));
    let open = App::start().await;
    for target in ["127.0.0.1", "::1"] {
        assert_eq!(post(&open, target, port.number()).await.status, 200, "{target}");
    }
    let closed = denying(&["127.0.0.0/8", "::1/128"]).open().await;
    for (target, net) in [
        ("127.0.0.1", "127.0.0.0/8"),
        ("127.1", "127.0.0.0/8"),
        ("2130706433", "127.0.0.0/8"),
        ("0x7f.1", "127.0.0.0/8"),
        ("0177.0.0.01", "127.0.0.0/8"),
        ("１２７.０.０.１", "127.0.0.0/8"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
        ("64:ff9b::7f00:1", "127.0.0.0/8"),
        ("2002:7f00:1::", "127.0.0.0/8"),
        // Both of its addresses are denied; either rule will do.
        ("localhost", ""),
        ("LOCALHOST.", ""),
        ("anything.localhost", ""),
        ("::1", "::1/128"),
        ("[::1]", "::1/128"),
        ("0:0:0:0:0:0:0:1", "::1/128"),
    ] {
        assert_forbidden(&post(&closed, target, port.number()).await, net, target);
    }
    assert_eq!(servers.each_ref().map(Smtpd::connections), [1, 1], "by the open house");
}

#[tokio::test]
async fn a_spelling_that_is_no_address_is_no_way_around() {
    let app = denying(&["127.0.0.0/8", "::1/128"]).open().await;
    let server = Smtpd::serve(Script::polite());
    for target in [
        "fe80::1%lo",
        "[::1%25lo]",
        "127.0.0.1%00",
        "127.0.0.1:25",
        "0x7f.0.0.0.1",
        "256.0.0.1",
        "127.0.0.1/8",
        "[127.1]",
    ] {
        let answer = post(&app, target, server.port()).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/target".to_owned()]), "{target}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_recipient_s_address_literal_is_judged_too() {
    let app = denying(&["127.0.0.0/8"]).open().await;
    let server = Smtpd::serve(Script::polite());
    for (to, net) in [
        ("a@[127.0.0.1]", "127.0.0.0/8"),
        ("a@[IPv6:::ffff:127.0.0.1]", "127.0.0.0/8"),
        ("a@[0.0.0.0]", "0.0.0.0/8"),
        ("a@[169.254.169.254]", "169.254.0.0/16"),
        ("a@[IPv6:fe80::1]", "fe80::/10"),
    ] {
        assert_forbidden(&post_mail(&app, to, server.port()).await, net, to);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let zone = Zone::new()
        .a("a.test", v4("127.0.0.1"))
        .aaaa("aaaa.test", v6("::1"))
        .aaaa("mapped.test", v6("::ffff:127.0.0.1"))
        .aaaa("nat64.test", v6("64:ff9b::7f00:1"))
        .a("both.test", v4("127.0.0.1"))
        .aaaa("both.test", v6("::1"))
        .cname("alias.test", "other.test")
        .cname("other.test", "a.test")
        .a("metadata.test", v4("169.254.169.254"))
        .a("zero.test", v4("0.0.0.0"))
        .mx("mail.test", 10, "a.test")
        .mx("twice.test", 10, "a.test")
        .mx("twice.test", 20, "aaaa.test")
        .mx("local.test", 10, "localhost")
        .mx("half.test", 10, "nowhere.test")
        .mx("half.test", 20, "alias.test");
    let dns = Dns::serve(zone);
    let app = denying(&["127.0.0.0/8", "::1/128"]).asking(dns.addr()).open().await;
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::polite()));
    for (name, net) in [
        ("a.test", "127.0.0.0/8"),
        ("aaaa.test", "::1/128"),
        ("mapped.test", "127.0.0.0/8"),
        ("nat64.test", "127.0.0.0/8"),
        ("both.test", ""),
        ("alias.test", "127.0.0.0/8"),
        ("metadata.test", "169.254.0.0/16"),
        ("zero.test", "0.0.0.0/8"),
    ] {
        let answer = post(&app, name, port.number()).await;
        assert_forbidden(&answer, net, name);
        let detail = answer.json()["detail"].to_string();
        assert!(!detail.contains("127.0.0.1") && !detail.contains("169.254.169.254"), "{name}: {detail}");
    }
    for domain in ["mail.test", "twice.test", "local.test", "half.test", "a.test"] {
        assert_forbidden(&post_mail(&app, &format!("a@{domain}"), port.number()).await, "", domain);
    }
    assert_eq!(servers.each_ref().map(Smtpd::connections), [0, 0]);
}

#[tokio::test]
async fn of_several_addresses_the_denied_ones_are_skipped() {
    let zone = Zone::new()
        .a("mixed.test", v4("127.0.0.2"))
        .a("mixed.test", v4("127.0.0.3"))
        .a("mixed.test", v4("0.0.0.0"))
        .aaaa("mixed.test", v6("::1"))
        .mx("domain.test", 10, "denied.test")
        .mx("domain.test", 20, "mixed.test")
        .a("denied.test", v4("127.0.0.2"));
    let dns = Dns::serve(zone);
    let app = denying(&["127.0.0.2/31"]).asking(dns.addr()).open().await;
    let port = Port::new();
    let [two, three, six] = ["127.0.0.2", "127.0.0.3", "::1"].map(|at| port.serve(at, Script::polite()));
    for (parameters, host) in [
        (json!({"target": "mixed.test"}), "mixed.test"),
        (json!({"target": null, "to": "a@domain.test"}), "mixed.test"),
    ] {
        let mut parameters = parameters;
        parameters["port"] = port.number().into();
        let report = app.check(parameters).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        assert_eq!((&report["target"]["host"], &report["target"]["address"]), (&json!(host), &json!("::1")));
        let attempts = report["target"]["attempts"].as_array().expect("those before");
        assert!(attempts.len() >= 3 && attempts.iter().all(|attempt| attempt["address"] == Value::Null), "{report:#}");
        assert!(
            attempts.iter().all(|attempt| attempt["error"].as_str().is_some_and(|error| error.contains("may not")))
        );
        assert_eq!(phases(&report)[..2], ["dns", "connect"]);
    }
    assert_eq!((two.connections(), three.connections(), six.connections()), (0, 0, 2));

    // A denied address is no second choice where the allowed one refuses.
    drop(six);
    let report = app.check(json!({"target": "mixed.test", "port": port.number()})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!((two.connections(), three.connections()), (0, 0));
}

#[tokio::test]
async fn allow_wins_over_deny_and_over_the_built_in_list() {
    let allow = ["127.0.0.2/32", "::ffff:127.0.0.4/128", "::1/128", "0.0.0.0/32"];
    let allow = allow.map(|net| net.parse().expect("a network")).to_vec();
    let house = House { allow, ..denying(&["0.0.0.0/0", "::/0"]) };
    let app = house.open().await;
    let port = Port::new();
    let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"];
    let servers = addresses.map(|at| port.serve(at, Script::polite()));
    for (target, allowed) in [
        ("127.0.0.2", true),
        ("0x7f.2", true),
        ("::ffff:127.0.0.2", true),
        ("127.0.0.4", true),
        ("::1", true),
        ("127.0.0.3", false),
        ("::ffff:127.0.0.3", false),
        ("169.254.169.254", false),
        ("203.0.113.7", false),
        ("2001:db8::1", false),
    ] {
        let answer = post(&app, target, port.number()).await;
        assert_eq!(answer.status.as_u16(), if allowed { 200 } else { 403 }, "{target}: {:?}", answer.body);
    }
    assert_eq!(servers.each_ref().map(Smtpd::connections), [0, 3, 0, 1, 1]);
    // Built in, and yet allowed; where it leads is the system's affair.
    assert_eq!(post(&app, "0.0.0.0", port.number()).await.status, 200);
}

#[tokio::test]
async fn another_port_is_forbidden_before_anything_is_asked() {
    let dns = Dns::serve(Zone::new().a("mail.test", v4("127.0.0.1")).nxdomain("no.test").silent("silent.test"));
    let port = Port::new();
    let [server, other] = [port, Port::new()].map(|port| port.serve("127.0.0.1", Script::polite()));
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    let house = House { allow, ports: vec![25, server.port()], ..House::default() };
    let app = house.asking(dns.addr()).open().await;
    let rule = format!("port {}", other.port());
    for target in ["127.0.0.1", "mail.test", "no.test", "silent.test"] {
        assert_forbidden(&post(&app, target, other.port()).await, &rule, target);
    }
    for to in ["a@mail.test", "a@no.test", "a@[127.0.0.1]"] {
        assert_forbidden(&post_mail(&app, to, other.port()).await, &rule, to);
    }
    assert_eq!(dns.queries(), [], "the port is known without DNS");
    for target in ["127.0.0.1", "mail.test"] {
        assert_eq!(post(&app, target, server.port()).await.status, 200, "{target}");
    }
    assert_eq!((server.connections(), other.connections()), (2, 0));
}

#[tokio::test]
async fn nothing_is_looked_up_for_parameters_that_are_no_check() {
    let dns = Dns::serve(Zone::new().a("mail.test", v4("127.0.0.1")));
    let app = House::default().asking(dns.addr()).open().await;
    let answer = app.post(&json!({"to": "a@mail.test", "target": "mail.test", "ehlo": "a\r\nb"})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(dns.queries(), []);
}

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
