//! `GET /probe` with modules of `kind = "domain"`.

use std::time::Duration;

use serde_json::json;
use smtp_check::check::{CheckSettings, Modules};

use super::usual_zone;
use crate::support::{
    app::TestApp,
    dns::DnsServer,
    port::Port,
    smtpd::{Action, Script, Step},
};

async fn app(dns: &DnsServer, port: Port) -> TestApp {
    let fields = json!({"kind": "domain", "port": port.number(), "mx_limit": 1, "to": "a@example.test"});
    let fields = fields.as_object().expect("an object").clone();
    let modules = Modules::parse([("mail".to_owned(), fields)], CheckSettings::new(Duration::from_secs(60)));
    TestApp::builder().dns_server(dns.addr()).modules(modules.expect("a good module")).start().await
}

#[tokio::test]
async fn the_views_of_a_domain_are_metrics() {
    let dns = DnsServer::serve(usual_zone());
    for (reply, view) in [("250 ok\r\n", Some("1.0")), ("550 no\r\n", Some("0.0")), ("450 later\r\n", None)] {
        let port = Port::new();
        let app = app(&dns, port).await;
        let server = port.serve("127.0.0.2", Script::compliant().on(Step::RcptTo, Action::from(reply)));
        let answer = app.get("/probe?target=example.test&module=mail").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' '));
        assert_eq!(line("probe_domain_view{view=\"opportunistic\"}"), view, "{text}");
        assert_eq!(line("probe_domain_view{view=\"dane\"}"), None, "{text}");
        let errors = line("probe_domain_findings{severity=\"error\"}").and_then(|count| count.parse::<f64>().ok());
        let success = line("probe_success").and_then(|success| success.parse::<f64>().ok());
        assert_eq!(success, errors.map(|errors| f64::from(u8::from(errors == 0.0))), "{text}");
        assert_eq!(line("probe_timeout_seconds"), Some("30.0"), "{text}");
        assert!(server.next_session().await.has_command("RCPT TO:<a@example.test>"));
    }
}

#[tokio::test]
async fn an_explanation_has_the_report_and_the_module() {
    let dns = DnsServer::serve(usual_zone().null_mx("null.test"));
    let app = app(&dns, Port::new()).await;
    let answer = app.get("/probe?target=null.test&module=mail&debug=true").await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    for part in ["\"mx_status\": \"null_mx\"", "\nprobe_success ", "# Module `mail`\n", "\"kind\": \"domain\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_bad_query_is_named() {
    let dns = DnsServer::serve(usual_zone());
    let app = app(&dns, Port::new()).await;
    for (query, pointer) in [
        ("module=mail", "/target"),
        ("module=mail&target=192.0.2.1", "/target"),
        ("module=mail&target=example.test&to=x+y", "/to"),
        ("module=mail&target=example.test&domain=a.test", "/domain"),
    ] {
        let answer = app.get(&format!("/probe?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (400, vec![pointer.to_owned()]), "{query}");
    }
}
