//! The rules about AUTH.

use super::{
    Seen,
    catalogue::sasl::{FEW_ITERATIONS, REFUSED_BEFORE_CREDENTIALS},
};
use crate::{
    phase::Phase,
    report::{AuthEnded, Finding},
};

/// The least iteration count of SCRAM-SHA-256 (RFC 7677, section 4).
const MIN_ITERATIONS: u32 = 4096;

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    let facts = &seen.report.facts;
    if let Some(count) = facts.scram_iterations.filter(|count| *count < MIN_ITERATIONS) {
        let message = format!("The iteration count of the server is {count}; it should be at least {MIN_ITERATIONS}.");
        found.push(seen.found(&FEW_ITERATIONS, Phase::SaslAuth, message));
    }
    if facts.auth_ended == Some(AuthEnded::BeforeCredentials) {
        let message = "The server ended AUTH before a user name or a password was sent.";
        found.push(seen.found(&REFUSED_BEFORE_CREDENTIALS, Phase::SaslAuth, message).with_evidence(evidence(seen)));
    }
}

/// The reply that ended AUTH, which may be a positive one.
fn evidence(seen: Seen<'_>) -> Option<String> {
    let failure = seen.report.failure.as_ref().filter(|failure| failure.phase == Phase::SaslAuth);
    let positive = || failure.and_then(|failure| Some(format!("{} {}", failure.code?, failure.message)));
    seen.reply().or_else(positive)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    #[test]
    fn scram_has_few_iterations() {
        let with = |count| ids(&Case::new().iterations(count).report());
        assert_eq!(with(Some(4095)), ["sasl.few_iterations warning"]);
        assert_eq!(with(Some(4096)), [""; 0]);
        assert_eq!(with(None), [""; 0]);
    }

    #[test]
    fn auth_ends_before_any_credential_is_sent() {
        let with = |ended| ids(&Case::new().auth_ended(ended).rejected(Phase::SaslAuth, "535 no").report());
        assert_eq!(with(AuthEnded::BeforeCredentials), ["sasl.refused_before_credentials info"]);
        assert_eq!(with(AuthEnded::BeforePassword), [""; 0]);
        let positive =
            Case::new().auth_ended(AuthEnded::BeforeCredentials).rejected(Phase::SaslAuth, "250 hm").report();
        assert_eq!(only(&positive).evidence, ["250 hm"]);
    }
}
