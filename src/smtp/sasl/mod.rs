//! AUTH (RFC 4954): [`Credentials`], the SASL mechanisms, and [`Exchange`], the client's side of one exchange.
//!
//! - [`exchange`]: a mechanism as a state machine: a challenge goes in, the response comes out.
//! - [`response`]: [`Response`], what it bears, and what is masked once it was sent.
//! - [`violation`]: [`Violation`], how a server can break the rules of a mechanism.
//! - `client`: the mechanisms of rsasl. `cram_md5`: the one that it lacks.
//! - [`scram`]: what is looked at in a server's SCRAM message before rsasl gets it.
//! - `token`: the document by which a server refuses a token.

mod client;
mod cram_md5;
pub mod exchange;
pub mod response;
pub mod scram;
mod token;
pub mod violation;

use strum::IntoStaticStr;

pub use exchange::{Exchange, Next};
pub use response::{Bears, Response};
pub use violation::Violation;

use crate::secret::Secret;

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Mechanism {
    /// PLAIN (RFC 4616): one response, `authzid NUL authcid NUL password`.
    Plain,
    /// LOGIN (draft-murchison-sasl-login): user name and password, each on its own challenge.
    Login,
    /// CRAM-MD5 (RFC 2195): a digest of password and challenge.
    #[strum(serialize = "CRAM-MD5")]
    CramMd5,
    /// SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
    #[strum(serialize = "SCRAM-SHA-256")]
    ScramSha256,
    /// XOAUTH2 (Google's, before RFC 7628): an access token.
    XOAuth2,
    /// OAUTHBEARER (RFC 7628): an access token.
    OAuthBearer,
}

impl Mechanism {
    /// The argument of AUTH.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the client sends the first message, which can then go out with AUTH (RFC 4954, section 4).
    pub fn has_initial_response(self) -> bool {
        !matches!(self, Self::Login | Self::CramMd5)
    }

    /// Whether it can send an authorization identity.
    pub fn has_authorization_id(self) -> bool {
        matches!(self, Self::Plain | Self::ScramSha256 | Self::OAuthBearer)
    }

    /// Whether it sends the password or the token itself, which anybody on the way can read without TLS.
    pub fn shows_password(self) -> bool {
        !matches!(self, Self::CramMd5 | Self::ScramSha256)
    }
}

/// The mechanism of a check, or how to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MechanismChoice {
    /// This one, whatever the server offers.
    Only(Mechanism),
    /// The first of [`Self::AUTO`] that the server offers. Without TLS, none that shows the password.
    Auto,
}

impl MechanismChoice {
    /// What [`Self::Auto`] chooses from, the best first.
    pub const AUTO: [Mechanism; 4] = [Mechanism::ScramSha256, Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login];

    /// The mechanism; `None` where the server's offer decides.
    pub fn named(self) -> Option<Mechanism> {
        match self {
            Self::Only(mechanism) => Some(mechanism),
            Self::Auto => None,
        }
    }

    /// Whether it can be a mechanism for which `is` holds.
    pub fn can_be(self, is: impl Fn(Mechanism) -> bool) -> bool {
        match self {
            Self::Only(mechanism) => is(mechanism),
            Self::Auto => Self::AUTO.into_iter().any(is),
        }
    }
}

/// A user's name and password or token, and how to send them.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The mechanism.
    pub mechanism: MechanismChoice,
    /// The authentication identity.
    pub user: String,
    /// The password; the access token of [`Mechanism::XOAuth2`] and [`Mechanism::OAuthBearer`].
    pub password: Secret,
    /// The authorization identity, where the mechanism has one; empty for that of the user.
    pub authorization_id: String,
    /// Send the first response with AUTH, where the mechanism has one.
    pub initial_response: bool,
}

/// What a report tells of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslFacts {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The first response went out with AUTH.
    pub initial_response: bool,
    /// How many iterations of PBKDF2 the server asked for (RFC 5802, section 5.1); `None` where it did not.
    pub iterations: Option<u32>,
    /// The signature of the server was right (RFC 5802, section 3): it took the proof of the password.
    pub is_server_proven: bool,
}

#[cfg(test)]
mod tests;
