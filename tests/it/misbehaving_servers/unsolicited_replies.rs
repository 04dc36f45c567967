//! Servers that send replies that no command asked for.

use super::*;

/// A reply is sent twice: the next phase must not take the second one for its own.
#[tokio::test]
async fn an_unsolicited_reply_ends_the_check_before_the_next_command() {
    let (app, identity) = (Arc::new(TestApp::start().await), identity());
    let rows = [
        (Step::Greeting, "ehlo", 2, "EHLO"),
        (Step::Ehlo, "starttls", 3, "STARTTLS"),
        (Step::EhloTls, "sasl_auth", 6, "AUTH"),
        (Step::SaslResponse(1), "mailfrom", 7, "MAIL"),
        (Step::MailFrom, "rcptto", 8, "RCPT"),
        (Step::RcptTo, "data", 9, "DATA"),
        (Step::Data, "body", 10, "the message"),
    ];
    for (step, phase, ended, command) in rows {
        let reply = expected_reply(step);
        let mut checks = JoinSet::new();
        for act in [
            Action::reply(reply.repeat(2)),
            Action::many_replies(reply, 2 * MEBIBYTE).then(Action::silence()),
            Action::reply(format!("{reply}250-and then nothing")).then(Action::silence()),
            Action::reply(reply.to_owned() + "half a line").then(Action::close()),
        ] {
            let (app, script) = (app.clone(), compliant(&identity).on(step, act));
            checks.spawn(async move {
                let (report, session) = run_check(&app, script, every_phase()).await;
                assert_eq!(failure(&report), (phase, "protocol", false), "{report:#}");
                assert_ended(&report, &ORDER[..ended]);
                assert_eq!(phase_names(&report).len(), ended, "the command was not written: {report:#}");
                assert_eq!(report["metrics"]["last_cmd"], ORDER[ended - 1]);
                let received = String::from_utf8_lossy(&session.received);
                assert!(!received.contains(if command == "the message" { "Subject" } else { command }), "{received}");
                assert!(!session.has_command("QUIT"), "{session:?}");
                let message = report["failure"]["message"].as_str().expect("words");
                assert!(message.starts_with(&format!("the server spoke before {command}")), "{message}");
            });
        }
        while let Some(check) = checks.join_next().await {
            check.expect("no panic");
        }
    }
}

/// RFC 5321, section 3.8: the server may send 421 at any time, and closes the connection.
#[tokio::test]
async fn an_unsolicited_421_is_a_rejection_by_the_next_phase() {
    let (app, identity) = (Arc::new(TestApp::start().await), identity());
    let rows = [
        (Step::Greeting, "ehlo", 2, "EHLO"),
        (Step::Ehlo, "starttls", 3, "STARTTLS"),
        (Step::EhloTls, "sasl_auth", 6, "AUTH"),
        (Step::Auth, "sasl_auth", 6, "AHByb2Jl"),
        (Step::SaslResponse(1), "mailfrom", 7, "MAIL"),
        (Step::MailFrom, "rcptto", 8, "RCPT"),
        (Step::RcptTo, "data", 9, "DATA"),
        (Step::Data, "body", 10, "Subject"),
    ];
    for (step, phase, ended, command) in rows {
        let closing = expected_reply(step).to_owned() + "421-4.3.2 mx.test\r\n421 4.3.2 shutting down\r\n";
        for act in [Action::reply(closing.clone()), Action::reply(closing).then(Action::close())] {
            let (report, session) = run_check(&app, compliant(&identity).on(step, act), every_phase()).await;
            assert_eq!(
                report["failure"],
                json!({"phase": phase, "kind": "rejected", "temporary": true, "code": 421, "enhanced_code": "4.3.2",
                    "message": "mx.test\nshutting down", "explanation": report["failure"]["explanation"]}),
                "{report:#}"
            );
            assert_eq!(phase_names(&report)[..ended], ORDER[..ended], "{report:#}");
            let begun = phase_names(&report)[ended..].contains(&phase);
            assert_eq!(begun, step == Step::Auth, "a phase begins with its command: {report:#}");
            let received = String::from_utf8_lossy(&session.received);
            assert!(!received.contains(command), "{received}");
            let warned = report["warnings"].to_string().contains("no credential was sent");
            assert_eq!(warned, phase == "sasl_auth", "{report:#}");
        }
    }
}

#[tokio::test]
async fn an_unsolicited_421_at_the_end_is_no_failure() {
    let app = TestApp::start().await;
    for (step, stop_after) in [(Step::Greeting, "banner"), (Step::RcptTo, "rcptto")] {
        for proxy in [false, true] {
            let act = Action::reply(expected_reply(step).to_owned() + "421 4.3.2 shutting down\r\n");
            let mut script = Script::compliant().on(step, act);
            if proxy {
                script = script.expecting_proxy_header();
            }
            let (report, _) = run_check(&app, script, json!({"stop_after": stop_after, "proxy_protocol": proxy})).await;
            assert_eq!(report["outcome"], "completed", "{report:#}");
        }
    }
}

/// A 421 is for the session, not for the PROXY header.
#[tokio::test]
async fn an_unsolicited_421_after_the_greeting_does_not_refuse_the_header() {
    let act = Action::reply("220 mx.test\r\n421 4.3.2 shutting down\r\n");
    let script = Script::compliant().expecting_proxy_header().with_greeting(act);
    let (report, _) = run_check(&TestApp::start().await, script, json!({"proxy_protocol": true})).await;
    assert_eq!(failure(&report), ("ehlo", "rejected", true), "{report:#}");
}

#[tokio::test]
async fn an_unsolicited_challenge_gets_no_password() {
    for act in [Action::reply("334 \r\n334 \r\n"), Action::many_replies("334 \r\n", 2 * MEBIBYTE)] {
        let (report, session) =
            run_check(&TestApp::start().await, compliant(&identity()).on(Step::Auth, act), every_phase()).await;
        assert_eq!(failure(&report), ("sasl_auth", "protocol", false), "{report:#}");
        assert_ended(&report, &ORDER[..6]);
        assert_eq!(report["failure"]["message"], "the server spoke before the SASL response was sent: 334 ");
        assert_eq!(session.commands().last(), Some(&"AUTH PLAIN"), "no response went out: {session:?}");
    }
}

#[tokio::test]
async fn an_extra_reply_at_the_end_only_prevents_quit() {
    for act in [Action::reply("250 ok\r\n250 again\r\n"), Action::many_replies("250 ok\r\n", 2 * MEBIBYTE)] {
        let (report, session) =
            run_check(&TestApp::start().await, compliant(&identity()).on(Step::Body, act), every_phase()).await;
        assert_eq!((&report["success"], &report["outcome"]), (&json!(true), &json!("delivered")), "{report:#}");
        assert_eq!(phase_names(&report), ORDER);
        assert!(!session.has_command("QUIT"), "{session:?}");
    }
}
