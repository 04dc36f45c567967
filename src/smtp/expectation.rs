//! [`Expectations`]: the replies that a check expects, phase by phase, in place of the usual ones.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{EnhancedCode, Reply};
use crate::phase::Phase;

/// The replies that the check expects, by phase. Such a reply decides in place of the usual one: an expected rejection
/// ends the check as a success; any other reply than the expected one fails it, and no mail is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Expect)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// The greeting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<Expectation>,
    /// The reply to the first EHLO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ehlo: Option<Expectation>,
    /// The reply to STARTTLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starttls: Option<Expectation>,
    /// The last reply of AUTH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_auth: Option<Expectation>,
    /// The reply to MAIL FROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailfrom: Option<Expectation>,
    /// The reply to RCPT TO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcptto: Option<Expectation>,
    /// The reply to DATA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Expectation>,
    /// The reply to the message. By then the mail is sent, whatever the reply is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Expectation>,
}

/// What a reply has to be: at least one of the three, and all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExpectedReply)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The code: three digits, or `2xx`, `3xx`, `4xx` or `5xx`, or a list of those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<ExpectedCode>, example = "5xx")]
    pub code: Vec<CodePattern>,
    /// The enhanced status code (RFC 3463): whole, or with `*` for its last or last two parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "5.7.*")]
    pub enhanced_code: Option<EnhancedCodePattern>,
    /// A text that the reply contains, whatever the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, example = "relay")]
    pub message: Option<String>,
}

/// One code, or any of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ExpectedCode {
    /// This code.
    One(String),
    /// Any of these.
    AnyOf(Vec<String>),
}

/// A reply code, or a class of them (RFC 5321, section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodePattern {
    /// This code, such as `550`.
    Code(u16),
    /// All codes with this first digit, such as `5xx`.
    Class(u8),
}

/// An enhanced status code (RFC 3463, section 2), of which the detail, or subject and detail, may be any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedCodePattern {
    class: u8,
    subject: Option<u16>,
    detail: Option<u16>,
}

/// Why a text is no [`CodePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be three digits, the first of them 2 to 5, or `2xx`, `3xx`, `4xx` or `5xx`, or a list of those")]
pub struct InvalidCodePattern;

/// Why a text is no [`EnhancedCodePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be like `5.7.1`, `5.7.*` or `5.*.*`, and its class 2, 4 or 5 (RFC 3463, section 2)")]
pub struct InvalidEnhancedCodePattern;

impl Expectation {
    /// Whether the reply is the expected one. The message is looked for without regard to case, in the text as it was
    /// sent and in the text without its enhanced status codes.
    pub fn matches(&self, reply: &Reply) -> bool {
        let code = reply.code().value();
        let is_code = self.code.is_empty() || self.code.iter().any(|pattern| pattern.matches(code));
        let is_enhanced_code =
            self.enhanced_code.is_none_or(|pattern| reply.enhanced_code().is_some_and(|code| pattern.matches(code)));
        is_code && is_enhanced_code && self.message.as_ref().is_none_or(|text| contains(reply, &text.to_lowercase()))
    }

    /// Whether no reply can be the expected one: an enhanced code has the class of its reply's code (RFC 2034,
    /// section 4).
    pub fn is_contradictory(&self) -> bool {
        let class = self.enhanced_code.map(|pattern| pattern.class);
        !self.code.is_empty() && class.is_some_and(|class| self.code.iter().all(|code| code.class() != class))
    }
}

/// `text` is in lower case.
fn contains(reply: &Reply, text: &str) -> bool {
    reply.sent_text().to_lowercase().contains(text) || reply.message().to_lowercase().contains(text)
}

impl CodePattern {
    fn class(self) -> u8 {
        match self {
            Self::Class(class) => class,
            Self::Code(code) => u8::try_from(code / 100).unwrap_or_default(),
        }
    }

    fn matches(self, code: u16) -> bool {
        match self {
            Self::Code(expected) => code == expected,
            Self::Class(class) => code / 100 == u16::from(class),
        }
    }
}

impl FromStr for CodePattern {
    type Err = InvalidCodePattern;

    fn from_str(text: &str) -> Result<Self, InvalidCodePattern> {
        let &[class @ b'2'..=b'5', tens, ones] = text.as_bytes() else { return Err(InvalidCodePattern) };
        match (tens, ones) {
            (b'x', b'x') => Ok(Self::Class(class - b'0')),
            (b'0'..=b'9', b'0'..=b'9') => text.parse().map(Self::Code).map_err(|_| InvalidCodePattern),
            _ => Err(InvalidCodePattern),
        }
    }
}

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Serialize for CodePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for EnhancedCodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: Option<u16>| part.map_or_else(|| "*".to_owned(), |part| part.to_string());
        write!(f, "{}.{}.{}", self.class, part(self.subject), part(self.detail))
    }
}

impl Serialize for EnhancedCodePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl EnhancedCodePattern {
    fn matches(self, code: EnhancedCode) -> bool {
        code.class() == self.class
            && self.subject.is_none_or(|subject| subject == code.subject())
            && self.detail.is_none_or(|detail| detail == code.detail())
    }
}

impl FromStr for EnhancedCodePattern {
    type Err = InvalidEnhancedCodePattern;

    fn from_str(text: &str) -> Result<Self, InvalidEnhancedCodePattern> {
        let (stars, parts) = match text.strip_suffix(".*.*") {
            Some(class) => (2, format!("{class}.0.0")),
            None => text.strip_suffix(".*").map_or((0, text.to_owned()), |start| (1, format!("{start}.0"))),
        };
        let code = EnhancedCode::parse(&parts).ok_or(InvalidEnhancedCodePattern)?;
        Ok(Self {
            class: code.class(),
            subject: (stars < 2).then_some(code.subject()),
            detail: (stars < 1).then_some(code.detail()),
        })
    }
}

impl Expectations {
    /// The phases of which a reply can be expected.
    pub const PHASES: [Phase; 8] = [
        Phase::Banner,
        Phase::Ehlo,
        Phase::StartTls,
        Phase::SaslAuth,
        Phase::MailFrom,
        Phase::RcptTo,
        Phase::Data,
        Phase::Body,
    ];

    /// Whether the text of a reply decides in one of the phases.
    pub(super) fn has_text(&self) -> bool {
        Self::PHASES.into_iter().filter_map(|phase| self.of(phase)).any(|expected| expected.message.is_some())
    }

    /// What is expected of the phase, if anything but the usual.
    pub fn of(&self, phase: Phase) -> Option<&Expectation> {
        match phase {
            Phase::Banner => self.banner.as_ref(),
            Phase::Ehlo => self.ehlo.as_ref(),
            Phase::StartTls => self.starttls.as_ref(),
            Phase::SaslAuth => self.sasl_auth.as_ref(),
            Phase::MailFrom => self.mailfrom.as_ref(),
            Phase::RcptTo => self.rcptto.as_ref(),
            Phase::Data => self.data.as_ref(),
            Phase::Body => self.body.as_ref(),
            Phase::Dns | Phase::Connect | Phase::Proxy | Phase::Tls | Phase::EhloTls | Phase::Quit => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::ReplyParser;

    fn reply(text: &str) -> Reply {
        let octets = format!("{text}\r\n");
        ReplyParser::default().parse(&mut octets.as_bytes()).expect("a reply").expect("whole")
    }

    fn expectation(codes: &[&str], enhanced_code: Option<&str>, message: Option<&str>) -> Expectation {
        Expectation {
            code: codes.iter().map(|code| code.parse().expect("a code")).collect(),
            enhanced_code: enhanced_code.map(|code| code.parse().expect("an enhanced code")),
            message: message.map(str::to_owned),
        }
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let denied = reply("554-5.7.1 <a@b.test>:\r\n554 5.7.1 Relay access DENIED");
        let plain = reply("550 no");
        for (codes, enhanced_code, message, expected) in [
            (&["554"][..], None, None, [true, false]),
            (&["550"], None, None, [false, true]),
            (&["5xx"], None, None, [true, true]),
            (&["4xx", "550"], None, None, [false, true]),
            (&["2xx", "3xx", "4xx"], None, None, [false, false]),
            (&[], Some("5.7.1"), None, [true, false]),
            (&[], Some("5.7.*"), None, [true, false]),
            (&[], Some("5.*.*"), None, [true, false]),
            (&[], Some("5.1.*"), None, [false, false]),
            (&[], Some("5.7.2"), None, [false, false]),
            (&[], Some("4.*.*"), None, [false, false]),
            (&[], None, Some("relay access denied"), [true, false]),
            (&[], None, Some("NO"), [false, true]),
            (&["5xx"], Some("5.7.*"), Some("relay"), [true, false]),
            (&["5xx"], Some("5.7.*"), Some("greylisted"), [false, false]),
        ] {
            let expectation = expectation(codes, enhanced_code, message);
            assert_eq!([&denied, &plain].map(|reply| expectation.matches(reply)), expected, "{expectation:?}");
        }
    }

    #[test]
    fn the_message_is_looked_for_in_the_text_as_it_was_sent() {
        let denied = reply("550-5.7.1 Relay denied\r\n550 5.7.1 see there");
        for (text, expected) in [
            ("5.7.1 relay", true),
            ("relay denied\nsee there", true),
            ("denied\n5.7.1 see", true),
            ("550", false),
            ("5.7.2 relay", false),
        ] {
            assert_eq!(expectation(&[], None, Some(text)).matches(&denied), expected, "{text}");
        }
    }

    /// What is left out of a report is a limit of this client.
    #[test]
    fn what_is_left_out_of_a_long_reply_is_looked_at() {
        let lines: String = (1000..1100).map(|number| format!("250-X-{number} {}\r\n", "y".repeat(300))).collect();
        let octets = format!("{lines}250 END\r\n");
        let expected = expectation(&[], None, Some("x-1090"));
        for (is_whole, matches) in [(true, true), (false, false)] {
            let mut parser = ReplyParser::keeping_whole_text(is_whole);
            let reply = parser.parse(&mut octets.as_bytes()).expect("a reply").expect("whole");
            assert!(reply.left_out() > 0);
            assert_eq!(expected.matches(&reply), matches);
            assert!(!expected.matches(&reply.without_whole_text()), "it is kept until it is judged");
        }
    }

    #[test]
    fn what_no_reply_can_be_is_contradictory() {
        for (codes, enhanced_code, expected) in [
            (&["2xx"][..], Some("5.7.*"), true),
            (&["354"], Some("2.0.0"), true),
            (&["2xx", "5xx"], Some("5.7.*"), false),
            (&["550"], Some("5.1.1"), false),
            (&[], Some("5.1.1"), false),
            (&["2xx"], None, false),
        ] {
            assert_eq!(expectation(codes, enhanced_code, None).is_contradictory(), expected, "{codes:?}");
        }
    }

    #[test]
    fn other_texts_are_no_patterns() {
        for text in ["", "5", "55", "5500", "5x", "5x0", "xxx", "5XX", "199", "600", "-50", " 550", "٥٥٠"] {
            assert_eq!(text.parse::<CodePattern>(), Err(InvalidCodePattern), "{text:?}");
        }
        for text in ["", "5", "5.7", "5.*", "*.*.*", "5.*.1", "3.7.1", "5.7.1.*", "5.7.1000", "5.7.x", "5.7.", "5..*"] {
            assert_eq!(text.parse::<EnhancedCodePattern>(), Err(InvalidEnhancedCodePattern), "{text:?}");
        }
    }
}
