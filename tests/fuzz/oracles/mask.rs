//! The mask: no form of a secret is left in the server's replies.

use base64::{Engine, engine::general_purpose::STANDARD};
use smtp_check::{
    secret::{MASK, Mask, Secret},
    smtp::{
        Credentials, Mechanism, MechanismChoice,
        sasl::{Exchange, Next, Response},
    },
};

/// `data` is three texts, separated by LF: the password, the user, and what the server sends.
pub fn mask(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (password, user, other) = (part(), part(), part());
    let is_masked = password.chars().count() >= 4;
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer] {
        let credentials = Credentials {
            mechanism: MechanismChoice::Only(mechanism),
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
            authorization_id: String::new(),
            initial_response: false,
        };
        // The parser of a check refuses names that a mechanism cannot send.
        let Some(response) = secret_response(&credentials, mechanism) else { continue };
        let (mask, response) = (response.mask(), response.line());
        // Alone, between other text, and inside encoded text.
        let echoes = [
            other.to_owned(),
            format!("{other}{password}{other}"),
            format!("{other} {}", response.expose()),
            STANDARD.encode(format!("{other}{password}{user}")),
        ];
        if is_masked {
            let wrapped = wrapped(response.expose(), other.len() % 9);
            let shown = mask.apply(&wrapped).replace(WRAP, "");
            assert_no_part(password, response.expose(), &shown);
        }
        for echo in &echoes {
            let shown = mask.apply(echo);
            if is_masked {
                assert_hidden(password, echo, &shown);
                assert_no_part(password, response.expose(), &shown);
            } else {
                assert_eq!(shown, *echo, "too short to be looked for");
            }
        }
    }
    assert_eq!(Mask::default().apply(other), other, "nothing is hidden where there is no secret");
}

/// The response that bears the password.
fn secret_response(credentials: &Credentials, mechanism: Mechanism) -> Option<Response> {
    let mut exchange = Exchange::new(credentials, mechanism);
    while let Next::Respond(response) = exchange.challenge(Some("")) {
        if response.bears().is_secret() {
            return Some(response);
        }
    }
    None
}

/// The start of the next line of a reply.
const WRAP: &str = "\n5.7.8 ";

/// Broken into lines of this many characters.
fn wrapped(text: &str, characters: usize) -> String {
    let characters = characters + 1;
    let lines = text.as_bytes().chunks(characters).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join(WRAP)
}

/// No eight consecutive characters of the base64, and no six of the password with a digit or a sign among them.
fn assert_no_part(password: &str, response: &str, shown: &str) {
    let response: Vec<char> = response.trim_end_matches('=').chars().collect();
    for part in response.windows(8) {
        let part: String = part.iter().collect();
        assert!(!shown.contains(&part), "{part:?}, a part of the response, is shown: {shown:?}");
    }
    let password: Vec<char> = password.chars().collect();
    for part in password.windows(6) {
        // White space is ignored, and a mask in place of one part can complete another.
        let is_sought = part.iter().any(|c| !c.is_alphabetic()) && !part.iter().any(|c| c.is_whitespace() || *c == '*');
        let part: String = part.iter().collect();
        assert!(!is_sought || !shown.contains(&part), "{part:?}, a part of the password, is shown: {shown:?}");
    }
}

fn assert_hidden(password: &str, echo: &str, shown: &str) {
    assert!(!shown.contains(password), "{password:?} is shown of {echo:?}: {shown:?}");
    for run in shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/') {
        for start in 0..run.len().min(4) {
            let run = &run[start..];
            let whole = &run[..run.len() - run.len() % 4];
            let Ok(decoded) = STANDARD.decode(whole) else { continue };
            let holds = decoded.windows(password.len()).any(|window| window == password.as_bytes());
            assert!(!holds, "{password:?} is shown in base64 of {echo:?}: {shown:?}");
        }
    }
    assert!(shown == echo || shown.contains(MASK), "what is hidden is seen to be");
}
