//! Private keys as PEM: why one cannot be used, in the words of every interface.

/// What is wrong with an encrypted key: an error text without its subject.
pub const ENCRYPTED_KEY: &str = "is encrypted; what is needed is a key without a passphrase";

/// What is wrong with a key that rustls cannot use: an error text without its subject, with all that it can use.
pub const UNUSABLE_KEY: &str = "is no valid key of a supported kind: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or \
                                P-521, or Ed25519";

/// Whether a PEM text has an encrypted key: of PKCS #8 (RFC 5958, section 3), or in OpenSSL's old form (RFC 1421,
/// section 4.6.1.1).
pub fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("\nProc-Type: 4,ENCRYPTED")
}
