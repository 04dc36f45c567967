//! TLS alerts by their registered names (RFC 8446, section 6).

use std::fmt;

use tokio_rustls::rustls::AlertDescription;

/// An alert from the server. Its `Display` is the name in IANA's registry, such as `handshake_failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub(super) AlertDescription);

#[cfg(test)]
impl Alert {
    pub(crate) const HANDSHAKE_FAILURE: Self = Self(AlertDescription::HandshakeFailure);
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // rustls has other names for these two.
            AlertDescription::UnrecognisedName => f.write_str("unrecognized_name"),
            AlertDescription::EncryptedClientHelloRequired => f.write_str("ech_required"),
            alert => match alert.as_str() {
                Some(name) => f.write_str(&in_snake_case(name)),
                None => write!(f, "number {}", u8::from(alert)),
            },
        }
    }
}

/// `UnknownCA` as `unknown_ca`.
pub(super) fn in_snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && letters[at - 1].is_lowercase();
        let before_small = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_their_iana_names() {
        let names = [
            (0, "close_notify"),
            (20, "bad_record_mac"),
            (40, "handshake_failure"),
            (48, "unknown_ca"),
            (70, "protocol_version"),
            (71, "insufficient_security"),
            (112, "unrecognized_name"),
            (113, "bad_certificate_status_response"),
            (115, "unknown_psk_identity"),
            (116, "certificate_required"),
            (121, "ech_required"),
            (255, "number 255"),
        ];
        for (number, name) in names {
            assert_eq!(Alert(AlertDescription::from(number)).to_string(), name);
        }
    }
}
