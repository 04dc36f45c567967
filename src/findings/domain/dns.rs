//! Records that could not be looked up, and records that fail validation.

use super::found;
use crate::{
    findings::catalogue::{dnssec::BOGUS, mx::INCONCLUSIVE},
    mail_dns::{LookupFailure, Proof},
    report::Finding,
};

/// What a lookup leaves to be said that gave no record: `subject` is the question, such as `example.com. MX`.
pub(crate) fn unknown(subject: &str, proof: Proof, failure: Option<LookupFailure>) -> Option<Finding> {
    if proof == Proof::Bogus || failure == Some(LookupFailure::Bogus) {
        return Some(found(&BOGUS, subject, format!("The answer about {subject} fails the validation of DNSSEC.")));
    }
    failure.map(|failure| inconclusive(subject, &failure.to_string()))
}

/// A record or a policy of which nothing is known, and why.
pub(crate) fn inconclusive(subject: &str, reason: &str) -> Finding {
    found(&INCONCLUSIVE, subject, format!("Nothing is known about {subject}: {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_lookup_is_inconclusive_and_a_bogus_answer_an_error() {
        let id = |proof, failure| unknown("a.test. MX", proof, failure).map(|finding| finding.id);
        assert_eq!(id(Proof::Indeterminate, Some(LookupFailure::ServFail)), Some("dns.inconclusive"));
        assert_eq!(id(Proof::Indeterminate, Some(LookupFailure::BogusOrLame)), Some("dns.inconclusive"));
        assert_eq!(id(Proof::Bogus, Some(LookupFailure::BogusOrLame)), Some("dnssec.bogus"));
        assert_eq!(id(Proof::Bogus, None), Some("dnssec.bogus"));
        assert_eq!(id(Proof::Secure, None), None);
        assert_eq!(id(Proof::Indeterminate, None), None);
    }
}
