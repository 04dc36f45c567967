//! Expiry of a certificate, in days. All rounding happens here.

const SECONDS_A_DAY: i64 = 86_400;

/// Whole days until a certificate expires, from the seconds until then; negative if it has expired.
pub(super) fn days_left(seconds: i64) -> i64 {
    seconds / SECONDS_A_DAY
}

/// Whether it expires in less than this many days, or has expired.
pub(super) fn expires_within(seconds: i64, days: u32) -> bool {
    seconds < i64::from(days) * SECONDS_A_DAY
}

/// As text: `expires` or `expired`, and when.
pub(super) fn expiry(seconds: i64) -> (&'static str, String) {
    let days = match days_left(seconds).unsigned_abs() {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if seconds < 0 { ("expired", format!("{days} ago")) } else { ("expires", format!("in {days}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_expired_ones_negative() {
        for (seconds, days, within) in
            [(2 * SECONDS_A_DAY, 2, false), (2 * SECONDS_A_DAY - 1, 2, true), (0, 0, false), (-1, 0, true)]
        {
            assert_eq!(expires_within(seconds, days), within, "{seconds}");
        }
        for (seconds, days, word, when) in [
            (30 * SECONDS_A_DAY, 30, "expires", "in 30 days"),
            (2 * SECONDS_A_DAY - 1, 1, "expires", "in 1 day"),
            (0, 0, "expires", "in less than a day"),
            (-1, 0, "expired", "less than a day ago"),
            (-SECONDS_A_DAY, -1, "expired", "1 day ago"),
            (-2 * SECONDS_A_DAY + 1, -1, "expired", "1 day ago"),
            (-2 * SECONDS_A_DAY, -2, "expired", "2 days ago"),
        ] {
            assert_eq!((days_left(seconds), expiry(seconds)), (days, (word, when.to_owned())), "{seconds}");
        }
    }
}
