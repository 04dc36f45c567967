//! When a certificate expires, in days that are rounded in one place.

const SECONDS_A_DAY: i64 = 86_400;

/// Whole days until a certificate expires, of the seconds until then: negative from the first second after.
pub(super) fn days_left(seconds: i64) -> i64 {
    seconds.div_euclid(SECONDS_A_DAY)
}

/// The same in words: whether it expires or has expired, and when.
pub(super) fn expiry(seconds: i64) -> (&'static str, String) {
    let left = days_left(seconds);
    let days = match left.unsigned_abs() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if left < 0 { ("expired", format!("{days} ago")) } else { ("expires", format!("in {days}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_expired_ones_negative() {
        for (seconds, days, word, when) in [
            (30 * SECONDS_A_DAY, 30, "expires", "in 30 days"),
            (2 * SECONDS_A_DAY - 1, 1, "expires", "in 1 day"),
            (0, 0, "expires", "in 0 days"),
            (-1, -1, "expired", "1 day ago"),
            (-SECONDS_A_DAY, -1, "expired", "1 day ago"),
            (-SECONDS_A_DAY - 1, -2, "expired", "2 days ago"),
        ] {
            assert_eq!((days_left(seconds), expiry(seconds)), (days, (word, when.to_owned())), "{seconds}");
        }
    }
}
