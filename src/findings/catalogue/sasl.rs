//! AUTH.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const FEW_ITERATIONS: Entry = Entry {
    id: "sasl.few_iterations",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 7677, section 4"),
    title: "SCRAM has few iterations",
    meaning: "The server stores the password with fewer than 4096 iterations: if its database is stolen, or the exchange \
              recorded, the password is easier to guess.",
    remedy: "Raise the iteration count on the server, and have the passwords stored anew.",
};

pub(crate) const REFUSED_BEFORE_CREDENTIALS: Entry = Entry {
    id: "sasl.refused_before_credentials",
    severity: Severity::Info,
    variants: "",
    scope: Scope::Address,
    reference: Some("RFC 4954, section 4"),
    title: "AUTH ended before any credential was sent",
    meaning: "The server ended AUTH before it had received a user name or a password: that says nothing about \
              them.",
    remedy: "Try another mechanism, or TLS. Some servers want the first response together with the command.",
};
