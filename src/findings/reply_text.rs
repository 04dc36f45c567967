//! What the texts of replies tell, where no code does: greylisting, block lists, what the server wants first.

use std::time::Duration;

/// Whether the text has one of these words or phrases, whatever the case. `phrases` are in lower case.
///
/// One pass over the text: a searcher for each of so many phrases costs more than to compare their first octets.
pub(super) fn has(text: &str, phrases: &[&str]) -> bool {
    let text = text.as_bytes();
    (0..text.len()).any(|at| {
        let (rest, first) = (&text[at..], text[at].to_ascii_lowercase());
        phrases.iter().map(|phrase| phrase.as_bytes()).any(|phrase| {
            phrase.first() == Some(&first)
                && rest.get(..phrase.len()).is_some_and(|start| start.eq_ignore_ascii_case(phrase))
        })
    })
}

/// Whether the text says that the server greylists.
pub(super) fn names_greylisting(text: &str) -> bool {
    has(text, &["greylist", "graylist", "grey list", "gray list", "grey-list", "gray-list"])
}

/// Whether the text asks to come back, and names no other reason for it.
pub(super) fn asks_to_come_back(text: &str) -> bool {
    const OTHER_REASONS: [&str; 16] = [
        "lookup",
        "look up",
        "hostname",
        "host name",
        "reverse",
        "dns",
        "config",
        "local problem",
        "quota",
        "full",
        "too many",
        "too much",
        "rate",
        "busy",
        "resource",
        "storage",
    ];
    has(text, &["try again", "try later", "retry", "come back", "deferred", "please wait"])
        && !has(text, &OTHER_REASONS)
}

/// The time after which the text asks to come back: `in 300 seconds`, `for 5 minutes`, `00:05:00`.
pub(super) fn wait(text: &str) -> Option<Duration> {
    let is_separator = |c: char| c.is_whitespace() || "()[],;.".contains(c);
    let words: Vec<&str> = text.split(is_separator).filter(|word| !word.is_empty()).collect();
    let clock = words.iter().find_map(|word| clock_time(word));
    clock.or_else(|| {
        words.windows(2).find_map(|pair| {
            let number: u64 = pair[0].parse().ok().filter(|number| (1..=100_000).contains(number))?;
            Some(Duration::from_secs(number * seconds_of(pair[1])?))
        })
    })
}

/// `hh:mm:ss` as a duration.
fn clock_time(word: &str) -> Option<Duration> {
    let parts: Vec<u64> = word.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    let seconds = (hours < 100 && minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)?;
    Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero())
}

fn seconds_of(unit: &str) -> Option<u64> {
    Some(match &*unit.to_ascii_lowercase() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        _ => return None,
    })
}

/// Operators of block lists, by a part of their names.
const OPERATORS: [&str; 14] = [
    "spamhaus",
    "spamcop",
    "barracuda",
    "sorbs",
    "uceprotect",
    "abuseat",
    "spfbl",
    "mailspike",
    "invaluement",
    "dronebl",
    "psbl",
    "s5h",
    "hostkarma",
    "truncate.gbudb",
];

/// Whether the text says that a block list is the reason; with the name of the list, if it is told.
pub(super) fn block_list(text: &str) -> Option<Option<String>> {
    const PHRASES: [&str; 15] = [
        "blocked using",
        "blocked by",
        "blacklist",
        "black list",
        "blocklist",
        "block list",
        "dnsbl",
        "rbl ",
        "is listed",
        "are listed",
        "listed in",
        "listed on",
        "listed at",
        "listed by",
        "denylist",
    ];
    // Each phrase has one of these two, and most refusals have neither.
    let may_be_named = has(text, &["bl", "list"]) && has(text, &PHRASES);
    if !may_be_named && !has(text, &OPERATORS) {
        return None;
    }
    let is_separator = |c: char| c.is_whitespace() || "()[]<>,;:/\"'=?".contains(c);
    let words: Vec<&str> = text.split(is_separator).map(|word| word.trim_matches('.')).collect();
    let behind = words
        .windows(2)
        .filter(|pair| ["using", "by", "in", "on", "at", "from"].contains(&&*pair[0].to_ascii_lowercase()));
    let named = behind.map(|pair| pair[1]).chain(words.iter().copied().filter(|word| has(word, &OPERATORS)));
    Some(named.filter(|word| is_host_name(word)).map(str::to_ascii_lowercase).next())
}

/// Whether the word is a name of at least two labels, and no address.
fn is_host_name(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let is_label = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_top = |label: &&str| label.len() > 1 && label.bytes().all(|b| b.is_ascii_alphabetic());
    labels.len() > 1 && word.len() <= 253 && labels.iter().all(is_label) && labels.last().is_some_and(is_top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_in_any_case_and_at_either_end() {
        for text in ["User Unknown", "550 USER UNKNOWN here", "über user unknown"] {
            assert!(has(text, &["no such", "user unknown"]), "{text}");
        }
        for text in ["", "user unknow", "user  unknown"] {
            assert!(!has(text, &["no such", "user unknown"]), "{text}");
        }
    }

    #[test]
    fn the_time_to_come_back() {
        for (text, seconds) in [
            ("Greylisting in action, please come back in 00:04:53", Some(293)),
            ("Greylisted for 5 minutes (see http://x.test)", Some(300)),
            ("Greylisted, try again in 300 seconds.", Some(300)),
            ("try again in 1 hour", Some(3600)),
            ("Greylisted, see http://postgrey.test/help/example.test.html", None),
            ("4.7.1 try again later [12:34:56:78]", None),
            ("come back in 99999999999999999999 minutes", None),
            ("come back in 00:00:00", None),
        ] {
            assert_eq!(wait(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn other_reasons_to_come_back_are_not_greylisting() {
        assert!(asks_to_come_back("Try again later") && asks_to_come_back("Temporarily deferred"));
        for text in [
            "Temporary lookup failure, try again",
            "Temporary local problem - please try later",
            "no",
            "mailbox full, retry",
        ] {
            assert!(!asks_to_come_back(text), "{text}");
        }
    }

    #[test]
    fn the_name_of_the_block_list() {
        for (text, name) in [
            (
                "Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.9",
                Some("zen.spamhaus.org"),
            ),
            ("rejected because 192.0.2.9 is in a black list at bl.test\nsee there", Some("bl.test")),
            ("192.0.2.9 is listed in 192.0.2.1", None),
            ("part of their network is on our block list (S3140)", None),
            ("blocked - see http://www.spamcop.net/bl.shtml?192.0.2.9", Some("www.spamcop.net")),
        ] {
            assert_eq!(block_list(text), Some(name.map(str::to_owned)), "{text}");
        }
        for text in ["no such user", "the domain is not in DNS", "blocked"] {
            assert_eq!(block_list(text), None, "{text}");
        }
    }
}
