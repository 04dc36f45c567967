//! AUTH that ends before the password is sent, as a table.

use super::{auth::auth, *};

/// A session in AUTH after this many challenges. The last command or response is written, or not.
fn in_auth(script: &Script, challenges: usize, is_written: bool) -> Dialogue<'_> {
    let (mut dialogue, _) = Dialogue::begin(script);
    dialogue.reply(&reply("220 hi"));
    let (_, mut next) = dialogue.reply(&reply("250 mx"));
    for challenge in 0..=challenges {
        let (Action::Begin(_, command) | Action::Continue(_, command)) = next else { panic!("{next:?}") };
        if challenge < challenges || is_written {
            dialogue.sending(&command);
        }
        if challenge == challenges {
            break;
        }
        (_, next) = dialogue.reply(&reply("334 PDFAbXg+"));
    }
    dialogue
}

/// Mechanism, initial response, challenges, whether the last line of the client is written; and the last step with
/// whether the user name was sent, where the password was not.
#[test]
fn an_early_end_is_told_at_each_point_of_each_mechanism() {
    use AuthStep::{Challenged, None as Unsent, Sent};
    use Mechanism::{CramMd5, Login, OAuthBearer, Plain, ScramSha256, XOAuth2};
    let mut rows = vec![
        (Login, false, 0, false, Some((Unsent, false))),
        (Login, false, 0, true, Some((Sent, false))),
        (Login, false, 1, false, Some((Challenged, false))),
        (Login, false, 1, true, Some((Sent, true))),
        (Login, false, 2, false, Some((Challenged, true))),
        (Login, false, 2, true, None),
        (CramMd5, false, 0, true, Some((Sent, false))),
        (CramMd5, false, 1, false, Some((Challenged, false))),
        (CramMd5, false, 1, true, None),
        (ScramSha256, false, 0, true, Some((Sent, false))),
        (ScramSha256, false, 1, false, Some((Challenged, false))),
        (ScramSha256, false, 1, true, Some((Sent, true))),
        (ScramSha256, true, 0, true, Some((Sent, true))),
    ];
    for mechanism in [Plain, XOAuth2, OAuthBearer] {
        rows.extend([
            (mechanism, false, 0, false, Some((Unsent, false))),
            (mechanism, false, 0, true, Some((Sent, false))),
            (mechanism, false, 1, false, Some((Challenged, false))),
            (mechanism, false, 1, true, None),
            (mechanism, true, 0, false, Some((Unsent, false))),
            (mechanism, true, 0, true, None),
        ]);
    }
    for (mechanism, initial, challenges, is_written, expected) in rows {
        let script = auth(MechanismChoice::Only(mechanism), initial);
        let ended = |by: EndedBy| {
            let mut dialogue = in_auth(&script, challenges, is_written);
            match by {
                EndedBy::Reply(code) => assert_eq!(dialogue.reply(&reply(&code.to_string())).0, Verdict::Rejected),
                by => dialogue.auth_broke_off(by == EndedBy::Close),
            }
            dialogue.warnings().to_vec()
        };
        let [closing, refusal] = ["421", "535"].map(|code| EndedBy::Reply(reply(code).code()));
        for by in [closing, refusal, EndedBy::Close, EndedBy::Other] {
            let warning = expected.map(|(after, has_user_name)| {
                let is_open = mechanism.has_initial_response() && !initial && (after, has_user_name) == (Sent, false);
                let could_be_initial = [closing, refusal].contains(&by) && is_open;
                Warning::EndedEarly(EarlyEnd { by, after, has_user_name, could_be_initial })
            });
            let point = format!("{mechanism:?} {initial} {challenges} {is_written} {by:?}");
            assert_eq!(ended(by), Vec::from_iter(warning), "{point}");
        }
    }
}

#[test]
fn an_early_end_is_told_by_what_was_seen() {
    use AuthStep::{Challenged, None as Unsent, Sent};
    let reply = |code: &str| EndedBy::Reply(reply(code).code());
    let nothing = "no credential was sent, so";
    for (by, after, has_user_name, text) in [
        (
            reply("535"),
            Sent,
            false,
            format!(
                "the server ended AUTH (535) before it asked for user name or password: {nothing} the reply tells nothing \
                 about them"
            ),
        ),
        (
            reply("421"),
            Challenged,
            false,
            format!(
                "the server ended AUTH (421) before the challenge was answered: {nothing} the reply tells nothing about them"
            ),
        ),
        (
            reply("421"),
            Unsent,
            false,
            format!(
                "the server ended the session (421) before AUTH was sent: {nothing} the reply tells nothing about them"
            ),
        ),
        (
            EndedBy::Close,
            Challenged,
            true,
            "the server closed the connection after the user name and before the next challenge was answered: the password was \
             not sent, so that tells nothing about it"
                .to_owned(),
        ),
        (
            EndedBy::Other,
            Sent,
            true,
            "AUTH broke off after the user name and before the server asked for the password: the password was not sent, so \
             that tells nothing about it"
                .to_owned(),
        ),
        (
            EndedBy::Other,
            Unsent,
            false,
            format!("the session broke off before AUTH was sent: {nothing} that tells nothing about them"),
        ),
    ] {
        let warning = EarlyEnd { by, after, has_user_name, could_be_initial: false };
        assert_eq!(warning.to_string(), text);
    }
}

/// A challenge that cannot be answered.
#[test]
fn a_broken_rule_before_the_password_is_an_early_end() {
    let (_, verdicts, warnings) =
        run(auth(MechanismChoice::Only(Mechanism::CramMd5), false), &["220 hi", "250 mx", "334 !"]);
    let (after, has_user_name) = (AuthStep::Challenged, false);
    let early = EarlyEnd { by: EndedBy::Other, after, has_user_name, could_be_initial: false };
    assert_eq!((verdicts[2], warnings), (Verdict::Spoiled, vec![Warning::EndedEarly(early)]));
}
