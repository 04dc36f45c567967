//! Sessions of a check that expects other replies than the usual ones.

use super::{super::super::Expectations, *};

fn expecting(phase: Phase, code: &str) -> Option<Box<Expectations>> {
    let mut expect = Expectations::default();
    let place = match phase {
        Phase::Banner => &mut expect.banner,
        Phase::Ehlo => &mut expect.ehlo,
        Phase::StartTls => &mut expect.starttls,
        Phase::SaslAuth => &mut expect.sasl_auth,
        Phase::MailFrom => &mut expect.mailfrom,
        Phase::RcptTo => &mut expect.rcptto,
        Phase::Data => &mut expect.data,
        _ => &mut expect.body,
    };
    *place = Some(Expectation { code: vec![code.parse().expect("a code")], ..Expectation::default() });
    Some(Box::new(expect))
}

#[test]
fn an_expected_reply_decides_in_place_of_the_usual_one() {
    let good = ["220 hi", "250 mx", "220 go", "tls", "250 mx", "334", "235 ok", "250 ok", "250 ok", "354 go", "250 ok"];
    let (quit, reset, close) = ("quit: QUIT", "RSET, quit: QUIT", "close");
    let (yes, no) = (|is_ok| Verdict::AsExpected { is_ok }, |is_ok| Verdict::Unexpected { is_ok });
    for (phase, at, expected, answer, verdict, next) in [
        (Phase::Banner, 0, "5xx", "554 go away", yes(false), quit),
        (Phase::Banner, 0, "5xx", "220 hi", no(true), quit),
        (Phase::Banner, 0, "2xx", "220 hi", yes(true), "ehlo: EHLO noit.local"),
        (Phase::Ehlo, 1, "5xx", "250 mx", no(true), quit),
        (Phase::Ehlo, 1, "4xx", "421 busy", yes(false), quit),
        (Phase::StartTls, 2, "4xx", "454 later", yes(false), quit),
        (Phase::StartTls, 2, "454", "220 go", no(true), close),
        (Phase::StartTls, 2, "454", "500 what", no(false), quit),
        (Phase::StartTls, 2, "2xx", "220 go", yes(true), "handshake"),
        // No other reply begins a handshake.
        (Phase::StartTls, 2, "2xx", "250 ok", yes(false), quit),
        (Phase::SaslAuth, 6, "535", "535 wrong", yes(false), quit),
        (Phase::SaslAuth, 6, "535", "235 welcome", no(true), quit),
        (Phase::SaslAuth, 6, "535", "334 more", no(false), close),
        (Phase::MailFrom, 7, "5xx", "550 no", yes(false), quit),
        (Phase::MailFrom, 7, "5xx", "250 ok", no(true), reset),
        (Phase::MailFrom, 7, "5xx", "450 later", no(false), quit),
        (Phase::RcptTo, 8, "5xx", "554 relay access denied", yes(false), quit),
        (Phase::RcptTo, 8, "5xx", "250 ok", no(true), reset),
        (Phase::RcptTo, 8, "5xx", "450 later", no(false), reset),
        (Phase::RcptTo, 8, "5xx", "421 later", no(false), quit),
        (Phase::RcptTo, 8, "2xx", "252 perhaps", yes(true), "data: DATA"),
        (Phase::RcptTo, 8, "250", "251 will forward", no(true), reset),
        (Phase::Data, 9, "5xx", "354 go", no(true), close),
        (Phase::Data, 9, "5xx", "451 later", no(false), reset),
        (Phase::Data, 9, "2xx", "250 ok", yes(false), quit),
        (Phase::Body, 10, "5xx", "250 ok", no(true), quit),
        (Phase::Body, 10, "552", "552 too large", yes(false), quit),
        (Phase::Body, 10, "2xx", "552 too large", no(false), quit),
    ] {
        let credentials = credentials(Mechanism::Plain);
        let script =
            Script { start_tls: StartTls::Required, credentials, expect: expecting(phase, expected), ..script() };
        let (actions, verdicts, _) = run(script, &[&good[..at], &[answer]].concat());
        let last = actions.last().map(String::as_str);
        assert_eq!((verdicts.last(), last), (Some(&verdict), Some(next)), "{phase}: {expected}, {answer}");
    }
}

#[test]
fn a_235_that_comes_too_early_is_never_as_expected() {
    let credentials = credentials(Mechanism::Plain);
    let script = Script { credentials, expect: expecting(Phase::SaslAuth, "2xx"), ..script() };
    let (actions, verdicts, warnings) = run(script, &["220 hi", "250 mx", "235 welcome"]);
    assert_eq!(verdicts.last(), Some(&Verdict::Unexpected { is_ok: false }));
    assert_eq!(warnings, [Warning::AcceptedWithoutPassword]);
    assert_eq!(actions.last().map(String::as_str), Some("quit: QUIT"));
}
