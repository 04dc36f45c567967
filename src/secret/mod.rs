//! [`Secret`]: a string that cannot be printed. [`Mask`]: the masking of secrets in what a server sends.

mod fragments;

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use fragments::Fragments;

/// A secret string: no `Display`, no `Serialize`, a `Debug` without the text, and memory that is wiped on drop.
///
/// [`Secret::expose`] is the only access to the text. A search for that word finds every place that reads a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret with this text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text: only to be sent to the server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The text in place of a secret.
pub const MASK: &str = "***";

/// Shortest secret that is masked, in characters: to mask every `a` would hide the server's text and protect nothing.
const MIN_MASKED_LENGTH: usize = 4;

/// Masks the secrets of one check in text from the server, which may echo them.
#[derive(Clone, Default)]
pub struct Mask {
    /// Texts that are masked where they occur in full, the longest first.
    needles: Vec<Zeroizing<String>>,
    fragments: Fragments,
}

impl Mask {
    /// A mask for one secret: its text, its base64, and its base64 as part of a longer encoded string, such as AUTH
    /// PLAIN's `authzid NUL authcid NUL password` (RFC 4616, section 2).
    pub fn of(secret: &Secret) -> Self {
        let text = secret.expose();
        if text.chars().count() < MIN_MASKED_LENGTH {
            return Self::default();
        }
        let mask = Self { needles: vec![Zeroizing::new(text.to_owned())], fragments: Fragments::of(text) };
        let cores = (0..3).map(|offset| base64_core(text.as_bytes(), offset));
        cores.fold(mask.and_base64(&STANDARD.encode(text)), |mask, core| mask.and_base64(&core))
    }

    /// A mask for this text as a whole, not for its parts.
    pub fn whole(text: &Secret) -> Self {
        let text = text.expose();
        let needles =
            if text.chars().count() < MIN_MASKED_LENGTH { Vec::new() } else { vec![Zeroizing::new(text.to_owned())] };
        Self { needles, fragments: Fragments::default() }
    }

    /// A mask for what either of them masks.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.needles.extend(other.needles.iter().cloned());
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        self.fragments.extend(&other.fragments);
        self
    }

    /// The mask with one more text: base64 that contains the secret. It is masked in full, because its characters at
    /// the edges hold bits of the secret too. Does nothing if the secret is too short to be masked.
    #[must_use]
    pub fn and_base64(mut self, encoded: &str) -> Self {
        if !self.needles.is_empty() {
            let unpadded = encoded.trim_end_matches('=');
            self.needles.extend([encoded, unpadded].map(|needle| Zeroizing::new(needle.to_owned())));
            self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
            self.fragments.add_base64(encoded);
        }
        self
    }

    /// Whether it masks nothing.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether a secret is in this text, as a whole: a text of the caller's is not cut off.
    pub fn is_in(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// The text with [`MASK`] in place of each secret, and of each part of one that is too long to be a coincidence.
    pub fn apply(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let mut masked = self.fragments.masked(text);
        // If the secret has asterisks, a mask may complete another needle.
        while let Some(needle) = self.needles.iter().find(|needle| masked.contains(needle.as_str())) {
            masked = replace(&masked, needle);
        }
        masked
    }
}

/// The text with [`MASK`] in place of each `needle`, which is longer. A mask that forms a needle with the characters
/// beside it is replaced, too.
fn replace(text: &str, needle: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut characters = text.chars();
    let mut asterisks = 0;
    loop {
        if asterisks > 0 {
            asterisks -= 1;
            masked.push('*');
        } else if let Some(character) = characters.next() {
            masked.push(character);
        } else {
            return masked;
        }
        if masked.ends_with(needle) {
            masked.truncate(masked.len() - needle.len());
            asterisks += MASK.len();
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(***)")
    }
}

/// The characters of base64 that depend on `bytes` alone if `offset` other bytes (modulo three) come before them.
fn base64_core(bytes: &[u8], offset: usize) -> Zeroizing<String> {
    let mut padded = Zeroizing::new(vec![0; offset]);
    padded.extend_from_slice(bytes);
    let encoded = Zeroizing::new(STANDARD.encode(padded.as_slice()));
    let first = (offset * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    Zeroizing::new(encoded[first..end].to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Mask::of(&secret)), "Secret(***) Mask(***)");
    }

    #[test]
    fn short_secrets_are_not_masked() {
        assert_eq!(Mask::of(&Secret::new("abc".to_owned())).apply("abc YWJj"), "abc YWJj");
    }

    #[test]
    fn a_mask_that_forms_a_secret_is_replaced() {
        for (secret, echo, shown) in [
            ("****", "*****", "***"),
            ("a***", "aaaa***", "***"),
            ("**ab", "**abab ab", "**** ab"),
            ("ab**", "abab**", "****"),
        ] {
            assert_eq!(Mask::of(&Secret::new(secret.to_owned())).apply(echo), shown, "{secret}");
        }
    }

    proptest! {
        #[test]
        fn every_echo_is_masked(before in "[a-z]{0,7}", secret in "[!-~]{4,20}", after in "[a-z]{0,7}") {
            let mask = Mask::of(&Secret::new(secret.clone()));
            let plain = format!("{before} {secret} {after}");
            prop_assert!(!mask.apply(&plain).contains(&secret));
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(mask.apply(&encoded).contains(MASK), "{encoded}");
        }
    }
}
