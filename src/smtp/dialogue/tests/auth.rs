//! AUTH as tables.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

pub(super) fn auth(choice: MechanismChoice, initial_response: bool) -> Script {
    let credentials = credentials(Mechanism::Plain).map(|credentials| Credentials {
        mechanism: choice,
        authorization_id: "boss".to_owned(),
        initial_response,
        ..credentials
    });
    Script { credentials, implicit_tls: true, ..script() }
}

/// The warning about AUTH that a reply with this code ended.
fn early(code: &str, after: AuthStep, has_user_name: bool, could_be_initial: bool) -> Warning {
    Warning::EndedEarly(EarlyEnd { by: EndedBy::Reply(reply(code).code()), after, has_user_name, could_be_initial })
}

fn only(mechanism: Mechanism) -> Script {
    auth(MechanismChoice::Only(mechanism), false)
}

#[test]
fn the_first_response_goes_out_with_auth() {
    for (mechanism, command) in [
        (Mechanism::Plain, "sasl_auth: AUTH PLAIN ***"),
        (Mechanism::ScramSha256, "sasl_auth: AUTH SCRAM-SHA-256 ***"),
        (Mechanism::XOAuth2, "sasl_auth: AUTH XOAUTH2 ***"),
        (Mechanism::OAuthBearer, "sasl_auth: AUTH OAUTHBEARER ***"),
        (Mechanism::Login, "sasl_auth: AUTH LOGIN"),
        (Mechanism::CramMd5, "sasl_auth: AUTH CRAM-MD5"),
    ] {
        let script = auth(MechanismChoice::Only(mechanism), true);
        let (actions, _, _) = run(script, &["220 hi", "250 mx"]);
        assert_eq!(actions[2], command);
    }
    let (actions, verdicts, warnings) =
        run(auth(MechanismChoice::Only(Mechanism::Plain), true), &["220 hi", "250 mx", "235 ok"]);
    assert_eq!((actions[3].as_str(), verdicts[2]), ("mailfrom: MAIL FROM:<>", Verdict::Accepted));
    assert_eq!(warnings, []);
}

#[test]
fn a_refused_initial_response_is_a_refusal_of_the_credentials() {
    for (mechanism, warning) in [
        (Mechanism::Plain, None),
        (Mechanism::XOAuth2, None),
        (Mechanism::ScramSha256, Some(early("535", AuthStep::Sent, true, false))),
    ] {
        let script = auth(MechanismChoice::Only(mechanism), true);
        let (_, verdicts, warnings) = run(script, &["220 hi", "250 mx", "535 wrong"]);
        assert_eq!((verdicts[2], warnings), (Verdict::Rejected, Vec::from_iter(warning)), "{mechanism:?}");
    }
}

#[test]
fn an_early_refusal_names_the_parameter_where_it_would_help() {
    for (mechanism, named) in [
        (Mechanism::Plain, true),
        (Mechanism::Login, false),
        (Mechanism::CramMd5, false),
        (Mechanism::ScramSha256, true),
        (Mechanism::XOAuth2, true),
        (Mechanism::OAuthBearer, true),
    ] {
        for answer in ["504 no", "421 no"] {
            let (_, _, warnings) = run(only(mechanism), &["220 hi", "250 mx", answer]);
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            let warning = warning.to_string();
            assert!(warning.contains("no credential was sent"), "{warning}");
            assert_eq!(warning.contains("`sasl_initial_response`"), named, "{mechanism:?}: {warning}");
        }
    }
}

#[test]
fn a_long_initial_response_is_sent_with_a_warning() {
    // `user=user^Aauth=Bearer ` and `^A^A` are 24 octets, `AUTH XOAUTH2 ` and CR LF 15.
    for (length, expected) in [(348, vec![]), (349, vec![Warning::LongAuthCommand(515)])] {
        let mut script = auth(MechanismChoice::Only(Mechanism::XOAuth2), true);
        script.credentials.as_mut().expect("credentials").password = Secret::new("x".repeat(length));
        let (_, _, warnings) = run(script, &["220 hi", "250 mx"]);
        assert_eq!(warnings, expected, "{length}");
    }
}

/// EHLO, TLS or not, and what is done.
#[test]
fn the_best_mechanism_that_is_offered_is_chosen() {
    let in_tls = "sasl_auth: unsupported: the server offers none of SCRAM-SHA-256, CRAM-MD5, PLAIN and LOGIN";
    let in_clear = "sasl_auth: unsupported: the server offers neither SCRAM-SHA-256 nor CRAM-MD5";
    for (offered, tls, clear) in [
        ("AUTH LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256", "sasl_auth: AUTH SCRAM-SHA-256", "sasl_auth: AUTH SCRAM-SHA-256"),
        ("AUTH login plain cram-md5", "sasl_auth: AUTH CRAM-MD5", "sasl_auth: AUTH CRAM-MD5"),
        ("AUTH SCRAM-SHA-1 LOGIN PLAIN", "sasl_auth: AUTH PLAIN", in_clear),
        ("AUTH=LOGIN", "sasl_auth: AUTH LOGIN", in_clear),
        ("AUTH XOAUTH2 OAUTHBEARER SCRAM-SHA-256-PLUS", in_tls, in_clear),
        ("AUTH", in_tls, in_clear),
        ("SIZE", in_tls, in_clear),
    ] {
        let ehlo = format!("250-mx\r\n250 {offered}");
        for (implicit_tls, expected) in [(true, tls), (false, clear)] {
            let script = Script { implicit_tls, ..auth(MechanismChoice::Auto, false) };
            let (actions, _, _) = run(script, &["220 hi", &ehlo]);
            assert!(actions[2].starts_with(expected), "{offered} {implicit_tls}: {actions:?}");
        }
    }
}

#[test]
fn what_is_left_out_of_ehlo_may_offer_a_mechanism() {
    let long = |last: &str| format!("250-mx\r\n{}250 {last}", format!("250-{}\r\n", "X".repeat(500)).repeat(40));
    for (ehlo, expected) in
        [(long("SIZE"), "sasl_auth: AUTH SCRAM-SHA-256"), (long("AUTH LOGIN"), "sasl_auth: AUTH LOGIN")]
    {
        let (actions, _, _) = run(auth(MechanismChoice::Auto, false), &["220 hi", &ehlo]);
        assert_eq!(actions[2], expected);
    }
}

#[test]
fn parameters_that_the_chosen_mechanism_lacks_are_named() {
    for (offered, expected) in [
        ("SCRAM-SHA-256", vec![]),
        ("PLAIN", vec![]),
        ("CRAM-MD5", vec![Warning::NoAuthorizationId("CRAM-MD5"), Warning::NoInitialResponse("CRAM-MD5")]),
        ("LOGIN", vec![Warning::NoAuthorizationId("LOGIN"), Warning::NoInitialResponse("LOGIN")]),
    ] {
        let ehlo = format!("250-mx\r\n250 AUTH {offered}");
        let (_, _, warnings) = run(auth(MechanismChoice::Auto, true), &["220 hi", &ehlo]);
        assert_eq!(warnings, expected, "{offered}");
    }
}

#[test]
fn only_a_password_in_clear_text_is_warned_of() {
    for (mechanism, challenge, warned) in [
        (Mechanism::CramMd5, "334 PDFAbXg+", false),
        (Mechanism::ScramSha256, "334 ", false),
        (Mechanism::XOAuth2, "334 ", true),
        (Mechanism::OAuthBearer, "334 ", true),
    ] {
        let script = Script { implicit_tls: false, ..only(mechanism) };
        let (_, _, warnings) = run(script, &["220 hi", "250 mx", challenge]);
        assert_eq!(warnings.contains(&Warning::ClearTextCredentials), warned, "{mechanism:?}");
    }
}

#[test]
fn a_refused_token_ends_with_the_reply_that_follows() {
    let document = STANDARD.encode(r#"{"status":"401","token":"secret"}"#);
    let challenge = format!("334 {document}");
    for (mechanism, answer) in [(Mechanism::XOAuth2, "continue: "), (Mechanism::OAuthBearer, "continue: AQ==")] {
        let server = |last| run(only(mechanism), &["220 hi", "250 mx", "334 ", &challenge, last]);
        let (actions, verdicts, warnings) = server("535 no");
        assert_eq!(actions[4], answer);
        assert_eq!((actions[5].as_str(), verdicts[4]), ("quit: QUIT", Verdict::Rejected));
        let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said, [r#"the server refused the token: {"status":"401","token":"***"}"#]);

        let (actions, verdicts, _) = server("235 after all");
        assert!(actions[5].ends_with("after it had refused the token (true)"), "{actions:?}");
        assert_eq!(verdicts[4], Verdict::Spoiled);
        let (actions, verdicts, _) = server("334 more");
        assert_eq!((actions[5].as_str(), verdicts[4]), ("close", Verdict::Rejected));
    }
}

#[test]
fn a_server_that_breaks_the_rules_of_scram_is_not_accepted() {
    let encoded = |text: &str| format!("334 {}", STANDARD.encode(text));
    for (server, violation) in [
        (vec!["235 ok".to_owned()], "the server sent no signature: it has not proved"),
        (vec!["334 ".to_owned(), "235 ok".to_owned()], "the server sent no signature: it has not proved"),
        (vec!["334 ".to_owned(), "334 !".to_owned()], "the server's challenge is not base64"),
        (vec!["334 ".to_owned(), encoded("nonsense")], "the server's challenge is no message of SCRAM-SHA-256"),
        (vec!["334 ".to_owned(), encoded("r=x,s=c2FsdA==,i=4096")], "the server's nonce does not begin with"),
    ] {
        let mut replies = vec!["220 hi", "250 mx"];
        replies.extend(server.iter().map(String::as_str));
        let (actions, verdicts, _) = run(only(Mechanism::ScramSha256), &replies);
        let last = actions.last().expect("an action");
        assert!(last.starts_with(&format!("sasl_auth: {violation}")), "{server:?}: {last}");
        // After 235 the server waits for a command.
        assert!(last.ends_with(if server.last().is_some_and(|it| it.starts_with("235")) {
            "(true)"
        } else {
            "(false)"
        }));
        assert_eq!(verdicts.last(), Some(&Verdict::Spoiled));
    }
}

#[test]
fn a_report_tells_what_was_sent() {
    let script = auth(MechanismChoice::Only(Mechanism::ScramSha256), true);
    let (mut dialogue, _) = Dialogue::begin(&script);
    dialogue.reply(&reply("220 hi"));
    let (_, action) = dialogue.reply(&reply("250 mx"));
    let Action::Begin(_, command) = action else { panic!("{action:?}") };
    assert_eq!(dialogue.sasl(), None, "nothing is written yet");
    dialogue.sending(&command);
    let sasl = dialogue.sasl().expect("facts");
    assert_eq!((sasl.mechanism, sasl.initial_response, sasl.iterations), (Mechanism::ScramSha256, true, None));
}

#[test]
fn login_in_clear_text() {
    let script = Script { credentials: credentials(Mechanism::Login), stop_after: Some(Phase::SaslAuth), ..script() };
    let (actions, _, warnings) =
        run(script, &["220 hi", "250 mx", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok", "221 bye"]);
    assert_eq!(
        actions[2..],
        ["sasl_auth: AUTH LOGIN", "continue: dXNlcg==", "continue: c2VjcmV0", "quit: QUIT", "close"]
    );
    assert_eq!(warnings, [Warning::ClearTextCredentials]);
}

#[test]
fn no_password_without_a_challenge() {
    let script = Script { credentials: credentials(Mechanism::Plain), ..script() };
    for (answer, next) in
        [("235 come in", "quit: QUIT"), ("504 no", "quit: QUIT"), ("454 later", "quit: QUIT"), ("354 what", "close")]
    {
        let (actions, verdicts, warnings) = run(script.clone(), &["220 hi", "250 mx", answer]);
        assert_eq!((verdicts[2], actions[3].as_str()), (Verdict::Rejected, next), "{answer}");
        assert!(!actions.iter().any(|action| action.contains("continue")), "{answer}");
        let expected = match answer.get(..3) {
            Some("235") => Warning::AcceptedWithoutPassword,
            _ => early(answer, AuthStep::Sent, false, true),
        };
        assert_eq!(warnings, [expected], "{answer}");
    }
}

#[test]
fn a_user_name_in_clear_text_is_not_warned_of() {
    let script = Script { credentials: credentials(Mechanism::Login), ..script() };
    for answer in ["235 come in", "535 nobody", "454 later", "250 hm"] {
        let expected = match answer.get(..3) {
            Some("235") => Warning::AcceptedWithoutPassword,
            _ => early(answer, AuthStep::Sent, true, false),
        };
        let (_, _, warnings) = run(script.clone(), &["220 hi", "250 mx", "334 VXNlcm5hbWU6", answer]);
        assert_eq!(warnings, [expected], "{answer}");
    }
}

#[test]
fn a_refused_password_is_not_warned_of_inside_tls() {
    for (mechanism, challenges) in [(Mechanism::Plain, 1), (Mechanism::Login, 2)] {
        let script = Script { implicit_tls: true, credentials: credentials(mechanism), ..script() };
        let mut server = vec!["220 hi", "250 mx"];
        server.extend(["334"].repeat(challenges));
        server.push("535 wrong");
        assert_eq!(run(script, &server).2, [], "{mechanism:?}");
    }
}

#[test]
fn an_extra_challenge_is_not_answered() {
    let script = Script { credentials: credentials(Mechanism::Plain), ..script() };
    let (actions, verdicts, warnings) = run(script, &["220 hi", "250 mx", "334", "334 more"]);
    assert_eq!((actions[4].as_str(), verdicts[3]), ("close", Verdict::Rejected));
    assert_eq!(warnings, [Warning::ClearTextCredentials, Warning::ExtraChallenge]);
}
