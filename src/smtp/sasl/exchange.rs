//! [`Exchange`]: one AUTH exchange, the client's side. A challenge goes in, the response comes out. No socket, no
//! clock.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use rsasl::prelude::SessionError;
use zeroize::Zeroizing;

use super::{
    Bears, Credentials, Mechanism, Response, Violation,
    client::{Client, Identity},
    cram_md5,
    scram::{self, ServerFinal},
    token,
};
use crate::secret::{Mask, Secret};

/// What follows on a challenge.
#[derive(Debug)]
pub enum Next {
    /// This response.
    Respond(Response),
    /// Work that takes long; [`Exchange::computed`] tells what follows on it.
    Compute(Box<Work>),
    /// The server refuses the credentials, and ends AUTH once it has this response.
    Refused(Refusal, Response),
    /// The server broke the rules of the mechanism.
    Violated(Violation),
    /// No response: the mechanism has no more of them.
    Exhausted,
}

/// What a server says in a challenge by which it refuses the credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A JSON document, the token masked.
    #[error("the server refused the token: {0}")]
    Document(String),
    /// Something else, of this size in base64. It is not shown: it may hold the token.
    #[error("the server refused the token by a challenge of {0} octets that is no JSON object")]
    Unreadable(usize),
    /// An error of SCRAM (RFC 5802, section 7).
    #[error("the server ended SCRAM-SHA-256 with the error {0:?}")]
    Scram(String),
}

/// The step of SCRAM that derives keys from the password, as often as the server wants it.
#[derive(Debug)]
pub struct Work {
    client: Client,
    server_first: Vec<u8>,
}

/// The result of [`Work`].
#[derive(Debug)]
pub struct Computed {
    client: Client,
    client_final: Zeroizing<Vec<u8>>,
}

impl Work {
    /// Does it: up to a second of one core. `None` if the server's message has an error that was not seen before.
    pub fn run(mut self) -> Option<Computed> {
        let client_final = self.client.step(Some(&self.server_first)).ok()?;
        Some(Computed { client: self.client, client_final })
    }
}

/// One AUTH exchange.
pub struct Exchange {
    mechanism: Mechanism,
    user: String,
    password: Secret,
    /// `None` for CRAM-MD5, while [`Work`] is done, and after an error.
    client: Option<Client>,
    /// How many responses are made.
    responses: usize,
    /// The nonce of SCRAM's client-first-message.
    nonce: Vec<u8>,
    iterations: Option<u32>,
    /// The server's signature is verified.
    is_proven: bool,
    is_refused: bool,
    /// What is masked once the last response was sent.
    mask: Mask,
}

impl Exchange {
    /// The state before the first response.
    pub fn new(credentials: &Credentials, mechanism: Mechanism) -> Self {
        Self {
            mechanism,
            user: credentials.user.clone(),
            password: credentials.password.clone(),
            client: Client::new(mechanism, identity(credentials, mechanism)),
            responses: 0,
            nonce: Vec::new(),
            iterations: None,
            is_proven: false,
            is_refused: false,
            mask: Mask::default(),
        }
    }

    /// How many iterations of PBKDF2 the server asked for.
    pub fn iterations(&self) -> Option<u32> {
        self.iterations
    }

    /// Whether the server's signature is verified: it sends one only where the client's proof is right.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// The response to go out with AUTH; `None` if the mechanism has none.
    pub fn initial_response(&mut self) -> Option<Response> {
        if !self.mechanism.has_initial_response() || self.responses > 0 {
            return None;
        }
        match self.client_first() {
            Next::Respond(response) => Some(response),
            _ => None,
        }
    }

    /// What follows on a 334 reply with this text; `None` for a text that is not kept whole.
    pub fn challenge(&mut self, text: Option<&str>) -> Next {
        let next = match (self.mechanism, self.responses) {
            // Servers differ in what these challenges say, and it does not matter.
            (Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::XOAuth2 | Mechanism::OAuthBearer, 0) => {
                Ok(self.client_first())
            }
            (Mechanism::Login, 0) => Ok(self.step(None, Bears::UserName)),
            (Mechanism::Login, 1) => Ok(self.step(None, Bears::Password)),
            (Mechanism::CramMd5, 0) => decoded(text).map(|challenge| self.cram_md5(&challenge)),
            (Mechanism::ScramSha256, 1) => decoded(text).and_then(|message| self.server_first(message)),
            (Mechanism::ScramSha256, 2) => decoded(text).and_then(|message| self.server_final(&message)),
            (Mechanism::XOAuth2, 1) => Ok(self.token_refused(text, Response::empty())),
            (Mechanism::OAuthBearer, 1) => Ok(self.token_refused(text, Response::new(Bears::Nothing, b"\x01"))),
            _ => Ok(Next::Exhausted),
        };
        next.unwrap_or_else(Next::Violated)
    }

    /// What follows on the work that was done; `None` if it failed.
    pub fn computed(&mut self, computed: Option<Computed>) -> Next {
        let Some(Computed { client, client_final }) = computed else { return Next::Violated(scram::MALFORMED) };
        self.client = Some(client);
        let proof = client_final.rsplit(|octet| *octet == b',').next().and_then(|last| last.strip_prefix(b"p="));
        let proof = Secret::new(String::from_utf8_lossy(proof.unwrap_or_default()).into_owned());
        self.respond(Bears::Proof, &client_final, &[&proof])
    }

    /// Whether the server may accept AUTH at this point, after the credentials were sent.
    ///
    /// # Errors
    /// The server has not proved what the mechanism wants of it, or has refused the credentials before.
    pub fn accepted(&self) -> Result<(), Violation> {
        match self.mechanism {
            Mechanism::ScramSha256 if !self.is_proven => Err(Violation::MissingSignature),
            _ if self.is_refused => Err(Violation::AcceptedAfterRefusal),
            _ => Ok(()),
        }
    }

    /// The first message of a mechanism in which the client sends it.
    fn client_first(&mut self) -> Next {
        self.step(None, if self.mechanism == Mechanism::ScramSha256 { Bears::UserName } else { Bears::Password })
    }

    fn step(&mut self, challenge: Option<&[u8]>, bears: Bears) -> Next {
        let message = self.client_step(challenge);
        let Ok(message) = message else { return Next::Violated(Violation::Unsendable(self.mechanism.name())) };
        if self.mechanism == Mechanism::ScramSha256 {
            self.nonce = scram::nonce_of(&message).to_vec();
        }
        self.respond(bears, &message, &[])
    }

    /// The next message of rsasl. After an error there is no further one: rsasl would panic.
    fn client_step(&mut self, challenge: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let mut client = self.client.take().ok_or(SessionError::MechanismDone)?;
        let message = client.step(challenge)?;
        self.client = Some(client);
        Ok(message)
    }

    fn cram_md5(&mut self, challenge: &[u8]) -> Next {
        let digest = cram_md5::digest(&self.password, challenge);
        let message = Zeroizing::new(format!("{} {}", self.user, digest.expose()));
        self.respond(Bears::Proof, message.as_bytes(), &[&digest])
    }

    fn server_first(&mut self, message: Vec<u8>) -> Result<Next, Violation> {
        let iterations = scram::iterations(&message, &self.nonce);
        self.iterations = match iterations {
            Err(Violation::TooManyIterations(count)) => u32::try_from(count).ok(),
            ref iterations => iterations.ok(),
        };
        iterations?;
        let client = self.client.take().ok_or(scram::MALFORMED)?;
        Ok(Next::Compute(Box::new(Work { client, server_first: message })))
    }

    fn server_final(&mut self, message: &[u8]) -> Result<Next, Violation> {
        self.responses += 1;
        if let ServerFinal::Error(error) = scram::server_final(message)? {
            self.is_refused = true;
            return Ok(Next::Refused(Refusal::Scram(self.mask.apply(&error)), Response::empty()));
        }
        self.client_step(Some(message)).map_err(|_| Violation::WrongSignature)?;
        self.is_proven = true;
        Ok(Next::Respond(Response::empty()))
    }

    fn token_refused(&mut self, text: Option<&str>, response: Response) -> Next {
        self.responses += 1;
        self.is_refused = true;
        let document = decoded(text).ok().and_then(|document| token::shown(&document, &self.mask));
        let refusal = document.map_or_else(|| Refusal::Unreadable(text.map_or(0, str::len)), Refusal::Document);
        Next::Refused(refusal, response)
    }

    /// The response `message`; `derived` are secrets that are made of the password.
    fn respond(&mut self, bears: Bears, message: &[u8], derived: &[&Secret]) -> Next {
        self.responses += 1;
        let response = Response::new(bears, message);
        let response = if bears.is_secret() {
            let secrets: Vec<&Secret> = std::iter::once(&self.password).chain(derived.iter().copied()).collect();
            response.masking(&secrets)
        } else if self.mechanism == Mechanism::ScramSha256 {
            response.masked_whole()
        } else {
            response
        };
        self.mask = response.mask().clone();
        let hides = bears.is_secret() && !matches!(self.mechanism, Mechanism::Plain | Mechanism::Login);
        Next::Respond(if hides { response.hiding_challenges() } else { response })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({}, {} responses)", self.mechanism.name(), self.responses)
    }
}

/// The names and the password in the form that the mechanism wants.
fn identity(credentials: &Credentials, mechanism: Mechanism) -> Identity {
    let Credentials { user, password, authorization_id, .. } = credentials;
    match mechanism {
        // What cannot be prepared is no parameter of a check.
        Mechanism::ScramSha256 => Identity {
            user: scram::prepared(user).map_or_else(|| user.clone(), Into::into),
            password: scram::prepared(password.expose()).map_or_else(|| password.clone(), |it| Secret::new(it.into())),
            authorization_id: authorization_id.clone(),
        },
        // rsasl does not escape it.
        Mechanism::OAuthBearer => {
            let identity = if authorization_id.is_empty() { user } else { authorization_id };
            Identity { user: user.clone(), password: password.clone(), authorization_id: scram::escaped_name(identity) }
        }
        _ => Identity { user: user.clone(), password: password.clone(), authorization_id: authorization_id.clone() },
    }
}

fn decoded(text: Option<&str>) -> Result<Vec<u8>, Violation> {
    STANDARD.decode(text.ok_or(Violation::TooLong)?.trim()).map_err(|_| Violation::NotBase64)
}
