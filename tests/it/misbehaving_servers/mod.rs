//! Servers that stop answering, close the connection or send garbage, in every phase: the check fails in that phase
//! with the right kind, and keeps all earlier measurements. What is only unusual is accepted.

mod message;
mod tls;
mod unsolicited_replies;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Identity, Leaf},
    port::Port,
    smtpd::{Action, End, Script, Session, SmtpServer, Step},
};

/// The phases of [`every_phase`] but QUIT, in the order in which they end.
const ORDER: [&str; 11] =
    ["connect", "banner", "ehlo", "starttls", "tls", "ehlo_tls", "sasl_auth", "mailfrom", "rcptto", "data", "body"];

/// The steps at which a server can fail, and the phase of the check at that step.
const STEPS: [(Step, &str); 9] = [
    (Step::Greeting, "banner"),
    (Step::Ehlo, "ehlo"),
    (Step::StartTls, "starttls"),
    (Step::EhloTls, "ehlo_tls"),
    (Step::Auth, "sasl_auth"),
    (Step::MailFrom, "mailfrom"),
    (Step::RcptTo, "rcptto"),
    (Step::Data, "data"),
    (Step::Body, "body"),
];

const MEBIBYTE: usize = 1024 * 1024;

/// A check with every phase.
fn every_phase() -> Value {
    json!({"starttls": true, "sasl_authentication": "plain", "sasl_user": "probe", "sasl_password": "correct horse",
        "timeout_ms": 30_000})
}

fn identity() -> Identity {
    Ca::new("Test CA").issue(Leaf::for_name("mx.test"))
}

/// A server that succeeds in every phase.
fn compliant(identity: &Identity) -> Script {
    Script::compliant().with_starttls(identity).with_credentials("probe", "correct horse")
}

/// The reply with which a phase succeeds.
fn expected_reply(step: Step) -> &'static str {
    match step {
        Step::Greeting => "220 mx.test ESMTP\r\n",
        Step::StartTls => "220 go ahead\r\n",
        Step::Auth => "334 \r\n",
        Step::SaslResponse(_) => "235 ok\r\n",
        Step::Data => "354 go ahead\r\n",
        _ => "250 ok\r\n",
    }
}

/// Runs a check of a server with this script, and returns the report and what the server recorded.
async fn run_check(app: &TestApp, script: Script, parameters: Value) -> (Value, Session) {
    let server = SmtpServer::serve(script);
    let mut check = parameters;
    check["port"] = server.port().into();
    let report = app.check(check).await;
    (report, server.next_session().await)
}

/// Fails every phase in turn by this action, all at once, and checks the reports.
async fn fails_in_each_phase(act: Action, kind: &'static str, temporary: bool, timeout_ms: u64) {
    let (app, identity) = (Arc::new(TestApp::start().await), identity());
    let mut checks = JoinSet::new();
    for (step, phase) in STEPS {
        let (app, script, mut check) = (app.clone(), compliant(&identity).on(step, act.clone()), every_phase());
        check["timeout_ms"] = timeout_ms.into();
        checks.spawn(async move {
            let (report, session) = run_check(&app, script, check).await;
            assert_unanswered(&report, phase, kind, temporary);
            assert!(!session.has_command("QUIT"), "the dialogue is not in step: {session:?}");
            assert!(session.violations.is_empty(), "{session:?}");
        });
    }
    while let Some(check) = checks.join_next().await {
        check.expect("no panic");
    }
}

/// The check failed in this phase, which never ended; all phases before it succeeded and are measured.
fn assert_unanswered(report: &Value, phase: &str, kind: &str, temporary: bool) {
    assert_eq!(failure(report), (phase, kind, temporary), "{report:#}");
    let ended = ORDER.iter().position(|name| *name == phase).expect("a phase");
    assert_ended(report, &ORDER[..ended]);
    assert_eq!(phase_names(report)[ended..], [phase], "{report:#}");
    let open = json!({"ok": false, "time_ms": null, "clock": "process", "expected": null, "code": null,
        "enhanced_code": null, "message": null, "name": phase, "started_ms": report["phases"][ended]["started_ms"]});
    assert_eq!(report["phases"][ended], open);

    let metrics = &report["metrics"];
    let last = (&metrics["last_cmd"], &metrics["last_code"], &metrics["last_message"]);
    assert_eq!(last, (&json!(phase), &Value::Null, &Value::Null));
}

/// These phases succeeded; they and no others have a metric, and the rest of the report is consistent with that.
fn assert_ended(report: &Value, ended: &[&str]) {
    assert_eq!(phase_names(report).get(..ended.len()), Some(ended), "{report:#}");
    let metrics = report["metrics"].as_object().expect("an object");
    let mut timed: Vec<_> = metrics.keys().filter_map(|name| name.strip_suffix("_time")).collect();
    timed.sort_by_key(|name| ORDER.iter().position(|phase| phase == name));
    assert_eq!(timed, ended, "{report:#}");

    let duration = metrics["duration"].as_f64().expect("always there");
    for phase in &report["phases"].as_array().expect("an array")[..ended.len()] {
        assert_eq!(phase["ok"], true, "{report:#}");
        let time = phase["time_ms"].as_f64().expect("measured");
        assert_eq!(metrics[&format!("{}_time", phase["name"].as_str().expect("a name"))], time);
        assert!((0.0..=duration).contains(&time), "{time} of {duration}");
    }

    assert_eq!((&report["success"], &report["outcome"]), (&json!(false), &json!("failed")));
    assert_eq!((&report["failure"]["code"], &report["queue_id"]), (&Value::Null, &Value::Null));
    assert!(report["failure"]["message"].as_str().is_some_and(|words| !words.is_empty()));
    let has = |phase: &str| ended.contains(&phase);
    assert_eq!(report["tls"].is_object(), has("tls"), "{report:#}");
    assert_eq!(metrics.contains_key("cert_end"), has("tls"));
    assert_eq!(metrics["cert_error"].is_string(), has("tls"), "no authority is trusted here");
    assert_eq!(report["capabilities"]["before_tls"].is_object(), has("ehlo"));
    assert_eq!(report["capabilities"]["after_tls"].is_object(), has("ehlo_tls"));
}

#[tokio::test]
async fn silence_in_any_phase_is_a_timeout() {
    // Long enough for a handshake on a machine that runs nine of these checks.
    fails_in_each_phase(Action::silence(), "timeout", true, 4000).await;
}

#[tokio::test]
async fn an_unfinished_line_in_any_phase_is_a_timeout() {
    fails_in_each_phase(Action::reply("250-one\r\n250 tw").then(Action::silence()), "timeout", true, 4000).await;
}

#[tokio::test]
async fn close_in_any_phase_fails_as_closed() {
    fails_in_each_phase(Action::close(), "closed", true, 30_000).await;
}

#[tokio::test]
async fn truncation_in_any_phase_fails_as_closed() {
    fails_in_each_phase(Action::fin(), "closed", true, 30_000).await;
}

#[tokio::test]
async fn close_after_half_a_reply_fails_as_closed() {
    fails_in_each_phase(Action::reply("250-one\r\n250 tw").then(Action::close()), "closed", true, 30_000).await;
}

#[tokio::test]
async fn garbage_in_any_phase_fails_as_protocol() {
    fails_in_each_phase(Action::garbage(), "protocol", false, 30_000).await;
}

#[tokio::test]
async fn an_endless_line_in_any_phase_fails_as_protocol() {
    fails_in_each_phase(Action::endless_line("250 "), "protocol", false, 30_000).await;
}

#[tokio::test]
async fn an_endless_reply_in_any_phase_fails_as_protocol() {
    fails_in_each_phase(Action::endless_reply(250), "protocol", false, 30_000).await;
}

#[tokio::test]
async fn mixed_codes_in_one_reply_fail_as_protocol() {
    fails_in_each_phase(Action::reply("550-one\r\n250 two\r\n"), "protocol", false, 30_000).await;
}

#[tokio::test]
async fn a_last_line_that_refuses_decides_in_any_phase() {
    let (app, identity) = (TestApp::start().await, identity());
    for (index, (step, phase)) in STEPS.into_iter().enumerate() {
        let (code, temporary) = if index % 2 == 0 { (521, false) } else { (450, true) };
        let reply = format!("220-teaser\r\n220-\r\n{code} {}.7.1 blocked\r\n", code / 100);
        let mut check = every_phase();
        check["transcript"] = true.into();
        let (report, session) = run_check(&app, compliant(&identity).on(step, reply), check).await;
        assert_eq!(failure(&report), (phase, "rejected", temporary), "{report:#}");
        let failure = &report["failure"];
        let enhanced_code = format!("{}.7.1", code / 100);
        assert_eq!(
            json!([failure["code"], failure["enhanced_code"], failure["message"]]),
            json!([code, enhanced_code, "blocked"])
        );
        let warnings = report["warnings"].as_array().expect("warnings");
        let warned =
            |text: &str| warnings.iter().filter(|warning| warning.as_str().is_some_and(|w| w.contains(text))).count();
        assert_eq!(warned(r#"another line is "220 teaser""#), 1, "{report:#}");
        let lines: Vec<_> =
            report["transcript"].as_array().expect("a transcript").iter().map(|line| &line["text"]).collect();
        let refusal = format!("{code} {enhanced_code} blocked");
        assert!(lines.windows(3).any(|lines| lines == ["220-teaser", "220-", refusal.as_str()]), "{report:#}");
        assert_eq!(session.end, End::Quit, "the dialogue is in step: {session:?}");
    }
}

#[tokio::test]
async fn reset_in_any_phase_fails_as_closed() {
    let (app, identity) = (TestApp::start().await, identity());
    for (step, phase) in STEPS {
        let (mut script, mut check) = (compliant(&identity).on(step, Action::reset()), every_phase());
        if step == Step::Greeting {
            // A RST right after the TCP handshake can arrive while the client is still connecting; so the server waits
            // for the PROXY header.
            check["proxy_protocol"] = true.into();
            script = script.with_greeting(Action::wait_for_client().then(Action::reset()));
        }
        let (report, session) = run_check(&app, script, check).await;
        assert_unanswered(&report, phase, "closed", true);
        assert_eq!(session.end, End::Script);
    }
}

#[tokio::test]
async fn a_closed_port_fails_as_refused() {
    let report = TestApp::start().await.check(json!({"port": Port::new().number()})).await;
    assert_eq!(failure(&report), ("connect", "refused", true), "{report:#}");
    assert_eq!(phase_names(&report), ["connect"]);
    assert_eq!((&report["phases"][0]["ok"], &report["target"]["address"]), (&json!(false), &Value::Null));
    assert_eq!(report["metrics"]["last_cmd"], Value::Null);
}

#[tokio::test]
async fn timeout_after_a_challenge_keeps_its_code() {
    let (report, session) = run_check(
        &TestApp::start().await,
        compliant(&identity()).on(Step::SaslResponse(1), Action::close()),
        every_phase(),
    )
    .await;
    assert_eq!(failure(&report), ("sasl_auth", "closed", true), "{report:#}");
    assert_ended(&report, &ORDER[..6]);
    assert_eq!(phase_names(&report)[6..], ["sasl_auth"]);
    assert_eq!((&report["metrics"]["last_cmd"], &report["metrics"]["last_code"]), (&json!("sasl_auth"), &json!(334)));
    assert!(!session.has_command("MAIL"), "{session:?}");
}

#[tokio::test]
async fn endless_challenges_fail_as_rejected() {
    for (mechanism, responses) in [("plain", 1), ("login", 2)] {
        let mut script = compliant(&identity()).on(Step::Auth, "334 \r\n");
        for number in 1..=4 {
            script = script.on(Step::SaslResponse(number), "334 more\r\n");
        }
        let mut check = every_phase();
        check["sasl_authentication"] = mechanism.into();
        let (report, session) = run_check(&TestApp::start().await, script, check).await;
        assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
        assert_eq!((&report["failure"]["code"], &report["failure"]["message"]), (&json!(334), &json!("more")));
        let behind = session.commands().iter().rev().take_while(|line| !line.starts_with("AUTH")).count();
        assert_eq!(behind, responses, "whatever it is asked, no more than this, and no QUIT: {session:?}");
    }
}

#[tokio::test]
async fn replies_byte_by_byte_are_understood() {
    let identity = identity();
    let mut script = compliant(&identity).on(Step::StartTls, Action::byte_by_byte("220 go\r\n").then_tls(&identity));
    for step in [
        Step::Greeting,
        Step::Ehlo,
        Step::EhloTls,
        Step::Auth,
        Step::SaslResponse(1),
        Step::MailFrom,
        Step::RcptTo,
        Step::Data,
        Step::Body,
    ] {
        let reply = expected_reply(step);
        script = script.on(step, Action::byte_by_byte(format!("{}-first\r\n{reply}", &reply[..3])));
    }
    let (report, session) =
        run_check(&TestApp::start().await, script.on(Step::Quit, Action::byte_by_byte("221 bye\r\n")), every_phase())
            .await;
    assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
    assert_eq!(phase_names(&report), [&ORDER[..], &["quit"]].concat());
    assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
}

#[tokio::test]
async fn replies_that_are_not_utf8_are_reported() {
    let identity = identity();
    let odd = |step| [expected_reply(step).trim_end().as_bytes(), b" \xff\xc3\x28\r\n"].concat();
    let mut script = compliant(&identity)
        .on(Step::StartTls, Action::reply(odd(Step::StartTls)).then_tls(&identity))
        .on(Step::Quit, b"221 \xff\r\n");
    for step in [Step::Greeting, Step::Ehlo, Step::EhloTls, Step::MailFrom, Step::RcptTo, Step::Data, Step::Body] {
        script = script.on(step, odd(step));
    }
    let (report, _) = run_check(&TestApp::start().await, script.clone(), every_phase()).await;
    assert_eq!(report["success"], true, "{report:#}");
    assert_eq!(report["phases"][1]["message"], "mx.test ESMTP \u{fffd}\u{fffd}(");

    let script = script.on(Step::RcptTo, b"550 5.1.1 \xe9t\xe9\r\n");
    let (report, session) = run_check(&TestApp::start().await, script, every_phase()).await;
    assert_eq!(failure(&report), ("rcptto", "rejected", false), "{report:#}");
    assert_eq!(report["failure"]["message"], "\u{fffd}t\u{fffd}");
    assert_eq!(session.end, End::Quit);
}

#[tokio::test]
async fn a_reply_of_maximum_size_is_read() {
    let keywords: String = (0..5900).map(|number| format!("250-X{number:04}\r\n")).collect();
    let line = format!("220 {}\r\n", "x".repeat(8 * 1024 - 5));
    let script = Script::compliant().with_greeting(line).on(Step::Ehlo, keywords + "250 LAST\r\n");
    let (report, _) = run_check(&TestApp::start().await, script, json!({"stop_after": "ehlo"})).await;
    assert_eq!(report["outcome"], "completed", "{:#}", report["failure"]);
    // A report keeps 8 KiB of a reply.
    let capabilities = report["capabilities"]["before_tls"].as_object().expect("capabilities");
    assert!((1000..1200).contains(&capabilities.len()), "{}", capabilities.len());
    assert!(report["warnings"].to_string().contains("octets are left out"), "{}", report["warnings"]);
}

#[tokio::test]
async fn reply_size_limits_are_the_documented_ones() {
    let app = TestApp::start().await;
    let rows = [
        (format!("220 {}\r\n", "x".repeat(8 * 1024)), "banner", "a line of more than 8192 octets"),
        (format!("220-{}\r\n", "x".repeat(1000)).repeat(66), "banner", "a reply of more than 65536 octets"),
    ];
    for (greeting, phase, message) in rows {
        let (report, _) = run_check(
            &app,
            Script::compliant().with_greeting(Action::reply(greeting).then(Action::silence())),
            json!({}),
        )
        .await;
        assert_eq!(failure(&report), (phase, "protocol", false), "{report:#}");
        assert_eq!(report["failure"]["message"], message);
    }
}

#[tokio::test]
async fn close_after_a_reply_fails_the_next_phase() {
    let app = TestApp::start().await;
    for (step, phase, ended) in [(Step::Greeting, "ehlo", 2), (Step::MailFrom, "rcptto", 8), (Step::RcptTo, "data", 9)]
    {
        for end in [Action::fin(), Action::close()] {
            let script = compliant(&identity()).on(step, Action::reply(expected_reply(step)).then(end));
            let (report, _) = run_check(&app, script, every_phase()).await;
            assert_unanswered(&report, phase, "closed", true);
            assert_eq!(phase_names(&report).len(), ended + 1);
        }
    }
}

#[tokio::test]
async fn no_answer_to_quit_fails_a_check() {
    let app = TestApp::start().await;
    let rows = [
        (Action::close(), false),
        (Action::reset(), false),
        (Action::garbage(), false),
        (Action::endless_line("221 "), false),
        (Action::endless_reply(221), false),
        (Action::reply("221-one\r\n250 two\r\n"), false),
        (Action::reply("421 closing\r\n"), true),
        (Action::reply("500 what?\r\n"), true),
        (Action::many_replies("250 ok\r\n", 2 * MEBIBYTE), true),
    ];
    for (act, answered) in rows {
        let (report, session) = run_check(&app, Script::compliant().on(Step::Quit, act), json!({})).await;
        assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
        assert_eq!(report["failure"], Value::Null);
        let quit = &report["phases"][7];
        assert_eq!((&quit["name"], &quit["ok"]), (&json!("quit"), &json!(false)), "{report:#}");
        assert_eq!(quit["time_ms"].is_number(), answered, "{report:#}");
        assert_eq!(report["metrics"].get("quit_time").is_some(), answered);
        assert_eq!((&report["metrics"]["last_cmd"], &report["metrics"]["last_code"]), (&json!("body"), &json!(250)));
        assert!(session.has_command("QUIT"));
    }
}
