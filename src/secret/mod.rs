//! Where secrets are kept: a string that cannot be printed, and the masking of what a server echoes.

mod fragments;

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use fragments::Fragments;

/// A secret string: no `Display`, no `Serialize`, a `Debug` that shows nothing, and memory that is wiped on drop.
///
/// [`Secret::expose`] is the only way to its text; searching for that word finds every place that reads a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for the wire, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Shorter secrets are not looked for in the server's words: masking every `a` would hide the server's words, and protect nothing.
const SHORTEST_MASKED: usize = 4;

/// Takes the secrets of one check out of text that came from the server, so that an echo of them goes no further.
#[derive(Clone, Default)]
pub struct Mask {
    /// What is hidden wherever it stands whole.
    needles: Vec<Zeroizing<String>>,
    fragments: Fragments,
}

impl Mask {
    /// A mask for one secret: its text, its base64, and its base64 at any place inside a longer encoded string (as AUTH PLAIN's
    /// `authzid NUL user NUL password` has it).
    pub fn of(secret: &Secret) -> Self {
        let text = secret.expose();
        if text.chars().count() < SHORTEST_MASKED {
            return Self::default();
        }
        let mask = Self { needles: vec![Zeroizing::new(text.to_owned())], fragments: Fragments::of(text) };
        let cores = (0..3).map(|offset| base64_core(text.as_bytes(), offset));
        cores.fold(mask.and_base64(&STANDARD.encode(text)), |mask, core| mask.and_base64(&core))
    }

    /// The mask, and this text of base64 in which the secret is. Of it nothing is left, not even the bits that the secret shares
    /// with its neighbours. A secret too short to be masked is so here as well.
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

    /// The text with [`MASK`] where a secret stood, or a part of one that is no accident.
    pub fn apply(&self, text: &str) -> String {
        if self.needles.is_empty() {
            return text.to_owned();
        }
        let mut masked = self.fragments.masked(text);
        // A mask in place of one form may complete another, if the secret has asterisks.
        while let Some(needle) = self.needles.iter().find(|needle| masked.contains(needle.as_str())) {
            masked = without(&masked, needle);
        }
        masked
    }
}

/// The text with [`MASK`] where `needle`, which is longer, stood. A mask that forms a needle with what is beside it goes the same way.
fn without(text: &str, needle: &str) -> String {
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

/// The characters of base64 that `bytes` alone decide when `offset` (modulo three) other bytes stand before them.
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
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Mask::of(&secret)), "Secret(***) Mask(***)");
    }

    #[test]
    fn short_secrets_are_left_alone() {
        assert_eq!(Mask::of(&Secret::new("abc".to_owned())).apply("abc YWJj"), "abc YWJj");
    }

    #[test]
    fn a_mask_and_its_neighbours_are_no_secret() {
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
        fn no_echo_survives(before in "[a-z]{0,7}", secret in "[!-~]{4,20}", after in "[a-z]{0,7}") {
            let mask = Mask::of(&Secret::new(secret.clone()));
            let plain = format!("{before} {secret} {after}");
            prop_assert!(!mask.apply(&plain).contains(&secret));
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(mask.apply(&encoded).contains(MASK), "{encoded}");
        }
    }
}
