//! Checks of domains against Knot with DNSSEC, Unbound in front of it, and Postfix.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use smtp_check::net::lookup::DnssecMode;
use tokio::{net::UdpSocket, task::AbortHandle};

use super::Certificate;
use crate::support::{
    app::TestApp,
    mta::{Knot, Postfix, Signed, Unbound},
    pki::openssl,
    temp_dir::TempDir,
};

const DOMAIN: &str = "example.test";

/// A mail server of `example.test`, its name server, and a domain that is signed with the wrong key.
struct World {
    postfix: Postfix,
    knot: Knot,
    certificate: Certificate,
}

impl World {
    async fn start() -> Self {
        let certificate = Certificate::valid();
        let postfix = Postfix::start(Some(&certificate.files)).await;
        let records = |tlsa: &str| {
            format!(
                "@ 60 MX 10 mx\nmx 60 A 127.0.0.1\n_{}._tcp.mx 60 TLSA {tlsa}\n@ 60 TXT \"v=spf1 mx -all\"\n\
                 _dmarc 60 TXT \"v=DMARC1; p=reject\"\n_smtp._tls 60 TXT \"v=TLSRPTv1; rua=mailto:tls@example.test\"\n",
                postfix.strict(),
            )
        };
        let right = records(&format!("3 1 1 {}", key_digest(&certificate)));
        let knot = Knot::start(&[
            (DOMAIN, Signed::Yes, &right),
            ("plain.test", Signed::No, &right),
            ("bogus.test", Signed::Wrong, &right),
            ("moved.test", Signed::Yes, &records(&format!("3 1 1 {}", "ab".repeat(32)))),
        ])
        .await;
        Self { postfix, knot, certificate }
    }

    async fn app(&self, dns: SocketAddr, mode: DnssecMode) -> TestApp {
        let app = TestApp::builder().dns_server(dns).dnssec(mode, &self.knot.anchors());
        app.trust(&self.certificate.ca).start().await
    }

    async fn check(&self, app: &TestApp, domain: &str) -> Value {
        let parameters = json!({
            "domain": domain, "port": self.postfix.strict(), "to": "postmaster@example.test", "dkim_selectors": "none",
        });
        app.check_domain(parameters).await
    }
}

/// SHA-256 of the public key, by openssl.
fn key_digest(certificate: &Certificate) -> String {
    let (directory, chain) = (TempDir::new(), certificate.files.chain.display().to_string());
    let key = openssl(&directory, &format!("x509 -noout -pubkey -in {chain}"), b"");
    let der = openssl(&directory, "pkey -pubin -outform DER", &key);
    let digest = openssl(&directory, "dgst -sha256 -r", &der);
    String::from_utf8(digest).expect("a text").split(' ').next().expect("a digest").to_owned()
}

/// The proof of the MX records, that of the host's addresses, the state of TLSA, and the view of DANE.
fn dnssec(report: &Value) -> [&str; 4] {
    let host = &report["hosts"][0];
    let values = [&report["dns"]["mx"]["proof"], &host["proof"], &host["tlsa"]["state"], &report["verdict"]["dane"]];
    values.map(|value| value.as_str().unwrap_or("none"))
}

#[tokio::test]
async fn dane_is_judged_by_what_postfix_showed_and_knot_signed() {
    let world = World::start().await;
    let app = world.app(world.knot.address(), DnssecMode::Validate).await;
    let report = world.check(&app, DOMAIN).await;
    assert_eq!(
        report["verdict"],
        json!({"opportunistic": "ok", "mta_sts": "not_applicable", "dane": "ok"}),
        "{report:#}"
    );
    assert_eq!(dnssec(&report), ["secure", "secure", "ok", "ok"]);
    let host = &report["hosts"][0];
    assert_eq!((&host["name"], &host["tlsa"]["matched"]), (&json!("mx.example.test"), &json!([0])));
    let dns = &report["dns"];
    let states = ["mx", "spf", "dmarc", "tls_rpt", "mta_sts"].map(|name| &dns[name]["state"]);
    assert_eq!(json!(states), json!(["ok", "ok", "ok", "ok", "absent"]));
    assert_eq!((&dns["spf"]["lookups"], &dns["dmarc"]["policy"]), (&json!(1), &json!("reject")));
    assert_eq!((&dns["dkim"][0]["state"], &dns["dkim"][0]["proof"]), (&json!("absent"), &json!("secure")));
    let commands = world.postfix.wait_for_log(" quit=1 commands=").await;
    assert!(commands.ends_with("ehlo=2 starttls=1 mail=1 rcpt=1 rset=1 quit=1 commands=7"), "{commands}");

    let moved = world.check(&app, "moved.test").await;
    assert_eq!(dnssec(&moved), ["secure", "secure", "ok", "fail"], "{moved:#}");
    assert_eq!(moved["hosts"][0]["tlsa"]["matched"], json!([]));
    assert_eq!(moved["verdict"]["opportunistic"], "ok");
}

#[tokio::test]
async fn each_way_to_a_proof_comes_to_the_same_end() {
    let world = World::start().await;
    let unbound = Unbound::start(&world.knot).await;
    let ways = [
        (world.knot.address(), DnssecMode::Validate),
        (unbound.address(), DnssecMode::Validate),
        (unbound.address(), DnssecMode::TrustAd),
    ];
    for (server, mode) in ways {
        let app = world.app(server, mode).await;
        let good = world.check(&app, DOMAIN).await;
        assert_eq!(dnssec(&good), ["secure", "secure", "ok", "ok"], "{mode:?} {server}: {good:#}");
        let plain = world.check(&app, "plain.test").await;
        assert_eq!(dnssec(&plain), ["insecure", "insecure", "not_tested", "not_applicable"], "{mode:?}: {plain:#}");
        assert_eq!(plain["verdict"]["opportunistic"], "ok");
        let bogus = world.check(&app, "bogus.test").await;
        let mx = &bogus["dns"]["mx"];
        assert_eq!((&mx["state"], &mx["proof"]), (&json!("inconclusive"), &json!("bogus")), "{mode:?}: {bogus:#}");
        assert_eq!(bogus["mx_status"], "inconclusive");
        let nowhere = world.check(&app, "nowhere.test").await;
        assert_eq!(nowhere["mx_status"], "no_such_domain", "{mode:?}: {nowhere:#}");
        assert_eq!(nowhere["dns"]["mx"]["proof"], "secure");
    }
}

/// A resolver that passes no signatures on: it clears the DO bit.
async fn stripping(server: SocketAddr) -> (SocketAddr, AbortHandle) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let relay = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let query = &mut buffer[..length];
            // The OPT record is the last one, and has no options: its flags are in front of the length of those.
            query[length - 4] &= 0x7f;
            let upstream = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            upstream.send_to(query, server).await.expect("sent");
            let length = upstream.recv(&mut buffer).await.expect("an answer");
            socket.send_to(&buffer[..length], client).await.expect("sent");
        }
    });
    (address, relay.abort_handle())
}

#[tokio::test]
async fn a_resolver_that_strips_signatures_makes_no_domain_bogus() {
    let world = World::start().await;
    let (address, relay) = stripping(world.knot.address()).await;
    let app = world.app(address, DnssecMode::Validate).await;
    for domain in [DOMAIN, "plain.test"] {
        let report = world.check(&app, domain).await;
        assert_eq!(report["dns"]["mx"]["state"], "ok", "{report:#}");
        assert_eq!(report["dns"]["mx"]["proof"], "indeterminate");
        assert_eq!(report["verdict"]["dane"], "inconclusive");
        assert_eq!(report["verdict"]["opportunistic"], "ok");
    }
    relay.abort();
}
