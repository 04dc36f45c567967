//! The TXT records of an answer, for modules that look for one among them.

use crate::mail_dns::{Answer, LookupFailure, Outcome, lookups::txt_records};

/// Records that are kept as text, to be shown.
const MAX_SHOWN: usize = 20;
/// Octets of one record that are shown. The longest DKIM keys have 1,500.
const MAX_SHOWN_SIZE: usize = 4096;

/// What came of a question for TXT records.
#[derive(Debug)]
pub(super) enum Texts<'a> {
    /// Each with the strings of one record, joined.
    Found(Vec<&'a [u8]>),
    Absent,
    Unknown(LookupFailure),
}

impl<'a> Texts<'a> {
    /// Data that fails validation counts for nothing: a sender that validates does not see it.
    pub(super) fn of(answer: &'a Answer) -> Self {
        match &answer.outcome {
            Outcome::Failed(failure) => Self::Unknown(*failure),
            _ if answer.is_bogus() => Self::Unknown(LookupFailure::Bogus),
            Outcome::NoName | Outcome::NoData => Self::Absent,
            Outcome::Records(records) => {
                let texts: Vec<_> = txt_records(records).collect();
                if texts.is_empty() { Self::Absent } else { Self::Found(texts) }
            }
        }
    }
}

/// Records as text to show. Octets that are no UTF-8 are replaced.
pub(super) fn shown<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    texts.into_iter().take(MAX_SHOWN).map(excerpt).collect()
}

/// The beginning of a record or of a part of it, as text to show.
pub(super) fn excerpt(octets: &[u8]) -> String {
    match octets.get(..MAX_SHOWN_SIZE) {
        Some(start) if start.len() < octets.len() => format!("{}…", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(octets).into_owned(),
    }
}

/// The beginning of a value, to be named in a fault.
pub(super) fn shorten(value: &str) -> String {
    const MAX_SIZE: usize = 100;
    match value.char_indices().nth(MAX_SIZE) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

/// Whether the record begins with this version, spelled exactly, and a semicolon (RFC 8461, section 3.1; RFC 8460,
/// section 3). White space before the semicolon is part of the delimiter.
pub(super) fn has_version(text: &[u8], version: &str) -> bool {
    text.strip_prefix(version.as_bytes())
        .and_then(|rest| rest.iter().find(|octet| !matches!(octet, b' ' | b'\t')))
        .is_some_and(|octet| *octet == b';')
}

/// Whether the record seems to be meant as one of this version, although it does not begin with it: another case,
/// white space or a quotation mark before it, no semicolon.
pub(super) fn resembles(text: &[u8], version: &str) -> bool {
    const MAX_SIZE: usize = 32;
    let start: Vec<u8> = text
        .iter()
        .take(MAX_SIZE)
        .filter(|octet| !octet.is_ascii_whitespace() && !matches!(octet, b'"' | b'\''))
        .map(u8::to_ascii_lowercase)
        .collect();
    // The number is left out: a record of a later version is none of these either.
    let version = version.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let bare = version.trim_start_matches("v=");
    start.starts_with(version.as_bytes()) || start.starts_with(bare.as_bytes())
}

#[cfg(test)]
pub(super) mod testing {
    use crate::mail_dns::{Answer, Outcome, Proof, RecordData};

    /// An answer with these TXT records.
    pub(crate) fn answer(texts: &[&str]) -> Answer {
        let records = texts.iter().map(|text| RecordData::Txt { octets: text.as_bytes().to_vec(), strings: 1 });
        Answer { proof: Proof::Insecure, aliases: Vec::new(), outcome: Outcome::Records(records.collect()) }
    }

    /// An answer without records.
    pub(crate) fn empty(outcome: Outcome) -> Answer {
        Answer { proof: Proof::Insecure, aliases: Vec::new(), outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};
    use crate::mail_dns::Proof;

    #[test]
    fn nothing_is_said_about_records_of_a_failed_lookup() {
        assert!(matches!(Texts::of(&answer(&["a"])), Texts::Found(texts) if texts == [b"a"]));
        assert!(matches!(Texts::of(&empty(Outcome::NoName)), Texts::Absent));
        assert!(matches!(Texts::of(&empty(Outcome::NoData)), Texts::Absent));
        let failed = empty(Outcome::Failed(LookupFailure::ServFail));
        assert!(matches!(Texts::of(&failed), Texts::Unknown(LookupFailure::ServFail)));
        let bogus = Answer { proof: Proof::Bogus, ..answer(&["a"]) };
        assert!(matches!(Texts::of(&bogus), Texts::Unknown(LookupFailure::Bogus)));
    }

    #[test]
    fn the_version_is_exact_and_ends_with_a_semicolon() {
        let cases = [
            ("v=STSv1; id=1", true, true),
            ("v=STSv1 ;id=1", true, true),
            ("v=STSv1", false, true),
            ("v=STSv12; id=1", false, true),
            ("V=STSv1; id=1", false, true),
            (" v=STSv1; id=1", false, true),
            ("\"v=STSv1; id=1\"", false, true),
            ("v = STSv1; id=1", false, true),
            ("STSv1; id=1", false, true),
            ("v=spf1 -all", false, false),
            ("", false, false),
        ];
        for (text, exact, similar) in cases {
            assert_eq!(has_version(text.as_bytes(), "v=STSv1"), exact, "{text}");
            assert_eq!(resembles(text.as_bytes(), "v=STSv1"), similar, "{text}");
        }
    }

    #[test]
    fn long_records_are_shown_in_part() {
        let long = vec![b'a'; 65_536];
        assert_eq!(excerpt(&long).chars().count(), MAX_SHOWN_SIZE + 1);
        assert_eq!(excerpt(&long[..MAX_SHOWN_SIZE]).len(), MAX_SHOWN_SIZE);
        assert_eq!(shown(vec![long.as_slice(); 1000]).len(), MAX_SHOWN);
    }
}
