//! [`Credentials`] for AUTH (RFC 4954) and their responses to the server's challenges.

use base64::{Engine, engine::general_purpose::STANDARD};
use strum::IntoStaticStr;

use crate::secret::{Mask, Secret};

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Mechanism {
    /// PLAIN (RFC 4616): one response, `authzid NUL authcid NUL password`.
    Plain,
    /// LOGIN (draft-murchison-sasl-login): user name and password, each on its own challenge.
    Login,
}

impl Mechanism {
    /// The argument of AUTH.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether a reader of the session learns the password.
    pub fn shows_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
        }
    }
}

/// A user's name and password, and the mechanism to send them with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The authentication identity.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The authorization identity, for [`Mechanism::Plain`] only; empty for that of the user.
    pub authorization_id: String,
}

impl Credentials {
    /// The responses to the server's 334 challenges, in order, in base64.
    ///
    /// There is no initial response (RFC 4954, section 4): the first one is for the server's first challenge.
    pub fn responses(&self) -> Vec<Secret> {
        let encode = |text: &str| Secret::new(STANDARD.encode(text));
        let password = self.password.expose();
        match self.mechanism {
            Mechanism::Plain => {
                let message = Secret::new(format!("{}\0{}\0{password}", self.authorization_id, self.user));
                vec![encode(message.expose())]
            }
            Mechanism::Login => vec![encode(&self.user), encode(password)],
        }
    }

    /// Whether this response contains the password.
    pub fn is_password_response(&self, response: &Secret) -> bool {
        self.responses().last() == Some(response)
    }

    /// The mask that removes the password from the server's replies, once it was sent.
    pub fn mask(&self) -> Mask {
        let mask = Mask::of(&self.password);
        match self.responses().last() {
            Some(response) => mask.and_base64(response.expose()),
            None => mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responses(mechanism: Mechanism, authorization_id: &str) -> Vec<String> {
        let credentials = Credentials {
            mechanism,
            user: "tim".to_owned(),
            password: Secret::new("tanstaaftanstaaf".to_owned()),
            authorization_id: authorization_id.to_owned(),
        };
        credentials.responses().iter().map(|response| response.expose().to_owned()).collect()
    }

    #[test]
    fn plain_is_as_in_rfc_4616() {
        assert_eq!(responses(Mechanism::Plain, ""), ["AHRpbQB0YW5zdGFhZnRhbnN0YWFm"]);
        assert_eq!(responses(Mechanism::Plain, "boss"), ["Ym9zcwB0aW0AdGFuc3RhYWZ0YW5zdGFhZg=="]);
    }

    #[test]
    fn login_is_user_then_password() {
        assert_eq!(responses(Mechanism::Login, "ignored"), ["dGlt", "dGFuc3RhYWZ0YW5zdGFhZg=="]);
    }

    #[test]
    fn the_response_is_masked() {
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            let credentials = Credentials {
                mechanism,
                user: "user".to_owned(),
                password: Secret::new("correct horse".to_owned()),
                authorization_id: String::new(),
            };
            let last = credentials.responses().pop().expect("a response");
            let echo = credentials.mask().apply(&format!("unknown command {}", last.expose()));
            assert_eq!(echo, "unknown command ***");
        }
    }
}
