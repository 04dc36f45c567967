//! Whole sessions as tables: the server's replies, and the client's actions.

mod auth;
mod early_end;
mod expectations;

use proptest::prelude::*;

use super::super::{Credentials, Mechanism, MechanismChoice, Payload, ReplyParser};
use super::*;
use crate::secret::Secret;

fn script() -> Script {
    Script {
        resets: false,
        ehlo: "noit.local".parse().expect("a name"),
        protocol: Protocol::Smtp,
        implicit_tls: false,
        start_tls: StartTls::Off,
        credentials: None,
        from: None,
        to: Some("to@mx.test".parse().expect("a mailbox")),
        payload: Payload::parse("Subject: Testing").expect("a payload"),
        stop_after: None,
        expect: None,
    }
}

fn credentials(mechanism: Mechanism) -> Option<Credentials> {
    let password = Secret::new("secret".to_owned());
    let (user, authorization_id) = ("user".to_owned(), String::new());
    let mechanism = MechanismChoice::Only(mechanism);
    Some(Credentials { mechanism, user, password, authorization_id, initial_response: false })
}

fn reply(text: &str) -> Reply {
    let wire = format!("{text}\r\n");
    ReplyParser::default().parse(&mut wire.as_bytes()).expect("a reply").expect("whole")
}

/// The action as a short text.
fn shown(action: &Action) -> String {
    match action {
        Action::AwaitGreeting(phase) => format!("{phase}: await greeting"),
        Action::Begin(phase, command) => format!("{phase}: {command}"),
        Action::Continue(_, command) => format!("continue: {}", String::from_utf8_lossy(&command.to_wire()).trim_end()),
        Action::Compute(phase, _) => format!("{phase}: compute"),
        Action::Violated { phase, violation, in_sync } => format!("{phase}: {violation} ({in_sync})"),
        Action::Handshake => "handshake".to_owned(),
        Action::Unsupported(phase, lacking) => format!("{phase}: unsupported: {lacking}"),
        Action::Quit => "quit: QUIT".to_owned(),
        Action::Reset => "RSET, quit: QUIT".to_owned(),
        Action::Close => "close".to_owned(),
    }
}

/// Runs the script against these replies (`tls` for a successful handshake) and collects the client's actions.
fn run(script: Script, server: &[&str]) -> (Vec<String>, Vec<Verdict>, Vec<Warning>) {
    let (mut dialogue, first) = Dialogue::begin(&script);
    let mut actions = vec![shown(&first)];
    let mut verdicts = Vec::new();
    for answer in server {
        let next = if *answer == "tls" {
            dialogue.after_handshake()
        } else {
            let (mut verdict, mut next) = dialogue.reply(&reply(answer));
            if let Action::Compute(_, work) = next {
                (verdict, next) = dialogue.computed(work.run());
            }
            verdicts.push(verdict);
            if let Action::Begin(_, command) | Action::Continue(_, command) = &next {
                dialogue.sending(command);
            }
            next
        };
        actions.push(shown(&next));
    }
    let warnings = dialogue.warnings().to_vec();
    (actions, verdicts, warnings)
}

#[test]
fn a_complete_delivery() {
    let (actions, verdicts, warnings) = run(
        script(),
        &["220 hi", "250 mx.test", "250 2.1.0 Ok", "251 will forward", "354 go on", "250 Ok: queued as 1", "221 bye"],
    );
    assert_eq!(
        actions,
        [
            "banner: await greeting",
            "ehlo: EHLO noit.local",
            "mailfrom: MAIL FROM:<>",
            "rcptto: RCPT TO:<to@mx.test>",
            "data: DATA",
            "body: (16 octets of message, then the final dot)",
            "quit: QUIT",
            "close",
        ]
    );
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Accepted));
    assert_eq!(warnings, []);
}

#[test]
fn starttls_and_plain() {
    let script = Script { start_tls: StartTls::Required, credentials: credentials(Mechanism::Plain), ..script() };
    let server =
        ["220 hi", "250-mx\r\n250 STARTTLS", "220 go", "tls", "250-mx\r\n250 AUTH PLAIN", "334", "235 welcome"];
    let (actions, verdicts, warnings) = run(script, &server);
    assert_eq!(
        actions[1..],
        [
            "ehlo: EHLO noit.local",
            "starttls: STARTTLS",
            "handshake",
            "ehlo_tls: EHLO noit.local",
            "sasl_auth: AUTH PLAIN",
            "continue: AHVzZXIAc2VjcmV0",
            "mailfrom: MAIL FROM:<>",
        ]
    );
    assert_eq!(verdicts[4..], [Verdict::Challenged, Verdict::Accepted]);
    assert_eq!(warnings, []);
}

#[test]
fn opportunistic_starttls_goes_by_the_reply_to_ehlo() {
    let script = |stop_after| Script { start_tls: StartTls::Opportunistic, stop_after, ..script() };
    let offered = ["220 hi", "250-mx\r\n250 STARTTLS", "220 go", "tls", "250 mx"];
    let (actions, _, warnings) = run(script(None), &offered);
    assert_eq!(
        actions[2..],
        ["starttls: STARTTLS", "handshake", "ehlo_tls: EHLO noit.local", "mailfrom: MAIL FROM:<>"]
    );
    assert_eq!(warnings, []);

    for (stop_after, next) in [(None, "mailfrom: MAIL FROM:<>"), (Some(Phase::Ehlo), "quit: QUIT")] {
        let (actions, _, warnings) = run(script(stop_after), &["220 hi", "250-mx\r\n250 STARTTLSX"]);
        assert_eq!(actions[2..], [next]);
        let is_left_out = stop_after.is_none();
        assert_eq!(warnings, vec![Warning::StartTlsNotOffered; usize::from(is_left_out)]);
    }

    let (actions, verdicts, _) = run(script(None), &["220 hi", "250-mx\r\n250 STARTTLS", "454 4.7.0 not now"]);
    assert_eq!((actions.last().map(String::as_str), verdicts.last()), (Some("quit: QUIT"), Some(&Verdict::Rejected)));
}

/// What is left out of a long reply may be STARTTLS.
#[test]
fn a_cut_reply_to_ehlo_is_no_proof_that_starttls_is_not_offered() {
    let script = Script { start_tls: StartTls::Opportunistic, ..script() };
    let keyword = format!("250-X-{}", "x".repeat(400));
    let long = format!("250-mx\r\n{}\r\n250-STARTTLS\r\n250 X-LAST", [keyword.as_str(); 40].join("\r\n"));
    assert!(reply(&long).left_out() > 0 && !Capabilities::from_ehlo(&reply(&long)).offers("STARTTLS"));
    let (actions, _, warnings) = run(script, &["220 hi", &long]);
    assert_eq!(actions[2..], ["starttls: STARTTLS"]);
    assert_eq!(warnings, []);
}

#[test]
fn opportunistic_starttls_that_is_not_offered_sends_no_password() {
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        let script = Script { start_tls: StartTls::Opportunistic, credentials: credentials(mechanism), ..script() };
        let (actions, _, _) = run(script, &["220 hi", "250-mx\r\n250 AUTH PLAIN LOGIN"]);
        let refused = "sasl_auth: unsupported: no credential is sent in clear text: the server does not offer STARTTLS";
        assert!(actions[2].starts_with(refused) && actions[2].contains(mechanism.name()), "{actions:?}");
    }
}

#[test]
fn lmtp_says_lhlo() {
    let script = Script { protocol: Protocol::Lmtp, start_tls: StartTls::Required, ..script() };
    let server = ["220 hi", "250 mx", "220 go", "tls", "250 mx", "250 ok", "250 ok", "354 go", "250 one", "221 bye"];
    let (actions, verdicts, _) = run(script, &server);
    let hellos: Vec<_> = actions.iter().filter(|action| action.contains("LO ")).collect();
    assert_eq!(hellos, ["ehlo: LHLO noit.local", "ehlo_tls: LHLO noit.local"]);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Accepted));
    assert_eq!(actions[9..], ["quit: QUIT", "close"]);
}

#[test]
fn a_rejection_ends_with_quit() {
    let good = ["220 hi", "250 mx", "250 ok", "250 ok", "354 go", "250 queued"];
    for at in 0..good.len() {
        for code in ["421", "450", "550", "299"] {
            let refused = format!("{code} no");
            let mut server = good[..at].to_vec();
            server.push(&refused);
            let (actions, verdicts, _) = run(script(), &server);
            assert_eq!(verdicts.last(), Some(&Verdict::Rejected));
            assert_eq!(actions.last().map(String::as_str), Some("quit: QUIT"));
        }
    }
}

#[test]
fn stop_after_every_phase() {
    let full = Script { start_tls: StartTls::Required, credentials: credentials(Mechanism::Plain), ..script() };
    for (stop, server) in [
        (Phase::Banner, &["220 hi"][..]),
        (Phase::Ehlo, &["220 hi", "250 mx"]),
        (Phase::StartTls, &["220 hi", "250 mx", "220 go", "tls", "250 mx"]),
        (Phase::SaslAuth, &["220 hi", "250 mx", "220 go", "tls", "250 mx", "334", "235 ok"]),
        (Phase::MailFrom, &["220 hi", "250 mx", "220 go", "tls", "250 mx", "334", "235 ok", "250 ok"]),
        (Phase::RcptTo, &["220 hi", "250 mx", "220 go", "tls", "250 mx", "334", "235 ok", "250 ok", "250 ok"]),
    ] {
        let (actions, _, _) = run(Script { stop_after: Some(stop), ..full.clone() }, server);
        let quits: Vec<_> = actions.iter().enumerate().filter(|(_, action)| *action == "quit: QUIT").collect();
        assert_eq!(quits, [(server.len(), &"quit: QUIT".to_owned())], "{stop}");
    }
}

#[test]
fn mail_parameters_are_sent_only_if_offered() {
    let utf8 = Script { from: Some("ü@mx.test".parse().expect("a mailbox")), ..script() };
    let eight_bit = Script { payload: Payload::parse("Grüße").expect("a payload"), ..script() };
    let offers = "250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8";
    let third = |script: &Script, ehlo| run(script.clone(), &["220 hi", ehlo]).0.remove(2);
    assert_eq!(third(&utf8, offers), "mailfrom: MAIL FROM:<ü@mx.test> SMTPUTF8");
    assert!(third(&utf8, "250 mx").starts_with("mailfrom: unsupported"));
    assert_eq!(third(&eight_bit, offers), "mailfrom: MAIL FROM:<> BODY=8BITMIME");
    assert_eq!(third(&eight_bit, "250 mx"), "mailfrom: MAIL FROM:<>");
    assert_eq!(third(&script(), offers), "mailfrom: MAIL FROM:<>");
    let (_, _, warnings) = run(eight_bit.clone(), &["220 hi", "250 mx"]);
    assert_eq!(warnings, [Warning::EightBitNotOffered]);
    let only_envelope = Script { stop_after: Some(Phase::RcptTo), ..eight_bit };
    assert_eq!(third(&only_envelope, "250 mx"), "mailfrom: MAIL FROM:<>");
    let utf8_recipient = Script { to: Some("ü@mx.test".parse().expect("a mailbox")), ..script() };
    assert!(third(&utf8_recipient, "250 mx").starts_with("mailfrom: unsupported"));
    let before_rcpt = Script { stop_after: Some(Phase::MailFrom), ..utf8_recipient };
    assert_eq!(third(&before_rcpt, "250 mx"), "mailfrom: MAIL FROM:<>");
}

#[test]
fn a_leading_dot_gives_a_warning() {
    let script = Script { payload: Payload::parse("a\n.b").expect("a payload"), ..script() };
    let (_, _, warnings) = run(script, &["220 hi", "250 mx", "250 ok", "250 ok", "354 go"]);
    assert_eq!(warnings, [Warning::LeadingDot(2)]);
}

proptest! {
    /// With any replies a session ends, has at most one QUIT, and sends no response without a challenge.
    #[test]
    fn every_session_ends(
        codes in proptest::collection::vec(
            prop_oneof![Just(220), Just(250), Just(334), Just(235), Just(354), 200..600],
            0..40,
        ),
    ) {
        let script = Script { credentials: credentials(Mechanism::Login), ..script() };
        let (mut dialogue, mut action) = Dialogue::begin(&script);
        let (mut quits, mut challenges, mut responses) = (0, 0, 0);
        for code in codes {
            match &action {
                Action::Close => break,
                Action::Quit => quits += 1,
                Action::Continue(_, command) => {
                    responses += 1;
                    dialogue.sending(command);
                }
                _ => {}
            }
            let (verdict, next) = dialogue.reply(&reply(&format!("{code} x")));
            challenges += usize::from(verdict == Verdict::Challenged);
            prop_assert!(responses <= challenges && challenges <= 2 && quits <= 1);
            action = next;
        }
    }
}
