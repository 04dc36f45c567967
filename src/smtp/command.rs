//! [`Command`]: SMTP commands (RFC 5321, section 4.1.1), and the other lines that a client sends.

use std::fmt::{self, Write};

use super::{EhloName, Mailbox, Mechanism, Payload, sasl::Response};
use crate::secret::MASK;

/// Octets that most lines fit into.
const LINE_SIZE: usize = 64;

/// What the client sends in one step. Made of types that cannot contain CR or LF.
#[derive(Clone, Debug)]
pub enum Command {
    /// EHLO (RFC 5321, section 4.1.1.1).
    Ehlo(EhloName),
    /// LHLO (RFC 2033, section 4.1).
    Lhlo(EhloName),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// The mechanism.
        mechanism: Mechanism,
        /// The initial response.
        initial: Option<Response>,
    },
    /// A response to a 334 challenge, in base64 (RFC 4954, section 4).
    SaslResponse(Response),
    /// MAIL FROM (RFC 5321, section 4.1.1.2).
    MailFrom {
        /// The sender; `None` is the null reverse-path `<>`.
        reverse_path: Option<Mailbox>,
        /// `BODY=8BITMIME` (RFC 6152).
        eight_bit: bool,
        /// `SMTPUTF8` (RFC 6531).
        utf8: bool,
    },
    /// RCPT TO (RFC 5321, section 4.1.1.3).
    RcptTo(Mailbox),
    /// DATA (RFC 5321, section 4.1.1.4).
    Data,
    /// The message, with its terminator.
    Body(Payload),
    /// RSET (RFC 5321, section 4.1.1.5).
    Rset,
    /// QUIT (RFC 5321, section 4.1.1.10).
    Quit,
}

impl Command {
    /// The octets to write, the line's CR LF or the message's terminator included.
    pub fn to_wire(&self) -> Vec<u8> {
        match self {
            Self::Auth { mechanism, initial: Some(response) } => {
                format!("AUTH {} {}\r\n", mechanism.name(), response.line().expose()).into_bytes()
            }
            Self::SaslResponse(response) => format!("{}\r\n", response.line().expose()).into_bytes(),
            Self::Body(payload) => payload.to_wire(),
            line => {
                let mut wire = String::with_capacity(LINE_SIZE);
                // Writing to a `String` cannot fail.
                let _ = write!(wire, "{line}\r\n");
                wire.into_bytes()
            }
        }
    }

    /// The SASL response that it bears.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::SaslResponse(response) => Some(response),
            Self::Auth { initial, .. } => initial.as_ref(),
            _ => None,
        }
    }

    /// What a sentence calls it.
    pub fn in_words(&self) -> String {
        match self {
            Self::SaslResponse(_) => "the SASL response".to_owned(),
            Self::Body(_) => "the message".to_owned(),
            line => line.to_string(),
        }
    }
}

/// The line in a transcript: a secret is masked, the message is shown by its size.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ehlo(name) => write!(f, "EHLO {name}"),
            Self::Lhlo(name) => write!(f, "LHLO {name}"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth { mechanism, initial: None } => write!(f, "AUTH {}", mechanism.name()),
            Self::Auth { mechanism, initial: Some(_) } => write!(f, "AUTH {} {MASK}", mechanism.name()),
            Self::SaslResponse(_) => f.write_str(MASK),
            Self::MailFrom { reverse_path, eight_bit, utf8 } => {
                match reverse_path {
                    Some(mailbox) => write!(f, "MAIL FROM:<{mailbox}>")?,
                    None => f.write_str("MAIL FROM:<>")?,
                }
                f.write_str(if *eight_bit { " BODY=8BITMIME" } else { "" })?;
                f.write_str(if *utf8 { " SMTPUTF8" } else { "" })
            }
            Self::RcptTo(mailbox) => write!(f, "RCPT TO:<{mailbox}>"),
            Self::Data => f.write_str("DATA"),
            Self::Body(payload) => write!(f, "({} octets of message, then the final dot)", payload.len()),
            Self::Rset => f.write_str("RSET"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sasl::Bears;
    use super::*;

    fn response() -> Response {
        Response::new(Bears::UserName, b"tim")
    }

    #[test]
    fn octets_on_the_wire() {
        let mailbox = |text: &str| text.parse::<Mailbox>().expect("a mailbox");
        let mail = |reverse_path, eight_bit, utf8| Command::MailFrom { reverse_path, eight_bit, utf8 };
        for (command, wire) in [
            (Command::Ehlo("noit.local".parse().expect("a name")), "EHLO noit.local\r\n"),
            (Command::Lhlo("noit.local".parse().expect("a name")), "LHLO noit.local\r\n"),
            (Command::StartTls, "STARTTLS\r\n"),
            (Command::Auth { mechanism: Mechanism::Login, initial: None }, "AUTH LOGIN\r\n"),
            (Command::Auth { mechanism: Mechanism::Plain, initial: Some(response()) }, "AUTH PLAIN dGlt\r\n"),
            (Command::SaslResponse(response()), "dGlt\r\n"),
            (mail(None, false, false), "MAIL FROM:<>\r\n"),
            (mail(Some(mailbox("a@b")), true, false), "MAIL FROM:<a@b> BODY=8BITMIME\r\n"),
            (mail(Some(mailbox("ü@b")), true, true), "MAIL FROM:<ü@b> BODY=8BITMIME SMTPUTF8\r\n"),
            (Command::RcptTo(mailbox("postmaster")), "RCPT TO:<postmaster>\r\n"),
            (Command::Data, "DATA\r\n"),
            (Command::Body(Payload::parse("hi").expect("a payload")), "hi\r\n.\r\n"),
            (Command::Rset, "RSET\r\n"),
            (Command::Quit, "QUIT\r\n"),
        ] {
            assert_eq!(String::from_utf8(command.to_wire()).as_deref(), Ok(wire));
        }
    }

    #[test]
    fn a_response_is_not_shown() {
        let initial = Command::Auth { mechanism: Mechanism::ScramSha256, initial: Some(response()) };
        assert_eq!((initial.to_string(), initial.in_words()), ("AUTH SCRAM-SHA-256 ***".into(), initial.to_string()));
        for command in [initial, Command::SaslResponse(response())] {
            let shown = format!("{command} {command:?}");
            assert!(shown.contains("***") && shown.contains("Secret(***)") && !shown.contains("dGlt"), "{shown}");
        }
    }
}
