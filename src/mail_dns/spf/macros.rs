//! Macro strings of SPF (RFC 7208, section 7), in the names that a record asks for.

use std::{fmt, net::IpAddr};

/// Longest name that is asked for, in octets, without the last dot.
const MAX_NAME: usize = 253;

/// Text with macros, as it stands in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroString {
    text: String,
    parts: Vec<Part>,
    ends_in_macro: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expand(Expand),
}

/// `%{…}` (RFC 7208, section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expand {
    letter: char,
    /// The letter is in upper case: the value is escaped as in a URI.
    is_escaped: bool,
    /// How many of the right-most parts are kept.
    keep: Option<usize>,
    is_reversed: bool,
    delimiters: String,
}

/// What is wrong in a macro string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacroFault {
    /// Neither `{`, `%`, `_` nor `-` after `%`.
    #[error("\"%\" that begins no macro")]
    Percent,
    /// No closing brace.
    #[error("a macro without \"}}\"")]
    NotClosed,
    /// Another letter than those of RFC 7208, section 7.2.
    #[error("macro letter \"{0}\" is not known")]
    Letter(char),
    /// `c`, `r` or `t` in a name.
    #[error("macro letter \"{0}\" is for explanations only")]
    ExplanationOnly(char),
    /// The number of parts is 0.
    #[error("a macro that keeps no part of its value")]
    ZeroParts,
    /// Neither digits, `r` nor delimiters after the letter.
    #[error("something in a macro that belongs neither to its parts nor to its delimiters")]
    Transformer,
    /// An octet that is no visible ASCII character.
    #[error("octet 0x{0:02x}")]
    Octet(u8),
}

/// What macros stand for. Parts that are `None` are not known: an expansion that needs one fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct MacroValues<'a> {
    /// Local part of the sender.
    pub(crate) local: Option<&'a str>,
    pub(crate) sender_domain: Option<&'a str>,
    /// Domain of the record.
    pub(crate) domain: &'a str,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) helo: Option<&'a str>,
    pub(crate) validated_name: Option<&'a str>,
}

impl MacroString {
    /// Reads a macro string that is no explanation. The letters `c`, `r`, `t` are for explanations only (RFC 7208,
    /// section 7.2).
    ///
    /// # Errors
    ///
    /// What is wrong, and how many octets before it.
    pub fn parse(text: &str) -> Result<Self, (usize, MacroFault)> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let (mut rest, mut ends_in_macro) = (text, false);
        while let Some(first) = rest.bytes().next() {
            let position = text.len() - rest.len();
            if !first.is_ascii_graphic() {
                return Err((position, MacroFault::Octet(first)));
            }
            ends_in_macro = first == b'%';
            if !ends_in_macro {
                literal.push(char::from(first));
                rest = &rest[1..];
                continue;
            }
            match rest.as_bytes().get(1) {
                Some(b'%') => literal.push('%'),
                Some(b'_') => literal.push(' '),
                Some(b'-') => literal.push_str("%20"),
                Some(b'{') => {
                    let end = rest.find('}').ok_or((position, MacroFault::NotClosed))?;
                    let expand = Expand::parse(&rest[2..end]).map_err(|fault| (position, fault))?;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Expand(expand));
                    rest = &rest[end + 1..];
                    continue;
                }
                _ => return Err((position, MacroFault::Percent)),
            }
            rest = &rest[2..];
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), parts, ends_in_macro })
    }

    /// Whether it ends in a macro, escapes such as `%%` included.
    pub(crate) fn ends_in_macro(&self) -> bool {
        self.ends_in_macro
    }

    /// Whether it uses this letter.
    pub fn uses(&self, letter: char) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Expand(expand) if expand.letter == letter))
    }

    /// Whether there is any macro in it.
    pub fn has_macros(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Expand(_)))
    }

    /// The name it stands for, at most 253 octets long: labels are left out on the left (RFC 7208, section 7.3).
    /// `None` where a value is not known.
    pub(crate) fn expand(&self, values: &MacroValues<'_>) -> Option<String> {
        let (mut pieces, mut length) = (Vec::new(), 0);
        for part in self.parts.iter().rev() {
            let piece = match part {
                Part::Literal(literal) => literal.clone(),
                Part::Expand(expand) => expand.value(values)?,
            };
            length += piece.len();
            pieces.push(piece);
            // What is further to the left would be left out below.
            if length > 4 * MAX_NAME {
                break;
            }
        }
        pieces.reverse();
        let name = pieces.concat().to_ascii_lowercase();
        let mut short = name.strip_suffix('.').unwrap_or(&name);
        while short.len() > MAX_NAME {
            let Some((_, rest)) = short.split_once('.') else { break };
            short = rest;
        }
        Some(short.to_owned())
    }
}

impl Expand {
    fn parse(text: &str) -> Result<Self, MacroFault> {
        let mut characters = text.chars();
        let letter = characters.next().ok_or(MacroFault::Transformer)?;
        match letter.to_ascii_lowercase() {
            's' | 'l' | 'o' | 'd' | 'i' | 'p' | 'v' | 'h' => {}
            'c' | 'r' | 't' => return Err(MacroFault::ExplanationOnly(letter)),
            _ => return Err(MacroFault::Letter(letter)),
        }
        let rest = characters.as_str();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let keep = match &rest[..digits] {
            "" => None,
            digits if digits.bytes().all(|digit| digit == b'0') => return Err(MacroFault::ZeroParts),
            // More parts than fit into a number are all parts.
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        let rest = &rest[digits..];
        let is_reversed = rest.starts_with(['r', 'R']);
        let delimiters = if is_reversed { &rest[1..] } else { rest };
        if !delimiters.chars().all(|c| matches!(c, '.' | '-' | '+' | ',' | '/' | '_' | '=')) {
            return Err(MacroFault::Transformer);
        }
        Ok(Self {
            letter: letter.to_ascii_lowercase(),
            is_escaped: letter.is_ascii_uppercase(),
            keep,
            is_reversed,
            delimiters: if delimiters.is_empty() { ".".to_owned() } else { delimiters.to_owned() },
        })
    }

    fn value(&self, values: &MacroValues<'_>) -> Option<String> {
        let value = match self.letter {
            's' => format!("{}@{}", values.local?, values.sender_domain?),
            'l' => values.local?.to_owned(),
            'o' => values.sender_domain?.to_owned(),
            'd' => values.domain.to_owned(),
            'i' => dotted(values.ip?),
            'v' => if values.ip?.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => values.helo?.to_owned(),
            _ => values.validated_name?.to_owned(),
        };
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let skipped = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        let value = parts[skipped..].join(".");
        Some(if self.is_escaped { escaped(&value) } else { value })
    }
}

/// An address as `%{i}` has it: an IPv6 address by nibbles (RFC 7208, section 7.3).
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// Escaped but for the unreserved characters of RFC 3986, section 2.3.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
    }
    text
}

impl fmt::Display for MacroString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
