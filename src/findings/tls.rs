//! The rules about the TLS session.

use super::{Seen, catalogue::tls::OLD_PROTOCOL};
use crate::report::{Cause, Finding};

pub(super) fn rules(seen: Seen<'_>, found: &mut Vec<Finding>) {
    let failure = seen.report.failure.as_ref();
    if let Some(failure) = failure.filter(|failure| failure.cause == Some(Cause::OldTls)) {
        let message = "The server has neither TLS 1.2 nor TLS 1.3.";
        let evidence = [failure.message.clone()];
        found.push(seen.found(&OLD_PROTOCOL, failure.phase, message).with_evidence(evidence));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{phase::Phase, report::FailureKind};

    #[test]
    fn the_server_has_no_recent_version_of_tls() {
        let of = |cause| ids(&Case::new().start_tls().failed(Phase::Tls, FailureKind::Tls, cause).report());
        assert_eq!(of(Some(Cause::OldTls)), ["tls.old_protocol error"]);
        assert_eq!(of(Some(Cause::TlsOfClient)), ["starttls.failed inconclusive"]);
    }
}
