//! Replies that refuse something.

use std::time::Duration;

use super::super::{
    party::{Listing, Party},
    refusal::{Meaning, Refusal, greets_by_lmtp},
    reply_text::Wait,
};
use crate::{phase::Phase, report::AuthEnded, smtp::Protocol};

pub(super) const NEEDS_SMTPUTF8: &str = "An address has characters beyond ASCII, and only a server with SMTPUTF8 takes it \
                                         (RFC 6531). Write the address in ASCII, or enable SMTPUTF8 on the server.";

pub(super) fn of(refusal: &Refusal<'_>) -> Option<String> {
    match refusal.phase {
        Phase::Proxy | Phase::Quit => None,
        Phase::SaslAuth => login(refusal),
        _ => refused(refusal).or_else(|| session(refusal)),
    }
}

/// RFC 4954, section 6.
fn login(refusal: &Refusal<'_>) -> Option<String> {
    let is_in_clear = refusal.report.tls.is_none();
    let wants_tls =
        is_in_clear && (matches!(refusal.code, 523 | 530 | 538) || refusal.enhanced == "5.7.11" || refusal.names_tls());
    let tls = wants_tls.then_some(" It wants TLS first: set `starttls`.");
    if refusal.report.facts.auth_ended == Some(AuthEnded::BeforeCredentials) {
        let more = match refusal.code {
            _ if wants_tls => tls,
            504 => Some(" Most likely it does not support the mechanism: try another mechanism."),
            _ => None,
        };
        let secret = if has_token(refusal) { "token" } else { "password" };
        return Some(format!(
            "The server ended AUTH before any user name or {secret} had been sent, so the reply says nothing about them.{}",
            more.unwrap_or_default()
        ));
    }
    if let Some(text) = other_than_credentials(refusal) {
        return Some(text.to_owned());
    }
    let text = match (refusal.code, refusal.enhanced) {
        (504, _) => "The server does not support the mechanism. Try another mechanism.",
        (534, _) | (_, "5.7.9") => "The mechanism is too weak for this user or server. Try another mechanism.",
        (432, _) => {
            "The server has to store the password anew for this mechanism. Log in once with `plain`, inside TLS."
        }
        _ if wants_tls => "The server takes no password in clear text. It wants TLS first: set `starttls`.",
        (535, _) | (_, "5.7.8") if has_token(refusal) => {
            "The server refused the user name or the token. Check both; most likely the token has expired, or is not meant for \
             this service."
        }
        (535, _) | (_, "5.7.8") => match refusal.report.facts.auth_ended {
            Some(AuthEnded::BeforePassword) => {
                "Most likely the server refused the user name; the password had not been sent. Check `sasl_user`."
            }
            _ => {
                "The server refused the user name or the password. Check both; some providers want a password for \
                  applications, or have logins disabled."
            }
        },
        _ => return session(refusal),
    };
    Some(text.to_owned())
}

/// Refusals of a login whose reason is not a wrong password.
fn other_than_credentials(refusal: &Refusal<'_>) -> Option<&'static str> {
    Some(match (refusal.code, refusal.enhanced) {
        (454, _) => {
            "The server cannot check logins now: most likely its user database cannot be reached. Try again later."
        }
        _ if refusal.has(&["application specific password", "app specific password", "app password"]) => {
            "The server wants a password that is made for programs (an app password), not the user's own. Make one in the \
             settings of the account, and give it as `sasl_password`."
        }
        _ if refusal.has(&["web browser"]) => {
            "The provider blocks this login until the user has confirmed it in a web browser. Log in there once, or give a \
             token with `xoauth2`."
        }
        _ if refusal.has(&["connection lost to authentication server"]) => {
            "The server cannot check logins now: its authentication server does not answer. Try again later."
        }
        _ if refusal.has(&["smtpclientauthentication is disabled"]) => {
            "The provider has logins by SMTP AUTH disabled for this organization or mailbox. Its administrator can enable them."
        }
        (535, _) | (_, "5.7.8") if refusal.report.facts.is_server_proven => {
            "The user name and the password are right, as the server's signature shows, and it refuses the login for another \
             reason. Most likely the account is locked, or may not log in here."
        }
        _ if refusal.has(&["account locked", "account is locked", "account disabled", "account is disabled"]) => {
            "The account is locked or disabled, as the reply says. Ask the operator of the server."
        }
        _ => return None,
    })
}

/// Whether the check sends a token in place of a password.
fn has_token(refusal: &Refusal<'_>) -> bool {
    refusal.report.sasl.as_ref().is_some_and(|sasl| matches!(sasl.mechanism, "XOAUTH2" | "OAUTHBEARER"))
}

/// What is refused, and what to do about it.
fn refused(refusal: &Refusal<'_>) -> Option<String> {
    Some(match refusal.meaning() {
        Meaning::WantsTls { is_certain } => {
            format!("{} server wants TLS before MAIL. Set `starttls`.", sure(is_certain))
        }
        Meaning::WantsLogin { is_certain } => format!(
            "{} server wants a login before it takes mail. Set `sasl_authentication`, with `sasl_user` and `sasl_password`.",
            sure(is_certain)
        ),
        Meaning::Greylisted { is_certain, wait } => greylisted(is_certain, wait),
        Meaning::Listed(listing) => listed(&listing),
        Meaning::ReverseDns => {
            "The server refuses the address that the check comes from: it has no name in DNS that leads \
                                back to it. Set its PTR record, and an address record for that name."
                .to_owned()
        }
        Meaning::Client => {
            "The server refuses this client. Most likely it does not admit the address that the check comes \
                            from: ask its operator, or check from another one."
                .to_owned()
        }
        Meaning::ClientName => client_name(refusal),
        Meaning::NullSender => {
            "The server refuses the null sender, which non-delivery notifications have. Have it accept \
                                the null sender, or give `from`."
                .to_owned()
        }
        Meaning::Sender => {
            let sender = refusal.script.from.as_ref()?;
            format!(
                "The server refuses the sender {sender}. Check that its domain exists and takes mail, or give another `from`."
            )
        }
        Meaning::SenderAuthentication => {
            "The server refuses the mail because SPF, DKIM or DMARC do not authenticate its \
                                          sender. Give a `from` of a domain that this machine may send for."
                .to_owned()
        }
        Meaning::NoMailbox { is_certain } => format!(
            "{} server knows no mailbox {}. Check the address: the recipient is refused, not the sender.",
            sure(is_certain),
            refusal.script.to.as_ref()?
        ),
        Meaning::MailboxFull => "The recipient's mailbox is full. Only its owner can make space.".to_owned(),
        Meaning::NullMx => {
            "The recipient's domain accepts no mail, and says so with a null MX record (RFC 7505). No mail to it \
                            can be delivered."
                .to_owned()
        }
        Meaning::NoRelay => "The server does not relay mail to the recipient's domain for this client. Log in with \
                             `sasl_authentication`, or check the domain's own mail server."
            .to_owned(),
        Meaning::TooLarge { is_certain } => too_large(refusal, is_certain),
        Meaning::NeedsUtf8 => NEEDS_SMTPUTF8.to_owned(),
        Meaning::Other | Meaning::Unknown => return None,
    })
}

fn greylisted(is_certain: bool, wait: Wait) -> String {
    let when = match wait {
        Wait::Unnamed => "in 5 to 15 minutes".to_owned(),
        Wait::For(wait) => format!("in {}", in_words(wait)),
        Wait::Unread => "at the time that the reply names".to_owned(),
    };
    format!(
        "{} server uses greylisting: it refuses a sender that it does not know yet, and takes the mail later. Come back \
         {when}, from the same address, with the same sender and recipient.",
        sure(is_certain)
    )
}

fn client_name(refusal: &Refusal<'_>) -> String {
    format!(
        "The server refuses the name {}, which this client gave in {}. Give a full host name that exists in DNS as `ehlo`, best \
         that of the address that the check comes from.",
        refusal.script.ehlo,
        refusal.script.protocol.hello()
    )
}

/// The beginning of a sentence, whose subject is the server.
fn sure(is_certain: bool) -> &'static str {
    if is_certain { "The" } else { "Most likely the" }
}

fn listed(listing: &Listing) -> String {
    let Listing { party, list } = listing;
    let (what, remedy) = match party {
        Some(Party::Address) => {
            ("the address that the check comes from", "Have the address taken off the list, or check from another one.")
        }
        Some(Party::ClientName) => {
            ("the name of this client", "Have the name taken off the list, or give another `ehlo` if that is the name.")
        }
        Some(Party::Sender) => ("the sender's domain", "Have the domain taken off the list, or give another `from`."),
        Some(Party::Recipient) => ("the recipient's domain", "Have the domain taken off the list."),
        Some(Party::Message) => ("the message", "Take the link or the name that is listed out of the message."),
        None => ("the check", "Look up there what is listed."),
    };
    match list {
        Some(name) if party.is_some() => {
            format!("The server refuses {what}: it is on the block list {name}. {remedy}")
        }
        Some(name) => format!("The server refuses {what} by the block list {name}. {remedy}"),
        None => format!("Most likely the server refuses {what}, by a block list. {remedy}"),
    }
}

fn too_large(refusal: &Refusal<'_>, is_certain: bool) -> String {
    let sure = if is_certain { "The message is" } else { "Most likely the message is" };
    let offered = &refusal.report.capabilities;
    let offered = offered.after_tls.as_ref().or(offered.before_tls.as_ref());
    let size = offered.and_then(|offered| offered.parameters("SIZE")).and_then(|size| size.parse::<u64>().ok());
    let limit = size.filter(|size| *size > 0).map(|size| format!(", which takes {size} octets (SIZE)"));
    format!("{sure} too large for the server{}. Send a smaller one.", limit.unwrap_or_default())
}

/// Refusals of the whole session.
fn session(refusal: &Refusal<'_>) -> Option<String> {
    Some(match (refusal.phase, refusal.code) {
        (Phase::StartTls, 454) => {
            "The server cannot do TLS at the moment: most likely it cannot read its certificate or key. Look into its log."
        }
        (_, 421) => {
            "The server ends the session: most likely it is too busy, shuts down, or limits the connections of a client. Try \
             again later."
        }
        (Phase::Banner, 500..) => {
            "The server refuses the session with its greeting. Most likely it does not admit the address that the check \
             comes from, or takes no mail at all."
        }
        (Phase::Ehlo | Phase::EhloTls, 500 | 502) if refusal.script.protocol == Protocol::Lmtp => {
            "The server does not know LHLO: most likely it speaks SMTP. Set `protocol` to `smtp`, or check the port."
        }
        (Phase::Ehlo | Phase::EhloTls, 500 | 502) if greets_by_lmtp(refusal.report) => {
            "Most likely the server speaks LMTP, as its greeting says: set `protocol` to `lmtp`."
        }
        _ => return None,
    }
    .to_owned())
}

fn in_words(wait: Duration) -> String {
    let seconds = wait.as_secs();
    match (seconds, seconds / 60) {
        (1, _) => "a second".to_owned(),
        (7200.., _) if seconds.is_multiple_of(3600) => format!("{} hours", seconds / 3600),
        (..120, _) => format!("{seconds} seconds"),
        (_, minutes) if seconds.is_multiple_of(60) => format!("{minutes} minutes"),
        (_, minutes) => format!("{} minutes", minutes + 1),
    }
}
