//! [`Client`]: a mechanism of rsasl, with the credentials of one check.

use std::fmt;

use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    config::SASLConfig,
    mechname::Mechname,
    prelude::{SASLClient, Session, SessionError},
    property::{AuthId, AuthzId, OAuthBearerToken, Password},
};
use zeroize::Zeroizing;

use super::Mechanism;
use crate::secret::Secret;

/// Octets of a message for which memory is taken at once: a message that outgrew it would leave copies behind.
const MESSAGE_SIZE: usize = 512;

/// What the mechanisms ask for.
pub(super) struct Identity {
    pub(super) user: String,
    /// The password or the token.
    pub(super) password: Secret,
    /// Empty for none.
    pub(super) authorization_id: String,
}

impl SessionCallback for Identity {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        let password = self.password.expose();
        request
            .satisfy::<AuthId>(&self.user)?
            .satisfy::<Password>(password.as_bytes())?
            .satisfy::<OAuthBearerToken>(password)?;
        if !self.authorization_id.is_empty() {
            request.satisfy::<AuthzId>(&self.authorization_id)?;
        }
        Ok(())
    }
}

/// A mechanism of rsasl.
pub(super) struct Client(Session);

impl Client {
    /// The mechanism at its begin; `None` if rsasl does not have it.
    pub(super) fn new(mechanism: Mechanism, identity: Identity) -> Option<Self> {
        let config = SASLConfig::builder().with_defaults().with_callback(identity);
        let name = Mechname::parse(mechanism.name().as_bytes()).ok()?;
        SASLClient::new(config.ok()?).start_suggested(&[name]).ok().map(Self)
    }

    /// The next message. A client that had an error must not be asked for another one.
    pub(super) fn step(&mut self, challenge: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let mut message = Zeroizing::new(Vec::with_capacity(MESSAGE_SIZE));
        self.0.step(challenge, &mut *message)?;
        Ok(message)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
