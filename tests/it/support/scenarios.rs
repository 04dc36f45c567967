//! Scenarios: mail servers, healthy and hostile, each with the expected report of a check.

use serde_json::{Value, json};

use super::{
    pki::{Ca, Leaf},
    smtpd::{Action, Script, SmtpServer, Step},
};

/// A server, the parameters of the check, and the expected report.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    parameters: Value,
    /// The report has to have each of these members.
    expected: Value,
}

impl Scenario {
    fn new(name: &'static str, script: Script, parameters: Value, expected: Value) -> Self {
        Self { name, script, parameters, expected }
    }

    /// Whether a check of this server ends by its timeout.
    pub(crate) fn times_out(&self) -> bool {
        self.expected["failure"]["kind"] == "timeout"
    }

    /// The request body of a check of this server.
    pub(crate) fn check(&self, server: &SmtpServer, timeout_ms: u64) -> Value {
        let mut check = json!({"to": "probe@example.test", "target": "127.0.0.1", "tls_server_name": "mx.test"});
        let fields = check.as_object_mut().expect("an object");
        fields.insert("port".to_owned(), server.port().into());
        fields.insert("timeout_ms".to_owned(), timeout_ms.into());
        fields.extend(self.parameters.as_object().expect("an object").clone());
        check
    }

    /// How the report differs from the expected one; `None` if it does not.
    pub(crate) fn mismatch(&self, report: &Value) -> Option<String> {
        let missed = missed(&self.expected, report, String::new())?;
        let (outcome, failure, metrics) = (&report["outcome"], &report["failure"], &report["metrics"]);
        let began = format!("{} of {} at {}", report["id"], report["target"]["port"], report["started_at"]);
        let phases = report["phases"].as_array().into_iter().flatten();
        let phases: Vec<_> =
            phases.map(|phase| format!("{} {}+{}", phase["name"], phase["started_ms"], phase["time_ms"])).collect();
        Some(format!("{}: {missed}: {outcome} {failure} {metrics} {phases:?}, {began}", self.name))
    }
}

/// The first difference from the expected document. Additional members are allowed.
fn missed(expected: &Value, found: &Value, at: String) -> Option<String> {
    match expected {
        Value::Object(members) => {
            members.iter().find_map(|(name, expected)| missed(expected, &found[name], format!("{at}/{name}")))
        }
        _ if expected == found => None,
        _ => Some(format!("{at} is {found} and not {expected}")),
    }
}

fn delivered() -> Value {
    json!({"outcome": "delivered", "failure": null, "queue_id": "4F2A81234", "metrics": {"cert_error": null}})
}

fn rejected(phase: &str, temporary: bool, code: u16, enhanced_code: &str) -> Value {
    let failure = json!({"phase": phase, "kind": "rejected", "temporary": temporary, "code": code, "enhanced_code": enhanced_code});
    json!({"outcome": "failed", "failure": failure, "queue_id": null})
}

fn failed(phase: &str, kind: &str) -> Value {
    let temporary = matches!(kind, "timeout" | "closed");
    json!({"outcome": "failed", "failure": {"phase": phase, "kind": kind, "temporary": temporary}, "queue_id": null})
}

fn with_tls(mut report: Value, errors: &[&str]) -> Value {
    report["tls"] = json!({"verified": errors.is_empty(), "errors": errors});
    if !errors.is_empty() {
        // The text of `cert_error` is tested elsewhere.
        report["metrics"] = json!({});
    }
    report
}

fn starttls() -> Value {
    json!({"starttls": true})
}

fn login(mechanism: &str) -> Value {
    json!({"sasl_authentication": mechanism, "sasl_user": "probe", "sasl_password": "correct horse"})
}

/// Compliant servers. The service has to trust the authority.
pub(crate) fn healthy(ca: &Ca) -> Vec<Scenario> {
    let identity = ca.issue(Leaf::for_name("mx.test"));
    let compliant = Script::compliant;
    let known = || compliant().with_credentials("probe", "correct horse");
    let mut login_in_tls = login("login");
    login_in_tls["starttls"] = true.into();
    vec![
        Scenario::new("compliant", compliant(), json!({}), delivered()),
        Scenario::new(
            "compliant with TLS",
            compliant().with_starttls(&identity),
            starttls(),
            with_tls(delivered(), &[]),
        ),
        Scenario::new("AUTH", known(), login("plain"), delivered()),
        Scenario::new("AUTH with TLS", known().with_starttls(&identity), login_in_tls, with_tls(delivered(), &[])),
        Scenario::new(
            "550",
            compliant().on(Step::RcptTo, "550 5.1.1 no\r\n"),
            json!({}),
            rejected("rcptto", false, 550, "5.1.1"),
        ),
        Scenario::new(
            "421",
            compliant().with_greeting("421 4.3.2 busy\r\n"),
            json!({}),
            rejected("banner", true, 421, "4.3.2"),
        ),
    ]
}

/// Servers that violate the protocol, stop answering or have bad certificates.
pub(crate) fn hostile(ca: &Ca) -> Vec<Scenario> {
    let mut scenarios = silent();
    scenarios.extend(closing());
    scenarios.extend(malformed());
    scenarios.extend(endless());
    scenarios.extend(with_bad_handshake());
    scenarios.extend(with_bad_certificates(ca));
    scenarios
}

/// A compliant server that does this in place of the TLS handshake.
fn instead_of_hello(act: Action) -> Script {
    Script::compliant().on(Step::StartTls, Action::reply("220 go\r\n").then(Action::wait_for_client()).then(act))
}

fn silent() -> Vec<Scenario> {
    let compliant = Script::compliant;
    vec![
        Scenario::new("silent", Script::new().with_greeting(Action::silence()), json!({}), failed("banner", "timeout")),
        Scenario::new(
            "silent after half a reply",
            compliant().on(Step::Ehlo, Action::reply("250-mx.test\r\n250 SI").then(Action::silence())),
            json!({}),
            failed("ehlo", "timeout"),
        ),
        Scenario::new(
            "silent after MAIL",
            compliant().on(Step::MailFrom, Action::silence()),
            json!({}),
            failed("mailfrom", "timeout"),
        ),
        Scenario::new(
            "silent in the handshake",
            instead_of_hello(Action::silence()),
            starttls(),
            failed("tls", "timeout"),
        ),
        Scenario::new(
            "silent after the message",
            compliant().on(Step::Body, Action::silence()),
            json!({}),
            failed("body", "timeout"),
        ),
        Scenario::new("no reply to QUIT", compliant().on(Step::Quit, Action::silence()), json!({}), delivered()),
    ]
}

fn closing() -> Vec<Scenario> {
    let compliant = Script::compliant;
    let large = json!({"payload": ("x".repeat(70) + "\r\n").repeat(300)});
    let reset_message = Action::reply("354 go\r\n").then(Action::wait_for_client()).then(Action::reset());
    vec![
        Scenario::new("close", compliant().on(Step::Ehlo, Action::close()), json!({}), failed("ehlo", "closed")),
        Scenario::new("reset", compliant().on(Step::Data, Action::reset()), json!({}), failed("data", "closed")),
        Scenario::new(
            "reset during the message",
            compliant().with_receive_buffer(4096).on(Step::Data, reset_message),
            large,
            failed("body", "closed"),
        ),
        Scenario::new(
            "close after RCPT",
            compliant().on(Step::RcptTo, Action::reply("250 ok\r\n").then(Action::fin())),
            json!({}),
            failed("data", "closed"),
        ),
    ]
}

fn malformed() -> Vec<Scenario> {
    let compliant = Script::compliant;
    vec![
        Scenario::new(
            "garbage",
            Script::new().with_greeting(Action::garbage()),
            json!({}),
            failed("banner", "protocol"),
        ),
        Scenario::new(
            "reply after STARTTLS",
            compliant().on(Step::StartTls, "220 go\r\n250 ok\r\n"),
            starttls(),
            failed("starttls", "protocol"),
        ),
        Scenario::new(
            "one byte at a time",
            compliant().on(Step::Ehlo, Action::byte_by_byte("250-mx.test\r\n250 8BITMIME\r\n")),
            json!({}),
            delivered(),
        ),
    ]
}

fn endless() -> Vec<Scenario> {
    let compliant = Script::compliant;
    let keywords: String = (0..1000).map(|number| format!("250-X{number:04}\r\n")).collect();
    vec![
        Scenario::new(
            "large EHLO",
            compliant().on(Step::Ehlo, keywords + "250 LAST\r\n"),
            json!({"stop_after": "ehlo"}),
            json!({"outcome": "completed", "failure": null, "capabilities": {"before_tls": {"X0999": "", "LAST": ""}}}),
        ),
        Scenario::new(
            "endless line",
            Script::new().with_greeting(Action::endless_line("220 ")),
            json!({}),
            failed("banner", "protocol"),
        ),
        Scenario::new(
            "endless reply",
            compliant().on(Step::RcptTo, Action::endless_reply(250)),
            json!({}),
            failed("rcptto", "protocol"),
        ),
        Scenario::new(
            "endless replies",
            compliant().with_greeting(Action::many_replies("220 hi\r\n", 2 * 1024 * 1024)),
            json!({}),
            failed("ehlo", "protocol"),
        ),
        Scenario::new(
            "endless challenges",
            compliant().on(Step::Auth, "334 \r\n").on(Step::SaslResponse(1), "334 \r\n"),
            login("plain"),
            failed("sasl_auth", "rejected"),
        ),
        Scenario::new(
            "endless reply to QUIT",
            compliant().on(Step::Quit, Action::endless_line("221 ")),
            json!({}),
            delivered(),
        ),
    ]
}

fn with_bad_handshake() -> Vec<Scenario> {
    vec![
        Scenario::new("garbled handshake", instead_of_hello(Action::garbage()), starttls(), failed("tls", "tls")),
        Scenario::new(
            "endless handshake",
            instead_of_hello(Action::endless_line("\x16\x03\x03")),
            starttls(),
            failed("tls", "tls"),
        ),
        Scenario::new(
            "empty records",
            instead_of_hello(Action::reply(b"\x17\x03\x03\0\0".repeat(10_000))),
            starttls(),
            failed("tls", "tls"),
        ),
    ]
}

fn with_bad_certificates(ca: &Ca) -> Vec<Scenario> {
    let serving = |leaf: Leaf| Script::compliant().with_starttls(ca.issue(leaf));
    let self_signed = Script::compliant().with_starttls(Leaf::for_name("mx.test").self_signed());
    let expired = Leaf::for_name("mx.test").expired();
    vec![
        Scenario::new(
            "expired and for another name",
            serving(Leaf::for_name("other.test").expired()),
            starttls(),
            with_tls(delivered(), &["expired", "wrong_name"]),
        ),
        Scenario::new("self-signed", self_signed, starttls(), with_tls(delivered(), &["self_signed"])),
        Scenario::new(
            "expired with tls_verify",
            serving(expired),
            json!({"starttls": true, "tls_verify": "require"}),
            with_tls(failed("tls", "certificate"), &["expired"]),
        ),
    ]
}

/// All scenarios.
pub(crate) fn all(ca: &Ca) -> Vec<Scenario> {
    let mut scenarios = healthy(ca);
    scenarios.extend(hostile(ca));
    scenarios
}
