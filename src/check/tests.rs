//! Tables of requests: valid ones, and invalid ones with the pointers of their violations.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    phase::Phase,
    proxy_header::ProxyAddress,
    smtp::{Mechanism, MechanismChoice, StartTls},
};

const MAX_TIMEOUT: Duration = Duration::from_secs(60);

fn parse(body: Value) -> Result<Check, Vec<(String, String)>> {
    let Value::Object(fields) = body else { panic!("an object") };
    Check::parse(fields.into_iter().collect(), &CheckSettings::new(MAX_TIMEOUT)).map_err(|invalid| {
        let pairs = invalid.violations().iter().map(|violation| (violation.pointer.clone(), violation.detail.clone()));
        pairs.collect()
    })
}

fn pointers(body: Value) -> Vec<String> {
    parse(body).expect_err("invalid").into_iter().map(|(pointer, _)| pointer).collect()
}

#[test]
fn a_recipient_is_enough_and_the_rest_has_defaults() {
    let check = parse(json!({"to": "probe@example.com"})).expect("a check");
    assert_eq!(check.target, Target::MxOf("example.com".parse().expect("a name")));
    assert_eq!((check.port, check.timeout, check.ip_family), (25, DEFAULT_TIMEOUT, IpFamily::Any));
    assert_eq!((check.tls_verify, check.tls_server_name, check.transcript), (TlsVerify::Record, None, false));
    assert_eq!(check.script.ehlo.to_string(), "noit.local");
    assert_eq!(check.script.payload.to_wire(), b"Subject: Testing\r\n.\r\n");
    assert!(check.proxy.is_none() && check.script.from.is_none() && check.script.credentials.is_none());
    assert!(check.script.start_tls == StartTls::Off && !check.script.implicit_tls && check.script.stop_after.is_none());
}

#[test]
fn every_parameter_is_used() {
    let check = parse(json!({
        "to": "probe@example.com", "target": "192.0.2.1", "port": 587, "ehlo": "[127.0.0.1]", "from": "me@example.com",
        "starttls": true, "sasl_authentication": "plain", "sasl_user": "me", "sasl_password": "secret",
        "sasl_auth_id": "boss", "sasl_initial_response": true, "payload": "hi", "proxy_protocol": true, "proxy_family": "TCP6",
        "proxy_source_address": "2001:db8::1", "proxy_dest_address": "2001:db8::2", "proxy_source_port": 0,
        "proxy_dest_port": 65535, "proxy_version": 2, "implicit_tls": false, "tls_verify": "require",
        "tls_server_name": "MX.Example.com", "ip_family": "ipv4", "stop_after": "sasl_auth", "timeout_ms": 100,
        "transcript": true,
    }))
    .expect("a check");
    assert_eq!(check.target, Target::Address([192, 0, 2, 1].into()));
    assert_eq!((check.port, check.timeout, check.ip_family), (587, Duration::from_millis(100), IpFamily::Ipv4));
    assert_eq!((check.tls_verify, check.transcript), (TlsVerify::Require, true));
    assert_eq!(check.tls_server_name.as_deref(), Some("mx.example.com"));
    let proxy = check.proxy.expect("a header");
    assert!(proxy.is_v2 && proxy.source == ProxyAddress::Ip("2001:db8::1".parse().expect("an address")));
    assert_eq!((proxy.source_port, proxy.destination_port), (Some(0), 65535));
    let script = check.script;
    assert_eq!((script.start_tls, script.stop_after), (StartTls::Required, Some(Phase::SaslAuth)));
    assert_eq!(script.from.map(|from| from.to_string()).as_deref(), Some("me@example.com"));
    let credentials = script.credentials.expect("credentials");
    assert_eq!(credentials.mechanism, MechanismChoice::Only(Mechanism::Plain));
    assert_eq!((credentials.user.as_str(), credentials.initial_response), ("me", true));
    assert_eq!((credentials.authorization_id.as_str(), credentials.password.expose()), ("boss", "secret"));
}

#[test]
fn strings_stand_for_numbers_and_booleans() {
    let check = parse(json!({
        "to": "a@b.test", "port": "2525", "starttls": "on", "implicit_tls": "off", "transcript": "true",
        "proxy_protocol": "false", "timeout_ms": "250", "proxy_version": "1",
    }))
    .expect("a check");
    assert_eq!((check.port, check.timeout), (2525, Duration::from_millis(250)));
    assert!(check.script.start_tls == StartTls::Required && check.transcript && check.proxy.is_none());
    assert_eq!(parse(json!({"to": "a@b.test", "port": 25.0})).expect("a check").port, 25);
}

#[test]
fn null_is_absent() {
    assert!(parse(json!({"to": "a@b.test", "target": null, "port": null, "from": null})).is_ok());
    assert_eq!(pointers(json!({"to": null})), ["/to"]);
}

#[test]
fn each_rule_names_its_field() {
    for (fields, pointer) in [
        (json!({"to": 5}), "/to"),
        (json!({"to": ""}), "/to"),
        (json!({"to": "a b@c"}), "/to"),
        (json!({"to": "a@b.test\r\nDATA"}), "/to"),
        (json!({"to": "postmaster"}), "/to"),
        (json!({"to": "a@999"}), "/to"),
        (json!({"target": ""}), "/target"),
        (json!({"target": "a b"}), "/target"),
        (json!({"target": "mx.test:25"}), "/target"),
        (json!({"target": ["mx"]}), "/target"),
        (json!({"port": 0}), "/port"),
        (json!({"port": 65536}), "/port"),
        (json!({"port": -1}), "/port"),
        (json!({"port": 25.5}), "/port"),
        (json!({"port": "smtp"}), "/port"),
        (json!({"port": " 25"}), "/port"),
        (json!({"port": ""}), "/port"),
        (json!({"ehlo": ""}), "/ehlo"),
        (json!({"ehlo": "a\r\nb"}), "/ehlo"),
        (json!({"from": "me"}), "/from"),
        (json!({"from": "me@b.test>\r\nRCPT TO:<x@y>"}), "/from"),
        (json!({"starttls": "yes"}), "/starttls"),
        (json!({"starttls": 1}), "/starttls"),
        (json!({"starttls": true, "implicit_tls": true}), "/implicit_tls"),
        (json!({"payload": "a\n.\nMAIL FROM:<>"}), "/payload"),
        (json!({"payload": "a\rb"}), "/payload"),
        (json!({"payload": "\u{0}"}), "/payload"),
        (json!({"tls_verify": "off"}), "/tls_verify"),
        (json!({"tls_verify": "require"}), "/tls_verify"),
        (json!({"tls_verify": "require", "starttls": false, "implicit_tls": "off"}), "/tls_verify"),
        (json!({"tls_verify": "require", "starttls": "perhaps"}), "/starttls"),
        (json!({"tls_verify": "require", "implicit_tls": 1}), "/implicit_tls"),
        (json!({"tls_server_name": "a b"}), "/tls_server_name"),
        (json!({"ip_family": "ipv5"}), "/ip_family"),
        (json!({"ip_family": "ipv6", "target": "192.0.2.1"}), "/ip_family"),
        (json!({"ip_family": "ipv4", "target": "[2001:db8::1]"}), "/ip_family"),
        (json!({"ip_family": "ipv6", "to": "a@[192.0.2.1]"}), "/ip_family"),
        (json!({"stop_after": "data"}), "/stop_after"),
        (json!({"stop_after": "starttls"}), "/stop_after"),
        (json!({"stop_after": "sasl_auth"}), "/stop_after"),
        (json!({"timeout_ms": 99}), "/timeout_ms"),
        (json!({"timeout_ms": 60001}), "/timeout_ms"),
        (json!({"transcript": "maybe"}), "/transcript"),
    ] {
        assert_named(&fields, pointer);
    }
}

#[test]
fn each_rule_of_a_login_names_its_field() {
    for (fields, pointer) in [
        (json!({"sasl_authentication": "gssapi"}), "/sasl_authentication"),
        (json!({"sasl_authentication": "plain", "sasl_user": "u"}), "/sasl_password"),
        (json!({"sasl_authentication": "plain", "sasl_password": "p"}), "/sasl_user"),
        (json!({"sasl_authentication": "login", "sasl_user": "u", "sasl_password": ""}), "/sasl_password"),
        (json!({"sasl_authentication": "login", "sasl_user": "u\n", "sasl_password": "p"}), "/sasl_user"),
        (json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p\u{0}"}), "/sasl_password"),
        (
            json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p", "sasl_auth_id": "\r"}),
            "/sasl_auth_id",
        ),
        (json!({"sasl_authentication": "CRAM-MD5"}), "/sasl_authentication"),
        (json!({"sasl_authentication": "xoauth2", "sasl_user": "u"}), "/sasl_password"),
        (json!({"sasl_authentication": "auto", "sasl_password": "p"}), "/sasl_user"),
        (json!({"sasl_authentication": "oauthbearer", "sasl_user": "u", "sasl_password": "p\u{1}"}), "/sasl_password"),
        // A private use character is not for SASLprep.
        (json!({"sasl_authentication": "scram-sha-256", "sasl_user": "u\u{e000}", "sasl_password": "p"}), "/sasl_user"),
        (json!({"sasl_authentication": "auto", "sasl_user": "u", "sasl_password": "p\u{e000}"}), "/sasl_password"),
        (json!({"sasl_initial_response": "maybe"}), "/sasl_initial_response"),
    ] {
        assert_named(&fields, pointer);
    }
}

#[test]
fn each_rule_of_a_proxy_header_names_its_field() {
    let long = "x".repeat(82);
    for (fields, pointer) in [
        (json!({"proxy_protocol": true, "proxy_family": "tcp4"}), "/proxy_family"),
        (json!({"proxy_protocol": true, "proxy_source_address": "a b"}), "/proxy_source_address"),
        (json!({"proxy_protocol": true, "proxy_dest_address": "a\r\nb"}), "/proxy_dest_address"),
        (json!({"proxy_protocol": true, "proxy_dest_address": ""}), "/proxy_dest_address"),
        (json!({"proxy_protocol": true, "proxy_source_address": long}), "/proxy_source_address"),
        (json!({"proxy_protocol": true, "proxy_dest_address": long}), "/proxy_dest_address"),
        (json!({"proxy_protocol": true, "proxy_version": 2, "proxy_source_address": "host"}), "/proxy_source_address"),
        (json!({"proxy_protocol": true, "proxy_version": 2, "proxy_dest_address": "::1"}), "/proxy_dest_address"),
        (json!({"proxy_version": 3}), "/proxy_version"),
        (json!({"proxy_source_port": 65536}), "/proxy_source_port"),
    ] {
        assert_named(&fields, pointer);
    }
}

#[track_caller]
fn assert_named(fields: &Value, pointer: &str) {
    let mut body = json!({"to": "a@b.test"});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    assert_eq!(pointers(body.clone()), [pointer], "{body}");
}

#[test]
fn all_violations_are_reported_at_once() {
    let found =
        pointers(json!({"port": 0, "starttls": "x", "sasl_authentication": "plain", "nonsense": 1, "timeout_ms": 1}));
    assert_eq!(found, ["/port", "/starttls", "/timeout_ms", "/nonsense", "/to", "/sasl_user", "/sasl_password"]);
}

#[test]
fn one_mistake_is_one_violation() {
    for (fields, pointer) in [
        (json!({"target": "mx.test", "stop_after": "Ehlo"}), "/stop_after"),
        (json!({"target": "mx.test", "stop_after": "starttls", "starttls": "yes"}), "/starttls"),
        (
            json!({"target": "mx.test", "stop_after": "sasl_auth", "sasl_authentication": "PLAIN"}),
            "/sasl_authentication",
        ),
    ] {
        assert_eq!(pointers(fields.clone()), [pointer], "{fields}");
    }
}

#[test]
fn the_recipient_may_be_left_out_before_rcptto() {
    for stop in ["banner", "ehlo", "mailfrom"] {
        assert!(parse(json!({"target": "mx.test", "stop_after": stop})).is_ok(), "{stop}");
        assert_eq!(pointers(json!({"stop_after": stop})), ["/target"], "{stop}");
    }
    assert_eq!(pointers(json!({"target": "mx.test", "stop_after": "rcptto"})), ["/to"]);
    assert_eq!(pointers(json!({"target": "mx.test"})), ["/to"]);
    assert!(parse(json!({"target": "mx.test", "to": "postmaster"})).is_ok());
}

#[test]
fn parameters_without_effect_are_ignored() {
    assert!(parse(json!({"to": "a@b.test", "sasl_user": "u\r", "sasl_auth_id": "\r"})).is_ok());
    assert!(parse(json!({"to": "a@b.test", "proxy_source_address": "a b", "proxy_version": 2})).is_ok());
    let login = json!({"to": "a@b.test", "sasl_authentication": "login", "sasl_user": "u", "sasl_password": "p", "sasl_auth_id": "\r"});
    assert_eq!(parse(login).expect("a check").script.credentials.expect("credentials").authorization_id, "");
}

#[test]
fn unknown_fields_are_refused_with_the_nearest_name() {
    for (name, nearest) in [
        ("prot", Some("port")),
        ("sasl_pasword", Some("sasl_password")),
        ("start_tls", Some("starttls")),
        ("Timeout-MS", Some("timeout_ms")),
        ("recipient", None),
        ("zzz", None),
    ] {
        let violations = parse(json!({"to": "a@b.test", name: 1})).expect_err("invalid");
        assert_eq!(violations[0].0, format!("/{name}"));
        assert_eq!(violations[0].1.split('`').nth(1), nearest, "{name}");
    }
    let twice = vec![("to".to_owned(), json!("a@b.test")), ("to".to_owned(), json!("c@d.test"))];
    let invalid = Check::parse(twice, &CheckSettings::new(MAX_TIMEOUT)).expect_err("invalid");
    assert_eq!(invalid.to_string(), "/to: is given twice");
}

#[test]
fn the_default_timeout_is_clamped_to_the_maximum() {
    let parse = |fields: Value| {
        let Value::Object(fields) = fields else { panic!("an object") };
        Check::parse(fields.into_iter().collect(), &CheckSettings::new(Duration::from_secs(3)))
    };
    assert_eq!(parse(json!({"to": "a@b.test"})).expect("a check").timeout, Duration::from_secs(3));
    assert!(parse(json!({"to": "a@b.test", "timeout_ms": 3001})).is_err());
}

#[test]
fn a_password_is_never_repeated() {
    let body =
        json!({"to": "a@b.test", "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "hunter2\n"});
    assert!(!format!("{:?}", parse(body)).contains("hunter2"));
    let check =
        parse(json!({"to": "a@b.test", "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "hunter2"}));
    assert!(!format!("{check:?}").contains("hunter2"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}|[a-z@.\r\n\0\\[\\]:0-9]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| proptest::collection::vec(inner, 0..3).prop_map(Value::from))
}

proptest! {
    /// No body makes the parser panic, and no valid check has a line break in its EHLO.
    #[test]
    fn any_body_is_a_check_or_invalid(values in proptest::collection::vec(any_json(), 25)) {
        let names = [
            "to", "target", "port", "ehlo", "from", "starttls", "sasl_authentication", "sasl_user", "sasl_password",
            "sasl_auth_id", "payload", "proxy_protocol", "proxy_family", "proxy_source_address", "proxy_dest_address",
            "proxy_source_port", "proxy_dest_port", "proxy_version", "implicit_tls", "tls_verify", "tls_server_name",
            "ip_family", "stop_after", "timeout_ms", "transcript",
        ];
        let fields = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        if let Ok(check) = Check::parse(fields, &CheckSettings::new(MAX_TIMEOUT)) {
            prop_assert!(!check.script.ehlo.to_string().contains(char::is_control));
        }
    }
}

#[test]
fn empty_values_are_reported_as_empty() {
    for (fields, detail) in [
        (json!({"to": ""}), "must not be empty"),
        (json!({"to": "a@b.test", "ehlo": ""}), "must not be empty"),
        (json!({"to": "a@b.test", "from": "<>"}), "must not have angle brackets; the null sender is the empty string"),
    ] {
        let invalid = parse(fields.clone()).expect_err("invalid");
        assert_eq!(invalid[0].1, detail, "{fields}");
    }
}

#[test]
fn what_a_reply_is_expected_to_be_has_rules() {
    let with = |expect: Value| json!({"to": "a@b.test", "target": "mx.test", "expect": expect});
    for expect in [
        json!({"rcptto": {"code": "5xx"}}),
        json!({"rcptto": {"code": ["550", "4xx"], "enhanced_code": "5.7.*", "message": "relay"}}),
        json!({"rcptto": {"code": 550}, "banner": {"message": "postfix"}}),
        json!({"rcptto": {"code": [550, "551"]}}),
        json!(r#"{"rcptto": {"code": "5xx"}}"#),
    ] {
        let check = parse(with(expect)).expect("a check");
        assert!(check.script.expectation(Phase::RcptTo).is_some());
    }
    for (expect, expected) in [
        (json!({}), "/expect"),
        (json!([]), "/expect"),
        (json!("{\"rcptto\""), "/expect"),
        (json!("[1]"), "/expect"),
        (json!({"rcpt": {"code": "550"}}), "/expect/rcpt"),
        (json!({"rcptto": "550"}), "/expect/rcptto"),
        (json!({"rcptto": {}}), "/expect/rcptto"),
        (json!({"rcptto": {"code": "5"}}), "/expect/rcptto/code"),
        (json!({"rcptto": {"code": 5}}), "/expect/rcptto/code"),
        (json!({"rcptto": {"code": []}}), "/expect/rcptto/code"),
        (json!({"rcptto": {"code": ["550", {}]}}), "/expect/rcptto/code"),
        (json!({"rcptto": {"code": true}}), "/expect/rcptto/code"),
        (json!({"rcptto": {"enhanced_code": "5.7"}}), "/expect/rcptto/enhanced_code"),
        (json!({"rcptto": {"code": "4xx", "enhanced_code": "5.7.1"}}), "/expect/rcptto/enhanced_code"),
        (json!({"rcptto": {"message": ""}}), "/expect/rcptto/message"),
        (json!({"rcptto": {"message": "x".repeat(1001)}}), "/expect/rcptto/message"),
        (json!({"rcptto": {"text": "relay"}}), "/expect/rcptto/text"),
        (json!({"starttls": {"code": "220"}}), "/expect/starttls"),
        (json!({"sasl_auth": {"code": "535"}}), "/expect/sasl_auth"),
    ] {
        assert_eq!(pointers(with(expect.clone())), [expected], "{expect}");
    }
    let perhaps = json!({"to": "a@b.test", "starttls": "opportunistic", "expect": {"starttls": {"code": "220"}}});
    assert_eq!(pointers(perhaps), ["/expect/starttls"]);
    let early = json!({"target": "mx.test", "stop_after": "ehlo", "expect": {"rcptto": {"code": "5xx"}}});
    assert_eq!(pointers(early), ["/expect/rcptto"]);
}
