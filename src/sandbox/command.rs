//! Parser of command lines (RFC 5321, section 4.1.1). A syntax error gives the reply to send.

use super::{MAX_MESSAGE_SIZE, auth::Mechanism, wire::Reply};
use crate::secret::Secret;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    StartTls,
    /// With the initial response, still encoded.
    Auth(Mechanism, Option<Secret>),
    Mail(MailFrom),
    Rcpt(Mailbox),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
}

/// MAIL FROM with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MailFrom {
    /// Empty for the null reverse-path.
    pub(super) path: String,
    pub(super) parameters: Vec<String>,
    pub(super) smtputf8: bool,
}

/// A forward-path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) path: String,
    pub(super) local_part: String,
}

/// The longest domain, in octets (RFC 5321, section 4.5.3.1.2).
const MAX_DOMAIN_SIZE: usize = 255;

/// The longest path, its brackets included, in octets (section 4.5.3.1.3).
const MAX_PATH_SIZE: usize = 256;

impl Command {
    /// Parses a line without its CR LF.
    pub(super) fn parse(line: &str) -> Result<Self, Reply> {
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.trim_start();
        let bare = |command| match argument {
            "" => Ok(command),
            _ => Err("501 5.5.4 No argument is allowed here".into()),
        };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => client_name(argument).map(Self::Ehlo),
            "HELO" => client_name(argument).map(Self::Helo),
            "STARTTLS" => bare(Self::StartTls),
            "AUTH" => auth(argument),
            "MAIL" => mail(argument).map(Self::Mail),
            "RCPT" => rcpt(argument).map(Self::Rcpt),
            "DATA" => bare(Self::Data),
            "RSET" => bare(Self::Rset),
            "NOOP" => Ok(Self::Noop),
            "VRFY" if argument.is_empty() => Err("501 5.5.4 VRFY needs an argument".into()),
            "VRFY" => Ok(Self::Vrfy),
            "QUIT" => bare(Self::Quit),
            _ => Err("500 5.5.2 Command not recognized".into()),
        }
    }
}

fn client_name(argument: &str) -> Result<String, Reply> {
    if argument.is_empty() || argument.len() > MAX_DOMAIN_SIZE || argument.contains(' ') {
        return Err("501 5.5.4 Give a domain or an address literal".into());
    }
    Ok(argument.to_owned())
}

fn auth(argument: &str) -> Result<Command, Reply> {
    let mut words = argument.split_ascii_whitespace();
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err("501 5.5.4 Syntax: AUTH mechanism [initial-response]".into());
    };
    let initial = initial.map(|response| Secret::new(response.to_owned()));
    Ok(Command::Auth(Mechanism::named(mechanism)?, initial))
}

fn mail(argument: &str) -> Result<MailFrom, Reply> {
    let (path, rest) =
        after_keyword(argument, "FROM:").and_then(path).ok_or("501 5.5.4 Syntax: MAIL FROM:<address>")?;
    if !path.is_empty() && local_part(path).is_none() {
        return Err("501 5.1.7 Bad sender address syntax".into());
    }
    let mut mail = MailFrom { path: path.to_owned(), parameters: Vec::new(), smtputf8: false };
    let mut keywords = Vec::new();
    for parameter in rest.split_ascii_whitespace() {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        match (keyword.as_str(), value) {
            ("SIZE", Some(size)) => check_size(size)?,
            ("BODY", Some(body)) if ["7BIT", "8BITMIME"].contains(&&*body.to_ascii_uppercase()) => {}
            // A server with AUTH accepts this parameter too (RFC 4954, section 5).
            ("AUTH", Some(_)) => {}
            ("SMTPUTF8", None) => mail.smtputf8 = true,
            ("SIZE" | "BODY" | "AUTH" | "SMTPUTF8", _) => {
                return Err("501 5.5.4 Bad value of a MAIL parameter".into());
            }
            _ => return Err("555 5.5.4 MAIL parameter not recognized".into()),
        }
        if keywords.contains(&keyword) {
            return Err("501 5.5.4 A MAIL parameter is given twice".into());
        }
        keywords.push(keyword);
        mail.parameters.push(parameter.to_owned());
    }
    Ok(mail)
}

/// SIZE (RFC 1870): up to twenty digits, which may overflow a machine word.
fn check_size(size: &str) -> Result<(), Reply> {
    if size.is_empty() || size.len() > 20 || !size.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("501 5.5.4 Bad value of a MAIL parameter".into());
    }
    match size.parse::<usize>() {
        Ok(size) if size <= MAX_MESSAGE_SIZE => Ok(()),
        _ => Err("552 5.3.4 Message size exceeds fixed limit".into()),
    }
}

fn rcpt(argument: &str) -> Result<Mailbox, Reply> {
    let (path, parameters) =
        after_keyword(argument, "TO:").and_then(path).ok_or("501 5.5.4 Syntax: RCPT TO:<address>")?;
    let local_part = local_part(path).ok_or("501 5.1.3 Bad recipient address syntax")?;
    if !parameters.trim_start().is_empty() {
        return Err("555 5.5.4 RCPT parameter not recognized".into());
    }
    Ok(Mailbox { path: path.to_owned(), local_part: local_part.to_owned() })
}

fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// Splits `<path> parameters` at the closing bracket, which a quoted local part may contain, too.
fn path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (index, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let rest = &inner[index + 1..];
                let separated = rest.is_empty() || rest.starts_with(' ');
                return separated.then_some((&inner[..index], rest));
            }
            b' ' | b'<' if !quoted => return None,
            _ => {}
        }
    }
    None
}

/// The local part without its quotes. `None` if it is empty, if no domain follows the `@`, or if the path is too long.
/// An address without `@` is valid: `<postmaster>` (RFC 5321, section 4.1.1.3).
fn local_part(path: &str) -> Option<&str> {
    let (local_part, domain) = match path.rsplit_once('@') {
        Some((local_part, domain)) => (local_part, Some(domain)),
        None => (path, None),
    };
    let is_valid = !local_part.is_empty() && domain != Some("") && path.len() + 2 <= MAX_PATH_SIZE;
    is_valid.then(|| local_part.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(local_part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn verbs_and_arguments() {
        for (line, command) in [
            ("ehlo noit.local", Command::Ehlo("noit.local".to_owned())),
            ("HELO [127.0.0.1] ", Command::Helo("[127.0.0.1]".to_owned())),
            ("StartTLS", Command::StartTls),
            ("AUTH login", Command::Auth(Mechanism::Login, None)),
            ("AUTH PLAIN =", Command::Auth(Mechanism::Plain, Some(Secret::new("=".to_owned())))),
            ("DATA", Command::Data),
            ("rset ", Command::Rset),
            ("NOOP whatever", Command::Noop),
            ("VRFY alice", Command::Vrfy),
            ("quit", Command::Quit),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn refusals() {
        let long = format!("RCPT TO:<{}@example.com>", "x".repeat(250));
        for (line, reply) in [
            ("", "500 5.5.2"),
            ("BDAT 10 LAST", "500 5.5.2"),
            ("EHLO", "501 5.5.4"),
            ("EHLO a b", "501 5.5.4"),
            ("QUIT now", "501 5.5.4"),
            ("STARTTLS x", "501 5.5.4"),
            ("VRFY", "501 5.5.4"),
            ("AUTH", "501 5.5.4"),
            ("AUTH PLAIN a b", "501 5.5.4"),
            ("AUTH CRAM-MD5", "504 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL TO:<a@b>", "501 5.5.4"),
            ("MAIL FROM:a@b", "501 5.5.4"),
            ("MAIL FROM:<a@b", "501 5.5.4"),
            ("MAIL FROM:<a b@c>", "501 5.5.4"),
            ("MAIL FROM:<a@b>SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<@b>", "501 5.1.7"),
            ("MAIL FROM:<a@>", "501 5.1.7"),
            ("MAIL FROM:<> SIZE=", "501 5.5.4"),
            ("MAIL FROM:<> SIZE=-1", "501 5.5.4"),
            ("MAIL FROM:<> SIZE", "501 5.5.4"),
            ("MAIL FROM:<> SIZE=10485761", "552 5.3.4"),
            ("MAIL FROM:<> SIZE=99999999999999999999", "552 5.3.4"),
            ("MAIL FROM:<> BODY=BINARYMIME", "501 5.5.4"),
            ("MAIL FROM:<> SMTPUTF8=1", "501 5.5.4"),
            ("MAIL FROM:<> SIZE=1 size=2", "501 5.5.4"),
            ("MAIL FROM:<> RET=HDRS", "555 5.5.4"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4"),
            ("RCPT TO", "501 5.5.4"),
            ("RCPT €€€", "501 5.5.4"),
            (&long, "501 5.1.3"),
        ] {
            let refusal = Command::parse(line).expect_err(line);
            assert!(refusal.starts_with(reply), "{line}: {refusal}");
        }
    }

    #[test]
    fn mail_and_its_parameters() {
        for (line, path, parameters, smtputf8) in [
            ("MAIL FROM:<>", "", &[][..], false),
            ("mail from: <a@b> size=10485760", "a@b", &["size=10485760"], false),
            ("MAIL FROM:<é@b> SMTPUTF8 BODY=8bitmime", "é@b", &["SMTPUTF8", "BODY=8bitmime"], true),
            ("MAIL FROM:<a@b> AUTH=<>", "a@b", &["AUTH=<>"], false),
        ] {
            let mail = MailFrom {
                path: path.to_owned(),
                parameters: parameters.iter().map(|&p| p.to_owned()).collect(),
                smtputf8,
            };
            assert_eq!(Command::parse(line), Ok(Command::Mail(mail)), "{line}");
        }
    }

    #[test]
    fn forward_paths() {
        for (path, local_part) in [
            ("nobody@example.com", "nobody"),
            ("postmaster", "postmaster"),
            ("\"nobody\"@[127.0.0.1]", "nobody"),
            (r#""a> \"@<b"@c"#, r#"a> \"@<b"#),
        ] {
            let mailbox = Mailbox { path: path.to_owned(), local_part: local_part.to_owned() };
            assert_eq!(Command::parse(&format!("RCPT TO:<{path}>")), Ok(Command::Rcpt(mailbox)));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_gets_a_reply(
            verb in "(MAIL FROM:|RCPT TO:|AUTH |EHLO )?",
            argument in "[<>@\"\\\\ a=é]{0,12}|\\PC{0,40}",
        ) {
            if let Err(reply) = Command::parse(&format!("{verb}{argument}")) {
                prop_assert!(reply.starts_with('5') && reply.is_ascii(), "{}", reply);
            }
        }
    }
}
