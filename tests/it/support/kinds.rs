//! Mail servers of every kind, healthy and hostile, each with what a check of it has to report.

use serde_json::{Value, json};

use super::{
    pki::{Ca, Leaf},
    smtpd::{Act, Script, Smtpd, Step},
};

/// A kind of server, what is asked of it, and what comes of that.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    parameters: Value,
    /// Every member of it has to be in the report.
    expected: Value,
}

impl Kind {
    fn new(name: &'static str, script: Script, parameters: Value, expected: Value) -> Self {
        Self { name, script, parameters, expected }
    }

    /// Whether the server lets a check wait until its time is over.
    pub(crate) fn waits(&self) -> bool {
        self.expected["failure"]["kind"] == "timeout"
    }

    /// The body of a check of such a server, that may last so long.
    pub(crate) fn check(&self, server: &Smtpd, timeout_ms: u64) -> Value {
        let mut check = json!({"to": "probe@example.test", "target": "127.0.0.1", "tls_server_name": "mx.test"});
        let fields = check.as_object_mut().expect("an object");
        fields.insert("port".to_owned(), server.port().into());
        fields.insert("timeout_ms".to_owned(), timeout_ms.into());
        fields.extend(self.parameters.as_object().expect("an object").clone());
        check
    }

    /// What is wrong with the report of such a check; nothing if it is right.
    pub(crate) fn complaint(&self, report: &Value) -> Option<String> {
        let missed = missed(&self.expected, report, String::new())?;
        let (outcome, failure, metrics) = (&report["outcome"], &report["failure"], &report["metrics"]);
        let began = format!("{} of {} at {}", report["id"], report["target"]["port"], report["started_at"]);
        let phases = report["phases"].as_array().into_iter().flatten();
        let phases: Vec<_> =
            phases.map(|phase| format!("{} {}+{}", phase["name"], phase["started_ms"], phase["time_ms"])).collect();
        Some(format!("{}: {missed}: {outcome} {failure} {metrics} {phases:?}, {began}", self.name))
    }
}

/// Where a document differs from what is expected of it. It may have more members.
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
        // Its words are another test's matter.
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

/// Servers that do what they should. The authority is one that the service trusts.
pub(crate) fn healthy(ca: &Ca) -> Vec<Kind> {
    let identity = ca.issue(Leaf::for_name("mx.test"));
    let polite = Script::polite;
    let known = || polite().with_credentials("probe", "correct horse");
    let mut login_in_tls = login("login");
    login_in_tls["starttls"] = true.into();
    vec![
        Kind::new("polite", polite(), json!({}), delivered()),
        Kind::new("polite with TLS", polite().with_starttls(&identity), starttls(), with_tls(delivered(), &[])),
        Kind::new("logging in", known(), login("plain"), delivered()),
        Kind::new("logging in with TLS", known().with_starttls(&identity), login_in_tls, with_tls(delivered(), &[])),
        Kind::new(
            "rejecting",
            polite().on(Step::RcptTo, "550 5.1.1 no\r\n"),
            json!({}),
            rejected("rcptto", false, 550, "5.1.1"),
        ),
        Kind::new("busy", polite().greets("421 4.3.2 busy\r\n"), json!({}), rejected("banner", true, 421, "4.3.2")),
    ]
}

/// Servers that do not.
pub(crate) fn hostile(ca: &Ca) -> Vec<Kind> {
    let mut kinds = silent();
    kinds.extend(breaking_off());
    kinds.extend(talking_nonsense());
    kinds.extend(without_end());
    kinds.extend(false_in_tls());
    kinds.extend(with_bad_certificates(ca));
    kinds
}

/// A polite server up to the moment where the TLS handshake should be.
fn instead_of_hello(act: Act) -> Script {
    Script::polite().on(Step::StartTls, Act::reply("220 go\r\n").then(Act::await_client()).then(act))
}

fn silent() -> Vec<Kind> {
    let polite = Script::polite;
    vec![
        Kind::new("silent", Script::new().greets(Act::silence()), json!({}), failed("banner", "timeout")),
        Kind::new(
            "silent behind half a reply",
            polite().on(Step::Ehlo, Act::reply("250-mx.test\r\n250 SI").then(Act::silence())),
            json!({}),
            failed("ehlo", "timeout"),
        ),
        Kind::new(
            "silent behind MAIL",
            polite().on(Step::MailFrom, Act::silence()),
            json!({}),
            failed("mailfrom", "timeout"),
        ),
        Kind::new("silent in the handshake", instead_of_hello(Act::silence()), starttls(), failed("tls", "timeout")),
        Kind::new("swallowing", polite().on(Step::Body, Act::silence()), json!({}), failed("body", "timeout")),
        Kind::new("silent goodbye", polite().on(Step::Quit, Act::silence()), json!({}), delivered()),
    ]
}

fn breaking_off() -> Vec<Kind> {
    let polite = Script::polite;
    let large = json!({"payload": ("x".repeat(70) + "\r\n").repeat(300)});
    let reset_message = Act::reply("354 go\r\n").then(Act::await_client()).then(Act::reset());
    vec![
        Kind::new("hanging up", polite().on(Step::Ehlo, Act::close()), json!({}), failed("ehlo", "closed")),
        Kind::new("resetting", polite().on(Step::Data, Act::reset()), json!({}), failed("data", "closed")),
        Kind::new(
            "resetting the message",
            polite().with_receive_buffer(4096).on(Step::Data, reset_message),
            large,
            failed("body", "closed"),
        ),
        Kind::new(
            "goodbye before its time",
            polite().on(Step::RcptTo, Act::reply("250 ok\r\n").then(Act::cut())),
            json!({}),
            failed("data", "closed"),
        ),
    ]
}

fn talking_nonsense() -> Vec<Kind> {
    let polite = Script::polite;
    vec![
        Kind::new("garbage", Script::new().greets(Act::garbage()), json!({}), failed("banner", "protocol")),
        Kind::new(
            "injecting",
            polite().on(Step::StartTls, "220 go\r\n250 ok\r\n"),
            starttls(),
            failed("starttls", "protocol"),
        ),
        Kind::new(
            "one byte at a time",
            polite().on(Step::Ehlo, Act::drip("250-mx.test\r\n250 8BITMIME\r\n")),
            json!({}),
            delivered(),
        ),
    ]
}

fn without_end() -> Vec<Kind> {
    let polite = Script::polite;
    let keywords: String = (0..1000).map(|number| format!("250-X{number:04}\r\n")).collect();
    vec![
        Kind::new(
            "large EHLO",
            polite().on(Step::Ehlo, keywords + "250 LAST\r\n"),
            json!({"stop_after": "ehlo"}),
            json!({"outcome": "completed", "failure": null, "capabilities": {"before_tls": {"X0999": "", "LAST": ""}}}),
        ),
        Kind::new(
            "endless line",
            Script::new().greets(Act::endless_line("220 ")),
            json!({}),
            failed("banner", "protocol"),
        ),
        Kind::new(
            "endless reply",
            polite().on(Step::RcptTo, Act::endless_reply(250)),
            json!({}),
            failed("rcptto", "protocol"),
        ),
        Kind::new(
            "endless replies",
            polite().greets(Act::many_replies("220 hi\r\n", 2 * 1024 * 1024)),
            json!({}),
            failed("ehlo", "protocol"),
        ),
        Kind::new(
            "endless challenges",
            polite().on(Step::Auth, "334 \r\n").on(Step::SaslResponse(1), "334 \r\n"),
            login("plain"),
            failed("sasl_auth", "rejected"),
        ),
        Kind::new("endless goodbye", polite().on(Step::Quit, Act::endless_line("221 ")), json!({}), delivered()),
    ]
}

fn false_in_tls() -> Vec<Kind> {
    vec![
        Kind::new("garbled handshake", instead_of_hello(Act::garbage()), starttls(), failed("tls", "tls")),
        Kind::new(
            "endless handshake",
            instead_of_hello(Act::endless_line("\x16\x03\x03")),
            starttls(),
            failed("tls", "tls"),
        ),
        Kind::new(
            "empty records",
            instead_of_hello(Act::reply(b"\x17\x03\x03\0\0".repeat(10_000))),
            starttls(),
            failed("tls", "tls"),
        ),
    ]
}

fn with_bad_certificates(ca: &Ca) -> Vec<Kind> {
    let serving = |leaf: Leaf| Script::polite().with_starttls(ca.issue(leaf));
    let self_signed = Script::polite().with_starttls(Leaf::for_name("mx.test").self_signed());
    let expired = Leaf::for_name("mx.test").expired();
    vec![
        Kind::new(
            "expired and for another name",
            serving(Leaf::for_name("other.test").expired()),
            starttls(),
            with_tls(delivered(), &["expired", "wrong_name"]),
        ),
        Kind::new("self-signed", self_signed, starttls(), with_tls(delivered(), &["self_signed"])),
        Kind::new(
            "expired where that counts",
            serving(expired),
            json!({"starttls": true, "tls_verify": "require"}),
            with_tls(failed("tls", "certificate"), &["expired"]),
        ),
    ]
}

/// All of them.
pub(crate) fn all(ca: &Ca) -> Vec<Kind> {
    let mut kinds = healthy(ca);
    kinds.extend(hostile(ca));
    kinds
}
