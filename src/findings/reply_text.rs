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
    const NOT: [&str; 7] = [
        "not greylisted",
        "no greylisting",
        "without greylisting",
        "no longer greylisted",
        "disabled",
        "turned off",
        "switched off",
    ];
    text.sentences().iter().any(|sentence| sentence.has(&WORDS) && !sentence.has(&NOT))
}

/// Whether the text asks to come back, and names no other reason for it.
pub(super) fn asks_to_come_back(text: &Text) -> bool {
    const ASKS: [&str; 7] =
        ["try again", "try later", "retry", "come back", "deferred", "temporarily deferred", "please wait"];
    const OTHER_REASONS: [&str; 49] = [
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
        "maintenance",
        "overload",
        "overloaded",
        "load",
        "throttle",
        "throttled",
        "throttling",
        "limit",
        "limits",
        "limited",
        "exceeded",
        "temperror",
        "verify",
        "verified",
        "rdns",
        "ptr",
        "spf",
        "dkim",
        "dmarc",
        "complaints",
    ];
    text.has(&ASKS) && !text.has(&OTHER_REASONS)
}

/// When the text asks to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It names no time.
    Unnamed,
    /// After this time.
    For(Duration),
    /// It names a time that is not understood.
    Unread,
}

/// The time after which the text asks to come back: `in 300 seconds`, `for 1 hour and 30 minutes`, `in 00:05:00`, `40
/// seconds left`. Other times, such as the hour of the day, have other words before them.
pub(super) fn wait(text: &str) -> Wait {
    const BEFORE: [&str; 11] =
        ["in", "for", "after", "wait", "another", "within", "least", "delay", "about", "approximately", "remaining"];
    const AFTER: [&str; 3] = ["left", "remaining", "remain"];
    let is_separator = |c: char| c.is_whitespace() || "()[];=<>".contains(c);
    let words = text.split(is_separator).map(|word| word.trim_matches([',', '.', ':']));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    let is_one_of = |at: Option<usize>, names: &[&str]| {
        at.and_then(|at| words.get(at)).is_some_and(|word| names.contains(&&**word))
    };
    let mut is_unread = false;
    for at in 0..words.len() {
        let is_after = is_one_of(at.checked_sub(1), &BEFORE);
        match duration(&words[at..]) {
            Some((wait, used)) if is_after || is_one_of(Some(at + used), &AFTER) => return Wait::For(wait),
            None if is_after && is_time(&words[at..]) => is_unread = true,
            _ => {}
        }
    }
    if is_unread { Wait::Unread } else { Wait::Unnamed }
}

/// Whether a time begins here, of any form: a number with a unit soon after it, or alone at the end.
fn is_time(words: &[String]) -> bool {
    let Some((first, after)) = words.split_first() else { return false };
    let begins_with_digit = first.starts_with(|c: char| c.is_ascii_digit());
    let is_address = first.matches('.').count() > 1;
    let has_unit = after.iter().take(3).any(|word| is_unit(word)) || first.ends_with(|c: char| c.is_ascii_alphabetic());
    let is_alone = after.is_empty() && first.bytes().all(|octet| octet.is_ascii_digit());
    let is_vague = matches!(&**first, "a" | "an" | "half" | "some" | "several") && has_unit;
    (begins_with_digit && !is_address && (has_unit || first.contains(':') || is_alone)) || is_vague
}

/// The time that begins here, and of how many words it is; `None` where it is not understood to its end.
fn duration(words: &[String]) -> Option<(Duration, usize)> {
    let first = words.first()?;
    if let Some(clock) = clock_time(first) {
        return Some((clock, 1));
    }
    let (mut sum, mut used) = (0, 0);
    while let Some((seconds, count)) = part(&words[used..]) {
        (sum, used) = (sum + seconds, used + count);
        let next = words.get(used).map(String::as_str);
        let goes_on = next == Some("and") && part(&words[used + 1..]).is_some();
        used += usize::from(goes_on);
    }
    let word = |at: usize| words.get(at).map(String::as_str);
    let is_open = matches!(word(used), Some("or" | "to" | "-"))
        || (word(used) == Some("and") && matches!(word(used + 1), Some("a" | "half")));
    (sum > 0 && !is_open).then_some((Duration::from_secs(sum), used))
}

/// A number with its unit, as seconds, and of how many words it is.
fn part(words: &[String]) -> Option<(u64, usize)> {
    let first = words.first()?;
    let size = first.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(first.len());
    let (number, short_unit) = first.split_at(size);
    let (unit, used) = if short_unit.is_empty() { (words.get(1)?.as_str(), 2) } else { (short_unit, 1) };
    Some((seconds(number, seconds_of(unit)?)?, used))
}

/// Most digits of a number: thousands.
const MAX_DIGITS: usize = 6;

/// So many of this unit, as whole seconds: `5`, `5,000`, `1.5`.
fn seconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let groups: Vec<&str> = whole.split(',').collect();
    let is_grouped = groups.len() == 1 || (groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    let is_number = decimals.bytes().all(|octet| octet.is_ascii_digit()) && decimals.len() <= 3;
    let whole = groups.concat();
    if whole.len() > MAX_DIGITS || !is_grouped || !is_number {
        return None;
    }
    let tens = 10_u64.pow(u32::try_from(decimals.len()).ok()?);
    let parts = whole.parse::<u64>().ok()? * tens + if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    Some((parts * unit).div_ceil(tens))
}

/// `hh:mm:ss` as a duration.
fn clock_time(word: &str) -> Option<Duration> {
    let parts: Vec<u64> = word.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    let seconds = (hours < 100 && minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)?;
    Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero())
}

fn seconds_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 24 * 3600,
        _ => return None,
    })
}

fn is_unit(word: &str) -> bool {
    seconds_of(word).is_some() || matches!(word, "week" | "weeks" | "month" | "months")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_come_back() {
        for (text, seconds) in [
            ("Greylisting in action, please come back in 00:04:53", 293),
            ("Greylisted for 5 minutes (see http://x.test)", 300),
            ("Greylisted, try again in 300 seconds.", 300),
            ("try again in 1 hour", 3600),
            ("Greylisted at 12:34:56, try again in 5 minutes", 300),
            ("Greylisted by milter-greylist-4.6.2, server up 3 hours, wait 5 min", 300),
            ("Greylisted (wait: 40s)", 40),
            ("Greylisted, wait at least 2 minutes", 120),
            ("Greylisted. Retry after 1 day", 86_400),
            ("Greylisted, come back in 1.5 hours", 5400),
            ("try again later (greylisted, 4 minutes 20 seconds left)", 260),
            ("retry in 5,000 seconds", 5000),
            ("greylisted for 1 hour and 30 minutes, try later", 5400),
            ("greylisted for 5 minutes and will be let in", 300),
        ] {
            assert_eq!(wait(text), Wait::For(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "Greylisted, see http://postgrey.test/help/example.test.html",
            "4.7.1 try again later [12:34:56:78]",
            "Greylisted at 12:34:56",
            "Greylisted, server up 3 hours",
            "Greylisted for 192.0.2.9",
        ] {
            assert_eq!(wait(text), Wait::Unnamed, "{text}");
        }
        for text in [
            "come back in 99999999999999999999 minutes",
            "come back in 00:00:00",
            "come back in 1 hour and a half",
            "come back in 5 to 10 minutes",
            "come back in 5-10 minutes",
            "come back in 1,5 hours",
            "come back in 2 weeks",
            "come back after 14:30",
            "come back in a few minutes",
            "retry after 300",
        ] {
            assert_eq!(wait(text), Wait::Unread, "{text}");
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
            "maintenance, try again later",
            "overloaded, try again later",
            "throttled, try again later",
            "limit exceeded, try again later",
            "SPF temperror, please retry",
            "unable to verify the sender, retry",
        ] {
            assert!(!asks(text), "{text}");
        }
    }

    #[test]
    fn greylisting_is_named_by_a_whole_word() {
        let named = |text: &str| names_greylisting(&Text::of(text));
        assert!(named("Recipient address rejected: Greylisted, see http://postgrey.test") && named("grey-listed"));
        for text in [
            "see http://greylist.test/greylist",
            "greylist.test: busy",
            "you are not greylisted",
            "This recipient has disabled greylisting",
            "",
        ] {
            assert!(!named(text), "{text}");
        }
    }
}
