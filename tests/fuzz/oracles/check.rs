//! The parameters of a check: every JSON is either a valid check or gets all its violations, and no value is repeated
//! in them.

use std::time::Duration;

use serde_json::{Map, Value};
use smtp_check::{
    check::{Check, CheckSettings, Invalid},
    destination::Target,
    proxy_header::ProxyAddress,
    smtp::{
        Command, MechanismChoice, Protocol, StartTls,
        sasl::{Exchange, Next},
    },
};

use super::{PASSWORD, assert_framed, assert_no_control, assert_secretive, knows_password, wire_line};

const MAX_TIMEOUT: Duration = Duration::from_secs(60);

fn settings() -> CheckSettings {
    CheckSettings::new(MAX_TIMEOUT)
}
/// The parameters that can be missing.
const REQUIRED: [&str; 4] = ["to", "target", "sasl_user", "sasl_password"];
/// With more fields than this, not all unknown ones may be reported.
const MAX_REPORTED_FIELDS: usize = 32;

/// `data` is a sequence of JSON objects: one, except for inputs that give a field twice.
///
/// A password in it is replaced by one that can be searched for.
pub fn check(data: &[u8]) {
    if knows_password(data) {
        return;
    }
    let objects = serde_json::Deserializer::from_slice(data).into_iter::<Map<String, Value>>();
    let mut fields: Vec<(String, Value)> = objects.map_while(Result::ok).flatten().collect();
    for (name, value) in &mut fields {
        if name == "sasl_password" && value.as_str().is_some_and(|text| !text.is_empty()) {
            *value = Value::from(PASSWORD);
        }
    }
    let parsed = Check::parse(fields.clone(), &settings());
    assert_secretive(&format!("{parsed:?}"));
    match &parsed {
        Ok(check) => assert_valid(check, &fields),
        Err(invalid) => assert_told(invalid, &fields),
    }
    assert_order_does_not_matter(&parsed, fields);
}

fn assert_valid(check: &Check, fields: &[(String, Value)]) {
    let (script, phases) = (&check.script, check.script.phases());
    assert!(check.port > 0);
    let given = fields.iter().any(|(name, value)| name == "timeout_ms" && !value.is_null());
    let shortest = Duration::from_millis(if given { 100 } else { 10_000 });
    assert!((shortest..=MAX_TIMEOUT).contains(&check.timeout), "{:?}", check.timeout);
    assert!(!script.implicit_tls || script.start_tls == StartTls::Off, "TLS within TLS");
    assert!(check.client_certificate.is_none() && check.source_address.is_none(), "what the operator does not have");
    assert!(check.dkim.is_none(), "what the operator does not have");
    assert!(script.protocol == Protocol::Smtp || !matches!(check.target, Target::MxOf(_)), "LMTP to an MX");
    assert!(script.stop_after.is_none_or(|phase| phases.contains(&phase)), "ends after a phase that it has not");
    assert!(script.to.is_some() || phases.iter().all(|phase| phase.name() != "rcptto"), "RCPT to nobody");

    wire_line(&Command::Ehlo(script.ehlo.clone()));
    wire_line(&Command::MailFrom { reverse_path: script.from.clone(), eight_bit: true, utf8: true });
    script.to.iter().for_each(|to| drop(wire_line(&Command::RcptTo(to.clone()))));
    assert_framed(&script.payload.to_wire());
    if check.composes() {
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let composed = smtp_check::message::compose(check, uuid::Uuid::nil(), now).expect("a valid message");
        assert_framed(&composed.payload.to_wire());
    }
    if let Some(credentials) = &script.credentials {
        assert_eq!(credentials.password.expose(), PASSWORD);
        assert!(!credentials.user.is_empty());
        assert_no_control(&credentials.user);
        assert_no_control(&credentials.authorization_id);
        for mechanism in MechanismChoice::AUTO {
            let mut exchange = Exchange::new(credentials, mechanism);
            while let Next::Respond(response) = exchange.challenge(Some("")) {
                wire_line(&Command::SaslResponse(response));
            }
        }
    }
    if let Some(header) = &check.proxy {
        for address in [&header.source, &header.destination] {
            if let ProxyAddress::Verbatim(text) = address {
                assert!(!header.is_v2 && !text.is_empty() && !text.contains(char::is_whitespace), "{text:?}");
                assert_no_control(text);
            }
        }
    }
    assert_no_control(&check.target.to_string());
    check.tls_server_name.iter().for_each(|name| assert_no_control(name));
}

/// Every violation is about a field that is given, or about a required one.
fn assert_told(invalid: &Invalid, fields: &[(String, Value)]) {
    assert!(!invalid.violations().is_empty(), "refused for no reason");
    for violation in invalid.violations() {
        let name = violation.parameter();
        // A long name is truncated.
        let is_given = fields.iter().any(|(given, _)| given.chars().take(64).eq(name.chars()));
        assert!(is_given || REQUIRED.contains(&&*name), "points at nothing: {violation:?}");
        assert!(!violation.detail.is_empty());
        assert_no_control(&violation.detail);
    }
}

/// An object has no order (RFC 8259, section 4).
fn assert_order_does_not_matter(parsed: &Result<Check, Invalid>, mut fields: Vec<(String, Value)>) {
    let mut names: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
    names.sort();
    let is_twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    if is_twice || fields.len() > MAX_REPORTED_FIELDS {
        return;
    }
    fields.reverse();
    let outcome = |parsed: &Result<Check, Invalid>| match parsed {
        Ok(check) => vec![format!("{check:?}")],
        Err(invalid) => {
            let mut violations: Vec<_> =
                invalid.violations().iter().map(|violation| format!("{violation:?}")).collect();
            violations.sort();
            violations
        }
    };
    assert_eq!(outcome(&Check::parse(fields, &settings())), outcome(parsed), "in another order");
}
