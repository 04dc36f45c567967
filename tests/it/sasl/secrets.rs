//! No secret of any mechanism leaves the program: not in the report, the live events, the transcript or the log.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::with;
use crate::support::{
    program::{ServiceProcess, program},
    scram::{Scram, challenge, decoded},
    smtpd::{Script, SmtpServer},
};

/// With characters that JSON, Rust and base64 write in different ways, for passwords and for tokens.
const SECRET: &str = "ya29.corr\"ect\\horse/b+a_t-";

/// A server that echoes whatever it gets, as it is and decoded, and accepts or refuses it.
fn echoing(name: &'static str, accepts: bool) -> Script {
    let scram = Scram::new(SECRET, 4096);
    Script::compliant().with_sasl(name, move |responses| {
        let needed = match name {
            "PLAIN" | "XOAUTH2" | "OAUTHBEARER" | "CRAM-MD5" => 1,
            "LOGIN" => 2,
            _ => 3,
        };
        let echo = responses.iter().map(|response| format!("{response} {} ", decoded(response))).collect::<String>();
        let echo = echo.replace(['\u{1}', '\0'], " ");
        match (name, responses.len()) {
            ("SCRAM-SHA-256", 2) if !accepts => format!("535 5.7.8 {echo}"),
            ("SCRAM-SHA-256", sent) if sent < needed => scram.reply(responses),
            ("XOAUTH2" | "OAUTHBEARER", 1) if !accepts => challenge(&json!({"status": "401", "you": echo}).to_string()),
            (_, sent) if sent < needed => "334 PDFAbXg+".to_owned(),
            _ if accepts => format!("235 2.7.0 {echo}"),
            _ => format!("535 5.7.8 {echo}"),
        }
    })
}

/// Starts the program with every log level on, sends one request, and returns the response and the log.
fn logged_by_the_program(headers: &str, parameters: &Value) -> (String, String) {
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start(command);
    let mut answer = String::new();
    served.start_check(headers, parameters).read_to_string(&mut answer).expect("an answer");
    served.signal("TERM");
    let (code, log) = served.end_with_log();
    assert_eq!(code, 0);
    (answer, log.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_any_mechanism_is_in_report_or_log() {
    for (mechanism, name) in [
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("cram-md5", "CRAM-MD5"),
        ("scram-sha-256", "SCRAM-SHA-256"),
        ("xoauth2", "XOAUTH2"),
        ("oauthbearer", "OAUTHBEARER"),
    ] {
        for (accepts, initial_response, headers) in
            [(true, false, ""), (false, true, ""), (false, false, "Accept: text/event-stream\r\n")]
        {
            let server = SmtpServer::serve(echoing(name, accepts));
            let parameters = json!({"to": "probe@example.test", "target": "127.0.0.1", "port": server.port(),
                "sasl_authentication": mechanism, "sasl_user": "user", "sasl_password": SECRET, "transcript": true});
            let parameters = with(parameters, json!({"sasl_initial_response": initial_response}));
            let run = tokio::task::spawn_blocking(move || logged_by_the_program(headers, &parameters));
            let (answer, log) = run.await.expect("no panic");
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("***"), "{answer}");
            // Without log lines this test would prove nothing.
            assert!(log.lines().any(|line| line.contains("TRACE")), "{log}");
            assert!(answer.contains(if accepts { "delivered" } else { "rejected" }), "{name}: {answer}");

            let session = server.next_session().await;
            let commands = session.commands();
            let auth = commands.iter().position(|line| line.starts_with("AUTH ")).expect("AUTH");
            let initial = commands[auth].split(' ').nth(2);
            let responses = commands[auth + 1..].iter().take_while(|line| !line.contains(' ') && **line != "QUIT");
            let mut secrets = vec![SECRET.to_owned(), STANDARD.encode(SECRET), "corr".to_owned(), "horse".to_owned()];
            for response in initial.into_iter().chain(responses.copied()).filter(|line| line.len() > 8) {
                secrets.push(response.to_owned());
                // The digest of CRAM-MD5, the proof of SCRAM.
                let message = decoded(response);
                secrets.extend(
                    message.rsplit_once(' ').map(|(_, digest)| digest.to_owned()).filter(|_| name == "CRAM-MD5"),
                );
                secrets.extend(message.rsplit_once("p=").map(|(_, proof)| proof.to_owned()));
            }
            for secret in secrets {
                assert!(!answer.contains(&secret), "{name} {secret:?}: {answer}");
                assert!(!log.contains(&secret), "{name} {secret:?}: {log}");
            }
        }
    }
}
