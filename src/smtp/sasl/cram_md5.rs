//! CRAM-MD5 (RFC 2195), which rsasl does not have.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use md5::Md5;

use crate::secret::Secret;

/// The digest of the challenge with the password as the key, in lower-case hexadecimal.
pub(super) fn digest(password: &Secret, challenge: &[u8]) -> Secret {
    let mut mac = Hmac::<Md5>::new_from_slice(password.expose().as_bytes()).expect("HMAC takes a key of any size");
    mac.update(challenge);
    let mut hexadecimal = String::with_capacity(32);
    for octet in mac.finalize().into_bytes() {
        write!(hexadecimal, "{octet:02x}").expect("writing to a string does not fail");
    }
    Secret::new(hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_rfc_2195() {
        let password = Secret::new("tanstaaftanstaaf".to_owned());
        let digest = digest(&password, b"<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(digest.expose(), "b913a602c7eda7a495b4e6e7334d3890");
    }
}
