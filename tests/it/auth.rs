//! AUTH: what is sent and when, and that no secret appears in a report or in the log.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, failure, phase_names},
    pki::{Ca, Leaf},
    program::{ServiceProcess, program},
    smtpd::{Action, End, Script, SmtpServer, Step},
};

/// Contains characters that JSON, Rust and base64 write in different ways.
const PASSWORD: &str = "corr\"ect\\hörse";

fn compliant() -> Script {
    Script::compliant().with_credentials("user", PASSWORD)
}

fn login(server: &SmtpServer, mechanism: &str) -> Value {
    json!({"port": server.port(), "sasl_authentication": mechanism, "sasl_user": "user", "sasl_password": PASSWORD})
}

fn with(mut parameters: Value, name: &str, value: impl Into<Value>) -> Value {
    parameters[name] = value.into();
    parameters
}

#[tokio::test]
async fn each_sasl_mechanism_sends_exactly_its_responses() {
    let app = TestApp::start().await;
    let base64 = |text: &str| STANDARD.encode(text);
    for (mechanism, authorization_id, lines) in [
        ("plain", "", vec!["AUTH PLAIN".to_owned(), base64(&format!("\0user\0{PASSWORD}"))]),
        ("plain", "boss", vec!["AUTH PLAIN".to_owned(), base64(&format!("boss\0user\0{PASSWORD}"))]),
        ("login", "", vec!["AUTH LOGIN".to_owned(), base64("user"), base64(PASSWORD)]),
        ("login", "ignored", vec!["AUTH LOGIN".to_owned(), base64("user"), base64(PASSWORD)]),
    ] {
        let server = SmtpServer::serve(compliant());
        let report = app.check(with(login(&server, mechanism), "sasl_auth_id", authorization_id)).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let expected = ["connect", "banner", "ehlo", "sasl_auth", "mailfrom", "rcptto", "data", "body", "quit"];
        assert_eq!(phase_names(&report), expected);
        let phase = &report["phases"][3];
        assert_eq!(json!([phase["code"], phase["enhanced_code"]]), json!([235, "2.7.0"]));
        let session = server.next_session().await;
        let commands = session.commands();
        assert_eq!(commands[0], "EHLO noit.local");
        assert_eq!(commands[1..=lines.len()], lines);
        assert_eq!(commands[lines.len() + 1], "MAIL FROM:<>");
        assert!(session.violations.is_empty() && session.end == End::Quit, "{session:?}");
    }
}

#[tokio::test]
async fn without_a_mechanism_credentials_are_ignored() {
    let server = SmtpServer::serve(compliant());
    let report = TestApp::start().await.check(login(&server, "off")).await;
    let warning = "`sasl_user`, `sasl_password` have no effect: without `sasl_authentication` there is no AUTH";
    assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([warning])), "{report:#}");
    assert!(!server.next_session().await.has_command("AUTH"));
    assert_eq!(report["metrics"].get("sasl_auth_time"), None);
}

#[tokio::test]
async fn no_credentials_are_sent_before_the_334_challenge() {
    let app = TestApp::start().await;
    let answers = [
        ("235 2.7.0 Come in\r\n", 235, false),
        ("454 4.7.0 Later\r\n", 454, true),
        ("503 5.5.1 Not here\r\n", 503, false),
        ("250 2.0.0 Hm\r\n", 250, false),
    ];
    for (mechanism, asked) in [("plain", &[][..]), ("login", &[]), ("login", &["dXNlcg=="])] {
        for (answer, code, temporary) in answers {
            let step = if asked.is_empty() { Step::Auth } else { Step::SaslResponse(1) };
            let server = SmtpServer::serve(compliant().on(step, answer));
            let report = app.check(login(&server, mechanism)).await;
            assert_eq!(failure(&report), ("sasl_auth", "rejected", temporary), "{report:#}");
            assert_eq!(report["failure"]["code"], code);
            assert_eq!(phase_names(&report), ["connect", "banner", "ehlo", "sasl_auth", "quit"]);
            let warning = match (code, asked) {
                (235, _) => "the password was not checked",
                (_, []) => "no credential was sent",
                _ => "the password was not sent",
            };
            let warnings = report["warnings"].as_array().expect("warnings");
            assert_eq!(warnings.len(), 1, "{report:#}");
            assert!(warnings[0].as_str().is_some_and(|text| text.contains(warning)), "{report:#}");
            let session = server.next_session().await;
            assert_eq!(session.commands()[2..session.lines.len() - 1], *asked, "{session:?}");
            assert_eq!(session.end, End::Quit);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected() {
    let app = TestApp::start().await;
    for mechanism in ["plain", "login"] {
        let server = SmtpServer::serve(compliant());
        let report = app.check(with(login(&server, mechanism), "sasl_password", "wrong horse")).await;
        assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
        assert_eq!(json!([report["failure"]["code"], report["failure"]["enhanced_code"]]), json!([535, "5.7.8"]));
        assert!(!report["warnings"].to_string().contains("not sent"), "{report:#}");
        let session = server.next_session().await;
        assert!(session.end == End::Quit && !session.has_command("MAIL"), "{session:?}");
    }
}

#[tokio::test]
async fn endless_challenges_get_no_further_response() {
    let server = SmtpServer::serve(compliant().on(Step::SaslResponse(1), "334 YWdhaW4=\r\n"));
    let report = TestApp::start().await.check(login(&server, "plain")).await;
    assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
    assert_eq!(server.next_session().await.lines.len(), 3);
}

#[tokio::test]
async fn credentials_in_clear_text_give_a_warning() {
    let (app, identity) = (TestApp::start().await, Ca::new("Test CA").issue(Leaf::for_name("mx.test")));
    let warnings = |report: &Value| report["warnings"].to_string().matches("clear text").count();
    for (script, parameter, expected) in [
        (compliant(), "transcript", 1),
        (compliant().with_starttls(&identity), "starttls", 0),
        (compliant().with_implicit_tls(&identity), "implicit_tls", 0),
        // No warning: no credentials were sent.
        (compliant().on(Step::Auth, "503 5.5.1 Not here\r\n"), "transcript", 0),
    ] {
        let server = SmtpServer::serve(script);
        let report = app.check(with(login(&server, "plain"), parameter, true)).await;
        assert_eq!(warnings(&report), expected, "{report:#}");
    }
}

/// An echo of the password: what the server sends, and which part of it has to be masked.
struct Echo {
    echoed: String,
    secret: String,
    /// The echo is the secret alone.
    whole: bool,
}

/// Every form in which a server can give the password back.
fn echoes() -> Vec<Echo> {
    let plain = STANDARD.encode(format!("\0user\0{PASSWORD}"));
    let whole = STANDARD.encode(PASSWORD);
    let mut echoes = vec![
        Echo { echoed: PASSWORD.to_owned(), secret: PASSWORD.to_owned(), whole: true },
        Echo { echoed: whole.clone(), secret: whole, whole: true },
        Echo { echoed: plain.clone(), secret: plain, whole: true },
    ];
    for before in ["", "x", "xy", "authzid\0user\0", "authzid\0users\0", "authzid\0users2\0"] {
        for after in ["", "z", "zz"] {
            let echoed = STANDARD.encode(format!("{before}{PASSWORD}{after}"));
            // The characters that are made of bits of the secret alone.
            let first = (before.len() * 8).div_ceil(6);
            let end = (before.len() + PASSWORD.len()) * 8 / 6;
            echoes.push(Echo { secret: echoed[first..end].to_owned(), echoed, whole: false });
        }
    }
    echoes
}

/// The steps at which a server can echo the password, and how the reply has to begin. An empty text is no reply at all.
const ANSWERS: [(Step, &str); 8] = [
    (Step::SaslResponse(1), "235 "),
    (Step::SaslResponse(1), "535-5.7.8 "),
    (Step::MailFrom, "250 "),
    (Step::RcptTo, "550-5.1.1 no\r\n550-5.1.1 "),
    (Step::Data, "354 "),
    (Step::Body, "250 2.0.0 Ok: queued as "),
    (Step::Body, ""),
    (Step::Quit, "221 "),
];

#[tokio::test]
async fn an_echo_of_the_password_is_masked() {
    let app = TestApp::start().await;
    for Echo { echoed, secret, whole } in echoes() {
        for (step, beginning) in ANSWERS {
            let code = beginning.rsplit("\r\n").next().and_then(|line| line.get(..3)).unwrap_or_default();
            let last = if beginning.contains('-') { format!("{code} end\r\n") } else { String::new() };
            let server = SmtpServer::serve(compliant().on(step, format!("{beginning}{echoed} you said\r\n{last}")));
            let report = app.check(with(login(&server, "plain"), "transcript", true)).await;
            let text = report.to_string();
            let escaped = json!(secret).to_string();
            assert!(!text.contains(&secret), "{step:?} {beginning:?}: {report:#}");
            assert!(!text.contains(escaped.trim_matches('"')), "{step:?} {beginning:?}: {report:#}");
            // The password as `{:?}` writes it.
            assert!(!text.contains("corr") && !text.contains("rse"), "{step:?} {beginning:?}: {report:#}");
            let masked = if whole { "*** you said" } else { "***" };
            assert!(text.contains(masked), "{step:?} {beginning:?}: {report:#}");
        }
    }
}

/// Before the password is sent, nothing is masked: such a text is no echo, and a mask would confirm a guessed password.
#[tokio::test]
async fn nothing_is_masked_before_the_password_was_sent() {
    let app = TestApp::start().await;
    let steps = [
        (Step::Greeting, "220 "),
        (Step::Greeting, "554 "),
        (Step::Ehlo, "250-mx.test\r\n250 "),
        (Step::Ehlo, "550 "),
        (Step::Auth, "535 5.7.8 "),
    ];
    for Echo { echoed, .. } in echoes() {
        for (step, beginning) in steps {
            let server = SmtpServer::serve(compliant().on(step, format!("{beginning}{echoed} is my guess\r\n")));
            let report = app.check(with(login(&server, "plain"), "transcript", true)).await;
            let lines = report["transcript"].as_array().expect("a transcript");
            let guess = lines.iter().filter_map(|line| line["text"].as_str()).find(|text| text.contains("is my guess"));
            assert!(guess.is_some_and(|text| text.contains(&echoed)), "{step:?}: {report:#}");
        }
    }
    // LOGIN sends the password in its second response.
    let server = SmtpServer::serve(compliant().on(Step::SaslResponse(1), format!("535 {PASSWORD}\r\n")));
    let report = app.check(login(&server, "login")).await;
    assert_eq!(report["failure"]["message"], PASSWORD, "{report:#}");
}

#[tokio::test]
async fn a_partial_echo_of_the_password_is_masked() {
    let app = TestApp::start().await;
    let response = STANDARD.encode(format!("\0user\0{PASSWORD}"));
    let (head, tail) = response.split_at(15);
    let words = |text: &str| text.chars().take(9).collect::<String>();
    for (echoed, shown) in [
        (format!("535 5.7.8 bad {}\r\n", &response[..16]), "bad ***"),
        (format!("535 5.7.8 bad {}\r\n", &response[12..]), "bad ***"),
        (format!("535-5.7.8 bad {head}\r\n535 5.7.8 {tail}\r\n"), "bad ***\n***"),
        (format!("535-bad {head}\r\n535-  {}\r\n535 {}\r\n", &tail[..4], &tail[4..]), "bad ***\n  ***\n***"),
        (format!("535 5.7.8 bad {} is all\r\n", words(PASSWORD)), "bad *** is all"),
    ] {
        let server = SmtpServer::serve(compliant().on(Step::SaslResponse(1), &echoed));
        let report = app.check(with(login(&server, "plain"), "transcript", true)).await;
        assert_eq!(report["failure"]["message"], shown, "{echoed:?}: {report:#}");
        let text = report.to_string();
        assert!(!text.contains(&tail[..8]) && !text.contains(&head[..8]) && !text.contains("corr"), "{report:#}");
    }
}

#[tokio::test]
async fn an_early_echo_of_the_password_is_masked() {
    let app = TestApp::start().await;
    for Echo { echoed, secret, .. } in echoes() {
        let early = format!("250 2.1.0 Ok\r\n250 {echoed}\r\n");
        let server = SmtpServer::serve(compliant().on(Step::MailFrom, early));
        let report = app.check(with(login(&server, "login"), "transcript", true)).await;
        assert_eq!(failure(&report), ("rcptto", "protocol", false), "{report:#}");
        assert!(!report.to_string().contains(&secret), "{report:#}");
        assert!(report["failure"]["message"].as_str().is_some_and(|text| text.contains("***")), "{report:#}");
    }
}

#[tokio::test]
async fn a_quoted_line_is_not_truncated_within_the_password() {
    let app = TestApp::start().await;
    for filler in 100..125 {
        let garbage = Action::reply(format!("{}{PASSWORD}\r\n", "-".repeat(filler)));
        let server = SmtpServer::serve(compliant().on(Step::SaslResponse(1), garbage));
        let report = app.check(login(&server, "plain")).await;
        assert_eq!(failure(&report), ("sasl_auth", "protocol", false), "{report:#}");
        let message = report["failure"]["message"].as_str().expect("words");
        assert!(!message.contains("-c"), "{filler}: {message}");
    }
}

#[tokio::test]
async fn the_password_is_masked_in_every_field_of_the_report() {
    let answer = format!("535-5.7.8 {PASSWORD}\r\n535 5.7.8 is wrong\r\n");
    let server = SmtpServer::serve(compliant().on(Step::SaslResponse(1), answer));
    let report = TestApp::start().await.check(with(login(&server, "plain"), "transcript", true)).await;
    let words = "***\nis wrong";
    assert_eq!(report["failure"]["message"], words);
    assert_eq!(report["metrics"]["last_message"], words);
    assert_eq!(report["phases"][3]["message"], words);
    let replies = report["transcript"].as_array().expect("a transcript").iter().filter(|line| line["from"] == "server");
    assert_eq!(replies.filter(|line| line["text"] == "535-5.7.8 ***").count(), 1, "{report:#}");
}

/// Starts the program with every log level on, sends one request, and returns the response and the log.
fn logged_by_the_program(parameters: &Value) -> (String, String) {
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start(command);
    let mut answer = String::new();
    served.start_check("", parameters).read_to_string(&mut answer).expect("an answer");
    served.signal("TERM");
    let (code, log) = served.end_with_log();
    assert_eq!(code, 0);
    (answer, log.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_log() {
    let identity = Ca::new("Test CA").issue(Leaf::for_name("mx.test"));
    let answer = format!("535 5.7.8 {PASSWORD} {} is wrong\r\n", STANDARD.encode(PASSWORD));
    for (script, parameter) in [(compliant(), "transcript"), (compliant().with_starttls(identity), "starttls")] {
        for mechanism in ["plain", "login"] {
            let step = if mechanism == "plain" { Step::SaslResponse(1) } else { Step::SaslResponse(2) };
            let server = SmtpServer::serve(script.clone().on(step, &answer));
            let mut parameters = with(login(&server, mechanism), parameter, true);
            parameters["to"] = json!("probe@example.test");
            parameters["target"] = json!("127.0.0.1");
            let run = tokio::task::spawn_blocking(move || logged_by_the_program(&parameters));
            let (answer, log) = run.await.expect("no panic");
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("*** *** is wrong"), "{answer}");
            // Without log lines this test would prove nothing.
            assert!(log.lines().any(|line| line.contains("TRACE")), "{log}");
            for Echo { echoed, secret, .. } in echoes() {
                assert!(!log.contains(&echoed) && !log.contains(&secret), "{log}");
            }
            assert!(!log.contains("corr") && !log.contains("rse\""), "{log}");
        }
    }
}
