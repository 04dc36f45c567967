//! The transcript: the dialogue line by line, with secrets masked.

use axum::http::{
    Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};
use smtp_check::escape::is_harmful;

use super::support::{
    app::{TestApp, with_defaults},
    pki::{Ca, Leaf},
    smtpd::{Action, Script, SmtpServer, Step},
};

fn lines(report: &Value) -> Vec<(&str, &str)> {
    let lines = report["transcript"].as_array().expect("a transcript");
    let text = |value: &'_ Value| value.as_str().map(str::to_owned);
    assert!(lines.iter().all(|line| text(&line["from"]).is_some() && text(&line["text"]).is_some()), "{report:#}");
    lines.iter().filter_map(|line| Some((line["from"].as_str()?, line["text"].as_str()?))).collect()
}

/// A limit of ours is no fault of the server: the check succeeds, and the report says what is left out.
#[tokio::test]
async fn a_long_dialogue_is_cut_with_a_warning() {
    let long = |code: u16| format!("{code}-{}\r\n", "\u{1}".repeat(8000)).repeat(7) + &format!("{code} end\r\n");
    let server = SmtpServer::serve(
        Script::compliant()
            .with_greeting(Action::reply(long(220)))
            .on(Step::MailFrom, long(250).as_str())
            .on(Step::RcptTo, long(250).as_str())
            .on(Step::Data, long(354).as_str()),
    );
    let app = TestApp::start().await;
    let answer = app.post(&with_defaults(json!({"port": server.port(), "transcript": true}))).await;
    let report = answer.json();
    assert_eq!(report["outcome"], "delivered", "{}", report["failure"]);
    assert!(answer.body.len() <= 64 * 1024, "{} bytes", answer.body.len());
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the replies are longer than what is kept of them"), "{warnings}");
}

#[tokio::test]
async fn no_transcript_unless_requested() {
    let (app, server) = (TestApp::start().await, SmtpServer::serve(Script::compliant()));
    for parameters in [json!({}), json!({"transcript": false})] {
        let mut parameters = parameters;
        parameters["port"] = json!(server.port());
        assert_eq!(app.check(parameters).await["transcript"], json!(null));
    }
}

#[tokio::test]
async fn transcript_has_both_sides_in_order() {
    let server = SmtpServer::serve(
        Script::compliant()
            .with_starttls(Ca::new("Test CA").issue(Leaf::for_name("mx.test")).server_config_tls13())
            .with_credentials("user", "correct horse")
            .with_capabilities(&["SIZE 1000"])
            .on(Step::RcptTo, "550-5.1.1 no\r\n550 5.1.1 never\r\n"),
    );
    let parameters = json!({"port": server.port(), "transcript": true, "starttls": true,
        "sasl_authentication": "login", "sasl_user": "user", "sasl_password": "correct horse"});
    let report = TestApp::start().await.check(parameters).await;
    assert_eq!(
        lines(&report),
        [
            ("server", "220 mx.test ESMTP"),
            ("client", "EHLO noit.local"),
            ("server", "250-mx.test"),
            ("server", "250-SIZE 1000"),
            ("server", "250-STARTTLS"),
            ("server", "250 AUTH PLAIN LOGIN"),
            ("client", "STARTTLS"),
            ("server", "220 2.0.0 Ready to start TLS"),
            ("tls", "TLSv1.3 TLS_AES_256_GCM_SHA384"),
            ("client", "EHLO noit.local"),
            ("server", "250-mx.test"),
            ("server", "250-SIZE 1000"),
            ("server", "250 AUTH PLAIN LOGIN"),
            ("client", "AUTH LOGIN"),
            ("server", "334 VXNlcm5hbWU6"),
            ("client", "***"),
            ("server", "334 UGFzc3dvcmQ6"),
            ("client", "***"),
            ("server", "235 2.7.0 Authentication successful"),
            ("client", "MAIL FROM:<>"),
            ("server", "250 2.1.0 Ok"),
            ("client", "RCPT TO:<probe@example.test>"),
            ("server", "550-5.1.1 no"),
            ("server", "550 5.1.1 never"),
            ("client", "QUIT"),
            ("server", "221 2.0.0 Bye"),
        ]
    );
    let times: Vec<_> =
        report["transcript"].as_array().into_iter().flatten().filter_map(|line| line["at_ms"].as_f64()).collect();
    assert_eq!(times.len(), 26);
    assert!(times.is_sorted() && times[0] > 0.0, "{times:?}");
    assert!(times[25] <= report["metrics"]["duration"].as_f64().expect("a number"), "{report:#}");
}

#[tokio::test]
async fn transcript_has_only_the_size_of_the_message() {
    let server = SmtpServer::serve(Script::compliant());
    let parameters =
        json!({"port": server.port(), "transcript": true, "payload": "Subject: x\n\nnobody needs this twice"});
    let report = TestApp::start().await.check(parameters).await;
    assert!(!report["transcript"].to_string().contains("nobody needs this twice"), "{report:#}");
    let commands: Vec<_> =
        lines(&report).into_iter().filter(|(from, _)| *from == "client").map(|(_, text)| text).collect();
    assert_eq!(commands[3], "DATA");
    assert!(commands[4].contains("37 octets"), "{}", commands[4]);
}

#[tokio::test]
async fn transcript_has_the_proxy_header() {
    for (version, beginning) in [
        (1, "PROXY TCP4 192.0.2.1 127.0.0.1 4242 25"),
        (2, "(PROXY header, version 2: 0d0a0d0a000d0a515549540a2111000c"),
    ] {
        let server = SmtpServer::serve(Script::compliant().expecting_proxy_header());
        let parameters = json!({"port": server.port(), "transcript": true, "proxy_protocol": true, "proxy_version": version,
            "proxy_source_address": "192.0.2.1", "proxy_source_port": 4242, "proxy_dest_port": 25});
        let report = TestApp::start().await.check(parameters).await;
        let (from, text) = lines(&report)[0];
        assert_eq!(from, "client", "{report:#}");
        assert!(text.starts_with(beginning), "{text}");
        assert_eq!(lines(&report)[1], ("server", "220 mx.test ESMTP"));
    }
}

#[tokio::test]
async fn transcript_has_the_last_reply_of_the_server() {
    let app = TestApp::start().await;
    let (hello, quote) = ("250-mx\r\n250-SIZE 1", "\"250-SIZE 1\"");
    for (step, act, message, words) in [
        (
            Step::Greeting,
            Action::reply("554 blocked by policy").then(Action::close()),
            "the server closed the connection after \"554 blocked by policy\"".to_owned(),
            &["554 blocked by policy"][..],
        ),
        (
            Step::Ehlo,
            Action::reply(hello).then(Action::close()),
            format!("the server closed the connection after {quote}"),
            &["250-mx", "250-SIZE 1"],
        ),
        (
            Step::Ehlo,
            Action::reply(format!("{hello}\r\n")).then(Action::silence()),
            format!("no reply in time after {quote}"),
            &["250-mx", "250-SIZE 1"],
        ),
        (
            Step::Ehlo,
            Action::reply("550-mx\r\n250 welcome\r\n"),
            "the lines of one reply have different codes: 550, then 250, in \"250 welcome\"".to_owned(),
            &["550-mx", "250 welcome"],
        ),
        (
            Step::Ehlo,
            Action::reply(format!("{hello}\r\ngarbage here\r\n")),
            "not an SMTP reply: \"garbage here\"".to_owned(),
            &["250-mx", "250-SIZE 1", "garbage here"],
        ),
        (
            Step::Ehlo,
            Action::reply("250 mx\r\n250-and then").then(Action::close()),
            "the server spoke before MAIL FROM:<> was sent: \"250-and then\"".to_owned(),
            &["250 mx", "250-and then"],
        ),
        (Step::Ehlo, Action::close(), "the server closed the connection".to_owned(), &[]),
    ] {
        let server = SmtpServer::serve(Script::compliant().on(step, act));
        let report = app.check(json!({"port": server.port(), "transcript": true, "timeout_ms": 20_000})).await;
        assert_eq!(report["failure"]["message"], message, "{report:#}");
        let greeting = if step == Step::Greeting { &[][..] } else { &["220 mx.test ESMTP"] };
        let replies: Vec<_> =
            lines(&report).into_iter().filter(|(from, _)| *from == "server").map(|(_, text)| text).collect();
        assert_eq!(replies, [greeting, words].concat(), "{report:#}");
    }
}

#[tokio::test]
async fn the_last_reply_is_masked() {
    let echo = "535-bad Y29ycmVjdCB\r\n535 ob3JzZQ== correct horse";
    let server = SmtpServer::serve(
        Script::compliant()
            .with_credentials("user", "correct horse")
            .on(Step::SaslResponse(2), Action::reply(echo).then(Action::close())),
    );
    let parameters = json!({"port": server.port(), "transcript": true,
        "sasl_authentication": "login", "sasl_user": "user", "sasl_password": "correct horse"});
    let report = TestApp::start().await.check(parameters).await;
    assert_eq!(report["failure"]["message"], "the server closed the connection after \"535 *** ***\"", "{report:#}");
    assert_eq!(lines(&report)[lines(&report).len() - 2..], [("server", "535-bad ***"), ("server", "535 *** ***")]);
}

/// What is sent to callers is read on terminals, too.
#[tokio::test]
async fn harmful_characters_are_escaped_in_json_and_keep_their_values() {
    let reply = "x\u{9b}31m\u{7f}\u{2028}\u{61c}\u{200b}\u{e0041}y";
    let server = SmtpServer::serve(Script::compliant().on(Step::Greeting, format!("220 {reply}\r\n")));
    let app = TestApp::start().await;
    let parameters = with_defaults(json!({"port": server.port(), "transcript": true, "stop_after": "banner"}));
    let answer = app.post(&parameters).await;
    let document = str::from_utf8(&answer.body).expect("UTF-8");
    assert!(!document.contains(is_harmful), "{document:?}");
    assert_eq!(answer.json()["phases"][1]["message"], reply);
    let request = Request::post("/v1/checks/smtp").header("host", "test").header(CONTENT_TYPE, "application/json");
    let request = request.header(ACCEPT, "text/event-stream").body(parameters.to_string().into()).expect("a request");
    let stream = app.send(request).await;
    let events = str::from_utf8(&stream.body).expect("UTF-8").replace('\n', "");
    assert!(events.contains("event: report") && !events.contains(is_harmful), "{events:?}");
    let problem = app.post(&json!({"to": "a@b.test", reply: 1})).await;
    let document = str::from_utf8(&problem.body).expect("UTF-8");
    assert!(!document.contains(is_harmful), "{document:?}");
    assert_eq!(problem.pointers(), [format!("/{reply}")]);
}
