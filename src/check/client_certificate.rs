//! [`ClientCertificate`]: a certificate chain and its key, shown to a server that asks for a client certificate.

use std::fmt;

use zeroize::Zeroizing;

/// A client certificate of the operator's, by the name that checks use for it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    name: String,
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl ClientCertificate {
    /// A chain in DER, the client's own certificate first, and its private key in DER (PKCS #8, PKCS #1 or SEC 1).
    /// Whether they can be used is not verified here: [`crate::tls::client_certificate`] does that.
    pub fn new(name: String, chain: Vec<Vec<u8>>, key: Zeroizing<Vec<u8>>) -> Self {
        Self { name, chain, key }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificates in DER, the client's own first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The private key in DER: only to sign with.
    pub fn expose_key(&self) -> &[u8] {
        &self.key
    }
}

/// By its name alone.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_shown() {
        let key = Zeroizing::new(b"hunter2".to_vec());
        let certificate = ClientCertificate::new("partner".to_owned(), vec![b"chain".to_vec()], key);
        assert_eq!(format!("{certificate:?}"), "ClientCertificate(\"partner\")");
    }
}
