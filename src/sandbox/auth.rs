//! AUTH PLAIN (RFC 4616) and AUTH LOGIN, the server's side, for the one user there is.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::wire::Reply;
use crate::secret::Secret;

/// The one user of the sandbox.
pub const USER: &str = "probe";

/// The password of [`USER`]. No secret: it opens nothing. No other word of the sandbox contains it, since a report masks it
/// wherever it stands.
pub const PASSWORD: &str = "open sesame";

/// The mechanisms offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

impl Mechanism {
    /// The mechanism of this name, or the refusal of RFC 4954, section 4.
    pub(super) fn named(name: &str) -> Result<Self, Reply> {
        match name.to_ascii_uppercase().as_str() {
            "PLAIN" => Ok(Self::Plain),
            "LOGIN" => Ok(Self::Login),
            _ => Err("504 5.5.4 Unrecognized authentication type".into()),
        }
    }
}

/// Who a client says it is. Its `Debug` shows no password: someone may try a real one here.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Whom to act for; PLAIN only.
    authorization: String,
    user: String,
    password: Secret,
}

impl Credentials {
    /// The one message of PLAIN: `authzid NUL authcid NUL passwd`.
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

    /// The two answers of LOGIN.
    pub(super) fn login(user: &Secret, password: Secret) -> Self {
        Self { authorization: String::new(), user: user.expose().to_owned(), password }
    }

    /// Whether they are those of the one user, acting for itself.
    pub(super) fn are_known(&self) -> bool {
        self.user == USER && self.password.expose() == PASSWORD && ["", USER].contains(&self.authorization.as_str())
    }
}

/// Decodes a client's response; `=` is an empty initial one (RFC 4954, section 4), `*` takes the exchange back.
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

/// A challenge as its 334 line.
pub(super) fn challenge(text: &str) -> String {
    format!("334 {}", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_knows_one_user() {
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
            assert_eq!(credentials.ok().map(|c| c.are_known()), known, "{message:?}");
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
