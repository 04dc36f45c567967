//! AUTH that ends before the password is sent: the report says what was sent, however AUTH ends.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{PASSWORD, login, with};
use crate::support::{
    app::TestApp,
    scram::Scram,
    smtpd::{Action, Script, SmtpServer, Step},
};

/// What of the credentials is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    UserName,
    Secret,
}

/// Mechanism, initial response, and what is sent with AUTH and with each response.
const EXCHANGES: [(&str, bool, &[Sent]); 11] = [
    ("plain", false, &[Sent::Nothing, Sent::Secret]),
    ("plain", true, &[Sent::Secret]),
    ("login", false, &[Sent::Nothing, Sent::UserName, Sent::Secret]),
    ("cram-md5", false, &[Sent::Nothing, Sent::Secret]),
    ("scram-sha-256", false, &[Sent::Nothing, Sent::UserName, Sent::Secret]),
    ("scram-sha-256", true, &[Sent::UserName, Sent::Secret]),
    ("xoauth2", false, &[Sent::Nothing, Sent::Secret]),
    ("xoauth2", true, &[Sent::Secret]),
    ("oauthbearer", false, &[Sent::Nothing, Sent::Secret]),
    ("oauthbearer", true, &[Sent::Secret]),
    // Of what the server offers, this is SCRAM-SHA-256.
    ("auto", false, &[Sent::Nothing, Sent::UserName, Sent::Secret]),
];

/// How AUTH ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Refused,
    Closing,
    /// A challenge, and a 421 right behind it.
    Unasked,
    HangUp,
    Garbage,
    Silence,
}

/// The next reply of a server that goes on.
fn challenge(mechanism: &str, scram: &Scram, responses: &[String]) -> String {
    match mechanism {
        "scram-sha-256" | "auto" => scram.reply(responses),
        _ => "334 PDFAbXg+".to_owned(),
    }
}

/// A server that ends AUTH in this way after this many responses.
fn server(mechanism: &'static str, after: usize, ending: Ending, is_initial: bool) -> Script {
    let scram = Scram::new(PASSWORD, 8);
    let step = if after == 0 { Step::Auth } else { Step::SaslResponse(u8::try_from(after).expect("few")) };
    let answered = after + usize::from(is_initial);
    let script = Script::compliant().with_sasl("SCRAM-SHA-256", move |responses| {
        let next = || challenge(mechanism, &scram, responses);
        match ending {
            Ending::Refused if responses.len() == answered => "535 5.7.8 no".to_owned(),
            Ending::Closing if responses.len() == answered => "421 4.3.2 bye".to_owned(),
            Ending::Unasked if responses.len() == answered => next() + "\r\n421 4.3.2 bye",
            _ => next(),
        }
    });
    match ending {
        Ending::HangUp => script.on(step, Action::close()),
        Ending::Garbage => script.on(step, Action::garbage()),
        Ending::Silence => script.on(step, Action::silence()),
        _ => script,
    }
}

async fn ended(app: Arc<TestApp>, exchange: usize, after: usize, ending: Ending) {
    let (mechanism, is_initial, sent) = EXCHANGES[exchange];
    let server = SmtpServer::serve(server(mechanism, after, ending, is_initial));
    let timeout = if ending == Ending::Silence { 3000 } else { 20_000 };
    let more = json!({"sasl_initial_response": is_initial, "timeout_ms": timeout});
    let report = app.check(with(login(&server, mechanism), more)).await;
    let row = format!("{mechanism} {is_initial} {after} {ending:?}: {report:#}");
    let failed: Value = json!([report["failure"]["phase"], report["failure"]["kind"]]);
    let kind = match ending {
        Ending::Refused | Ending::Closing | Ending::Unasked => "rejected",
        Ending::HangUp => "closed",
        Ending::Garbage => "protocol",
        Ending::Silence => "timeout",
    };
    assert_eq!(failed, json!(["sasl_auth", kind]), "{row}");
    let warnings = report["warnings"].to_string();
    let unsent = [warnings.contains("no credential was sent"), warnings.contains("the password was not sent")];
    assert_eq!(unsent, [sent[after] == Sent::Nothing, sent[after] == Sent::UserName], "{row}");
    // The words fit what was seen.
    assert!(!(ending == Ending::Unasked && warnings.contains(" asked for ")), "{row}");
    let has_ended = !matches!(ending, Ending::Garbage | Ending::Silence);
    let is_found = report["findings"].to_string().contains("sasl.refused_before_credentials");
    assert_eq!(is_found, has_ended && sent[after] == Sent::Nothing, "{row}");
}

#[tokio::test]
async fn what_was_not_sent_is_said_however_auth_ends() {
    let app = Arc::new(TestApp::builder().max_checks_per_target(1024).start().await);
    let mut checks = JoinSet::new();
    for (exchange, (_, _, sent)) in EXCHANGES.iter().enumerate() {
        for after in 0..sent.len() {
            for ending in [Ending::Refused, Ending::Closing, Ending::HangUp, Ending::Garbage, Ending::Silence] {
                checks.spawn(ended(app.clone(), exchange, after, ending));
            }
            // The response to the challenge before the 421 is not written.
            if sent[after] != Sent::Secret {
                checks.spawn(ended(app.clone(), exchange, after, Ending::Unasked));
            }
        }
    }
    while let Some(check) = checks.join_next().await {
        check.expect("no panic");
    }
}
