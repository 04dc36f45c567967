//! The certificate facts of a report are those that openssl prints.

use serde_json::{Value, json};

use super::with;
use crate::support::{
    app::TestApp,
    mta::{HOST, PemFiles, Postfix},
    pki::{Ca, Identity, KeyType, Leaf, openssl},
    temp_dir::TempDir,
};

/// How openssl writes a name: in the order of the certificate, in UTF-8, escaped as in RFC 4514.
const FORM: &str = "-nameopt sname,sep_comma_plus_space,esc_2253,utf8 -dateopt iso_8601";

#[tokio::test]
async fn certificate_facts_match_openssl() {
    let app = TestApp::start().await;
    let (root, scratch) = (Ca::new("smtp-check test root"), TempDir::new());
    let below = root.intermediate("An authority, \"below\" + <äh>");
    let named = Leaf::for_name(HOST).and_name("*.example.test").and_name("192.0.2.7").and_name("2001:db8::7");
    for identity in [
        below.issue(named.organization("Grün, Blau & Söhne; #1 ")),
        root.issue(Leaf::for_name(HOST).expired().key_type(KeyType::Rsa2048)),
        Leaf::for_name(HOST).without_alternative_names().self_signed(),
        root.issue_x509_v1(HOST),
    ] {
        let files = identity.write_pem(scratch.path());
        let report = of(&app, &files).await;
        let mut chain = report["tls"]["chain"].clone();
        for certificate in chain.as_array_mut().expect("an array") {
            let certificate = certificate.as_object_mut().expect("an object");
            // These are in no line of openssl by themselves.
            assert!(certificate.remove("on_path").is_some() && certificate.remove("signature_algorithm").is_some());
        }
        assert_eq!(chain, json!(facts_by_openssl(&scratch, &identity)), "{report:#}");
        let (metrics, own) = (&report["metrics"], &report["tls"]["chain"][0]);
        assert_eq!(json!([metrics["cert_subject"], metrics["cert_issuer"]]), json!([own["subject"], own["issuer"]]));
    }
}

async fn of(app: &TestApp, files: &PemFiles) -> Value {
    let postfix = Postfix::start(Some(files)).await;
    let parameters = json!({"port": postfix.submission(), "tls_server_name": HOST, "stop_after": "starttls"});
    app.check(with(parameters, json!({"starttls": true}))).await
}

/// Each certificate of the chain, in the form of the report.
fn facts_by_openssl(scratch: &TempDir, identity: &Identity) -> Vec<Value> {
    let one = |der: &[u8]| {
        scratch.write("one.der", der);
        let read = |what: &str| {
            let arguments = format!("x509 -in one.der -inform DER -noout {what} {FORM}");
            String::from_utf8(openssl(scratch, &arguments, &[])).expect("openssl was asked for UTF-8")
        };
        let value = |what: &str| {
            let line = read(what);
            line.trim_end_matches('\n').split_once('=').expect("name=value").1.to_owned()
        };
        let date = |what: &str| value(what).replace(' ', "T");
        let dates = openssl(scratch, "asn1parse -in one.der -inform DER", &[]);
        let dates = String::from_utf8(dates).expect("openssl writes ASCII here");
        json!({
            "subject": value("-subject"),
            "issuer": value("-issuer"),
            "names": names(&read("-ext subjectAltName")),
            "not_before": date("-startdate"),
            "not_before_as_written": written(&dates, 0),
            "not_after": date("-enddate"),
            "not_after_as_written": written(&dates, 1),
            "serial": value("-serial").to_lowercase(),
            "fingerprint_sha256": value("-fingerprint -sha256").replace(':', "").to_lowercase(),
            "key": key(&read("-text")),
        })
    };
    identity.chain.iter().map(|der| one(der)).collect()
}

/// The line after a heading: `DNS:…, IP Address:…`.
fn names(text: &str) -> Vec<String> {
    let line = text.lines().nth(1).unwrap_or_default().trim();
    let names = line.split(", ").filter_map(|name| name.split_once(':'));
    names.map(|(kind, name)| if kind == "IP Address" { address(name) } else { name.to_owned() }).collect()
}

/// openssl writes IPv6 addresses in full, in upper case.
fn address(text: &str) -> String {
    text.parse::<std::net::IpAddr>().expect("an address").to_string()
}

/// A date as `openssl asn1parse` shows it: `  105:d=3  hl=2 l=  13 prim: UTCTIME           :200101000000Z`.
fn written(parsed: &str, number: usize) -> String {
    let mut dates = parsed.lines().filter(|line| line.contains(": UTCTIME ") || line.contains(": GENERALIZEDTIME "));
    dates.nth(number).and_then(|line| line.rsplit(':').next()).expect("a date").to_owned()
}

fn key(text: &str) -> String {
    let word =
        |before: &str| text.split_once(before).map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
    match (word("NIST CURVE: "), word("Public-Key: (")) {
        (Some(curve), _) => format!("ECDSA {curve}"),
        (None, Some(bits)) => format!("RSA {bits}"),
        (None, None) => String::new(),
    }
}
