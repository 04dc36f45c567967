//! What the texts of replies tell about greylisting.

use std::time::Duration;

use super::sentence::Text;

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
    const NOT: [&str; 5] =
        ["not greylisted", "no greylisting", "without greylisting", "no longer greylisted", "greylisting disabled"];
    text.sentences().iter().any(|sentence| sentence.has(&WORDS) && !sentence.has(&NOT))
}

/// Whether the text asks to come back, and names no other reason for it.
pub(super) fn asks_to_come_back(text: &Text) -> bool {
    const ASKS: [&str; 7] =
        ["try again", "try later", "retry", "come back", "deferred", "temporarily deferred", "please wait"];
    const OTHER_REASONS: [&str; 29] = [
        "lookup",
        "look up",
        "hostname",
        "host name",
        "reverse",
        "dns",
        "config",
        "configuration",
        "problem",
        "quota",
        "full",
        "too many",
        "too much",
        "rate",
        "busy",
        "resource",
        "resources",
        "storage",
        "error",
        "failure",
        "failed",
        "virus",
        "antivirus",
        "anti virus",
        "scanner",
        "verification",
        "unverified",
        "not reachable",
        "unreachable",
    ];
    text.has(&ASKS) && !text.has(&OTHER_REASONS)
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
        let asks = |text: &str| asks_to_come_back(&Text::of(text));
        assert!(asks("Try again later") && asks("Temporarily deferred") && asks("Please retry moderately"));
        for text in [
            "Temporary lookup failure, try again",
            "Temporary local problem - please try later",
            "Server configuration problem; try again later",
            "try again later: antivirus scanner not reachable",
            "no",
            "mailbox full, retry",
            "retry.example.test",
        ] {
            assert!(!asks(text), "{text}");
        }
    }

    #[test]
    fn greylisting_is_named_by_a_whole_word() {
        let named = |text: &str| names_greylisting(&Text::of(text));
        assert!(named("Recipient address rejected: Greylisted, see http://postgrey.test") && named("grey-listed"));
        for text in ["see http://greylist.test/greylist", "greylist.test: busy", "you are not greylisted", ""] {
            assert!(!named(text), "{text}");
        }
    }
}
