//! What is looked at in a server's SCRAM message (RFC 5802, section 7) before rsasl gets it: rsasl would compute any
//! number of iterations, and panics at an attribute that is cut short.

use std::borrow::Cow;

use super::Violation;

/// Most iterations of PBKDF2 that are computed: the server chooses their number, and with 2^32 of them a core would be
/// busy for a quarter of an hour.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// A message that is none of this mechanism.
pub(super) const MALFORMED: Violation = Violation::Malformed("SCRAM-SHA-256");

/// A name or password by the SASLprep profile (RFC 4013), as RFC 5802, section 5.1 wants it; `None` if it has
/// characters that the profile prohibits, or if nothing is left of it.
pub fn prepared(text: &str) -> Option<Cow<'_, str>> {
    stringprep::saslprep(text).ok().filter(|prepared| !prepared.is_empty())
}

/// A name with its commas and equals signs escaped: `saslname` (RFC 5802, section 5.1). OAUTHBEARER has the same.
pub(super) fn escaped_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The nonce of a client-first-message.
pub(super) fn nonce_of(client_first: &[u8]) -> &[u8] {
    let is_nonce = |attribute: &&[u8]| attribute.starts_with(b"r=");
    client_first.split(|octet| *octet == b',').rfind(is_nonce).map_or(b"", |attribute| &attribute[2..])
}

/// The iteration count of a server-first-message, if the message may be given to rsasl.
pub(super) fn iterations(server_first: &[u8], client_nonce: &[u8]) -> Result<u32, Violation> {
    let attributes = attributes(server_first)?;
    let [(b'r', nonce), (b's', _), (b'i', count), ..] = attributes[..] else { return Err(MALFORMED) };
    if !nonce.starts_with(client_nonce) {
        return Err(Violation::ForeignNonce);
    }
    let digits = str::from_utf8(count).ok().filter(|count| count.bytes().all(|octet| octet.is_ascii_digit()));
    let count: u64 = digits.ok_or(MALFORMED)?.parse().unwrap_or(u64::MAX);
    match u32::try_from(count) {
        Ok(0) => Err(MALFORMED),
        Ok(count) if count <= MAX_ITERATIONS => Ok(count),
        _ => Err(Violation::TooManyIterations(count)),
    }
}

/// What a server-final-message is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal {
    /// It has a signature, for rsasl to verify.
    Signature,
    /// The server refuses the exchange, by this error.
    Error(String),
}

pub(super) fn server_final(message: &[u8]) -> Result<ServerFinal, Violation> {
    if message.is_empty() {
        return Err(Violation::MissingSignature);
    }
    match attributes(message)?[..] {
        [(b'v', _), ..] => Ok(ServerFinal::Signature),
        [(b'e', error), ..] => Ok(ServerFinal::Error(String::from_utf8_lossy(error).into_owned())),
        _ => Err(MALFORMED),
    }
}

/// `attr-val *("," attr-val)`, where an `attr-val` is a letter, `=`, and a value that is not empty.
fn attributes(message: &[u8]) -> Result<Vec<(u8, &[u8])>, Violation> {
    let attributes = message.split(|octet| *octet == b',').map(|attribute| match attribute {
        [name @ (b'a'..=b'z' | b'A'..=b'Z'), b'=', value @ ..] if !value.is_empty() => Ok((*name, value)),
        _ => Err(MALFORMED),
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_prepared() {
        for (text, expected) in [
            ("user", Some("user")),
            ("I\u{ad}X", Some("IX")),
            ("\u{2168}", Some("IX")),
            ("\u{a0}a", Some(" a")),
            ("\u{ad}", None),
            ("\u{7}", None),
            ("\u{627}1", None),
        ] {
            assert_eq!(prepared(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(escaped_name("a,b=c"), "a=2Cb=3Dc");
    }

    #[test]
    fn a_server_first_message_is_looked_at_before_any_work() {
        for (message, expected) in [
            ("r=oursTheirs,s=c2FsdA==,i=4096", Ok(4096)),
            ("r=oursTheirs,s=c2FsdA==,i=1000000,x=y", Ok(1_000_000)),
            ("r=oursTheirs,s=c2FsdA==,i=1000001", Err(Violation::TooManyIterations(1_000_001))),
            ("r=oursTheirs,s=c2FsdA==,i=4294967295", Err(Violation::TooManyIterations(u32::MAX.into()))),
            ("r=oursTheirs,s=c2FsdA==,i=99999999999999999999", Err(Violation::TooManyIterations(u64::MAX))),
            ("r=theirs,s=c2FsdA==,i=4096", Err(Violation::ForeignNonce)),
            ("r=oursTheirs,s=c2FsdA==,i=0", Err(MALFORMED)),
            ("r=oursTheirs,s=c2FsdA==,i=-1", Err(MALFORMED)),
            ("r=oursTheirs,s=c2FsdA==,i=+1", Err(MALFORMED)),
            ("r=oursTheirs,s=c2FsdA==,i=", Err(MALFORMED)),
            ("r=oursTheirs,s=c2FsdA==,i", Err(MALFORMED)),
            ("r=oursTheirs,s", Err(MALFORMED)),
            ("m=ext,r=oursTheirs,s=c2FsdA==,i=4096", Err(MALFORMED)),
            ("r=oursTheirs,i=4096,s=c2FsdA==", Err(MALFORMED)),
            ("", Err(MALFORMED)),
        ] {
            assert_eq!(iterations(message.as_bytes(), b"ours"), expected, "{message}");
        }
        let unread = Violation::TooManyIterations(u64::MAX).to_string();
        assert!(unread.contains("asks for more than 1000000 iterations"), "{unread}");
        assert_eq!(nonce_of(b"n,a=r=2C,n=user,r=rOprNGfwEbeRWgbNEkqO"), b"rOprNGfwEbeRWgbNEkqO");
    }

    #[test]
    fn a_server_final_message_is_a_signature_or_an_error() {
        for (message, expected) in [
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", Ok(ServerFinal::Signature)),
            ("e=invalid-proof", Ok(ServerFinal::Error("invalid-proof".to_owned()))),
            ("", Err(Violation::MissingSignature)),
            ("v", Err(MALFORMED)),
            ("v=", Err(MALFORMED)),
            ("x=y", Err(MALFORMED)),
        ] {
            assert_eq!(server_final(message.as_bytes()), expected, "{message}");
        }
    }
}
