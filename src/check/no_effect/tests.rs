//! Parameters that can have no effect, and those that have one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    check::{Check, CheckSettings, Invalid},
    phase::Phase,
};

fn parse(body: Value) -> Result<Check, Invalid> {
    let Value::Object(fields) = body else { panic!("an object") };
    Check::parse(fields.into_iter().collect(), &CheckSettings::new(Duration::from_secs(60)))
}

/// The members of both objects.
fn with(mut fields: Value, more: Value) -> Value {
    fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    fields
}

/// The check says of these fields that those with `names` have no effect.
fn assert_said(fields: &Value, names: &str, reason: &str) {
    let check = parse(with(json!({"to": "a@b.test"}), fields.clone())).expect("a check");
    let said: Vec<String> = check.no_effect.iter().map(ToString::to_string).collect();
    assert_eq!(said, [format!("{names} no effect: {reason}")], "{fields}");
}

#[test]
fn parameters_without_effect_are_named() {
    let login = json!({"sasl_authentication": "login", "sasl_user": "u", "sasl_password": "p"});
    let (no_auth, no_tls, no_proxy) = (
        "without `sasl_authentication` there is no AUTH",
        "without `starttls` or `implicit_tls` there is no TLS",
        "without `proxy_protocol` there is no PROXY header",
    );
    let before_starttls = "with this `stop_after` the check ends before STARTTLS";
    for (fields, names, reason) in [
        (json!({"sasl_user": "u"}), "`sasl_user` has", no_auth),
        (json!({"sasl_password": "p"}), "`sasl_password` has", no_auth),
        (
            json!({"sasl_user": "u", "sasl_password": "p", "sasl_auth_id": "b", "sasl_authentication": "off"}),
            "`sasl_user`, `sasl_password`, `sasl_auth_id` have",
            no_auth,
        ),
        (
            with(login.clone(), json!({"sasl_auth_id": "b"})),
            "`sasl_auth_id` has",
            "LOGIN has no authorization identity",
        ),
        (json!({"tls_server_name": "mx.test"}), "`tls_server_name` has", no_tls),
        (json!({"tls_server_name": "mx.test", "starttls": false}), "`tls_server_name` has", no_tls),
        (json!({"proxy_family": "TCP6"}), "`proxy_family` has", no_proxy),
        (json!({"proxy_family": "TCP4", "proxy_version": 1}), "`proxy_family`, `proxy_version` have", no_proxy),
        (json!({"proxy_version": 1}), "`proxy_version` has", no_proxy),
        (json!({"proxy_dest_address": "x"}), "`proxy_dest_address` has", no_proxy),
        (json!({"proxy_source_address": "x"}), "`proxy_source_address` has", no_proxy),
        (
            json!({"proxy_source_port": 0, "proxy_dest_port": 1}),
            "`proxy_source_port`, `proxy_dest_port` have",
            no_proxy,
        ),
        (json!({"proxy_version": 2, "proxy_protocol": false}), "`proxy_version` has", no_proxy),
        (json!({"starttls": true, "stop_after": "ehlo"}), "`starttls` has", before_starttls),
        (
            json!({"starttls": true, "stop_after": "banner", "tls_verify": "require", "tls_server_name": "mx.test"}),
            "`starttls`, `tls_verify`, `tls_server_name` have",
            before_starttls,
        ),
        (
            with(login.clone(), json!({"stop_after": "ehlo"})),
            "`sasl_authentication`, `sasl_user`, `sasl_password` have",
            "with this `stop_after` the check ends before AUTH",
        ),
    ] {
        assert_said(&fields, names, reason);
    }
}

#[test]
fn parameters_of_auth_without_effect_are_named() {
    let login = |mechanism: &str| json!({"sasl_authentication": mechanism, "sasl_user": "u", "sasl_password": "p"});
    let no_auth = "without `sasl_authentication` there is no AUTH";
    for (fields, names, reason) in [
        (
            with(login("cram-md5"), json!({"sasl_auth_id": "b"})),
            "`sasl_auth_id` has",
            "CRAM-MD5 has no authorization identity",
        ),
        (
            with(login("cram-md5"), json!({"sasl_initial_response": true})),
            "`sasl_initial_response` has",
            "with CRAM-MD5 the server speaks first",
        ),
        (json!({"sasl_initial_response": true}), "`sasl_initial_response` has", no_auth),
        (
            with(
                login("oauthbearer"),
                json!({"sasl_initial_response": true,
                "sasl_auth_id": "b", "stop_after": "ehlo"}),
            ),
            "`sasl_authentication`, `sasl_user`, `sasl_password`, `sasl_auth_id`, `sasl_initial_response` have",
            "with this `stop_after` the check ends before AUTH",
        ),
    ] {
        assert_said(&fields, names, reason);
    }
}

#[test]
fn an_ip_family_has_no_effect_on_an_address() {
    let reason = "`ip_family` has no effect: the target is an address";
    for (fields, expected) in [
        (json!({"to": "a@b.test", "target": "192.0.2.1", "ip_family": "ipv4"}), Some(reason)),
        (json!({"to": "a@[IPv6:2001:db8::1]", "ip_family": "ipv6"}), Some(reason)),
        (json!({"to": "a@b.test", "target": "192.0.2.1", "ip_family": "any"}), None),
        (json!({"to": "a@b.test", "target": "mx.test", "ip_family": "ipv4"}), None),
        (json!({"to": "a@b.test", "ip_family": "ipv6"}), None),
    ] {
        let check = parse(fields.clone()).expect("a check");
        let found: Vec<String> = check.no_effect.iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::from_iter(expected), "{fields}");
    }
}

/// Every parameter with every `stop_after`: it is named exactly where the check has none of the phases that use it.
#[test]
fn every_parameter_is_named_where_its_phase_does_not_come() {
    const ALWAYS: &[Phase] = Phase::ALL;
    // Where each parameter is used, and a value that is not its default.
    let parameters: [(&str, Value, &[Phase]); 24] = [
        ("to", json!("a@b.test"), &[Phase::RcptTo]),
        ("target", json!("mx.test"), ALWAYS),
        ("port", json!(2525), ALWAYS),
        ("ehlo", json!("me.test"), &[Phase::Ehlo]),
        ("from", json!("me@b.test"), &[Phase::MailFrom]),
        ("starttls", json!(true), &[Phase::StartTls]),
        ("implicit_tls", json!(true), ALWAYS),
        ("tls_verify", json!("require"), &[Phase::Tls]),
        ("tls_server_name", json!("mx.test"), &[Phase::Tls]),
        ("sasl_authentication", json!("plain"), &[Phase::SaslAuth]),
        ("sasl_user", json!("u"), &[Phase::SaslAuth]),
        ("sasl_password", json!("p"), &[Phase::SaslAuth]),
        ("sasl_auth_id", json!("b"), &[Phase::SaslAuth]),
        ("payload", json!("hi"), &[Phase::Body]),
        ("proxy_protocol", json!(true), ALWAYS),
        ("proxy_family", json!("TCP6"), ALWAYS),
        ("proxy_source_address", json!("2001:db8::1"), ALWAYS),
        ("proxy_dest_address", json!("2001:db8::2"), ALWAYS),
        ("proxy_source_port", json!(1), ALWAYS),
        ("proxy_dest_port", json!(2), ALWAYS),
        ("proxy_version", json!(2), ALWAYS),
        ("ip_family", json!("ipv4"), ALWAYS),
        ("timeout_ms", json!(5000), ALWAYS),
        ("transcript", json!(true), ALWAYS),
    ];
    for with_tls in ["starttls", "implicit_tls"] {
        for stop_after in
            [None, Some("banner"), Some("ehlo"), Some("starttls"), Some("sasl_auth"), Some("mailfrom"), Some("rcptto")]
        {
            if (with_tls, stop_after) == ("implicit_tls", Some("starttls")) {
                continue;
            }
            let is_left_out = |name: &str| ["starttls", "implicit_tls"].contains(&name) && name != with_tls;
            let given = || parameters.iter().filter(|(name, ..)| !is_left_out(name));
            let mut body: serde_json::Map<_, _> =
                given().map(|(name, value, _)| ((*name).to_owned(), value.clone())).collect();
            body.extend(stop_after.map(|stop| ("stop_after".to_owned(), json!(stop))));
            let check = parse(Value::Object(body)).expect("a check");
            let mut phases = check.script.phases();
            phases.extend((with_tls == "implicit_tls").then_some(Phase::Tls));
            let mut expected: Vec<&str> = given()
                .filter(|(_, _, used)| !used.iter().any(|it| phases.contains(it)))
                .map(|(name, ..)| *name)
                .collect();
            let mut named: Vec<&str> = given().map(|(name, ..)| *name).filter(|name| is_named(&check, name)).collect();
            expected.sort_unstable();
            named.sort_unstable();
            assert_eq!(named, expected, "{with_tls} {stop_after:?}");
        }
    }
}

/// Whether the parameter is among those of which it is said that they have no effect.
fn is_named(check: &Check, name: &str) -> bool {
    check.no_effect.iter().any(|no_effect| {
        let text = no_effect.to_string();
        let (names, _) = text.split_once(" no effect: ").expect("names and a reason");
        names.contains(&format!("`{name}`"))
    })
}

#[test]
fn parameters_of_a_starttls_that_is_not_offered_are_named() {
    let tls = json!({"tls_server_name": "mx.test", "tls_version": "1.3"});
    for (starttls, expected) in [
        (
            json!("opportunistic"),
            Some("`tls_server_name`, `tls_version` have no effect: the server does not offer STARTTLS"),
        ),
        (json!(true), None),
    ] {
        let mut body = json!({"to": "a@b.test", "starttls": starttls});
        body.as_object_mut().expect("an object").extend(tls.as_object().expect("an object").clone());
        let check = parse(body).expect("a check");
        let said: Vec<String> = check.no_effect_without_tls.iter().map(ToString::to_string).collect();
        assert_eq!((said, check.no_effect), (Vec::from_iter(expected.map(str::to_owned)), Vec::new()));
    }
}

#[test]
fn parameters_of_phases_that_do_not_come_are_named() {
    for (parameter, text, stop_after, reason) in [
        ("ehlo", "me.test", "banner", "with this `stop_after` the check ends before EHLO"),
        ("from", "me@b.test", "ehlo", "with this `stop_after` the check ends before MAIL FROM"),
        ("payload", "hi", "rcptto", "with `stop_after` no message is sent"),
    ] {
        let check = parse(json!({"to": "a@b.test", parameter: text, "stop_after": stop_after})).expect("a check");
        let said: Vec<String> = check.no_effect.iter().map(ToString::to_string).collect();
        assert_eq!(said, [format!("`{parameter}` has no effect: {reason}")]);
    }
}

#[test]
fn parameters_without_effect_can_be_named_as_flags() {
    let both = json!({"to": "a@b.test", "sasl_user": "u", "tls_server_name": "mx.test"});
    let said = parse(both).expect("a check").no_effect;
    let as_flags: Vec<_> = said.iter().map(|it| it.text(|name| format!("--{}", name.replace('_', "-")))).collect();
    assert_eq!(
        as_flags,
        [
            "--sasl-user has no effect: without --sasl-authentication there is no AUTH",
            "--tls-server-name has no effect: without --starttls or --implicit-tls there is no TLS",
        ]
    );
}

#[test]
fn parameters_with_an_effect_or_a_default_are_not_named() {
    for fields in [
        json!({}),
        json!({"sasl_authentication": "off", "sasl_user": "", "sasl_password": "", "sasl_auth_id": "",
            "proxy_protocol": false, "proxy_family": "TCP4", "proxy_version": 1, "tls_verify": "record"}),
        json!({"starttls": true, "tls_verify": "require", "tls_server_name": "mx.test"}),
        json!({"starttls": true, "tls_verify": "require", "stop_after": "starttls"}),
        json!({"implicit_tls": true, "tls_verify": "require", "stop_after": "banner"}),
        json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p", "sasl_auth_id": "b",
            "stop_after": "sasl_auth"}),
        json!({"proxy_protocol": true, "proxy_family": "TCP6", "proxy_version": 2, "proxy_source_port": 1}),
        json!({"ehlo": "me.test", "stop_after": "ehlo"}),
        json!({"from": "me@b.test", "stop_after": "mailfrom"}),
        json!({"ehlo": "noit.local", "from": "", "payload": "Subject: Testing", "stop_after": "banner"}),
        json!({"payload": "hi"}),
    ] {
        let mut body = json!({"to": "a@b.test"});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        assert_eq!(parse(body).expect("a check").no_effect, [], "{fields}");
    }
}
