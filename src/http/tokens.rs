//! Bearer tokens (RFC 6750, section 2.1): their names, the file that lists their digests, and new tokens.

use std::{collections::HashSet, fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Every new token begins with this, so that secret scanners can find it in code and logs.
const PREFIX: &str = "smtpc_";

/// Random bytes in a new token. Nobody can try 2²⁵⁶ of them, so one round of SHA-256 without salt is enough, and failed
/// attempts are not counted.
const RANDOM_SIZE: usize = 32;

/// The name of a token. Logs and metrics show it as the caller.
///
/// 1 to 64 ASCII letters, digits, `.`, `_` and `-`: they need no escaping in a log line, a metric label or a shell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenName(Arc<str>);

/// The text cannot be a [`TokenName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name must be 1 to 64 of the letters A to Z and a to z, digits, `.`, `_` and `-`")]
pub struct TokenNameError;

impl TokenName {
    const MAX_LENGTH: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = TokenNameError;

    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(TokenNameError)
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 digest of a token. The token itself is never stored.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    fn of(token: &str) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Whether it is the digest of an empty text, with or without a line end.
    fn is_of_empty_text(&self) -> bool {
        ["", "\n", "\r\n"].into_iter().any(|empty| *self == Self::of(empty))
    }

    /// Parses 64 hexadecimal digits.
    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        if hex.len() != 2 * bytes.len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Does not show the digest: guesses of a weak token could be tested against it.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(***)")
    }
}

/// A new token.
#[derive(Debug)]
pub struct NewToken {
    /// The token itself, for its holder only.
    pub token: Secret,
    /// The line for the tokens file. It does not reveal the token.
    pub line: String,
}

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoRandomness;

impl NewToken {
    /// Generates a token with this name.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn generate(name: &TokenName) -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0; RANDOM_SIZE]);
        rand::fill(random.as_mut_slice()).map_err(|_| NoRandomness)?;
        let token = format!("{PREFIX}{}", Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice())).as_str());
        Ok(Self { line: format!("{name}:{}", Digest::of(&token)), token: Secret::new(token) })
    }
}

/// The tokens of a file: names and digests, no secrets.
#[derive(Clone, Debug)]
pub struct Tokens(Vec<Token>);

#[derive(Clone, Debug)]
struct Token {
    name: TokenName,
    digest: Digest,
}

/// What is wrong with a tokens file. No message repeats the text of a line: it may be a token, by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The line does not have the form `name:digest`.
    #[error("line {0}: must be `name:sha256-hex`, the digest in 64 hexadecimal digits")]
    Form(usize),
    /// The name is not a [`TokenName`].
    #[error("line {0}: {TokenNameError}")]
    Name(usize),
    /// The digest of an empty text, mostly of a shell variable that was not set. Every caller could send that token.
    #[error("line {0}: the digest is that of an empty token, which every caller could send")]
    EmptyToken(usize),
    /// The log tells callers apart by their names.
    #[error("line {0}: the name is already on an earlier line")]
    DuplicateName(usize),
    /// One token with two names: the log could show either.
    #[error("line {0}: the digest is already on an earlier line, under another name")]
    DuplicateDigest(usize),
    /// No request could pass.
    #[error("there is no token in it")]
    Empty,
}

impl FromStr for Tokens {
    type Err = TokensError;

    /// Parses one `name:sha256-hex` per line. Empty lines and lines that begin with `#` are skipped.
    fn from_str(text: &str) -> Result<Self, TokensError> {
        let lines =
            (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (mut names, mut digests, mut tokens) = (HashSet::new(), HashSet::new(), Vec::new());
        for (number, line) in lines {
            let token = Token::parse(line, number)?;
            if !names.insert(token.name.clone()) {
                return Err(TokensError::DuplicateName(number));
            }
            if !digests.insert(token.digest.clone()) {
                return Err(TokensError::DuplicateDigest(number));
            }
            tokens.push(token);
        }
        if tokens.is_empty() { Err(TokensError::Empty) } else { Ok(Self(tokens)) }
    }
}

impl Token {
    fn parse(line: &str, number: usize) -> Result<Self, TokensError> {
        let (name, digest) = line.split_once(':').ok_or(TokensError::Form(number))?;
        let digest = Digest::parse(digest.trim()).ok_or(TokensError::Form(number))?;
        if digest.is_of_empty_text() {
            return Err(TokensError::EmptyToken(number));
        }
        let name = name.trim().parse().map_err(|_| TokensError::Name(number))?;
        Ok(Self { name, digest })
    }
}

impl Tokens {
    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &TokenName> {
        self.0.iter().map(|token| &token.name)
    }

    /// The name of the presented token. Compares with all digests, each in constant time, so that the duration reveals
    /// nothing about any of them.
    fn owner(&self, presented: &str) -> Option<&TokenName> {
        // An empty token is never valid, not even if its digest is in the file.
        if presented.trim().is_empty() {
            return None;
        }
        let presented = Digest::of(presented);
        self.0.iter().fold(None, |found, token| match verify_slices_are_equal(&presented.0, &token.digest.0) {
            Ok(()) => Some(&token.name),
            Err(_) => found,
        })
    }
}

/// The tokens that are valid now. Clones share them.
#[derive(Clone, Debug)]
pub struct TokenStore(Arc<watch::Sender<Tokens>>);

impl TokenStore {
    /// A store with these tokens.
    pub fn new(tokens: Tokens) -> Self {
        Self(Arc::new(watch::Sender::new(tokens)))
    }

    /// Replaces all tokens, for the next request on. Requests that have passed the check are not checked again.
    pub fn replace(&self, tokens: Tokens) {
        self.0.send_replace(tokens);
    }

    pub(super) fn owner(&self, presented: &str) -> Option<TokenName> {
        self.0.borrow().owner(presented).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: &str = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8";
    const BETA: &str = "F44E64E75F3948E9F73F8DFA94721C4CE8CBB4F265C4790C702B2D41CFBF2753";

    #[test]
    fn a_token_name_needs_no_escaping() {
        for good in ["a", "monitoring", "team-7.eu_west", "0", "-", &"x".repeat(64)] {
            assert_eq!(good.parse::<TokenName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a:b", "a\"b", "a\n", "é", "a,b", "$x", "a/b", "{}", "\u{1b}[2J", &"x".repeat(65)] {
            assert_eq!(bad.parse::<TokenName>(), Err(TokenNameError), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_tokens_file_is_refused_with_its_line_number() {
        let read = |text: &str| text.parse::<Tokens>();
        let text = format!("# callers\none:{ALPHA}\n\n  two : {BETA} \r\n");
        let names: Vec<String> = read(&text).expect("good").names().map(ToString::to_string).collect();
        assert_eq!(names, ["one", "two"]);
        for (text, error) in [
            (String::new(), TokensError::Empty),
            ("# nothing\n".to_owned(), TokensError::Empty),
            ("\nsmtpc_by_mistake".to_owned(), TokensError::Form(2)),
            (format!("one:{}", &ALPHA[1..]), TokensError::Form(1)),
            (format!("one:{}g", &ALPHA[1..]), TokensError::Form(1)),
            (format!("one:+{}", &ALPHA[1..]), TokensError::Form(1)),
            (format!("one:{ALPHA}\ntwo two:{BETA}"), TokensError::Name(2)),
            (format!(":{ALPHA}"), TokensError::Name(1)),
            (format!("one:{ALPHA}\ntwo:{}", Digest::of("")), TokensError::EmptyToken(2)),
            (format!("one:{}", Digest::of("\n").to_string().to_uppercase()), TokensError::EmptyToken(1)),
            (format!("one:{}", Digest::of("\r\n")), TokensError::EmptyToken(1)),
            (format!("one:{ALPHA}\n\none:{BETA}"), TokensError::DuplicateName(3)),
            (format!("one:{ALPHA}\ntwo:{ALPHA}"), TokensError::DuplicateDigest(2)),
        ] {
            assert_eq!(read(&text).map(|_| ()), Err(error), "{text:?}");
            assert!(!error.to_string().contains("mistake"), "{error}");
        }
    }

    #[test]
    fn only_the_exact_token_has_an_owner() {
        let tokens: Tokens = format!("one:{ALPHA}\ntwo:{BETA}").parse().expect("good");
        assert_eq!(tokens.owner("alpha").map(TokenName::as_str), Some("one"));
        assert_eq!(tokens.owner("beta").map(TokenName::as_str), Some("two"));
        for unknown in ["", "alph", "alpha ", "Alpha", ALPHA] {
            assert_eq!(tokens.owner(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn an_empty_token_is_refused_even_if_the_file_has_it() {
        for blank in ["", " ", "\n", "\r\n", "\t \u{3000}"] {
            let token = Token { name: "one".parse().expect("a name"), digest: Digest::of(blank) };
            assert_eq!(Tokens(vec![token]).owner(blank), None, "{blank:?}");
        }
    }

    #[test]
    fn a_new_token_matches_its_own_line_only() {
        let name = "ci".parse().expect("a name");
        let [one, other] = [(); 2].map(|()| NewToken::generate(&name).expect("random bytes"));
        assert_ne!(one.token, other.token);
        let tokens: Tokens = one.line.parse().expect("a line");
        assert_eq!(tokens.owner(one.token.expose()), Some(&name));
        assert_eq!(tokens.owner(other.token.expose()), None);

        let random = one.token.expose().strip_prefix("smtpc_").expect("the prefix");
        assert_eq!(URL_SAFE_NO_PAD.decode(random).map(|bytes| bytes.len()), Ok(32));
        assert!(!format!("{one:?} {tokens:?}").contains(random));
    }
}
