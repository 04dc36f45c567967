//! The dates of a certificate: UTCTime and GeneralizedTime (X.680, sections 46 and 47).

use time::{Date as Day, Month, OffsetDateTime, Time, UtcOffset};

use super::{
    element::{Element, GENERALIZED_TIME, UTC_TIME},
    text,
};

/// A date as it is written in a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Date<'a> {
    tag: u8,
    octets: &'a [u8],
}

impl<'a> Date<'a> {
    pub(super) fn new(element: Element<'a>) -> Self {
        Self { tag: element.tag, octets: element.content }
    }

    /// The octets as text.
    pub(super) fn as_written(self) -> String {
        text::printable(&String::from_utf8_lossy(self.octets))
    }

    /// Whether it is in one of the two forms that RFC 5280, section 4.1.2.5, allows: with seconds, without a fraction,
    /// in UTC.
    pub(super) fn is_in_form(self) -> bool {
        let size = match self.tag {
            UTC_TIME => 13,
            GENERALIZED_TIME => 15,
            _ => return false,
        };
        self.octets.len() == size && self.read().is_some() && self.octets.ends_with(b"Z")
    }

    /// The moment in UTC; `None` if there is none.
    ///
    /// Forms that RFC 5280 does not allow are read as OpenSSL reads them: without seconds, with a fraction, with an
    /// offset. A time without `Z` and offset is local time of an unknown place.
    pub(super) fn read(self) -> Option<OffsetDateTime> {
        let mut rest = self.octets;
        let year = match self.tag {
            UTC_TIME => match two(&mut rest)? {
                // RFC 5280, section 4.1.2.5.1.
                year @ 50.. => 1900 + i32::from(year),
                year => 2000 + i32::from(year),
            },
            GENERALIZED_TIME => 100 * i32::from(two(&mut rest)?) + i32::from(two(&mut rest)?),
            _ => return None,
        };
        let month = Month::try_from(two(&mut rest)?).ok()?;
        let day = Day::from_calendar_date(year, month, two(&mut rest)?).ok()?;
        let (hour, minute) = (two(&mut rest)?, two(&mut rest)?);
        let has_seconds = rest.first().is_some_and(u8::is_ascii_digit);
        let second = if has_seconds { two(&mut rest)? } else { 0 };
        let nanosecond = if has_seconds && self.tag == GENERALIZED_TIME { fraction(&mut rest)? } else { 0 };
        let time = Time::from_hms_nano(hour, minute, second, nanosecond).ok()?;
        let utc = OffsetDateTime::new_in_offset(day, time, offset(rest)?).checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&utc.year()).then_some(utc)
    }
}

/// Takes two digits.
fn two(rest: &mut &[u8]) -> Option<u8> {
    let (digits, others) = rest.split_at_checked(2)?;
    *rest = others;
    digits.iter().try_fold(0, |value, octet| octet.is_ascii_digit().then(|| 10 * value + (octet - b'0')))
}

/// Takes a fraction of a second, in nanoseconds; 0 if there is none.
fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some(0) };
    let size = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    *rest = &digits[size..];
    let nine = digits[..size].iter().copied().chain(std::iter::repeat(b'0')).take(9);
    (size > 0).then(|| nine.fold(0, |value, digit| 10 * value + u32::from(digit - b'0')))
}

/// `Z`, or hours and minutes ahead of UTC.
fn offset(rest: &[u8]) -> Option<UtcOffset> {
    let (sign, mut digits) = match rest {
        b"Z" => return Some(UtcOffset::UTC),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = (two(&mut digits)?, two(&mut digits)?);
    // OpenSSL's limits.
    let is_good = digits.is_empty() && hours <= 12 && minutes <= 59;
    let minutes = i32::from(hours) * 60 + i32::from(minutes);
    is_good.then(|| UtcOffset::from_whole_seconds(sign * 60 * minutes).ok())?
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn dates_are_read_as_openssl_reads_them() {
        // What `openssl x509 -enddate -dateopt iso_8601` of OpenSSL 3.0 prints; `None` is its "Bad time value".
        let cases = [
            (UTC_TIME, "370829100529Z", Some("2037-08-29T10:05:29Z"), true),
            (UTC_TIME, "490829100529Z", Some("2049-08-29T10:05:29Z"), true),
            (UTC_TIME, "500829100529Z", Some("1950-08-29T10:05:29Z"), true),
            (UTC_TIME, "3708291005Z", Some("2037-08-29T10:05:00Z"), false),
            (UTC_TIME, "370829100529+0130", Some("2037-08-29T08:35:29Z"), false),
            (UTC_TIME, "3708291005-0130", Some("2037-08-29T11:35:00Z"), false),
            (UTC_TIME, "370829100529", None, false),
            (UTC_TIME, "3708291005", None, false),
            (UTC_TIME, "370829100529.5Z", None, false),
            (UTC_TIME, "20370829100529Z", None, false),
            (GENERALIZED_TIME, "20370829100529Z", Some("2037-08-29T10:05:29Z"), true),
            (GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59Z"), true),
            (GENERALIZED_TIME, "19690829235959Z", Some("1969-08-29T23:59:59Z"), true),
            (GENERALIZED_TIME, "00000829100529Z", Some("0000-08-29T10:05:29Z"), true),
            (GENERALIZED_TIME, "203708291005Z", Some("2037-08-29T10:05:00Z"), false),
            (GENERALIZED_TIME, "20370829100529.123Z", Some("2037-08-29T10:05:29.123Z"), false),
            (GENERALIZED_TIME, "20370829100529.5+0100", Some("2037-08-29T09:05:29.5Z"), false),
            (GENERALIZED_TIME, "20370829100529+0000", Some("2037-08-29T10:05:29Z"), false),
            (GENERALIZED_TIME, "20370829100529+1000", Some("2037-08-29T00:05:29Z"), false),
            (GENERALIZED_TIME, "20370829100529+1259", Some("2037-08-28T21:06:29Z"), false),
            (GENERALIZED_TIME, "20370829100529+1300", None, false),
            (GENERALIZED_TIME, "20370829100529+01", None, false),
            (GENERALIZED_TIME, "20370829100529", None, false),
            (GENERALIZED_TIME, "20370829100529.5", None, false),
            (GENERALIZED_TIME, "20370829100529.Z", None, false),
            (GENERALIZED_TIME, "203708291005.5Z", None, false),
            (GENERALIZED_TIME, "20370829100529,5Z", None, false),
            (GENERALIZED_TIME, "20370829100529ZZ", None, false),
            (GENERALIZED_TIME, "2037082910Z", None, false),
            (GENERALIZED_TIME, "20371329100529Z", None, false),
            (GENERALIZED_TIME, "20370229100529Z", None, false),
            (GENERALIZED_TIME, "20370829240000Z", None, false),
            (GENERALIZED_TIME, "20370829235960Z", None, false),
            (GENERALIZED_TIME, "99991231235959-0100", None, false),
            (GENERALIZED_TIME, "00000101000000+0100", None, false),
            (GENERALIZED_TIME, "", None, false),
            (0x04, "370829100529Z", None, false),
        ];
        for (tag, written, expected, is_in_form) in cases {
            let date = Date { tag, octets: written.as_bytes() };
            let read = date.read().map(|date| date.format(&Rfc3339).expect("a year of four digits"));
            assert_eq!((read.as_deref(), date.is_in_form()), (expected, is_in_form), "{written}");
        }
    }
}
