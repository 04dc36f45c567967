//! Whom a reply refuses, and by which block list: as far as a sentence of the reply says so.

use super::sentence::{Sentence, Text};

/// Whom or what a reply is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// The address that the check comes from.
    Address,
    /// The name of this client: that of its address, or that of EHLO.
    ClientName,
    /// The sender's address or domain.
    Sender,
    /// The recipient's address or domain.
    Recipient,
    /// The message.
    Message,
}

/// Words about this client.
const OF_ADDRESS: [&str; 19] = [
    "#ip",
    "#url-of-ip",
    "ip",
    "ips",
    "client",
    "client host",
    "unverified client host",
    "your address",
    "your host",
    "your hostname",
    "your server",
    "your mail server",
    "your mta",
    "your network",
    "their network",
    "connecting host",
    "sending host",
    "sending mta",
    "sending mta's",
];
/// Who connects, and who sends the mail.
const YOU: [&str; 2] = ["you", "you're"];
const OF_CLIENT_NAME: [&str; 4] = ["client host #name", "helo", "ehlo", "helo command"];
const OF_SENDER: [&str; 10] = [
    "sending domain",
    "sender",
    "sender's",
    "senders",
    "your domain",
    "return path",
    "reverse path",
    "envelope from",
    "from domain",
    "from address",
];
const OF_RECIPIENT: [&str; 6] = ["recipient", "recipient's", "recipients", "user", "mailbox", "account"];
const OF_MESSAGE: [&str; 13] = [
    "message",
    "messages",
    "mail",
    "email",
    "content",
    "body",
    "url",
    "uri",
    "link",
    "links",
    "attachment",
    "attachments",
    "header",
];

impl Party {
    /// Whom the sentence is about: an IP address decides, else the last word about one of them.
    pub(super) fn of(sentence: &Sentence) -> Option<Self> {
        if sentence.has(&["#ip", "#url-of-ip"]) {
            return Some(Self::Address);
        }
        // "The sending MTA or the sending domain" is either.
        if sentence.has(&["or"]) && sentence.has(&OF_ADDRESS) && sentence.has(&OF_SENDER) {
            return None;
        }
        // Of two that end with the same word, the later row is the more exact one.
        [
            (Self::Address, &OF_ADDRESS[..]),
            (Self::Address, &YOU),
            (Self::Message, &OF_MESSAGE),
            (Self::Recipient, &OF_RECIPIENT),
            (Self::Sender, &OF_SENDER),
            (Self::ClientName, &OF_CLIENT_NAME),
        ]
        .into_iter()
        .filter_map(|(party, words)| Some((sentence.last(words)?, party)))
        .max_by_key(|(at, _)| *at)
        .map(|(_, party)| party)
    }
}

/// A block list that a reply gives as its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// Whom it lists; `None` where the reply does not tell.
    pub(super) party: Option<Party>,
    /// The name of the list, if the reply tells.
    pub(super) list: Option<String>,
}

/// Phrases that end with the name of a list.
const BEFORE_LIST: [&str; 26] = [
    "blocked using #name",
    "rejected using #name",
    "refused using #name",
    "denied using #name",
    "listed using #name",
    "listed in #name",
    "listed on #name",
    "listed at #name",
    "listed by #name",
    "found in #name",
    "found on #name",
    "blacklisted in #name",
    "blacklisted on #name",
    "blacklisted at #name",
    "blacklisted by #name",
    "blacklist at #name",
    "blacklist #name",
    "black list at #name",
    "black list #name",
    "blocklist at #name",
    "blocklist #name",
    "block list at #name",
    "block list #name",
    "dnsbl #name",
    "rbl #name",
    "dnsbl at #name",
];
/// Phrases that end with the name of a list, or of the server that says so.
const BEFORE_LIST_OR_SERVER: [&str; 4] =
    ["blocked by #name", "rejected by #name", "refused by #name", "denied by #name"];
/// Words that name a block list, or that somebody is on one.
const LISTED: [&str; 23] = [
    "blacklist",
    "blacklisted",
    "blacklists",
    "black list",
    "black listed",
    "blocklist",
    "blocklisted",
    "blocklists",
    "block list",
    "block listed",
    "denylist",
    "denylisted",
    "dnsbl",
    "rbl",
    "is listed",
    "are listed",
    "listed in",
    "listed on",
    "listed by",
    "blocked by spamhaus",
    "blocked using spamhaus",
    "blocked using barracuda reputation",
    "blocked by spamcop",
];
/// Operators of block lists.
const OPERATORS: [&str; 19] = [
    "spamhaus.org",
    "spamhaus.net",
    "spamcop.net",
    "barracudacentral.org",
    "sorbs.net",
    "uceprotect.net",
    "abuseat.org",
    "abusix.zone",
    "spfbl.net",
    "mailspike.net",
    "mailspike.org",
    "invaluement.com",
    "dronebl.org",
    "surriel.com",
    "s5h.net",
    "junkemailfilter.com",
    "gbudb.net",
    "manitu.net",
    "backscatterer.org",
];
/// Labels of the names of lists.
const LIST_LABELS: [&str; 9] = ["bl", "rbl", "dnsbl", "rhsbl", "dbl", "sbl", "xbl", "pbl", "zen"];

/// The block list that the text gives as the reason. `is_session` is whether only this client can be meant: neither
/// sender nor recipient are known yet.
pub(super) fn listing(text: &Text, is_session: bool) -> Option<Listing> {
    let mut before = None;
    for sentence in text.sentences() {
        if let Some((at, list)) = listed(sentence) {
            let own = Party::of(&sentence.before(at)).or_else(|| Party::of(sentence));
            let party = own.or(before).or(is_session.then_some(Party::Address));
            let list = list.or_else(|| operator(text));
            if party.is_some() || list.is_some() {
                return Some(Listing { party, list });
            }
        }
        before = Party::of(sentence).or(before);
    }
    None
}

/// Where the sentence says that somebody is on a block list, and its name.
fn listed(sentence: &Sentence) -> Option<(usize, Option<String>)> {
    if sentence.is_hedged() {
        return None;
    }
    let named = |phrases: &[&str]| {
        let (start, end) = phrases.iter().find_map(|phrase| sentence.find(phrase))?;
        Some((start, sentence.value(end - 1).to_owned()))
    };
    let by = named(&BEFORE_LIST_OR_SERVER).filter(|(_, name)| is_list(name));
    if let Some((at, name)) = named(&BEFORE_LIST).or(by) {
        return Some((at, Some(name)));
    }
    if let Some((at, _)) = LISTED.iter().find_map(|phrase| sentence.find(phrase)) {
        return Some((at, None));
    }
    let (at, _) =
        sentence.find("#url-of-ip").filter(|_| sentence.has(&["blocked", "listed", "rejected", "refused"]))?;
    Some((at + 1, None))
}

/// The first host of an operator of block lists that the text names.
fn operator(text: &Text) -> Option<String> {
    text.sentences().iter().flat_map(Sentence::names).find(|name| is_of_operator(name)).map(str::to_owned)
}

fn is_list(name: &str) -> bool {
    is_of_operator(name) || name.split('.').any(|label| LIST_LABELS.contains(&label))
}

fn is_of_operator(name: &str) -> bool {
    OPERATORS
        .iter()
        .any(|operator| name.strip_suffix(operator).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Whether a sentence says that this client is refused.
pub(super) fn refuses_client(text: &Text) -> bool {
    const REFUSED: [&str; 13] = [
        "rejected",
        "denied",
        "blocked",
        "refused",
        "banned",
        "not permitted",
        "not allowed",
        "not authorized",
        "not authorised",
        "not accepted",
        "not welcome",
        "poor reputation",
        "bad reputation",
    ];
    // What only a sender does, or a list refuses; and what is said of mail in contrast to this client.
    const OF_ACT: [&str; 18] = [
        "send as",
        "send for",
        "send from",
        "send on",
        "send to",
        "send mail as",
        "send mail for",
        "send mail from",
        "send mail on",
        "send email as",
        "send email for",
        "send email from",
        "send email on",
        "post",
        "member",
        "mailing list",
        "but",
        "content",
    ];
    // "You" is also the sender of the mail, unless the sentence is about a connection.
    const CONNECTION: [&str; 4] = ["connect", "connecting", "connection", "connections"];
    // Words about this client even beside those about mail.
    const OWN: [&str; 4] = ["ip you're using", "your ip", "banned sending ip", "banned sender #ip"];
    let is_about_client = |sentence: &Sentence| {
        let of_others = [&OF_SENDER[..], &OF_RECIPIENT, &OF_MESSAGE, &OF_CLIENT_NAME].concat();
        let is_connecting = sentence.has(&YOU) && sentence.has(&CONNECTION);
        let is_named = (sentence.has(&OF_ADDRESS) || is_connecting) && !sentence.has(&of_others);
        !sentence.has(&OF_ACT) && (sentence.has(&OWN) || is_named)
    };
    let is_hedged = |sentence: &Sentence| sentence.has(&["may", "might", "could", "if", "unless"]);
    let refuses = |sentence: &Sentence| sentence.has(&REFUSED) && !is_hedged(sentence);
    let sentences = text.sentences();
    // "SPF: 192.0.2.9 is not authorized".
    if text.has(&["spf", "dkim", "dmarc"]) {
        return false;
    }
    sentences.iter().any(|sentence| is_about_client(sentence) && refuses(sentence))
        || sentences.windows(2).any(|pair| {
            // "Access denied: your IP".
            refuses(&pair[0]) && Party::of(&pair[0]).is_none() && is_about_client(&pair[1]) && !is_hedged(&pair[1])
        })
}

/// Whether the text says that the address of this client has no name, or none that leads back to it.
pub(super) fn names_reverse_dns(text: &Text) -> bool {
    text.has(&[
        "cannot find your hostname",
        "cannot find your reverse hostname",
        "have a ptr record",
        "no ptr record",
        "dns ptr resource record",
        "reverse dns",
        "reverse hostname",
        "ptr record",
    ])
}

#[cfg(test)]
mod tests;
