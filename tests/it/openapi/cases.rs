//! Checks with every outcome. Together their reports have every property.

use super::*;

/// A check of a server with this script: outcome, and phase and kind of a failure.
pub(super) type Case = (Script, Value, &'static str, &'static str, &'static str);

pub(super) fn cases(ca: &Ca) -> Vec<Case> {
    let good = ca.issue(Leaf::for_name("localhost").and_name("127.0.0.1")).server_config();
    let expired = Leaf::for_name("mx.example.test").expired().self_signed().server_config();
    let (plain, encrypted) = (Script::compliant, || Script::compliant().with_starttls(good.clone()));
    let bad_certificate = || Script::compliant().with_starttls(expired.clone());
    let garbage_inside = Action::from("220 go\r\n").then(Action::garbage());
    let login = json!({
        "starttls": true, "transcript": true,
        "sasl_authentication": "login", "sasl_user": "probe", "sasl_password": "open sesame",
    });
    let ends = |outcome, script, parameters| (script, parameters, outcome, "", "");
    let fails = |script, parameters, phase, kind| (script, parameters, "failed", phase, kind);
    vec![
        ends("delivered", encrypted(), json!({"transcript": true})),
        ends("delivered", encrypted().with_credentials("probe", "open sesame"), login),
        ends("delivered", encrypted(), json!({"target": "mx2.example.test", "starttls": true})),
        ends(
            "delivered",
            plain().with_implicit_tls(good.clone()),
            json!({"implicit_tls": true, "tls_verify": "require"}),
        ),
        ends("delivered", bad_certificate(), json!({"starttls": true})),
        ends("delivered", plain().expecting_proxy_header(), json!({"proxy_protocol": true, "proxy_version": 2})),
        ends("delivered", encrypted(), json!({"target": null})),
        ends("delivered", plain(), json!({"from": "a@sender.test", "message": {"text": "x"}, "dkim": "ours"})),
        ends("completed", encrypted(), json!({"stop_after": "ehlo"})),
        fails(bad_certificate(), json!({"starttls": true, "tls_verify": "require"}), "tls", "certificate"),
        fails(
            plain().on(Step::RcptTo, "550-5.1.1 no such user\r\n550 5.1.1 here\r\n"),
            json!({}),
            "rcptto",
            "rejected",
        ),
        fails(plain().on(Step::MailFrom, "451\r\n"), json!({}), "mailfrom", "rejected"),
        fails(
            plain().on(Step::RcptTo, Action::silence()),
            json!({"timeout_ms": 4000, "transcript": true}),
            "rcptto",
            "timeout",
        ),
        fails(Script::new().with_greeting(Action::silence()), json!({"timeout_ms": 4000}), "banner", "timeout"),
        fails(Script::new().with_greeting(Action::close()), json!({}), "banner", "closed"),
        fails(Script::new().with_greeting(Action::garbage()), json!({"transcript": true}), "banner", "protocol"),
        fails(
            plain().on(Step::StartTls, garbage_inside),
            json!({"starttls": true, "transcript": true}),
            "starttls",
            "protocol",
        ),
        fails(plain(), json!({"port": Port::new().number()}), "connect", "refused"),
        fails(plain().with_capabilities(&["HELP"]), json!({"to": "pröbe@example.test"}), "mailfrom", "unsupported"),
        fails(plain(), json!({"to": "a@nowhere.test", "target": null}), "dns", "dns"),
        fails(plain(), json!({"to": "a@broken.test", "target": null}), "dns", "dns"),
        fails(plain(), json!({"to": "a@nomail.test", "target": null}), "dns", "dns"),
    ]
}
