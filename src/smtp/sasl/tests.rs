//! Exchanges as tables: the server's challenges, and the client's responses.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{exchange::Refusal, *};

fn credentials(mechanism: Mechanism, authorization_id: &str) -> Credentials {
    Credentials {
        mechanism: MechanismChoice::Only(mechanism),
        user: "tim".to_owned(),
        password: Secret::new("tanstaaftanstaaf".to_owned()),
        authorization_id: authorization_id.to_owned(),
        initial_response: false,
    }
}

/// The responses to these challenges.
fn responses(credentials: &Credentials, mechanism: Mechanism, challenges: &[&str]) -> Vec<String> {
    let mut exchange = Exchange::new(credentials, mechanism);
    let responses = challenges.iter().map(|challenge| match exchange.challenge(Some(challenge)) {
        Next::Respond(response) => response.line().expose().to_owned(),
        next => panic!("{next:?}"),
    });
    responses.collect()
}

fn decoded(response: &str) -> String {
    String::from_utf8(STANDARD.decode(response).expect("base64")).expect("UTF-8")
}

#[test]
fn plain_is_as_in_rfc_4616() {
    let responses = |id| responses(&credentials(Mechanism::Plain, id), Mechanism::Plain, &["anything"]);
    assert_eq!(responses(""), ["AHRpbQB0YW5zdGFhZnRhbnN0YWFm"]);
    assert_eq!(responses("boss"), ["Ym9zcwB0aW0AdGFuc3RhYWZ0YW5zdGFhZg=="]);
}

#[test]
fn login_is_user_then_password() {
    let credentials = credentials(Mechanism::Login, "ignored");
    let responses = responses(&credentials, Mechanism::Login, &["VXNlcm5hbWU6", "not base64"]);
    assert_eq!(responses, ["dGlt", "dGFuc3RhYWZ0YW5zdGFhZg=="]);
}

#[test]
fn cram_md5_is_as_in_rfc_2195() {
    let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    let responses = responses(&credentials(Mechanism::CramMd5, ""), Mechanism::CramMd5, &[challenge]);
    assert_eq!(responses, ["dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"]);
}

#[test]
fn tokens_are_as_in_rfc_7628_and_in_googles_document() {
    let (user, token) = ("user@example.com".to_owned(), "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==");
    let with_id = |mechanism, id: &str| Credentials {
        user: user.clone(),
        password: Secret::new(token.to_owned()),
        ..credentials(mechanism, id)
    };
    for (mechanism, id, expected) in [
        (Mechanism::OAuthBearer, "", "n,a=user@example.com,\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
        (Mechanism::OAuthBearer, "a,b=c", "n,a=a=2Cb=3Dc,\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
        (Mechanism::XOAuth2, "ignored", "user=user@example.com\u{1}auth=Bearer TOKEN\u{1}\u{1}"),
    ] {
        let response = responses(&with_id(mechanism, id), mechanism, &[""]).remove(0);
        assert_eq!(decoded(&response), expected.replace("TOKEN", token), "{mechanism:?}");
    }
}

#[test]
fn a_refused_token_is_answered_as_the_mechanism_wants() {
    for (mechanism, line) in [(Mechanism::XOAuth2, ""), (Mechanism::OAuthBearer, "AQ==")] {
        // The document of RFC 7628, section 4.3.
        let document = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIn0=";
        for (challenge, refusal) in [
            (document, Refusal::Document(r#"{"status":"invalid_token","scope":"example_scope"}"#.to_owned())),
            ("e30", Refusal::Unreadable(3)),
            ("", Refusal::Unreadable(0)),
        ] {
            let mut exchange = Exchange::new(&credentials(mechanism, ""), mechanism);
            assert!(exchange.initial_response().is_some() && exchange.accepted().is_ok());
            let Next::Refused(said, response) = exchange.challenge(Some(challenge)) else { panic!("{challenge}") };
            assert_eq!((said, response.line().expose()), (refusal, line), "{mechanism:?} {challenge}");
            assert_eq!(exchange.accepted(), Err(Violation::AcceptedAfterRefusal));
            assert!(matches!(exchange.challenge(Some(challenge)), Next::Exhausted));
        }
    }
}

#[test]
fn scram_begins_with_escaped_names() {
    for (user, id, expected) in
        [("user", "", "n,,n=user,r="), ("a,b=c", "boss=", "n,a=boss=3D,n=a=2Cb=3Dc,r="), ("\u{2168}", "", "n,,n=IX,r=")]
    {
        let credentials = Credentials { user: user.to_owned(), ..credentials(Mechanism::ScramSha256, id) };
        let first = || decoded(&responses(&credentials, Mechanism::ScramSha256, &[""])[0]);
        let (one, other) = (first(), first());
        assert!(one.starts_with(expected), "{one}");
        assert!(one != other && one.len() >= expected.len() + 18, "a nonce of its own: {one}");
    }
}

#[test]
fn only_mechanisms_in_which_the_client_begins_have_an_initial_response() {
    for (mechanism, has_one) in [
        (Mechanism::Plain, true),
        (Mechanism::Login, false),
        (Mechanism::CramMd5, false),
        (Mechanism::ScramSha256, true),
        (Mechanism::XOAuth2, true),
        (Mechanism::OAuthBearer, true),
    ] {
        let mut exchange = Exchange::new(&credentials(mechanism, ""), mechanism);
        assert_eq!(exchange.initial_response().is_some(), has_one, "{mechanism:?}");
        assert!(exchange.initial_response().is_none(), "once");
    }
}

#[test]
fn every_secret_of_a_response_is_masked() {
    for mechanism in
        [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::XOAuth2, Mechanism::OAuthBearer]
    {
        let credentials = credentials(mechanism, "");
        let mut exchange = Exchange::new(&credentials, mechanism);
        if mechanism == Mechanism::Login {
            exchange.challenge(Some(""));
        }
        let Next::Respond(response) = exchange.challenge(Some("")) else { panic!("a response") };
        let line = response.line().expose();
        let echo = |text: &str| response.mask().apply(&format!("unknown command {text}"));
        assert_eq!(echo(line), "unknown command ***", "{mechanism:?}");
        assert_eq!(echo(&line[line.len() - 12..]), "unknown command ***", "{mechanism:?}");
        assert_eq!(echo(credentials.password.expose()), "unknown command ***", "{mechanism:?}");
        if mechanism == Mechanism::CramMd5 {
            let digest = decoded(line).split_off("tim ".len());
            assert_eq!(echo(&digest), "unknown command ***");
        }
        assert!(!format!("{response:?} {exchange:?} {credentials:?}").contains("tanst"));
    }
}

/// A message that a server of SCRAM could send, or nearly.
fn scram_message() -> impl Strategy<Value = String> {
    let attribute = prop_oneof!["[a-z]=[!-~]{0,9}", "[rsivem]=?", Just("i=4096".to_owned()), "\\PC{0,5}"];
    prop_oneof![
        proptest::collection::vec(attribute, 0..5).prop_map(|attributes| attributes.join(",")),
        any::<Vec<u8>>().prop_map(|octets| String::from_utf8_lossy(&octets).into_owned()),
    ]
}

proptest! {
    /// Nothing that a server sends makes an exchange panic, and it ends.
    #[test]
    fn any_challenge_is_taken(messages in proptest::collection::vec(scram_message(), 0..6), whole in any::<bool>()) {
        for mechanism in [
            Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::ScramSha256, Mechanism::XOAuth2,
            Mechanism::OAuthBearer,
        ] {
            let mut exchange = Exchange::new(&credentials(mechanism, ""), mechanism);
            let mut nonce = String::new();
            for message in &messages {
                let message = message.replacen("r=", &format!("r={nonce}"), 1);
                let encoded = STANDARD.encode(&message);
                let mut next = exchange.challenge(Some(if whole { &encoded } else { &message }));
                if let Next::Compute(work) = next {
                    next = exchange.computed(work.run());
                }
                if let Next::Respond(response) = next {
                    let text = decoded(response.line().expose());
                    nonce = text.rsplit("r=").next().unwrap_or_default().to_owned();
                }
            }
            prop_assert!(!matches!(exchange.challenge(None), Next::Compute(_)));
        }
    }
}
