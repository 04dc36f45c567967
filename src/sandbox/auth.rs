//! AUTH PLAIN (RFC 4616) and AUTH LOGIN, the server's side, for one user.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::wire::Reply;
use crate::secret::Secret;

/// The only user of the sandbox.
pub const USER: &str = "probe";

/// The password of [`USER`]. It protects nothing. No other text of the sandbox contains it, because a report masks it
/// everywhere.
pub const PASSWORD: &str = "open sesame";

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

impl Mechanism {
    /// The mechanism of this name, or the reply of RFC 4954, section 4.
    pub(super) fn named(name: &str) -> Result<Self, Reply> {
        match name.to_ascii_uppercase().as_str() {
            "PLAIN" => Ok(Self::Plain),
            "LOGIN" => Ok(Self::Login),
            _ => Err("504 5.5.4 Unrecognized authentication type".into()),
        }
    }
}

/// A client's credentials. `Debug` does not show the password: someone may try a real one here.
#[derive(Debug)]
pub(super) struct Credentials {
    /// The authorization identity; PLAIN only.
    authorization: String,
    user: String,
    password: Secret,
}

impl Credentials {
    /// From the message of PLAIN: `authzid NUL authcid NUL passwd`.
    pub(super) fn plain(message: &Secret) -> Result<Self, Reply> {
        let mut parts = message.expose().split('\0');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(authorization), Some(user), Some(password), None) => Ok(Self {
                authorization: authorization.to_owned(),
                user: user.to_owned(),
                password: Secret::new(password.to_owned()),
            }),
            _ => Err("501 5.5.2 Malformed PLAIN message".into()),
        }
    }

    /// From the two responses of LOGIN.
    pub(super) fn login(user: &Secret, password: Secret) -> Self {
        Self { authorization: String::new(), user: user.expose().to_owned(), password }
    }

    /// Whether they are those of [`USER`], acting for itself.
    pub(super) fn are_valid(&self) -> bool {
        self.user == USER && self.password.expose() == PASSWORD && ["", USER].contains(&self.authorization.as_str())
    }
}

/// Decodes a client's response: `=` is an empty initial response, `*` cancels the exchange (RFC 4954, section 4).
pub(super) fn decode(response: &str) -> Result<Secret, Reply> {
    match response {
        "*" => Err("501 5.7.0 Authentication cancelled".into()),
        "=" => Ok(Secret::new(String::new())),
        _ => STANDARD
            .decode(response)
            .ok()
            .and_then(|octets| String::from_utf8(octets).ok())
            .map(Secret::new)
            .ok_or_else(|| "501 5.5.2 Cannot decode the response".into()),
    }
}

/// The 334 reply with this challenge.
pub(super) fn challenge(text: &str) -> String {
    format!("334 {}", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_accepts_one_user() {
        for (message, known) in [
            ("\0probe\0open sesame", Some(true)),
            ("probe\0probe\0open sesame", Some(true)),
            ("root\0probe\0open sesame", Some(false)),
            ("\0probe\0Open sesame", Some(false)),
            ("\0\0", Some(false)),
            ("probe\0open sesame", None),
            ("\0probe\0open sesame\0", None),
            ("", None),
        ] {
            let credentials = Credentials::plain(&Secret::new(message.to_owned()));
            assert_eq!(credentials.ok().map(|c| c.are_valid()), known, "{message:?}");
        }
    }

    #[test]
    fn responses_are_decoded() {
        assert_eq!(decode("=").map(|s| s.expose().len()), Ok(0));
        assert_eq!(decode("").map(|s| s.expose().len()), Ok(0));
        assert!(decode("cHJvYmU=").is_ok_and(|s| s.expose() == USER));
        for (refused, code) in [("*", "501 5.7.0"), ("!", "501 5.5.2"), ("/w==", "501 5.5.2")] {
            assert!(decode(refused).is_err_and(|reply| reply.starts_with(code)));
        }
        assert_eq!(challenge("Username:"), "334 VXNlcm5hbWU6");
        assert_eq!(challenge("Password:"), "334 UGFzc3dvcmQ6");
    }
}
