//! The policy (RFC 8461, section 3.2): lines of `key: value`.

use std::fmt;

use serde::Serialize;

use super::{Fault, Note, Pattern};
use crate::mail_dns::txt::shorten;

/// Largest policy that is read, in octets (RFC 8461, section 3.3, suggests it).
pub const MAX_POLICY_SIZE: usize = 65_536;
/// Longest life of a policy, in seconds (RFC 8461, section 3.2).
pub const MAX_AGE: u32 = 31_557_600;
/// One day, in seconds: a policy that lives shorter is gone when mail is sent once a day. RFC 8461, section 3.2,
/// expects weeks.
pub const SHORT_MAX_AGE: u32 = 86_400;
/// Faults, and notes, that are kept of one policy.
const MAX_FAULTS: usize = 32;

/// What senders do where the policy is not met (RFC 8461, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They do not deliver.
    Enforce,
    /// They deliver and report.
    Testing,
    /// There is no policy any more.
    None,
}

impl Mode {
    fn parse(value: &str) -> Option<Self> {
        [Self::Enforce, Self::Testing, Self::None].into_iter().find(|mode| mode.as_str() == value)
    }

    /// The word in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What senders do where it is not met.
    pub mode: Mode,
    /// Hosts that may take the mail; empty only with mode none.
    pub mx: Vec<Pattern>,
    /// In seconds.
    pub max_age: u32,
}

/// A policy as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyText {
    /// The mode, if it is a valid one.
    pub mode: Option<Mode>,
    /// The valid ones.
    pub mx: Vec<Pattern>,
    /// In seconds, also if it is too large.
    pub max_age: Option<u64>,
    /// At most 32. With one, senders have no policy.
    pub faults: Vec<Fault>,
    /// At most 32. Senders ignore these lines.
    pub notes: Vec<Note>,
}

/// Which keys were there, valid or not.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    version: bool,
    mode: bool,
    max_age: bool,
    mx: bool,
}

/// Why a valid policy protects little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Mode testing.
    #[error("mode testing: mail goes out although the policy is not met")]
    Testing,
    /// Mode none.
    #[error("mode none: there is no policy in force")]
    None,
    /// RFC 8461, section 3.2.
    #[error("max_age {0} is less than a day")]
    ShortMaxAge(u32),
}

impl PolicyText {
    /// Reads the body that the policy host served.
    pub fn parse(body: &[u8]) -> Self {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let mut policy = Self::default();
        if body.len() > MAX_POLICY_SIZE {
            policy.faults.push(Fault::TooLarge(body.len()));
            return policy;
        }
        let body = match body.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => {
                policy.faults.push(Fault::ByteOrderMark);
                rest
            }
            None => body,
        };
        let mut seen = Seen::default();
        for (index, line) in body.strip_suffix(b"\n").unwrap_or(body).split(|octet| *octet == b'\n').enumerate() {
            policy.read_line(index + 1, line.strip_suffix(b"\r").unwrap_or(line), &mut seen);
        }
        policy.missing(seen);
        policy
    }

    fn read_line(&mut self, line: usize, text: &[u8], seen: &mut Seen) {
        let text = trim_end(text);
        if text.is_empty() {
            return self.note(Note::EmptyLine(line));
        }
        let Some((key, value)) = split(text) else {
            return self.fault(Fault::Syntax { line, text: shorten(&String::from_utf8_lossy(text)) });
        };
        match key {
            "version" if seen.version => self.duplicate(line, key),
            "version" => {
                seen.version = true;
                if value != "STSv1" {
                    self.fault(Fault::Version { line, value: shorten(value) });
                }
            }
            "mode" if seen.mode => self.duplicate(line, key),
            "mode" => {
                seen.mode = true;
                self.mode = Mode::parse(value);
                if self.mode.is_none() {
                    self.fault(Fault::Mode { line, value: shorten(value) });
                }
            }
            "max_age" if seen.max_age => self.duplicate(line, key),
            "max_age" => {
                seen.max_age = true;
                self.read_max_age(line, value);
            }
            "mx" => {
                seen.mx = true;
                match value.parse() {
                    Ok(pattern) => self.mx.push(pattern),
                    Err(fault) => self.fault(Fault::Mx { line, value: shorten(value), fault }),
                }
            }
            _ => self.note(Note::UnknownKey { line, key: shorten(key) }),
        }
    }

    fn read_max_age(&mut self, line: usize, value: &str) {
        const MAX_DIGITS: usize = 10;
        let is_number = (1..=MAX_DIGITS).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
        match value.parse().ok().filter(|_| is_number) {
            None => self.fault(Fault::MaxAge { line, value: shorten(value) }),
            Some(seconds) => {
                self.max_age = Some(seconds);
                if seconds > u64::from(MAX_AGE) {
                    self.fault(Fault::MaxAgeTooLarge { line, value: seconds });
                }
            }
        }
    }

    fn missing(&mut self, seen: Seen) {
        let missing = [
            (seen.version, Fault::NoVersion),
            (seen.mode, Fault::NoMode),
            (seen.max_age, Fault::NoMaxAge),
            (seen.mx || self.mode == Some(Mode::None), Fault::NoMx),
        ];
        self.faults.extend(missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, fault)| fault));
    }

    fn duplicate(&mut self, line: usize, key: &str) {
        self.note(Note::Duplicate { line, key: key.to_owned() });
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes.len() < MAX_FAULTS {
            self.notes.push(note);
        }
    }

    /// The policy, if it is valid.
    pub fn policy(&self) -> Option<Policy> {
        let max_age = u32::try_from(self.max_age?).ok()?;
        let policy = Policy { mode: self.mode?, mx: self.mx.clone(), max_age };
        self.faults.is_empty().then_some(policy)
    }
}

impl Policy {
    /// The first pattern that a host matches (RFC 8461, section 4.1).
    pub fn matched_by(&self, host: &str) -> Option<usize> {
        self.mx.iter().position(|pattern| pattern.matches(host))
    }

    /// Patterns that none of the hosts matches.
    pub fn unused(&self, hosts: &[&str]) -> Vec<&Pattern> {
        self.mx.iter().filter(|pattern| !hosts.iter().any(|host| pattern.matches(host))).collect()
    }

    /// Why the policy protects little.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let mode = match self.mode {
            Mode::Enforce => None,
            Mode::Testing => Some(Weakness::Testing),
            Mode::None => Some(Weakness::None),
        };
        let is_short = self.max_age < SHORT_MAX_AGE && self.mode != Mode::None;
        mode.into_iter().chain(is_short.then_some(Weakness::ShortMaxAge(self.max_age))).collect()
    }
}

impl fmt::Display for Policy {
    /// The policy to serve, with CRLF line ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version: STSv1\r\nmode: {}\r\n", self.mode.as_str())?;
        for pattern in &self.mx {
            write!(f, "mx: {pattern}\r\n")?;
        }
        write!(f, "max_age: {}\r\n", self.max_age)
    }
}

/// The key and the value of a line. The key has no white space around it.
fn split(text: &[u8]) -> Option<(&str, &str)> {
    const MAX_KEY_SIZE: usize = 32;
    let (key, value) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let value = value.trim_start_matches([' ', '\t']);
    let is_key = key.len() <= MAX_KEY_SIZE
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'));
    (is_key && !value.contains(|c: char| c.is_ascii_control())).then_some((key, value))
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |last| last + 1);
    &text[..end]
}
