//! What the texts of replies tell about greylisting.

use std::time::Duration;

use super::sentence::Text;

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
pub(super) fn names_greylisting(text: &Text) -> bool {
    const WORDS: [&str; 11] = [
        "greylist",
        "greylisted",
        "greylisting",
        "graylist",
        "graylisted",
        "graylisting",
        "grey list",
        "grey listed",
        "grey listing",
        "gray listed",
        "gray listing",
    ];
    text.sentences().iter().any(|sentence| sentence.has(&WORDS) && !sentence.is_hedged())
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

/// The time after which the text asks to come back: `in 300 seconds`, `for 5 minutes`, `in 00:05:00`. Other times, such
/// as the hour of the day, have other words before them.
pub(super) fn wait(text: &str) -> Option<Duration> {
    const BEFORE: [&str; 8] = ["in", "for", "after", "wait", "another", "within", "least", "delay"];
    let is_separator = |c: char| c.is_whitespace() || "()[],;.=<>".contains(c);
    let words: Vec<&str> = text.split(is_separator).filter(|word| !word.is_empty()).collect();
    words.windows(2).enumerate().find_map(|(at, pair)| {
        let is_wait = BEFORE.iter().any(|before| pair[0].trim_end_matches(':').eq_ignore_ascii_case(before));
        let after = words.get(at + 2).copied().unwrap_or_default();
        is_wait.then(|| duration(pair[1], after)).flatten()
    })
}

fn duration(number: &str, unit: &str) -> Option<Duration> {
    if let Some(clock) = clock_time(number) {
        return Some(clock);
    }
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let (number, short_unit) = number.split_at(digits);
    let number: u64 = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
    let unit = if short_unit.is_empty() { unit } else { short_unit };
    Some(Duration::from_secs(number * seconds_of(unit)?))
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
            ("Greylisted at 12:34:56, try again in 5 minutes", Some(300)),
            ("Greylisted at 12:34:56", None),
            ("Greylisted by milter-greylist-4.6.2, server up 3 hours, wait 5 min", Some(300)),
            ("Greylisted, server up 3 hours", None),
            ("Greylisted (wait: 40s)", Some(40)),
            ("Greylisted, wait at least 2 minutes", Some(120)),
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
}
