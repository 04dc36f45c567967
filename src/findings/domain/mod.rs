//! The rules about a domain: pure functions from what it publishes, and what its servers showed, to findings.
//!
//! - [`mx`], [`dnssec`], [`dane`], [`mta_sts`], [`tls_rpt`], [`spf`], [`dkim`], [`dmarc`]: a topic each. [`dns`]: what
//!   could not be looked up.
//! - [`session`]: the findings of the sessions, with the severity that they have for the domain.
//! - [`fleet`], [`sender`], [`expectation`]: differences, sending addresses, what the caller expects.
//!
//! A state that is not known is `inconclusive`, and never the same as absent.

pub(crate) mod dane;
pub(crate) mod dkim;
pub(crate) mod dmarc;
pub(crate) mod dns;
pub(crate) mod dnssec;
pub(crate) mod expectation;
pub(crate) mod fleet;
pub(crate) mod mta_sts;
pub(crate) mod mx;
pub(crate) mod sender;
pub(crate) mod session;
pub(crate) mod spf;
#[cfg(test)]
mod testing;
pub(crate) mod tls_rpt;

use std::borrow::Cow;

use super::catalogue::Entry;
use crate::{
    mail_dns::{
        mx::{HostAddresses, MxHost},
        tlsa::{DaneView, TlsaOutcome},
    },
    report::{Finding, domain::AddressReport},
};

/// A mail exchanger, and what was seen of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenHost<'a> {
    pub(crate) host: &'a MxHost,
    /// Its name can be that of a host.
    pub(crate) is_host_name: bool,
    pub(crate) addresses: &'a HostAddresses,
    pub(crate) tlsa: &'a TlsaOutcome,
    /// One for each address that was chosen.
    pub(crate) sessions: &'a [AddressReport],
    /// What DANE makes of each of them, in the same order.
    pub(crate) dane: &'a [DaneView],
}

/// A finding that no phase showed.
fn found(entry: &Entry, subject: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding {
        id: entry.id,
        severity: entry.severity,
        scope: entry.scope,
        subject: subject.into(),
        phase: None,
        message: message.into(),
        evidence: Vec::new(),
        remedy: Cow::Borrowed(entry.remedy),
        reference: entry.reference,
    }
}

impl Finding {
    /// The same finding with a remedy for this very case, if there is one.
    #[must_use]
    fn with_remedy(self, remedy: impl Into<Option<String>>) -> Self {
        match remedy.into() {
            Some(remedy) => Self { remedy: Cow::Owned(remedy), ..self },
            None => self,
        }
    }
}

/// A fault in words as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// The line of a zone file that publishes a TXT record. A string of it has at most 255 octets (RFC 1035, section 3.3).
fn txt_line(name: &str, text: &str) -> String {
    const MAX_STRING_SIZE: usize = 255;
    let strings = text.as_bytes().chunks(MAX_STRING_SIZE).map(|string| {
        let escaped = String::from_utf8_lossy(string).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    format!("{}. IN TXT {}", name.trim_end_matches('.'), strings.collect::<Vec<_>>().join(" "))
}

/// The remedy that publishes a line of a zone file.
fn publish(line: &str) -> String {
    format!("Publish `{line}`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_records_are_several_strings() {
        assert_eq!(txt_line("a.test", "v=\"1\""), "a.test. IN TXT \"v=\\\"1\\\"\"");
        let line = txt_line("a.test", &"a".repeat(256));
        assert_eq!(line, format!("a.test. IN TXT \"{}\" \"a\"", "a".repeat(255)));
    }

    #[test]
    fn faults_are_sentences() {
        assert_eq!(sentence("two records"), "Two records.");
        assert_eq!(sentence(""), ".");
    }
}
