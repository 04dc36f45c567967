//! [`Response`]: a client's response to a challenge, and what it bears.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::secret::{Mask, Secret};

/// How much of the credentials a response bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bears {
    /// None of them.
    Nothing,
    /// The user name.
    UserName,
    /// A proof that the client knows the password. The password cannot be read from it.
    Proof,
    /// The password or the token.
    Password,
}

impl Bears {
    /// Whether a server learns from it if the password is right.
    pub fn is_secret(self) -> bool {
        self >= Self::Proof
    }
}

/// A response to a 334 challenge, or an initial response (RFC 4954, section 4).
#[derive(Clone, Debug)]
pub struct Response {
    line: Secret,
    bears: Bears,
    mask: Mask,
    hides_challenges: bool,
}

impl Response {
    /// The response `message`, before base64.
    pub(in crate::smtp) fn new(bears: Bears, message: &[u8]) -> Self {
        Self { line: Secret::new(STANDARD.encode(message)), bears, mask: Mask::default(), hides_challenges: false }
    }

    /// The empty line: it answers a challenge that needs no answer.
    pub(super) fn empty() -> Self {
        Self::new(Bears::Nothing, b"")
    }

    /// The response; an echo of its whole line is masked once it was sent.
    pub(super) fn masked_whole(self) -> Self {
        Self { mask: Mask::whole(&self.line), ..self }
    }

    /// The response; an echo of these secrets and of its line, or of a part of them, is masked once it was sent.
    pub(super) fn masking(self, secrets: &[&Secret]) -> Self {
        let mask = secrets.iter().fold(Mask::default(), |mask, secret| mask.and(&Mask::of(secret)));
        Self { mask: mask.and_base64(self.line.expose()), ..self }
    }

    /// The response; the challenges that come after it are shown by their size only.
    pub(super) fn hiding_challenges(self) -> Self {
        Self { hides_challenges: true, ..self }
    }

    /// The line in base64, without CR LF.
    pub fn line(&self) -> &Secret {
        &self.line
    }

    /// How much of the credentials it bears.
    pub fn bears(&self) -> Bears {
        self.bears
    }

    /// What is to be masked in the server's replies from the moment that this is sent. Not before: a server could put
    /// guesses into its greeting, and the report would tell by the masked ones which are right.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Whether the challenges that come after it are shown by their size only: they may hold the token in a form that
    /// no mask knows, or the signature by which a password can be guessed.
    pub fn hides_challenges(&self) -> bool {
        self.hides_challenges
    }
}
