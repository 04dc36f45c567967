//! SCRAM-SHA-256 with servers that know the password, and with servers that only pretend to.

use serde_json::{Value, json};

use super::{PASSWORD, check, login, with};
use crate::support::{
    app::{TestApp, failure, phase_names},
    scram::{Scram, challenge, decoded},
    smtpd::{End, Script, SmtpServer},
};

const NAME: &str = "SCRAM-SHA-256";

fn server(scram: Scram) -> Script {
    Script::compliant().with_sasl(NAME, move |responses| scram.reply(responses))
}

/// A server that lies: `lie` is its reply to the client's `at`-th response. The rest is right.
fn lying(at: usize, lie: impl Fn(&Scram, &[String]) -> String + Send + Sync + 'static) -> Script {
    let scram = Scram::new(PASSWORD, 4096);
    Script::compliant().with_sasl(NAME, move |responses| match responses.len() {
        sent if sent == at => lie(&scram, responses),
        _ => scram.reply(responses),
    })
}

/// The server-first-message, changed.
fn first(change: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Script {
    lying(1, move |scram, responses| {
        let client_first = decoded(&responses[0]);
        let nonce = client_first.rsplit_once("r=").expect("a nonce").1;
        challenge(&change(&scram.first(&client_first), nonce))
    })
}

/// The server-final-message in the place of the right one.
fn last(message: &'static str) -> Script {
    lying(2, move |_, _| challenge(message))
}

#[tokio::test]
async fn a_server_that_knows_the_password_is_authenticated() {
    let app = TestApp::start().await;
    for (initial_response, identity) in [(false, ""), (true, ""), (false, "boss,=")] {
        let server = SmtpServer::serve(server(Scram::new(PASSWORD, 4096)));
        let more = json!({"sasl_initial_response": initial_response, "sasl_auth_id": identity, "transcript": true});
        let report = app.check(with(login(&server, "scram-sha-256"), more)).await;
        assert_eq!((&report["outcome"], &report["warnings"]), (&json!("delivered"), &json!([])), "{report:#}");
        assert_eq!(report["sasl"], json!({"mechanism": NAME, "initial_response": initial_response}));
        assert!(!report["findings"].to_string().contains("sasl."), "{report:#}");
        assert_eq!(phase_names(&report)[3], "sasl_auth");
        let session = server.next_session().await;
        let commands = session.commands();
        let (command, initial) = commands[1].split_at("AUTH SCRAM-SHA-256".len());
        assert_eq!((command, initial.is_empty()), ("AUTH SCRAM-SHA-256", !initial_response));
        let client_first = if initial_response { initial.trim() } else { commands[2] };
        let header = if identity.is_empty() { "n,,n=user,r=" } else { "n,a=boss=2C=3D,n=user,r=" };
        assert!(decoded(client_first).starts_with(header), "{commands:?}");
        // The answer to the signature is an empty line.
        assert!(commands.contains(&"") && session.end == End::Quit, "{commands:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_by_its_proof() {
    let server = SmtpServer::serve(server(Scram::new("another", 4096)));
    let report = TestApp::start().await.check(login(&server, "scram-sha-256")).await;
    assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
    assert_eq!((&report["failure"]["code"], &report["warnings"]), (&json!(535), &json!([])));
    assert_eq!(server.next_session().await.end, End::Quit);
}

/// What the server sends, what the failure says, and how many responses the client sent.
fn lies() -> Vec<(Script, &'static str, usize)> {
    let (no_message, no_signature) = ("no message of SCRAM-SHA-256", "sent no signature");
    let ok = |_: &Scram, _: &[String]| "235 2.7.0 Authentication successful".to_owned();
    vec![
        (last("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "signature is wrong", 2),
        (last("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), "signature is wrong", 2),
        (last("v=AAAA"), "signature is wrong", 2),
        (last("v=!"), "signature is wrong", 2),
        (last("v="), no_message, 2),
        (last("v"), no_message, 2),
        (last("x=y"), no_message, 2),
        (last(""), no_signature, 2),
        (lying(2, |_, _| "334 !".to_owned()), "not base64", 2),
        (lying(0, ok), no_signature, 0),
        (lying(1, ok), no_signature, 1),
        (lying(2, ok), no_signature, 2),
        (first(|message, nonce| message.replace(nonce, "theirs")), "does not begin with the client's", 1),
        (first(|message, nonce| message.replace(nonce, &nonce[1..])), "does not begin with the client's", 1),
        (first(|message, nonce| message.replace(nonce, &nonce[..10])), "does not begin with the client's", 1),
        (first(|message, _| message.replace("i=4096", "i=1000001")), "asks for 1000001 iterations", 1),
        (first(|message, _| message.replace("i=4096", "i=4294967295")), "asks for 4294967295 iterations", 1),
        (first(|message, _| message.replace("i=4096", "i=99999999999999999999999")), "iterations of PBKDF2", 1),
        (first(|message, _| message.replace("i=4096", "i=0")), no_message, 1),
        (first(|message, _| message.replace(",i=4096", "")), no_message, 1),
        (first(|message, _| message.replace("s=", "s=!")), no_message, 1),
        (first(|_, _| String::new()), no_message, 1),
        (lying(1, |_, _| "334 !".to_owned()), "not base64", 1),
    ]
}

#[tokio::test]
async fn a_server_that_breaks_the_rules_is_not_authenticated() {
    let app = TestApp::start().await;
    for (nth, (script, words, responses)) in lies().into_iter().enumerate() {
        let server = SmtpServer::serve(script);
        let report = app.check(with(login(&server, "scram-sha-256"), json!({"transcript": true}))).await;
        assert_eq!(failure(&report), ("sasl_auth", "protocol", false), "{nth}: {report:#}");
        assert!(report["failure"]["message"].as_str().is_some_and(|text| text.contains(words)), "{nth}: {report:#}");
        assert_eq!(report["sasl"], json!({"mechanism": NAME, "initial_response": false}));
        let session = server.next_session().await;
        assert!(!session.has_command("MAIL"), "{nth}: {session:?}");
        let commands = session.commands();
        let sent = commands[2..].iter().filter(|line| **line != "QUIT").count();
        assert_eq!(sent, responses, "{nth}: {commands:?}");
    }
}

#[tokio::test]
async fn an_error_of_scram_ends_with_the_reply_that_follows() {
    let app = TestApp::start().await;
    let echo: &'static str = Box::leak(format!("e={PASSWORD}").into_boxed_str());
    for (message, shown) in [("e=invalid-proof", "invalid-proof"), (echo, "***")] {
        let script = Script::compliant().with_sasl(NAME, move |responses| match responses.len() {
            2 => challenge(message),
            3 => "535 5.7.8 no".to_owned(),
            _ => Scram::new(PASSWORD, 4096).reply(responses),
        });
        let server = SmtpServer::serve(script);
        let report = app.check(login(&server, "scram-sha-256")).await;
        assert_eq!(failure(&report), ("sasl_auth", "rejected", false), "{report:#}");
        let warning = format!("the server ended SCRAM-SHA-256 with the error {shown:?}");
        assert_eq!(report["warnings"], json!([warning]), "{report:#}");
        let session = server.next_session().await;
        assert_eq!((session.commands()[4], session.end == End::Quit), ("", true), "{session:?}");
    }
}

#[tokio::test]
async fn few_iterations_are_a_finding() {
    let app = TestApp::start().await;
    for (iterations, found) in [(1, true), (4095, true), (4096, false)] {
        let server = SmtpServer::serve(server(Scram::new(PASSWORD, iterations)));
        let report = app.check(login(&server, "scram-sha-256")).await;
        assert_eq!(report["outcome"], "delivered", "{report:#}");
        let findings = report["findings"].as_array().expect("findings").iter();
        let few: Vec<&Value> = findings.filter(|finding| finding["id"] == "sasl.few_iterations").collect();
        assert_eq!(few.len(), usize::from(found), "{report:#}");
        assert!(few.iter().all(|finding| finding["message"].to_string().contains(&format!(" is {iterations};"))));
    }
}

/// The work is bounded by the deadline, holds up no other check, and is done for a few checks at a time.
#[tokio::test]
async fn much_work_holds_up_no_other_check() {
    let app = TestApp::start().await;
    let busy = SmtpServer::serve(first(|message, _| message.replace("i=4096", "i=100000")));
    let plain = SmtpServer::serve(Script::compliant());
    let busy_check = || app.check(with(login(&busy, "scram-sha-256"), json!({"timeout_ms": 150})));
    let (one, two, three, other) =
        tokio::join!(busy_check(), busy_check(), busy_check(), check(&app, json!({"port": plain.port()})));
    assert_eq!(other["outcome"], "delivered", "{other:#}");
    for report in [one, two, three] {
        assert_eq!(failure(&report), ("sasl_auth", "timeout", true), "{report:#}");
        assert_eq!(report["failure"]["message"], "no time left for the iterations of PBKDF2 that the server asked for");
        let explanation = report["failure"]["explanation"].as_str().expect("an explanation");
        assert!(explanation.contains("says nothing about the server"), "{explanation}");
        assert!(report["metrics"]["duration"].as_f64().is_some_and(|ms| ms < 2000.0), "{report:#}");
    }
}
