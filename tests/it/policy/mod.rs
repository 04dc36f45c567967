//! The destination policy: what the operator denies is never connected to, in whatever spelling or by whatever name.

mod names;
mod resolved;
mod settings;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
};

use serde_json::json;
use smtp_check::destination::policy::TargetPolicy;

use super::support::{
    app::{TestApp, TestResponse},
    port::Port,
    smtpd::{Script, SmtpServer},
};

async fn post(app: &TestApp, target: &str, port: u16) -> TestResponse {
    app.post(&json!({"to": "a@b.test", "target": target, "port": port, "stop_after": "ehlo"})).await
}

async fn post_mail(app: &TestApp, to: &str, port: u16) -> TestResponse {
    app.post(&json!({"to": to, "port": port, "stop_after": "ehlo"})).await
}

/// The response is 403 and names the network of the target, or the forbidden port.
fn assert_forbidden(answer: &TestResponse, rule: &str, of: &str) {
    assert_eq!(answer.status, 403, "{of}: {:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{of}");
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:smtp-check:problem:target-forbidden", "{of}");
    assert_eq!((&problem["status"], &problem["title"]), (&json!(403), &json!("The target is forbidden")), "{of}");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains(rule), "{of}: {detail:?} should name {rule}");
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

/// Every network that is denied unless allowed, and its addresses in every spelling that a parser may take for another
/// address.
const BUILT_IN: [(&str, &[&str]); 12] = [
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
            "[64:ff9b:1::a9fe:a9fe]",
            "64:ff9b:1:ffff::a9fe:a9fe",
            "::ffff:0:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:5ef5:79fb:0:0:5601:5601",
            "169.254.169.\u{ad}254",
            "169.254\u{200b}.169.254",
            "169｡254．169。254",
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
    (
        "100.100.100.200/32",
        &["100.100.100.200", "0x646464c8", "100.100.25800", "::ffff:100.100.100.200", "64:ff9b:1:2::100.100.100.200"],
    ),
    ("168.63.129.16/32", &["168.63.129.16", "2822734096", "::168.63.129.16", "64:ff9b::168.63.129.16"]),
    ("192.0.0.192/32", &["192.0.0.192", "192.192", "2002:c000:c0::"]),
    ("fd00:ec2::254/128", &["fd00:ec2::254", "[FD00:0EC2:0::0254]"]),
    ("fd20:ce::254/128", &["fd20:ce::254", "[fd20:00ce::0:254]"]),
];

#[tokio::test]
async fn the_built_in_networks_are_denied_in_every_spelling() {
    let app = TestApp::start().await;
    // On Linux 0.0.0.0 and :: lead to this machine.
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::compliant()));
    for (net, targets) in BUILT_IN {
        for target in targets {
            assert_forbidden(&post(&app, target, port.number()).await, net, target);
        }
    }
    assert_eq!(servers.each_ref().map(SmtpServer::connections), [0, 0]);
}

#[test]
fn the_kubernetes_network_policy_has_the_same_networks() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/smtp-check.yaml"));
    let text = text.expect("the manifests");
    for net in TargetPolicy::CLOUD_METADATA.into_iter().chain(["169.254.0.0/16", "fe80::/10"]) {
        assert!(text.contains(&format!("- \"{net}\"")), "{net} is no exception");
    }
}

#[tokio::test]
async fn loopback_and_private_networks_are_allowed_unless_denied() {
    let port = Port::new();
    let servers = ["127.0.0.1", "::1"].map(|at| port.serve(at, Script::compliant()));
    let open = TestApp::start().await;
    for target in ["127.0.0.1", "::1"] {
        assert_eq!(post(&open, target, port.number()).await.status, 200, "{target}");
    }
    let closed = TestApp::builder().deny(&["127.0.0.0/8", "::1/128"]).start().await;
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
        // Both of its addresses are denied; the detail can name either rule.
        ("localhost", ""),
        ("LOCALHOST.", ""),
        ("anything.localhost", ""),
        ("::1", "::1/128"),
        ("[::1]", "::1/128"),
        ("0:0:0:0:0:0:0:1", "::1/128"),
    ] {
        assert_forbidden(&post(&closed, target, port.number()).await, net, target);
    }
    assert_eq!(servers.each_ref().map(SmtpServer::connections), [1, 1], "by the service that denies nothing");
}

#[tokio::test]
async fn odd_spellings_of_addresses_do_not_bypass_the_policy() {
    let app = TestApp::builder().deny(&["127.0.0.0/8", "::1/128"]).start().await;
    let server = SmtpServer::serve(Script::compliant());
    for target in [
        "127.0.0.1\0",
        "127.0.0.1\0.good.test",
        "127.0.0.1\t",
        "\n127.0.0.1",
        "127.0.0.1\u{3000}",
        "%31%32%37.0.0.1",
        "127%2e0.0.1",
        "127.0.0.1..",
        ".127.0.0.1",
        "127..0.0.1",
        "127.0.0.1,",
        "0b1111111.1",
        "+2130706433",
        "-1",
        "good.test@127.0.0.1",
        "127.0.0.1#good.test",
        "127.0.0.1\\good.test",
        "smtp://127.0.0.1",
        "::1]",
        "[::1",
        "[[::1]]",
        "fe80::1%25lo",
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
async fn address_literals_of_recipients_are_checked() {
    let app = TestApp::builder().deny(&["127.0.0.0/8"]).start().await;
    let server = SmtpServer::serve(Script::compliant());
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
async fn allow_overrides_deny_and_the_built_in_list() {
    let allow = ["127.0.0.2/32", "::ffff:127.0.0.4/128", "::1/128", "0.0.0.0/32"];
    let app = TestApp::builder().deny(&["0.0.0.0/0", "::/0"]).allow(&allow).start().await;
    let port = Port::new();
    let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"];
    let servers = addresses.map(|at| port.serve(at, Script::compliant()));
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
    assert_eq!(servers.each_ref().map(SmtpServer::connections), [0, 3, 0, 1, 1]);
    // Built in, and yet allowed; where it leads to depends on the system.
    assert_eq!(post(&app, "0.0.0.0", port.number()).await.status, 200);
}
