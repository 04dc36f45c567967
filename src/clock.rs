//! The system's clock, within the years that certificates, reports and HTTP can write: 1970 to 9999.
//!
//! A clock that is not set yet, or set wrong, is no reason to lose a check: times are measured by another clock.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::rand;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tokio_rustls::rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use uuid::{Builder, Uuid};

/// The end of the year 9999, in seconds since 1970.
const MAX_SECONDS: u64 = 253_402_300_799;

/// Ids whose random part is asked for at once.
const IDS_AT_ONCE: usize = 64;

/// The time since 1970; the nearest that can be written, if the clock is beyond.
pub fn since_epoch() -> Duration {
    clamped(SystemTime::now())
}

/// Whether the clock is within these years.
pub fn is_in_range() -> bool {
    let now = SystemTime::now();
    UNIX_EPOCH + clamped(now) == now
}

/// The date and time now.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + since_epoch()
}

/// The date and time now, as HTTP writes it (RFC 9110, section 5.6.7); `None` if it cannot.
pub fn http_date() -> Option<String> {
    const IMF_FIXDATE: &[BorrowedFormatItem<'_>] =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    is_in_range().then(now)?.format(IMF_FIXDATE).ok()
}

/// A new id (UUID version 7, RFC 9562), whose first part is the time.
pub fn new_id() -> Uuid {
    let millis = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(millis, &random_octets()).into_uuid()
}

/// The random part of an id. The system is asked for those of many ids at once: to ask for each is a system call.
fn random_octets() -> [u8; 10] {
    thread_local! {
        static UNUSED: RefCell<Vec<[u8; 10]>> = const { RefCell::new(Vec::new()) };
    }
    UNUSED.with_borrow_mut(|unused| {
        unused.pop().unwrap_or_else(|| {
            let mut octets = [0; 10 * IDS_AT_ONCE];
            if rand::fill(&mut octets).is_err() {
                fastrand::fill(&mut octets);
            }
            unused.extend(octets.as_chunks().0);
            unused.pop().unwrap_or_default()
        })
    })
}

/// The clock for rustls, whose own panics before 1970.
#[derive(Clone, Copy, Debug)]
pub struct TlsClock;

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(since_epoch()))
    }
}

fn clamped(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::from_secs(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn ids_are_unique_and_begin_with_the_time() {
        let before = since_epoch().as_millis();
        let ids: HashSet<Uuid> = (0..3 * IDS_AT_ONCE).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 3 * IDS_AT_ONCE);
        for id in ids {
            let (seconds, nanos) = id.get_timestamp().expect("version 7 has one").to_unix();
            let millis = u128::from(seconds) * 1000 + u128::from(nanos / 1_000_000);
            assert!(id.get_version_num() == 7 && (before..=since_epoch().as_millis()).contains(&millis), "{id}");
        }
    }

    #[test]
    fn a_clock_beyond_is_the_nearest_time_that_can_be_written() {
        let day = Duration::from_hours(24);
        for (time, seconds) in [
            (UNIX_EPOCH - day, 0),
            (UNIX_EPOCH, 0),
            (UNIX_EPOCH + day, 86_400),
            (UNIX_EPOCH + Duration::from_secs(MAX_SECONDS) + day, MAX_SECONDS),
        ] {
            let clamped = clamped(time);
            assert_eq!(clamped.as_secs(), seconds);
            assert!((OffsetDateTime::UNIX_EPOCH + clamped).format(&Rfc3339).is_ok());
        }
        assert!(is_in_range());
        let date = http_date().expect("the clock is in range");
        assert!(date.ends_with(" GMT") && date.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len(), "{date}");
    }
}
