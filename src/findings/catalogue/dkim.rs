//! DKIM keys of the selectors that the caller names.

use super::Entry;
use crate::report::{Scope, Severity};

pub(crate) const SELECTOR_MISSING: Entry = Entry {
    id: "dkim.selector_missing",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 6376, section 3.6.2"),
    title: "There is no DKIM key for the selector",
    meaning: "The name of the selector has no key record: signatures with it fail.",
    remedy: "Publish the public key at the name, or sign with a selector that has one.",
};

pub(crate) const KEY_INVALID: Entry = Entry {
    id: "dkim.key_invalid",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 6376, section 3.6.1"),
    title: "A DKIM key cannot be read",
    meaning: "The record is no valid key, or there is more than one: signatures with the selector fail.",
    remedy: "Publish exactly one TXT record with the whole key. The parts of a long record are strings of one record.",
};

pub(crate) const KEY_REVOKED: Entry = Entry {
    id: "dkim.key_revoked",
    severity: Severity::Error,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 6376, section 3.6.1"),
    title: "A DKIM key is revoked",
    meaning: "The record has an empty `p`: the key is revoked, and signatures with the selector fail.",
    remedy: "Nothing, if nobody signs with the selector any more. Otherwise, publish the key, or sign with another \
             selector.",
};

pub(crate) const TESTING: Entry = Entry {
    id: "dkim.testing",
    severity: Severity::Notice,
    variants: "",
    scope: Scope::Record,
    reference: Some("RFC 6376, section 3.6.1"),
    title: "A DKIM key is marked as a test",
    meaning: "The record has `t=y`: receivers are to treat mail as if it were not signed.",
    remedy: "Remove `t=y`.",
};

pub(crate) const KEY_WEAK: Entry = Entry {
    id: "dkim.key_weak",
    severity: Severity::Error,
    variants: "`warning` for RSA keys of 1024 to 2047 bits",
    scope: Scope::Record,
    reference: Some("RFC 8301, sections 3.1 and 3.2"),
    title: "A DKIM key is weak",
    meaning: "The RSA key is too short, or only SHA-1 is allowed. Below 1024 bits, or with SHA-1, receivers do not \
              accept signatures.",
    remedy: "Sign with an RSA key of 2048 bits and SHA-256, under a new selector.",
};

pub(crate) const ED25519_ONLY: Entry = Entry {
    id: "dkim.ed25519_only",
    severity: Severity::Warning,
    variants: "",
    scope: Scope::Domain,
    reference: Some("RFC 8463, section 6"),
    title: "There is no RSA key beside Ed25519",
    meaning: "All keys of the given selectors are Ed25519. Many receivers do not verify such signatures.",
    remedy: "Sign with an RSA key as well, under another selector.",
};
