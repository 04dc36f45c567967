//! The domain as a whole.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const DIFFERS: Entry = Entry {
    id: "fleet.differs",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: None,
    title: "The addresses differ from each other",
    meaning: "The addresses of the mail servers differ in their certificate, their version of TLS, what they offer, \
              the size that they take, or in what came of the session. What becomes of a message depends on the \
              address that a sender meets.",
    remedy: "Give all servers the same configuration.",
};

pub(crate) const EXPECTATION: Entry = Entry {
    id: "expect.differs",
    severity: Severity::Error,
    variants: "`inconclusive` where it could not be told",
    scope: Scope::Domain,
    reference: None,
    title: "The domain is not as expected",
    meaning: "Something differs from `expect`, which the caller gave.",
    remedy: "Change the record, or the expectation.",
};

pub(crate) const TRUNCATED: Entry = Entry {
    id: "limits.truncated",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Domain,
    reference: None,
    title: "The check left something out",
    meaning: "Hosts or addresses are beyond the limits of the check, or were not connected to: nothing is known of \
              them. Or the report was too large, and a part of it is left out.",
    remedy: "Set `mx_limit` or `addresses_per_host` higher, or repeat the check later.",
};
