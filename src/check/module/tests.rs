//! The modules of an operator, and the checks that a caller gets with them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::destination::Target;

fn settings() -> CheckSettings {
    CheckSettings::new(Duration::from_secs(60))
}

fn modules(tables: Value) -> Result<Modules, InvalidModule> {
    let Value::Object(tables) = tables else { panic!("tables") };
    let tables = tables.into_iter().map(|(name, table)| match table {
        Value::Object(fields) => (name, fields),
        _ => panic!("a table"),
    });
    Modules::parse(tables, settings())
}

fn query(pairs: &[(&str, &str)]) -> ModuleRequest {
    ModuleRequest::read(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

fn check(modules: &Modules, pairs: &[(&str, &str)]) -> Result<Check, String> {
    modules.check(query(pairs), None).map(|(_, check)| check).map_err(|invalid| invalid.to_string())
}

#[test]
fn the_default_module_ends_after_ehlo_unless_the_operator_has_one() {
    let none = Modules::none(settings());
    let default = check(&none, &[("target", "mx.test")]).expect("a check");
    assert_eq!(default.script.stop_after, Some(crate::phase::Phase::Ehlo));
    assert_eq!((default.port, default.timeout), (25, Duration::from_secs(10)));
    assert_eq!(check(&none, &[("target", "mx.test"), ("module", "default")]).map(|check| check.port), Ok(25));

    let own = modules(json!({"default": {"port": 587, "stop_after": "banner"}})).expect("modules");
    assert_eq!(check(&own, &[("target", "mx.test")]).map(|check| check.port), Ok(587));
}

#[test]
fn a_caller_gives_target_port_and_recipient() {
    let modules = modules(json!({"mx": {"port": 2525, "to": "probe@example.test", "from": "a@b.test"}})).expect("good");
    let check = |target, to: Option<&str>| {
        let to = to.map(|to| ("to", to));
        let pairs: Vec<_> = [("module", "mx"), ("target", target)].into_iter().chain(to).collect();
        let check = check(&modules, &pairs).expect("a check");
        (check.target, check.port, check.script.to.map(|to| to.to_string()))
    };
    let host = |name: &str| name.parse::<Target>().expect("a target");
    let probe = Some("probe@example.test".to_owned());
    assert_eq!(check("mx.test", None), (host("mx.test"), 2525, probe.clone()));
    assert_eq!(check("mx.test:26", Some("b@c.test")), (host("mx.test"), 26, Some("b@c.test".to_owned())));
    for (text, port) in [("2001:db8::1", 2525), ("[2001:db8::1]", 2525), ("[2001:db8::1]:26", 26)] {
        assert_eq!(check(text, None), (host("2001:db8::1"), port, probe.clone()));
    }
}

#[test]
fn violations_of_a_caller_name_its_parameters() {
    let modules = modules(json!({"v6": {"ip_family": "ipv6", "stop_after": "ehlo"}, "mail": {}})).expect("good");
    for (pairs, violations) in [
        (&[][..], "/target: is required"),
        (&[("target", "")], "/target: must not be empty"),
        (&[("target", "mx.test"), ("module", "v7")], "/module: is not known"),
        (&[("target", "mx.test:0")], "/target: must have a port from 1 to 65535 after its colon"),
        (
            &[("target", "smtp://mx.test")],
            "/target: must be a host name or an IP address alone, without scheme, user or path",
        ),
        (
            &[("module", "mail"), ("target", "a b")],
            "/target: must not contain spaces or control characters; /to: is required (unless `stop_after` ends before `rcptto` and `target` is given)",
        ),
        (
            &[("module", "v6"), ("target", "192.0.2.1")],
            "/module: has `ip_family`, which is ipv6, and the target is an address of the other family",
        ),
        (&[("target", "mx.test"), ("to", "a\u{fffd}@b.test")], "/to: must be UTF-8"),
        (&[("target", "mx.test"), ("target", "mx.test")], "/target: is given twice"),
        (&[("target", "mx.test"), ("prot", "25")], "/prot: is no parameter"),
        (&[("target", "mx.test"), ("modul", "v6")], "/modul: is no parameter; did you mean `module`?"),
        (
            &[("target", "mx.test"), ("debug", "yes")],
            "/debug: must be true or false (the strings true, false, on and off will do)",
        ),
        (
            &[("debug", "?"), ("module", "v7")],
            "/debug: must be true or false (the strings true, false, on and off will do); /target: is required; /module: is not known",
        ),
    ] {
        let found = check(&modules, pairs).map(|check| check.port);
        let mut found: Vec<String> =
            found.expect_err("wrong").split("; /").map(|part| part.trim_start_matches('/').to_owned()).collect();
        let mut expected: Vec<String> =
            violations.split("; /").map(|part| part.trim_start_matches('/').to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{pairs:?}");
    }
}

#[test]
fn invalid_modules_are_refused_at_start() {
    for (tables, complaint) in [
        (json!({"mx": {"prot": 25}}), "[modules.mx] `prot` is no parameter; did you mean `port`?"),
        (json!({"mx": {"target": "mx.test"}}), "[modules.mx] `target` is the caller's to give"),
        (
            json!({"mx": {"stop_after": "starttls"}}),
            "[modules.mx] `stop_after` is starttls, and the check has no STARTTLS: give `starttls = true`",
        ),
        (json!({"mx": {"timeout_ms": 60_001}}), "[modules.mx] `timeout_ms` must be a whole number from 100 to 60000"),
        (json!({"mx": {"to": "a@b@c"}}), "[modules.mx] `to` the domain is not"),
        (
            json!({"mx": {"port": [], "ehlo": "a b"}}),
            "[modules.mx] `port` must be a whole number from 1 to 65535; `ehlo` ",
        ),
        (
            json!({"mx": {"stop_after": "starttls"}}),
            "[modules.mx] `stop_after` is starttls, and the check has no STARTTLS",
        ),
        (
            json!({"mx": {"sasl_authentication": "plain", "sasl_user": "probe"}}),
            "[modules.mx] `sasl_password` is required",
        ),
        (json!({"a b": {}}), "[modules.a b] a module's name has 1 to 64 letters"),
        (json!({"": {}}), "[modules.] a module's name has 1 to 64 letters"),
    ] {
        let found = modules(tables.clone()).expect_err("bad").to_string();
        assert!(found.starts_with(complaint), "{tables}: {found}");
    }
    assert!(modules(json!({"mx": {}, "to": {"to": "postmaster"}})).is_ok(), "the rest is the caller's to give");
}

#[test]
fn the_scrape_timeout_shortens_a_check_and_never_lengthens_it() {
    let modules = modules(json!({"default": {"stop_after": "ehlo", "timeout_ms": 3000}})).expect("good");
    for (at_most, ms) in [(None, 3000), (Some(9500), 3000), (Some(2500), 2500), (Some(99), 100), (Some(0), 100)] {
        let (_, check) =
            modules.check(query(&[("target", "mx.test")]), at_most.map(Duration::from_millis)).expect("good");
        assert_eq!(check.timeout, Duration::from_millis(ms));
    }
}

#[test]
fn a_password_is_in_nothing_that_can_be_shown() {
    let sasl = json!({"sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "hunter22"});
    let modules = modules(json!({"default": sasl})).expect("good");
    let (module, check) = modules.check(query(&[("target", "mx.test"), ("to", "a@b.test")]), None).expect("good");
    let shown = format!("{modules:?} {module:?} {check:?} {}", Value::Object(module.parameters().clone()));
    assert!(!shown.contains("hunter22") && shown.contains("***"), "{shown}");

    let bad = super::Modules::parse(
        [("x".to_owned(), Map::from_iter([("sasl_password".to_owned(), json!(4_711_001))]))],
        settings(),
    );
    assert!(!format!("{bad:?} {}", bad.clone().expect_err("no string")).contains("4711001"));
}

#[test]
fn a_module_that_gives_its_password_to_anybody_is_known() {
    let sasl = |more: Value| {
        let mut table = json!({"sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "hunter22"});
        table.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
        table
    };
    let known = json!({"starttls": true, "tls_verify": "require", "tls_server_name": "mx.test"});
    let modules = modules(json!({
        "open": sasl(json!({})),
        "any_certificate": sasl(json!({"starttls": true, "tls_server_name": "mx.test"})),
        "any_name": sasl(json!({"implicit_tls": true, "tls_verify": "require"})),
        "in_clear": sasl(json!({"tls_server_name": "mx.test"})),
        "known": sasl(known),
        "without": {},
    }));
    let modules = modules.expect("good");
    assert_eq!(modules.trusting().collect::<Vec<_>>(), ["any_certificate", "any_name", "in_clear", "open"]);
}

#[test]
fn a_module_knows_its_parameters_without_effect() {
    let modules = modules(json!({
        "ehlo": {"stop_after": "ehlo", "from": "me@b.test", "sasl_user": "u", "transcript": true},
        "to": {"stop_after": "mailfrom", "to": "me@b.test"},
        "whole": {"from": "me@b.test", "payload": "hi"},
    }));
    let said: Vec<_> = modules
        .expect("good")
        .iter()
        .flat_map(|module| module.no_effect().iter().map(move |it| format!("{}: {it}", module.name())))
        .collect();
    assert_eq!(
        said,
        [
            "ehlo: `sasl_user` has no effect: without `sasl_authentication` there is no AUTH",
            "ehlo: `from` has no effect: with this `stop_after` the check ends before MAIL FROM",
            "ehlo: `transcript` has no effect: /probe shows the transcript where its query has debug=true",
            "to: `to` has no effect: `target` is given, and with this `stop_after` the check ends before RCPT TO",
        ]
    );
}

proptest! {
    #[test]
    fn any_query_is_a_check_or_invalid(
        pairs in prop::collection::vec(("target|to|module|debug|\\PC{0,5}", "\\PC{0,20}"), 0..6),
    ) {
        let request = ModuleRequest::read(pairs);
        if let Err(invalid) = Modules::none(settings()).check(request, None) {
            prop_assert!(!invalid.violations().is_empty());
        }
    }
}
