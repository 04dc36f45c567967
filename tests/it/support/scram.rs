//! [`Scram`]: the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677). Nothing of it is the program's.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A server that knows one password.
#[derive(Debug, Clone)]
pub(crate) struct Scram {
    pub(crate) password: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    /// What is appended to the client's nonce.
    pub(crate) nonce: String,
}

impl Scram {
    /// A server with this password, and the salt and the nonce of RFC 7677, section 3.
    pub(crate) fn new(password: &str, iterations: u32) -> Self {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        Self { password: password.to_owned(), salt, iterations, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned() }
    }

    /// The reply to the client's responses so far, in base64.
    pub(crate) fn reply(&self, responses: &[String]) -> String {
        let messages: Vec<String> = responses.iter().map(|response| decoded(response)).collect();
        match messages.as_slice() {
            [] => "334 ".to_owned(),
            [first] => challenge(&self.first(first)),
            [first, last] if self.proof(first, last) == attribute(last, "p=") => {
                challenge(&format!("v={}", self.signature(first, last)))
            }
            [_, _] => "535 5.7.8 Authentication credentials invalid".to_owned(),
            _ => "235 2.7.0 Authentication successful".to_owned(),
        }
    }

    /// The server-first-message.
    pub(crate) fn first(&self, client_first: &str) -> String {
        let (client, server) = (attribute(client_first, "r="), &self.nonce);
        format!("r={client}{server},s={},i={}", STANDARD.encode(&self.salt), self.iterations)
    }

    /// The proof of a client that knows the password.
    pub(crate) fn proof(&self, client_first: &str, client_final: &str) -> String {
        let client_key = self.key(b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = hmac_of(stored_key.as_ref(), self.auth_message(client_first, client_final).as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        STANDARD.encode(proof)
    }

    /// The signature by which a server shows that it knows the password.
    pub(crate) fn signature(&self, client_first: &str, client_final: &str) -> String {
        let message = self.auth_message(client_first, client_final);
        STANDARD.encode(hmac_of(&self.key(b"Server Key"), message.as_bytes()))
    }

    fn auth_message(&self, client_first: &str, client_final: &str) -> String {
        let bare = client_first.splitn(3, ',').last().unwrap_or_default();
        let without_proof = client_final.rsplit_once(",p=").map_or(client_final, |(before, _)| before);
        format!("{bare},{},{without_proof}", self.first(client_first))
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        let mut salted = [0; 32];
        let iterations = NonZeroU32::new(self.iterations).expect("at least one iteration");
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &self.salt, self.password.as_bytes(), &mut salted);
        hmac_of(&salted, name)
    }
}

/// A 334 reply with this message.
pub(crate) fn challenge(message: &str) -> String {
    format!("334 {}", STANDARD.encode(message))
}

/// The message of a response.
pub(crate) fn decoded(response: &str) -> String {
    String::from_utf8(STANDARD.decode(response).expect("base64")).expect("UTF-8")
}

fn hmac_of(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn attribute<'m>(message: &'m str, name: &str) -> &'m str {
    message.split(',').find_map(|attribute| attribute.strip_prefix(name)).unwrap_or_default()
}
